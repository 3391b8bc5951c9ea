"""Welch's t: the mean of the last values against that of a reference, neither of whose variances is known."""

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
    Values,
    as_reference,
    demand,
    split,
)
from detectors.distribution.window import FILLED, NEXT, Windowed

_MEAN, _SQUARES = 0, 1  # of some values: their mean, the sum of the squared distances from it
_NEW, _ALL = 0, 1  # rows of moments: of the values since the ring began anew, of the whole window
_FARTHEST = 1e140  # standard deviations; what lies further out is taken to be there, so that no sum overflows
_DIRECTIONS = {"up": 1, "down": -1, "both": 0}


@dataclass(frozen=True, slots=True)
class WelchTParams:
    """Parameters.

    reference: the healthy sample (at least 30 finite values, not all the same). window: values looked back. threshold:
    alarm level of t, in standard errors of the difference of means. direction: up, down or both. min_effect: distance
    between the means, in the reference's standard deviations, below which there is no alarm, however significant.
    """

    reference: Values
    window: int = 100
    threshold: float = 6.0
    direction: Literal["up", "down", "both"] = "both"
    min_effect: float = 0.0

    def __post_init__(self) -> None:
        reference = as_reference(self.reference, 30)
        object.__setattr__(self, "reference", reference)
        demand(bool(np.ptp(reference / np.abs(reference).max(initial=1.0)) > 0), "reference must vary")
        demand(2 <= self.window <= 1_000_000, "window must be 2 to 1,000,000 values")
        demand(isfinite(self.threshold) and self.threshold > 0, "threshold must be a number above 0")
        demand(self.direction in _DIRECTIONS, "direction must be up, down or both")
        demand(isfinite(self.min_effect) and self.min_effect >= 0, "min_effect must be a number of at least 0")


class WelchT(Windowed):
    """Welch's t-test of a sliding window's mean against a fixed reference's, their variances being their own.

    t is the difference of the means over its standard error, sqrt(s²/window + S²/size), equal to scipy's ttest_ind with
    equal_var=False. The window's moments are those of the values since the ring began anew joined to those of the older
    ones still inside, kept from its end backwards (Chan's rule): nothing is ever subtracted, so a huge value leaves no
    trace once it is out. The statistic is t, -t or |t| by direction. There is no test before the window is full; an
    alarm empties it.

    What holds in closed form, for independent normal values: over n values at most n × tail false alarms are expected,
    tail being Student's beyond the threshold (both sides of it with direction both) with the lesser of window - 1 and
    size - 1 degrees of freedom, the reference's own error included; overlapping windows make that generous.

    Memory: 24 bytes × window, plus the reference.

    >>> import numpy as np
    >>> rng = np.random.default_rng(3)
    >>> detector = WelchT(WelchTParams(reference=rng.normal(size=1000)))
    >>> int(detector.update_many(np.concatenate([rng.normal(size=2000), rng.normal(1.0, size=400)]))[0])
    2071

    Welch: The generalization of "Student's" problem when several different population variances are involved.
    Biometrika 34 (1947), 28-35. Chan, Golub, LeVeque: Algorithms for computing the sample variance. Am. Statist. 37
    (1983), 242-247. The bound of the tail: Mickey, Brown: Bounds on the distribution functions of the Behrens-Fisher
    statistic. Ann. Math. Statist. 37 (1966), 639-642.
    """

    name: ClassVar[str] = "welch_t"
    parameters: ClassVar[type[WelchTParams]] = WelchTParams

    def __init__(self, params: WelchTParams) -> None:
        self.params: WelchTParams = params
        reference = np.asarray(params.reference)
        self._size = len(reference)
        self._mean, self._deviation = _mean_and_deviation(reference)
        self.counts = np.zeros(8, np.int64)
        self._ring = np.zeros(params.window)
        self._older = np.zeros((params.window, 2))
        self._moments = np.zeros((2, 2))

    def _feed(self, values: Float64Array) -> int:
        p = self.params
        found = int(
            _feed(
                self.counts, self._moments, self._ring, self._older, values,
                self._mean, self._deviation, self._size, p.threshold, p.min_effect, _DIRECTIONS[p.direction],
            )
        )  # fmt: skip
        if found >= 0:
            self.counts[SINCE] = split(self.window_values())
        return found

    def reset(self) -> None:
        _clear(self.counts, self._moments)

    @property
    def statistic(self) -> float:
        """t, -t or |t| by direction; 0 until the window is full."""
        if not self.full:
            return 0.0
        mean, squares = self._moments[_ALL].tolist()
        return float(_statistic(mean, squares, len(self._ring), self._size, _DIRECTIONS[self.params.direction]))

    @property
    def effect(self) -> float:
        """The window's mean less the reference's, in the latter's standard deviations; 0 until the window is full."""
        return float(self._moments[_ALL, _MEAN]) if self.full else 0.0

    @property
    def threshold(self) -> float:
        return self.params.threshold

    @property
    def memory(self) -> int:
        return OBJECTS + 24 * self.params.window + np.asarray(self.params.reference).nbytes

    def _recount(self) -> None:
        _resume(self.counts, self._moments, self._ring, self._older)


