"""Published objectives, and the weighting w(λ) that each of them implies.

An objective is how it samples levels, what its network predicts, and the weight before the squared
error of that prediction, all as its paper has them. Together they imply one w(λ) (claims S3, T1).
``from_script`` reads the same three from the words of a training script.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from inspect import signature
from math import inf
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit
from scipy.stats import hypsecant, logistic, norm

from course_utils._checks import frozen, require_known, require_range
from course_utils.predictions import eps_loss_to
from course_utils.schedules import (
    Cosine,
    FlowMatching,
    LinearBeta,
    LinearLogSnr,
    StepList,
    alpha_bar,
    capped_cosine_betas,
    ddpm_betas,
    log_snr_from_alpha_bar,
)
from course_utils.weightings import Weighting, evaluate, made_monotone


@dataclass(frozen=True)
class Objective:
    """A training objective, E_{λ ~ p} weight(λ) ‖prediction − its target‖², in its own terms.

    Args:
        name: what a reader calls it.
        reference: the paper.
        levels: a schedule, whose uniform t samples p(λ), or the density p(λ) itself.
        prediction: a name of ``predictions.NAMES``: "x", "eps", "v", "score" or "velocity".
        weight: the factor before the squared error, a function of λ; 1 if left out.
        data_sd: standard deviation of the data that the prediction is about; λ is that of the data
            divided by it.
        transform: what is done to the implied weighting, such as ``made_monotone``.
    """

    name: str
    reference: str
    levels: object
    prediction: str
    weight: Callable = np.ones_like
    data_sd: float = 1.0
    transform: Callable = lambda w: w

    def density(self, log_snr):
        """Return p(λ), the density of levels that training samples, for levels of any shape."""
        with np.errstate(under="ignore"):
            return getattr(self.levels, "density", self.levels)(np.asarray(log_snr, dtype=float))

    def loss(self, log_snr):
        """Return the squared error of what the network predicts, over that of ε."""
        return eps_loss_to(self.prediction, log_snr - 2 * np.log(self.data_sd))

    def implied_weighting(self) -> Weighting:
        """Return w(λ) = p(λ) · weight(λ) · (loss of ``prediction`` / ε-loss), up to a constant.

        Its span is the range of the schedule, if ``levels`` is one.
        """

        def implied(log_snr):
            return self.density(log_snr) * self.weight(log_snr) * self.loss(log_snr)

        span = getattr(self.levels, "log_snr_min", -inf), getattr(self.levels, "log_snr_max", inf)
        return replace(self.transform(Weighting(implied, "")), name=self.name, span=span)


# One entry an objective, under its key: name, reference, levels, prediction, and where they are not
# 1 and nothing, weight and transform. What the paper leaves open is an argument of the entry.
# fmt: off
_ENTRIES = {
    "elbo": lambda: Objective(
        "ELBO (score matching weighted by g²)",
        "Song, Durkan et al. 2021; Kingma et al. 2021 (VDM)",
        Cosine(), "score",  # any schedule gives the same w, and this one reaches every level
        weight=lambda log_snr: Cosine().beta(Cosine().time(log_snr)),
    ),
    "ve_eps": lambda: Objective(
        "VE, ε-loss (NCSN++)", "Song et al. 2021",
        LinearLogSnr(log_snr_min=-30, log_snr_max=30), "eps",
    ),
    "vp_linear_eps": lambda: Objective(
        "linear β, ε-loss (DDPM simple)", "Ho et al. 2020", LinearBeta(), "eps",
    ),
    "cosine_eps": lambda: Objective(
        "cosine, ε-loss (iDDPM)", "Nichol & Dhariwal 2021", Cosine(), "eps",
    ),
    "cosine_v": lambda: Objective("cosine, v-loss", "Salimans & Ho 2022", Cosine(), "v"),
    "cosine_x": lambda: Objective("cosine, x-loss", "for comparison", Cosine(), "x"),
    "flow_matching": lambda: Objective(
        "flow matching, velocity loss", "Lipman et al. 2023", FlowMatching(), "velocity",
    ),
    "indi": lambda: Objective("InDI, x-loss", "Delbracio & Milanfar 2023", FlowMatching(), "x"),
    "sd3": lambda: Objective(
        "SD3, t ~ logit-normal(0, 1)", "Esser et al. 2024",
        norm(0, 2).pdf, "velocity",  # λ = −2 logit t
    ),
    "edm": lambda edm_data_sd=0.5: Objective(
        "EDM", "Karras et al. 2022",
        norm(2.4, 2.4).pdf, "x",  # λ = −2 ln σ with ln σ ~ N(−1.2, 1.2²)
        weight=lambda log_snr: np.exp(log_snr) + edm_data_sd**-2,
    ),
    "edm_monotonic": lambda edm_data_sd=0.5: replace(
        published("edm", edm_data_sd=edm_data_sd),
        name="EDM, monotonic", reference="Kingma & Gao 2023", transform=made_monotone,
    ),
    "p2": lambda p2_gamma=1.0: Objective(
        f"P2, γ = {p2_gamma:g}", "Choi et al. 2022", Cosine(), "eps",
        weight=lambda log_snr: (1 + np.exp(log_snr)) ** -p2_gamma,
    ),
    "min_snr": lambda min_snr_gamma=5.0: Objective(
        f"Min-SNR-{min_snr_gamma:g}", "Hang et al. 2023", Cosine(), "x",
        weight=lambda log_snr: np.minimum(np.exp(log_snr), min_snr_gamma),
    ),
    "truncated_snr": lambda: Objective(
        "truncated SNR", "Salimans & Ho 2022", Cosine(), "x",
        weight=lambda log_snr: np.maximum(np.exp(log_snr), 1),
    ),
    "sigmoid": lambda sigmoid_bias=2.0: Objective(
        f"sigmoid, b = {sigmoid_bias:g}", "Kingma & Gao 2023", Cosine(), "eps",
        weight=lambda log_snr: expit(sigmoid_bias - log_snr) / Cosine().density(log_snr),
    ),
}
# fmt: on


def published(name, **parameters) -> Objective:
    """Return the objective of that key of ``PUBLISHED``, with other parameters than its paper's.

    ``published("p2", p2_gamma=0.5)``. Raises ``ValueError`` for a name that the course does not
    know, with the nearest that it does.
    """
    return _ENTRIES[require_known("objective", name, _ENTRIES)](**parameters)


PUBLISHED = {name: published(name) for name in _ENTRIES}

# --- What a training script minimises -------------------------------------------------------------

# The words of training scripts for a prediction. EDM's F is −v of the data divided by data_sd.
SCRIPT_PREDICTIONS = {
    **dict.fromkeys(("epsilon", "eps", "noise"), "eps"),
    **dict.fromkeys(("sample", "x", "x0", "x_start"), "x"),
    **dict.fromkeys(("v_prediction", "v", "F"), "v"),
    **dict.fromkeys(("flow", "flow_prediction", "velocity"), "velocity"),
    "score": "score",
}
# Lists of β by their names in diffusers, with their ends; the cosine has its cap and offset.
BETAS = {
    "linear": lambda first=1e-4, last=0.02: ddpm_betas(1000, first, last),
    "scaled_linear": lambda first=0.00085, last=0.012: ddpm_betas(1000, first**0.5, last**0.5) ** 2,
    "squaredcos_cap_v2": lambda: capped_cosine_betas(1000),
}


def _mode(scale=1.29):
    """SD3's mode density: t = 1 − u − s (cos²(πu/2) − 1 + u) at 4000 even u, as a list of λ."""
    u = (np.arange(4000) + 0.5) / 4000
    t = 1 - u - scale * (np.cos(np.pi * u / 2) ** 2 - 1 + u)
    return StepList(-2 * logit(t[::-1]))


