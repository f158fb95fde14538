"""How fast the course's functions are, beside the bare formula and beside other libraries.

Processor times, one thread, runs in turns; a ratio is the median over neighbouring runs. No time is
asserted. ``make bench`` prints the table.
"""

import subprocess
import time
from functools import partial

import numpy as np
import pytest
from scipy import integrate
from scipy.special import expit
from serving import ROOT
from truths import SCHEDULES, amplitudes

from course_utils import schedules
from course_utils.datasets import galaxies
from course_utils.elbo import ErrorCurve
from course_utils.mixtures import GaussianMixture
from course_utils.predictions import convert
from course_utils.samplers import ddim_step
from course_utils.schedules import alpha, sigma
from course_utils.weightings import sigmoid

GALAXIES = GaussianMixture.from_data(galaxies())
TIMES = np.linspace(0.01, 0.99, 50)
Z, X, LEVELS = np.linspace(-2, 2, 50)[:, None], galaxies()[:, 0], np.linspace(-10, 10, 4001)


def bare_eps(z, log_snr):
    """ε̂ of the galaxies by the formula alone: the posterior mean of the noise."""
    a, s = amplitudes(log_snr)
    noise = (z - a * X) / s
    r = np.exp(-(noise**2 - (noise**2).min(axis=1, keepdims=True)) / 2)
    return ((r * noise).sum(axis=1) / r.sum(axis=1))[:, None]


def bare_ddim(z, log_snr, log_snr_to):
    (a, s), (to_a, to_s) = amplitudes(log_snr), amplitudes(log_snr_to)
    eps = bare_eps(z, log_snr)
    return to_a * (z - s * eps) / a + to_s * eps


def bare_convert(value, z, log_snr):
    a, s = amplitudes(log_snr)
    x = (z - s * value) / a
    return a * value - s * x


AT = {"one": (0.3, 0.3, 1.0, 1.0), "50": (TIMES, TIMES, 8 * TIMES, 8 * TIMES)}
OF_SCHEDULES = {
    f"{name}.{of}, {n}": (partial(getattr(getattr(schedules, name)(), of), at), partial(bare, at))
    for name, formulas in SCHEDULES.items()
    for n, each in AT.items()
    for of, bare, at in zip(("log_snr", "beta", "time", "density"), formulas, each, strict=True)
}
FORMULAS = {
    "alpha(0.5)": (lambda: alpha(0.5), lambda: np.sqrt(expit(0.5))),
    **OF_SCHEDULES,
    "GaussianMixture.eps, 50 points": (lambda: GALAXIES.eps(Z, 1.0), lambda: bare_eps(Z, 1.0)),
    "convert, 50 points": (lambda: convert(Z, Z, 1.0), lambda: bare_convert(Z, Z, 1.0)),
    "ddim_step, 50 points": (
        lambda: ddim_step(GALAXIES.eps, Z, 1.0, 2.0),
        lambda: bare_ddim(Z, 1.0, 2.0),
    ),
    "sigmoid(2), 50 levels": (partial(sigmoid(2), LEVELS[::80]), lambda: expit(2 - LEVELS[::80])),
    "sigmoid(2), 4001 levels": (partial(sigmoid(2), LEVELS), lambda: expit(2 - LEVELS)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_public_functions_over_their_formula(name, in_turns, speed):
    ours, bare = FORMULAS[name]
    np.testing.assert_allclose(ours(), bare(), rtol=1e-9, atol=1e-12)
    times = in_turns(name, {"course_utils": ours, "the bare formula": bare}, 21, 200)
    ratio = times["course_utils"] / times["the bare formula"]
    speed(name, "the bare formula", ratio, "21 × 200 calls in turns; aim 2", "times as long")


def test_error_curves(in_turns, speed):
    """The galaxies' exact e(λ), against SciPy's adaptive quadrature for each galaxy at a level."""
    level = 2.0

    def point_by_point():
        def error(noise, x):
            z = np.array([[alpha(level) * x + sigma(level) * noise]])
            square = (noise - GALAXIES.eps(z, level)[0, 0]) ** 2
            return square * np.exp(-(noise**2) / 2) / np.sqrt(2 * np.pi)

        rule = {"epsabs": 1e-8, "epsrel": 1e-8, "limit": 200}
        return np.mean([integrate.quad(error, -9, 9, (x,), **rule)[0] for x in galaxies()[:, 0]])

    curve = ErrorCurve.from_mixtures(GALAXIES)
    assert curve.at(level)[0] == pytest.approx(point_by_point(), rel=1e-7)
    work = {
        "the whole curve": lambda: ErrorCurve.from_mixtures(GALAXIES),
        "SciPy, one level": point_by_point,
    }
    times = in_turns("Error curves", work, 5)
    speed(
        "e(λ) and L of the galaxies at all levels, exact to 1e-7",
        "adaptive quadrature of e for each galaxy, one level",
        times["SciPy, one level"] / times["the whole curve"],
        f"{1e3 * np.median(times['the whole curve']):.0f} ms a curve",
        "times faster",
    )


def test_time_of_the_everyday_tests(capsys, speed):
    start = time.perf_counter()
    done = subprocess.run(["make", "test"], cwd=ROOT, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    with capsys.disabled():
        print(f"\n\nmake test: {seconds:.0f} s: {done.stdout.strip().splitlines()[-1]}")
    assert done.returncode == 0
    speed("`make test`", "its limit of three minutes", seconds / 180, f"{seconds:.0f} s")
