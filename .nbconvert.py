# `make notebooks`: execute in place, then drop what would change from run to run.
import hashlib

from nbconvert.preprocessors import CoalesceStreamsPreprocessor, Preprocessor

VIEW = "application/vnd.jupyter.widget-view+json"
PYTHON = {"name": "python", "nbconvert_exporter": "python", "file_extension": ".py"}


class Steady(Preprocessor):
    """Names that stay, and what exports ask for: the language, and words for every picture."""

    def preprocess(self, notebook, resources):
        notebook.metadata.language_info = PYTHON
        for cell in notebook.cells:
            for place, output in enumerate(cell.get("outputs", [])):
                data = output.get("data", {})
                if VIEW in data:
                    name = hashlib.sha256(f"{cell.id} {place}".encode())
                    data[VIEW]["model_id"] = name.hexdigest()[:32]
                if "image/png" in data:
                    words = " ".join(data["text/plain"].split())
                    output.metadata.setdefault("image/png", {})["alt"] = words
        return notebook, resources


c = get_config()  # noqa: F821
c.NbConvertApp.export_format = "notebook"
c.NbConvertApp.use_output_suffix = False
c.FilesWriter.build_directory = ""
c.ExecutePreprocessor.enabled = True
c.ExecutePreprocessor.timeout = 600
c.ExecutePreprocessor.record_timing = False
c.ExecutePreprocessor.store_widget_state = False
c.ClearMetadataPreprocessor.enabled = True
c.ClearMetadataPreprocessor.clear_notebook_metadata = True
# The slides of slides/live_panels.ipynb keep their title and style, and each cell its place.
c.ClearMetadataPreprocessor.preserve_nb_metadata_mask = {
    "kernelspec",
    "title",
    "@deathbeds/jupyterlab-fonts",
}
c.ClearMetadataPreprocessor.preserve_cell_metadata_mask = {
    "tags",
    "jupyter",
    "cellView",
    "slideshow",
}
# Streams arrive in pieces, cut by the clock; joined after execution.
c.NotebookExporter.preprocessors = [CoalesceStreamsPreprocessor, Steady]
