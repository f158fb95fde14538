"""The counting panel: exp of half the area under the noise-prediction error counts the points."""

import numpy as np
from scipy.integrate import cumulative_trapezoid

from course_utils.datasets import galaxy_velocities, velocity_scale
from course_utils.panels._galaxies import noise_error
from course_utils.panels._view import over_levels, view
from course_utils.widgets.controls import Slider
from course_utils.widgets.scene import Area, Axis, Handle, Line, Plot, Points, Rule, Scene, Words

ALT = """Three plots. Left: the velocities that are kept, one dot a galaxy, numbered from the
slowest. Middle: half of e, the error of the best noise prediction, over log-SNR, its area shaded.
Right: exp of the area up to each level, on a logarithmic axis: how many groups of galaxies are told
apart there. It rises from 1 to the number of galaxies kept, the dotted line; the dot marks a blur
of 1000 km/s."""
LEVELS = np.linspace(-16, 30, 93)  # at both ends e is below 1e-6 at every setting
MARK = 2 * np.log(velocity_scale() / 1000)  # at a blur of 1000 km/s the count so far is read off
N = len(galaxy_velocities())
CONTROLS = {
    "keep": Slider("galaxies kept", 2, N, 1, N),
    "leave_out": Slider("leave out no.", 0, N, 1, 0),
    "squeeze": Slider("squeeze", 1, 10, 1, 1),
}


def compute(keep, leave_out, squeeze):
    """Return the numbers, and velocities in 1000 km/s, ½ e and the count so far at ``LEVELS``."""
    velocities = galaxy_velocities()[:keep] / 1000
    if 1 <= leave_out <= keep:
        velocities = np.delete(velocities, leave_out - 1)
    velocities = velocities.mean() + (velocities - velocities.mean()) / squeeze
    order = np.arange(1, len(velocities) + 1)
    half = noise_error(1000 * velocities / velocity_scale(), LEVELS) / 2
    area = cumulative_trapezoid(half, LEVELS, initial=0)
    numbers = {
        "kept": len(velocities),
        "half_area": float(area[-1]),
        "count": float(np.exp(area[-1])),
        "at_mark": float(np.exp(np.interp(MARK, LEVELS, area))),
    }
    arrays = {
        "velocities": velocities,
        "order": order,
        "half": half,
        "count": np.exp(area),
        "near": np.interp(leave_out, order, velocities),
        "hump": np.interp(area[-1] / 2, area, LEVELS),
    }
    return numbers, arrays


def scene():
    """Return the scene: the galaxies, the error curve over log-SNR, and the count so far."""
    galaxies = Plot(
        "the galaxies",
        Axis(8, 36, "velocity, 1000 km/s"),
        Axis(0, N + 3, "number, by velocity"),
        [
            Points("velocities", "order", meaning="data", size=4),
            Handle("keep", y="keep", along="y", grip="rule", meaning="noise"),
            Handle("leave_out", x="near", y="leave_out", along="y", meaning="negative"),
        ],
    )
    span = LEVELS[[0, -1]].tolist()
    error = over_levels(
        "error of the best noise guess",
        Axis(0, 0.5, "½ e(λ)"),
        [
            Area(LEVELS, "half", meaning="data"),
            Words(0.98, 0.86, "half the area {half_area:.4f}", align="right"),
            # all differences divided by s: the same curve, 2 ln s higher in λ
            Handle("squeeze", x="hump", y=0.25, factor=0.5 / np.log(10), times=True),
        ],
        width=1.2,
        span=span,
    )
    ticks = (1, 2, 5, 10, 20, 50, 82)
    count = over_levels(
        "galaxies told apart so far",
        Axis(0.9, 110, "exp of half the area up to λ", scale="log", ticks=ticks),
        [
            Rule("kept", along="y", meaning="exact", dash="dot", label="kept"),
            Line(LEVELS, "count", meaning="data", secret=True, label="so far"),
            Points(MARK, "at_mark", meaning="data", secret=True, label="1000 km/s"),
        ],
        width=1.2,
        span=span,
    )
    question = {
        "words": "One galaxy is left out. Where does the curve at the right end?",
        "options": ("at 82, as before", "at 81", "at 41: half as high"),
        "right": "at 81",
        "then": {"leave_out": 40},
    }
    return Scene([[galaxies, error, count]], height=300, alt=ALT, ghost=True, question=question)


panel, picture = view(
    CONTROLS,
    compute,
    scene,
    headline="exp of half the area: {count:.4f}, for {kept} galaxies",
    shown=("half_area", "at_mark"),
    formats={
        "kept": "{} galaxies",
        "half_area": "half the area {:.4f}",
        "count": "exp of it {:.4f}",
        "at_mark": "told apart at a blur of 1000 km/s: {:.2f}",
    },
)
