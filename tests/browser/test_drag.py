"""A long drag of every panel in the page: no frame without a picture, no queue behind the hand."""

import base64
import contextlib
import io

import numpy as np
import probe
import pytest
from lab import PanelOnPage, write_notebook
from panel_driving import PANELS
from PIL import Image

pytestmark = [pytest.mark.browser, pytest.mark.full]
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
def notebook(lab, tmp_path_factory):
    cells = [*(CELL.format(name=name) for name in PANELS), BLANK]
    path = write_notebook(tmp_path_factory.mktemp("drag") / "drag.ipynb", cells)
    with contextlib.closing(lab(path)) as opened:
        opened.run_all(seconds=300)
        yield opened


@contextlib.contextmanager
def filmed(element):
    """Yields a list that holds, in the end, the share of dark pixels of each painted frame."""
    page, box, frames, inks = element.page, element.bounding_box(), [], []
    session = page.context.new_cdp_session(page)

    def keep(frame):
        frames.append(frame["data"])
        session.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})

    session.on("Page.screencastFrame", keep)
    session.send("Page.startScreencast", {"format": "jpeg", "quality": 60})
    yield inks
    session.send("Page.stopScreencast")
    session.detach()
    for data in frames:
        picture = Image.open(io.BytesIO(base64.b64decode(data))).convert("L")
        scale = picture.width / page.viewport_size["width"]
        left, top, width, height = (scale * box[edge] for edge in ("x", "y", "width", "height"))
        cut = picture.crop((left, top, left + width, min(top + height, picture.height)))
        inks.append(np.mean(np.asarray(cut) < 128))


def dragged(panel):
    """Drag the first slider: what the page saw, and the ink of its frames."""
    handle = panel.handles(upright=False)[0]
    handle.scroll_into_view_if_needed()
    probe.install(panel.image)
    with filmed(panel.image) as ink:
        seen = probe.drag(handle, seconds=1.5, pictures=8)
    return seen, np.array(ink)


def flickers(ink):
    """Whether in some frame half of the picture's dark pixels were missing."""
    return ink.min() < 0.5 * np.median(ink)


@pytest.mark.parametrize("name", PANELS)
def test_a_drag_leaves_no_blank_frame_and_no_queue(name, notebook):
    panel = notebook.panel(PANELS.index(name))
    seen, ink = dragged(panel)
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
    _, ink = dragged(PanelOnPage(notebook.page.locator(PanelOnPage.AREA).last))
    assert flickers(ink)
