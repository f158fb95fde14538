"""Integrals that know their error: each is computed twice, and the value whose error is seen kept.

A rule of few nodes is compared with one of many. Their difference is the error of the first, up to
the far smaller one of the second; so the first is returned, with the difference as its bound. Where
the two differ by more than is wanted, the cell is halved.
"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre
from scipy.interpolate import make_interp_spline


class Bounded(float):
    """A number that knows its error: the truth lies within ``bound`` of it."""

    def __new__(cls, value, bound):
        number = super().__new__(cls, value)
        number.bound = float(bound)
        return number

    def __getnewargs__(self):  # for copies and pickles
        return float(self), self.bound


def interpolation_rules(n):
    """Return n + 1 points on [−1, 1], [3, n + 1] weights W and [3, n + 1, n] weights M.

    ∫ f dx ≈ Σ_i W_i f(x_i), and ∫ f dg ≈ Σ_ij f(x_i) M_ij Δ_j g from the increments of g alone.
    Both integrate polynomials through the points: the first W and M use every second of them, the
    second all, the third the others and the ends.
    """
    points, every = legendre_series(n + 1)[0], np.arange(n + 1)
    of_values, of_steps = np.zeros((3, n + 1)), np.zeros((3, n + 1, n))
    for rule, used in enumerate((every[::2], every, np.unique([0, *every[1::2], n]))):
        k = np.arange(len(used))
        series = np.linalg.inv(legendre.legvander(points[used], len(used) - 1))
        of_values[rule, used] = 2 * series[0]  # ∫ P_0 dx = 2
        products = 2.0 * ((k > k[:, None]) & ((k - k[:, None]) % 2 == 1))  # ∫ P_a P_b' dx
        by_value = series.T @ products @ series  # of g
        by_step = np.cumsum(by_value[:, ::-1], axis=1)[:, -2::-1]
        of_steps[rule, used] = np.repeat(by_step, np.diff(used), axis=1)
    return points, of_values, of_steps


def halved(rule, cells, tolerance, floor=0.0, cuts=(), least=2e-13, most=200_000):
    """Return (cells, integrals) once the cells are halved so far that the rules agree.

    ``cells`` is (left [c], right [c], group [c], …); ``rule(*cells)`` gives [r, c, m] for m
    integrands: a coarse, a fine and a third integral over each cell, what else is wanted, and last
    a size. A cell is done when coarse and third differ from fine by less than ``tolerance`` times
    the sizes in its group, times its share of the group's width (or a thousandth, if that is more);
    by less than ``floor``; or when it is narrower than ``least``. A cell with one of the increasing
    ``cuts`` inside is halved there. After ``most`` cells nothing is halved any more.
    """
    parts, done, tried, cuts = cells, [], 0, np.append(cuts, np.inf)
    while len(parts[0]):
        left, right, group = parts[:3]
        found = rule(*parts)
        if not done:
            size = np.abs([np.bincount(group, f) for f in found[-1].T]).T
            total = np.bincount(group, right - left)
        share = np.maximum((right - left) / total[group], 1e-3)[:, None]
        wrong = np.abs(found[[0, 2]] - found[1]) > tolerance * size[group] * share + floor
        tried += len(left)
        bad = wrong.any(axis=(0, 2)) & (right - left > least) & (tried < most)
        cut = cuts[np.searchsorted(cuts, left, "right")]
        bad |= cut < right
        done.append((*(x[~bad] for x in parts), found[:, ~bad]))
        middle = np.where(cut < right, cut, (left + right) / 2)[bad]
        parts = [np.concatenate([x[bad], x[bad]]) for x in parts]
        parts[0][len(middle) :] = parts[1][: len(middle)] = middle
    *cells, found = zip(*done, strict=True)
    return [np.concatenate(x) for x in cells], np.concatenate(found, axis=1)


@dataclass(frozen=True, eq=False)
class Pieces:
    """Functions that are polynomials on neighbouring intervals, [m, p, k] Legendre coefficients.

    ``value`` is what is given out; its difference from ``other`` is what is known of its error.
    """

    edges: np.ndarray
    value: np.ndarray
    other: np.ndarray

    @classmethod
    def through(cls, x, y):
        """Return the spline of degree 5 through a table y [n, k] at x [n], n ≥ 6.

        The other estimate is the spline through every second row.
        """
        half = np.append(np.arange(0, len(x) - 1, 2), len(x) - 1)
        middle, width = (x[1:] + x[:-1]) / 2, np.diff(x) / 2
        nodes, series = legendre_series(6)
        at = middle[:, None] + width[:, None] * nodes
        splines = (
            make_interp_spline(x, y, k=5),
            make_interp_spline(x[half], y[half], k=5 if len(half) > 5 else 3),
        )
        return cls(x, *(series @ spline(at) for spline in splines))

    def only(self, k):
        """Return the pieces of function k alone."""
        return Pieces(self.edges, self.value[..., [k]], self.other[..., [k]])

    def __call__(self, x, piece=None):
        """Return (value, other) at x of any shape, [2, k, …]; ``piece`` says in which intervals."""
        if piece is None:
            piece = np.clip(np.searchsorted(self.edges, x, "right") - 1, 0, len(self.value) - 1)
        low, high = self.edges[piece], self.edges[piece + 1]
        u = (2 * x - low - high) / (high - low)
        basis = legendre.legvander(u, self.value.shape[1] - 1)[..., None, :]  # […, 1, p]
        found = basis @ np.stack([self.value, self.other])[:, piece]  # [2, …, 1, k]
        return np.moveaxis(found[..., 0, :], -1, 1)


def legendre_series(n):
    """Return n points on [−1, 1] and the [n, n] matrix from values there to Legendre coefficients.

    Chebyshev's points, ends included: of all, they pass on the least of the values' rounding.
    """
    points = -np.cos(np.pi * np.arange(n) / (n - 1))
    return points, np.linalg.inv(legendre.legvander(points, n - 1))
