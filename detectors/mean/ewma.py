"""EWMA: an exponentially weighted mean of standardized deviations between fixed limits."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt
from typing import ClassVar, Literal

import numba
import numpy as np

from detectors.detector import ALARMED, IGNORED, OBJECTS, SEEN, SINCE, Detector, Float64Array, Int64Array, State, demand

_SIDE = 4  # place in counts: values since the mean was last on the other side of the target
_MEAN = 0  # place in sums: the weighted mean less the target, in its standard deviations in the long run
_DIRECTIONS = {"up": 1, "down": 2, "both": 3}


@dataclass(frozen=True, slots=True)
class EwmaParams:
    """Parameters.

    smoothing: weight of the newest value, (0, 1]. limit: alarm level, in standard deviations that the weighted mean
    has in the long run; see `detectors.calibration.ewma_limit` (the default: one alarm in a million normal values).
    target: healthy mean, in units of the values. scale: healthy standard deviation, in units of the values.
    direction: up, down or both.
    """

    smoothing: float = 0.1
    limit: float = 4.824
    target: float = 0.0
    scale: float = 1.0
    direction: Literal["up", "down", "both"] = "both"

    def __post_init__(self) -> None:
        demand(isfinite(self.smoothing) and 0 < self.smoothing <= 1, "smoothing must lie above 0 and be at most 1")
        demand(isfinite(self.limit) and self.limit > 0, "limit must be a number above 0")
        demand(isfinite(self.target), "target must be a number")
        demand(isfinite(self.scale) and self.scale > 0, "scale must be a number above 0")
        demand(self.direction in _DIRECTIONS, "direction must be up, down or both")


class Ewma(Detector):
    """The exponentially weighted moving average chart for a change of a known mean.

    The weighted mean starts at the target; its standard deviation in the long run is sqrt(smoothing / (2 - smoothing))
    of the values', and beyond `limit` of those it alarms. A small smoothing finds small shifts, 1 is Shewhart's chart.
    With one direction the mean goes no further the other way than its limit, so that good news does not delay bad
    (inertia: Woodall, Mahmoud, Technometrics 47, 2005). The change is estimated to have begun where the mean was last
    at the target or across it (Nishina, J. R. Statist. Soc. D 41, 1992).

    Memory: 9 numbers.

    >>> detector = Ewma(EwmaParams(limit=3.0, target=0.5))
    >>> detector.update_many([0.0, 1.0] * 500 + [2.0, 3.0] * 5).tolist()
    [1003, 1007]

    Roberts: Control chart tests based on geometric moving averages. Technometrics 1 (1959), 239-250. Lucas, Saccucci:
    Exponentially weighted moving average control schemes. Technometrics 32 (1990), 1-29.
    """

    name: ClassVar[str] = "ewma"
    parameters: ClassVar[type[EwmaParams]] = EwmaParams

    def __init__(self, params: EwmaParams) -> None:
        self.params: EwmaParams = params
        self.counts = np.zeros(8, np.int64)
        self._sums = np.zeros(1)

    def _feed(self, values: Float64Array) -> int:
        p = self.params
        return int(
            _feed(
                self.counts, self._sums, values, p.smoothing, p.limit, p.target, p.scale, _DIRECTIONS[p.direction],
            )
        )  # fmt: skip

    def reset(self) -> None:
        _clear(self.counts, self._sums)

    @property
    def mean(self) -> float:
        """The weighted mean, in units of the values."""
        p = self.params
        return p.target + p.scale * sqrt(p.smoothing / (2.0 - p.smoothing)) * float(self._sums[_MEAN])

    @property
    def statistic(self) -> float:
        """The weighted mean's distance from the target in the watched direction, in its standard deviations."""
        mean, direction = float(self._sums[_MEAN]), self.params.direction
        return abs(mean) if direction == "both" else (mean if direction == "up" else -mean)

    @property
    def threshold(self) -> float:
        return self.params.limit

    @property
    def memory(self) -> int:
        return OBJECTS

    def state(self) -> State:
        return {"counts": self.counts, "sums": self._sums}


@numba.njit(cache=True)
def _clear(counts: Int64Array, sums: Float64Array) -> None:
    counts[ALARMED], counts[SINCE], counts[_SIDE] = 0, 0, 0
    sums[:] = 0.0


@numba.njit(cache=True)
def _feed(
    counts: Int64Array,
    sums: Float64Array,
    values: Float64Array,
    smoothing: float,
    limit: float,
    target: float,
    scale: float,
    direction: int,
) -> int:
    seen, ignored, side = counts[SEEN], counts[IGNORED], counts[_SIDE]
    mean = sums[_MEAN]
    weight = sqrt(smoothing * (2.0 - smoothing))
    found = -1
    for i in range(len(values)):
        value = values[i]
        if not np.isfinite(value):
            ignored += 1
            continue
        if counts[ALARMED]:
            _clear(counts, sums)
            mean, side = 0.0, 0
        seen += 1
        before = mean
        mean = (1.0 - smoothing) * mean + weight * ((value - target) / scale)
        if direction == 1:
            mean = max(mean, -limit)
        elif direction == 2:
            mean = min(mean, limit)
        side = side + 1 if (before > 0.0 and mean > 0.0) or (before < 0.0 and mean < 0.0) else 1
        if (direction & 1 and mean > limit) or (direction & 2 and -mean > limit):
            counts[ALARMED] = 1
            counts[SINCE] = side
            found = i
            break
    counts[SEEN], counts[IGNORED], counts[_SIDE] = seen, ignored, side
    sums[_MEAN] = mean
    return found
