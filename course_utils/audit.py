"""What a training script weighs: the report on an objective, on the levels that it reaches.

python -m course_utils.audit --betas scaled_linear --prediction v --coefficient min_snr:5
python -m course_utils.audit --density logit_normal --prediction flow --shift 3
python -m course_utils.audit --alpha-bars alpha_bars.csv --coefficient weights.csv
"""

import argparse
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.integrate import cumulative_trapezoid

from course_utils._checks import frozen
from course_utils.atlas import objectives
from course_utils.datasets import galaxies
from course_utils.elbo import ErrorCurve, negative_share
from course_utils.mixtures import GaussianMixture
from course_utils.objectives import (
    BETAS,
    COEFFICIENTS,
    DENSITIES,
    PUBLISHED,
    PURE_NOISE,
    SCRIPT_PREDICTIONS,
    from_script,
    from_words,
)
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN, StepList
from course_utils.variance import DensitySchedule, ErrorMoments, draw_variance, least_variance
from course_utils.weightings import evaluate, made_monotone

POINTS = 4001  # levels on which a weighting is judged
ROUNDING = 1e-4  # to which the spacing of a list of steps is known that was kept in float32
GALAXIES = "the course's galaxies"
WIDE = np.linspace(-40, 40, 8001)  # levels on which published weightings are tabulated


class Comparison(NamedTuple):
    """Two weightings as losses: equal up to ``factor``, but for ``difference``."""

    factor: float  # by which the second is divided to lie on the first
    difference: float  # the largest that is left, as a share of the first's largest value


def compare(first, second, log_snr_min=LOG_SNR_MIN, log_snr_max=LOG_SNR_MAX) -> Comparison:
    """Return by what factor two weightings differ on a range of levels, and what is left then.

    The factor c is that of least squares, Σ w₁ w₂ / Σ w₁²; what is left is |w₂/c − w₁|/max w₁.
    """
    levels = np.linspace(log_snr_min, log_snr_max, POINTS)
    return _compare(evaluate(first, levels), evaluate(second, levels))


def _compare(first, second):
    factor = (first @ second) / (first @ first)
    left = np.abs(second / factor - first).max() / first.max() if factor else np.inf
    return Comparison(float(factor), float(left))


def least_loss(objective, floor):
    """Return (loss, its standard error) [m]: a ``Floor`` as the script would log it.

    It is the mean over the numbers of x of the squared error of the script's prediction, before its
    coefficient: e(λ)/d · (loss of the prediction / ε-loss).
    """
    factor = objective.loss(floor.log_snr) / floor.dim
    return floor.noise_error * factor, floor.standard_error * factor


class Excess:
    """A training loss level by level, split into the floor of its data and what lies above it.

    All are mean squared errors of the script's prediction, as it logs them, before its coefficient.
    """

    def __init__(self, objective, floor, losses):
        least, unsure = least_loss(objective, floor)
        self.log_snr, self.floor, self.excess = floor.log_snr, least, losses - least
        # w is the factor of ε's error
        weights = objective.implied_weighting()(self.log_snr) / objective.loss(self.log_snr)
        above = cumulative_trapezoid(weights * self.excess, self.log_snr, initial=0)
        self.share = above[-1] / np.trapezoid(weights * losses, self.log_snr)  # of the whole loss
        self.half = self.log_snr[np.argmax(above >= above[-1] / 2)]  # half of it lies below
        self.below = self.log_snr[self.excess < -4 * unsure - 1e-9 * least]  # less than the floor

    def __str__(self):
        said = (
            f"of the weighted loss on your sample, {self.share:.0%} is excess over its floor, half "
            f"of it below λ = {self.half:.1f}; no model can take the rest away"
        )
        if len(self.below):
            said += (
                f"\nat λ = {self.below[0]:.1f} the loss is below the floor: it was not measured on "
                "this sample, or not as the mean squared error of this prediction, without a "
                "coefficient"
            )
        return said