# Densities of λ by the names that they have in scripts, with their parameters. The first four are
# densities of t on the straight path, where λ = −2 logit t. Source: Esser et al. 2024, section 3.1.
DENSITIES = {
    "uniform": lambda: logistic(0, 2),
    "logit_normal": lambda mean=0.0, sd=1.0: norm(-2 * mean, 2 * sd),
    "mode": _mode,
    "cosmap": lambda: hypsecant(0, 2),
    "lognormal": lambda mean=-1.2, sd=1.2: norm(-2 * mean, 2 * sd),  # of σ; Karras et al. 2022
}

# Factors before the loss as scripts have them, functions of what their arguments are called;
# ``loss`` is that of the script's prediction over the ε-loss. The paper's Min-SNR is one weight for
# every prediction, min(SNR, γ) before the x-loss, which is the ε-loss over the SNR. The next two
# are what scripts wrote for v as well (diffusers' issues 5654 and 9451, pull requests 5238 and
# 6307). Sources: Hang et al. 2023; Crowson et al. 2024; Yu et al. 2023; Choi et al. 2022.
COEFFICIENTS = {
    "min_snr": lambda gamma=5.0: lambda snr, loss: np.minimum(snr, gamma) / snr / loss,
    "min_snr_over_snr": lambda gamma=5.0: lambda snr: np.minimum(snr, gamma) / snr,
    "min_snr_plus_one": lambda gamma=5.0: lambda snr: np.minimum(snr + 1, gamma) / (snr + 1),
    "soft_min_snr": lambda gamma=5.0: lambda snr, loss: gamma / (snr + gamma) / loss,
    "debiased": lambda: lambda snr: np.minimum(snr, 1000) ** -0.5,
    "p2": lambda gamma=1.0, k=1.0: lambda snr: (k + snr) ** -gamma,
}
# What such a function's arguments may be called.
ARGUMENTS = ("log_snr", "snr", "sigma", "sigmas", "alpha_bar", "t", "timestep", "timesteps", "loss")
PURE_NOISE = -600.0  # the level that stands for λ = −∞, where e^λ is 1e-261
CHUNKS = 200  # into which draws are sorted


