"""The counting panel: exp of half the area under the noise-prediction error counts the points."""

from functools import lru_cache

import numpy as np
from scipy.integrate import cumulative_trapezoid

from course_utils._checks import frozen
from course_utils.datasets import galaxy_velocities, velocity_scale
from course_utils.panels._galaxies import noise_error
from course_utils.panels._view import level_axis, moving_line, view
from course_utils.widgets import figures
from course_utils.widgets.old_controls import slider
from course_utils.widgets.scene import (
    Area,
    Axis,
    Handle,
    Line,
    Plot,
    Points,
    Question,
    Rule,
    Scene,
    Words,
)

ALT = (
    "Three plots. Left: the velocities that are kept, one dot a galaxy, numbered from the slowest. "
    "Middle: half of e, the error of the best noise prediction, over log-SNR, its area shaded. "
    "Right: exp of the area up to each level, on a logarithmic axis: how many groups of galaxies "
    "are told apart there. It rises from 1 to the number of galaxies kept, the dotted line; the "
    "dot marks a blur of 1000 km/s."
)
LEVELS = np.linspace(-16, 30, 93)  # at both ends e is below 1e-6 at every setting
MARK = 1000.0  # km/s: the blur at which the count so far is read off


def controls():
    """Return the panel's controls."""
    n = len(galaxy_velocities())
    return {
        "keep": slider("galaxies kept", 2, n, 1, n),
        "leave_out": slider("leave out no.", 0, n, 1, 0),
        "squeeze": slider("squeeze", 1, 10, 1, 1),
    }


def compute(keep, leave_out, squeeze):
    """Return the numbers, and velocities in km/s, ½ e and the count so far at ``LEVELS``."""
    velocities, half = _curve(keep, leave_out, squeeze)
    area = cumulative_trapezoid(half, LEVELS, initial=0)
    mark = 2 * np.log(velocity_scale() / MARK)
    numbers = {
        "kept": len(velocities),
        "half_area": float(area[-1]),
        "count": float(np.exp(area[-1])),
        "at_mark": float(np.exp(np.interp(mark, LEVELS, area))),
    }
    n = len(velocities)
    left_out = galaxy_velocities()[leave_out - 1] if 1 <= leave_out <= keep else np.nan
    arrays = {
        "velocities": velocities / 1000,
        "order": np.arange(1, n + 1),
        "half": half,
        "count": np.exp(area),
        "mark": mark,
        "keep": keep,
        "left_out": left_out / 1000,
        "number": leave_out,
        "hump": np.interp(area[-1] / 2, area, LEVELS),
    }
    return numbers, arrays


@lru_cache(maxsize=256)
def _curve(keep, leave_out, squeeze):
    velocities = galaxy_velocities()[:keep]
    if 1 <= leave_out <= keep:
        velocities = np.delete(velocities, leave_out - 1)
    velocities = velocities.mean() + (velocities - velocities.mean()) / squeeze
    return frozen(velocities), frozen(noise_error(velocities / velocity_scale(), LEVELS) / 2)


def scene():
    """Return the scene: the galaxies, the error curve over log-SNR, and the count so far."""
    n = len(galaxy_velocities())
    galaxies = Plot(
        "the galaxies",
        Axis(8, 36, "velocity, 1000 km/s"),
        Axis(0, n + 3, "number, by velocity"),
        [
            Points("velocities", "order", meaning="data", size=4),
            Points("left_out", "number", meaning="negative", shape="ring", size=8),
            Handle("keep", y="keep", along="y", kind="rule", meaning="noise"),
            Handle("leave_out", x=34, y="number", along="y", meaning="negative"),
        ],
    )
    error = Plot(
        "error of the best noise guess",
        level_axis(LEVELS[0], LEVELS[-1]),
        Axis(0, 0.5, "½ e(λ)"),
        [
            Area(LEVELS, "half", meaning="data"),
            Words(0.98, 0.86, "half the area {half_area:.4f}", align="right"),
            # all differences divided by s: the same curve, 2 ln s higher in λ
            Handle("squeeze", x="hump", y=0.25, factor=0.5 / np.log(10), times=True),
        ],
        width=1.2,
        cursor="λ",
    )
    count = Plot(
        "galaxies told apart so far",
        level_axis(LEVELS[0], LEVELS[-1]),
        Axis(0.9, 110, "exp of the area up to λ", scale="log", ticks=(1, 2, 5, 10, 20, 50, 82)),
        [
            Rule("kept", along="y", meaning="exact", dash="dot", label="galaxies"),
            Line(LEVELS, "count", meaning="data", secret=True, label="exp of the area"),
            Points("mark", "at_mark", meaning="data", secret=True, label="blur 1000 km/s"),
        ],
        width=1.2,
        cursor="λ",
    )
    question = Question(
        "One galaxy is left out. Where does the curve at the right end?",
        ("at 82, as before", "at 81", "at 41: half as high"),
        right="at 81",
        then={"leave_out": 40},
    )
    return Scene([[galaxies, error, count]], height=300, alt=ALT, ghost=True, question=question)


def drawing():
    """Return the figure, and the function that shows what was computed in it."""
    figure, (of_points, of_error, of_count) = figures.new_figure(
        1, 3, size=(9.4, 3.3), width_ratios=[1, 1.2, 1.2]
    )
    n = len(galaxy_velocities())
    figures.title(of_points, "the galaxies")
    of_points.set(
        xlim=(8, 36), ylim=(0, n + 3), xlabel="velocity, 1000 km/s", ylabel="number, by velocity"
    )
    figures.title(of_error, "error of the best noise guess")
    figures.level_axis(of_error, LEVELS[0], LEVELS[-1])
    of_error.set(ylabel="½ e(λ)", ylim=(0, 0.5))
    figures.title(of_count, "galaxies told apart so far")
    figures.level_axis(of_count, LEVELS[0], LEVELS[-1])
    of_count.set(yscale="log", ylim=(0.9, 110), ylabel="exp of the area up to λ")
    ticks = [1, 2, 5, 10, 20, 50, 82]
    of_count.set_yticks(ticks, [str(tick) for tick in ticks])
    of_count.set_yticks([], minor=True)
    for ax in (of_error, of_count):
        ax.set_xticks([-10, 0, 10, 20, 30])
    dots = moving_line(of_points, "data", ls="", marker="o", markersize=2.5)
    area = figures.SignedArea(of_error, "data", moving=True)
    total = figures.line(of_count, LEVELS[[0, -1]], [1, 1], "exact", moving=True, ls=":", lw=1.2)
    curve = moving_line(of_count, "data")
    dot = moving_line(of_count, "data", ls="", marker="o")
    words = of_error.text(0.98, 0.9, "", transform=of_error.transAxes, ha="right", animated=True)

    def show(numbers, velocities, order, half, count, mark, **others):
        dots.set_data(velocities, order)
        area.set(LEVELS, half)
        curve.set_data(LEVELS, count)
        total.set_ydata([numbers["kept"]] * 2)
        dot.set_data([mark], [numbers["at_mark"]])
        words.set_text(f"area {numbers['half_area']:.4f}\nexp {numbers['count']:.4f}")

    return figure, show


panel, picture = view(
    controls,
    compute,
    drawing,
    alt=ALT,
    formats={
        "kept": "{} galaxies",
        "half_area": "half the area {:.4f}",
        "count": "exp of it {:.4f}",
        "at_mark": "told apart at a blur of 1000 km/s: {:.2f}",
    },
)
