"""Half a nat: what is spent, the two ways to find what it does, and the numbers of facts.md."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from course_utils.elbo import path_and_marginal_kl, step_kl
from course_utils.panels import half_a_nat
from course_utils.panels._galaxies import galaxies_mixture, velocity
from course_utils.samplers import ddim_step, sample
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN, alpha

BASE = {"level": 0.0, "width": 1.0, "amount": 0.5, "eta": 1.0, "seed": 0}
LEVELS = half_a_nat.LEVELS


def compute(**changes):
    return half_a_nat.compute(**BASE | changes)


@pytest.mark.parametrize("level", [-9.5, -3.3, 0.05, 9.5])
@pytest.mark.parametrize("width", [0.5, 1.0, 4.0])
def test_the_same_is_spent_everywhere(level, width):
    squared = half_a_nat.excess(level, width, 0.5)
    assert step_kl(squared, LEVELS[:-1], LEVELS[1:]).sum() == pytest.approx(0.5, abs=1e-13)
    assert squared.sum() * 0.1 / 2 == pytest.approx(0.5, rel=0.06)  # ½∫δ² dλ, for small steps
    _, arrays = compute(level=level, width=width)
    low, high = arrays["low"], arrays["high"]
    assert high - low == pytest.approx(width) and LOG_SNR_MIN <= low < high <= LOG_SNR_MAX
    assert (squared > 0).sum() == round(10 * width)
    if abs(level) < 5:
        assert abs((low + high) / 2 - level) < 0.051


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_the_samples_are_the_public_samplers_with_the_mixtures_denoiser(eta):
    squared = half_a_nat.excess(-2.0, 1.0, 0.5)
    found = compute(level=-2.0, eta=eta, seed=2)[1]["samples"]

    def spoilt(z, log_snr):
        i = round((float(log_snr) - LOG_SNR_MIN) / 0.1)
        return galaxies_mixture().eps(z, log_snr) + np.sqrt(squared[i])

    start, *noise = half_a_nat._normals(2)[:, :40, None]
    rows = iter(noise)
    stored = SimpleNamespace(standard_normal=lambda shape: next(rows))
    z = sample(spoilt, LEVELS, start, partial(ddim_step, eta=eta), stored)
    # the table's small errors may send a path to a neighbouring galaxy
    exact = velocity(z[:, 0] / alpha(LEVELS[-1]))
    assert np.mean(np.abs(found[:40] - exact) < 0.1) > 0.9  # of 1000 km/s


@pytest.mark.parametrize("level", [-8.0, -3.0, 0.0, 3.0])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_sampler_and_the_law_agree(level, eta):
    """2000 particles in 200 steps over 8 seeds, against the law followed through."""
    runs = [compute(level=level, eta=eta, seed=seed)[0] for seed in range(8)]
    mean = np.mean([run["distance"] for run in runs])
    spread = np.std([run["distance"] for run in runs]) / np.sqrt(8)
    law = runs[0]["ancestral" if eta else "ddim"]
    # a distance near zero cannot fall below its floor; 200 steps leave 0.01 of their own
    assert law - 0.012 - 4 * spread < mean < np.hypot(law, runs[0]["floor"]) + 0.02 + 4 * spread


def test_models_a_and_b_of_t5_as_their_marginal_kl(claim):
    """facts T5: 0.0185 for A and 0.0003 for B, from the posterior's shares and by Fokker–Planck."""
    truth, found = galaxies_mixture(), []
    for level, amount, fact in ((-3.3, 0.5, 0.0185), (-7.5, 0.525, 0.0003)):
        low, high = level - 0.5, level + 0.5

        def spoilt(z, log_snr, low=low, high=high, amount=amount):
            inside = low < log_snr < high
            return truth.eps(z, log_snr) + inside * np.sqrt(2 * amount)

        parts = [np.linspace(-10, low, 20), np.linspace(low, high, 40), np.linspace(high, 5, 80)]
        fine = np.unique(np.concatenate(parts))
        solved = path_and_marginal_kl(truth, spoilt, fine, per_sd=8)
        start = solved.path[0]
        assert solved.path[-1] - start == pytest.approx(amount, rel=2e-2)
        assert solved.marginal[-1] == pytest.approx(fact, abs=6e-4)
        shares = half_a_nat.reached(level, 1.0, amount)[0]
        kl = float(np.sum(np.log(1 / 82 / shares)) / 82)
        found.append(abs(kl - solved.marginal[-1]))
    claim("T5", "marginal KL of models A and B, two ways", max(found), 1.5e-3)


def test_ancestral_forgives_early_errors_and_ddim_does_not(claim):
    ancestral, ddim = half_a_nat.curve(1.0, 0.5, (-9.0, -7.5, -6.0, -4.5, 0.0, 9.0))
    assert ancestral[0] == pytest.approx(0.011, abs=1e-3)
    assert ancestral[4] == pytest.approx(0.47, abs=0.015)
    claim("S7", "half a nat, DDIM: 0.482 for λ ≤ −4.5", np.abs(ddim[:4] - 0.482).max(), 6e-3)
    assert ancestral[0] < half_a_nat.floor().mean < ancestral[4]
    assert ancestral[5] < 0.015 and ddim[5] < 0.01  # late errors are small ones
    # with 2^15 points in the place of 512
    assert half_a_nat.curve(1.0, 0.5, (2.0,))[1, 0] == pytest.approx(0.1352, abs=4e-3)
