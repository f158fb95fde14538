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
from scipy.stats import hypsecant, logistic, norm

from course_utils._checks import frozen, require_known, require_range, unknown
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
        rest: a factor of what the network predicts beside its name (EDM's F, data that are not of
            standard deviation 1); 1 if left out.
        transform: what is done to the implied weighting, such as ``made_monotone``; nothing if
            left out.
    """

    name: str
    reference: str
    levels: object
    prediction: str
    weight: Callable = np.ones_like
    rest: Callable = np.ones_like
    transform: Callable = lambda w: w

    def __post_init__(self):
        eps_loss_to(self.prediction, 0.0)  # an unknown prediction is refused with the nearest name

    def density(self, log_snr):
        """Return p(λ), the density of levels that training samples, for levels of any shape."""
        with np.errstate(under="ignore"):
            return getattr(self.levels, "density", self.levels)(np.asarray(log_snr, dtype=float))

    def loss(self, log_snr):
        """Return the squared error of what the network predicts, over that of ε."""
        return eps_loss_to(self.prediction, log_snr) * self.rest(log_snr)

    def implied_weighting(self) -> Weighting:
        """Return w(λ) = p(λ) · weight(λ) · (loss of ``prediction`` / ε-loss), up to a constant.

        Its span is the range of the schedule, if ``levels`` is one.
        """

        def implied(log_snr):
            return self.density(log_snr) * self.weight(log_snr) * self.loss(log_snr)

        ends = [getattr(self.levels, f"log_snr_{e}", b) for e, b in (("min", -inf), ("max", inf))]
        w = self.transform(Weighting(implied, self.name))
        return replace(w, name=self.name, reference=self.reference, span=tuple(ends))


# One entry an objective, under its key: name, reference, levels, prediction, and where they are not
# 1 and nothing, weight and transform. What the paper leaves open is an argument of the entry.
_ENTRIES = {
    "elbo": lambda: Objective(
        "ELBO (score matching weighted by g²)",
        "Song, Durkan et al. 2021; Kingma et al. 2021 (VDM)",
        Cosine(),  # any schedule gives the same w, and this one reaches every level
        "score",
        weight=lambda log_snr: Cosine().beta(Cosine().time(log_snr)),
    ),
    "ve_eps": lambda: Objective(
        "VE, ε-loss (NCSN++)",
        "Song et al. 2021",
        LinearLogSnr(log_snr_min=-30, log_snr_max=30),
        "eps",
    ),
    "vp_linear_eps": lambda: Objective(
        "linear β, ε-loss (DDPM simple)", "Ho et al. 2020", LinearBeta(), "eps"
    ),
    "cosine_eps": lambda: Objective(
        "cosine, ε-loss (iDDPM)", "Nichol & Dhariwal 2021", Cosine(), "eps"
    ),
    "cosine_v": lambda: Objective("cosine, v-loss", "Salimans & Ho 2022", Cosine(), "v"),
    "cosine_x": lambda: Objective("cosine, x-loss", "for comparison", Cosine(), "x"),
    "flow_matching": lambda: Objective(
        "flow matching, velocity loss", "Lipman et al. 2023", FlowMatching(), "velocity"
    ),
    "indi": lambda: Objective("InDI, x-loss", "Delbracio & Milanfar 2023", FlowMatching(), "x"),
    "sd3": lambda: Objective(
        "SD3, t ~ logit-normal(0, 1)",
        "Esser et al. 2024",
        norm(0, 2).pdf,  # λ = −2 logit t
        "velocity",
    ),
    "edm": lambda edm_data_sd=0.5: Objective(
        "EDM",
        "Karras et al. 2022",
        norm(2.4, 2.4).pdf,  # λ = −2 ln σ with ln σ ~ N(−1.2, 1.2²)
        "x",
        weight=lambda log_snr: np.exp(log_snr) + edm_data_sd**-2,
    ),
    "edm_monotonic": lambda edm_data_sd=0.5: replace(
        published("edm", edm_data_sd=edm_data_sd),
        name="EDM, monotonic",
        reference="Kingma & Gao 2023",
        transform=made_monotone,
    ),
    "p2": lambda p2_gamma=1.0: Objective(
        f"P2, γ = {p2_gamma:g}",
        "Choi et al. 2022",
        Cosine(),
        "eps",
        weight=lambda log_snr: (1 + np.exp(log_snr)) ** -p2_gamma,
    ),
    "min_snr": lambda min_snr_gamma=5.0: Objective(
        f"Min-SNR-{min_snr_gamma:g}",
        "Hang et al. 2023",
        Cosine(),
        "x",
        weight=lambda log_snr: np.minimum(np.exp(log_snr), min_snr_gamma),
    ),
    "truncated_snr": lambda: Objective(
        "truncated SNR",
        "Salimans & Ho 2022",
        Cosine(),
        "x",
        weight=lambda log_snr: np.maximum(np.exp(log_snr), 1),
    ),
    "sigmoid": lambda sigmoid_bias=2.0: Objective(
        f"sigmoid, b = {sigmoid_bias:g}",
        "Kingma & Gao 2023",
        Cosine(),
        "eps",
        weight=lambda log_snr: expit(sigmoid_bias - log_snr) / Cosine().density(log_snr),
    ),
}


def published(name, **parameters) -> Objective:
    """Return the objective of that key of ``PUBLISHED``, with other parameters than its paper's.

    ``published("p2", p2_gamma=0.5)``. Raises ``ValueError`` for a name or a parameter that the
    course does not know, with the nearest that it does.
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

