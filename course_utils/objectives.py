"""Published objectives, and the weighting w(λ) that each of them implies.

An objective is how it samples levels, what its network predicts, and the weight before the squared
error of that prediction, all as its paper has them. Together they imply one w(λ) (claims S3, T1).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from inspect import signature
from math import inf

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from course_utils._checks import require_known, unknown
from course_utils.predictions import eps_loss_to
from course_utils.schedules import Cosine, FlowMatching, LinearBeta, LinearLogSnr
from course_utils.weightings import Weighting, made_monotone


@dataclass(frozen=True)
class Objective:
    """A training objective, E_{λ ~ p} weight(λ) ‖prediction − its target‖², in its own terms.

    Args:
        name: what a reader calls it.
        reference: the paper.
        levels: a schedule, whose uniform t samples p(λ), or the density p(λ) itself.
        prediction: a name of ``predictions.NAMES``: "x", "eps", "v", "score" or "velocity".
        weight: the factor before the squared error, a function of λ; 1 if left out.
        transform: what is done to the implied weighting, such as ``made_monotone``; nothing if
            left out.
    """

    name: str
    reference: str
    levels: object
    prediction: str
    weight: Callable = np.ones_like
    transform: Callable = lambda w: w

    def __post_init__(self):
        eps_loss_to(self.prediction, 0.0)  # an unknown prediction is refused with the nearest name

    def density(self, log_snr):
        """Return p(λ), the density of levels that training samples, for levels of any shape."""
        with np.errstate(under="ignore"):
            return getattr(self.levels, "density", self.levels)(np.asarray(log_snr, dtype=float))

    def implied_weighting(self) -> Weighting:
        """Return w(λ) = p(λ) · weight(λ) · (loss of ``prediction`` / ε-loss), up to a constant.

        Its span is the range of the schedule, if ``levels`` is one.
        """

        def implied(log_snr):
            factor = eps_loss_to(self.prediction, log_snr)
            return self.density(log_snr) * self.weight(log_snr) * factor

        ends = [getattr(self.levels, f"log_snr_{e}", b) for e, b in (("min", -inf), ("max", inf))]
        w = self.transform(Weighting(implied, self.name, self.reference))
        return replace(w, name=self.name, reference=self.reference, span=tuple(ends))


# One entry an objective, under its key; what the paper leaves open is an argument of the entry.
_ENTRIES = {
    "elbo": lambda: Objective(
        name="ELBO (score matching weighted by g²)",
        reference="Song, Durkan et al. 2021; Kingma et al. 2021 (VDM)",
        levels=Cosine(),  # any schedule gives the same w, and this one reaches every level
        prediction="score",
        weight=lambda log_snr: Cosine().beta(Cosine().time(log_snr)),
    ),
    "ve_eps": lambda: Objective(
        name="VE, ε-loss (NCSN++)",
        reference="Song et al. 2021",
        levels=LinearLogSnr(log_snr_min=-30, log_snr_max=30),
        prediction="eps",
    ),
    "vp_linear_eps": lambda: Objective(
        name="linear β, ε-loss (DDPM simple)",
        reference="Ho et al. 2020",
        levels=LinearBeta(),
        prediction="eps",
    ),
    "cosine_eps": lambda: Objective(
        name="cosine, ε-loss (iDDPM)",
        reference="Nichol & Dhariwal 2021",
        levels=Cosine(),
        prediction="eps",
    ),
    "cosine_v": lambda: Objective(
        name="cosine, v-loss",
        reference="Salimans & Ho 2022",
        levels=Cosine(),
        prediction="v",
    ),
    "cosine_x": lambda: Objective(
        name="cosine, x-loss",
        reference="for comparison",
        levels=Cosine(),
        prediction="x",
    ),
    "flow_matching": lambda: Objective(
        name="flow matching, velocity loss",
        reference="Lipman et al. 2023",
        levels=FlowMatching(),
        prediction="velocity",
    ),
    "indi": lambda: Objective(
        name="InDI, x-loss",
        reference="Delbracio & Milanfar 2023",
        levels=FlowMatching(),
        prediction="x",
    ),
    "sd3": lambda: Objective(
        name="SD3, t ~ logit-normal(0, 1)",
        reference="Esser et al. 2024",
        levels=norm(0, 2).pdf,  # λ = −2 logit t
        prediction="velocity",
    ),
    "edm": lambda edm_data_sd=0.5: Objective(
        name="EDM",
        reference="Karras et al. 2022",
        levels=norm(2.4, 2.4).pdf,  # λ = −2 ln σ with ln σ ~ N(−1.2, 1.2²)
        prediction="x",
        weight=lambda log_snr: np.exp(log_snr) + edm_data_sd**-2,
    ),
    "edm_monotonic": lambda edm_data_sd=0.5: replace(
        published("edm", edm_data_sd=edm_data_sd),
        name="EDM, monotonic",
        reference="Kingma & Gao 2023",
        transform=made_monotone,
    ),
    "p2": lambda p2_gamma=1.0: Objective(
        name=f"P2, γ = {p2_gamma:g}",
        reference="Choi et al. 2022",
        levels=Cosine(),
        prediction="eps",
        weight=lambda log_snr: (1 + np.exp(log_snr)) ** -p2_gamma,
    ),
    "min_snr": lambda min_snr_gamma=5.0: Objective(
        name=f"Min-SNR-{min_snr_gamma:g}",
        reference="Hang et al. 2023",
        levels=Cosine(),
        prediction="x",
        weight=lambda log_snr: np.minimum(np.exp(log_snr), min_snr_gamma),
    ),
    "truncated_snr": lambda: Objective(
        name="truncated SNR",
        reference="Salimans & Ho 2022",
        levels=Cosine(),
        prediction="x",
        weight=lambda log_snr: np.maximum(np.exp(log_snr), 1),
    ),
    "sigmoid": lambda sigmoid_bias=2.0: Objective(
        name=f"sigmoid, b = {sigmoid_bias:g}",
        reference="Kingma & Gao 2023",
        levels=Cosine(),
        prediction="eps",
        weight=lambda log_snr: expit(sigmoid_bias - log_snr) / Cosine().density(log_snr),
    ),
}


def published(name, **parameters) -> Objective:
    """Return the objective of that key of ``PUBLISHED``, with other parameters than its paper's.

    ``published("p2", p2_gamma=0.5)``; ``PARAMETERS`` lists them all. Raises ``ValueError`` for a
    name or a parameter that the course does not know, with the nearest that it does.
    """
    if name not in _ENTRIES:
        titled = [key for key, o in PUBLISHED.items() if str(name).lower() in o.name.lower()]
        raise unknown("objective", name, _ENTRIES, {str(name).lower(): key for key in titled[:1]})
    own = signature(_ENTRIES[name]).parameters
    if parameters and not own:
        raise ValueError(f"the objective {name!r} has no parameters")
    for key in parameters:
        require_known(f"parameter of {name!r}", key, own)
    return _ENTRIES[name](**parameters)


PUBLISHED = {name: published(name) for name in _ENTRIES}
PARAMETERS = tuple(
    dict.fromkeys(p for entry in _ENTRIES.values() for p in signature(entry).parameters)
)
