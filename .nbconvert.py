# `make notebooks`: execute in place, then drop what would change from run to run.
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
c.NotebookExporter.preprocessors = ["nbconvert.preprocessors.CoalesceStreamsPreprocessor"]
