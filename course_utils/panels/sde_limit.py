"""The SDE-limit panel: how fast N steps approach S2, and the constant with which they do."""

from functools import cache

import numpy as np
from scipy.stats import norm

from course_utils._checks import frozen
from course_utils.distances import gaussian_kl, gaussian_wasserstein
from course_utils.forward import (
    chain_steps,
    coarsen,
    error_constants,
    euler_maruyama_steps,
    state_moments,
)
from course_utils.panels._view import moving_line
from course_utils.panels._view import old_view as view
from course_utils.schedules import LinearBeta, discrete_betas
from course_utils.widgets import figures
from course_utils.widgets.old_controls import choice, slider

ALT = (
    "Three plots. Left: one path of N steps from the starting point, in orange, over the path of "
    "the stochastic differential equation that is driven by the same Brownian motion, in grey; the "
    "band is the exact mean plus and minus one standard deviation, and a line marks the time t. "
    "Middle: the exact density at that time, black, and the density after the steps taken so far, "
    "orange and dashed; dotted, the noise N(0, 1) at which all ends. Right, both axes "
    "logarithmic: the Wasserstein distance W2 between the two (circles) and their KL divergence "
    "(squares) over N, on the lines that the constants predict, dashed; filled marks show N."
)
SCHEDULE = LinearBeta()  # β from 0.1 to 20
# All but the first are multiples of 20, so that the times of the slider lie on every grid.
STEPS = (
    *(21, 40, 60, 80, 100, 120, 160, 200, 240, 300, 400, 500),
    *(600, 800, 1000, 1200, 1600, 2000, 2400, 3000, 4000),
)
FINEST = 504_000  # a multiple of every N: one Brownian path seen on all grids
NO_ERROR = 1e-12  # below this a distance is rounding
SEED = 2
X = np.linspace(-4, 4, 401)


def controls():
    """Return the panel's controls."""
    return {
        "n_steps": choice("steps N", STEPS, 40, slide=True),
        "rule": choice(
            "β_i from",
            [
                ("right: β(t_i)Δ", "right"),
                ("mid: β(t_i − Δ/2)Δ", "mid"),
                ("left: β(t_{i−1})Δ", "left"),
                ("exact: 1 − exp(−∫β)", "exact"),
            ],
        ),
        "recursion": choice("recursion", [("chain (S1)", "chain"), ("Euler–Maruyama", "em")]),
        "x0": slider("start x₀", -3.0, 3.0, 0.1, 1.5),
        "t": slider("time t", 0.05, 1.0, 0.05, 0.3),
    }


def compute(n_steps, rule, recursion, x0, t):
    """Return the numbers, both paths, both laws at the grid's time next to t, and their distances.

    The distances [21] and what the constants predict of them belong to all of ``STEPS``.
    """
    laws = [_law(recursion, rule, n) for n in STEPS]
    indices = [max(1, round(t * n)) for n in STEPS]
    decay, variance = np.array([law[:, i] for law, i in zip(laws, indices, strict=True)]).T
    times = np.divide(indices, STEPS)
    elapsed = _elapsed(times)
    law = x0 * decay, variance
    exact = x0 * np.exp(-elapsed / 2), -np.expm1(-elapsed)
    w2, kl = gaussian_wasserstein(*law, *exact), gaussian_kl(*law, *exact)
    limit = error_constants(SCHEDULE, recursion, rule, x0, t)
    k, n = STEPS.index(n_steps), np.array(STEPS)
    numbers = {"time": times[k]}
    if w2[k] < NO_ERROR:  # for one N alone: Euler–Maruyama's one step from 0 with exact β_i
        where = "at any N" if limit.wasserstein < NO_ERROR else "after one step"
        numbers["wasserstein"] = f"below {NO_ERROR:g}: no error {where}"
    else:
        log_error = n_steps * (2 * np.log(decay[k]) + elapsed[k])
        of_w2 = f"N·W2 = {n_steps * w2[k]:.4g} → {limit.wasserstein:.4g}"
        of_kl = f"N²·KL = {n_steps**2 * kl[k]:.4g} → {limit.kl:.4g}"
        numbers["wasserstein"] = f"{w2[k]:.4g}, {of_w2}"
        numbers["kl"] = f"{kl[k]:.4g} nats, {of_kl}"
        numbers["log_error"] = f"{log_error:.2f} → {limit.log_decay:.2f}"
    of_time, decays, from_zero = _exact_path()
    arrays = {
        "times": of_time,
        "mean": x0 * decays,
        "spread": np.sqrt(1 - decays**2),
        "exact_path": x0 * decays + from_zero,
        "states": x0 * _law(recursion, rule, n_steps)[0] + _from_zero(recursion, rule, n_steps),
        "law": (law[0][k], law[1][k]),
        "exact_law": (exact[0][k], exact[1][k]),
        "distances": np.array([w2, kl]),
        "predicted": np.array([limit.wasserstein / n, limit.kl / n**2]),
    }
    return numbers, arrays


def _steps(recursion, rule, n_steps):
    betas = discrete_betas(SCHEDULE, n_steps, rule)
    return {"chain": chain_steps, "em": euler_maruyama_steps}[recursion](betas)


@cache
def _law(recursion, rule, n_steps):
    """Decay of the mean from 0 to each of the N + 1 times, and the variance there, [2, N + 1]."""
    return frozen(state_moments(1.0, _steps(recursion, rule, n_steps)))


def _elapsed(t):
    """B(t) = ∫₀ᵗ β of the linear schedule."""
    return t * (SCHEDULE.beta_min + (SCHEDULE.beta_max - SCHEDULE.beta_min) * t / 2)


