"""Figures: colours by meaning, signed areas, layers, limits, and words beside every picture."""

import io

import numpy as np
import pytest
from comparing import assert_close
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from PIL import Image

from course_utils.widgets import figures


def drawn(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def corners(collection):
    """The y values of a filled area's outline."""
    return np.concatenate([path.vertices[:, 1] for path in collection.get_paths()])


# Machado, Oliveira & Fernandes 2009, full severity, on linear RGB
BLINDNESS = {
    "protan": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deutan": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
}


@pytest.mark.parametrize("kind", [None, *BLINDNESS])
def test_colours_can_be_told_apart(kind):
    def seen(colour):
        linear = np.array(to_rgb(colour)) ** 2.2
        linear = np.array(BLINDNESS[kind]) @ linear if kind else linear
        return np.clip(linear, 0, 1) ** (1 / 2.2)

    names = list(figures.COLOURS)
    for i, a in enumerate(names):
        for b in names[:i]:
            distance = np.linalg.norm(seen(figures.COLOURS[a]) - seen(figures.COLOURS[b]))
            assert distance > 0.15, f"{a} and {b} look alike ({kind}): {distance:.2f}"


def test_line():
    _, ax = figures.new_figure()
    line = figures.line(ax, [0, 1], [1, 2], "exact", label="truth")
    assert line.get_color() == figures.COLOURS["exact"] and not line.get_animated()
    assert figures.line(ax, [0], [0], "data", moving=True).get_animated()


def test_signed_area_parts_at_zero():
    figure, ax = figures.new_figure()
    area = figures.SignedArea(ax, "mixture", moving=True)
    x = np.linspace(0, 2 * np.pi, 50)
    area.set(x, np.sin(x))
    assert corners(area.above).min() == 0 and corners(area.above).max() > 0.99
    assert corners(area.below).max() == 0 and corners(area.below).min() < -0.99
    assert area.below.get_hatch() and not area.above.get_hatch()  # never by colour alone
    assert_close(area.edge.get_ydata(), np.sin(x))
    assert area.below.get_visible()
    area.set(x, x)
    assert corners(area.below).min() == 0
    assert not area.below.get_visible()
    area.set(x, np.where(x == x[7], -1e-9, x))
    assert area.below.get_visible()
    assert drawn(figure).std() > 0


def test_ridges_keep_their_order_and_their_proportion():
    figure, ax = figures.new_figure()
    x = np.linspace(-3, 3, 101)
    ridges = figures.Ridges(ax, 2, x)
    sharp, broad = np.exp(-(x**2) * 8), np.exp(-(x**2) / 2) / 4
    ridges.set([broad, sharp], ["broad", "sharp"], ["data", "negative"])
    peaks = [line.get_ydata().max() - i for i, line in enumerate(ridges.lines)]
    assert_close(peaks[0] / peaks[1], np.sqrt(broad.max() / sharp.max()), rtol=1e-12)
    assert [word.get_text().strip() for word in ridges.words] == ["broad", "sharp"]
    assert ridges.lines[1].get_color() == figures.COLOURS["negative"]
    assert drawn(figure).std() > 0


def test_pixels_fill_the_axes_from_below_with_sharp_cells():
    figure, ax = figures.new_figure(size=(3, 2))
    ax.set_axis_off()
    pixels = figures.Pixels(ax)

    def whole():
        still = drawn(figure)  # without what moves
        (cells,) = (artist for artist in ax.get_children() if artist.get_animated())
        cells.draw(figure.canvas.get_renderer())
        return still

    assert whole().std() == 0  # nothing yet
    grid = np.zeros((2, 3, 3), np.uint8)
    grid[0, 0], grid[1, 2], grid[1, 1] = (255, 0, 0), (0, 0, 255), (0, 255, 0)
    pixels.set(grid)

    def colours():
        picture, box = whole(), ax.bbox
        x = np.linspace(box.x0, box.x1, 7)[1::2].astype(int)
        y = len(picture) - np.linspace(box.y0, box.y1, 5)[1::2].astype(int)
        inside = picture[len(picture) - int(box.y1) : len(picture) - int(box.y0) - 3]
        assert len(np.unique(inside[:, int(box.x0) + 3 : int(box.x1)].reshape(-1, 3), axis=0)) == 4
        return picture[y][:, x]

    np.testing.assert_array_equal(colours(), grid)
    other = grid[::-1].copy()
    pixels.set(other)
    np.testing.assert_array_equal(colours(), other)
    figure.set_dpi(150)
    np.testing.assert_array_equal(colours(), other)


@pytest.mark.parametrize(
    "grid",
    [
        None,
        [[[1, 2, 3]]],
        np.zeros((2, 2), np.uint8),
        np.zeros((2, 2, 3)),
        np.zeros((0, 2, 3), np.uint8),
    ],
)
def test_pixels_must_be_bytes(grid):
    _, ax = figures.new_figure()
    with pytest.raises(ValueError, match=r"must be bytes.*got"):
        figures.Pixels(ax).set(grid)


@pytest.mark.parametrize("power", [-3, 0, 5])
def test_snapped_limits(power):
    for value in np.geomspace(1.01, 9.99, 40) * 10.0**power:
        limit = figures.snapped_limit(value)
        assert 0.998 * value <= limit <= 1.7 * value
        assert round(limit / 10.0**power, 6) in (1, 1.5, 2, 3, 5, 7, 10)


@pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf])
def test_a_limit_must_be_positive(value):
    with pytest.raises(ValueError, match=r"positive and finite|one finite number"):
        figures.snapped_limit(value)


def test_level_axis_says_which_way_is_noise():
    _, ax = figures.new_figure()
    figures.level_axis(ax, -10, 10)
    assert ax.get_xlim() == (-10, 10)
    assert ax.get_xlabel().startswith("log-SNR λ") and "noise" in ax.get_xlabel()


def test_layout_is_kept():
    figure, ax = figures.new_figure()
    figures.freeze_layout(figure)
    before = ax.get_position().bounds
    ax.set_ylabel("a label\nof two lines", fontsize=30)
    drawn(figure)
    assert ax.get_position().bounds == before


def test_shown_figures_have_words():
    figure, ax = figures.new_figure(size=(4, 2))
    figures.line(ax, [0, 1], [0, 1], "data")
    data, metadata = figures.show(figure, "A line\n  that rises.")._repr_mimebundle_()
    assert data["text/plain"] == "A line that rises."
    picture = Image.open(io.BytesIO(data["image/png"]))
    assert picture.info["Description"] == "A line that rises."
    assert picture.size == (800, 400) and metadata["image/png"] == {"width": 400, "height": 200}
    with pytest.raises(ValueError, match="say what there is to see"):
        figures.show(figure, " ")
