"""Measuring: false alarms on healthy values, delay after a change, and the knob that gives a wanted rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from detectors.detector import Detector, Float64Array, State

Transform = Callable[[Float64Array, int], Float64Array]
"""(values, number of the first) -> what the detector is to be fed."""


class Trial:
    """A detector on one series. Where it was primed, an alarm takes it back to where it was then: the reference stays
    what it is. One that was not starts anew by its own means."""

    def __init__(self, detector: Detector, primed: bool, transform: Transform | None = None) -> None:
        self._detector, self._primed, self._transform = detector, primed, transform
        self._start: State = {name: array.copy() for name, array in detector.state().items()}

    def begin(self) -> None:
        """Back to the start."""
        self._detector.load({name: array.copy() for name, array in self._start.items()})

    def alarms(self, values: Float64Array, first: int, limit: int) -> int:
        """Alarms over these values, from the start; at most `limit`: more are not counted."""
        self.begin()
        return self._alarms(self._seen(values, first), limit)

    def delay(self, healthy: Float64Array, changed: Float64Array, first: int) -> int | None:
        """Values from the change up to and including the first alarm after it; None where there is none. Alarms among
        the healthy values before it are passed over."""
        values = self._seen(np.concatenate((healthy, changed)), first)
        self.begin()
        self._alarms(values[: len(healthy)], len(healthy))
        place = self._detector.feed(values[len(healthy) :])
        return None if place < 0 else place + 1

    def _seen(self, values: Float64Array, first: int) -> Float64Array:
        return values if self._transform is None else self._transform(values, first)

    def _alarms(self, values: Float64Array, limit: int) -> int:
        at, found = 0, 0
        while found < limit and at < len(values) and (place := self._detector.feed(values[at:])) >= 0:
            found += 1
            at += place + 1
            if self._primed:
                self.begin()
        return found


@dataclass(frozen=True, slots=True)
class Rate:
    """False alarms among so many healthy values; `capped` where counting ended early, and there were more."""

    alarms: int
    values: int
    capped: bool = False

    @property
    def per_million(self) -> float:
        """False alarms in a million values."""
        return 1e6 * self.alarms / self.values

    def __add__(self, other: Rate) -> Rate:
        return Rate(self.alarms + other.alarms, self.values + other.values, self.capped or other.capped)


@dataclass(frozen=True, slots=True)
class Delays:
    """Delays of so many trials, in values. Where the change was missed, the horizon stands for the delay."""

    mean: float
    p90: float
    missed: float
    trials: int

    @classmethod
    def of(cls, delays: Sequence[int | None], horizon: int) -> Delays:
        """Summed up."""
        filled = np.array([horizon if delay is None else delay for delay in delays], np.float64)
        missed = sum(delay is None for delay in delays) / len(delays)
        return cls(float(filled.mean()), float(np.quantile(filled, 0.9)), missed, len(delays))


NOTHING = Rate(0, 0)


def turn_for(rate: Callable[[float, float], Rate], wanted: float) -> float:
    """Where to turn a knob, between 0 (loosest) and 1 (strictest), for a wanted rate of false alarms per value.

    `rate(turn, share)` measures on that share of the streams. A bisection on a fifth of them finds the place, then
    come a few steps of the secant method on the logarithm of the rate, on all of them.
    """
    low, high = 0.0, 1.0
    for _ in range(8):
        middle = (low + high) / 2.0
        found = rate(middle, 0.2)
        low, high = (middle, high) if found.alarms > wanted * found.values else (low, middle)

    def gap(turn: float) -> float:
        found = rate(turn, 1.0)
        return log((found.alarms + 0.5) / (wanted * found.values + 0.5))

    turn = (low + high) / 2.0
    tried = {turn: gap(turn)}
    step = max(high - low, 1e-3)
    for _ in range(4):
        best = min(tried, key=lambda turn: abs(tried[turn]))
        if abs(tried[best]) < 0.1:
            break
        others = [t for t in tried if tried[t] != tried[best]]
        if others:
            near = min(others, key=lambda turn: abs(tried[turn]))
            slope = (tried[near] - tried[best]) / (near - best)
            move = -tried[best] / slope if slope < 0 else step * np.sign(tried[best])
        else:
            move = step * np.sign(tried[best])
        turn = float(np.clip(best + np.clip(move, -4 * step, 4 * step), 0.0, 1.0))
        if turn in tried:
            break
        tried[turn] = gap(turn)
    return min(tried, key=lambda turn: abs(tried[turn]))