class Audit:
    """What ``audit`` finds of an objective. λ is that of data of standard deviation 1."""

    def __init__(self, objective, floor, losses):
        self.objective, w = objective, objective.implied_weighting()
        low, high = w.span
        if not np.isfinite([low, high]).all():
            low, high = max(low, LOG_SNR_MIN), min(high, LOG_SNR_MAX)
        self.log_snr = levels = np.linspace(low, high, POINTS)  # those that training reaches
        if not w(levels).any():
            raise ValueError(f"w is zero at all levels from {low:.4g} to {high:.4g}: no loss")
        self.weights = w(levels) / w(levels).max()
        self.density = p = objective.density(levels)
        self.peak = levels[self.weights.argmax()]

        # the levels or steps on which w may rise, and the relative error of p there
        drawn, steps, errors, self.terminal = objective.levels, levels, np.zeros(POINTS), 0.0
        if isinstance(drawn, StepList):
            reached, self.terminal = np.isfinite(drawn.steps), drawn.terminal
            steps, shares = drawn.steps[reached][::-1], drawn.shares[reached][::-1]
            errors = 1 / np.sqrt(drawn.n_draws * shares) if drawn.n_draws else 0 * shares
        self.sampling_error = np.mean(errors)  # if it is counted from draws
        # (from λ, to λ, by how much of w's largest value); what chance explains is no rise
        self.rises = rises(steps, w(steps), np.maximum(ROUNDING, 5 * errors))
        self.monotone = not self.rises
        self.nearest = _nearest(levels, self.weights)

        curve, moments = _galaxies_curve(10 * np.floor(low / 10), 10 * np.ceil(high / 10))
        if not curve.at(levels)[0].any():
            raise ValueError(
                f"λ from {low:.4g} to {high:.4g} is far cleaner than any data: nothing is to be "
                "learnt there; σ is the noise beside data of standard deviation data_sd"
            )
        self.negative = negative_share(w, curve, low, high)
        drawn = DensitySchedule(levels, np.maximum(p, 1e-25 * p.max()))  # where p is 0, w is too
        variance, least = draw_variance(w, moments, drawn), least_variance(w, moments, low, high)
        self.variance_ratio = variance / least  # of one draw of the galaxies' loss
        error, self.data = curve.at(levels)[0], GALAXIES
        if floor is not None:
            error = np.interp(levels, floor.log_snr, floor.noise_error, left=0, right=0)
            self.data = "the floor of your sample"
            if np.count_nonzero(error) < 2:
                raise ValueError(
                    f"the floor's levels, from {floor.log_snr[0]:.1f} to {floor.log_snr[-1]:.1f}, "
                    f"are none that training reaches: from {low:.1f} to {high:.1f}"
                )
        loss = cumulative_trapezoid(self.weights * error, levels, initial=0)
        self.loss = loss / loss[-1]  # the share below each level
        self.excess = None if losses is None else Excess(objective, floor, losses)

    def __str__(self):
        low, high = self.log_snr[[0, -1]]
        quarter, half, three = np.interp([0.25, 0.5, 0.75], self.loss, self.log_snr)
        key, shift, difference = self.nearest
        moved = f" moved by {shift:+.1f} along λ" if shift else ""
        lines = [
            f"levels reached: λ from {low:.2f} to {high:.2f}, for data of standard deviation 1",
            f"w is largest at λ = {self.peak:.2f}",
            _verdict(self),
            f"nearest published objective, up to a factor: {PUBLISHED[key].name}{moved}; what "
            f"differs is at most {difference:.1%} of the peak",
            f"on {self.data}, half of the loss is earned below λ = {half:.1f} and the middle half "
            f"between {quarter:.1f} and {three:.1f}",
            f"one draw of it has {self.variance_ratio:.2f} times the least possible variance"
            + ("" if self.data == GALAXIES else f", on {GALAXIES}"),
        ]
        if self.sampling_error:
            lines.insert(1, f"p is counted from draws, to about {self.sampling_error:.1%}")
        if self.terminal:
            lines.append(_at_pure_noise(self))
        if self.excess:
            lines.append(str(self.excess))
        return "\n".join(lines)


