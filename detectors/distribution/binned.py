"""What psi and jensen_shannon share: the cells of a reference, counts of a sliding window in them, a sum over cells."""

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
from detectors.distribution.ascending import Int32Array, place_of
from detectors.distribution.window import FILLED, NEXT, Counting

Cells = Literal["linear", "quantile", "categories"]

PSI, JENSEN_SHANNON = 0, 1
"""Which sum: the population stability index in nats, the Jensen-Shannon divergence in bits."""

_MARGIN = 1e-9  # the running sum's rounding, far above it


@dataclass(frozen=True, slots=True)
class BinnedParams:
    """Parameters. reference: the healthy sample (at least 30 finite values). window: values looked back.
    threshold: alarm level of the statistic. min_effect: total variation over the cells (0 to 1) below which there is
    no alarm. cells: linear (bins of equal width over the reference's range), quantile (bins that hold about equally
    many of its values), both with an outer bin on either side; or categories, with one more for all that the
    reference never showed. bins: how many between the outer ones."""

    reference: Values
    window: int = 500
    threshold: float = 0.25
    min_effect: float = 0.0
    cells: Cells = "linear"
    bins: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "reference", as_reference(self.reference, 30))
        demand(10 <= self.window <= 1_000_000, "window must be 10 to 1,000,000 values")
        demand(isfinite(self.threshold) and self.threshold > 0, "threshold must be a number above 0")
        demand(isfinite(self.min_effect) and 0 <= self.min_effect < 1, "min_effect must be at least 0 and below 1")
        demand(self.cells in ("linear", "quantile", "categories"), "cells must be linear, quantile or categories")
        demand(2 <= self.bins <= 1000, "bins must be 2 to 1000")


class Binned(Counting):
    """A divergence between the counts of a window and of a reference in the same cells; one term for each cell."""

    sum_of: ClassVar[int]
    params: BinnedParams

    def __init__(self, params: BinnedParams, smoothing: float) -> None:
        self.params = params
        reference = np.asarray(params.reference)
        self._points = points_of(reference, params.cells, params.bins)
        self._exact = params.cells == "categories"
        places = [_cell(self._points, self._exact, value) for value in np.unique(reference)]
        times = np.bincount(places, np.unique(reference, return_counts=True)[1], len(self._points) + 1)
        self._shares = times / len(reference)
        self._smoothed = (times + smoothing) / (len(reference) + smoothing * len(times))
        self._smoothing = smoothing
        self.counts = np.zeros(8, np.int64)
        self._ring = np.zeros(params.window)
        self._slots = np.zeros(params.window, np.int32)
        self._inside = np.zeros(len(times), np.int64)
        self._terms = np.zeros(len(times) + 1)  # the last: their running sum
        self.reset()

    def _take(self, values: Float64Array) -> int:
        p = self.params
        return int(
            _feed(
                self.counts, self._points, self._shares, self._smoothed, self._ring, self._slots, self._inside,
                self._terms, self._exact, self.sum_of, self._smoothing, p.threshold, p.min_effect, values,
            )
        )  # fmt: skip

    def _since(self) -> int:
        """Values since the split of the window that parts the log likelihood ratios of its own mixture best."""
        gain = np.log((self._inside + 0.5) / (self._shares * self.params.window + 0.5))
        return split(gain[np.roll(self._slots, -int(self.counts[NEXT]))])

    def reset(self) -> None:
        _clear(self.counts, self._inside, self._terms, self._smoothed, self.params.window, self.sum_of, self._smoothing)

    @property
    def statistic(self) -> float:
        """The divergence; 0 until the window is full."""
        return float(_statistic(self._terms, self.sum_of)) if self.full else 0.0

    @property
    def effect(self) -> float:
        """Total variation between the window and the reference over the cells; 0 until the window is full."""
        return float(_variation(self._inside, self._shares, self.params.window)) if self.full else 0.0

    @property
    def threshold(self) -> float:
        return self.params.threshold

    @property
    def memory(self) -> int:
        return OBJECTS + np.asarray(self.params.reference).nbytes + 12 * self.params.window + 56 * len(self._terms)


