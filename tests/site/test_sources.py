"""What makes the web page, short of making it."""

import json
import re
import runpy

import lite
import moving
import nbformat
import pages
import picture
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from plain_docstrings import restructured
from serving import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_plain_docstrings():
    plain = "The |x| of 2 * y; ``a * b``.\n\n    x = |y|\n\nlabel   what it\n        is\n\n"
    made = (
        "The \\|x\\| of 2 \\* y; ``a * b``.\n\n::\n\n    x = |y|\n\nlabel\n    what it\n    is\n\n"
    )
    assert "\n".join(restructured(plain.split("\n"))) == made


def code(source, tags=(), **data):
    data = {kind.replace("_", "/", 1): content for kind, content in data.items()}
    outputs = [new_output("execute_result", data=data)]
    return new_code_cell(source, metadata={"tags": list(tags)}, outputs=outputs if data else [])


def test_a_page_says_where_it_runs_folds_what_is_skipped_and_has_panels_that_move():
    panel = code("panel()", image_png="iVBO", text_plain="Two plots.\nloss 1.5 *nats* · a_b")
    panel.outputs[0].data[lite.VIEW] = {"model_id": "x"}
    cells = [
        new_markdown_cell("# T"),
        code("%pip install x"),
        code("answer = 42", tags=["solution"]),
        code("import numpy as np\n\nfrom a import (\n    b,\n    c,\n)"),
        code("def attempt(x):\n    raise NotImplementedError"),
        code("from a import b\nb()"),
        code('check("01.1", attempt)'),
        new_markdown_cell("## Is the installation right?"),
        code("show()", image_png="iVBO", text_plain="A curve\nthat falls."),
        panel,
    ]
    notebook = new_notebook(cells=cells)
    pages.make_page(notebook, "03_back_in_time.ipynb")
    nbformat.validate(notebook)
    title, where, install, solution, imports, start, kept, check, figure, panel, moves = (
        notebook.cells
    )
    assert title.source == "# T" and "lite/notebooks/index.html?path=03_back" in where.source
    assert install.metadata.tags == check.metadata.tags == ["remove-cell"]
    assert solution.metadata.tags == ["solution", "hide-cell"] and kept.metadata.tags == []
    for cell, words in ((solution, "the solution"), (imports, "imported"), (start, "starts")):
        assert "hide-cell" in cell.metadata.tags
        assert words in cell.metadata.mystnb["code_prompt_show"]
    assert figure.metadata.mystnb == {"image": {"alt": "A curve that falls."}}
    assert set(panel.outputs[0].data) == {"image/png", "text/plain"}
    assert panel.metadata.mystnb["image"]["alt"] == "Two plots. loss 1.5 *nats* · a_b"
    caption = panel.metadata.mystnb["figure"]["caption"]
    assert r"loss 1\.5 \*nats\* · a\_b" in caption
    assert 'data-panel="../_static/panels/03-0.json"' in moves.source
    assert "lite/notebooks" in moves.source


def test_the_panels_of_the_page_are_those_of_the_notebooks():
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        sources = [
            cell.source
            for cell in notebook.cells
            if any(lite.VIEW in output.get("data", {}) for output in cell.get("outputs", []))
        ]
        listed = moving.PANELS[path.name[:2]]
        assert len(sources) == len(listed)
        for (module, function, _), source in zip(listed, sources, strict=True):
            assert module in source and f".{function}(" in source
    with pytest.raises(ValueError, match="chain says"):
        list(moving.panels_of("01", ["something else"]))


def test_what_is_recorded_is_what_python_computes():
    (module, panel), *_ = moving.panels_of("03", saved("03"))
    record = json.loads(moving.as_json(module, panel))
    eta = record["spec"]["controls"]["eta"]
    assert eta["step"] == 0.1 and record["controls"] == ["eta", "steps"]
    assert record["states"][0]["values"] == panel.values  # it ends where it began
    state = next(state for state in record["states"] if state["values"]["eta"] == 0.3)
    assert state["frame"]["readout"] != record["states"][0]["frame"]["readout"]
    panel.set(eta=0.3)
    assert state["frame"]["readout"] == panel.frame["readout"]


def saved(number):
    """The words of a notebook's panels, as saved."""
    (path,) = (path for path in NOTEBOOKS if path.name.startswith(number))
    return [data["text/plain"] for data in pages.views(nbformat.read(path, as_version=4))]


def test_what_needs_torch_says_so_at_once():
    for path in NOTEBOOKS:
        needs = lite.needs_torch(path.name)
        assert ("PyTorch, which does not run" in pages.where_it_runs(path.name)) == needs
        notebook = nbformat.read(path, as_version=4)
        sources = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
        imports = re.findall(
            r"(?m)^\s*(?:from|import) (torch|course_utils\.training\.networks)\b", sources
        )
        assert needs or not imports, f"{path.name} runs in a browser and needs torch"
        lite.prepare(notebook, path.name)
        assert ("PyTorch, which does not run" in notebook.cells[0].source) == needs
        assert notebook.metadata.kernelspec["name"] == "python"
        assert lite.VIEW not in json.dumps(notebook)


@pytest.mark.parametrize("server", [None, "https://github.com", "https://git.example.org"])
def test_launch_buttons_only_where_the_address_is_known(monkeypatch, tmp_path, server):
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("[project.urls]")[0]
    (tmp_path / "pyproject.toml").write_text(project, encoding="utf-8")
    monkeypatch.setenv("COURSE_ROOT", str(tmp_path))
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    if server:
        monkeypatch.setenv("GITHUB_SERVER_URL", server)
        monkeypatch.setenv("GITHUB_REPOSITORY", "owner/name")
    theme = runpy.run_path(str(ROOT / "docs/conf.py"))["html_theme_options"]
    buttons = {"binderhub_url", "notebook_interface"} if server else set()
    buttons |= {"colab_url"} if server == "https://github.com" else set()
    assert set(theme.get("launch_buttons", {})) == buttons
    assert theme.get("repository_url") == (f"{server}/owner/name" if server else None)


def test_node_packages_are_pinned_by_content_and_by_no_registry():
    folders = ["docs", "slides", "tests/hub", "course_utils/widgets/js"]
    for lock in [(ROOT / name / "package-lock.json").read_text() for name in folders]:
        assert '"resolved"' not in lock
        assert lock.count('"integrity"') == lock.count('"node_modules/')


def test_the_reference_has_every_module():
    listed = re.findall(r"(?m)^   (course_utils[\w.]+)$", (ROOT / "docs/reference.md").read_text())
    package = ROOT / "course_utils"
    modules = [p for p in package.rglob("[a-z]*.py") if p.parent.name != "exercises"]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules]
    assert sorted(listed) == sorted([*names, "course_utils.exercises"])


@pytest.mark.full
@pytest.mark.browser
def test_the_readme_s_picture_is_filmed(tmp_path, monkeypatch):
    (to, *_), (down, *_), *_ = picture.MOVES
    monkeypatch.setattr(picture, "MOVES", [(to, 1, False), (down, 3, True)])
    picture.main(tmp_path / "film.webp")
    assert Image.open(tmp_path / "film.webp").n_frames == 4
