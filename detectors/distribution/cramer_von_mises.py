"""Cramér-von Mises: the last values against a fixed reference by the mean squared distance, exact value by value."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

import numba
import numpy as np

from detectors.detector import (
    ALARMED,
    IGNORED,
    OBJECTS,
    SEEN,
    SINCE,
    Float64Array,
    Int64Array,
    Values,
    as_reference,
    demand,
    split,
)
from detectors.distribution.ascending import STEPS, Int32Array, cell_of, grid_of, guide_of
from detectors.distribution.window import FILLED, NEXT, Counting, middle_ranks

_OF_WINDOW, _OF_REFERENCE, _TIES, _RANKS = range(4)
"""Places in sums: four times the squared rank differences of the window and of the reference, twelve times what ties
in the window add to the former; the sum of the window's (doubled) ranks in the reference."""


@dataclass(frozen=True, slots=True)
class CramerVonMisesParams:
    """Parameters. reference: the healthy sample (at least 30 finite values). window: values looked back.
    threshold: alarm level of the statistic; large samples exceed 0.46 by chance in 5 % of looks, 1.17 in 0.1 %.
    min_effect: root mean squared distance of the distribution functions (0 to 0.57) below which there is no alarm."""

    reference: Values
    window: int = 500
    threshold: float = 3.0
    min_effect: float = 0.0

    def __post_init__(self) -> None:
        reference = as_reference(self.reference, 30)
        object.__setattr__(self, "reference", reference)
        demand(10 <= self.window <= 1_000_000, "window must be 10 to 1,000,000 values")
        demand(
            len(reference) * self.window * (len(reference) + self.window) < 2**50,
            "reference × window × (reference + window) must be under 2^50",
        )
        demand(isfinite(self.threshold) and self.threshold > 0, "threshold must be a number above 0")
        demand(isfinite(self.min_effect) and 0 <= self.min_effect < 0.6, "min_effect must be at least 0 and below 0.6")


class CramerVonMises(Counting):
    """The two-sample Cramér-von Mises test of a sliding window against a fixed reference.

    The statistic is the squared distance of the two empirical distribution functions, averaged over both samples and
    scaled by nm / (n + m): where Kolmogorov-Smirnov sees the largest distance it sees all of them, and finds a shift
    of the middle earlier. It equals scipy.stats.cramervonmises_2samp's, ties included: with R and S a value's middle
    rank in the other sample, it is a sum of R² and S² in integers, and a value in or out changes S of all that lie
    above it by one, a sum of prefixes that a Fenwick tree holds. There is no test before the window is full; an alarm
    empties it.

    Memory: 96 bytes × reference, plus 12 bytes × window, plus 8 KB.

    >>> import numpy as np
    >>> rng = np.random.default_rng(3)
    >>> detector = CramerVonMises(CramerVonMisesParams(reference=rng.normal(size=1000)))
    >>> int(detector.update_many(np.concatenate([rng.normal(size=2000), rng.normal(1.0, size=400)]))[0])
    2176

    Anderson: On the distribution of the two-sample Cramér-von Mises criterion. Ann. Math. Statist. 33 (1962),
    1148-1159. Fenwick: A new data structure for cumulative frequency tables. Softw. Pract. Exper. 24 (1994), 327-336.
    """

    name: ClassVar[str] = "cramer_von_mises"
    parameters: ClassVar[type[CramerVonMisesParams]] = CramerVonMisesParams

    def __init__(self, params: CramerVonMisesParams) -> None:
        self.params: CramerVonMisesParams = params
        reference = np.asarray(params.reference)
        n, m = params.window, len(reference)
        self._threshold = max(params.threshold, params.min_effect**2 * n * m / (n + m))
        self._points, self._weights = np.unique(reference, return_counts=True)
        self._grid = grid_of(self._points)
        self._guide = guide_of(self._points, self._grid)
        self._ranks = _ranks(self._weights)
        self._own = np.array([m, int((self._weights**3 - self._weights).sum())])
        self.counts = np.zeros(8, np.int64)
        self._sums = np.zeros(4, np.int64)
        self._tree = np.zeros((len(self._ranks) + 1, 2), np.int64)
        self._inside = np.zeros(len(self._ranks), np.int32)
        self._ring = np.zeros(n)
        self._cells = np.zeros(n, np.int32)
        self.reset()

    def _take(self, values: Float64Array) -> int:
        return int(
            _feed(
                self.counts, self._sums, self._points, self._guide, self._grid, self._ranks, self._own, self._tree,
                self._inside, self._ring, self._cells, self._threshold, values,
            )
        )  # fmt: skip

    def _since(self) -> int:
        return split(middle_ranks(self._points, self._weights, self.window_values()))

    def reset(self) -> None:
        _clear(self.counts, self._sums, self._tree, self._inside)

    @property
    def statistic(self) -> float:
        """The statistic T; 0 until the window is full."""
        return float(_statistic(self._sums, self._own, self.params.window)) if self.full else 0.0

    @property
    def threshold(self) -> float:
        """The larger of the two: the parameter, and what `min_effect` comes to."""
        return self._threshold

    @property
    def memory(self) -> int:
        return OBJECTS + 96 * len(np.asarray(self.params.reference)) + 16 * self.params.window + 8 * STEPS