def from_scheduler(scheduler, **more) -> Objective:
    """Return the objective of a script that trains with a scheduler of diffusers.

    ``more`` goes to ``from_script``. Raises ``ValueError`` for a scheduler without a table of ᾱ or,
    if it is of flow matching, of σ.
    """
    only_samples = getattr(scheduler.config, "use_flow_sigmas", False)  # its ᾱ are not the model's
    if hasattr(scheduler, "alphas_cumprod") and not only_samples:
        more = {"prediction": scheduler.config.prediction_type} | more
        return from_script(alpha_bars=np.asarray(scheduler.alphas_cumprod, dtype=float), **more)
    if "FlowMatch" in type(scheduler).__name__:
        trains = type(scheduler).from_config(scheduler.config)  # set_timesteps changes the σ
        sigmas = np.sort(np.asarray(trains.sigmas, dtype=float))
        return from_script(sigmas=sigmas[sigmas > 0], **{"prediction": "flow"} | more)
    raise ValueError(
        f"{type(scheduler).__name__} holds no table of training levels: pass the density of its "
        "sigmas to from_script, for EDM density='lognormal', prediction='F', for flow matching "
        "density='uniform', prediction='flow', and its shift"
    )


def from_script(
    *,
    betas=None,
    alpha_bars=None,
    sigmas=None,
    schedule=None,
    density=None,
    draws=None,
    shift=1.0,
    prediction="epsilon",
    coefficient=1.0,
    data_sd=1.0,
    name="this script",
) -> Objective:
    """Return the objective that a training script minimises, from what stands in the script.

    ``implied_weighting()`` of it is w(λ) = p(λ) · coefficient(λ) · (its loss / ε-loss), for data
    divided by ``data_sd``: λ moves by 2 ln data_sd.

    Args:
        betas, alpha_bars, sigmas: the list of the steps [T], from data to noise; σ is the noise
            beside data of amplitude 1, or with a flow prediction that of (1 − σ) x + σ ε. The last
            step may be pure noise. ``betas`` may be a name of ``BETAS``, or (name, first, last).
        schedule: a continuous schedule of ``schedules``, with t drawn uniformly.
        density: of λ, as a function, a frozen scipy distribution, a name of ``DENSITIES``, or
            (name, parameters …) such as ("logit_normal", 0.5, 1.0).
        draws: what the script's loader drew, the more the better: steps (0 is the first) of the
            list given, times in [0, 1] of the schedule given, or without either the σ themselves.
        shift: the time shift s of SD3 and Flux, t → s t / (1 + (s − 1) t): λ moves by −2 ln s.
        prediction: a name of ``SCRIPT_PREDICTIONS``.
        coefficient: the factor before the squared error: a number, one a step [T], a name of
            ``COEFFICIENTS`` or (name, parameters …), or a function of what its arguments are
            called: log_snr, snr, sigma, alpha_bar, or t (the step of a list, the time of a
            schedule; σ where there is neither, and on the straight path). Where a network learns
            its own uncertainty, pass one over the loss of each step.
        data_sd: standard deviation of the data as the network sees them.

    Raises ``ValueError`` where the levels are given twice or not at all, go from noise to data, or
    do not fit the coefficients; for an unknown prediction or density; and for a coefficient that is
    negative or not finite.
    """
    lists = dict(betas=betas, alpha_bars=alpha_bars, sigmas=sigmas, schedule=schedule)
    given = {k: value for k, value in (lists | {"density": density}).items() if value is not None}
    drawn = [] if draws is None else ["draws"]
    draws = None if draws is None else frozen(np.ravel(draws))
    if len(given or drawn) != 1 or (drawn and "density" in given):
        raise ValueError(
            "say once how noisy the steps are: pass one of betas, alpha_bars, sigmas, schedule or "
            "density, or draws alone or beside a list or a schedule; got "
            + (", ".join([*given, *drawn]) or "none of them")
        )
    if not (0 < shift < inf and 0 < data_sd < inf):
        raise ValueError(f"shift and data_sd must be positive, got {shift} and {data_sd}")
    target = SCRIPT_PREDICTIONS[require_known("prediction", prediction, SCRIPT_PREDICTIONS)]
    straight = target == "velocity"
    levels, time, n_steps = _levels(given, draws, straight)
    moved, to_unit = -2 * np.log(shift), 2 * np.log(data_sd)
    sd_of_loss = 1.0 if prediction == "F" else data_sd
    objective = Objective(name, "", _moved(levels, moved + to_unit), target, data_sd=sd_of_loss)

    factor = _factor(coefficient, n_steps)
    asked = [name for name, p in signature(factor).parameters.items() if p.default is p.empty]
    for each in asked:
        require_known("argument of a coefficient", each, ARGUMENTS)

    def weight(log_snr):
        own = log_snr - to_unit  # of the data as the network sees them
        sigma = expit(-own / 2) if straight else np.exp(-own / 2)
        t = time(own - moved) if time else sigma
        found = own, np.exp(own), sigma, sigma, expit(own), t, t, t, objective.loss(log_snr)
        called = dict(zip(ARGUMENTS, found, strict=True))
        return factor(*(called[name] for name in asked))

    if isinstance(levels, StepList):
        evaluate(weight, np.maximum(objective.levels.steps, PURE_NOISE), "a coefficient")
    return replace(objective, weight=weight)


