"""ADWIN: a window that shrinks when its older and newer part differ in mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from detectors.detector import OBJECTS, Detector, Float64Array, Int64Array, State, Values, demand
from detectors.detector import as_values as _as_values
from detectors.mean.buckets import (
    AT_ONCE,
    DEEP,
    DELTA,
    EPSILON,
    GAP,
    LEVELS,
    SIZES,
    TICK,
    TOTAL,
    TOTALS,
    WIDTH,
    clear,
    cut,
    end_of_buckets,
    feed_many,
    feed_one,
)
from detectors.snapshot import SnapshotError


@dataclass(frozen=True, slots=True)
class AdwinParams:
    """Parameters, river's names and defaults.

    delta: significance of one check, in (0, 1). clock: values between checks. max_buckets: buckets of one size
    before two of them merge. min_window_length: the least values in either part of a cut. grace_period: values
    before the first check. least_change: by how much the means must differ beyond the bound, in units of the values;
    0 for river's alarms.
    """

    delta: float = 0.002
    clock: int = 32
    max_buckets: int = 5
    min_window_length: int = 5
    grace_period: int = 10
    least_change: float = 0.0

    def __post_init__(self) -> None:
        demand(isfinite(self.delta) and 0 < self.delta < 1, "delta must lie between 0 and 1")
        demand(1 <= self.clock < 2**53, "clock must be at least 1 value, and below 2^53")
        demand(2 <= self.max_buckets <= 64, "max_buckets must be 2 to 64")
        demand(1 <= self.min_window_length < 2**53, "min_window_length must be at least 1 value, and below 2^53")
        demand(0 <= self.grace_period < 2**53, "grace_period must not be negative, and below 2^53 values")
        demand(isfinite(self.least_change) and self.least_change >= 0, "least_change must be a number of at least 0")


class Adwin(Detector):
    """ADaptive WINdowing.

    The window is kept as exponentially growing buckets of sum and variance; every `clock` values each cut between
    buckets is tried, and where the means on both sides differ by more than a Bernstein-like bound epsilon the oldest
    bucket is dropped, and again until no cut differs: an alarm. Alarms are river 0.26's exactly, which starts
    anew at the value after an alarm. `statistic` is the difference of means and `threshold` the epsilon of the cut
    that alarmed, else of the most telling one. The bound supposes independent values between 0 and 1: with the
    defaults 10,000 stationary values gave no alarm where they were standard normal, 5.6 on average where lognormal
    (sigma 2), and 86 where autoregressive (.9).

    Memory: 48 levels of max_buckets + 1 buckets, 7.4 KB with the defaults, whatever the length of the window.

    >>> detector = Adwin(AdwinParams(delta=0.002))
    >>> detector.update_many([0.0, 1.0] * 500 + [4.0, 5.0] * 100).tolist()
    [1023]

    Bifet, Gavaldà: Learning from time-changing data with adaptive windowing. SIAM SDM 2007, 443-448.
    """

    name: ClassVar[str] = "adwin"
    parameters: ClassVar[type[AdwinParams]] = AdwinParams

    def __init__(self, params: AdwinParams) -> None:
        self.params: AdwinParams = params
        self._places = np.zeros(SIZES + LEVELS, np.int64)
        self._store = np.zeros(end_of_buckets(params.max_buckets) + 4 * (params.max_buckets + AT_ONCE))
        self._store[DELTA:TOTALS] = (
            params.delta, params.clock, params.max_buckets, params.min_window_length, params.grace_period,
            params.least_change,
        )  # fmt: skip
        self._each = params.clock == 1
        self._waiting: list[float] = []
        self._room = 0

    def update(self, value: float | None) -> bool:
        """Take one value; whether it alarms. Between checks none can: it waits for company."""
        if self._each:
            alarmed: bool = feed_one(self._places, self._store, nan if value is None else float(value))
            return alarmed
        self._waiting.append(nan if value is None else float(value))
        if self._room:
            self._room -= 1
            return False
        return self._settle() >= 0

    def _settle(self) -> int:
        """Feed what waits: the position of the alarm, or -1."""
        if not self._waiting:
            return -1
        waiting = np.array(self._waiting)
        self._waiting.clear()
        places, p = self._places, self.params
        found: int = feed_many(places, self._store, waiting)
        self._room = min(p.clock - 1 - (0 if found >= 0 else int(places[TICK]) % p.clock), AT_ONCE - 1)
        return found

    def _feed(self, values: Float64Array) -> int:
        self._settle()
        found: int = feed_many(self._places, self._store, values)
        self._room = 0
        return found

    @property
    def counts(self) -> Int64Array:  # type: ignore[override]
        self._settle()
        return self._places[:SIZES]

    def reset(self) -> None:
        self._settle()
        clear(self._places, self._store)
        self._room = 0

    def prime(self, reference: Values) -> None:
        """Let the window grow over a healthy sample; its alarms are passed over."""
        values = _as_values(reference)
        before = self.counts[:2].copy()
        self.update_many(values)
        self.counts[:2] = before

    def _telling(self) -> tuple[float, float]:
        """(difference of means, epsilon) of the cut that alarmed, else of the most telling one."""
        gap, epsilon = self._store[[GAP, EPSILON]].tolist() if self.alarmed else (0.0, 0.0)
        if not self.alarmed and self.width > 1:
            p = self.params
            gap, epsilon, _ = cut(self._places, self._store, p.max_buckets, p.delta, float(p.min_window_length), True)
        return float(gap), float(epsilon)

    @property
    def statistic(self) -> float:
        return self._telling()[0]

    @property
    def threshold(self) -> float:
        return self._telling()[1]

    @property
    def width(self) -> int:
        """Values in the window."""
        self._settle()
        return int(self._store[WIDTH])

    @property
    def estimation(self) -> float:
        """The mean of the window; 0 where it is empty."""
        return float(self._store[TOTAL]) / self.width if self.width else 0.0

    @property
    def memory(self) -> int:
        return OBJECTS + 8 * (len(self._places) + len(self._store) + 8 * AT_ONCE)

    def state(self) -> State:
        buckets = self._store[TOTALS : end_of_buckets(self.params.max_buckets)]
        totals, variances = buckets.reshape(2, LEVELS, self.params.max_buckets + 1)
        sums, sizes = self._store[:DELTA], self._places[SIZES:]
        return {"counts": self.counts, "sums": sums, "sizes": sizes, "totals": totals, "variances": variances}

    def load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        super().load(state)
        self._room = 0
        sizes, deep = self._places[SIZES:], self.counts[DEEP]
        bounded = 0 <= deep <= LEVELS and sizes.min() >= 0 and sizes.max() <= self.params.max_buckets
        whole = int((sizes << np.arange(LEVELS)).sum()) == self._store[WIDTH]
        if not (bounded and whole and not sizes[deep:].any() and sizes[:deep].all()):
            raise SnapshotError("the state of adwin is not one that can be: buckets out of bounds")