def _verdict(found):
    if found.monotone:
        return (
            "w is monotone there: the loss is an ELBO of data with Gaussian noise, averaged over "
            "its strength, plus a constant (T4)"
        )
    where = "; ".join(
        f"from {low:.2f} to {high:.2f} by {by:.1%} of its largest value"
        for low, high, by in found.rises
    )
    return (
        f"w is not monotone: it rises with λ {where}. The ELBO terms that enter with a minus sign "
        f"amount to {found.negative:.2%} of the loss on the course's galaxies (T5)"
    )


def _at_pure_noise(found):
    if found.objective.prediction in ("eps", "score"):
        said = "There ε is the input itself: nothing is learnt from them"
    elif found.objective.weight(PURE_NOISE) < 1e-9:
        said = "Their coefficient is 0, so that the first step of every sampler is never trained"
    else:
        said = (
            "Their loss is that of guessing x from nothing, with the mean as its best answer; T4 "
            "speaks of the finite levels"
        )
    return f"{found.terminal:.2%} of the draws are pure noise (λ = −∞, zero terminal SNR). {said}"


def audit(objective, floor=None, losses=None) -> Audit:
    """Return the report on an ``Objective``: ``print(audit(from_script(betas=betas)))``.

    Where a loss is needed, it is that of an ideal denoiser of the course's galaxies. With the
    ``Floor`` of your own sample, it says where that sample's loss is earned; and with ``losses``,
    the mean squared errors of the script's prediction at the floor's levels, how much of them is
    excess. Raises ``ValueError`` for losses that are no mean squared errors at the floor's levels,
    and for a floor at levels that training does not reach.
    """
    if losses is not None:
        losses = frozen(losses)
        fits = floor is not None and losses.shape == floor.log_snr.shape
        if not (fits and np.isfinite(losses).all() and losses.min() >= 0):
            raise ValueError(
                "losses stand beside a floor, one at each of its levels, finite and not negative: "
                "pass floor=floor(x, log_snr), with the levels at which you measured"
            )
    return Audit(objective, floor, losses)


def rises(levels, weights, error=0.0):
    """Return (from, to, by) of each stretch on which w rises with λ.

    ``by`` is the rise as a share of w's largest value. A rise that is less than ``error`` of w
    there, one number or [levels], is chance or rounding.
    """
    found, error = [], np.broadcast_to(error, np.shape(levels))
    rising = np.diff(weights) > 1e-13 * weights.max()
    edges = np.flatnonzero(np.diff(rising, prepend=False, append=False))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        by = weights[stop] - weights[start]
        if by > error[start : stop + 1].max() * weights[stop]:
            found.append((float(levels[start]), float(levels[stop]), float(by / weights.max())))
    return found


def coefficients(objective, w):
    """Return the coefficient of each step [T] that turns a script's objective into the weighting w.

    It is w(λ_t)/(p(λ_t) · (loss of what the network predicts / ε-loss)), with a mean of 1: to be
    pasted in the place of the script's own. A step of pure noise gets 0, its limit for all but the
    ε-loss. Raises ``ValueError`` for an objective whose levels are no list.
    """
    if not isinstance(objective.levels, StepList):
        raise ValueError(
            "only a list of steps has a coefficient for each: pass betas, alpha_bars or sigmas"
        )
    steps = objective.levels.steps
    at = steps[np.isfinite(steps)]
    found = np.zeros(len(steps))
    found[: len(at)] = evaluate(w, at) / (objective.density(at) * objective.loss(at))
    return found / np.average(found, weights=objective.levels.shares)