class _Levels(NamedTuple):
    """A density of λ, and the range that training reaches."""

    density: Callable
    log_snr_min: float = -inf
    log_snr_max: float = inf


def _levels(given, draws, straight):
    """Return a script's levels before its time shift, its own t as a function of λ, and its T.

    The levels are a ``StepList``, or have a density and a range. t is None where it is σ.
    """
    if not given:
        return _drawn(_steps("sigmas", draws, straight)), None, 0
    ((kind, value),) = given.items()
    if kind == "density":
        return _density(value), None, 0
    if kind == "schedule":
        levels = value if draws is None else _drawn(value.log_snr(draws))
        return levels, None if straight else value.time, 0
    steps = _steps(kind, value, straight)
    n, at = len(steps), np.maximum(steps, PURE_NOISE / 2)  # PURE_NOISE is past the last of them
    if draws is None:
        levels = StepList(steps)
    elif np.isin(draws, np.arange(n)).all():
        levels = _drawn(steps[draws.astype(int)])
    else:
        raise ValueError(f"draws beside a list are its steps, from 0 to {n - 1}")
    return levels, lambda log_snr: np.interp(-log_snr, -at, np.arange(n)), n


def _steps(kind, value, straight):
    """The level λ of each step of a script's list."""
    value = _of_name("list of betas", value, BETAS) if kind == "betas" else value
    value = frozen(np.ravel(value))
    if kind == "betas":
        betas, terminal = value, len(value) and value[-1] == 1  # zero terminal SNR
        value = np.append(alpha_bar(betas[:-1]), 0) if terminal else alpha_bar(betas)
        if len(betas) and betas[-1] < betas[0]:  # turned round, they would pass as a script's
            raise ValueError("betas fall from data to noise: turn them round, or pass alpha_bars")
    if kind != "sigmas":
        return log_snr_from_alpha_bar(value)
    if not ((value >= 0) & (value <= (1 if straight else inf))).all():
        raise ValueError("σ is not negative, and on the straight path (1 − σ) x + σ ε at most 1")
    with np.errstate(divide="ignore"):
        return -2 * (logit(value) if straight else np.log(value))


