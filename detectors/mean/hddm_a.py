"""HDDM_A: a mean that has moved from its lowest by more than Hoeffding's inequality lets it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, nextafter, sqrt
from typing import ClassVar

import numba
import numpy as np

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
    demand,
)

_COUNT, _AT_LOW, _AT_HIGH = 4, 5, 6  # places in counts: values in the mean, and how many there were at its cut points
_MEAN, _LOW, _HIGH = range(3)  # places in sums: the mean, and what it was at its cut points


@dataclass(frozen=True, slots=True)
class HddmAParams:
    """Parameters, river's names and defaults.

    drift_confidence, warning_confidence: probability of an error of one test, above 0 and at most 1, for an alarm and
    for a warning. two_sided_test: whether a fall of the mean is an alarm too.
    """

    drift_confidence: float = 0.001
    warning_confidence: float = 0.005
    two_sided_test: bool = False

    def __post_init__(self) -> None:
        for name in ("drift_confidence", "warning_confidence"):
            demand(0 < getattr(self, name) <= 1, f"{name} must lie above 0 and be at most 1")


class HddmA(Detector):
    """The drift detection method by Hoeffding's bounds on averages, for values between 0 and 1.

    The cut point is where the mean plus its Hoeffding bound was least; the mean of all values is held against the
    mean up to there, and a difference that Hoeffding's inequality gives a probability below drift_confidence is an
    alarm. Alarms are river 0.26's exactly, at any values; the inequality itself holds for 0 to 1 alone.
    The change is estimated to have begun at the cut point. With the defaults 10,000 values of a stationary stream gave
    .3 alarms on average at an error rate of .3, and none in 40 streams at .1 and .01.

    Memory: 11 numbers.

    >>> detector = HddmA(HddmAParams())
    >>> detector.update_many([0.0, 0.0, 0.0, 1.0] * 250 + [0.0, 1.0] * 200).tolist()
    [1059]

    Frías-Blanco et al.: Online and non-parametric drift detection methods based on Hoeffding's bounds. IEEE
    Transactions on Knowledge and Data Engineering 27 (2015), 810-823.
    """

    name: ClassVar[str] = "hddm_a"
    parameters: ClassVar[type[HddmAParams]] = HddmAParams

    def __init__(self, params: HddmAParams) -> None:
        self.params: HddmAParams = params
        self._cut = log(1.0 / params.drift_confidence)
        self._drift = log(2.0 / params.drift_confidence)
        self.counts = np.zeros(8, np.int64)
        self._sums = np.zeros(3)

    def _feed(self, values: Float64Array) -> int:
        found: int = _feed(self.counts, self._sums, values, self._cut, self._drift, self.params.two_sided_test)
        return found

    def reset(self) -> None:
        _clear(self.counts, self._sums)

    def _moved(self, confidence: float) -> tuple[float, float]:
        """(how far the mean moved from a cut point, how far it may): of the rise, or of a fall that tells more."""
        strictness = log(2.0 / confidence)
        mean, low, high = self._sums.tolist()
        rise, fall = mean - low, high - mean
        may_rise = float(_bound(self.counts[_COUNT], self.counts[_AT_LOW], strictness))
        may_fall = float(_bound(self.counts[_COUNT], self.counts[_AT_HIGH], strictness))
        falls = fall >= may_fall or fall * may_rise > rise * may_fall
        if self.params.two_sided_test and rise < may_rise and falls:
            return fall, may_fall
        return rise, may_rise

    @property
    def statistic(self) -> float:
        """How far the mean has moved from what it was at the cut point."""
        return self._moved(self.params.drift_confidence)[0]

    @property
    def threshold(self) -> float:
        """Just below the bound, for river alarms at the bound itself; infinite at a cut point."""
        return nextafter(self._moved(self.params.drift_confidence)[1], -inf)

    @property
    def warning_detected(self) -> bool:
        """Whether the last value is above the warning level, but raised no alarm."""
        statistic, bound = self._moved(self.params.warning_confidence)
        return not self.alarmed and statistic >= bound

    @property
    def memory(self) -> int:
        return OBJECTS

    def state(self) -> State:
        return {"counts": self.counts, "sums": self._sums}


@numba.njit(cache=True)
def _clear(counts: Int64Array, sums: Float64Array) -> None:
    counts[ALARMED], counts[SINCE] = 0, 0
    counts[_COUNT:] = 0
    sums[:] = 0.0


@numba.njit(cache=True)
def _bound(count: int, cut: int, strictness: float) -> float:
    """How far the mean of `count` values may stand from that of the first `cut` of them."""
    if count == cut:
        return np.inf
    return sqrt((count - cut) / cut * (1.0 / count) / 2.0 * strictness)


@numba.njit(cache=True)
def _feed(
    counts: Int64Array, sums: Float64Array, values: Float64Array, cut: float, drift: float, two_sided: bool
) -> int:
    for i in range(len(values)):
        value = values[i]
        if not np.isfinite(value):
            counts[IGNORED] += 1
            continue
        if counts[ALARMED] or not np.isfinite(sums[_MEAN]):  # a mean that overflowed is of no use any more
            _clear(counts, sums)
        counts[SEEN] += 1
        counts[_COUNT] += 1
        count = counts[_COUNT]
        sums[_MEAN] += (1.0 / count) * (value - sums[_MEAN])
        mean = sums[_MEAN]
        epsilon = sqrt(1.0 / (2 * count) * cut)
        low = counts[_AT_LOW]
        if low == 0 or sums[_LOW] + sqrt(1.0 / (2 * low) * cut) >= mean + epsilon:
            sums[_LOW], counts[_AT_LOW] = mean, count
        high = counts[_AT_HIGH]
        if high == 0 or sums[_HIGH] - sqrt(1.0 / (2 * high) * cut) <= mean - epsilon:
            sums[_HIGH], counts[_AT_HIGH] = mean, count
        if mean - sums[_LOW] >= _bound(count, counts[_AT_LOW], drift):
            counts[ALARMED], counts[SINCE] = 1, count - counts[_AT_LOW]
            return i
        if two_sided and sums[_HIGH] - mean >= _bound(count, counts[_AT_HIGH], drift):
            counts[ALARMED], counts[SINCE] = 1, count - counts[_AT_HIGH]
            return i
    return -1