def _ranks(weights: Int64Array) -> Int64Array:
    """Twice the number of reference values below each cell, plus those in it."""
    ranks = np.zeros(2 * len(weights) + 1, np.int64)
    below = np.concatenate(([0], np.cumsum(weights)))
    ranks[0::2] = 2 * below
    ranks[1::2] = below[:-1] + below[1:]
    return ranks


@numba.njit(cache=True)
def _clear(counts: Int64Array, sums: Int64Array, tree: Int64Array, inside: Int32Array) -> None:
    counts[ALARMED], counts[SINCE], counts[FILLED], counts[NEXT] = 0, 0, 0, 0
    sums[:] = 0
    tree[:] = 0
    inside[:] = 0


@numba.njit(cache=True)
def _ties(ring: Float64Array, filled: int, cell: int, others: int, value: float) -> int:
    """Of the `others` in a value's cell, those that equal it; what equals a reference value has a cell of its own."""
    if cell % 2 == 1 or others == 0:
        return others
    same = -1  # itself
    for k in range(filled):
        same += 1 if ring[k] == value else 0
    return same


@numba.njit(cache=True)
def _statistic(sums: Int64Array, own: Int64Array, n: int) -> float:
    """T, by scipy's steps: the sums are whole quarters, so they are exact."""
    m = own[0]
    both = n * ((sums[_OF_WINDOW] + sums[_TIES] // 3) / 4.0) + m * ((sums[_OF_REFERENCE] + own[1] // 3) / 4.0)
    product, pooled = n * m, n + m
    found: float = both / (product * pooled) - (4 * product - 1) / (6 * pooled)
    return found


@numba.njit(cache=True)
def _feed(
    counts: Int64Array,
    sums: Int64Array,
    points: Float64Array,
    guide: Int32Array,
    grid: Float64Array,
    ranks: Int64Array,
    own: Int64Array,
    tree: Int64Array,
    inside: Int32Array,
    ring: Float64Array,
    cells: Int32Array,
    threshold: float,
    values: Float64Array,
) -> int:
    window, size = len(ring), own[0]
    for i in range(len(values)):
        value = values[i]
        if not np.isfinite(value):
            counts[IGNORED] += 1
            continue
        if counts[ALARMED]:
            _clear(counts, sums, tree, inside)
        counts[SEEN] += 1
        at, filled = counts[NEXT], counts[FILLED]
        cell = cell_of(points, guide, grid, value)
        first = -1 if filled == window else 1
        for sign in range(
            first, 2, 2
        ):  # the value that leaves (-1), the one that comes (1): what the others make of it
            if sign > 0:
                ring[at] = value
                cells[at] = cell
                filled += 1
            k, itself = cells[at], 1 if sign < 0 else 0
            rank, others = ranks[k], inside[k] - itself
            equal = 0 if k % 2 == 0 else (ranks[k + 1] - ranks[k - 1]) // 2
            above = size - (rank + equal) // 2
            number, ranked = -itself, -itself * rank  # of the others in this cell or below
            place = k + 1
            while place > 0:
                number += tree[place, 0]
                ranked += tree[place, 1]
                place &= place - 1
            higher = sums[_RANKS] - itself * rank - ranked
            # S of what lies above grows by one, of what is equal by a half; here are sums of 2S over both
            over = 2 * above * number + 2 * size * (filled - 1 - number) - higher
            sums[_OF_REFERENCE] += sign * (4 * (over + above) + equal * (2 * (2 * number - others) + 1))
            ties = _ties(ring, filled, k, others, ring[at])
            sums[_OF_WINDOW] += sign * rank * rank
            sums[_TIES] += sign * 3 * ties * (ties + 1)
            sums[_RANKS] += sign * rank
            inside[k] += sign
            place = k + 1
            while place < len(tree):
                tree[place, 0] += sign
                tree[place, 1] += sign * rank
                place += place & -place
            if sign < 0:
                filled -= 1
        counts[FILLED] = filled
        counts[NEXT] = at + 1 if at + 1 < window else 0
        if filled == window and _statistic(sums, own, window) > threshold:
            counts[ALARMED] = 1
            return i
    return -1
