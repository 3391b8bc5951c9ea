"""Windowed Kolmogorov-Smirnov: the last values against a fixed reference, kept exact value by value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import e, exp, gcd, isfinite, log, sqrt
from typing import Any, ClassVar

import numba
import numpy as np
import numpy.typing as npt

from detectors.detector import (
    ALARMED,
    IGNORED,
    OBJECTS,
    SEEN,
    SINCE,
    Detector,
    Float64Array,
    Int64Array,
    State,
    Values,
    as_reference,
    demand,
    finite,
    split,
)
from detectors.snapshot import SnapshotError

Int32Array = npt.NDArray[np.int32]

_FILLED, _NEXT, _SPARE = 4, 5, 6  # places in counts: values in the window, where the next goes, values without a look
_GUIDE = 2048  # even steps between the least and the largest reference value, to begin a search in
_BLOCK = 64  # cells summed together
_TOTAL, _HIGH, _LOW, _STALE = range(4)  # of a block: sum, largest and smallest sum of a prefix, whether to sum anew


@dataclass(frozen=True, slots=True)
class WindowedKSParams:
    """Parameters. reference: the healthy sample (at least 30 finite values). window: values looked back.
    threshold: alarm level of the KS distance, 0 to 1."""

    reference: Values
    window: int = 500
    threshold: float = 0.2

    def __post_init__(self) -> None:
        reference = as_reference(self.reference, 30)
        object.__setattr__(self, "reference", reference)
        demand(self.window >= 10, "window must be at least 10 values")
        demand(len(reference) * self.window < 2**30, "reference × window must be under 2^30 values")
        demand(isfinite(self.threshold) and 0 < self.threshold <= 1, "threshold must lie above 0 and be at most 1")


class WindowedKS(Detector):
    """The two-sample Kolmogorov-Smirnov test of a sliding window against a fixed reference.

    The statistic is the largest distance between the two empirical distribution functions, ties included, equal to
    scipy.stats.ks_2samp's to the last bit. The values of the reference and the gaps between them are cells; a value in
    and a value out move no distance by more than one value's weight, so while the largest distance is k such steps
    below the threshold, k values need only be counted; then the blocks of cells that they touched are summed anew.
    There is no test before the window is full; an alarm empties it.

    Memory: 24 bytes × distinct reference values, plus 12 bytes × window, plus 8 KB, plus the reference.

    >>> import numpy as np
    >>> rng = np.random.default_rng(3)
    >>> detector = WindowedKS(WindowedKSParams(reference=rng.normal(size=1000)))
    >>> int(detector.update_many(np.concatenate([rng.normal(size=2000), rng.normal(1.0, size=400)]))[0])
    2231

    dos Reis et al.: Fast unsupervised online drift detection using incremental Kolmogorov-Smirnov test. KDD 2016.
    """

    name: ClassVar[str] = "windowed_ks"
    parameters: ClassVar[type[WindowedKSParams]] = WindowedKSParams

    def __init__(self, params: WindowedKSParams) -> None:
        self.params: WindowedKSParams = params
        reference = np.asarray(params.reference)
        self._points, self._weights = np.unique(reference, return_counts=True)
        self._divisor = gcd(len(reference), params.window)
        self._common = len(reference) * params.window // self._divisor
        spread = float(self._points[-1] - self._points[0])
        self._grid = np.array([self._points[0], _GUIDE / spread if 0 < spread < 1e300 else 0.0])
        self._guide = _guide(self._points, self._grid)
        self.counts = np.zeros(8, np.int64)
        self._ring = np.zeros(params.window)
        self._slots = np.zeros(params.window, np.int32)
        self._cells = np.zeros(2 * len(self._points) + 1, np.int32)
        self._blocks = np.zeros((-(-len(self._cells) // _BLOCK), 4), np.int32)
        self.reset()

    def _feed(self, values: Float64Array) -> int:
        found = int(
            _feed(
                self.counts, self._points, self._guide, self._grid, self._weights, self._ring, self._slots,
                self._cells, self._blocks, self._divisor, self._common, self.params.threshold, values,
            )
        )  # fmt: skip
        if found >= 0:
            self.counts[SINCE] = self._since()
        return found

    def _since(self) -> int:
        """Values since the split of the window that parts the ranks in the reference best."""
        window = self.window_values()
        points = np.concatenate(([0], np.cumsum(self._weights)))
        below = points[np.searchsorted(self._points, window, side="left")]
        upto = points[np.searchsorted(self._points, window, side="right")]
        ranks = (below + upto).astype(np.float64)
        return split(ranks)

    def window_values(self) -> Float64Array:
        """The values in the window, oldest first; a copy."""
        filled, at = int(self.counts[_FILLED]), int(self.counts[_NEXT])
        return np.roll(self._ring, -at) if filled == len(self._ring) else self._ring[:filled].copy()

    def reset(self) -> None:
        _clear(self.counts, self._weights, self._cells, self._blocks, self.params.window)

    @property
    def statistic(self) -> float:
        """The KS distance; 0 until the window is full."""
        if self.counts[_FILLED] < self.params.window:
            return 0.0
        return float(_largest(self._cells, self._blocks) // self._divisor / self._common)

    @property
    def threshold(self) -> float:
        return self.params.threshold

    @property
    def memory(self) -> int:
        size = np.asarray(self.params.reference).nbytes
        return OBJECTS + 5 * size + 16 * self.params.window + 8 * _GUIDE

    def state(self) -> State:
        counts = self.counts.copy()
        counts[_SPARE] = 0  # how far the kernel looks ahead is no part of the state
        return {"counts": counts, "ring": self._ring}

    def load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        counts, ring = self.counts.copy(), self._ring.copy()
        self._load_array(state, "counts", counts)
        self._load_array(state, "ring", ring)
        filled, at = int(counts[_FILLED]), int(counts[_NEXT])
        window = len(ring)
        if not (0 <= filled <= window and 0 <= at < window and finite(ring) and filled in (window, at)):
            raise SnapshotError("the state of windowed_ks is not one that can be: window out of bounds")
        self.reset()
        self.counts[:] = counts
        self.counts[_SPARE] = 0
        self._ring[:] = ring
        _recount(filled, self._points, self._guide, self._grid, self._weights, self._ring, self._slots, self._cells)


@numba.njit(cache=True)
def _step(grid: Float64Array, value: float) -> int:
    """The step of the guide that a value falls in; it rises with the value."""
    place: int = int(min(max((value - grid[0]) * grid[1], 0.0), _GUIDE - 1.0))
    return place


@numba.njit(cache=True)
def _guide(points: Float64Array, grid: Float64Array) -> Int32Array:
    """Where the reference values of each step begin: of step s they are guide[s] to guide[s + 1] - 1."""
    guide = np.zeros(_GUIDE + 1, np.int32)
    for j in range(len(points)):
        guide[_step(grid, points[j]) + 1] += 1
    for step in range(_GUIDE):
        guide[step + 1] += guide[step]
    return guide


@numba.njit(cache=True)
def _slot(points: Float64Array, guide: Int32Array, grid: Float64Array, value: float) -> int:
    """The cell of a value: 2j + 1 for the j-th reference value itself, 2j for the gap before it."""
    step = _step(grid, value)
    low, high = guide[step], guide[step + 1]
    while low < high:
        middle = (low + high) >> 1
        if points[middle] < value:
            low = middle + 1
        else:
            high = middle
    found: int = 2 * low + (1 if low < len(points) and points[low] == value else 0)
    return found


@numba.njit(cache=True)
def _clear(counts: Int64Array, weights: Int64Array, cells: Int32Array, blocks: Int32Array, window: int) -> None:
    """The empty window: each cell holds its reference count × window; values will take × reference size off."""
    counts[ALARMED], counts[SINCE], counts[_FILLED], counts[_NEXT], counts[_SPARE] = 0, 0, 0, 0, 0
    cells[:] = 0
    for j in range(len(weights)):
        cells[2 * j + 1] = weights[j] * window
    blocks[:, _STALE] = 1


@numba.njit(cache=True)
def _recount(
    filled: int,
    points: Float64Array,
    guide: Int32Array,
    grid: Float64Array,
    weights: Int64Array,
    ring: Float64Array,
    slots: Int32Array,
    cells: Int32Array,
) -> None:
    size = weights.sum()
    for i in range(filled):
        slots[i] = _slot(points, guide, grid, ring[i])
        cells[slots[i]] -= size


@numba.njit(cache=True)
def _largest(cells: Int32Array, blocks: Int32Array) -> int:
    """The largest absolute sum of a prefix of the cells: the distance × reference size × window."""
    total, high, low = 0, 0, 0
    for k in range(len(blocks)):
        if blocks[k, _STALE]:
            inside, top, bottom = 0, -(2**31 - 1), 2**31 - 1
            for cell in range(k * _BLOCK, min(len(cells), (k + 1) * _BLOCK)):
                inside += cells[cell]
                top = max(top, inside)
                bottom = min(bottom, inside)
            blocks[k, _TOTAL], blocks[k, _HIGH], blocks[k, _LOW], blocks[k, _STALE] = inside, top, bottom, 0
        high = max(high, total + blocks[k, _HIGH])
        low = min(low, total + blocks[k, _LOW])
        total += blocks[k, _TOTAL]
    return max(high, -low)


@numba.njit(cache=True)
def _feed(
    counts: Int64Array,
    points: Float64Array,
    guide: Int32Array,
    grid: Float64Array,
    weights: Int64Array,
    ring: Float64Array,
    slots: Int32Array,
    cells: Int32Array,
    blocks: Int32Array,
    divisor: int,
    common: int,
    threshold: float,
    values: Float64Array,
) -> int:
    window = len(ring)
    size = common * divisor // window
    at, filled, spare = counts[_NEXT], counts[_FILLED], counts[_SPARE]
    for i in range(len(values)):
        value = values[i]
        if not np.isfinite(value):
            counts[IGNORED] += 1
            continue
        if counts[ALARMED]:
            _clear(counts, weights, cells, blocks, window)
            at, filled, spare = 0, 0, 0
        counts[SEEN] += 1
        slot = _slot(points, guide, grid, value)
        if filled == window:
            old = slots[at]
            cells[old] += size
            blocks[old // _BLOCK, _STALE] = 1
        else:
            filled += 1
        cells[slot] -= size
        blocks[slot // _BLOCK, _STALE] = 1
        ring[at] = value
        slots[at] = slot
        at = at + 1 if at + 1 < window else 0
        spare -= 1
        if filled == window and spare < 0:
            largest = _largest(cells, blocks)
            if largest // divisor / common > threshold:
                counts[ALARMED] = 1
                counts[_NEXT], counts[_FILLED], counts[_SPARE] = at, filled, 0
                return i
            # one step less than there are, against rounding
            spare = max(0, int((threshold * common * divisor - largest) / size) - 1)
    counts[_NEXT], counts[_FILLED], counts[_SPARE] = at, filled, max(spare, 0)
    return -1


def ks_distance(first: Values, second: Values) -> float:
    """The two-sample KS distance of two samples of finite values; 0 where one is empty."""
    one, two = np.sort(np.asarray(first, np.float64)), np.sort(np.asarray(second, np.float64))
    if not len(one) or not len(two):
        return 0.0
    both = np.concatenate([one, two])
    gaps = np.searchsorted(one, both, side="right") / len(one) - np.searchsorted(two, both, side="right") / len(two)
    return float(np.abs(gaps).max())


def ks_bound(distance: float, first: int, second: int) -> float:
    """An upper bound of the p-value of a distance between samples of these sizes.

    The Dvoretzky-Kiefer-Wolfowitz inequality for two samples, with the constant e that holds for all sizes:
    Wei, Dudley: Two-sample Dvoretzky-Kiefer-Wolfowitz inequalities. Statist. Probab. Lett. 82 (2012), 636-644.
    """
    return min(1.0, e * exp(-2.0 * distance * distance * first * second / (first + second)))


def ks_distance_at(bound: float, first: int, second: int) -> float:
    """The distance whose `ks_bound` is this: it is exceeded with at most that probability."""
    return sqrt(log(e / bound) * (first + second) / (2.0 * first * second))