# --- What a training script minimises -------------------------------------------------------------

# The words of training scripts for a prediction; F is EDM's, with its own factor.
SCRIPT_PREDICTIONS = {
    **dict.fromkeys(("epsilon", "eps", "noise"), "eps"),
    **dict.fromkeys(("sample", "x", "x0", "x_start"), "x"),
    **dict.fromkeys(("v_prediction", "v"), "v"),
    **dict.fromkeys(("flow", "flow_prediction", "velocity"), "velocity"),
    "F": "x",
    "score": "score",
}
# Lists of β by their names in diffusers, with their ends; the cosine has its cap and offset.
BETAS = {
    "linear": lambda first=1e-4, last=0.02: ddpm_betas(1000, first, last),
    "scaled_linear": lambda first=0.00085, last=0.012: ddpm_betas(1000, first**0.5, last**0.5) ** 2,
    "squaredcos_cap_v2": lambda: capped_cosine_betas(1000),
}
PURE_NOISE = -600.0  # the level that stands for λ = −∞, where e^λ is 1e-261
CHUNKS = 200  # into which draws are sorted


def _mode(scale=1.29):
    """SD3's mode density: t = 1 − u − s (cos²(πu/2) − 1 + u) with u uniform."""
    u = (np.arange(4000) + 0.5) / 4000
    t = 1 - u - scale * (np.cos(np.pi * u / 2) ** 2 - 1 + u)
    return StepList(_of_straight_path(t[::-1]))


# Densities of λ by the names that they have in scripts, with their parameters. The first four are
# densities of t on the straight path, where λ = −2 logit t. Source: Esser et al. 2024, section 3.1.
DENSITIES = {
    "uniform": lambda: logistic(0, 2),
    "logit_normal": lambda mean=0.0, sd=1.0: norm(-2 * mean, 2 * sd),
    "mode": _mode,
    "cosmap": lambda: hypsecant(0, 2),
    "lognormal": lambda mean=-1.2, sd=1.2: norm(-2 * mean, 2 * sd),  # of σ; Karras et al. 2022
}

# Factors before the loss as scripts have them: name -> function of ``x_loss`` and its own
# parameters, which gives a function of the SNR. ``x_loss`` is the x-loss over that of the script's
# prediction: the paper's Min-SNR is one weight for every prediction, min(SNR, γ) before the x-loss.
# The next two are what scripts wrote for v as well (diffusers' issues 5654 and 9451, pull requests
# 5238 and 6307). Sources: Hang et al. 2023; Crowson et al. 2024; Yu et al. 2023; Choi et al. 2022.
COEFFICIENTS = {
    "min_snr": lambda x_loss, gamma=5.0: lambda snr: np.minimum(snr, gamma) * x_loss(snr),
    "min_snr_over_snr": lambda _, gamma=5.0: lambda snr: np.minimum(snr, gamma) / snr,
    "min_snr_plus_one": lambda _, gamma=5.0: lambda snr: np.minimum(snr + 1, gamma) / (snr + 1),
    "soft_min_snr": lambda x_loss, gamma=5.0: lambda snr: snr * gamma / (snr + gamma) * x_loss(snr),
    "debiased": lambda _: lambda snr: np.minimum(snr, 1000) ** -0.5,
    "p2": lambda _, gamma=1.0, k=1.0: lambda snr: (k + snr) ** -gamma,
}


