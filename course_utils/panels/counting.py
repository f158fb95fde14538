"""The counting panel: exp of half the area under the noise-prediction error counts the points."""

from functools import lru_cache

import numpy as np

from course_utils.datasets import galaxy_velocities, velocity_scale
from course_utils.widgets import figures
from course_utils.widgets.controls import slider
from course_utils.widgets.panel import Panel, snapshot

ALT = (
    "Three plots. Left: the velocities that are kept, one dot a galaxy, numbered from the slowest. "
    "Middle: half of e, the error of the best noise prediction, over log-SNR, its area shaded. "
    "Right: exp of the area up to each level, on a logarithmic axis: how many groups of galaxies "
    "are told apart there. It rises from 1 to the number of galaxies kept, the dotted line; the "
    "dot marks a blur of 1000 km/s."
)
LEVELS = np.linspace(-16, 30, 93)  # at both ends e is below 1e-6 at every setting
MARK = 1000.0  # km/s: the blur at which the count so far is read off
REACH = 7  # standard deviations of the noise beyond which a point plays no part
PER_SD = 4  # nodes of the trapezoid rule per standard deviation of the noise


def panel(**start):
    """Return the live panel; ``start`` sets controls, such as leave_out=9."""
    n = len(galaxy_velocities())
    controls = {
        "keep": slider("galaxies kept", 2, n, 1, n),
        "leave_out": slider("leave out no.", 0, n, 1, 0),
        "squeeze": slider("squeeze", 1, 10, 1, 1),
    }
    figure, update = _drawing()
    return Panel(
        figure,
        update,
        controls,
        alt=ALT,
        start=start,
        formats={
            "kept": "{} galaxies",
            "half_area": "half the area {:.4f}",
            "count": "exp of it {:.4f}",
            "at_mark": "told apart at a blur of 1000 km/s: {:.2f}",
        },
    )


def picture(**values):
    """Return the panel's picture at the given values of its controls, as a PIL image."""
    return snapshot(panel(), **values)


def compute(keep, leave_out, squeeze):
    """Return (numbers of the panel's text, velocities kept, e, area so far), the last two [93]."""
    velocities, error = _curve(keep, leave_out, squeeze)
    half = error / 2
    step = LEVELS[1] - LEVELS[0]
    area = np.concatenate([[0.0], np.cumsum((half[1:] + half[:-1]) / 2 * step)])
    results = {
        "kept": len(velocities),
        "half_area": float(area[-1]),
        "count": float(np.exp(area[-1])),
        "at_mark": float(np.exp(np.interp(_level(MARK), LEVELS, area))),
    }
    return results, velocities, error, area


def noise_error(points, log_snr):
    """Return e(λ) = E(ε − E[ε|z])² at levels [n], for x drawn evenly from ``points`` [m].

    At blur b = e^{−λ/2} it is the average over z of the variance of (z − x_k)/b under the
    posterior of k. At a node only the points within REACH·b count, which makes a whole curve of
    82 points a matter of 30 ms; ``elbo.ErrorCurve`` computes the same without such a cut.
    """
    x = np.sort(np.asarray(points, dtype=float))
    return np.array([_error_at_blur(x, b) for b in np.exp(-np.asarray(log_snr) / 2)])


def _error_at_blur(x, b):
    if len(x) == 1 or np.diff(x).min() > 2 * REACH * b:
        return 0.0  # no z leaves a doubt
    span = np.ptp(x) / b
    if span < 2 * REACH * (len(x) - 1):  # one grid over all is shorter than one a point
        m = np.arange(-REACH * PER_SD, np.ceil((span + REACH) * PER_SD) + 1)
        z, mass = x[0] + m * (b / PER_SD), None
    else:
        u = np.arange(-REACH * PER_SD, REACH * PER_SD + 1) / PER_SD
        z, mass = (x[:, None] + b * u).ravel(), np.tile(np.exp(-(u**2) / 2), len(x))
    first, last = np.searchsorted(x, z - REACH * b), np.searchsorted(x, z + REACH * b)
    near = first[:, None] + np.arange(max((last - first).max(), 1))
    noise = (z[:, None] - x[np.minimum(near, len(x) - 1)]) / b
    r = np.exp(-(noise**2) / 2) * (near < last[:, None])
    total = r.sum(axis=1)
    mean, square = ((r * y).sum(axis=1) / np.maximum(total, 1e-300) for y in (noise, noise**2))
    mass = total if mass is None else mass
    return mass @ (square - mean**2) / (PER_SD * np.sqrt(2 * np.pi) * len(x))


@lru_cache(maxsize=256)
def _curve(keep, leave_out, squeeze):
    velocities = galaxy_velocities()[:keep]
    if 1 <= leave_out <= keep:
        velocities = np.delete(velocities, leave_out - 1)
    velocities = velocities.mean() + (velocities - velocities.mean()) / squeeze
    return velocities, noise_error(velocities / velocity_scale(), LEVELS)


def _level(of_blur):
    return 2 * np.log(velocity_scale() / of_blur)


def _drawing():
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
    dots = figures.line(of_points, [], [], "data", moving=True, ls="", marker="o", markersize=2.5)
    half = figures.SignedArea(of_error, "data", moving=True)
    total = figures.line(of_count, LEVELS[[0, -1]], [1, 1], "exact", moving=True, ls=":", lw=1.2)
    count = figures.line(of_count, [], [], "data", moving=True)
    mark = figures.line(of_count, [], [], "data", moving=True, ls="", marker="o")
    words = of_error.text(0.98, 0.9, "", transform=of_error.transAxes, ha="right", animated=True)
    figures.freeze_layout(figure)

    def update(**values):
        results, velocities, error, area = compute(**values)
        dots.set_data(velocities / 1000, np.arange(1, len(velocities) + 1))
        half.set(LEVELS, error / 2)
        count.set_data(LEVELS, np.exp(area))
        total.set_ydata(np.full(2, results["kept"]))
        mark.set_data([_level(MARK)], [results["at_mark"]])
        words.set_text(f"area {results['half_area']:.4f}\nexp {results['count']:.4f}")
        return results

    return figure, update
