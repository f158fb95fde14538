"""What a training script weighs: the report on an objective, on the levels that it reaches.

python -m course_utils.audit --betas scaled_linear --prediction v --coefficient min_snr:5
python -m course_utils.audit --density logit_normal --prediction flow --shift 3
python -m course_utils.audit --alpha-bars alpha_bars.csv --coefficient weights.csv
"""

import argparse
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.integrate import cumulative_trapezoid

from course_utils._checks import frozen
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
    Objective,
    from_script,
    from_words,
)
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN, StepList
from course_utils.variance import DensitySchedule, ErrorMoments, draw_variance, least_variance
from course_utils.weightings import made_monotone

POINTS = 4001  # levels on which a weighting is judged
ROUNDING = 1e-4  # to which the spacing of a list of steps is known that was kept in float32


class Comparison(NamedTuple):
    """Two weightings as losses: equal up to ``factor``, but for ``difference``."""

    factor: float  # by which the second is divided to lie on the first
    difference: float  # the largest that is left, as a share of the first's largest value


def compare(first, second, log_snr_min=LOG_SNR_MIN, log_snr_max=LOG_SNR_MAX) -> Comparison:
    """Return by what factor two weightings differ on a range of levels, and what is left then.

    The factor c is that of least squares, Σ w₁ w₂ / Σ w₁²; what is left is |w₂/c − w₁|/max w₁.
    """
    levels = np.linspace(log_snr_min, log_snr_max, POINTS)
    return _compare(first(levels), second(levels))


def _compare(first, second):
    factor = (first @ second) / (first @ first)
    left = np.abs(second / factor - first).max() / first.max() if factor else np.inf
    return Comparison(float(factor), float(left))


@dataclass(frozen=True, eq=False)
class Excess:
    """A training loss level by level, split into the floor of its data and what lies above it.

    All are mean squared errors of the script's prediction, as it logs them, before its coefficient.
    """

    log_snr: np.ndarray
    floor: np.ndarray
    excess: np.ndarray  # loss − floor
    share: float  # of the weighted loss that is excess
    half: float  # the level below which half of the weighted excess lies
    below: float | None  # a level at which the loss is below the floor by more than its error

    def __str__(self):
        lines = [
            f"of the weighted loss on your sample, {self.share:.0%} is excess over its floor, half "
            f"of it below λ = {self.half:.1f}; no model can take the rest away"
        ]
        if self.below is not None:
            lines.append(
                f"at λ = {self.below:.1f} the loss is below the floor: it was not measured on this "
                "sample, or not as the mean squared error of this prediction, without a coefficient"
            )
        return "\n".join(lines)


def least_loss(objective, floor):
    """Return (loss, its standard error) [m]: a ``Floor`` as the script would log it.

    It is the mean over the numbers of x of the squared error of the script's prediction, before its
    coefficient: e(λ)/d · (loss of the prediction / ε-loss).
    """
    factor = objective.loss(floor.log_snr)
    return floor.noise_error * factor / floor.dim, floor.standard_error * factor / floor.dim


def _excess(objective, w, floor, losses):
    losses = np.asarray(losses, dtype=float)
    if losses.shape != floor.log_snr.shape:
        raise ValueError(
            f"pass one loss for each of the floor's {len(floor.log_snr)} levels, got shape "
            f"{losses.shape}; floor(x, log_snr) takes the levels at which you measured"
        )
    if not ((losses >= 0) & (losses < np.inf)).all():
        raise ValueError("losses are mean squared errors: finite and not negative")
    least, unsure = least_loss(objective, floor)
    weights = w(floor.log_snr) / objective.loss(floor.log_snr)  # w is the factor of ε's error
    above = cumulative_trapezoid(weights * (losses - least), floor.log_snr, initial=0)
    low = np.flatnonzero(losses < least - 4 * unsure - 1e-9 * least)
    return Excess(
        frozen(floor.log_snr),
        frozen(least),
        frozen(losses - least),
        float(above[-1] / np.trapezoid(weights * losses, floor.log_snr)),
        float(floor.log_snr[np.argmax(above >= above[-1] / 2)]),
        float(floor.log_snr[low[0]]) if len(low) else None,
    )


