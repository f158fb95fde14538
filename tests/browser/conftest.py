import pytest
from lab import Notebook, chromium, jupyterlab


@pytest.fixture(scope="module")
def browser_context():
    with chromium() as context:
        yield context


@pytest.fixture(scope="module")
def lab_home(tmp_path_factory):
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def lab_address(lab_home, browser_context):  # the browser first: without one, no server
    with jupyterlab(lab_home) as address:
        yield address


@pytest.fixture
def open_notebook(lab_address, lab_home, browser_context):
    """A function that opens a copy of the notebook at a path."""
    opened = []

    def open_copy(path):
        opened.append(Notebook(browser_context, lab_address, lab_home, path))
        return opened[-1]

    yield open_copy
    for notebook in opened:
        notebook.close()
