"""The chain panel: the galaxies' density dissolves under S1, step by step, exactly."""

from functools import cache

import numpy as np
from scipy.special import ndtr
from scipy.stats import norm

from course_utils._checks import frozen
from course_utils.datasets import galaxies, km_per_s
from course_utils.forward import GaussianSteps, chain_steps, state_moments
from course_utils.panels._galaxies import mass_below, points
from course_utils.panels._view import view
from course_utils.schedules import LOG_SNR_MIN, Cosine, LinearBeta, ddpm_betas, discrete_betas
from course_utils.widgets.controls import Slider, choice
from course_utils.widgets.scene import Area, Axis, Handle, Heat, Line, Plot, Scene

ALT = """Three plots. Top left: a heat map of the galaxies' density over step t, from left to right,
and position x_t; darker is denser, and a vertical line marks the present step. Right: the density
at that step, drawn sideways on the same x axis, beside the dashed N(0,1) and the law of x_t from
the fastest galaxy alone. Bottom left: ᾱ_t and the variance of x_t."""
SCHEDULES = {
    "ddpm": "linear: 1e-4 … 0.02 over T steps",
    "first": "linear: the first T of DDPM's 1000",
    "exact": "linear β(t), 0.1 … 20, made for this T",
    "cosine": "cosine, made for this T",
}
REACH = 4.0  # the plots show |x| up to here
EDGES = np.linspace(-REACH, REACH, 641)
X = (EDGES[:-1] + EDGES[1:]) / 2
COLUMNS = 250  # of the heat map, at most
NEEDLE = 1e-9  # stands for a standard deviation of 0, far below any cell
COARSE = np.linspace(-6, 6, 601)  # where total variation is measured, see total_variation_to_noise
NEAR = np.linspace(-7, 7, 43)
CONTROLS = {
    "time": Slider("time t/T", 0.0, 1.0, 0.005, 0.25, play=True),
    "n_steps": choice("steps T", (10, 20, 50, 100, 200, 500, 1000), 1000, slide=True),
    "schedule": choice("schedule", [(words, key) for key, words in SCHEDULES.items()]),
    "noise": choice("noise added", [("√β ε, as in S1", "root"), ("β ε, a bug", "plain")]),
}


def betas(schedule, n_steps):
    """Return β_1 … β_T, [n_steps], of a key of ``SCHEDULES``."""
    if schedule == "ddpm":
        return ddpm_betas(n_steps)
    if schedule == "first":
        return ddpm_betas()[:n_steps]
    continuous = LinearBeta() if schedule == "exact" else Cosine(log_snr_min=LOG_SNR_MIN)
    return discrete_betas(continuous, n_steps)


@cache
def coefficients(schedule, noise, n_steps):
    """Return amplitude of the signal and standard deviation of the noise, [T + 1] each.

    x_t = amplitude · x_0 + deviation · ε in law. With ``noise="plain"`` a step adds β ε, not √β ε.
    """
    steps = chain_steps(betas(schedule, n_steps))
    if noise == "plain":
        steps = GaussianSteps(steps.decay, steps.noise**2)
    amplitude, variance = state_moments(1.0, steps)
    return frozen(amplitude), frozen(np.sqrt(variance))


def cell_masses(edges, amplitude, deviation):
    """Return the exact mass of the diffused galaxies in each cell between ``edges`` [m + 1]."""
    return np.diff(mass_below(edges, amplitude * points(), max(deviation, NEEDLE)))


def total_variation_to_noise(amplitude, deviation):
    """Return the total variation between the diffused galaxies and N(0, 1).

    By the exact masses in cells, narrow near each galaxy whose component is; too small by 1e-4.
    """
    edges = COARSE
    if deviation < 0.2:
        near = np.add.outer(amplitude * points(), deviation * NEAR).ravel()
        edges = np.unique(np.concatenate([COARSE, near]))
    masses = cell_masses(edges, amplitude, deviation)
    return float(np.abs(masses - np.diff(ndtr(edges))).sum() / 2)


