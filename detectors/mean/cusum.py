"""CUSUM: sums of standardized deviations from a known mean, less an allowance, that start again at zero."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt
from typing import ClassVar, Literal

import numba
import numpy as np

from detectors.detector import ALARMED, IGNORED, OBJECTS, SEEN, SINCE, Detector, Float64Array, Int64Array, State, demand

_RISE, _FALL = 4, 5  # places in counts: values since each sum was last zero
_UP, _DOWN = 0, 1  # places in sums
_DIRECTIONS = {"up": 1, "down": 2, "both": 3}


@dataclass(frozen=True, slots=True)
class CusumParams:
    """Parameters, Page's k and h in standard deviations.

    reference_value: allowance, half the shift that is to be found soonest. decision_interval: alarm level of the sums;
    see `detectors.calibration.cusum_interval` (the default: one alarm in a million normal values). target: healthy
    mean, in units of the values. scale: healthy standard deviation, in units of the values. direction: up, down, both.
    gate: a sum must also be at least this times the root of how many values it has been above zero, in standard
    deviations: changes hardly above the allowance wait until they are sure; 0 for Page's chart.
    """

    reference_value: float = 0.5
    decision_interval: float = 12.66
    target: float = 0.0
    scale: float = 1.0
    direction: Literal["up", "down", "both"] = "both"
    gate: float = 0.0

    def __post_init__(self) -> None:
        demand(
            isfinite(self.reference_value) and self.reference_value >= 0,
            "reference_value must be a number of at least 0",
        )
        demand(
            isfinite(self.decision_interval) and self.decision_interval > 0,
            "decision_interval must be a number above 0",
        )
        demand(isfinite(self.target), "target must be a number")
        demand(isfinite(self.scale) and self.scale > 0, "scale must be a number above 0")
        demand(self.direction in _DIRECTIONS, "direction must be up, down or both")
        demand(isfinite(self.gate) and self.gate >= 0, "gate must be a number of at least 0")


class Cusum(Detector):
    """Page's cumulative sum chart, tabular form, for a change of a known mean.

    Each sum adds the standardized deviation in its direction less the reference value, and starts again at zero
    instead of going below it; a sum over the decision interval is an alarm. No detector with as long a healthy run
    finds a shift of twice the reference value sooner in the worst case (Moustakides 1986, for normal values). The
    change is estimated to have begun where the sum was last zero.

    Memory: 10 numbers.

    >>> detector = Cusum(CusumParams(decision_interval=5.0, target=0.5))
    >>> detector.update_many([0.0, 1.0] * 500 + [2.0, 3.0] * 5).tolist()
    [1003, 1007]

    Page: Continuous inspection schemes. Biometrika 41 (1954), 100-115. Moustakides: Optimal stopping times for
    detecting changes in distributions. Ann. Statist. 14 (1986), 1379-1387. Hawkins, Olwell: Cumulative sum charts and
    charting for quality improvement. Springer 1998.
    """

    name: ClassVar[str] = "cusum"
    parameters: ClassVar[type[CusumParams]] = CusumParams

    def __init__(self, params: CusumParams) -> None:
        self.params: CusumParams = params
        self.counts = np.zeros(8, np.int64)
        self._sums = np.zeros(2)

    def _feed(self, values: Float64Array) -> int:
        p = self.params
        return int(
            _feed(
                self.counts, self._sums, values,
                p.reference_value, p.decision_interval, p.target, p.scale, _DIRECTIONS[p.direction], p.gate,
            )
        )  # fmt: skip

    def reset(self) -> None:
        _clear(self.counts, self._sums)

    @property
    def statistic(self) -> float:
        """The larger sum, in standard deviations."""
        return float(self._sums.max())

    @property
    def threshold(self) -> float:
        return self.params.decision_interval

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
    reference_value: float,
    decision_interval: float,
    target: float,
    scale: float,
    direction: int,
    gate: float,
) -> int:
    seen, ignored, rise, fall = counts[SEEN], counts[IGNORED], counts[_RISE], counts[_FALL]
    up, down = sums[_UP], sums[_DOWN]
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
        if direction & 1:
            up = max(0.0, up + deviation - reference_value)
            rise = rise + 1 if up > 0.0 else 0
        if direction & 2:
            down = max(0.0, down - deviation - reference_value)
            fall = fall + 1 if down > 0.0 else 0
        rises = up > decision_interval and up >= gate * sqrt(float(rise))
        falls = down > decision_interval and down >= gate * sqrt(float(fall))
        if rises or falls:
            counts[ALARMED] = 1
            counts[SINCE] = rise if rises and (not falls or up >= down) else fall
            found = i
            break
    counts[SEEN], counts[IGNORED], counts[_RISE], counts[_FALL] = seen, ignored, rise, fall
    sums[_UP], sums[_DOWN] = up, down
    return found
