"""e(λ) and L(λ) of one-dimensional Gaussian mixtures: integrals over z, each with its error.

Given z, the noise ε is a mixture itself: its components have means s d_k/C_k and variances
a² v_k/C_k, where C_k = a² v_k + s² and d_k = z − a μ_k. So, with a and s for α and σ,

    e = E Var(ε|z) + E (ε̂_model − ε̂_truth)²       and       L = −½ log 2πe s² − E log p(z),

both expectations under the truth's q(z), integrated in cells two standard deviations wide around
every component of truth and model, halved where the responsibilities switch faster.
"""

from copy import copy
from dataclasses import dataclass, field, fields

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.polynomial import legendre
from numpy.typing import ArrayLike

from course_utils._checks import frozen, keep, require_increasing, require_range
from course_utils.mixtures import GaussianMixture
from course_utils.quadrature import Pieces, halved, interpolation_rules, legendre_series
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN, alpha, sigma

NODES, (*RULES, _), _ = interpolation_rules(24)
SERIES = legendre_series(len(NODES))[1]
PART = 2**16  # numbers in an array of nodes and components, above which nodes go by parts
FLOOR = np.array([1e-20, 1e-17])  # of both integrals over a cell; L is rounded by more
FAR = 40.0  # a component e^{−40} times as likely as the nearest plays no part
DEGREES, KEPT = 28, 22  # of the series on an interval of levels; the rest is the error
WIDEST, NARROWEST, MOST = 2.0, 1e-4, 1000  # of these intervals

Levels = Float[ndarray, " n"]


