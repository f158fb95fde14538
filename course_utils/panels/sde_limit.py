"""The SDE-limit panel: how fast N steps approach S2, and the constant with which they do."""

from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.integrate import cumulative_simpson, simpson

from course_utils.distances import gaussian_kl, gaussian_wasserstein
from course_utils.forward import chain_steps, coarsen, euler_maruyama_steps, state_moments
from course_utils.schedules import LinearBeta, discrete_betas
from course_utils.widgets import figures
from course_utils.widgets.controls import choice, slider
from course_utils.widgets.panel import Panel, snapshot

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


def panel(**start):
    """Return the live panel; ``start`` sets controls, such as rule="exact"."""
    figure, update = _drawing()
    controls = {
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
    return Panel(
        figure,
        update,
        controls,
        alt=ALT,
        start=start,
        formats={
            "time": "compared at t = {:.4g}",
            "wasserstein": "W2 {}",
            "kl": "KL {}",
            "log_error": "N·(log squared decay + ∫β) = {}",
        },
    )


def picture(**values):
    """Return the panel's picture at the given values of its controls, as a PIL image."""
    return snapshot(panel(), **values)


class Constants(NamedTuple):
    """Limits of N·error, and of N²·KL, for steps of size 1/N seen at one time."""

    log_decay: float  # of log(squared decay of the mean) + ∫β
    mean: float
    variance: float
    wasserstein: float
    kl: float


def constants(recursion, rule, x0, t):
    """Return the ``Constants`` of the error at time t of steps that start at the point x0.

    With I = ∫₀ᵗβ², E = c (β(t) − β(0)) for c = 1, 0, −1 at right, mid and left points and E = −I
    for exact β_i, and with m, v the exact mean and variance at t:

        chain           log decay −½ (E + I)     variance ½ (1 − v) (E + I)
        Euler–Maruyama  log decay −½ (E + ¼·2I)  variance ½ (1 − v) E
                                                        + ¼ ∫₀ᵗ β² [(1 − v)/(1 − v_s) + 1 − v] ds

    and the mean's is half of the log decay's times m. Numbers throughout; the integrals are
    Simpson's with an error below 1e-9. Raises ``ValueError`` for an unknown recursion or rule, or
    a time outside (0, 1].
    """
    sign = {"right": 1.0, "mid": 0.0, "left": -1.0, "exact": None}
    if rule not in sign or recursion not in ("chain", "em") or not 0 < t <= 1:
        raise ValueError(
            f"got recursion {recursion!r}, rule {rule!r}, t = {t}: choose chain or em; exact, "
            "left, mid or right; and a time above 0, up to 1"
        )
    s = np.linspace(0, t, 1001)
    beta = SCHEDULE.beta(s)
    elapsed = cumulative_simpson(beta, x=s, initial=0)
    squares = simpson(beta**2, x=s)
    end = -squares if rule == "exact" else sign[rule] * (beta[-1] - beta[0])
    mean, left = x0 * np.exp(-elapsed[-1] / 2), np.exp(-elapsed[-1])
    variance = 1 - left
    if recursion == "chain":
        log_decay = -(end + squares) / 2
        of_variance = -left * log_decay
    else:
        log_decay = -(end + squares / 2) / 2
        kept = np.exp(elapsed - elapsed[-1])
        of_variance = left * end / 2 + simpson(beta**2 * (kept + left), x=s) / 4
    of_mean = mean * log_decay / 2
    return Constants(
        log_decay,
        of_mean,
        of_variance,
        np.hypot(of_mean, of_variance / (2 * np.sqrt(variance))),
        of_mean**2 / (2 * variance) + (of_variance / variance) ** 2 / 4,
    )


def compute(n_steps, rule, recursion, x0, t):
    """Return the numbers in the panel's text for the values of its controls."""
    now = _compare(recursion, rule, (n_steps,), x0, t)
    limit = constants(recursion, rule, x0, t)
    w2, kl, log_error = now.wasserstein[0], now.kl[0], now.log_error[0]
    time = {"time": now.time[0]}
    if w2 < NO_ERROR:  # for one N alone: Euler–Maruyama's one step from 0 with exact β_i
        where = "at any N" if limit.wasserstein < NO_ERROR else "after one step"
        return time | {"wasserstein": f"below {NO_ERROR:g}: no error {where}"}
    return time | {
        "wasserstein": f"{w2:.4g}, N·W2 = {n_steps * w2:.4g} → {limit.wasserstein:.4g}",
        "kl": f"{kl:.4g} nats, N²·KL = {n_steps**2 * kl:.4g} → {limit.kl:.4g}",
        "log_error": f"{n_steps * log_error:.2f} → {limit.log_decay:.2f}",
    }


@cache
def _law(recursion, rule, n_steps):
    """The decays of the mean from 0 to each of the N + 1 times, and the variances there."""
    steps = _steps(recursion, rule, n_steps)
    return state_moments(1.0, steps)


def _steps(recursion, rule, n_steps):
    betas = discrete_betas(SCHEDULE, n_steps, rule)
    return {"chain": chain_steps, "em": euler_maruyama_steps}[recursion](betas)


def _elapsed(t):
    """B(t) = ∫₀ᵗ β of the linear schedule."""
    return t * (SCHEDULE.beta_min + (SCHEDULE.beta_max - SCHEDULE.beta_min) * t / 2)


class _Comparison(NamedTuple):
    """For each of several N: the grid's time nearest to t, both laws there, and their distances."""

    time: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    exact_mean: np.ndarray
    exact_variance: np.ndarray
    wasserstein: np.ndarray
    kl: np.ndarray
    log_error: np.ndarray


def _compare(recursion, rule, steps, x0, t):
    indices = [max(1, round(t * n)) for n in steps]
    laws = [_law(recursion, rule, n) for n in steps]
    decay = np.array([law[0][i] for law, i in zip(laws, indices, strict=True)])
    variance = np.array([law[1][i] for law, i in zip(laws, indices, strict=True)])
    time = np.divide(indices, steps)
    elapsed = _elapsed(time)
    both = (x0 * decay, variance), (x0 * np.exp(-elapsed / 2), -np.expm1(-elapsed))
    return _Comparison(
        time,
        *both[0],
        *both[1],
        gaussian_wasserstein(*both[0], *both[1]),
        gaussian_kl(*both[0], *both[1]),
        2 * np.log(decay) + elapsed,
    )


@cache
def _increments(n_steps):
    """One Brownian path's increments on the grid of N steps."""
    if n_steps == FINEST:
        return np.random.default_rng(SEED).standard_normal(FINEST) / np.sqrt(FINEST)
    return coarsen(_increments(FINEST), FINEST // n_steps)


@cache
def _path_from_zero(recursion, rule, n_steps):
    """The N + 1 states of the path that starts at 0; a start x0 adds x0 times the decays."""
    decay, noise = _steps(recursion, rule, n_steps)
    kicks = noise * _increments(n_steps) * np.sqrt(n_steps)
    x, states = 0.0, [0.0]
    for kept, kick in zip(decay.tolist(), kicks.tolist(), strict=True):
        x = kept * x + kick
        states.append(x)
    return np.array(states)


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
    return t, decay, decay * integral


def _drawing():
    figure, (of_path, of_law, of_error) = figures.new_figure(
        1, 3, size=(9.4, 3.7), width_ratios=[1.15, 1, 1.15]
    )
    figures.title(of_path, "one path, the same Brownian motion")
    of_path.set(xlim=(0, 1), ylim=(-4.7, 3.8), xlabel="time t", ylabel="x")
    band = of_path.fill_between(
        [0, 0], 0, 0, color=figures.COLOURS["exact"], alpha=0.12, lw=0, animated=True
    )
    true_path = figures.line(of_path, [], [], "noise", label="SDE", moving=True, linewidth=1.0)
    path = figures.line(of_path, [], [], "model", label="N steps", moving=True, linewidth=1.4)
    now = of_path.axvline(0.3, color="black", ls=":", lw=1.2, animated=True)
    of_path.legend(handles=[true_path, path], loc="lower right", ncols=2)

    figures.title(of_law, "density at time t")
    of_law.set(xlim=(-4, 4), ylim=(0, 1), xlabel="x", yticks=[])
    x = np.linspace(-4, 4, 401)
    figures.line(of_law, x, _normal(x, 0, 1), "noise", label="N(0, 1)", linestyle=":")
    exact = figures.line(of_law, [], [], "exact", label="exact", moving=True)
    discrete = figures.line(of_law, [], [], "model", label="N steps", moving=True, linestyle="--")
    of_law.legend(loc="upper left", handlelength=1.6)

    figures.title(of_error, "distance between the two")
    of_error.set(xscale="log", yscale="log", xlim=(17, 5000), ylim=(1e-10, 1), xlabel="steps N")
    ticks = [30, 100, 300, 1000, 3000]
    of_error.set_xticks(ticks, [str(n) for n in ticks])
    of_error.minorticks_off()
    rays = [figures.line(of_error, [], [], "exact", moving=True, ls="--", lw=1.0) for _ in "12"]
    marks, here = [], []
    for mark, label in [("o", "W2"), ("s", "KL (nats)")]:
        style = {"linestyle": "", "marker": mark, "moving": True}
        marks.append(
            figures.line(of_error, [], [], "model", ms=5, mfc="white", label=label, **style)
        )
        here.append(figures.line(of_error, [], [], "model", ms=9, mec="black", **style))
    rays[0].set_label("predicted")
    of_error.legend(handles=[*marks, rays[0]], loc="lower left", handlelength=1.6)
    nothing = of_error.text(0.5, 0.6, "", ha="center", transform=of_error.transAxes, animated=True)
    figures.freeze_layout(figure)

    def update(n_steps, rule, recursion, x0, t):
        times, decay, from_zero = _exact_path()
        mean, spread = x0 * decay, np.sqrt(1 - decay**2)
        band.set_data(times[::10], (mean - spread)[::10], (mean + spread)[::10])
        true_path.set_data(times, mean + from_zero)
        states = x0 * _law(recursion, rule, n_steps)[0] + _path_from_zero(recursion, rule, n_steps)
        every = max(1, n_steps // 800)  # more points than pixels would only cost time
        path.set_data(np.arange(0, n_steps + 1, every) / n_steps, states[::every])

        every_n = _compare(recursion, rule, STEPS, x0, t)
        k = STEPS.index(n_steps)
        now.set_xdata([every_n.time[k]] * 2)
        truth = _normal(x, every_n.exact_mean[k], every_n.exact_variance[k])
        steps = _normal(x, every_n.mean[k], every_n.variance[k])
        exact.set_data(x, truth)
        discrete.set_data(x, steps)
        top = figures.snapped_limit(1.35 * max(truth.max(), steps.max()))
        if of_law.get_ylim() != (0, top):
            of_law.set_ylim(0, top)

        shown = every_n.wasserstein >= NO_ERROR
        heights = np.where(shown, [every_n.wasserstein, every_n.kl], np.nan)
        free = not shown.any()
        limit = constants(recursion, rule, x0, t)
        predicted = [limit.wasserstein / np.array(STEPS), limit.kl / np.array(STEPS) ** 2.0]
        for mark, filled, ray, height, expected in zip(
            marks, here, rays, heights, predicted, strict=True
        ):
            mark.set_data(([], []) if free else (STEPS, height))
            filled.set_data(([], []) if free else ([n_steps], [height[k]]))
            ray.set_data(([], []) if free else (STEPS, expected))
        nothing.set_text("no error at any N" if free else "")
        limits = of_error.get_ylim() if free else _decades(np.nanmin(heights), np.nanmax(heights))
        if of_error.get_ylim() != limits:
            of_error.set_ylim(limits)
        return compute(n_steps, rule, recursion, x0, t)

    return figure, update


def _normal(x, mean, variance):
    return np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def _decades(low, high):
    """Limits at every second power of ten, with room below for the legend."""
    bottom, top = np.floor(np.log10(low) / 2) * 2 - 2, np.ceil(np.log10(high) / 2 + 0.1) * 2
    return float(10.0**bottom), float(10.0**top)