@lru_cache(maxsize=1)
def _published():
    """The weighting of each published objective at the levels ``WIDE``."""
    every = objectives()
    return {key: every[key].implied_weighting()(WIDE) for key in PUBLISHED}


def _nearest(levels, weights):
    """Return the published objective nearest to w: where it stands, or far nearer when moved."""
    inside = (levels >= LOG_SNR_MIN) & (levels <= LOG_SNR_MAX)  # beyond, one end is all there is
    inside |= not inside.any()
    levels, weights = levels[inside], weights[inside]
    found = {
        (key, shift): _compare(weights, np.interp(levels - shift, WIDE, table)).difference
        for key, table in _published().items()
        for shift in np.linspace(-8, 8, 161).round(1)
    }
    still = min((k for k in found if k[1] == 0), key=found.get)
    moved = min(found, key=found.get)
    best = moved if found[moved] < found[still] / 3 else still
    return best[0], float(best[1]), found[best]


@lru_cache(maxsize=8)
def _galaxies_curve(low, high):
    truth = GaussianMixture.from_data(galaxies())
    moments = ErrorMoments.from_mixtures(truth, log_snr=np.linspace(low, high, 161))
    return ErrorCurve.from_mixtures(truth, log_snr=(low, high)), moments


# --- The command ----------------------------------------------------------------------------------


def main(arguments=None):
    """Print the report on what the command's arguments describe."""
    options = {
        "betas": f"a file of numbers, or {', '.join(BETAS)} with ends after colons",
        "alpha-bars": "a file of numbers",
        "sigmas": "a file of numbers",
        "density": f"{', '.join(DENSITIES)}, with parameters after colons",
        "draws": "a file of the steps that the loader drew",
        "shift": "the time shift of SD3 and Flux",
        "prediction": ", ".join(SCRIPT_PREDICTIONS),
        "coefficient": f"a file of one a step, a number, or {', '.join(COEFFICIENTS)} (min_snr:5)",
        "data-sd": "the standard deviation of the data",
    }
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.audit", description=__doc__.split("\n")[0]
    )
    for option, words in options.items():
        kind = float if option in ("shift", "data-sd") else str
        parser.add_argument(f"--{option}", type=kind, help=words)
    parser.add_argument("--make-monotone", metavar="FILE", help="write coefficients that do")
    parser.add_argument("--picture", metavar="FILE", help="write the report as a PNG, too")
    given = vars(parser.parse_args(arguments))
    pasted, picture = given.pop("make_monotone"), given.pop("picture")
    try:
        found = audit(from_script(**{k: _read(k, v) for k, v in given.items() if v is not None}))
        print(found)
        if picture:  # a command may draw; the module itself stays without matplotlib
            drawn = import_module("course_utils.panels.weighting").report(found)
            Path(picture).write_bytes(drawn._repr_mimebundle_()[0]["image/png"])
            print(f"the report as a picture: {picture}")
        if pasted:
            w = found.objective.implied_weighting()
            w = made_monotone(w, *w.span)
            np.savetxt(pasted, coefficients(found.objective, w), fmt="%.9g")
            print(f"coefficients that make it monotone: {pasted}")
    except (ValueError, OSError) as error:
        parser.exit(2, f"{error}\n")


def _read(key, words):
    """What an argument means: the numbers of a file, a number, or a name with parameters."""
    if isinstance(words, float):
        return words
    file, must = Path(words), key in ("alpha_bars", "sigmas", "draws")
    if not (must or file.is_file() or file.suffix in (".csv", ".txt")):
        return from_words(words)
    try:
        text = file.read_text(encoding="utf-8-sig")
        return np.array(text.replace(",", " ").split(), float)
    except ValueError:  # not text, or words in it; NumPy's error may show the whole file
        raise ValueError(f"{words} is no text of numbers alone, as np.savetxt writes it") from None


if __name__ == "__main__":
    main()