@np.errstate(under="ignore")  # far components
def expected(functions, truth, model, log_snr: Levels, tolerance=1e-10) -> Float[ndarray, "2 n 2"]:
    """Return two expectations at each level by a coarse rule and by a fine one.

    ``functions`` is ``error_and_kl`` or ``error_moments``; the rules differ by the error.
    """
    laws = [_Line(truth)] if truth is model else [_Line(truth), _Line(model)]
    a, s = alpha(log_snr), sigma(log_snr)
    some = max(1, PART // (40 * sum(len(law.means) for law in laws)))  # levels at a time
    parts = (slice(i, i + some) for i in range(0, len(a), some))
    found = [_of_some_levels(functions, laws, a[k], s[k], tolerance) for k in parts]
    return np.concatenate(found, axis=1)


def error_and_kl(entropy, of_truth, of_model):
    """Return what e and L average over z: E[(ε − ε̂)²|z] and −½ log 2πeσ² − log p(z)."""
    _, mean, variance, *_ = of_truth
    log_p, guess, *_ = of_model
    return variance + (mean - guess) ** 2, -entropy - log_p


def error_moments(_, of_truth, of_model):
    """Return E[(ε − ε̂)²|z] and E[(ε − ε̂)⁴|z] from the central moments of ε given z."""
    _, mean, second, third, fourth = of_truth
    off = mean - of_model[1]
    return second + off**2, fourth + 4 * third * off + 6 * second * off**2 + off**4


def _of_some_levels(functions, laws, a, s, tolerance):
    entropy = 0.5 * np.log(2 * np.pi * np.e * s**2)
    cells = [_cells(laws, *amplitudes) for amplitudes in zip(a, s, strict=True)]
    if len(a) == 1:  # as it is with many points
        laws = [laws[0].merged(a[0], s[0]), *laws[1:]]
    level = np.repeat(np.arange(len(a)), [len(of_level[0]) for of_level in cells])
    left, right, *more = (np.concatenate(x) for x in zip(*cells, strict=True))

    def rule(left, right, level, anchor, times):
        half = (right - left) / 2
        offset = (left + half)[:, None] + half[:, None] * NODES
        fourth = functions is error_moments
        given = [law.posterior(offset, anchor, a[level], s[level], fourth) for law in laws]
        f = np.stack(functions(entropy[level][:, None], given[0], given[-1]))
        both = np.einsum("mcn,rn,c->rcm", np.exp(given[0][0]) * f, RULES, half * times)
        return np.concatenate([both, both])  # f is smooth, two rules will do

    cells, total = (left, right, level, *more), np.zeros((2, len(a), 2))
    (_, _, level, *_), found = halved(rule, cells, max(tolerance, 1e-14), FLOOR)
    for which in (0, 1):
        np.add.at(total[which], level, found[which])
    return total


class _Line:
    """A mixture on the line, sorted, without duplicates and components of no weight."""

    def __init__(self, mixture):
        kept = mixture.weights > 0
        both = np.stack([mixture.means[kept, 0], mixture.variances[kept]])
        (self.means, self.variances), which = np.unique(both, axis=1, return_inverse=True)
        self.weights = np.bincount(which.ravel(), mixture.weights[kept])
        self.one_width = np.ptp(self.variances) == 0
        self.reach = FAR + np.log(self.weights.max() / self.weights.min())

    def merged(self, a, s):
        """The law as it looks through the blur: a few nodes in place of many points.

        Over two widths the kernel is a polynomial to 17 digits. So the many points of such a box
        act as their moments do, and so as nodes with the same moments, of weights of both signs.
        """
        if not self.one_width or len(self.means) <= len(NODES):
            return self
        width = 2 * np.sqrt(self.variances[0] + (s / a) ** 2)
        # where all lie in one blur, narrower ones: weights are rounded as far as their box is wide
        box = np.floor(self.means / min(width, np.ptp(self.means) / 8))
        _, first, count = np.unique(box, return_index=True, return_counts=True)
        left, right = self.means[first], self.means[first + count - 1]
        half, middle = (right - left) / 2, (right + left) / 2
        many = (count > len(NODES)) & (np.abs(middle) < 1e4 * half)  # nodes far off are rounded
        half, middle, inside = half[many], middle[many], np.repeat(many, count)
        x = (self.means[inside] - np.repeat(middle, count[many])) / np.repeat(half, count[many])
        moments = self.weights[inside, None] * legendre.legvander(x, len(NODES) - 1)
        moments = np.add.reduceat(moments, np.cumsum(count[many]) - count[many])
        means = np.append(self.means[~inside], middle[:, None] + half[:, None] * NODES)
        weights = np.append(self.weights[~inside], moments @ SERIES)
        order, law = np.argsort(means), copy(self)
        law.means, law.weights = means[order], weights[order]
        law.variances = np.full(len(means), self.variances[0])
        return law

    def posterior(self, offset, anchor, a, s, fourth):
        """Return log q(z), E[ε|z] and Var(ε|z) at z = a·anchor + offset [c, n], as [3, c, n].

        With ``fourth`` the third and fourth central moments of ε given z follow. Only offsets are
        ever formed: in z itself, what is narrow and far from 0 would be rounded away.
        """
        first, count = self._near(offset, anchor, a, s)
        found = np.empty((5 if fourth else 3, *offset.shape))
        order = np.argsort(count)
        count = count[order]
        while len(order):  # rows of about as many
            some = np.searchsorted(count, 2 * count[0], "right")
            some = min(some, max(1, PART // (offset.shape[1] * count[some - 1])))
            part, most = order[:some], count[some - 1]
            k = np.minimum(first[part], len(self.means) - most) + np.arange(most)[:, None]
            given = (x[part] for x in (anchor, a, s))
            found[:, part] = self._posterior(k, offset[part], *given, fourth)
            order, count = order[some:], count[some:]
        return found

    def _near(self, offset, anchor, a, s):
        """The first component that matters in each row, and how many do: all, or of one width."""
        n = len(self.means)
        if not self.one_width:
            return np.zeros(len(offset), int), np.full(len(offset), n)
        x = anchor[:, None] + offset[:, [0, -1]] / a[:, None]
        right = np.clip(np.searchsorted(self.means, x), 1, n - 1)
        nearest = np.minimum(np.abs(x - self.means[right - 1]), np.abs(x - self.means[right]))
        spread = self.variances[0] + (s / a)[:, None] ** 2
        reach = np.sqrt(nearest**2 + 2 * spread * self.reach)
        first = np.searchsorted(self.means, (x - reach)[:, 0])
        return first, np.searchsorted(self.means, (x + reach)[:, 1], "right") - first

    def _posterior(self, k, offset, anchor, a, s, fourth):
        spread = a**2 * self.variances[k] + s**2  # [k, c]
        away = a * (self.means[k] - anchor)
        r = offset - away[..., None]  # [k, c, n]
        r *= r
        r *= (-0.5 / spread)[..., None]
        top = r.max(axis=0)
        np.exp(np.subtract(r, top, out=r), out=r)
        weights = self.weights[k] / np.sqrt(spread)
        largest = weights.max(axis=0)
        r *= (weights / largest)[..., None]
        total = r.sum(axis=0)
        # E[ε|z, k] without what all components share, or their differences would be rounded
        slope = s / spread
        u = offset * (slope - slope[0])[..., None]
        u -= (slope * away)[..., None]
        mean = np.einsum("kcn,kcn->cn", r, u) / total
        u -= mean
        v = (a**2 * self.variances[k] / spread)[..., None]  # Var(ε|z, k)
        u2 = u * u
        higher = [u * (u2 + 3 * v), (u2 + 6 * v) * u2 + 3 * v**2] if fourth else []
        u2 += v
        moments = [np.einsum("kcn,kcn->cn", r, x) / total for x in (u2, *higher)]
        log_q = top + np.log(total) + np.log(largest / np.sqrt(2 * np.pi))[:, None]
        return log_q, mean + slope[0][:, None] * offset, *moments


def _cells(laws, a, s):
    """(left, right, anchor) of the cells at one level, as offsets from a·anchor, a component."""
    edges, runs = [], []
    for law in laws:
        for variance in np.unique(law.variances):
            means = law.means[law.variances == variance]
            times = np.ones(len(means))
            sd = np.sqrt(a**2 * variance + s**2)
            if sd < 5e-13 * np.abs(a * means).max():
                raise ValueError(
                    f"a component of width {sd:.0e} at {np.abs(a * means).max():.3g} "
                    "cannot be resolved in float64: take lower levels"
                )
            if len(laws) == 1 and law.one_width:
                # what has no neighbour in reach is alike but for its weight: one serves for all
                far = np.diff(a * means, prepend=-np.inf, append=np.inf) > 24 * sd
                alike = np.where(far[1:] & far[:-1], law.weights, -np.arange(len(means)))
                _, kept, times = np.unique(alike, return_index=True, return_counts=True)
                order = np.argsort(kept)
                means, times = means[kept[order]], times[order]
            width = 2 * sd
            index = np.unique(np.rint(a * means / width))
            index = np.unique(index[:, None] + np.arange(-5, 6))
            edges.append(width * index)
            if law is laws[0]:  # only where the truth has mass
                gap = np.flatnonzero(np.diff(index) > 1)
                start, stop = index[np.append(0, gap + 1)], index[np.append(gap, -1)]
                first = np.searchsorted(a * means, width * start)
                runs.append((width * start, width * stop, means[first], times[first]))
    edges = np.unique(np.concatenate(edges))
    middle = (edges[1:] + edges[:-1]) / 2
    anchor, times = np.full((2, len(middle)), np.nan)
    for start, stop, *of_run in reversed(runs):  # the narrowest last: it needs its own anchor most
        run = np.searchsorted(start, middle) - 1
        inside = (run >= 0) & (middle < stop[run])
        anchor[inside], times[inside] = (x[run[inside]] for x in of_run)
    kept = np.isfinite(anchor)
    left, right, anchor, times = (x[kept] for x in (edges[:-1], edges[1:], anchor, times))
    return left - a * anchor, right - a * anchor, anchor, times


# --- Tables over λ --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Table:
    """Two functions of λ at the same increasing levels, at least 6: what curves have in common.

    Between the levels go the polynomials of ``pieces``, those that ``from_mixtures`` has made, or a
    spline of degree 5 through the table. ``bound`` says how far either may be off: of a spline, its
    distance from the one through every second level.
    """

    log_snr: Levels
    pieces: Pieces | None = field(default=None, repr=False, kw_only=True)

    def __post_init__(self):
        levels = require_increasing("log_snr", self.log_snr, least=6)
        names = [f.name for f in fields(self) if f.name not in ("log_snr", "pieces")]
        table = {name: frozen(getattr(self, name)) for name in names}
        exact = self.pieces is not None
        pieces = self.pieces or Pieces.through(levels, np.stack([*table.values()], axis=1))
        keep(self, **table, log_snr=levels, pieces=pieces, exact=exact)

    @classmethod
    def from_mixtures(cls, truth, model=None, x=None, log_snr=None, tolerance=1e-10):
        """Return what data from ``truth`` have under the ideal denoiser of ``model``, exactly.

        Both are a ``GaussianMixture`` in one dimension; without a model it is the truth itself.
        With ``x`` it belongs to that one data point, otherwise it is the average over the truth.
        ``log_snr``: increasing levels of the table, at least 6, or the two ends of 161; [−10, 10]
        if left out.

        Both functions hold to about ``tolerance`` times their size nearby, L to rounding at best,
        between the levels too. Raises ``ValueError`` where they cannot.
        """
        truth, model = on_the_line(truth, model, x)
        levels = table_levels(log_snr)
        pieces = _pieces(cls.functions, truth, model, levels[0], levels[-1], tolerance)
        return cls(levels, *pieces(levels)[0], pieces=pieces)

    @property
    def bound(self) -> float:
        """How far either function may be off, at any level of the range."""
        return float(np.abs(self.pieces.value - self.pieces.other).sum(axis=1).max())

    def at(self, log_snr: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
        """Return both functions at levels inside the table."""
        return tuple(self.pieces(self.inside(log_snr))[0])

    def inside(self, log_snr: ArrayLike):
        """Return the levels as an array, or raise ``ValueError`` where they leave the table."""
        levels, (low, high) = np.asarray(log_snr, dtype=float), self.log_snr[[0, -1]]
        rounding = 1e-9  # a schedule's λ(0) and λ(1) may miss its range by that much
        if not ((levels >= low - rounding) & (levels <= high + rounding)).all():
            raise ValueError(
                f"levels from {levels.min():g} to {levels.max():g} leave the tabulated range "
                f"[{low:g}, {high:g}]"
            )
        return levels


def table_levels(log_snr):
    """Return levels for a table: those given, or 161 between the two given, or on [−10, 10]."""
    levels = (LOG_SNR_MIN, LOG_SNR_MAX) if log_snr is None else log_snr
    levels = np.linspace(*require_range(*levels), 161) if len(levels) == 2 else levels
    return require_increasing("log_snr", levels, least=6)


def on_the_line(truth, model, x):
    """Return (truth, model) in one dimension: with x the one point, without a model the truth."""
    model = truth if model is None else model
    truth = truth if x is None else GaussianMixture([1.0], np.reshape(x, (1, 1)), [0.0])
    if truth.dim != 1 or model.dim != 1:
        raise ValueError(f"exact curves need one dimension, got d = {truth.dim} and {model.dim}")
    return truth, model


def _pieces(functions, truth, model, low, high, tolerance):
    """Both integrals from level ``low`` to ``high`` as ``Pieces``.

    Intervals are halved until the last coefficients, which the value leaves out, are small.
    """
    nodes, series = legendre_series(DEGREES)
    edges = np.linspace(low, high, int(np.ceil((high - low) / WIDEST)) + 1)
    left, right, done, tried = edges[:-1], edges[1:], [], 0
    while len(left):
        middle, half = (left + right) / 2, (right - left) / 2
        levels = middle[:, None] + half[:, None] * nodes
        found = expected(functions, truth, model, levels.ravel(), tolerance)
        coarse, fine = series @ found.reshape(2, len(left), DEGREES, 2)
        coarse[:, KEPT:] = 0
        wanted = max(tolerance, 1e-14) * np.abs(fine).sum(axis=1) + [1e-16, 1e-13]  # rounding
        tried += len(left)
        bad = (np.abs(fine[:, KEPT:]).sum(axis=1) > wanted).any(axis=1)
        bad &= (half > NARROWEST) & (tried < MOST)
        done.append([x[~bad] for x in (left, right, coarse, fine)])
        left, right = np.append(left[bad], middle[bad]), np.append(middle[bad], right[bad])
    left, right, coarse, fine = (np.concatenate(x) for x in zip(*done, strict=True))
    sizes = [(right - left) @ np.abs(f).sum(axis=1) for f in (coarse - fine, fine)]
    rounding = np.array([0, 1e-13]) * (high - low)  # L is a difference of numbers about 1
    if (sizes[0] > 10 * tolerance * sizes[1] + rounding).any():
        best = (sizes[0] / sizes[1]).max()
        raise ValueError(
            f"e and L cannot be computed to {tolerance:.0e} here: tolerance={best:.0e} can, or "
            "data in units near their spread"
        )
    order = np.argsort(left)
    return Pieces(np.append(left[order], high), coarse[order], fine[order])