def from_scheduler(scheduler, **more) -> Objective:
    """Return the objective of a script that trains with a scheduler of diffusers.

    ``more`` goes to ``from_script``. Raises ``ValueError`` for a scheduler without a table of ᾱ or,
    if it is of flow matching, of σ.
    """
    config = scheduler.config
    if hasattr(scheduler, "alphas_cumprod"):
        more = {"prediction": config.prediction_type} | more
        return from_script(alpha_bars=np.asarray(scheduler.alphas_cumprod, dtype=float), **more)
    if "FlowMatch" in type(scheduler).__name__:
        sigmas = np.sort(np.asarray(scheduler.sigmas, dtype=float))
        return from_script(sigmas=sigmas[sigmas > 0], **{"prediction": "flow"} | more)
    raise ValueError(
        f"{type(scheduler).__name__} holds no table of training levels: pass the density of its "
        "sigmas to from_script, for EDM density='lognormal', prediction='F'"
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
            ``COEFFICIENTS`` or (name, parameters …), or a function of what its argument is called:
            log_snr, snr, sigma, t or alpha_bar. Where a network learns its own uncertainty, pass
            one over the loss of each step.
        data_sd: standard deviation of the data as the network sees them.

    Raises ``ValueError`` where the levels are given twice or not at all, go from noise to data, or
    do not fit the coefficients; for an unknown prediction or density; and for a coefficient that is
    negative or not finite.
    """
    lists = dict(betas=betas, alpha_bars=alpha_bars, sigmas=sigmas, schedule=schedule)
    given = {k: value for k, value in (lists | {"density": density}).items() if value is not None}
    drawn = [] if draws is None else ["draws"]
    if len(given or drawn) != 1 or (drawn and "density" in given):
        raise ValueError(
            "say once how noisy the steps are: pass one of betas, alpha_bars, sigmas, schedule or "
            "density, or draws alone or beside a list or a schedule; got "
            + (", ".join([*given, *drawn]) or "none of them")
        )
    if schedule is not None and not hasattr(schedule, "density"):
        raise ValueError("schedule must be one of course_utils.schedules; a list goes in as betas")
    target = SCRIPT_PREDICTIONS[require_known("prediction", prediction, SCRIPT_PREDICTIONS)]
    straight = target == "velocity"
    for what, value in (("shift", shift), ("data_sd", data_sd)):
        if not 0 < value < inf:
            raise ValueError(f"{what} must be a positive number, got {value}")

    def loss(log_snr):  # of the script's prediction, over the ε-loss
        factor = np.exp(log_snr) + data_sd**-2 if prediction == "F" else 1.0
        return eps_loss_to(target, log_snr) * factor

    def x_loss(snr):
        return eps_loss_to("x", np.log(snr)) / loss(np.log(snr))

    levels = _levels(given, draws, straight)
    coefficient = _of_name("coefficient", coefficient, COEFFICIENTS, x_loss)
    before = _coefficient(coefficient, levels, shift, straight)
    if isinstance(levels, StepList):
        at = levels.steps[np.isfinite(levels.steps)] - 2 * np.log(shift)
        evaluate(before, at, "a coefficient")
    own = 2 * np.log(data_sd)

    def rest(log_snr):  # that is in neither p nor the coefficient nor the name of the prediction
        return loss(log_snr - own) / eps_loss_to(target, log_snr)

    moved = _moved(levels, own - 2 * np.log(shift))
    return Objective(name, "", moved, target, lambda log_snr: before(log_snr - own), rest)


def from_words(words):
    """Return what words of a command mean: 5 of "5", and ("p2", 1, 1) of "p2:1:1"; or a name."""
    name, *parameters = words.split(":")
    try:
        return (name, *map(float, parameters)) if parameters else float(name)
    except ValueError:
        if parameters:
            raise ValueError(f"what follows a colon are numbers, got {words!r}") from None
        return name


def _of_straight_path(t):
    with np.errstate(divide="ignore"):
        return 2 * (np.log1p(-t) - np.log(t))


@dataclass(frozen=True)
class _Levels:
    """A density of λ, and the range that training reaches."""

    density: Callable
    log_snr_min: float
    log_snr_max: float


def _moved(levels, by):
    """Levels moved along λ by a constant."""
    if not by:
        return levels
    if isinstance(levels, StepList):
        return StepList(levels.steps + by, levels.shares, levels.n_draws)
    density = getattr(levels, "density", levels)
    ends = getattr(levels, "log_snr_min", -inf), getattr(levels, "log_snr_max", inf)
    return _Levels(lambda log_snr: density(log_snr - by), ends[0] + by, ends[1] + by)


def _levels(given, draws, straight):
    """What is drawn in training: a ``StepList``, a schedule, or a density."""
    ((kind, value),) = given.items() if given else [("sigmas", np.ravel(draws))]
    if kind == "density":
        return _named_density(value)
    if kind == "schedule":
        return value if draws is None else _drawn(value.log_snr(np.ravel(draws)))
    if kind == "betas":
        value = np.asarray(_of_name("list of betas", value, BETAS), dtype=float)
        last = value[-1:] == 1  # zero terminal SNR
        head = alpha_bar(value[:-1] if last.any() else value)
        kind, value = "alpha_bars", np.append(head, np.zeros(last.sum()))
    value = np.asarray(value, dtype=float)
    if value.ndim != 1:
        raise ValueError(f"{kind} must be a list with one number a step, got {value.shape}")
    if kind == "alpha_bars":
        levels = log_snr_from_alpha_bar(value)
    else:
        if not (value >= 0).all():
            raise ValueError("sigmas are amplitudes of the noise, and none is negative")
        if straight and not (value <= 1).all():
            raise ValueError("on the straight path (1 − σ) x + σ ε every σ lies in [0, 1]")
        with np.errstate(divide="ignore"):
            levels = _of_straight_path(value) if straight else -2 * np.log(value)
    if draws is None:
        return StepList(levels)
    if given and not np.isin(draws, np.arange(len(levels))).all():
        raise ValueError(f"draws beside a list are its steps, from 0 to {len(levels) - 1}")
    return _drawn(levels[np.ravel(draws).astype(int)] if given else levels)


def _named_density(value):
    if callable(value):
        return value
    made = _of_name("density", value, DENSITIES)
    if isinstance(made, StepList):
        return made
    if not hasattr(made, "pdf"):
        raise unknown("density", made, DENSITIES)
    # of scipy: all but one draw in a million lie between
    return _Levels(made.pdf, *require_range(*made.ppf([1e-6, 1 - 1e-6])))


def _drawn(log_snr):
    """The levels of draws, sorted into chunks: a density that knows its sampling error."""
    found, counts = np.unique(-log_snr, return_counts=True)
    if len(found) < 3:
        raise ValueError(f"{len(log_snr)} draws of {len(found)} levels: pass at least a thousand")
    shares = counts / len(log_snr)
    if len(found) > CHUNKS:
        # chunks of about equal share, but finer towards the ends, down to a few dozen draws
        finite = np.isfinite(found)
        middle = np.cumsum(shares) - shares / 2
        cuts = expit(np.linspace(-1, 1, CHUNKS) * np.log(len(log_snr) / 30))
        chunk = np.where(finite, np.searchsorted(cuts, middle), CHUNKS + 1)
        first = np.flatnonzero(np.diff(chunk, prepend=-1))
        shares = np.add.reduceat(shares, first)
        found = found[np.append(first[1:] - 1, -1)]  # its noisiest level
    return StepList(-found, shares, n_draws=len(log_snr))


def _of_name(kind, value, known, *first):
    """What ``known`` makes of a name, or of (name, parameters …); any other value as it is."""
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list | tuple) or not named or not isinstance(named[0], str):
        return value
    key, *parameters = named
    try:
        return known[require_known(kind, key, known)](*first, *parameters)
    except TypeError:
        raise ValueError(f"the {kind} {key!r} does not take {parameters} as parameters") from None


def _coefficient(coefficient, levels, shift, straight):
    """The factor before the loss as a function of the script's own λ, after the time shift."""
    if callable(coefficient):
        argument = next(iter(signature(coefficient).parameters), "log_snr")
        return lambda log_snr: coefficient(_as(argument, log_snr, levels, shift, straight))
    value = frozen(coefficient)
    if value.ndim == 0:
        return lambda log_snr: value + np.zeros_like(log_snr)
    if not isinstance(levels, StepList) or levels.n_draws or value.shape != levels.steps.shape:
        n = len(levels.steps) if isinstance(levels, StepList) else "no"
        raise ValueError(
            f"{len(value)} coefficients beside {n} steps: pass one for each step of betas, "
            "alpha_bars or sigmas, or a function of log_snr, snr, sigma, t or alpha_bar"
        )
    evaluate(lambda _: value, levels.steps, "a coefficient")  # that of pure noise, too
    at = np.maximum(levels.steps[::-1] - 2 * np.log(shift), PURE_NOISE)
    return lambda log_snr: np.interp(log_snr, at, value[::-1])


def _as(argument, log_snr, levels, shift, straight):
    """What a script calls ``argument``, at levels of its own λ."""
    if argument == "snr":
        return np.exp(log_snr)
    if argument == "alpha_bar":
        return expit(log_snr)
    sigma = expit(-log_snr / 2) if straight else np.exp(-log_snr / 2)
    if argument in ("sigma", "sigmas"):
        return sigma
    if argument in ("t", "timestep", "timesteps"):
        own = log_snr + 2 * np.log(shift)
        if isinstance(levels, StepList):
            return np.interp(-own, -levels.steps, np.arange(len(levels.steps)))
        return sigma if straight else levels.time(own)
    return log_snr
