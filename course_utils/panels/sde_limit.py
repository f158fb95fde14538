"""The SDE-limit panel: how fast N steps approach S2, and the constant with which they do."""

from functools import cache, lru_cache

import numpy as np
from scipy.stats import norm

from course_utils import forward
from course_utils._checks import frozen
from course_utils.distances import gaussian_kl, gaussian_wasserstein
from course_utils.panels._view import view
from course_utils.schedules import LinearBeta, alpha, discrete_betas, sigma
from course_utils.widgets.controls import Dice, Slider, choice
from course_utils.widgets.scene import Area, Axis, Band, Handle, Line, Plot, Points, Scene, Words

ALT = """Four plots. First: paths of the stochastic differential equation over time, one of them
strong, and N steps, in orange, that are driven by the same Brownian motion as the strong one; the
band is the exact mean plus and minus one standard deviation, and a line marks the time t. Second,
sideways on the same axis of x: the exact density at that time, and dashed that of the N steps;
dotted, the noise N(0, 1) at which all ends. Third: the difference of the two, enlarged, hatched
where the steps have too little. Fourth, both axes logarithmic: the Wasserstein distance W2 between
the two (circles) and their KL divergence (squares) over N, on the dashed lines that the constants
predict; the large marks are those of the present N."""
SCHEDULE = LinearBeta()  # β from 0.1 to 20
# All but the first are multiples of 20, so that the times of the slider lie on every grid.
STEPS = (21, 40, 60, 80, 100, 120, 160, 200, 240, 300, 400, 500, 600, 800, 1000)
STEPS += (1200, 1600, 2000, 2400, 3000, 4000)
FINEST = 168_000  # a multiple of every N: one Brownian path seen on all grids
SEEN, OTHERS = 800, 16  # steps of a path that are drawn at most, and how many faint paths
TIMES = np.linspace(0, 1, 201)  # of the band and the faint paths
LEVELS = SCHEDULE.log_snr(TIMES)
NO_ERROR = 1e-12  # below this a distance is rounding
REACH = 4.0
X = np.linspace(-REACH, REACH, 201)
RULES = [("right: β(t_i)Δ", "right"), ("mid: β(t_i − Δ/2)Δ", "mid")]
RULES += [("left: β(t_{i−1})Δ", "left"), ("exact: 1 − exp(−∫β)", "exact")]
CONTROLS = {
    "n_steps": choice("steps N", STEPS, 40, slide=True, play=True),
    "t": Slider("time t", 0.05, 1.0, 0.05, 0.3),
    "rule": choice("β_i from", RULES),
    "recursion": choice("recursion", [("chain (S1)", "chain"), ("Euler–Maruyama", "em")]),
    "x0": Slider("start x₀", -3.0, 3.0, 0.1, 1.5),
    "path": Dice("new paths", 2),
}


