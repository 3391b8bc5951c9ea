"""Chi-squared: how often each category came in the last values, against a fixed reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar

import numba
import numpy as np
import numpy.typing as npt

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
    as_reference,
    demand,
    finite,
    split,
)
from detectors.snapshot import SnapshotError

LEAST = 10.0
"""Categories expected fewer times than this in a window share a cell: small expectations make the statistic's tail
heavy, and a threshold that holds for it blind to everything else."""

_FILLED, _NEXT = 4, 5  # places in counts: values in the window, where the next one goes


@dataclass(frozen=True, slots=True)
class ChiSquaredParams:
    """Parameters. reference: the healthy sample, categories as numbers (at least 30). window: values looked back.
    threshold: alarm level of Pearson's statistic. min_effect: total variation (0 to 1) below which there is no alarm,
    however significant. least: categories expected fewer times than this in a window are pooled."""

    reference: Values
    window: int = 500
    threshold: float = 60.0
    min_effect: float = 0.0
    least: float = LEAST

    def __post_init__(self) -> None:
        object.__setattr__(self, "reference", as_reference(self.reference, 30))
        demand(10 <= self.window < 2**31, "window must be at least 10 values")
        demand(isfinite(self.threshold) and self.threshold > 0, "threshold must be a number above 0")
        demand(isfinite(self.min_effect) and 0 <= self.min_effect < 1, "min_effect must be at least 0 and below 1")
        demand(isfinite(self.least) and 0 <= self.least <= self.window / 2, "least must be 0 to half a window")


class ChiSquared(Detector):
    """Pearson's chi-squared statistic of a sliding window against the reference's proportions.

    Categories that are expected fewer than `least` times in a window, and all that the reference never showed, share
    one cell, the last, which is taken to expect `least` at the least: a cell that expects nothing would alarm at one
    value. A value in and a value out change two terms of the sum, which is summed anew each time the window has turned
    over. There is no test before the window is full; an alarm empties it.

    Memory: 16 bytes × window plus 24 bytes × categories.

    >>> import numpy as np
    >>> rng = np.random.default_rng(3)
    >>> detector = ChiSquared(ChiSquaredParams(reference=rng.integers(4, size=1000)))
    >>> int(detector.update_many(np.concatenate([rng.integers(4, size=2000), rng.integers(2, size=500)]))[0])
    2120

    Pearson: On the criterion that a given system of deviations […]. Philosophical Magazine 50 (1900), 157-175.
    """

    name: ClassVar[str] = "chi_squared"
    parameters: ClassVar[type[ChiSquaredParams]] = ChiSquaredParams

    def __init__(self, params: ChiSquaredParams) -> None:
        self.params: ChiSquaredParams = params
        self.categories, self.proportions = cells(np.asarray(params.reference), params.window, params.least)
        self.counts = np.zeros(8, np.int64)
        self._sum = np.zeros(1)
        self._ring = np.zeros(params.window)
        self._slots = np.zeros(params.window, np.int64)
        self._inside = np.zeros(len(self.proportions), np.int64)
        self._expected = self.proportions * params.window

    def _feed(self, values: Float64Array) -> int:
        p = self.params
        found = int(
            _feed(
                self.counts, self._sum, self.categories, self._expected, self._ring, self._slots, self._inside,
                p.threshold, p.min_effect, values,
            )
        )  # fmt: skip
        if found >= 0:
            self.counts[SINCE] = self._since()
        return found

    def _since(self) -> int:
        """Values since the split of the window that parts the log likelihood ratios of its mixture best."""
        at = int(self.counts[_NEXT])
        slots = np.roll(self._slots, -at)
        gain = np.log((self._inside + 0.5) / (self._expected + 0.5))
        return split(gain[slots])

    def reset(self) -> None:
        _clear(self.counts, self._sum, self._inside)

    @property
    def statistic(self) -> float:
        """Pearson's statistic; 0 until the window is full."""
        return max(0.0, float(self._sum[0]) - self.params.window) if self._full else 0.0

    @property
    def effect(self) -> float:
        """Total variation between the window and the reference; 0 until the window is full."""
        return float(np.abs(self._inside - self._expected).sum() / 2 / self.params.window) if self._full else 0.0

    @property
    def _full(self) -> bool:
        return bool(self.counts[_FILLED] == self.params.window)

    @property
    def threshold(self) -> float:
        return self.params.threshold

    @property
    def memory(self) -> int:
        return OBJECTS + 16 * self.params.window + 32 * len(self.proportions) + np.asarray(self.params.reference).nbytes

    def state(self) -> State:
        return {"counts": self.counts, "ring": self._ring, "sum": self._sum}

    def load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        counts, ring, total = self.counts.copy(), self._ring.copy(), self._sum.copy()
        for name, array in (("counts", counts), ("ring", ring), ("sum", total)):
            self._load_array(state, name, array)
        filled, at = int(counts[_FILLED]), int(counts[_NEXT])
        window = len(ring)
        if not (0 <= filled <= window and 0 <= at < window and finite(ring) and filled in (window, at)):
            raise SnapshotError("the state of chi_squared is not one that can be: window out of bounds")
        self.counts[:], self._ring[:], self._sum[:] = counts, ring, total
        self._inside[:] = 0
        for i in range(filled):
            self._slots[i] = _cell(self.categories, ring[i])
            self._inside[self._slots[i]] += 1


