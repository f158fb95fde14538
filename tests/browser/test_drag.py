"""A long drag of every panel in the page: no frame without a picture, no queue behind the hand."""

import base64
import io
import pkgutil

import numpy as np
import probe
import pytest
from lab import Notebook, write_notebook
from PIL import Image

import course_utils.panels

pytestmark = [pytest.mark.browser, pytest.mark.full]
PANELS = [
    module.name
    for module in pkgutil.iter_modules(course_utils.panels.__path__)
    if not module.name.startswith("_")
]
CELL = "from course_utils.panels import {name}\n{name}_panel = {name}.panel()\n{name}_panel"
BLANK = """
import ipywidgets
picture = ipywidgets.Image(value=counting_panel._image.value, format="jpeg")
bar = ipywidgets.IntSlider()
def flash(change):
    picture.value = b"" if change["new"] % 2 else counting_panel._image.value
bar.observe(flash, "value")
ipywidgets.VBox([bar, picture])
"""


@pytest.fixture(scope="module")
def notebook(lab_address, lab_home, browser_context, tmp_path_factory):
    cells = [CELL.format(name=name) for name in PANELS]
    path = write_notebook(tmp_path_factory.mktemp("drag") / "drag.ipynb", [*cells, BLANK])
    opened = Notebook(browser_context, lab_address, lab_home, path)
    opened.run_all(seconds=300)
    yield opened
    opened.close()


class Screencast:
    """The frames that Chromium paints, cut to one element."""

    def __init__(self, element):
        self.page, self.box, self.frames = element.page, element.bounding_box(), []
        self.session = self.page.context.new_cdp_session(self.page)

    def __enter__(self):
        self.session.on("Page.screencastFrame", self._keep)
        self.session.send("Page.startScreencast", {"format": "jpeg", "quality": 60})
        return self

    def __exit__(self, *error):
        self.session.send("Page.stopScreencast")
        self.session.detach()

    def _keep(self, frame):
        self.frames.append(frame["data"])
        self.session.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})

    def ink(self):
        """Return the share of dark pixels of each frame, [n]."""
        shares = []
        size = self.page.viewport_size
        for data in self.frames:
            picture = Image.open(io.BytesIO(base64.b64decode(data))).convert("L")
            scale = picture.width / size["width"]
            edges = [self.box[k] for k in ("x", "y", "width", "height")]
            left, top, width, height = (scale * edge for edge in edges)
            cut = picture.crop((left, top, left + width, min(top + height, picture.height)))
            shares.append(np.mean(np.asarray(cut) < 128))
        return np.array(shares)


def dragged(root):
    """Drag the first slider under ``root``: what the page saw, and the ink of its frames."""
    image = root.locator("img.widget-image")
    handles = root.locator(".noUi-horizontal .noUi-handle").all()
    handle = next(handle for handle in handles if handle.is_visible())
    handle.scroll_into_view_if_needed()
    probe.install(image)
    with Screencast(image) as film:
        seen = probe.drag(handle, seconds=1.5, pictures=8)
    return seen, film.ink()


def flickers(ink):
    """Whether in some frame half of the picture's dark pixels were missing."""
    return ink.min() < 0.5 * np.median(ink)


@pytest.mark.parametrize("name", PANELS)
def test_a_drag_leaves_no_blank_frame_and_no_queue(name, notebook):
    panel = notebook.panel(PANELS.index(name))
    seen, ink = dragged(panel.root)
    assert len(seen.paints) >= 8 and len(ink) >= 5, "the panel hardly moved"
    assert np.median(ink) > 0 and not flickers(ink)
    # one on its way to the screen, one on its way through the kernel, and the last
    assert len(seen.after()) <= 3
    notebook.wait_until_idle()
    held = f"print({name}_panel.error, {name}_panel._image.value.hex())"
    panel.wait_until(
        lambda: notebook.execute(held).split() == ["None", panel.picture().hex()],
        "the browser to show what the kernel holds",
    )
    assert panel.shown_size()[0] == 2 * panel.shown_size()[2]  # sharp at rest
    assert notebook.console_errors == []


def test_a_picture_that_flashes_is_seen(notebook):
    root = notebook.page.locator(".jp-OutputArea-output:has(img.widget-image)").last
    _, ink = dragged(root)
    assert flickers(ink)
