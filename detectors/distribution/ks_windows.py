"""Kernels of windowed_ks without a reference: the newer window against the older one, in one sorted pool.

The pool holds each distinct value of both windows once, ascending, with how often it comes and its step: the older
window's size for each time in the newer, minus the newer's for each time in the older; the distance is the largest
sum of a prefix of the steps. A value in, one that grows old and one out move it by at most one step of each window,
so while it is k such steps below the threshold, k values need only be counted.
"""

from __future__ import annotations

from math import gcd

import numba
import numpy as np

from detectors.detector import ALARMED, IGNORED, SEEN, SINCE, Float64Array, Int64Array
from detectors.distribution.ascending import Int32Array, place_of, shift_down, shift_up
from detectors.distribution.window import FILLED, NEXT, middle_ranks

_USED, _SPARE = 0, 1  # places in marks: distinct values in the pool, values that need no look


class NewAgainstOld:
    """The last `window` values against the `before` ones just before them."""

    def __init__(self, before: int, window: int) -> None:
        self._window, self._before = window, before
        self._divisor = gcd(before, window)
        self._common = before * window // self._divisor
        self.ring = np.zeros(before + window)
        self._points = np.zeros(before + window + 1)
        self._steps = np.zeros(before + window + 1, np.int32)
        self._times = np.zeros(before + window + 1, np.int32)
        self._marks = np.zeros(2, np.int64)
        self.memory = 24 * (before + window + 1)

    def feed(self, counts: Int64Array, threshold: float, values: Float64Array) -> int:
        """Take values up to and including the first alarm; its position, or -1."""
        return int(
            _feed(
                counts, self._marks, self.ring, self._points, self._steps, self._times, self._window, self._divisor,
                self._common, threshold, values,
            )
        )  # fmt: skip

    def clear(self, counts: Int64Array) -> None:
        """Empty both windows."""
        _clear(counts, self._marks)

    def recount(self, counts: Int64Array) -> None:
        """Pool the values of the ring into empty windows."""
        _recount(counts, self._marks, self.ring, self._points, self._steps, self._times, self._window)

    def distance(self) -> float:
        """The KS distance of the full windows."""
        return float(_largest(self._marks[_USED], self._steps) // self._divisor / self._common)

    def ranks(self, values: Float64Array) -> Float64Array:
        """Of values in the pool."""
        used = int(self._marks[_USED])
        return middle_ranks(self._points[:used], self._times[:used].astype(np.int64), values)


@numba.njit(cache=True)
def _clear(counts: Int64Array, marks: Int64Array) -> None:
    counts[ALARMED], counts[SINCE], counts[FILLED], counts[NEXT] = 0, 0, 0, 0
    marks[_USED], marks[_SPARE] = 0, 0


@numba.njit(cache=True)
def _enter(
    marks: Int64Array,
    points: Float64Array,
    steps: Int32Array,
    times: Int32Array,
    value: float,
    step: int,
    hole: int,
) -> None:
    """Count a value in; `hole` is the place of a value that is no more in the pool, -1 where there is none."""
    used = marks[_USED]
    at = place_of(points, used, value)
    if at < used and points[at] == value:
        steps[at] += step
        times[at] += 1
        if hole >= 0 and hole != at:
            shift_down(points[hole:used])
            shift_down(steps[hole:used])
            shift_down(times[hole:used])
            marks[_USED] = used - 1
        return
    if hole < 0:
        hole = used
        marks[_USED] = used + 1
    if hole < at:
        at -= 1
        shift_down(points[hole : at + 1])
        shift_down(steps[hole : at + 1])
        shift_down(times[hole : at + 1])
    else:
        shift_up(points[at : hole + 1])
        shift_up(steps[at : hole + 1])
        shift_up(times[at : hole + 1])
    points[at], steps[at], times[at] = value, step, 1


@numba.njit(cache=True)
def _recount(
    counts: Int64Array,
    marks: Int64Array,
    ring: Float64Array,
    points: Float64Array,
    steps: Int32Array,
    times: Int32Array,
    window: int,
) -> None:
    filled, before = counts[FILLED], len(ring) - window
    start = counts[NEXT] if filled == len(ring) else 0
    for i in range(filled):
        step = before if i >= filled - window else -window
        _enter(marks, points, steps, times, ring[(start + i) % len(ring)], step, -1)


@numba.njit(cache=True)
def _largest(used: int, steps: Int32Array) -> int:
    """The largest absolute sum of a prefix of the steps: the distance × both windows' sizes."""
    total, high, low = 0, 0, 0
    for k in range(used):
        total += steps[k]
        high = max(high, total)
        low = min(low, total)
    return max(high, -low)


@numba.njit(cache=True)
def _feed(
    counts: Int64Array,
    marks: Int64Array,
    ring: Float64Array,
    points: Float64Array,
    steps: Int32Array,
    times: Int32Array,
    window: int,
    divisor: int,
    common: int,
    threshold: float,
    values: Float64Array,
) -> int:
    size = len(ring)
    before = size - window
    for i in range(len(values)):
        value = values[i]
        if not np.isfinite(value):
            counts[IGNORED] += 1
            continue
        if counts[ALARMED]:
            _clear(counts, marks)
        counts[SEEN] += 1
        at, filled, hole = counts[NEXT], counts[FILLED], -1
        if filled >= window:  # the oldest of the newer window grows old
            passing = place_of(points, marks[_USED], ring[at - window if at >= window else at - window + size])
            steps[passing] -= size
        if filled == size:
            oldest = place_of(points, marks[_USED], ring[at])
            steps[oldest] += window
            times[oldest] -= 1
            if times[oldest] == 0:
                hole = oldest
        else:
            counts[FILLED] = filled + 1
        _enter(marks, points, steps, times, value, before, hole)
        ring[at] = value
        counts[NEXT] = at + 1 if at + 1 < size else 0
        marks[_SPARE] -= 1
        if counts[FILLED] == size and marks[_SPARE] < 0:
            largest = _largest(marks[_USED], steps)
            if largest // divisor / common > threshold:
                counts[ALARMED] = 1
                return i
            # one step less than there are, against rounding
            marks[_SPARE] = max(0, int((threshold * common * divisor - largest) / size) - 1)
    marks[_SPARE] = max(marks[_SPARE], 0)
    return -1