@dataclass(frozen=True, eq=False)
class Audit:
    """What ``audit`` found of an objective. λ is that of data of standard deviation 1."""

    objective: Objective
    log_snr: np.ndarray  # the levels on which it was judged, those that training reaches
    weights: np.ndarray  # w there, its largest value 1
    density: np.ndarray  # p there
    rises: list  # (from λ, to λ, by how much of w's largest value) where w rises with λ
    sampling_error: float  # relative standard error of p, on average, if counted from draws
    terminal: float  # share of the draws that are pure noise
    nearest: tuple  # key of the nearest published objective, its shift along λ, the difference
    negative: float  # ELBO terms with a minus sign as a share of the galaxies' loss
    loss: np.ndarray  # share of the loss below each level, the galaxies' or the sample's
    variance_ratio: float  # of one draw of the galaxies' loss to the least that any p has
    excess: Excess | None = None  # of a reader's own losses over the floor
    own_sample: bool = False  # whether ``loss`` is that of a reader's own floor

    @property
    def peak(self):
        """The level at which w is largest."""
        return float(self.log_snr[self.weights.argmax()])

    @property
    def monotone(self):
        """Whether w never rises with λ, but for what the draws' sampling error explains."""
        return not self.rises

    def __str__(self):
        low, high = self.log_snr[[0, -1]]
        quarter, half, three = np.interp([0.25, 0.5, 0.75], self.loss, self.log_snr)
        key, shift, difference = self.nearest
        moved = f" moved by {shift:+.1f} along λ" if shift else ""
        data = "the floor of your sample" if self.own_sample else "the course's galaxies"
        lines = [
            f"levels reached: λ from {low:.2f} to {high:.2f}, for data of standard deviation 1",
            f"w is largest at λ = {self.peak:.2f}",
            _verdict(self),
            f"nearest published objective, up to a factor: {PUBLISHED[key].name}{moved}; what "
            f"differs is at most {difference:.1%} of the peak",
            f"on {data}, half of the loss is earned below λ = {half:.1f} and the middle half "
            f"between {quarter:.1f} and {three:.1f}",
            f"one draw of it has {self.variance_ratio:.2f} times the least possible variance"
            + (", on the course's galaxies" if self.own_sample else ""),
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
    ``Floor`` of your own sample, it says where that sample's loss is earned; and with
    ``losses``, the mean squared errors of the script's prediction at the floor's levels, how much
    of them is excess. Raises ``ValueError`` where the floor has fewer than two levels that training
    reaches, and for losses that do not fit it.
    """
    w = objective.implied_weighting()
    low, high = w.span
    if not np.isfinite([low, high]).all():
        low, high = max(low, LOG_SNR_MIN), min(high, LOG_SNR_MAX)
    levels = np.linspace(low, high, POINTS)
    weights = w(levels)
    weights = weights / weights.max()
    curve, moments = _galaxies_curve(10 * np.floor(low / 10), 10 * np.ceil(high / 10))
    if floor is None and losses is not None:
        raise ValueError("losses are read beside a floor: pass floor=floor(x, log_snr) too")
    error = curve.at(levels)[0] if floor is None else _on(floor, levels)
    loss = cumulative_trapezoid(weights * error, levels, initial=0)
    judged, errors = _judged(objective, levels)
    p = objective.density(levels)
    drawn = DensitySchedule(levels, np.maximum(p, 1e-25 * p.max()))  # where p is 0, w is too
    return Audit(
        objective=objective,
        log_snr=frozen(levels),
        weights=frozen(weights),
        density=frozen(p),
        rises=rises(judged, w(judged), np.maximum(ROUNDING, 5 * errors)),
        sampling_error=float(np.mean(errors)),
        terminal=objective.levels.terminal if isinstance(objective.levels, StepList) else 0.0,
        nearest=_nearest(levels, weights),
        negative=negative_share(w, curve, low, high),
        loss=frozen(loss / loss[-1]),
        variance_ratio=draw_variance(w, moments, drawn) / least_variance(w, moments, low, high),
        excess=None if losses is None else _excess(objective, w, floor, losses),
        own_sample=floor is not None,
    )


def _on(floor, levels):
    """The floor's error at levels, 0 beyond its own."""
    error = np.interp(levels, floor.log_snr, floor.noise_error, left=0, right=0)
    if np.count_nonzero(error) < 2:
        raise ValueError(
            f"the floor's levels, from {floor.log_snr[0]:.1f} to {floor.log_snr[-1]:.1f}, are none "
            f"that training reaches: from {levels[0]:.1f} to {levels[-1]:.1f}"
        )
    return error


def rises(levels, weights, error=0.0):
    """Return (from, to, by) of each stretch on which w rises with λ.

    ``by`` is the rise as a share of w's largest value. A rise that is less than ``error`` of w
    there, one number or [levels], is chance or rounding.
    """
    found, error = [], np.broadcast_to(error, np.shape(levels))
    rising = np.diff(weights) > 1e-13 * weights.max()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], rising, [False]])))
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
    found[: len(at)] = w(at) / (objective.density(at) * objective.loss(at))
    return found / np.average(found, weights=objective.levels.shares)


