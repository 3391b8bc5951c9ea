"""FOCuS: the likelihood-ratio test of a change at any earlier value, exact, by functional pruning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from detectors.detector import OBJECTS, Detector, Float64Array, State, Values, as_values, demand, finite
from detectors.mean.pruning import (
    AGES,
    BERNOULLI,
    COUNT,
    GAMMA,
    GAUSSIAN,
    KEPT,
    PIECES,
    POISSON,
    TOTAL,
    best_change,
    clear,
    feed,
    prime,
)
from detectors.snapshot import SnapshotError

_FAMILIES = {"gaussian": GAUSSIAN, "bernoulli": BERNOULLI, "poisson": POISSON, "gamma": GAMMA}
_RANGES = {
    "gaussian": (-inf, inf),
    "bernoulli": (1e-100, 1.0 - 1e-15),
    "poisson": (1e-100, 1e100),
    "gamma": (1e-100, 1e100),
}  # of a target
_DIRECTIONS = {"up": 1, "down": 2, "both": 3}


@dataclass(frozen=True, slots=True)
class FocusParams:
    """Parameters.

    threshold: alarm level of the log-likelihood ratio (not doubled); see `detectors.calibration.focus_threshold` (the
    default: one alarm in a million gaussian values). family: what the values are: gaussian with a known standard
    deviation, bernoulli (0 and 1, or shares between), poisson (counts), gamma (above 0, of a known shape; 1 is
    exponential). target: healthy mean, in units of the values; None: not known, estimated with each candidate. scale:
    standard deviation of gaussian values, in their units. shape: of gamma values. direction: up, down or both.
    least_change: a mean that has moved by no more, in units of the values, is no change: the values since must speak as
    strongly as the threshold against such a mean as well; 0 for the bare test. Values outside the family's range count
    as missing.
    """

    threshold: float = 14.4
    family: Literal["gaussian", "bernoulli", "poisson", "gamma"] = "gaussian"
    target: float | None = None
    scale: float = 1.0
    shape: float = 1.0
    direction: Literal["up", "down", "both"] = "both"
    least_change: float = 0.0

    def __post_init__(self) -> None:
        demand(isfinite(self.threshold) and self.threshold > 0, "threshold must be a number above 0")
        demand(self.family in _FAMILIES, "family must be gaussian, bernoulli, poisson or gamma")
        if self.target is not None:
            low, high = _RANGES[self.family]
            demand(low < self.target < high, f"target must lie between {low:g} and {high:g} for {self.family}")
        demand(isfinite(self.scale) and self.scale > 0, "scale must be a number above 0")
        demand(1e-6 <= self.shape <= 1e6, "shape must lie between 1e-6 and 1e6")
        demand(self.direction in _DIRECTIONS, "direction must be up, down or both")
        demand(isfinite(self.least_change) and self.least_change >= 0, "least_change must be a number of at least 0")


class Focus(Detector):
    """Functional Online CUSUM: a change of mean, wherever it began and however large it is.

    The statistic is the largest log-likelihood ratio, over all earlier values as change points and all means after
    (and, with an unknown target, before) it, against no change. A change point can be the best for some mean only
    while it is a corner of the convex hull of the cumulative sums, so all others are dropped: about log n of n are
    kept. Bounds on the older ones' likelihood spare most of those too, so a value takes the same time however long
    the stream. An alarm gives the change point of the largest ratio, exactly. (Of squared deviations, the gamma family
    with a shape of 1/2 tests the variance of normal values.)

    Memory: 48 bytes × 128 pieces. Values that climb without end keep every corner; beyond 128 the one
    closest to its neighbours, relative to its age, is dropped. The statistic is then a maximum over fewer change
    points: never larger, so that no false alarm is added. An unknown target is estimated from all values: one absurd
    value, in a direction that is not watched, hides what comes after it.

    >>> detector = Focus(FocusParams(threshold=15.0, family="poisson"))
    >>> detector.update_many([2.0, 4.0, 3.0, 3.0] * 100 + [9.0, 5.0] * 10).tolist()
    [407]
    >>> detector = Focus(FocusParams(threshold=15.0, family="poisson"))
    >>> detector.feed([2.0, 4.0, 3.0, 3.0] * 100 + [9.0, 5.0] * 10), detector.since_change
    (407, 8)

    Romano, Eckley, Fearnhead, Rigaill: Fast online changepoint detection via functional pruning CUSUM statistics.
    JMLR 24 (2023). Ward, Dilillo, Eckley, Fearnhead: Poisson-FOCuS. JASA 119 (2024). Ward, Romano, Eckley, Fearnhead:
    A constant-per-iteration likelihood ratio test for online changepoint detection for exponential family models.
    Statistics and Computing 34 (2024).
    """

    name: ClassVar[str] = "focus"
    parameters: ClassVar[type[FocusParams]] = FocusParams

    def __init__(self, params: FocusParams) -> None:
        self.params: FocusParams = params
        self.counts = np.zeros(8, np.int64)
        self._sums = np.zeros(5)
        self._pieces = np.zeros((2, 3, PIECES))
        self._family = _FAMILIES[params.family]
        self._scale = params.shape if params.family == "gamma" else params.scale
        self._known = params.target is not None
        self._target = 0.0 if params.target is None else float(params.target)
        self.reset()

    def _feed(self, values: Float64Array) -> int:
        p = self.params
        return int(
            feed(
                self.counts, self._sums, self._pieces, values, p.threshold,
                self._family, self._known, self._target, self._scale, _DIRECTIONS[p.direction],
                p.least_change / (p.scale if p.family == "gaussian" else 1.0),
            )
        )  # fmt: skip

    def reset(self) -> None:
        clear(self.counts, self._sums, self._pieces)

    def prime(self, reference: Values) -> None:
        """Where the target is not known, take a healthy sample as values before any change; else a fresh start."""
        self.reset()
        if not self._known:
            prime(self.counts, self._sums, self._pieces, as_values(reference), self._family, self._scale)

    @property
    def statistic(self) -> float:
        """The largest log-likelihood ratio."""
        mean = self._target if self._family != GAUSSIAN else 0.0
        return max(
            float(best_change(
                self._pieces[side], self.counts[KEPT + side], self._sums[COUNT + side], self._sums[TOTAL + side],
                self._family, self._scale, self._known, mean,
            )[0])
            for side in (0, 1)
        )  # fmt: skip

    @property
    def pieces(self) -> tuple[int, int]:
        """How many change points are kept upwards and downwards."""
        return int(self.counts[KEPT]), int(self.counts[KEPT + 1])

    @property
    def threshold(self) -> float:
        return self.params.threshold

    @property
    def memory(self) -> int:
        return OBJECTS + 48 * PIECES

    def state(self) -> State:
        return {"counts": self.counts, "sums": self._sums, "pieces": self._pieces}

    def load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        super().load(state)
        for side, kept in enumerate(self.pieces):
            if not (1 <= kept <= PIECES and finite(self._sums) and finite(self._pieces)):
                raise SnapshotError("the state of focus is not one that can be: pieces out of bounds")
            ages = self._pieces[side, AGES, :kept]
            if not (ages[0] >= 0 and (np.diff(ages) > 0).all() and ages[-1] <= self._sums[COUNT + side] < 2**53):
                raise SnapshotError("the state of focus is not one that can be: pieces out of order")
