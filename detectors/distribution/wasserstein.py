"""Wasserstein distance: how far values must move to turn the reference into the last values, exact at every value."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
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
    Values,
    as_reference,
    demand,
    split,
)
from detectors.distribution.ascending import place_of, shift_down, shift_up
from detectors.distribution.window import FILLED, NEXT, Counting, middle_ranks

_MARGIN = 1e-9  # of the threshold, against rounding


@dataclass(frozen=True, slots=True)
class WassersteinParams:
    """Parameters. reference: the healthy sample (at least 30 finite values). window: values looked back.
    threshold: alarm level of the distance, in the unit. unit: deviation (the reference's standard deviation) or value
    (what the values are in)."""

    reference: Values
    window: int = 500
    threshold: float = 0.25
    unit: Literal["deviation", "value"] = "deviation"

    def __post_init__(self) -> None:
        reference = as_reference(self.reference, 30)
        object.__setattr__(self, "reference", reference)
        demand(10 <= self.window <= 1_000_000, "window must be 10 to 1,000,000 values")
        demand(len(reference) * self.window < 2**62, "reference × window must be under 2^62 values")
        demand(isfinite(self.threshold) and self.threshold > 0, "threshold must be a number above 0")
        demand(self.unit in ("deviation", "value"), "unit must be deviation or value")
        demand(
            isfinite(self.scale) and self.scale > 0, "unit deviation needs a reference that varies; unit may be value"
        )

    @property
    def scale(self) -> float:
        """The unit, in what the values are in."""
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.std(np.asarray(self.reference))) if self.unit == "deviation" else 1.0


class Wasserstein(Counting):
    """The 1-Wasserstein distance of a sliding window from a fixed reference.

    It is the area between the two empirical distribution functions: a shift by s costs s, in the values' own unit, and
    so does a tail that moves far, which rank statistics do not see. A value in for a value out moves it by at most the
    gap between them over the window's size; the sum of these gaps bounds it from above, and it is summed anew (equal
    to scipy.stats.wasserstein_distance within 1e-9) only when the bound passes the threshold: no look that could alarm
    is left out. The threshold is an effect size; there is no other. There is no test before the window is full; an
    alarm empties it.

    Memory: 24 bytes × reference, plus 16 bytes × window.

    >>> import numpy as np
    >>> rng = np.random.default_rng(3)
    >>> detector = Wasserstein(WassersteinParams(reference=rng.normal(size=1000)))
    >>> int(detector.update_many(np.concatenate([rng.normal(size=2000), rng.normal(1.0, size=400)]))[0])
    2146

    Vallender: Calculation of the Wasserstein distance between probability distributions on the line. Theory Probab.
    Appl. 18 (1974), 784-786.
    """

    name: ClassVar[str] = "wasserstein"
    parameters: ClassVar[type[WassersteinParams]] = WassersteinParams

    def __init__(self, params: WassersteinParams) -> None:
        self.params: WassersteinParams = params
        self._scale = params.scale
        points, weights = np.unique(np.asarray(params.reference), return_counts=True)
        self._points, self._weights = np.append(points, np.inf), np.append(weights, 0)
        self.counts = np.zeros(8, np.int64)
        self._ring = np.zeros(params.window)
        self._ordered = np.full(params.window + 1, np.inf)
        self._room = np.zeros(1)  # how much the distance may grow before the next look, × window
        self.reset()

    def _take(self, values: Float64Array) -> int:
        return int(
            _feed(
                self.counts, self._points, self._weights, self._ring, self._ordered, self._room, self._scale,
                self.params.threshold, values,
            )
        )  # fmt: skip

    def _since(self) -> int:
        return split(middle_ranks(self._points, self._weights, self.window_values()))

    def reset(self) -> None:
        _clear(self.counts, self._room)

    @property
    def statistic(self) -> float:
        """The distance in the unit; 0 until the window is full."""
        if not self.full:
            return 0.0
        return float(_distance(self._points, self._weights, self._ordered) / self._scale)

    @property
    def threshold(self) -> float:
        return self.params.threshold

    @property
    def memory(self) -> int:
        return OBJECTS + 24 * len(np.asarray(self.params.reference)) + 16 * self.params.window


@numba.njit(cache=True)
def _clear(counts: Int64Array, room: Float64Array) -> None:
    counts[ALARMED], counts[SINCE], counts[FILLED], counts[NEXT] = 0, 0, 0, 0
    room[0] = -1.0


@numba.njit(cache=True)
def _distance(points: Float64Array, weights: Int64Array, ordered: Float64Array) -> float:
    """The area between the distribution functions of the weighted points and of the ordered values, both with an
    infinite one after the last. Without branches but one, which is mostly the same: the order is not to be foreseen."""
    size, window = weights.sum(), len(ordered) - 1
    i, j, apart, area, unit = 0, 0, 0, 0.0, 1.0 / size / window
    here = min(points[0], ordered[0])
    for _ in range(len(points) - 1 + window):
        before, point, value = here, points[i], ordered[j]
        from_reference = point <= value
        here = point if from_reference else value
        if apart != 0:
            area += abs(apart) * unit * (here - before)
        rise = weights[i] * window
        apart += rise if from_reference else -size
        i += 1 if from_reference else 0
        j += 0 if from_reference else 1
    return area


@numba.njit(cache=True)
def _replace(ordered: Float64Array, window: int, old: float, value: float) -> None:
    """Take an old value out of the ordered ones and put a new one in."""
    hole, at = place_of(ordered, window, old), place_of(ordered, window, value)
    if hole < at:
        at -= 1
        shift_down(ordered[hole : at + 1])
    else:
        shift_up(ordered[at : hole + 1])
    ordered[at] = value


@numba.njit(cache=True)
def _feed(
    counts: Int64Array,
    points: Float64Array,
    weights: Int64Array,
    ring: Float64Array,
    ordered: Float64Array,
    room: Float64Array,
    scale: float,
    threshold: float,
    values: Float64Array,
) -> int:
    window = len(ring)
    for i in range(len(values)):
        value = values[i]
        if not np.isfinite(value):
            counts[IGNORED] += 1
            continue
        if counts[ALARMED]:
            _clear(counts, room)
        counts[SEEN] += 1
        at, filled = counts[NEXT], counts[FILLED]
        if filled == window:
            room[0] -= abs(value - ring[at]) / window / scale
            _replace(ordered, window, ring[at], value)
        else:
            place = place_of(ordered, filled, value)
            shift_up(ordered[place : filled + 1])
            ordered[place] = value
            filled += 1
            counts[FILLED] = filled
        ring[at] = value
        counts[NEXT] = at + 1 if at + 1 < window else 0
        if filled == window and room[0] < 0.0:
            found = _distance(points, weights, ordered) / scale
            if found > threshold:
                counts[ALARMED] = 1
                return i
            room[0] = threshold * (1.0 - _MARGIN) - found
    return -1
