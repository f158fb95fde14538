"""Figures: the course's style and nothing of the reader's, colours by meaning, areas, layers."""

import functools
import io

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pytest
from comparing import assert_close, contrast, refuses
from matplotlib.colors import to_rgb
from PIL import Image

from course_utils.widgets import figures

# What readers set, none of which may be seen in the course's pictures. usetex would raise without
# LaTeX on the machine; fonts are looked up when text is drawn.
SETTINGS = {
    "text.usetex": True, "text.color": "red", "figure.dpi": 55, "figure.facecolor": "0.3",
    "savefig.dpi": 30, "savefig.bbox": "tight", "savefig.transparent": True,
    "axes.prop_cycle": mpl.cycler(color=["r", "g"]), "axes.facecolor": "0.2", "axes.grid": True,
    "axes.titlelocation": "right", "axes.xmargin": 0.4, "axes.unicode_minus": False,
    "axes.formatter.limits": (0, 0), "font.size": 20, "font.family": "serif",
    "font.sans-serif": ["DejaVu Serif"], "mathtext.fontset": "cm", "lines.linewidth": 5,
    "lines.marker": "o", "hatch.linewidth": 4, "patch.linewidth": 7, "legend.frameon": True,
    "legend.fontsize": 20, "xtick.color": "red", "ytick.major.size": 20, "image.cmap": "hot",
    "path.sketch": (1, 100, 2),
}  # fmt: skip


def notebook_cell(before_drawing=lambda: None, before_showing=lambda: None):
    """Draw as the notebooks do, with the reader's settings made at one place or another."""
    figure, (ax, other) = figures.new_figure(1, 2, size=(5, 2.2))
    before_drawing()
    figures.line(ax, [0, 1], [-1, 1], "data", label="$\\alpha$")
    figures.signed_area(ax, np.arange(3), np.arange(3) - 1, "weight")
    ax.plot([0, 1], [1, -1], label="plain")
    ax.legend(loc="lower right")
    ax.set(xlabel="x", ylabel="y", ylim=(-1.5, 1.5))
    figures.title(ax, "a title")
    other.imshow(np.eye(3))
    other.text(0, 1, "words", color="white")
    other.axhline(1)
    before_showing()
    data, _ = figures.show(figure, "Lines.")._repr_mimebundle_()
    return np.asarray(Image.open(io.BytesIO(data["image/png"])))


@functools.cache
def plain_cell():
    return notebook_cell()


@pytest.mark.parametrize("style", ["dark_background", SETTINGS], ids=["dark", "all at once"])
def test_no_setting_of_the_reader_is_in_the_picture_and_all_are_kept(style):
    set_by_reader = functools.partial(mpl.style.use, style)
    for place in ({"before_showing": set_by_reader}, {"before_drawing": set_by_reader}, {}):
        with mpl.rc_context():
            if not place:
                set_by_reader()
            theirs = dict(mpl.rcParams)
            np.testing.assert_array_equal(notebook_cell(**place), plain_cell())
            assert place or dict(mpl.rcParams) == theirs


@pytest.mark.parametrize("key", figures.STYLE)
def test_the_style_is_applied_to_all_that_a_cell_draws(monkeypatch, key):
    before, value = plain_cell(), figures.STYLE[key]
    assert mpl.rcParamsDefault[key] != value
    monkeypatch.setitem(figures.STYLE, key, not value if isinstance(value, bool) else 2 * value)
    assert not np.array_equal(notebook_cell(), before)


def corners(collection):
    """The y values of a filled area's outline."""
    return np.concatenate([path.vertices[:, 1] for path in collection.get_paths()])


# Machado, Oliveira & Fernandes 2009, full severity, on linear RGB
BLINDNESS = {
    "protan": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deutan": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
}


PALETTES = figures.SCREEN | {"paper": figures.COLOURS}


@pytest.mark.parametrize("kind", [None, *BLINDNESS])
@pytest.mark.parametrize("palette", PALETTES)
def test_colours_can_be_told_apart(palette, kind):
    colours = PALETTES[palette]

    def seen(colour):
        linear = np.array(to_rgb(colour)) ** 2.2
        linear = np.array(BLINDNESS[kind]) @ linear if kind else linear
        return np.clip(linear, 0, 1) ** (1 / 2.2)

    names = list(colours)
    for i, a in enumerate(names):
        for b in names[:i]:
            distance = np.linalg.norm(seen(colours[a]) - seen(colours[b]))
            assert distance > 0.15, f"{a} and {b} look alike ({kind}): {distance:.2f}"


@pytest.mark.parametrize(("palette", "paper"), [("light", "#FFFFFF"), ("dark", "#111111")])
def test_lines_differ_from_the_paper(palette, paper):
    """WCAG 2.2, 1.4.11: graphics by 3:1 in contrast."""
    for name, colour in figures.SCREEN[palette].items():
        assert contrast(colour, paper) >= 3, name


def test_signed_area_parts_at_zero():
    x = np.linspace(0, 2 * np.pi, 50)
    for y, parts in ((np.sin(x), 2), (x, 1), (np.where(x == x[7], -1e-9, x), 2)):
        _, ax = figures.new_figure()
        figures.signed_area(ax, x, y, "mixture")
        above, *below = ax.collections
        assert corners(above).min() == 0 and corners(above).max() == pytest.approx(y.max())
        assert len(below) == parts - 1 and not above.get_hatch()
        for area in below:
            assert corners(area).max() == 0 and corners(area).min() == pytest.approx(y.min())
            assert area.get_hatch()  # never by colour alone
        assert_close(ax.lines[0].get_ydata(), y)


def test_shown_figures_have_words():
    figure, ax = figures.new_figure(size=(4, 2))
    figures.line(ax, [0, 1], [0, 1], "data")
    data, metadata = figures.show(figure, "A line\n  that rises.")._repr_mimebundle_()
    assert data["text/plain"] == "A line that rises."
    picture = Image.open(io.BytesIO(data["image/png"]))
    assert picture.info["Description"] == "A line that rises."
    assert picture.size == (800, 400) and metadata["image/png"] == {"width": 400, "height": 200}
    refuses("say what there is to see", figures.show, figure, " ")
