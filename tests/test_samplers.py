"""Samplers by the law that each step carries; against those of others in test_diffusers.py."""

import itertools
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from comparing import assert_close, refused
from scipy.interpolate import CubicSpline
from truths import HILLS

from course_utils import samplers
from course_utils.datasets import galaxies
from course_utils.mixtures import GaussianMixture
from course_utils.schedules import Cosine

STEPS = {  # and the order of each in law
    "ancestral": (samplers.ancestral_step, 1),
    "reverse SDE": (samplers.reverse_sde_step, 1),
    "DDIM": (samplers.ddim_step, 1),
    "half stochastic": (partial(samplers.ddim_step, eta=0.5), 1),
    "ODE, Euler": (samplers.euler_step, 1),
    "ODE, Heun": (samplers.heun_step, 2),
    "DPM-Solver++": (samplers.DpmSolver, 2),
}


Z = np.linspace(-7, 7, 1401)
NODE, WEIGHT = np.polynomial.hermite_e.hermegauss(21)
WEIGHT = WEIGHT / WEIGHT.sum()


def carried_density(step, levels):
    """Density of the sampler's latents on Z: each step maps z, then adds Gaussian noise."""
    density = np.exp(HILLS.diffuse(levels[0]).log_prob(Z[:, None]))
    # random numbers that are all the same, to read a step's coefficient of the noise
    same = [SimpleNamespace(standard_normal=partial(np.full, fill_value=c)) for c in (0.0, 1.0)]
    for noisy, clean in itertools.pairwise(levels):
        given = HILLS.eps, Z[:, None], noisy, clean
        mapped, kicked = (step(*given, rng)[:, 0] for rng in same)
        noise = kicked[0] - mapped[0]
        pushed = CubicSpline(mapped, density / CubicSpline(Z, mapped)(Z, 1), extrapolate=False)
        density = np.nan_to_num(pushed(Z[:, None] - noise * NODE)) @ WEIGHT
    return density


def law_errors(step, n):
    """Mean, second moment and total variation of the sampler's law against the exact one."""
    density = carried_density(step, np.linspace(-10, 5, n + 1))
    truth = np.exp(HILLS.diffuse(5.0).log_prob(Z[:, None]))
    h, wrong = Z[1] - Z[0], density - truth
    return abs(np.array([wrong @ Z, wrong @ Z**2, abs(wrong).sum() / 2])) * h


@pytest.mark.parametrize("name", [name for name in STEPS if name != "DPM-Solver++"])
def test_samplers_return_the_mixture_at_their_order(name):
    step, order = STEPS[name]
    coarse, fine = law_errors(step, 60), law_errors(step, 120)
    assert (fine < 0.03).all()
    assert np.log2(coarse / fine) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize("name", STEPS)
def test_states_are_arrays_of_their_own_and_the_last_is_the_sample(name):
    step, levels, z = STEPS[name][0], np.linspace(-9, 9, 11), galaxies().copy()
    step = step() if step is samplers.DpmSolver else step
    law = GaussianMixture.from_data(z)
    kept = list(samplers.sample_states(law.eps, levels, z, step, np.random.default_rng(13)))
    spoilt = []
    for state in samplers.sample_states(law.eps, levels, z, step, np.random.default_rng(13)):
        spoilt.append(state.copy())
        state *= np.nan  # what is handed out may be changed
    assert len(kept) == 11
    assert_close(np.array(kept), np.array(spoilt))
    assert_close(kept[0], galaxies())

    def spoiling(z, log_snr):
        eps = law.eps(z, log_snr)
        z *= np.nan  # and so may what is handed in
        return eps

    last = samplers.sample(spoiling, levels, z, step, np.random.default_rng(13))
    assert_close(last, kept[-1])
    assert_close(z, galaxies())  # the caller's array is left alone


def test_a_solver_is_not_misled_by_another_sampling():
    levels, z = np.linspace(-9, 5, 12), galaxies()
    solver, other = samplers.DpmSolver(), samplers.DpmSolver()
    runs = [samplers.sample_states(HILLS.eps, levels, start, solver) for start in (z, -z[:5])]
    *_, (one, two) = itertools.zip_longest(*runs)  # in turns, with one memory
    plain = samplers.sample(HILLS.eps, levels, z, samplers.ddim_step)
    assert_close(one, plain, rtol=1e-13)  # each step is a first one
    assert_close(two, samplers.sample(HILLS.eps, levels, -z[:5], samplers.ddim_step), rtol=1e-13)
    samplers.sample(HILLS.eps, [-9.0, 0.0], z, solver)  # a second begins where the first ended
    found = samplers.sample(HILLS.eps, [0.0, 2.0, 5.0], 2 * z, solver)
    assert_close(found, samplers.sample(HILLS.eps, [0.0, 2.0, 5.0], 2 * z, other))


def stepping(levels):
    return lambda: samplers.sample_states(HILLS.eps, levels, np.zeros((4, 1)))


test_what_is_refused_at_the_call = refused(
    (stepping(np.linspace(5, -5, 11)), r"turned round\s+by \[::-1\]"),
    (stepping(Cosine().log_snr(np.linspace(1, 0, 9))), "log_snr_max"),
    (stepping([0.0]), "at least 2"),
    (lambda: samplers.ddim_coefficients(0.0, 1.0, 1.5), r"from 0 .* to 1"),
    (lambda: samplers.sample(lambda z, s: z[:, 0], [-5, 5], np.zeros((4, 1))), "the shape of z"),
)