def _density(value):
    """The levels of a density of λ: of a name, a distribution of scipy or a function."""
    found = _of_name("density", value, DENSITIES)
    if isinstance(found, StepList):
        return found
    if callable(found):
        return _Levels(found)
    # all but one draw in a million lie between
    return _Levels(found.pdf, *require_range(*found.ppf([1e-6, 1 - 1e-6])))


def _drawn(log_snr):
    """The levels of draws, sorted into chunks: a density that knows its sampling error."""
    found, counts = np.unique(-log_snr, return_counts=True)
    n, last = len(log_snr), np.arange(len(found))  # the noisiest level of each chunk
    if len(found) < 3:
        raise ValueError(f"{n} draws of {len(found)} levels: pass at least a thousand")
    up_to = np.cumsum(counts)
    if len(found) > CHUNKS:
        # about equal shares, but finer towards the ends, down to a few dozen draws
        cuts = n * expit(np.linspace(-1, 1, CHUNKS) * np.log(n / 30))
        reached = np.isfinite(found).sum()
        last = np.unique([*np.searchsorted(up_to, cuts), reached - 1, len(found) - 1])
    return StepList(-found[last], np.diff(up_to[last], prepend=0) / n, n_draws=n)


def _moved(levels, by):
    """Levels moved along λ by a constant."""
    if isinstance(levels, StepList):
        return StepList(levels.steps + by, levels.shares, levels.n_draws)
    ends = levels.log_snr_min + by, levels.log_snr_max + by
    return _Levels(lambda log_snr: levels.density(log_snr - by), *ends)


def _factor(coefficient, n_steps):
    """The factor before the loss as a function of what its arguments are called."""
    factor = _of_name("coefficient", coefficient, COEFFICIENTS)
    if callable(factor):
        return factor
    values = frozen(factor)
    if values.ndim == 0:
        return lambda log_snr: values
    if values.shape != (n_steps,):
        raise ValueError(
            f"{len(values)} coefficients beside {n_steps} steps: pass one for each step of betas, "
            "alpha_bars or sigmas, or a function of log_snr, snr, sigma, t or alpha_bar"
        )
    return lambda t: np.interp(t, np.arange(n_steps), values)


def _of_name(kind, value, known):
    """What ``known`` makes of a name, or of (name, parameters …); any other value as it is."""
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list | tuple) or not named or not isinstance(named[0], str):
        return value
    key, *parameters = named
    try:
        return known[require_known(kind, key, known)](*parameters)
    except TypeError:
        raise ValueError(f"the {kind} {key!r} does not take {parameters} as parameters") from None


def from_words(words):
    """Return what words of a command mean: 5 of "5", and ("p2", 1, 1) of "p2:1:1"; or a name."""
    name, *parameters = words.split(":")
    if parameters:
        return (name, *map(float, parameters))
    try:
        return float(name)
    except ValueError:
        return name
