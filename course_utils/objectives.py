"""Published objectives and the weighting w(λ) that each implies."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from course_utils._checks import (
    finite_result,
    float64,
    positive_number,
    real_number,
    require_function,
    require_known,
    unknown,
)
from course_utils.predictions import ALIASES, NAMES, eps_loss_to
from course_utils.schedules import (
    Cosine,
    FlowMatching,
    LinearBeta,
    LinearLogSnr,
)
from course_utils.weightings import Weighting, made_monotone


@dataclass(frozen=True)
class Objective:
    """A published training objective: levels sampled, prediction, the paper's weight.

    ``levels`` is a schedule (its ``density`` is p(λ)) or a density p(λ) itself; ``prediction`` is
    a name of ``parameterization``; ``weight`` maps λ to the factor before that prediction's
    squared error; ``transform`` is applied to the implied weighting.
    """

    name: str
    reference: str
    levels: object
    prediction: str
    weight: Callable = np.ones_like
    transform: Callable = lambda w: w

    def __post_init__(self):
        require_known("prediction", self.prediction, NAMES, ALIASES)
        require_function("weight", self.weight, "λ")
        require_function("transform", self.transform, "a weighting")
        if not hasattr(self.levels, "density"):
            require_function("levels", self.levels, "λ, a density, or a schedule")

    @finite_result
    def density(self, log_snr):
        """Return p(λ), the density of levels that training samples."""
        return getattr(self.levels, "density", self.levels)(float64(log_snr))

    def implied_weighting(self):
        """Return w(λ) = p(λ) · weight(λ) · (loss of ``prediction`` / ε-loss), up to a constant."""

        def implied(log_snr):
            factor = eps_loss_to(self.prediction, log_snr)
            return self.density(log_snr) * self.weight(log_snr) * factor

        w = self.transform(Weighting(implied, self.name, self.reference))
        return Weighting(w.function, self.name, self.reference)


def _objectives(edm_data_sd=0.5, p2_gamma=1.0, min_snr_gamma=5.0, sigmoid_bias=2.0):
    snr, cosine, straight = np.exp, Cosine(), FlowMatching()
    edm = {
        "levels": norm(2.4, 2.4).pdf,
        "prediction": "x",
        "weight": lambda log_snr: snr(log_snr) + edm_data_sd**-2,
    }
    return {
        "elbo": Objective(
            "ELBO (score matching weighted by g²)",
            "Song, Durkan et al. 2021; Kingma et al. 2021 (VDM)",
            cosine,  # any schedule does, and this one reaches every level
            "score",
            lambda log_snr: cosine.beta(cosine.time(log_snr)),
        ),
        "ve_eps": Objective(
            "VE, ε-loss (NCSN++)", "Song et al. 2021", LinearLogSnr(-30, 30), "eps"
        ),
        "vp_linear_eps": Objective(
            "linear β, ε-loss (DDPM simple)", "Ho et al. 2020", LinearBeta(), "eps"
        ),
        "cosine_eps": Objective("cosine, ε-loss (iDDPM)", "Nichol & Dhariwal 2021", cosine, "eps"),
        "cosine_v": Objective("cosine, v-loss", "Salimans & Ho 2022", cosine, "v"),
        "cosine_x": Objective("cosine, x-loss", "for comparison", cosine, "x"),
        "flow_matching": Objective(
            "flow matching, velocity loss", "Lipman et al. 2023", straight, "velocity"
        ),
        "indi": Objective("InDI, x-loss", "Delbracio & Milanfar 2023", straight, "x"),
        "sd3": Objective(
            "SD3, t ~ logit-normal(0, 1)", "Esser et al. 2024", norm(0, 2).pdf, "velocity"
        ),
        "edm": Objective("EDM", "Karras et al. 2022", **edm),
        "edm_monotonic": Objective(
            "EDM, monotonic", "Kingma & Gao 2023", **edm, transform=made_monotone
        ),
        "p2": Objective(
            f"P2, γ = {p2_gamma:g}",
            "Choi et al. 2022",
            cosine,
            "eps",
            lambda log_snr: (1 + snr(log_snr)) ** -p2_gamma,
        ),
        "min_snr": Objective(
            f"Min-SNR-{min_snr_gamma:g}",
            "Hang et al. 2023",
            cosine,
            "x",
            lambda log_snr: np.minimum(snr(log_snr), min_snr_gamma),
        ),
        "truncated_snr": Objective(
            "truncated SNR",
            "Salimans & Ho 2022",
            cosine,
            "x",
            lambda log_snr: np.maximum(snr(log_snr), 1),
        ),
        "sigmoid": Objective(
            f"sigmoid, b = {sigmoid_bias:g}",
            "Kingma & Gao 2023",
            cosine,
            "eps",
            lambda log_snr: expit(sigmoid_bias - log_snr) / cosine.density(log_snr),
        ),
    }


PUBLISHED = _objectives()
PARAMETERS = tuple(signature(_objectives).parameters)


def published(name, **parameters):
    """Return the ``Objective`` of that key of ``PUBLISHED``, with parameters of its own if given.

    Parameters: ``edm_data_sd``, ``p2_gamma``, ``min_snr_gamma``, ``sigmoid_bias``. Raises
    ``ValueError`` for an unknown key, naming the nearest.
    """
    if not isinstance(name, str) or name not in PUBLISHED:
        titled = [key for key, o in PUBLISHED.items() if str(name).lower() in o.name.lower()]
        raise unknown("objective", name, PUBLISHED, {str(name).lower(): k for k in titled[:1]})
    for key, value in parameters.items():
        require_known("parameter", key, PARAMETERS)
        must_be_positive = key in ("edm_data_sd", "min_snr_gamma")
        parameters[key] = (positive_number if must_be_positive else real_number)(key, value)
    return _objectives(**parameters)[name]