def _mean_and_deviation(reference: Float64Array) -> tuple[float, float]:
    """Mean and sample standard deviation, in steps that do not overflow; at least the smallest number above 0."""
    unit = float(np.abs(reference).max())
    scaled = reference / unit
    return float(scaled.mean() * unit), max(float(scaled.std(ddof=1) * unit), 5e-324)


@numba.njit(cache=True)
def _clear(counts: Int64Array, moments: Float64Array) -> None:
    counts[ALARMED], counts[SINCE], counts[FILLED], counts[NEXT] = 0, 0, 0, 0
    moments[:] = 0.0


@numba.njit(cache=True)
def _take(mean: float, squares: float, size: int, value: float) -> tuple[float, float]:
    """The moments of `size` values, of those of all but this one and this one (Welford's rule)."""
    gap = value - mean
    mean += gap / size
    return mean, squares + gap * (value - mean)


@numba.njit(cache=True)
def _turn(ring: Float64Array, older: Float64Array) -> None:
    """older[i]: the moments of what the ring holds at i and after it."""
    mean, squares = 0.0, 0.0
    for k in range(len(ring) - 1, -1, -1):
        mean, squares = _take(mean, squares, len(ring) - k, ring[k])
        older[k, _MEAN], older[k, _SQUARES] = mean, squares


@numba.njit(cache=True)
def _join(moments: Float64Array, older: Float64Array, at: int) -> None:
    """The window's moments, of `at` new values and the older ones from there on (Chan's rule)."""
    part = float(len(older) - at) / len(older)
    gap = older[at, _MEAN] - moments[_NEW, _MEAN]
    moments[_ALL, _MEAN] = moments[_NEW, _MEAN] + gap * part
    moments[_ALL, _SQUARES] = moments[_NEW, _SQUARES] + older[at, _SQUARES] + gap * gap * at * part


@numba.njit(cache=True)
def _resume(counts: Int64Array, moments: Float64Array, ring: Float64Array, older: Float64Array) -> None:
    """The moments as they were when the counts and the ring were written, to the last bit."""
    full = counts[FILLED] == len(ring)
    if full:
        _turn(ring, older)
    mean, squares = 0.0, 0.0
    for k in range(counts[NEXT]):
        mean, squares = _take(mean, squares, k + 1, ring[k])
    moments[_NEW, _MEAN], moments[_NEW, _SQUARES] = mean, squares
    if full:
        _join(moments, older, counts[NEXT])


@numba.njit(cache=True)
def _statistic(mean: float, squares: float, window: int, size: int, direction: int) -> float:
    """In units of the reference's standard deviation, whose own variance is 1."""
    t: float = mean / sqrt(squares / (window - 1) / window + 1.0 / size)
    return abs(t) if direction == 0 else direction * t


@numba.njit(cache=True)
def _feed(
    counts: Int64Array,
    moments: Float64Array,
    ring: Float64Array,
    older: Float64Array,
    values: Float64Array,
    mean: float,
    deviation: float,
    size: int,
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
            _clear(counts, moments)
        counts[SEEN] += 1
        at = counts[NEXT]
        ring[at] = min(max((value - mean) / deviation, -_FARTHEST), _FARTHEST)
        moments[_NEW, _MEAN], moments[_NEW, _SQUARES] = _take(
            moments[_NEW, _MEAN], moments[_NEW, _SQUARES], at + 1, ring[at]
        )
        at += 1
        counts[FILLED] = min(counts[FILLED] + 1, window)
        if at == window:
            at = 0
            _turn(ring, older)
            moments[_NEW, _MEAN], moments[_NEW, _SQUARES] = 0.0, 0.0
        counts[NEXT] = at
        if counts[FILLED] < window:
            continue
        _join(moments, older, at)
        gap = moments[_ALL, _MEAN]
        if abs(gap) >= min_effect and _statistic(gap, moments[_ALL, _SQUARES], window, size, direction) > threshold:
            counts[ALARMED] = 1
            return i
    return -1
