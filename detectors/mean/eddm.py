"""EDDM: errors that come closer together than they ever were apart."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
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

_COUNT, _ERRORS, _LAST, _AT_HIGH = 4, 5, 6, 7  # places in counts: values, errors, the last error's, the widest gap's
_MEAN, _SQUARES, _HIGH, _RATIO, _WARNING = range(5)  # places in sums, …
_WARM, _ALPHA, _BETA, _HALF = range(5, 9)  # … and behind them the parameters: a call is dearer by each argument


@dataclass(frozen=True, slots=True)
class EddmParams:
    """Parameters, river's names and defaults.

    warm_start: errors, and values, before the first test. alpha, beta: the ratio of the distance between errors to
    its maximum below which there is a warning, an alarm; above 0 and at most 1, beta at most alpha.
    """

    warm_start: int = 30
    alpha: float = 0.95
    beta: float = 0.9

    def __post_init__(self) -> None:
        demand(0 <= self.warm_start < 2**53, "warm_start must not be negative, and below 2^53 values")
        demand(0 < self.beta <= 1, "beta must lie above 0 and be at most 1")
        demand(self.beta <= self.alpha <= 1, "alpha must be at least beta and at most 1")


class Eddm(Detector):
    """The early drift detection method, for errors: 1 is an error, any other value is none.

    The distances between errors have a mean and a deviation; mean + 2 deviations is compared with the largest it has
    been, and a ratio below beta is an alarm. `statistic` is that ratio at the last error, and `threshold` beta, both
    with the sign turned, so that an alarm is still above. Alarms are river 0.26's exactly. The change is estimated to
    have begun at the error at which the distance was largest. The defaults cry wolf: 2.4 alarms on average over 10,000
    values of a stationary stream at an error rate of .01, 19 at .1, 18 at .3.

    Memory: 13 numbers.

    >>> detector = Eddm(EddmParams())
    >>> detector.update_many([0.0, 0.0, 0.0, 1.0] * 50 + [1.0] * 200).tolist()
    [265]

    Baena-García et al.: Early drift detection method. 4th Int. Workshop on Knowledge Discovery from Data Streams, 2006.
    """

    name: ClassVar[str] = "eddm"
    parameters: ClassVar[type[EddmParams]] = EddmParams

    def __init__(self, params: EddmParams) -> None:
        self.params: EddmParams = params
        self.counts = np.zeros(8, np.int64)
        self._sums = np.zeros(9)
        self._sums[_WARM:] = params.warm_start, params.alpha, params.beta, 0.5
        self.reset()

    def update(self, value: float | None) -> bool:
        alarmed: bool = _take(self.counts, self._sums, nan if value is None else float(value))
        return alarmed

    def _feed(self, values: Float64Array) -> int:
        found: int = _feed(self.counts, self._sums, values)
        return found

    def reset(self) -> None:
        _clear(self.counts, self._sums)

    @property
    def statistic(self) -> float:
        return -float(self._sums[_RATIO])

    @property
    def threshold(self) -> float:
        return -self.params.beta

    @property
    def warning_detected(self) -> bool:
        """Whether the last error that was tested gave a warning; an alarm leaves it as it was."""
        return bool(self._sums[_WARNING])

    @property
    def memory(self) -> int:
        return OBJECTS

    def state(self) -> State:
        return {"counts": self.counts, "sums": self._sums[:_WARM]}


@numba.njit(cache=True, _nrt=False)
def _clear(counts: Int64Array, sums: Float64Array) -> None:
    counts[ALARMED] = counts[SINCE] = 0
    counts[_COUNT] = counts[_ERRORS] = counts[_LAST] = counts[_AT_HIGH] = 0
    sums[_MEAN] = sums[_SQUARES] = sums[_WARNING] = 0.0
    sums[_HIGH] = -1.0
    sums[_RATIO] = 1.0


@numba.njit(cache=True, _nrt=False)
def _take(counts: Int64Array, sums: Float64Array, value: float) -> bool:
    """Take one value; whether it alarms. The power's exponent comes out of an array: that keeps the compiler from a
    square root, which rounds not always as river's power does."""
    if not np.isfinite(value):
        counts[IGNORED] += 1
        return False
    if counts[ALARMED]:
        _clear(counts, sums)
    counts[SEEN] += 1
    counts[_COUNT] += 1
    if value != 1.0:
        return False
    counts[_ERRORS] += 1
    errors = counts[_ERRORS]
    gap = float(counts[_COUNT] - counts[_LAST])
    before = sums[_MEAN]
    sums[_MEAN] += (1.0 / errors) * (gap - before)
    sums[_SQUARES] += (gap - before) * (gap - sums[_MEAN])
    counts[_LAST] = counts[_COUNT]
    if counts[_COUNT] > sums[_WARM]:
        deviation = (sums[_SQUARES] / (errors - 1)) ** sums[_HALF] if errors > 1 else 0.0
        distance = sums[_MEAN] + 2.0 * deviation
        if distance > sums[_HIGH]:
            sums[_HIGH] = distance
            counts[_AT_HIGH] = counts[_COUNT]
        elif errors > sums[_WARM]:
            sums[_RATIO] = distance / sums[_HIGH]
            if sums[_RATIO] < sums[_BETA]:
                counts[ALARMED] = 1
                counts[SINCE] = max(1, counts[_COUNT] - counts[_AT_HIGH])
                return True
            sums[_WARNING] = 1.0 if sums[_RATIO] < sums[_ALPHA] else 0.0
    return False


@numba.njit(cache=True, _nrt=False)
def _feed(counts: Int64Array, sums: Float64Array, values: Float64Array) -> int:
    for i in range(len(values)):
        if _take(counts, sums, values[i]):
            return i
    return -1
