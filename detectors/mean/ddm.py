"""DDM: an error rate that rises above the best it has been."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt
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

_COUNT, _AT_LOW = 4, 5  # places in counts: values in the mean, and how many there were at the lowest level
_MEAN, _DEVIATION, _LOW_MEAN, _LOW_DEVIATION, _LOW = range(5)  # places in sums


@dataclass(frozen=True, slots=True)
class DdmParams:
    """Parameters, river's names and defaults.

    warm_start: values before the first test. warning_threshold, drift_threshold: standard deviations of the best
    error rate above that rate, for a warning and for an alarm.
    """

    warm_start: int = 30
    warning_threshold: float = 2.0
    drift_threshold: float = 3.0

    def __post_init__(self) -> None:
        demand(self.warm_start >= 0, "warm_start must not be negative")
        for name in ("warning_threshold", "drift_threshold"):
            value = getattr(self, name)
            demand(isfinite(value) and value >= 0, f"{name} must be a number of at least 0")


class Ddm(Detector):
    """The drift detection method, for errors: 0 or 1, or losses between.

    The error rate p of a stationary stream has the standard deviation s = sqrt(p (1 - p) / n); the least p + s so far
    is the best level known, and p + s above its p by more than drift_threshold of its s is an alarm. Alarms are
    river 0.26's exactly, for values whose mean stays in 0 to 1; where it does not, river raises, and here s is 0.
    The change is estimated to have begun where p + s was least. The defaults cry wolf where errors are rare: over
    10,000 values of a stationary stream 5.2 alarms on average at an error rate of .01, .9 at .1, .3 at .3.

    Memory: 13 numbers.

    >>> detector = Ddm(DdmParams())
    >>> detector.update_many([0.0, 0.0, 0.0, 1.0] * 250 + [0.0, 1.0] * 100).tolist()
    [1121]

    Gama, Medas, Castillo, Rodrigues: Learning with drift detection. SBIA 2004, 286-295.
    """

    name: ClassVar[str] = "ddm"
    parameters: ClassVar[type[DdmParams]] = DdmParams

    def __init__(self, params: DdmParams) -> None:
        self.params: DdmParams = params
        self.counts = np.zeros(8, np.int64)
        self._sums = np.zeros(5)
        self.reset()

    def _feed(self, values: Float64Array) -> int:
        p = self.params
        found: int = _feed(self.counts, self._sums, values, p.warm_start, p.drift_threshold)
        return found

    def reset(self) -> None:
        _clear(self.counts, self._sums)

    @property
    def statistic(self) -> float:
        """The error rate and its standard deviation, added."""
        return float(self._sums[_MEAN]) + float(self._sums[_DEVIATION])

    @property
    def threshold(self) -> float:
        """Infinite before the first test."""
        return self._level(self.params.drift_threshold)

    @property
    def warning_detected(self) -> bool:
        """Whether the last value is above the warning level, but raised no alarm."""
        return not self.alarmed and self.statistic > self._level(self.params.warning_threshold)

    def _level(self, deviations: float) -> float:
        """The best error rate, and so many of its standard deviations more."""
        return float(self._sums[_LOW_MEAN]) + deviations * float(self._sums[_LOW_DEVIATION])

    @property
    def memory(self) -> int:
        return OBJECTS

    def state(self) -> State:
        return {"counts": self.counts, "sums": self._sums}


@numba.njit(cache=True)
def _clear(counts: Int64Array, sums: Float64Array) -> None:
    counts[ALARMED], counts[SINCE], counts[_COUNT], counts[_AT_LOW] = 0, 0, 0, 0
    sums[:] = 0.0
    sums[_LOW_MEAN] = np.inf
    sums[_LOW] = np.inf


@numba.njit(cache=True)
def _feed(counts: Int64Array, sums: Float64Array, values: Float64Array, warm_start: int, drift_threshold: float) -> int:
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
        deviation = sqrt(max(0.0, mean * (1.0 - mean) / count))
        sums[_DEVIATION] = deviation
        if count > warm_start:
            if mean + deviation <= sums[_LOW]:
                sums[_LOW_MEAN], sums[_LOW_DEVIATION], sums[_LOW] = mean, deviation, mean + deviation
                counts[_AT_LOW] = count
            if mean + deviation > sums[_LOW_MEAN] + drift_threshold * sums[_LOW_DEVIATION]:
                counts[ALARMED] = 1
                counts[SINCE] = max(1, count - counts[_AT_LOW])
                return i
    return -1
