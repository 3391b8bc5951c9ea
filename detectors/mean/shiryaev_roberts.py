"""Shiryaev-Roberts e-detector: bets against a bounded series keeping its mean; no model, no independence needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, log, sqrt
from typing import Any, ClassVar, Literal

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
    demand,
    finite,
)
from detectors.snapshot import SnapshotError

_RUN = 4  # place in counts: values since the start
_BASE, _SLOPE, _WEALTH, _AGE = range(4)  # rows of bets: the factor of a value u is base + slope × u
_LEAST = 1e-12  # parts of the range that a bound must be away from its ends, so that no factor overflows
_DIRECTIONS = ("up", "down", "both")


@dataclass(frozen=True, slots=True)
class ShiryaevRobertsParams:
    """Parameters.

    bound: the largest conditional mean that is still healthy, in units of the values; the least one where direction
    is down. low, high: the range of the values, in their units; what lies outside is taken at its edge. threshold:
    alarm level, in values: the average run length between false alarms is at least this; up to 1e12. direction: up,
    down or both. lower: the least healthy mean where direction is both (default: the bound). bets: sizes of bet in the
    mixture, for each direction.
    """

    bound: float
    low: float = 0.0
    high: float = 1.0
    threshold: float = 1e5
    direction: Literal["up", "down", "both"] = "up"
    lower: float | None = None
    bets: int = 16

    def __post_init__(self) -> None:
        demand(self.direction in _DIRECTIONS, "direction must be up, down or both")
        demand(isfinite(self.high - self.low) and self.low < self.high, "low must lie below high, both finite")
        demand(_LEAST <= self.share(self.bound) <= 1 - _LEAST, "bound must lie between low and high")
        demand(1 <= self.threshold <= 1e12, "threshold must be a run length of 1 to 1e12 values")
        demand(self.lower is None or self.direction == "both", "lower is for direction both; else bound says it")
        demand(
            self.lower is None or (self.share(self.lower) >= _LEAST and self.lower <= self.bound),
            "lower must lie above low and be at most bound",
        )
        demand(1 <= self.bets <= 256, "bets must be 1 to 256")

    def share(self, value: float) -> float:
        """Where a value lies in the range: 0 at low, 1 at high."""
        return (value - self.low) / (self.high - self.low)


class ShiryaevRoberts(Detector):
    """The Shiryaev-Roberts e-detector with a mixture of bets, for a mean of bounded values that must not rise or fall.

    A gambler pays in 1 at every value and bets all he has on the next one being above the bound; while the conditional
    mean, whatever came before, is at or under the bound, the game is fair at best, so what he holds exceeds what he has
    paid in, the number of values, by nothing on average. An alarm takes `threshold` from him: over any n healthy values
    at most n / threshold alarms are expected, and the average run length is at least the threshold. That needs the
    range and the conditional mean, and neither independence nor a distribution nor a reference. The factor of a value x
    for a bet f is 1 + f ((x - low) / (bound - low) - 1); the bets are a geometric row from the least that can pay
    within the run length up to 1, in equal shares: a stand-in for knowing the size of the change and the variance.
    With direction both, half of the stake is on either side: the promise stays whole, and each side has to win twice as
    much alone. A conditional mean that wanders (autocorrelation, season) must stay within the bound: put the bound
    where the healthy mean is at its worst, not at its average, plus the effect that is too small to matter.

    What holds in closed form: threshold = the run length wanted, in values, whatever the other parameters.

    The change is dated by the mean age of what the gambler holds, the posterior mean under an even prior.

    Memory: 64 bytes × bets.

    >>> detector = ShiryaevRoberts(ShiryaevRobertsParams(bound=0.5, low=0.0, high=10.0))
    >>> detector.update_many([0.0, 0.5, 1.0, 0.5] * 500 + [1.5, 2.0, 4.0] * 5).tolist()
    [2008]

    Shin, Ramdas, Rinaldo: E-detectors: a nonparametric framework for sequential change detection. New England J.
    Statist. Data Sci. 2 (2024), 229-260. Shiryaev: On optimum methods in quickest detection problems. Theory Probab.
    Appl. 8 (1963), 22-46. Roberts: A comparison of some control chart procedures. Technometrics 8 (1966), 411-430.
    """

    name: ClassVar[str] = "shiryaev_roberts"
    parameters: ClassVar[type[ShiryaevRobertsParams]] = ShiryaevRobertsParams

    def __init__(self, params: ShiryaevRobertsParams) -> None:
        self.params: ShiryaevRobertsParams = params
        self.counts = np.zeros(8, np.int64)
        self._bets = _bets(params)

    def _feed(self, values: Float64Array) -> int:
        p = self.params
        return int(_feed(self.counts, self._bets, values, p.low, p.high, p.threshold))

    def reset(self) -> None:
        _clear(self.counts, self._bets)

    @property
    def statistic(self) -> float:
        """What the gambler holds, averaged over the bets; its healthy mean is at most the values since the start."""
        return float(_held(self._bets))

    @property
    def threshold(self) -> float:
        return self.params.threshold

    @property
    def memory(self) -> int:
        return OBJECTS + 64 * self.params.bets

    def state(self) -> State:
        return {"counts": self.counts, "held": self._bets[_WEALTH:]}

    def load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        held = self._bets[_WEALTH:].copy()
        self._load_array(state, "held", held)
        if not (finite(held) and held.min() >= 0):
            raise SnapshotError("the state of shiryaev_roberts is not one that can be: less than nothing is held")
        self._load_array(state, "counts", self.counts)
        self._bets[_WEALTH:] = held


def _bets(params: ShiryaevRobertsParams) -> Float64Array:
    """Rows base, slope, wealth and age of the bets, those on a rise first."""
    upper = params.share(params.bound)
    lower = params.share(params.bound if params.lower is None else params.lower)
    rows = []
    if params.direction != "down":
        sizes = _sizes(upper, params)
        rows.append(np.stack([1.0 - sizes, sizes / upper]))
    if params.direction != "up":  # the same game for 1 - u
        sizes = _sizes(1.0 - lower, params)
        rows.append(np.stack([1.0 - sizes + sizes / (1.0 - lower), -sizes / (1.0 - lower)]))
    game = np.concatenate(rows, axis=1)
    return np.concatenate([game, np.zeros_like(game)])


def _sizes(mean: float, params: ShiryaevRobertsParams) -> Float64Array:
    """The bets, as parts of the largest that cannot lose more than all.

    A change by d of values with variance v makes the best bet, d / v of the scaled value, grow by d² / 2v a value. Less
    than log(threshold) / threshold a value does not pay within the run length; v is at most mean (1 - mean).
    """
    rate = log(max(params.threshold, 2.0)) / params.threshold
    least = min(sqrt(2.0 * rate * mean / (1.0 - mean)), 0.5)
    return np.geomspace(max(least, 1e-9), 1.0, params.bets) if params.bets > 1 else np.array([0.5])


@numba.njit(cache=True)
def _clear(counts: Int64Array, bets: Float64Array) -> None:
    counts[ALARMED], counts[SINCE], counts[_RUN] = 0, 0, 0
    bets[_WEALTH:] = 0.0


@numba.njit(cache=True)
def _held(bets: Float64Array) -> float:
    """The mean wealth over the bets; four sums side by side, in an order of their own that never varies."""
    wealth = bets[_WEALTH]
    size = len(wealth)
    one, two, three, four = 0.0, 0.0, 0.0, 0.0
    for j in range(0, size - 3, 4):
        one += wealth[j]
        two += wealth[j + 1]
        three += wealth[j + 2]
        four += wealth[j + 3]
    for j in range(size - size % 4, size):
        one += wealth[j]
    total: float = (one + two) + (three + four)
    return total / size


@numba.njit(cache=True)
def _since(bets: Float64Array, run: int) -> int:
    """The mean age of what is held, in values; 1 to the length of the run."""
    mean = bets[_AGE].sum() / bets[_WEALTH].sum()
    return int(min(max(mean + 0.5, 1.0), float(run))) if np.isfinite(mean) else 1


@numba.njit(cache=True)
def _feed(
    counts: Int64Array, bets: Float64Array, values: Float64Array, low: float, high: float, threshold: float
) -> int:
    base, slope, wealth, age = bets[_BASE], bets[_SLOPE], bets[_WEALTH], bets[_AGE]
    for i in range(len(values)):
        value = values[i]
        if not np.isfinite(value):
            counts[IGNORED] += 1
            continue
        if counts[ALARMED]:
            _clear(counts, bets)
        counts[SEEN] += 1
        counts[_RUN] += 1
        place = (min(max(value, low), high) - low) / (high - low)
        for j in range(len(wealth)):
            factor = base[j] + slope[j] * place
            age[j] = factor * (age[j] + wealth[j] + 1.0)
            wealth[j] = factor * (wealth[j] + 1.0)
        if _held(bets) > threshold:
            counts[ALARMED] = 1
            counts[SINCE] = _since(bets, counts[_RUN])
            return i
    return -1
