import contextlib
import functools

import pytest
from lab import Notebook, jupyterlab
from serving import chromium


@pytest.fixture(scope="module")
def browser_context():
    with chromium() as context:
        yield context


@pytest.fixture(scope="module")
def lab(browser_context, tmp_path_factory):
    """A function that opens a copy of the notebook at a path in JupyterLab."""
    home = tmp_path_factory.mktemp("lab")
    with jupyterlab(home) as address:
        yield functools.partial(Notebook, browser_context, address, home)


@pytest.fixture
def open_notebook(lab):
    """The same; what it opened is closed when the test ends."""
    with contextlib.ExitStack() as opened:
        yield lambda path: opened.enter_context(contextlib.closing(lab(path)))
