"""A change of variance: log-likelihood ratios of squared deviations, summed as CUSUMs."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log
from typing import ClassVar, Literal

import numba
import numpy as np

from detectors.detector import ALARMED, IGNORED, OBJECTS, SEEN, SINCE, Detector, Float64Array, Int64Array, State, demand

_RISE, _FALL = 4, 5  # places in counts: values since each sum was last zero
_UP, _DOWN = 0, 1  # places in sums
_DIRECTIONS = {"up": 1, "down": 2, "both": 3}


@dataclass(frozen=True, slots=True)
class VarianceParams:
    """Parameters.

    ratio: the factor on the standard deviation, above 1, that is to be found soonest (downwards, its inverse).
    threshold: alarm level of the sums, a log-likelihood ratio; of normal values at least exp(threshold) lie between
    two alarms of one direction, on average (the default: about a million, both directions together). target: healthy
    mean, in units of the values. scale: healthy standard deviation, in units of the values. direction: up, down, both.
    """

    ratio: float = 1.5
    threshold: float = 12.0
    target: float = 0.0
    scale: float = 1.0
    direction: Literal["up", "down", "both"] = "both"

    def __post_init__(self) -> None:
        demand(isfinite(self.ratio) and 1 < self.ratio <= 1e6, "ratio must lie above 1 and be at most a million")
        demand(isfinite(self.threshold) and self.threshold > 0, "threshold must be a number above 0")
        demand(isfinite(self.target), "target must be a number")
        demand(isfinite(self.scale) and self.scale > 0, "scale must be a number above 0")
        demand(self.direction in _DIRECTIONS, "direction must be up, down or both")


class Variance(Detector):
    """Page's CUSUM of the likelihood ratio of a normal variance, for a change of a known variance.

    Each squared standardized deviation is evidence for a standard deviation `ratio` times as large (or as small),
    in log-likelihood; it is summed, the sum starts again at zero instead of going below it, and a sum over the
    threshold is an alarm. Of the tests of a variance in sequence it is the one with a proof on both sides: none with
    as long a healthy run is sooner in the worst case (Moustakides 1986), and the healthy run is at least
    exp(threshold) (Lorden 1971; half of it with both directions). Both hold for normal values around a known mean:
    heavier tails alarm more often (calibrate on the values), and a mean that moves by d deviations adds d² to the
    variance. The change is estimated to have begun where the sum was last zero.

    Memory: 10 numbers.

    >>> detector = Variance(VarianceParams(ratio=2.0, threshold=5.0))
    >>> detector.update_many([-1.0, 1.0] * 500 + [-3.0, 3.0] * 3 + [0.0] * 9).tolist()
    [1001, 1003, 1005, 1013]

    Lorden: Procedures for reacting to a change in distribution. Ann. Math. Statist. 42 (1971), 1897-1908. Moustakides:
    Optimal stopping times for detecting changes in distributions. Ann. Statist. 14 (1986), 1379-1387.
    """

    name: ClassVar[str] = "variance"
    parameters: ClassVar[type[VarianceParams]] = VarianceParams

    def __init__(self, params: VarianceParams) -> None:
        self.params: VarianceParams = params
        self.counts = np.zeros(8, np.int64)
        self._sums = np.zeros(2)

    def _feed(self, values: Float64Array) -> int:
        p = self.params
        return int(
            _feed(
                self.counts, self._sums, values, p.ratio, log(p.ratio), p.threshold, p.target, p.scale,
                _DIRECTIONS[p.direction],
            )
        )  # fmt: skip

    def reset(self) -> None:
        _clear(self.counts, self._sums)

    @property
    def statistic(self) -> float:
        """The larger sum, a log-likelihood ratio."""
        return float(self._sums.max())

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
    counts[ALARMED], counts[SINCE], counts[_RISE], counts[_FALL] = 0, 0, 0, 0
    sums[:] = 0.0


@numba.njit(cache=True)
def _feed(
    counts: Int64Array,
    sums: Float64Array,
    values: Float64Array,
    ratio: float,
    log_ratio: float,
    threshold: float,
    target: float,
    scale: float,
    direction: int,
) -> int:
    seen, ignored, rise, fall = counts[SEEN], counts[IGNORED], counts[_RISE], counts[_FALL]
    up, down = sums[_UP], sums[_DOWN]
    gain = 0.5 * (1.0 - 1.0 / (ratio * ratio))  # of a squared deviation, upwards
    loss = 0.5 * (ratio * ratio - 1.0)
    found = -1
    for i in range(len(values)):
        value = values[i]
        if not np.isfinite(value):
            ignored += 1
            continue
        if counts[ALARMED]:
            _clear(counts, sums)
            up, down, rise, fall = 0.0, 0.0, 0, 0
        seen += 1
        deviation = (value - target) / scale
        square = deviation * deviation
        if direction & 1:
            up = max(0.0, up + gain * square - log_ratio)
            rise = rise + 1 if up > 0.0 else 0
        if direction & 2:
            down = max(0.0, down + log_ratio - loss * square)
            fall = fall + 1 if down > 0.0 else 0
        if up > threshold or down > threshold:
            counts[ALARMED] = 1
            counts[SINCE] = rise if up >= down else fall
            found = i
            break
    counts[SEEN], counts[IGNORED], counts[_RISE], counts[_FALL] = seen, ignored, rise, fall
    sums[_UP], sums[_DOWN] = up, down
    return found