@lru_cache(maxsize=1)
def _published():
    """Wide levels, and there the weighting of each published objective, for data of sd 1."""
    wide = np.linspace(-40, 40, 8001)
    moved = {"edm": 2 * np.log(0.5), "edm_monotonic": 2 * np.log(0.5)}  # their data have sd ½
    return wide, {
        key: objective.implied_weighting()(wide - moved.get(key, 0.0))
        for key, objective in PUBLISHED.items()
    }


def _nearest(levels, weights):
    """Return the published objective nearest to w: where it stands, or far nearer when moved."""
    wide, tables = _published()
    inside = (levels >= LOG_SNR_MIN) & (levels <= LOG_SNR_MAX)  # beyond, one end is all there is
    levels, weights = levels[inside], weights[inside] / weights[inside].max()
    found = {
        (key, shift): _compare(weights, np.interp(levels - shift, wide, table)).difference
        for key, table in tables.items()
        for shift in np.linspace(-8, 8, 161).round(1)
    }
    still = min((k for k in found if k[1] == 0), key=found.get)
    moved = min(found, key=found.get)
    best = moved if found[moved] < found[still] / 3 else still
    return best[0], float(best[1]), found[best]


def _judged(objective, levels):
    """The levels or steps on which w may rise, and the relative error of p there."""
    if not isinstance(objective.levels, StepList):
        return levels, np.zeros(len(levels))
    steps, shares = objective.levels.steps[::-1], objective.levels.shares[::-1]
    drawn = objective.levels.n_draws
    errors = 1 / np.sqrt(drawn * shares) if drawn else np.zeros(len(shares))
    return steps[np.isfinite(steps)], errors[np.isfinite(steps)]


@lru_cache(maxsize=8)
def _galaxies_curve(low, high):
    truth = GaussianMixture.from_data(galaxies())
    moments = ErrorMoments.from_mixtures(truth, log_snr=np.linspace(low, high, 161))
    return ErrorCurve.from_mixtures(truth, log_snr=(low, high)), moments


# --- The command ----------------------------------------------------------------------------------


def main(arguments=None):
    """Print the report on what the command's arguments describe."""
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.audit", description=__doc__.split("\n")[0]
    )
    levels, add = parser.add_mutually_exclusive_group(required=True), parser.add_argument
    levels.add_argument("--betas", help=f"a file, or {', '.join(BETAS)} with ends after colons")
    levels.add_argument("--alpha-bars", help="a file of numbers")
    levels.add_argument("--sigmas", help="a file of numbers")
    levels.add_argument("--density", help=f"{', '.join(DENSITIES)}, with parameters after colons")
    add("--draws", help="a file of the steps that the loader drew")
    add("--shift", type=float, default=1.0, help="the time shift of SD3 and Flux")
    add("--prediction", default="epsilon", help=", ".join(SCRIPT_PREDICTIONS))
    factors = f"{', '.join(COEFFICIENTS)} with parameters after colons (min_snr:5)"
    add("--coefficient", default="1", help=f"a number, {factors}, or a file of one a step")
    add("--data-sd", type=float, default=1.0)
    add("--make-monotone", metavar="FILE", help="write coefficients that do")
    add("--picture", metavar="FILE", help="write the report as a PNG, too")
    given = parser.parse_args(arguments)
    try:
        objective = from_script(**_read(given))
        found = audit(objective)
        print(found)
        if given.picture:  # a command may draw; the module itself stays without matplotlib
            picture = import_module("course_utils.panels.weighting").report(found)
            png = picture._repr_mimebundle_()[0]["image/png"]
            Path(given.picture).write_bytes(png)
            print(f"the report as a picture: {given.picture}")
        if given.make_monotone:
            low, high = objective.implied_weighting().span
            w = made_monotone(objective.implied_weighting(), low, high)
            np.savetxt(given.make_monotone, coefficients(objective, w), fmt="%.9g")
            print(f"coefficients that make it monotone: {given.make_monotone}")
    except (ValueError, OSError) as error:
        parser.exit(2, f"{error}\n")


def _read(given):
    found = {"shift": given.shift, "prediction": given.prediction, "data_sd": given.data_sd}
    for key in ("betas", "density", "coefficient", "alpha_bars", "sigmas", "draws"):
        if words := getattr(given, key):
            path, always = Path(words), key in ("alpha_bars", "sigmas", "draws")
            if path.is_file() or always:  # numbers, one a line, or with commas
                text = path.read_text(encoding="utf-8").replace(",", " ")
                found[key] = np.array(text.split(), float)
            else:
                found[key] = from_words(words)
    return found


if __name__ == "__main__":
    main()
