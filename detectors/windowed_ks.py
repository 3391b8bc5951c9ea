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

_FILLED, _NEXT = 4, 5  # places in counts: values in the window, where the next one goes


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
    scipy.stats.ks_2samp's to the last bit. The values of the reference and the gaps between them are the leaves of a
    tree of sums with their largest and smallest prefix, so one value costs two paths of log2(2 × reference). There is
    no test before the window is full; an alarm empties it.

    Memory: 16 bytes × the next power of two above 2 × distinct reference values, plus 12 bytes × window.

    >>> import numpy as np
    >>> rng = np.random.default_rng(3)
    >>> detector = WindowedKS(WindowedKSParams(reference=rng.normal(size=1000)))
    >>> int(detector.update_many(np.concatenate([rng.normal(size=2000), rng.normal(1.0, size=400)]))[0])
    2231

    dos Reis et al.: Fast unsupervised online drift detection using incremental Kolmogorov-Smirnov test. KDD 2016.
    """

    name: ClassVar[str] = "windowed_ks"

    def __init__(self, params: WindowedKSParams) -> None:
        self.params: WindowedKSParams = params
        reference = np.asarray(params.reference)
        self._points, self._weights = np.unique(reference, return_counts=True)
        self._leaves = 1 << int(2 * len(self._points)).bit_length()
        self._divisor = gcd(len(reference), params.window)
        self._common = len(reference) * params.window // self._divisor
        self.counts = np.zeros(8, np.int64)
        self._ring = np.zeros(params.window)
        self._slots = np.zeros(params.window, np.int32)
        self._sums = np.zeros(2 * self._leaves, np.int32)
        self._highs = np.zeros(self._leaves, np.int32)
        self._lows = np.zeros(self._leaves, np.int32)
        self.reset()

    def _feed(self, values: Float64Array) -> int:
        found = int(
            _feed(
                self.counts, self._points, self._weights, self._ring, self._slots, self._sums, self._highs,
                self._lows, self._divisor, self._common, self.params.threshold, values,
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
        window = self.params.window
        _clear(self.counts, self._points, self._weights, self._sums, self._highs, self._lows, window)

    @property
    def statistic(self) -> float:
        """The KS distance; 0 until the window is full."""
        if self.counts[_FILLED] < self.params.window:
            return 0.0
        return float(max(self._highs[1], -self._lows[1]) // self._divisor / self._common)

    @property
    def threshold(self) -> float:
        return self.params.threshold

    def state(self) -> State:
        return {"counts": self.counts, "ring": self._ring}

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
        self._ring[:] = ring
        _rebuild(filled, self._points, self._ring, self._slots, self._sums, self._highs, self._lows, self._size)

    @property
    def _size(self) -> int:
        return int(self._weights.sum())


@numba.njit(cache=True)
def _slot(points: Float64Array, value: float) -> int:
    """The leaf of a value: 2j + 1 for the j-th reference value itself, 2j for the gap before it."""
    low, high = 0, len(points)
    while low < high:
        middle = (low + high) >> 1
        if points[middle] < value:
            low = middle + 1
        else:
            high = middle
    return 2 * low + (1 if low < len(points) and points[low] == value else 0)


@numba.njit(cache=True)
def _join(node: int, leaves: int, sums: Int32Array, highs: Int32Array, lows: Int32Array) -> None:
    """A node from its children: sum, largest and smallest sum of a non-empty prefix."""
    left, right = 2 * node, 2 * node + 1
    total = sums[left]
    sums[node] = total + sums[right]
    if left >= leaves:
        highs[node] = max(total, sums[node])
        lows[node] = min(total, sums[node])
    else:
        highs[node] = max(highs[left], total + highs[right])
        lows[node] = min(lows[left], total + lows[right])


@numba.njit(cache=True)
def _build(leaves: int, sums: Int32Array, highs: Int32Array, lows: Int32Array) -> None:
    for node in range(leaves - 1, 0, -1):
        _join(node, leaves, sums, highs, lows)


@numba.njit(cache=True)
def _clear(
    counts: Int64Array,
    points: Float64Array,
    weights: Int64Array,
    sums: Int32Array,
    highs: Int32Array,
    lows: Int32Array,
    window: int,
) -> None:
    """The empty window: each leaf holds its reference count × window; values will take × reference size off."""
    counts[ALARMED], counts[SINCE], counts[_FILLED], counts[_NEXT] = 0, 0, 0, 0
    leaves = len(highs)
    sums[:] = 0
    for j in range(len(points)):
        sums[leaves + 2 * j + 1] = weights[j] * window
    _build(leaves, sums, highs, lows)


@numba.njit(cache=True)
def _rebuild(
    filled: int,
    points: Float64Array,
    ring: Float64Array,
    slots: Int32Array,
    sums: Int32Array,
    highs: Int32Array,
    lows: Int32Array,
    size: int,
) -> None:
    for i in range(filled):
        slots[i] = _slot(points, ring[i])
        sums[len(highs) + slots[i]] -= size
    _build(len(highs), sums, highs, lows)


@numba.njit(cache=True)
def _move(out: int, into: int, size: int, leaves: int, sums: Int32Array, highs: Int32Array, lows: Int32Array) -> None:
    """A value leaves leaf `out` (or none, -1), one enters leaf `into`: mend the two paths, once they meet one."""
    into += leaves
    sums[into] -= size
    if out < 0:
        out = into
    else:
        out += leaves
        sums[out] += size
    while into > 1:
        into >>= 1
        out >>= 1
        _join(into, leaves, sums, highs, lows)
        if out != into:
            _join(out, leaves, sums, highs, lows)


@numba.njit(cache=True)
def _feed(
    counts: Int64Array,
    points: Float64Array,
    weights: Int64Array,
    ring: Float64Array,
    slots: Int32Array,
    sums: Int32Array,
    highs: Int32Array,
    lows: Int32Array,
    divisor: int,
    common: int,
    threshold: float,
    values: Float64Array,
) -> int:
    window, leaves = len(ring), len(highs)
    size = common * divisor // window
    for i in range(len(values)):
        value = values[i]
        if not np.isfinite(value):
            counts[IGNORED] += 1
            continue
        if counts[ALARMED]:
            _clear(counts, points, weights, sums, highs, lows, window)
        counts[SEEN] += 1
        slot = _slot(points, value)
        at = counts[_NEXT]
        full = counts[_FILLED] == window
        if not full or slots[at] != slot:  # the same leaf out and in changes nothing
            _move(slots[at] if full else -1, slot, size, leaves, sums, highs, lows)
        ring[at] = value
        slots[at] = slot
        counts[_NEXT] = at + 1 if at + 1 < window else 0
        if not full:
            counts[_FILLED] += 1
        if counts[_FILLED] == window and max(highs[1], -lows[1]) // divisor / common > threshold:
            counts[ALARMED] = 1
            return i
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