def points_of(reference: Float64Array, cells: Cells, bins: int) -> Float64Array:
    """What parts the cells: upper ends of all but the last, which they include; or the categories themselves."""
    if cells == "categories":
        return np.unique(reference)
    low, high = float(reference.min()), float(reference.max())
    parts = np.arange(1, bins) / bins
    inner = (
        low * (1.0 - parts) + high * parts
        if cells == "linear"
        else np.quantile(reference, parts, method="inverted_cdf")
    )
    with np.errstate(over="ignore"):
        return np.unique(np.concatenate(([np.nextafter(low, -np.inf)], np.clip(inner, low, high), [high])))


@numba.njit(cache=True)
def _cell(points: Float64Array, exact: bool, value: float) -> int:
    place: int = place_of(points, len(points), value)
    if exact and place < len(points) and points[place] != value:
        place = len(points)
    return place


@numba.njit(cache=True)
def _term(count: int, window: int, share: float, cells: int, sum_of: int, smoothing: float) -> float:
    """What a cell adds. No smoothing is needed for Jensen-Shannon, whose mixture is empty only where both are."""
    found = 0.0
    p = (count + smoothing) / (window + smoothing * cells)
    if sum_of == PSI:
        found = (p - share) * np.log(p / share)
    else:
        mixed = (p + share) / 2.0
        if p > 0.0:
            found += p * np.log2(p / mixed) / 2.0
        if share > 0.0:
            found += share * np.log2(share / mixed) / 2.0
    return found


@numba.njit(cache=True)
def _clear(
    counts: Int64Array,
    inside: Int64Array,
    terms: Float64Array,
    smoothed: Float64Array,
    window: int,
    sum_of: int,
    smoothing: float,
) -> None:
    counts[ALARMED], counts[SINCE], counts[FILLED], counts[NEXT] = 0, 0, 0, 0
    inside[:] = 0
    for cell in range(len(inside)):
        terms[cell] = _term(0, window, smoothed[cell], len(inside), sum_of, smoothing)
    terms[-1] = terms[:-1].sum()


@numba.njit(cache=True)
def _statistic(terms: Float64Array, sum_of: int) -> float:
    """From the terms themselves, not their running sum: the same whatever came before."""
    total = 0.0
    for cell in range(len(terms) - 1):
        total += terms[cell]
    total = max(total, 0.0)
    return total if sum_of == PSI else np.sqrt(total)


@numba.njit(cache=True)
def _variation(inside: Int64Array, shares: Float64Array, window: int) -> float:
    total = 0.0
    for cell in range(len(inside)):
        total += abs(inside[cell] / window - shares[cell])
    return total / 2.0


@numba.njit(cache=True)
def _feed(
    counts: Int64Array,
    points: Float64Array,
    shares: Float64Array,
    smoothed: Float64Array,
    ring: Float64Array,
    slots: Int32Array,
    inside: Int64Array,
    terms: Float64Array,
    exact: bool,
    sum_of: int,
    smoothing: float,
    threshold: float,
    min_effect: float,
    values: Float64Array,
) -> int:
    window, cells = len(ring), len(inside)
    level = (threshold if sum_of == PSI else threshold * threshold) * (1.0 - _MARGIN) - _MARGIN
    for i in range(len(values)):
        value = values[i]
        if not np.isfinite(value):
            counts[IGNORED] += 1
            continue
        if counts[ALARMED]:
            _clear(counts, inside, terms, smoothed, window, sum_of, smoothing)
        counts[SEEN] += 1
        at = counts[NEXT]
        cell = _cell(points, exact, value)
        old = slots[at] if counts[FILLED] == window else -1
        counts[FILLED] += 1 if old < 0 else 0
        if cell != old:
            for changed, sign in ((old, -1), (cell, 1)):
                if changed >= 0:
                    inside[changed] += sign
                    terms[-1] -= terms[changed]
                    terms[changed] = _term(inside[changed], window, smoothed[changed], cells, sum_of, smoothing)
                    terms[-1] += terms[changed]
        ring[at] = value
        slots[at] = cell
        counts[NEXT] = at + 1
        if at + 1 == window:
            counts[NEXT] = 0
            terms[-1] = terms[:-1].sum()
        if (
            counts[FILLED] == window
            and terms[-1] > level
            and _statistic(terms, sum_of) > threshold
            and _variation(inside, shares, window) >= min_effect
        ):
            counts[ALARMED] = 1
            return i
    return -1
