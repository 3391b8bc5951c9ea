"""Page-Hinkley: a cumulative sum of deviations from the running mean, less an allowance."""

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
    Detector,
    Float64Array,
    Int64Array,
    State,
    Values,
    as_values,
    demand,
)

_COUNT, _AT_LOW, _AT_HIGH = 4, 5, 6  # places in counts: values in the mean; values at the lowest, highest sum
_MEAN, _UP, _DOWN, _LOW, _HIGH, _STATISTIC = range(6)  # places in sums
_MODES = {"up": 1, "down": 2, "both": 3}


@dataclass(frozen=True, slots=True)
class PageHinkleyParams:
    """Parameters, river's names and defaults.

    min_instances: values before the first test. delta: allowance, in units of the values. threshold: alarm level of
    the sum, in units of the values. alpha: forgetting of the sums, (0, 1]; below 1 the allowance is forgotten too,
    so promises about false alarms need 1. mode: up, down or both. gate: the climb must also be at least this times the
    root of how many values it took: changes hardly above the allowance wait until they are sure; in units of the
    values, 0 for river's test.
    """

    min_instances: int = 30
    delta: float = 0.005
    threshold: float = 50.0
    alpha: float = 1 - 0.0001
    mode: Literal["up", "down", "both"] = "both"
    gate: float = 0.0

    def __post_init__(self) -> None:
        demand(self.min_instances >= 0, "min_instances must not be negative")
        demand(isfinite(self.delta) and self.delta >= 0, "delta must be a number of at least 0")
        demand(isfinite(self.threshold) and self.threshold > 0, "threshold must be a number above 0")
        demand(isfinite(self.alpha) and 0 < self.alpha <= 1, "alpha must lie above 0 and be at most 1")
        demand(self.mode in _MODES, "mode must be up, down or both")
        demand(isfinite(self.gate) and self.gate >= 0, "gate must be a number of at least 0")


class PageHinkley(Detector):
    """The Page-Hinkley test for a change of mean.

    Deviations from the running mean, less an allowance delta, are summed; while the mean stands the sum drifts away
    from its extreme, after a change by more than delta it climbs back, and a climb of more than the threshold is an
    alarm. Alarms are river 0.26's exactly, its quirk included: the maximum of the falling sum starts at -1.
    The change is estimated to have begun where the sum last stood at its extreme. The defaults are for values far
    smaller than 1 and cry wolf over others: 10,000 stationary values gave 6.4 alarms on average where they were
    standard normal, 160 where autoregressive (.9), 280 where lognormal (sigma 2).

    Memory: 14 numbers.

    >>> detector = PageHinkley(PageHinkleyParams(threshold=20.0))
    >>> detector.update_many([0.0, 1.0] * 500 + [4.0, 5.0] * 5).tolist()
    [1005]

    Page: Continuous inspection schemes. Biometrika 41 (1954), 100-115. Hinkley: Inference about the change-point from
    cumulative sum tests. Biometrika 58 (1971), 509-523.
    """

    name: ClassVar[str] = "page_hinkley"
    parameters: ClassVar[type[PageHinkleyParams]] = PageHinkleyParams

    def __init__(self, params: PageHinkleyParams) -> None:
        self.params: PageHinkleyParams = params
        self.counts = np.zeros(8, np.int64)
        self._sums = np.zeros(6)
        self.reset()

    def _feed(self, values: Float64Array) -> int:
        p = self.params
        found: int = _feed(
            self.counts, self._sums, values, p.min_instances, p.delta, p.threshold, p.alpha, _MODES[p.mode], p.gate
        )
        return found

    def reset(self) -> None:
        _clear(self.counts, self._sums)

    def prime(self, reference: Values) -> None:
        """Start from the mean of a healthy sample, as if its values had been seen, with the sums at zero."""
        values = as_values(reference)
        values = values[np.isfinite(values)]
        self.reset()
        if len(values):
            self.counts[_COUNT] = len(values)
            self._sums[_MEAN] = values.mean()

    @property
    def statistic(self) -> float:
        return float(self._sums[_STATISTIC])

    @property
    def threshold(self) -> float:
        return self.params.threshold

    @property
    def memory(self) -> int:
        return OBJECTS

    def state(self) -> State:
        return {"counts": self.counts, "sums": self._sums}


@numba.njit(cache=True)
def _clear(counts: Int64Array, sums: Float64Array) -> None:
    counts[ALARMED], counts[SINCE] = 0, 0
    counts[_COUNT], counts[_AT_LOW], counts[_AT_HIGH] = 0, 0, 0
    sums[:] = 0.0
    sums[_LOW] = np.inf
    sums[_HIGH] = -1.0


@numba.njit(cache=True)
def _feed(
    counts: Int64Array,
    sums: Float64Array,
    values: Float64Array,
    min_instances: int,
    delta: float,
    threshold: float,
    alpha: float,
    mode: int,
    gate: float,
) -> int:
    if counts[ALARMED] and np.isfinite(values).any():
        _clear(counts, sums)
    count, at_low, at_high = counts[_COUNT], counts[_AT_LOW], counts[_AT_HIGH]
    mean, up, down, low, high = sums[_MEAN], sums[_UP], sums[_DOWN], sums[_LOW], sums[_HIGH]
    climb = sums[_STATISTIC]
    found = -1
    since = counts[SINCE]
    for i in range(len(values)):
        value = values[i]
        if not np.isfinite(value):
            counts[IGNORED] += 1
            continue
        count += 1
        counts[SEEN] += 1
        mean += 1.0 / count * (value - mean)
        deviation = value - mean
        up = alpha * up + deviation - delta
        down = alpha * down + deviation + delta
        if up < low:
            low = up
            at_low = count
        if down > high:
            high = down
            at_high = count
        rise, fall = up - low, high - down
        climb = rise if mode == 1 else (fall if mode == 2 else max(rise, fall))
        if count >= min_instances and not climb <= threshold:
            if np.isnan(climb):  # values so large that a sum overflowed: with it there could never be an alarm again
                count, at_low, at_high = 0, 0, 0
                mean, up, down, low, high, climb = 0.0, 0.0, 0.0, np.inf, -1.0, 0.0
                continue
            rose = mode == 1 or (mode == 3 and rise >= fall)
            began = max(1, count - (at_low if rose else at_high))
            if climb < gate * sqrt(float(began)):
                continue
            since = began
            counts[ALARMED] = 1
            found = i
            break
    counts[_COUNT], counts[_AT_LOW], counts[_AT_HIGH], counts[SINCE] = count, at_low, at_high, since
    sums[_MEAN], sums[_UP], sums[_DOWN], sums[_LOW], sums[_HIGH] = mean, up, down, low, high
    sums[_STATISTIC] = climb
    return found
