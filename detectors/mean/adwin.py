"""ADWIN: a window that shrinks when its older and newer part differ in mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, log, nan, sqrt
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
    demand,
)
from detectors.detector import as_values as _as_values
from detectors.snapshot import SnapshotError

_LEVELS = 48
_AT_ONCE = 64  # values that are appended together, at most
_TICK, _DEEP, _SIZES = 4, 5, 8  # in places: values since the start, levels in use, and from there the levels' buckets
# In store: what is known of the window and of the alarm's cut; from _TOTALS on the sums of the buckets, a row a level,
# the oldest first, and their variances; last the five parameters, for a call is dearer by each argument.
_WIDTH, _TOTAL, _VARIANCE, _GAP, _EPSILON = range(5)
_TOTALS = 5


@dataclass(frozen=True, slots=True)
class AdwinParams:
    """Parameters, river's names and defaults.

    delta: significance of one check, in (0, 1). clock: values between checks. max_buckets: buckets of one size
    before two of them merge. min_window_length: the least values in either part of a cut. grace_period: values
    before the first check.
    """

    delta: float = 0.002
    clock: int = 32
    max_buckets: int = 5
    min_window_length: int = 5
    grace_period: int = 10

    def __post_init__(self) -> None:
        demand(isfinite(self.delta) and 0 < self.delta < 1, "delta must lie between 0 and 1")
        demand(1 <= self.clock < 2**53, "clock must be at least 1 value, and below 2^53")
        demand(2 <= self.max_buckets <= 64, "max_buckets must be 2 to 64")
        demand(1 <= self.min_window_length < 2**53, "min_window_length must be at least 1 value, and below 2^53")
        demand(0 <= self.grace_period < 2**53, "grace_period must not be negative, and below 2^53 values")


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
        self._places = np.zeros(_SIZES + _LEVELS, np.int64)
        self._store = np.zeros(_TOTALS + 2 * _LEVELS * (params.max_buckets + 1) + 5)
        self._store[-5:] = (
            params.delta, params.clock, params.max_buckets, params.min_window_length, params.grace_period,
        )  # fmt: skip
        self._spare = np.zeros((4, params.max_buckets + _AT_ONCE))
        self._waiting: list[float] = []
        self._room = 0

    def update(self, value: float | None) -> bool:
        """Take one value; whether it alarms. Between checks none can: it waits for company."""
        if self.params.clock == 1:
            self._one[0] = nan if value is None else value
            return bool(_feed(self._places, self._store, self._spare, self._one) == 0)
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
        found: int = _feed(places, self._store, self._spare, waiting)
        self._room = min(p.clock - 1 - (0 if found >= 0 else int(places[_TICK]) % p.clock), _AT_ONCE - 1)
        return found

    def _feed(self, values: Float64Array) -> int:
        self._settle()
        found: int = _feed(self._places, self._store, self._spare, values)
        self._room = 0
        return found

    @property
    def counts(self) -> Int64Array:  # type: ignore[override]
        self._settle()
        return self._places[:_SIZES]

    def reset(self) -> None:
        self._settle()
        _clear(self._places, self._store)
        self._room = 0

    def prime(self, reference: Values) -> None:
        """Let the window grow over a healthy sample; its alarms are passed over."""
        values = _as_values(reference)
        before = self.counts[:2].copy()
        self.update_many(values)
        self.counts[:2] = before

    def _telling(self) -> tuple[float, float]:
        """(difference of means, epsilon) of the cut that alarmed, else of the most telling one."""
        gap, epsilon = self._store[[_GAP, _EPSILON]].tolist() if self.alarmed else (0.0, 0.0)
        if not self.alarmed and self.width > 1:
            p = self.params
            gap, epsilon, _ = _cut(self._places, self._store, p.max_buckets, p.delta, float(p.min_window_length), True)
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
        return int(self._store[_WIDTH])

    @property
    def estimation(self) -> float:
        """The mean of the window; 0 where it is empty."""
        return float(self._store[_TOTAL]) / self.width if self.width else 0.0

    @property
    def memory(self) -> int:
        buckets = self.params.max_buckets + 1
        return OBJECTS + 8 * (len(self._places) + len(self._store) + 4 * buckets + 8 * _AT_ONCE)

    def state(self) -> State:
        totals, variances = self._store[_TOTALS:-5].reshape(2, _LEVELS, self.params.max_buckets + 1)
        sums, sizes = self._store[:_TOTALS], self._places[_SIZES:]
        return {"counts": self.counts, "sums": sums, "sizes": sizes, "totals": totals, "variances": variances}

    def load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        super().load(state)
        self._room = 0
        sizes, deep = self._places[_SIZES:], self.counts[_DEEP]
        bounded = 0 <= deep <= _LEVELS and sizes.min() >= 0 and sizes.max() <= self.params.max_buckets
        whole = int((sizes << np.arange(_LEVELS)).sum()) == self._store[_WIDTH]
        if not (bounded and whole and not sizes[deep:].any() and sizes[:deep].all()):
            raise SnapshotError("the state of adwin is not one that can be: buckets out of bounds")


@numba.njit(cache=True)
def _clear(places: Int64Array, store: Float64Array) -> None:
    places[_TICK], places[_DEEP], places[ALARMED], places[SINCE] = 0, 0, 0, 0
    places[_SIZES:] = 0
    store[:-5] = 0.0


@numba.njit(cache=True)
def _push(places: Int64Array, store: Float64Array, spare: Float64Array, count: int, max_buckets: int) -> None:
    """Append the values in `spare`; of a level that overflows, pairs of the oldest buckets merge into one of the next.

    That goes level by level, for all values at once: which buckets make a pair does not depend on when they merge. Of
    `spare` two rows hold the buckets that come to a level, from place max_buckets on, and two those for the next.
    """
    lane, out = 0, 2
    total, variance = _TOTALS, _TOTALS + _LEVELS * (max_buckets + 1)
    length = 1.0
    for level in range(_LEVELS):
        size = places[_SIZES + level]
        merges = max(0, (size + count - max_buckets + 1) // 2)
        if merges == 0:
            for k in range(count):
                store[total + size + k] = spare[lane, max_buckets + k]
                store[variance + size + k] = spare[lane + 1, max_buckets + k]
            places[_SIZES + level] = size + count
            places[_DEEP] = max(places[_DEEP], level + 1)
            return
        first = max_buckets - size
        for k in range(size):
            spare[lane, first + k] = store[total + k]
            spare[lane + 1, first + k] = store[variance + k]
        share, half = 1.0 / length, length * 0.5  # of a power of two: products are what quotients would be
        for k in range(merges):
            one = first + 2 * k
            gap = spare[lane, one] * share - spare[lane, one + 1] * share
            spare[out, max_buckets + k] = spare[lane, one] + spare[lane, one + 1]
            spread = spare[lane + 1, one] + spare[lane + 1, one + 1] + half * gap * gap
            spare[out + 1, max_buckets + k] = spread
        first += 2 * merges
        size = max_buckets + count - first
        for k in range(size):
            store[total + k] = spare[lane, first + k]
            store[variance + k] = spare[lane + 1, first + k]
        for k in range(size, max_buckets + 1):
            store[total + k] = store[variance + k] = 0.0
        places[_SIZES + level] = size
        count = merges
        lane, out = out, lane
        total += max_buckets + 1
        variance += max_buckets + 1
        length *= 2.0


@numba.njit(cache=True)
def _drop_oldest(places: Int64Array, store: Float64Array, max_buckets: int) -> None:
    level = places[_DEEP] - 1
    length = float(1 << level)
    totals = _TOTALS + level * (max_buckets + 1)
    variances = totals + _LEVELS * (max_buckets + 1)
    total = store[totals]
    store[_WIDTH] -= length
    store[_TOTAL] -= total
    gap = total / length - store[_TOTAL] / store[_WIDTH]
    store[_VARIANCE] -= store[variances] + length * store[_WIDTH] * gap * gap / (length + store[_WIDTH])
    for k in range(max_buckets):
        store[totals + k] = store[totals + k + 1]
        store[variances + k] = store[variances + k + 1]
    places[_SIZES + level] -= 1
    if places[_SIZES + level] == 0:
        places[_DEEP] -= 1


@numba.njit(cache=True)
def _even(places: Int64Array, store: Float64Array, max_buckets: int, strictness: float) -> bool:
    """Whether surely no cut differs, found without a division or a root; where in doubt, False.

    As min_window_length >= 1, epsilon^2 is at least 2 × strictness × variance / (old × new), and the distance of the
    means is |old total × new - new total × old| / (old × new). The slack of 1e-15 and 1e-9 is several times what the
    roundings on both ways come to; numbers too large to be squared are in doubt.
    """
    width = store[_WIDTH]
    least = 2.0 * strictness * store[_VARIANCE] * (1.0 - 1e-9)
    old, new = 0.0, width
    old_total, new_total = 0.0, store[_TOTAL]
    doubts = 0
    for level in range(places[_DEEP] - 1, -1, -1):
        length = float(1 << level)
        row = _TOTALS + level * (max_buckets + 1)
        for k in range(row, row + places[_SIZES + level] - (level == 0)):  # after the newest value there is no cut
            old += length
            new -= length
            old_total += store[k]
            new_total -= store[k]
            ours, theirs = old_total * new, new_total * old
            apart = abs(ours - theirs) + 1e-15 * (abs(ours) + abs(theirs))
            doubts += 0 if apart * apart <= least * (old * new) else 1
    return doubts == 0 and least * width * width < 1e300


@numba.njit(cache=True)
def _cut(
    places: Int64Array, store: Float64Array, max_buckets: int, delta: float, least: float, every: bool
) -> tuple[float, float, bool]:
    """The first cut from the oldest whose means are further apart than epsilon: (their distance, epsilon, whether
    there is one). With `every`, the most telling cut, further apart than epsilon or not."""
    width = store[_WIDTH]
    strictness = log(2.0 * log(width) / delta)
    most_gap, most_epsilon = 0.0, 0.0
    if not every and _even(places, store, max_buckets, strictness):
        return most_gap, most_epsilon, False
    spread = store[_VARIANCE] / width
    old, new = 0.0, width
    old_total, new_total = 0.0, store[_TOTAL]
    for level in range(places[_DEEP] - 1, -1, -1):
        length = float(1 << level)
        row = _TOTALS + level * (max_buckets + 1)
        for k in range(places[_SIZES + level] - (level == 0)):  # after the newest value there is no cut
            old += length
            new -= length
            old_total += store[row + k]
            new_total -= store[row + k]
            if new < least or old < least:
                continue
            gap = abs(old_total / old - new_total / new)
            inverse = 1.0 / (old - least + 1.0) + 1.0 / (new - least + 1.0)
            epsilon = sqrt(2.0 * inverse * spread * strictness) + 2.0 / 3.0 * strictness * inverse
            if not every and gap > epsilon:
                return gap, epsilon, True
            if every and (most_epsilon == 0.0 or gap * most_epsilon > most_gap * epsilon):
                most_gap, most_epsilon = gap, epsilon
    return most_gap, most_epsilon, False


@numba.njit(cache=True)
def _shrink(places: Int64Array, store: Float64Array, max_buckets: int, delta: float, least: float) -> bool:
    """Drop the oldest buckets while some cut differs; whether any did. The first such cut is the alarm's."""
    gap, epsilon, differs = _cut(places, store, max_buckets, delta, least, False)
    if not differs:
        return False
    while differs:
        _drop_oldest(places, store, max_buckets)
        _, _, differs = _cut(places, store, max_buckets, delta, least, False)
    store[_GAP], store[_EPSILON] = gap, epsilon
    places[ALARMED], places[SINCE] = 1, int(store[_WIDTH])
    return True


