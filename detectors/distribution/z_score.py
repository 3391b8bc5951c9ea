"""z-score: the mean of the last values, in standard errors, against a known mean and standard deviation."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt
from typing import ClassVar, Literal

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
    demand,
    split,
)
from detectors.distribution.window import FILLED, NEXT, Windowed

_TOTAL, _SUM = 0, 1  # places in sums: of the values since the ring began anew, of the whole window
_FARTHEST = 1e140  # standard deviations; what lies further out is taken to be there, so that no sum overflows
_DIRECTIONS = {"up": 1, "down": -1, "both": 0}


@dataclass(frozen=True, slots=True)
class ZScoreParams:
    """Parameters.

    target: the healthy mean, in units of the values. scale: the healthy standard deviation, in their units. window:
    values averaged; 1 judges single values. threshold: alarm level of z, in standard errors of the window's mean.
    direction: up, down or both. min_effect: distance from the target, in standard deviations, below which there is no
    alarm, however significant.
    """

    target: float
    scale: float
    window: int = 100
    threshold: float = 6.0
    direction: Literal["up", "down", "both"] = "both"
    min_effect: float = 0.0

    def __post_init__(self) -> None:
        demand(isfinite(self.target), "target must be a number")
        demand(isfinite(self.scale) and self.scale > 0, "scale must be a number above 0")
        demand(1 <= self.window <= 1_000_000, "window must be 1 to 1,000,000 values")
        demand(isfinite(self.threshold) and self.threshold > 0, "threshold must be a number above 0")
        demand(self.direction in _DIRECTIONS, "direction must be up, down or both")
        demand(isfinite(self.min_effect) and self.min_effect >= 0, "min_effect must be a number of at least 0")


class ZScore(Windowed):
    """The z-test of a sliding window's mean against a known mean and standard deviation; of each value, with window 1.

    z is the mean of (x - target) / scale over the window, times the square root of the window: standard normal, nearly,
    for healthy independent values. The sum is that of the values since the ring began anew plus that of the older ones
    still inside, kept from its end backwards: nothing is ever subtracted, so a huge value leaves no trace once it is
    out. The statistic is z, -z or |z| by direction. There is no test before the window is full; an alarm empties it.

    What holds in closed form, for independent normal values and a target and scale that are exact: over n values at
    most n × tail false alarms are expected, tail = 2 Φ(-threshold), half of it in one direction. It is exact per value
    for window 1 and generous for wider ones, whose neighbours overlap. An estimated target adds a lasting bias of
    sqrt(window / reference size) standard errors, give or take: where the reference is not far larger than the window,
    use welch_t.

    Memory: 16 bytes × window.

    >>> detector = ZScore(ZScoreParams(target=0.5, scale=0.5, window=20, threshold=4.0))
    >>> detector.update_many([0.0, 1.0] * 500 + [1.0, 2.0] * 20).tolist()
    [1008, 1028]

    Shewhart: Economic control of quality of manufactured product. Van Nostrand 1931. Moving averages: Roberts: Control
    chart tests based on geometric moving averages. Technometrics 1 (1959), 239-250.
    """

    name: ClassVar[str] = "z_score"
    parameters: ClassVar[type[ZScoreParams]] = ZScoreParams

    def __init__(self, params: ZScoreParams) -> None:
        self.params: ZScoreParams = params
        self.counts = np.zeros(8, np.int64)
        self._ring = np.zeros(params.window)
        self._older = np.zeros(params.window)
        self._sums = np.zeros(2)

    def _feed(self, values: Float64Array) -> int:
        p = self.params
        found = int(
            _feed(
                self.counts, self._sums, self._ring, self._older, values,
                p.target, p.scale, p.threshold, p.min_effect, _DIRECTIONS[p.direction],
            )
        )  # fmt: skip
        if found >= 0:
            self.counts[SINCE] = split(self.window_values()) if p.window > 1 else 1
        return found

    def reset(self) -> None:
        _clear(self.counts, self._sums)

    @property
    def statistic(self) -> float:
        """z, -z or |z| by direction; 0 until the window is full."""
        if not self.full:
            return 0.0
        return float(_statistic(self._sums[_SUM], self.params.window, _DIRECTIONS[self.params.direction]))

    @property
    def effect(self) -> float:
        """The window's mean less the target, in standard deviations; 0 until the window is full."""
        return float(self._sums[_SUM]) / self.params.window if self.full else 0.0

    @property
    def threshold(self) -> float:
        return self.params.threshold

    @property
    def memory(self) -> int:
        return OBJECTS + 16 * self.params.window

    def _recount(self) -> None:
        _resume(self.counts, self._sums, self._ring, self._older)


@numba.njit(cache=True)
def _clear(counts: Int64Array, sums: Float64Array) -> None:
    counts[ALARMED], counts[SINCE], counts[FILLED], counts[NEXT] = 0, 0, 0, 0
    sums[:] = 0.0


@numba.njit(cache=True)
def _turn(ring: Float64Array, older: Float64Array) -> None:
    """older[i]: the sum of what the ring holds at i and after it."""
    total = 0.0
    for k in range(len(ring) - 1, -1, -1):
        total += ring[k]
        older[k] = total


@numba.njit(cache=True)
def _resume(counts: Int64Array, sums: Float64Array, ring: Float64Array, older: Float64Array) -> None:
    """The sums as they were when the counts and the ring were written, to the last bit."""
    at, window = counts[NEXT], len(ring)
    sums[:] = 0.0
    if counts[FILLED] == window:
        _turn(ring, older)
        sums[_SUM] = older[0]
    for k in range(at):
        sums[_TOTAL] += ring[k]
    if counts[FILLED] == window and at > 0:
        sums[_SUM] = sums[_TOTAL] + older[at]


@numba.njit(cache=True)
def _statistic(total: float, window: int, direction: int) -> float:
    z: float = total / sqrt(window)
    return abs(z) if direction == 0 else direction * z


@numba.njit(cache=True)
def _feed(
    counts: Int64Array,
    sums: Float64Array,
    ring: Float64Array,
    older: Float64Array,
    values: Float64Array,
    target: float,
    scale: float,
    threshold: float,
    min_effect: float,
    direction: int,
) -> int:
    window = len(ring)
    for i in range(len(values)):
        value = values[i]
        if not np.isfinite(value):
            counts[IGNORED] += 1
            continue
        if counts[ALARMED]:
            _clear(counts, sums)
        counts[SEEN] += 1
        at = counts[NEXT]
        ring[at] = min(max((value - target) / scale, -_FARTHEST), _FARTHEST)
        sums[_TOTAL] += ring[at]
        counts[FILLED] = min(counts[FILLED] + 1, window)
        counts[NEXT] = at + 1
        if at + 1 == window:
            _turn(ring, older)
            counts[NEXT] = 0
            sums[_SUM], sums[_TOTAL] = older[0], 0.0
        elif counts[FILLED] == window:
            sums[_SUM] = sums[_TOTAL] + older[at + 1]
        if (
            counts[FILLED] == window
            and _statistic(sums[_SUM], window, direction) > threshold
            and abs(sums[_SUM]) >= min_effect * window
        ):
            counts[ALARMED] = 1
            return i
    return -1
