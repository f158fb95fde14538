"""Published objectives: what each of them implies. ``TABLE`` is compared in test_claims.py, S3."""

import numpy as np
import pytest
from comparing import assert_close, refused
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from course_utils.objectives import PUBLISHED, Objective, published
from course_utils.schedules import Cosine
from course_utils.weightings import is_monotone, peak


def sech(x):
    return 1 / np.cosh(x)


def edm(s, data_sd=0.5):
    return norm.pdf(s, 2.4, 2.4) * (np.exp(-s) + data_sd**2)


EDM_PEAK = -3.3077775163808876  # where the slope of log edm(λ) is 0, by Brent's method

# name: closed form, monotone, level of the peak (None where it is the noisy end)
TABLE = {
    "elbo": (lambda s: 1 + 0 * s, True, None),
    "ve_eps": (lambda s: 1 + 0 * s, True, None),
    "vp_linear_eps": (
        lambda s: expit(-s) / np.sqrt(0.1**2 + 2 * 19.9 * np.log1p(np.exp(-s))),
        False,
        -0.92,
    ),
    "cosine_eps": (lambda s: sech(s / 2), False, 0.0),
    "cosine_v": (lambda s: np.exp(-s / 2), True, None),
    "cosine_x": (lambda s: np.exp(-s) * sech(s / 2), True, None),
    "flow_matching": (lambda s: np.exp(-s / 2), True, None),
    "indi": (lambda s: np.exp(-s) * sech(s / 4) ** 2, True, None),
    "sd3": (lambda s: norm.pdf(s, 0, 2) * (1 + np.exp(-s / 2)) ** 2, False, -3.38),
    "edm": (edm, False, -3.31),
    "edm_monotonic": (lambda s: edm(np.maximum(s, EDM_PEAK)), True, None),
    "p2": (lambda s: sech(s / 2) / (1 + np.exp(s)), False, -np.log(3)),
    "min_snr": (lambda s: sech(s / 2) * np.minimum(1, 5 * np.exp(-s)), False, 0.0),
    "truncated_snr": (lambda s: sech(s / 2) * np.maximum(1, np.exp(-s)), True, None),
    "sigmoid": (lambda s: expit(2 - s), True, None),
}


def implied(name, **parameters):
    return published(name, **parameters).implied_weighting()


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_entry_of_the_table(name):
    """Monotone or not, where the peak is, and a density whose integral is 1."""
    objective, (_, monotone, at) = PUBLISHED[name], TABLE[name]
    w = objective.implied_weighting()
    assert w.name == objective.name and objective.reference
    assert is_monotone(w) is monotone
    assert_close(peak(w), -10.0 if at is None else at, atol=6e-3)
    low, high = np.clip(w.span, -60, 60)
    total = quad(objective.density, low, high, points=[-8, -3, 0, 3, 8], limit=300)[0]
    assert_close(total, 1.0, atol=1e-7)


@pytest.mark.parametrize("data_sd", [0.1, 1.15, 1.2, 1.25, 2.0])
def test_edm_monotonic_is_the_running_maximum_for_data_of_any_spread(data_sd):
    """Around σ_data = 1.2 EDM's weighting has two peaks, and the higher is not the cleaner one."""
    w, raised = implied("edm", edm_data_sd=data_sd), implied("edm_monotonic", edm_data_sd=data_sd)
    s = np.sort(np.random.default_rng(0).uniform(-20, 20, 20_001))
    truth = np.maximum.accumulate(edm(s, data_sd)[::-1])[::-1] * (w(0.0) / edm(0.0, data_sd))
    assert_close(raised(s), truth, rtol=1e-4)  # the truth is a maximum over the random levels


test_what_is_unknown_is_refused = refused(
    (lambda: published("min-snr"), "did you mean 'min_snr'"),
    (lambda: implied("min_snr", min_snr_gamma=-1)(0.0), "not negative"),
    (lambda: Objective("a", "b", Cosine(), "noise").implied_weighting()(0.0), "mean 'eps'"),
)