@numba.njit(cache=True)
def _feed(
    places: Int64Array,
    store: Float64Array,
    spare: Float64Array,
    values: Float64Array,
) -> int:
    delta, least, grace = store[-5], store[-2], store[-1]
    clock, max_buckets = int(store[-4]), int(store[-3])
    i, size = 0, len(values)
    while i < size:
        left = clock - places[_TICK] % clock  # values until the next check
        width, total, variance = store[_WIDTH], store[_TOTAL], store[_VARIANCE]
        count, most = 0, min(left, _AT_ONCE)
        while i < size and count < most:
            value = values[i]
            i += 1
            if not np.isfinite(value):
                places[IGNORED] += 1
                continue
            if places[ALARMED]:
                _clear(places, store)
                left, width, total, variance = clock, 0.0, 0.0, 0.0
                most = min(left, _AT_ONCE)
            if width > 0.0:
                gap = value - total / width
                variance += width * gap * gap / (width + 1.0)
            width += 1.0
            total += value
            spare[0, max_buckets + count] = value
            spare[1, max_buckets + count] = 0.0
            count += 1
        store[_WIDTH], store[_TOTAL], store[_VARIANCE] = width, total, variance
        if count == 0:
            break
        places[SEEN] += count
        places[_TICK] += count
        _push(places, store, spare, count, max_buckets)
        if count == left and width > grace:
            if not np.isfinite(variance):  # values whose squares overflowed: with them no cut could ever differ again
                _clear(places, store)
            elif _shrink(places, store, max_buckets, delta, least):
                return i - 1
    return -1