def cells(reference: Float64Array, window: int, least: float) -> tuple[Float64Array, Float64Array]:
    """(categories with a cell of their own, ascending; proportions of the cells, the pooled one last)."""
    categories, counts = np.unique(reference, return_counts=True)
    own = counts * window >= least * len(reference)
    rest = max(float(counts[~own].sum()) / len(reference), least / window, 0.5 / len(reference))
    named = counts[own] / len(reference)
    return categories[own], np.append(named / named.sum() * (1.0 - rest) if len(named) else named, min(rest, 1.0))


@numba.njit(cache=True)
def _cell(categories: Float64Array, value: float) -> int:
    low, high = 0, len(categories)
    while low < high:
        middle = (low + high) >> 1
        if categories[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low if low < len(categories) and categories[low] == value else len(categories)


@numba.njit(cache=True)
def _clear(counts: Int64Array, total: Float64Array, inside: Int64Array) -> None:
    counts[ALARMED], counts[SINCE], counts[_FILLED], counts[_NEXT] = 0, 0, 0, 0
    total[0] = 0.0
    inside[:] = 0


@numba.njit(cache=True)
def _variation(inside: Int64Array, expected: Float64Array) -> float:
    total = 0.0
    for cell in range(len(inside)):
        total += abs(inside[cell] - expected[cell])
    return total


@numba.njit(cache=True)
def _feed(
    counts: Int64Array,
    total: Float64Array,
    categories: Float64Array,
    expected: Float64Array,
    ring: Float64Array,
    slots: Int64Array,
    inside: Int64Array,
    threshold: float,
    min_effect: float,
    values: Float64Array,
) -> int:
    window = len(ring)
    for i in range(len(values)):
        value = values[i]
        if not np.isfinite(value):
            counts[IGNORED] += 1
            continue
        if counts[ALARMED]:
            _clear(counts, total, inside)
        counts[SEEN] += 1
        at = counts[_NEXT]
        # Pearson's statistic is sum(inside² / expected) - window: (n ± 1)² - n² = ±2n + 1
        if counts[_FILLED] == window:
            old = slots[at]
            total[0] -= (2 * inside[old] - 1) / expected[old]
            inside[old] -= 1
        else:
            counts[_FILLED] += 1
        cell = _cell(categories, value)
        total[0] += (2 * inside[cell] + 1) / expected[cell]
        inside[cell] += 1
        ring[at] = value
        slots[at] = cell
        counts[_NEXT] = at + 1
        if at + 1 == window:
            counts[_NEXT] = 0
            total[0] = 0.0
            for k in range(len(inside)):
                total[0] += inside[k] * inside[k] / expected[k]
        if (
            counts[_FILLED] == window
            and total[0] - window > threshold
            and _variation(inside, expected) >= 2.0 * min_effect * window
        ):
            counts[ALARMED] = 1
            return i
    return -1


def pearson(values: Values, reference: Values, least: float = LEAST) -> tuple[float, int]:
    """(Pearson's statistic of the values against the reference's proportions, its degrees of freedom)."""
    array = np.asarray(values, np.float64)
    if not len(array):
        return 0.0, 0
    categories, proportions = cells(np.asarray(reference, np.float64), len(array), least)
    expected = proportions * len(array)
    gaps = _tally(array, categories) - expected
    return float((gaps * gaps / expected).sum()), len(proportions) - 1


def total_variation(values: Values, reference: Values) -> float:
    """Half the sum of the differences between the proportions of the categories in the two samples."""
    one, two = np.asarray(values, np.float64), np.asarray(reference, np.float64)
    if not len(one) or not len(two):
        return 0.0
    known = np.union1d(one, two)
    return float(np.abs(_tally(one, known) / len(one) - _tally(two, known) / len(two)).sum() / 2)


def _tally(values: Float64Array, categories: Float64Array) -> Float64Array:
    """How often each category came, those without one last."""
    place = np.searchsorted(categories, values)
    if not len(categories):
        return np.array([float(len(values))])
    known = categories[np.minimum(place, len(categories) - 1)] == values
    return np.bincount(np.where(known, place, len(categories)), minlength=len(categories) + 1).astype(np.float64)
