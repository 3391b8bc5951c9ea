"""Counting Kolmogorov-Smirnov: the last values against a reference, or the values before them; each look exact."""

from __future__ import annotations

from dataclasses import dataclass
from math import e, exp, isfinite, log, sqrt
from typing import ClassVar

import numpy as np

from detectors.detector import OBJECTS, Float64Array, Values, as_reference, demand, split
from detectors.distribution.ks_reference import AgainstReference
from detectors.distribution.ks_windows import NewAgainstOld
from detectors.distribution.window import Counting


@dataclass(frozen=True, slots=True)
class WindowedKSParams:
    """Parameters. reference: the healthy sample (at least 30 finite values); None compares two sliding windows.
    window: values looked back. threshold: alarm level of the KS distance, 0 to 1. before: values of the older window
    where there is no reference; None for as many as the newer has."""

    reference: Values | None = None
    window: int = 500
    threshold: float = 0.2
    before: int | None = None

    def __post_init__(self) -> None:
        demand(10 <= self.window <= 1_000_000, "window must be 10 to 1,000,000 values")
        if self.reference is not None:
            object.__setattr__(self, "reference", as_reference(self.reference, 30))
            demand(self.before is None, "before is for two sliding windows; a reference takes its place")
        demand(self.before is None or 10 <= self.before <= 1_000_000, "before must be 10 to 1,000,000 values")
        demand(self.size * self.window < 2**30, "reference (or before) × window must be under 2^30 values")
        demand(isfinite(self.threshold) and 0 < self.threshold <= 1, "threshold must lie above 0 and be at most 1")

    @property
    def size(self) -> int:
        """Values that the window is compared with."""
        return len(np.asarray(self.reference)) if self.reference is not None else self.before or self.window


class WindowedKS(Counting):
    """The two-sample Kolmogorov-Smirnov test of a sliding window against a fixed reference, or the window before it.

    The statistic is the largest distance between the two empirical distribution functions, ties included, equal to
    scipy.stats.ks_2samp's to the last bit. A value in and a value out move it by a known step at the most, so most
    values need only be counted, and no look that could alarm is left out. There is no test before the window (or both
    windows) is full; an alarm empties it.

    Memory: 40 bytes × reference, plus 16 bytes × window, plus 16 KB; of two sliding windows 24 bytes × both.

    >>> import numpy as np
    >>> rng = np.random.default_rng(3)
    >>> detector = WindowedKS(WindowedKSParams(reference=rng.normal(size=1000)))
    >>> int(detector.update_many(np.concatenate([rng.normal(size=2000), rng.normal(1.0, size=400)]))[0])
    2231
    >>> detector = WindowedKS(WindowedKSParams(window=200, threshold=0.3))
    >>> int(detector.update_many(np.concatenate([rng.normal(size=2000), rng.normal(1.0, size=400)]))[0])
    2150

    dos Reis et al.: Fast unsupervised online drift detection using incremental Kolmogorov-Smirnov test. KDD 2016.
    """

    name: ClassVar[str] = "windowed_ks"
    parameters: ClassVar[type[WindowedKSParams]] = WindowedKSParams

    def __init__(self, params: WindowedKSParams) -> None:
        self.params: WindowedKSParams = params
        self.counts = np.zeros(8, np.int64)
        self._sides: AgainstReference | NewAgainstOld = (
            NewAgainstOld(params.size, params.window)
            if params.reference is None
            else AgainstReference(np.asarray(params.reference), params.window)
        )
        self._ring = self._sides.ring
        self.reset()

    def _take(self, values: Float64Array) -> int:
        return self._sides.feed(self.counts, self.params.threshold, values)

    def _since(self) -> int:
        return split(self._sides.ranks(self.window_values()))

    def reset(self) -> None:
        self._sides.clear(self.counts)

    def _recount(self) -> None:
        self._sides.recount(self.counts)

    @property
    def statistic(self) -> float:
        """The KS distance; 0 until the window is full."""
        return self._sides.distance() if self.full else 0.0

    @property
    def threshold(self) -> float:
        return self.params.threshold

    @property
    def memory(self) -> int:
        return OBJECTS + self._sides.memory


def ks_distance(first: Values, second: Values) -> float:
    """The two-sample KS distance of two samples of finite values; 0 where one is empty."""
    one, two = np.sort(np.asarray(first, np.float64)), np.sort(np.asarray(second, np.float64))
    if not len(one) or not len(two):
        return 0.0
    both = np.concatenate([one, two])
    gaps = np.searchsorted(one, both, side="right") / len(one) - np.searchsorted(two, both, side="right") / len(two)
    return float(np.abs(gaps).max())


def ks_bound(distance: float, first: int, second: int) -> float:
    """An upper bound of the p-value of a distance between samples of these sizes.

    The Dvoretzky-Kiefer-Wolfowitz inequality for two samples, with the constant e that holds for all sizes:
    Wei, Dudley: Two-sample Dvoretzky-Kiefer-Wolfowitz inequalities. Statist. Probab. Lett. 82 (2012), 636-644.
    """
    return min(1.0, e * exp(-2.0 * distance * distance * first * second / (first + second)))


def ks_distance_at(bound: float, first: int, second: int) -> float:
    """The distance whose `ks_bound` is this: it is exceeded with at most that probability."""
    return sqrt(log(e / bound) * (first + second) / (2.0 * first * second))