@cache
def _increments(n_steps):
    """One Brownian path's increments on the grid of N steps."""
    if n_steps == FINEST:
        path = np.random.default_rng(SEED).standard_normal(FINEST) / np.sqrt(FINEST)
    else:
        path = coarsen(_increments(FINEST), FINEST // n_steps)
    return frozen(path)


@cache
def _from_zero(recursion, rule, n_steps):
    """The N + 1 states of the path from 0: x_i = a_i Σ_j kick_j / a_j with the decays a from 0."""
    decay = _law(recursion, rule, n_steps)[0]
    kicks = _steps(recursion, rule, n_steps).noise * _increments(n_steps) * np.sqrt(n_steps)
    return frozen(decay * np.append(0, np.cumsum(kicks / decay[1:])))


@cache
def _exact_path(points=1001):
    """Times, decays and the exact solution from 0 along the same Brownian motion.

    x_t = a_t ∫ √β/a dW with a = exp(−½∫β); on the finest grid the integrand is taken mid-step.
    """
    middle = (np.arange(FINEST) + 0.5) / FINEST
    slope = np.sqrt(SCHEDULE.beta(middle)) * np.exp(_elapsed(middle) / 2)
    integral = np.append(0, np.cumsum(slope * _increments(FINEST)))[:: FINEST // (points - 1)]
    t = np.linspace(0, 1, points)
    decay = np.exp(-_elapsed(t) / 2)
    return frozen([t, decay, decay * integral])


def drawing():
    """Return the figure, and the function that shows what was computed in it."""
    figure, (of_path, of_law, of_error) = figures.new_figure(
        1, 3, size=(9.4, 3.7), width_ratios=[1.15, 1, 1.15]
    )
    figures.title(of_path, "one path, the same Brownian motion")
    of_path.set(xlim=(0, 1), ylim=(-4.7, 3.8), xlabel="time t", ylabel="x")
    band = of_path.fill_between(
        [0, 0], 0, 0, color=figures.COLOURS["exact"], alpha=0.12, lw=0, animated=True
    )
    true_path = moving_line(of_path, "noise", label="SDE", lw=1.0)
    path = moving_line(of_path, "model", label="N steps", lw=1.4)
    now = of_path.axvline(0.3, color="black", ls=":", lw=1.2, animated=True)
    of_path.legend(handles=[true_path, path], loc="lower right", ncols=2)

    figures.title(of_law, "density at time t")
    of_law.set(xlim=(-4, 4), ylim=(0, 1), xlabel="x", yticks=[])
    figures.line(of_law, X, norm.pdf(X), "noise", label="N(0, 1)", ls=":")
    exact = moving_line(of_law, "exact", label="exact")
    discrete = moving_line(of_law, "model", label="N steps", ls="--")
    of_law.legend(loc="upper left", handlelength=1.6)

    figures.title(of_error, "distance between the two")
    of_error.set(xscale="log", yscale="log", xlim=(17, 5000), ylim=(1e-10, 1), xlabel="steps N")
    ticks = [30, 100, 300, 1000, 3000]
    of_error.set_xticks(ticks, [str(n) for n in ticks])
    of_error.minorticks_off()
    rays = [moving_line(of_error, "exact", ls="--", lw=1.0) for _ in "12"]
    marks, here = [], []
    for mark, label in [("o", "W2"), ("s", "KL (nats)")]:
        style = {"linestyle": "", "marker": mark}
        marks.append(moving_line(of_error, "model", ms=5, mfc="white", label=label, **style))
        here.append(moving_line(of_error, "model", ms=9, mec="black", **style))
    rays[0].set_label("predicted")
    of_error.legend(handles=[*marks, rays[0]], loc="lower left", handlelength=1.6)
    nothing = of_error.text(0.5, 0.6, "", ha="center", transform=of_error.transAxes, animated=True)

    def show(
        numbers, times, mean, spread, exact_path, states, law, exact_law, distances, predicted
    ):
        band.set_data(times[::10], (mean - spread)[::10], (mean + spread)[::10])
        true_path.set_data(times, exact_path)
        n = len(states) - 1
        every = max(1, n // 800)  # more points than pixels would only cost time
        path.set_data(np.arange(0, n + 1, every) / n, states[::every])
        now.set_xdata([numbers["time"]] * 2)
        heights = [norm.pdf(X, m, np.sqrt(v)) for m, v in (exact_law, law)]
        exact.set_data(X, heights[0])
        discrete.set_data(X, heights[1])
        figures.set_limits(of_law, y=(0, figures.snapped_limit(1.35 * np.max(heights))))

        k = STEPS.index(n)
        seen = np.where(distances[0] >= NO_ERROR, distances, np.nan)
        free = bool(np.isnan(seen).all())
        rows = zip(marks, here, rays, seen, predicted, strict=True)
        for mark, filled, ray, found, expected in rows:
            mark.set_data(([], []) if free else (STEPS, found))
            filled.set_data(([], []) if free else ([n], [found[k]]))
            ray.set_data(([], []) if free else (STEPS, expected))
        nothing.set_text("no error at any N" if free else "")
        if not free:
            figures.set_limits(of_error, y=_decades(np.nanmin(seen), np.nanmax(seen)))

    return figure, show


def _decades(low, high):
    """Limits at every second power of ten, with room below for the legend."""
    bottom, top = np.floor(np.log10(low) / 2) * 2 - 2, np.ceil(np.log10(high) / 2 + 0.1) * 2
    return float(10.0**bottom), float(10.0**top)


panel, picture = view(
    controls,
    compute,
    drawing,
    alt=ALT,
    formats={
        "time": "compared at t = {:.4g}",
        "wasserstein": "W2 {}",
        "kl": "KL {}",
        "log_error": "N·(log squared decay + ∫β) = {}",
    },
)
