"""How well a loss can be estimated: the variance of one draw, and the densities that lower it.

One draw of L_w = ½ ∫ w e dλ is ½ w(λ)/p(λ) ‖ε − ε̂‖² with λ from the sampling density p. Its mean
does not depend on p; its variance does, through the second moment of the squared error.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from course_utils._checks import frozen, keep, require_increasing, require_range
from course_utils.exact import Table, error_moments
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN, Schedule, sigma
from course_utils.weightings import evaluate

CELLS = 20_000  # of the midpoint rule, over all levels of the table


@dataclass(frozen=True, eq=False)
class ErrorMoments(Table):
    """E‖ε − ε̂‖² and E‖ε − ε̂‖⁴, ``mean`` and ``second``, tabulated like an ``ErrorCurve``."""

    mean: ArrayLike
    second: ArrayLike
    functions = staticmethod(error_moments)

    def at(self, log_snr: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
        """Return (E‖ε − ε̂‖², E‖ε − ε̂‖⁴), neither below 0, at levels inside the table."""
        return tuple(np.maximum(moment, 0.0) for moment in super().at(log_snr))


@dataclass(frozen=True, eq=False)
class DensitySchedule(Schedule):
    """The schedule whose uniform t samples levels with a given density p(λ).

    ``levels`` [n] increase; ``heights`` [n] ≥ 0 need not be normalised. Between two levels p is
    constant (the mean of its ends). The time of a level outside is NaN. Raises ``ValueError`` for
    heights that are negative, or zero between two levels.
    """

    levels: ArrayLike
    heights: ArrayLike

    def __post_init__(self):
        levels, heights = require_increasing("levels", self.levels), frozen(self.heights)
        cells = np.diff(levels) * (heights[:-1] + heights[1:]) / 2
        fits = heights.shape == levels.shape and (heights >= 0).all()
        if not (fits and (cells > 1e-30 * cells.sum()).all()):
            raise ValueError("a sampling density must be finite and positive: no level may be lost")
        share = np.concatenate([[0.0], np.cumsum(cells)])  # of the draws that fall below a level
        density = cells / share[-1] / np.diff(levels)  # not np.diff(share): the tails would be lost
        keep(self, levels=levels, heights=heights, _share=share / share[-1], _density=density)
        super().__post_init__()

    def level(self, u):
        return np.interp(1 - u, self._share, self.levels)

    def clock(self, log_snr):
        return 1 - np.interp(log_snr, self.levels, self._share, left=np.nan, right=np.nan)

    def rate(self, u):
        return sigma(self.level(u)) ** 2 / self._whole_density(self.level(u))

    def _whole_density(self, log_snr):
        return self._density[np.searchsorted(self.levels[1:-1], log_snr, "right")]

    def _require_agreement(self):
        """They do, but for the kinks of λ(u)."""


def adaptive_schedule(w, moments):
    """Return the schedule that samples levels in proportion to w(λ) E‖ε − ε̂‖².

    Kingma & Gao 2023 do so with a running average of the loss in bins of λ. Its levels, and those
    of ``optimal_schedule``, are those of the table of ``moments``.
    """
    levels = np.linspace(*moments.log_snr[[0, -1]], 4001)
    return DensitySchedule(levels, evaluate(w, levels) * moments.at(levels)[0])


def optimal_schedule(w, moments):
    """Return the schedule of least variance: it samples in proportion to w(λ) √(E‖ε − ε̂‖⁴)."""
    levels = np.linspace(*moments.log_snr[[0, -1]], 4001)
    return DensitySchedule(levels, evaluate(w, levels) * np.sqrt(_both(moments, levels)[1]))


def draw_variance(w, moments, schedule):
    """Return the variance of one draw ½ w/p ‖ε − ε̂‖² of L_w, λ sampled by the schedule.

    Equation: ¼ ∫ w² E‖ε − ε̂‖⁴/p dλ − L_w², over the schedule's finite range, by the midpoint rule.
    n independent draws have a standard error of √(variance/n).
    """
    levels, width, loss, root = _cells(w, moments, schedule.log_snr_min, schedule.log_snr_max)
    return float(np.sum(root**2 / schedule.density(levels) * width) / 4 - loss**2)


def least_variance(w, moments, log_snr_min=LOG_SNR_MIN, log_snr_max=LOG_SNR_MAX):
    """Return the variance of one draw under the optimal density: the least that any p can have.

    Equation: (½ ∫ w √(E‖ε − ε̂‖⁴) dλ)² − L_w², by Cauchy–Schwarz.
    """
    _, width, loss, root = _cells(w, moments, log_snr_min, log_snr_max)
    return float((np.sum(root * width) / 2) ** 2 - loss**2)


def _cells(w, moments, low, high):
    """The middles of the cells between two levels, their widths, L_w, and w √(E‖ε − ε̂‖⁴) there."""
    edges, *both = _whole(moments)
    low, high = require_range(*moments.inside([low, high]))
    first, last = np.searchsorted(edges[1:-1], low, "right"), np.searchsorted(edges[1:], high)
    edges = np.clip(edges[first : last + 2], low, high)
    levels, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    mean, second = (moment[first : last + 1] for moment in both)
    weight = evaluate(w, levels)
    return levels, width, np.sum(weight * mean * width) / 2, weight * np.sqrt(second)


@lru_cache(maxsize=8)
def _whole(moments):
    """The edges of the cells of the whole table, and both moments in the cells' middles."""
    edges = np.linspace(*moments.log_snr[[0, -1]], CELLS + 1)
    return frozen(edges), *map(frozen, _both(moments, (edges[1:] + edges[:-1]) / 2))


def _both(moments, levels):
    """E‖ε − ε̂‖² and E‖ε − ε̂‖⁴ at levels."""
    if not isinstance(moments, ErrorMoments):  # an ErrorCurve has L in the second place
        kind = type(moments).__name__
        raise ValueError(f"moments are ErrorMoments.from_mixtures(…), with E‖ε − ε̂‖⁴, not {kind}")
    return moments.at(levels)