@cache
def dissolving(schedule, noise, n_steps):
    """Return the steps that are shown, [columns], and the densities there, [cells, columns]."""
    amplitude, deviation = coefficients(schedule, noise, n_steps)
    shown = np.arange(0, n_steps + 1, -(-n_steps // COLUMNS))
    edges = EDGES[::2]
    columns = [cell_masses(edges, amplitude[t], deviation[t]) / np.diff(edges) for t in shown]
    return frozen(shown, int), frozen(np.transpose(columns), np.float32)


def compute(schedule, noise, n_steps, time):
    """Return the numbers, the heat map with its steps, and what belongs to each step and to t."""
    amplitude, deviation = coefficients(schedule, noise, n_steps)
    t = max(1, round(n_steps * time))  # step 0, the bare points, has no density to show
    a, s = float(amplitude[t]), float(deviation[t])
    log_snr = 2 * np.log(a / s)
    variance = a**2 * np.var(galaxies()) + s**2
    numbers = {
        "step": f"t = {t} of {n_steps}",
        "alpha_bar": a**2,
        "log_snr": float(log_snr),
        "variance": float(variance),
        "blur": float(f"{km_per_s(log_snr):.4g}"),  # 4 digits
        "correlation": float(a * np.std(galaxies()) / np.sqrt(variance)),
        "total_variation": total_variation_to_noise(a, s),
        "end": float(amplitude[-1] ** 2),
    }
    shown, densities = dissolving(schedule, noise, n_steps)
    half = (shown[1] - shown[0]) / 2  # a cell of the map reaches so far to both sides
    arrays = {
        "t": t,
        "first": -half,
        "last": n_steps + half,
        "densities": densities,
        "steps": np.arange(n_steps + 1),
        "signal": amplitude**2,
        "total": amplitude**2 + deviation**2,
        "per_step": 1 / n_steps,
        "cut": cell_masses(EDGES, a, s) / np.diff(EDGES),
        "alone": norm.pdf(X, a * points()[-1], s),
    }
    return numbers, arrays


def scene():
    """Return the scene: the map, the cut beside it, and the two variances below."""
    time = Handle("time", x="t", factor="per_step", grip="rule", meaning="exact")
    position = Axis(-REACH, REACH, "position $x_t$")
    over_map = Plot(
        "the galaxies' density at every step",
        Axis("first", "last", ticks=()),
        position,
        [Heat(("first", "last"), (-REACH, REACH), "densities", dense=2.5, power=0.5), time],
        width=2.4,
    )
    cut = Plot(
        "a cut at step t",
        Axis(0, 5, "density", scale="sqrt", ticks=(0, 0.1, 0.5, 1, 2, 5)),
        position,
        [
            Area("cut", X, meaning="data", sideways=True, label="all"),
            Line(norm.pdf(X), X, meaning="exact", dash="dash", width=1.4, label="N(0, 1)"),
            Line("alone", X, meaning="mixture", dash="dashdot", width=1.4, label="fastest"),
        ],
    )
    levels = Plot(
        "what is left of the signal, and the variance",
        Axis("first", "last", "step t     ← data        noise →"),
        Axis(-0.05, 1.2, ticks=(0, 0.5, 1)),
        [
            Line("steps", "signal", meaning="weight", label="ᾱ at step t"),
            Line("steps", "total", meaning="exact", dash="dot", label="variance of $x_t$"),
            time,
        ],
        width=2.4,
    )
    return Scene([[over_map, cut], [levels, None]], height=(250, 140), alt=ALT)


START = {"schedule": "ddpm", "noise": "root", "n_steps": 1000, "time": 0.25}
panel, picture = view(
    CONTROLS,
    compute,
    scene,
    formats={
        "step": "{}",
        "alpha_bar": "ᾱ = {:.4g}",
        "log_snr": "λ = {:z.3f}",
        "variance": "variance of x = {:.5f}",
        "blur": "blur {:,.10g} km/s",
        "correlation": "correlation of x_t with x_0 = {:.3f}",
        "total_variation": "total variation to N(0,1) = {:.3f}",
        "end": "the chain ends at ᾱ = {:.4g}",
    },
    headline="{step}: total variation {total_variation:.3f} to N(0, 1)",
    shown=("alpha_bar", "variance", "correlation", "blur"),
    presets={
        "DDPM": START,
        "the end values of T = 1000 for T = 100": START | {"n_steps": 100, "time": 1.0},
        "the first 100 entries": START | {"schedule": "first", "n_steps": 100, "time": 1.0},
        "β for √β": START | {"noise": "plain", "time": 1.0},
    },
)