def compute(n_steps, rule, recursion, x0, t, path):
    """Return the numbers, the paths, both laws at the grid's time next to t, and their distances.

    The distances [21] and what the constants predict of them belong to all of ``STEPS``; they are
    NaN where there is no error.
    """
    laws = [_law(recursion, rule, n) for n in STEPS]
    indices = [max(1, round(t * n)) for n in STEPS]
    decay, variance = np.array([law[:, i] for law, i in zip(laws, indices, strict=True)]).T
    times = np.divide(indices, STEPS)
    levels = SCHEDULE.log_snr(times)
    law, exact = (x0 * decay, variance), (x0 * alpha(levels), sigma(levels) ** 2)
    w2, kl = gaussian_wasserstein(*law, *exact), gaussian_kl(*law, *exact)
    limit = forward.error_constants(SCHEDULE, recursion, rule, x0, t)
    k, n = STEPS.index(n_steps), np.array(STEPS)
    numbers = {"time": f"{times[k]:.4g}" + ("" if n_steps % 20 == 0 else ", on the grid of N")}
    if w2[k] < NO_ERROR:  # for one N alone: Euler–Maruyama's one step from 0 with exact β_i
        where = "at any N" if limit.wasserstein < NO_ERROR else "after one step"
        numbers["verdict"] = f"no error {where}"
    else:
        scaled, constant = n_steps * w2[k], limit.wasserstein
        numbers["verdict"] = f"N·W2 = {scaled:.4g}; for large N it tends to {constant:.4g}"
        numbers["wasserstein"], numbers["kl"] = float(w2[k]), float(kl[k])
        numbers["scaled_kl"] = f"{n_steps**2 * kl[k]:.4g}, tends to {limit.kl:.4g}"
        log_error = 2 * n_steps * np.log(decay[k] / alpha(levels[k]))
        numbers["log_error"] = f"{log_error:.2f}, tends to {limit.log_decay:.2f}"
    of_time, decays, from_zero = _exact_path(path)
    mean, spread = x0 * alpha(LEVELS), sigma(LEVELS)
    states = x0 * _law(recursion, rule, n_steps)[0] + _from_zero(recursion, rule, n_steps, path)
    every = max(1, n_steps // SEEN)
    heights, exact_heights = (norm.pdf(X, m[k], np.sqrt(v[k])) for m, v in (law, exact))
    none = np.where(w2.max() < NO_ERROR, np.nan, 1.0)
    w2, kl = (np.where(found >= NO_ERROR, found, np.nan) for found in (w2, kl))
    arrays = {
        "now": times[k],
        "low": mean - spread,
        "high": mean + spread,
        "others": mean[:, None] + _other_paths(path),
        "times": of_time,
        "exact_path": x0 * decays + from_zero,
        "grid": np.arange(0, n_steps + 1, every) / n_steps,
        "states": states[::every],
        "exact_density": exact_heights,
        "density": heights,
        "excess": heights - exact_heights,
        "w2": w2,
        "kl": kl,
        "w2_predicted": none * limit.wasserstein / n,
        "kl_predicted": none * limit.kl / n**2,
        "w2_now": w2[k],
        "kl_now": kl[k],
        "remark": "" if np.isfinite(none) else "no error at any N",
    }
    return numbers, arrays


def _steps(recursion, rule, n_steps):
    steps = {"chain": forward.chain_steps, "em": forward.euler_maruyama_steps}[recursion]
    return steps(discrete_betas(SCHEDULE, n_steps, rule))


@cache
def _law(recursion, rule, n_steps):
    """Decay of the mean from 0 to each of the N + 1 times, and the variance there, [2, N + 1]."""
    return frozen(forward.state_moments(1.0, _steps(recursion, rule, n_steps)))


@lru_cache(maxsize=8)
def _brownian(path):
    """A Brownian path's increments on the finest grid."""
    return frozen(np.random.default_rng(path).standard_normal(FINEST) / np.sqrt(FINEST))


@lru_cache(maxsize=64)
def _from_zero(recursion, rule, n_steps, path):
    """The N + 1 states of the path from 0: x_i = a_i Σ_j kick_j / a_j with the decays a from 0."""
    decay = _law(recursion, rule, n_steps)[0]
    increments = forward.coarsen(_brownian(path), FINEST // n_steps)
    kicks = _steps(recursion, rule, n_steps).noise * increments * np.sqrt(n_steps)
    return frozen(decay * np.append(0, np.cumsum(kicks / decay[1:])))


@lru_cache(maxsize=8)
def _exact_path(path):
    """1001 times, decays and the exact solution from 0 along the same Brownian motion.

    x_t = α_t ∫ √β/α dW; on the finest grid the integrand is taken mid-step.
    """
    middle = (np.arange(FINEST) + 0.5) / FINEST
    integrand = np.sqrt(SCHEDULE.beta(middle)) / alpha(SCHEDULE.log_snr(middle))
    integral = np.append(0, np.cumsum(integrand * _brownian(path)))
    t = np.linspace(0, 1, 1001)
    decay = alpha(SCHEDULE.log_snr(t))
    return frozen([t, decay, decay * integral[:: FINEST // 1000]])


@lru_cache(maxsize=8)
def _other_paths(path):
    """Exact solutions from 0 at ``TIMES``, [201, 16], each with a Brownian motion of its own."""
    rng, states = np.random.default_rng([path, 1]), [np.zeros(OTHERS)]
    for decay, noise in zip(*forward.exact_steps(LEVELS), strict=True):
        states.append(decay * states[-1] + noise * rng.standard_normal(OTHERS))
    return frozen(states)


def scene():
    """Return the scene: the paths, both densities and their difference, and the distances."""
    position = Axis(-REACH, REACH, "x")
    paths = Plot(
        "the SDE, and N steps",
        Axis(0, 1, "time t"),
        position,
        [
            Band(TIMES, "low", "high", meaning="noise", label="mean ± 1 sd"),
            Line(TIMES, "others", meaning="noise", width=0.7, alpha=0.45),
            Line("grid", "states", meaning="model", width=2.2, label="N steps"),
            Line("times", "exact_path", meaning="exact", width=0.9, label="SDE"),
            Handle("t", x="now", grip="rule", meaning="exact"),
            Handle("x0", x=0, y="x0", along="y", meaning="model"),
        ],
        width=1.6,
    )
    density = Plot(
        "density at t",
        Axis(0, 2.5, "density", scale="sqrt", ticks=(0, 0.1, 0.5, 1, 2), settle=True),
        position,
        [
            Line(norm.pdf(X), X, meaning="noise", dash="dot", label="N(0, 1)"),
            Line("exact_density", X, meaning="exact"),
            Line("density", X, meaning="model", dash="dash"),
        ],
    )
    difference = Plot(
        "N steps − exact",
        Axis(-0.06, 0.06, "too little ← → too much", settle=True),
        position,
        [Area("excess", X, meaning="model", sideways=True)],
    )
    rows = [("w2", "ring", "dot", 6, "W2"), ("kl", "square", "square", 5, "KL, nats")]
    marks = []
    for name, shape, filled, size, label in rows:
        marks += [
            Line(STEPS, f"{name}_predicted", meaning="exact", dash="dash", width=1),
            Points(STEPS, name, meaning="model", shape=shape, size=size, label=label),
            Points("n_steps", f"{name}_now", meaning="model", shape=filled, size=11),
        ]
    distances = Plot(
        "distance between the two",
        Axis(17, 5000, "steps N", scale="log", ticks=(20, 100, 500, 2000)),
        Axis(1e-8, 1, scale="log", settle=True),
        [
            *marks,
            Handle("n_steps", x="n_steps", y="w2_now", times=True, meaning="model"),
            Words(0.2, 0.6, "{remark}"),
        ],
        width=1.4,
    )
    return Scene([[paths, density, difference, distances]], height=330, alt=ALT)


panel, picture = view(
    CONTROLS,
    compute,
    scene,
    formats={
        "time": "compared at t = {}",
        "verdict": "{}",
        "wasserstein": "W2 {:.4g}",
        "kl": "KL {:.4g} nats",
        "scaled_kl": "N²·KL {}",
        "log_error": "N·(log squared decay + ∫β) = {}",
    },
    headline="{verdict}",
    shown=("wasserstein", "kl", "scaled_kl", "time"),
)
