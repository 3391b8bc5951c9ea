"""ADWIN: a window that shrinks when its older and newer part differ in mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, log, sqrt
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
_TICK, _DEEP = 4, 5  # places in counts: values since the start, levels in use
_WIDTH, _TOTAL, _VARIANCE, _GAP, _EPSILON = range(5)  # places in sums


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
        demand(self.clock >= 1, "clock must be at least 1 value")
        demand(2 <= self.max_buckets <= 64, "max_buckets must be 2 to 64")
        demand(self.min_window_length >= 1, "min_window_length must be at least 1 value")
        demand(self.grace_period >= 0, "grace_period must not be negative")


class Adwin(Detector):
    """ADaptive WINdowing.

    The window is kept as exponentially growing buckets of sum and variance; every `clock` values each cut between
    buckets is tried, and where the means on both sides differ by more than a Bernstein-like bound epsilon the oldest
    bucket is dropped, and again until no cut differs: an alarm. Alarms are river 0.26's exactly, which starts
    anew at the value after an alarm. `statistic` is the difference of means and `threshold` the epsilon of the cut
    that alarmed, else of the most telling one.

    Memory: 48 levels of max_buckets + 1 buckets, 4.6 KB with the defaults, whatever the length of the window.

    >>> detector = Adwin(AdwinParams(delta=0.002))
    >>> detector.update_many([0.0, 1.0] * 500 + [4.0, 5.0] * 100).tolist()
    [1023]

    Bifet, Gavaldà: Learning from time-changing data with adaptive windowing. SIAM SDM 2007, 443-448.
    """

    name: ClassVar[str] = "adwin"
    parameters: ClassVar[type[AdwinParams]] = AdwinParams

    def __init__(self, params: AdwinParams) -> None:
        self.params: AdwinParams = params
        self.counts = np.zeros(8, np.int64)
        self._sums = np.zeros(5)
        self._sizes = np.zeros(_LEVELS, np.int64)
        self._totals = np.zeros((_LEVELS, params.max_buckets + 1))
        self._variances = np.zeros((_LEVELS, params.max_buckets + 1))

    def _feed(self, values: Float64Array) -> int:
        p = self.params
        return int(
            _feed(
                self.counts, self._sums, self._sizes, self._totals, self._variances, values,
                p.delta, p.clock, p.max_buckets, float(p.min_window_length), float(p.grace_period),
            )
        )  # fmt: skip

    def reset(self) -> None:
        _clear(self.counts, self._sums, self._sizes, self._totals, self._variances)

    def prime(self, reference: Values) -> None:
        """Let the window grow over a healthy sample; its alarms are passed over."""
        values = _as_values(reference)
        before = self.counts[:2].copy()
        self.update_many(values)
        self.counts[:2] = before

    def _telling(self) -> tuple[float, float]:
        """(difference of means, epsilon) of the cut that alarmed, else of the most telling one."""
        sums = self._sums.copy()
        if not self.alarmed and sums[_WIDTH] > 1:
            p = self.params
            sums[_GAP] = sums[_EPSILON] = 0.0
            _differs(self.counts, sums, self._sizes, self._totals, p.delta, float(p.min_window_length), True)
        return float(sums[_GAP]), float(sums[_EPSILON])

    @property
    def statistic(self) -> float:
        return self._telling()[0]

    @property
    def threshold(self) -> float:
        return self._telling()[1]

    @property
    def width(self) -> int:
        """Values in the window."""
        return int(self._sums[_WIDTH])

    @property
    def estimation(self) -> float:
        """The mean of the window; 0 where it is empty."""
        return float(self._sums[_TOTAL] / self._sums[_WIDTH]) if self._sums[_WIDTH] else 0.0

    @property
    def memory(self) -> int:
        return OBJECTS + 16 * _LEVELS * (self.params.max_buckets + 2)

    def state(self) -> State:
        return {
            "counts": self.counts,
            "sums": self._sums,
            "sizes": self._sizes,
            "totals": self._totals,
            "variances": self._variances,
        }

    def load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        for name, array in self.state().items():
            self._load_array(state, name, array)
        sizes, deep = self._sizes, self.counts[_DEEP]
        if not (0 <= deep <= _LEVELS and sizes.min() >= 0 and sizes.max() <= self.params.max_buckets):
            raise SnapshotError("the state of adwin is not one that can be: buckets out of bounds")


@numba.njit(cache=True)
def _clear(
    counts: Int64Array, sums: Float64Array, sizes: Int64Array, totals: Float64Array, variances: Float64Array
) -> None:
    counts[_TICK], counts[_DEEP], counts[ALARMED], counts[SINCE] = 0, 0, 0, 0
    sums[:] = 0.0
    sizes[:] = 0
    totals[:] = 0.0
    variances[:] = 0.0


@numba.njit(cache=True)
def _insert(
    value: float,
    counts: Int64Array,
    sums: Float64Array,
    sizes: Int64Array,
    totals: Float64Array,
    variances: Float64Array,
    max_buckets: int,
) -> None:
    """Append a value; merge the two oldest buckets of a level that overflows into one of the next."""
    totals[0, sizes[0]] = value
    variances[0, sizes[0]] = 0.0
    sizes[0] += 1
    counts[_DEEP] = max(counts[_DEEP], 1)
    width = sums[_WIDTH] + 1.0
    if width > 1.0:
        gap = value - sums[_TOTAL] / (width - 1.0)
        sums[_VARIANCE] += (width - 1.0) * gap * gap / width
    sums[_WIDTH] = width
    sums[_TOTAL] += value

    level = 0
    length = 1.0
    while sizes[level] == max_buckets + 1:
        gap = totals[level, 0] / length - totals[level, 1] / length
        merged = totals[level, 0] + totals[level, 1]
        spread = variances[level, 0] + variances[level, 1] + length * 0.5 * gap * gap
        for k in range(2, sizes[level]):
            totals[level, k - 2] = totals[level, k]
            variances[level, k - 2] = variances[level, k]
        sizes[level] -= 2
        level += 1
        totals[level, sizes[level]] = merged
        variances[level, sizes[level]] = spread
        sizes[level] += 1
        counts[_DEEP] = max(counts[_DEEP], level + 1)
        length *= 2.0


@numba.njit(cache=True)
def _drop_oldest(
    counts: Int64Array, sums: Float64Array, sizes: Int64Array, totals: Float64Array, variances: Float64Array
) -> None:
    level = counts[_DEEP] - 1
    length = 2.0**level
    total = totals[level, 0]
    sums[_WIDTH] -= length
    sums[_TOTAL] -= total
    gap = total / length - sums[_TOTAL] / sums[_WIDTH]
    sums[_VARIANCE] -= variances[level, 0] + length * sums[_WIDTH] * gap * gap / (length + sums[_WIDTH])
    for k in range(1, sizes[level]):
        totals[level, k - 1] = totals[level, k]
        variances[level, k - 1] = variances[level, k]
    sizes[level] -= 1
    if sizes[level] == 0:
        counts[_DEEP] -= 1


@numba.njit(cache=True)
def _differs(
    counts: Int64Array,
    sums: Float64Array,
    sizes: Int64Array,
    totals: Float64Array,
    delta: float,
    least: float,
    every: bool,
) -> bool:
    """Whether some cut, tried from the oldest, has means further apart than epsilon; notes that cut.

    With `every` all cuts are tried and the most telling one is noted, further apart than epsilon or not.
    """
    width = sums[_WIDTH]
    strictness = log(2.0 * log(width) / delta)
    spread = sums[_VARIANCE] / width
    old, new = 0.0, width
    old_total, new_total = 0.0, sums[_TOTAL]
    level = counts[_DEEP] - 1
    length = 2.0**level
    found = False
    while level >= 0:
        for k in range(sizes[level]):
            if level == 0 and k == sizes[0] - 1:
                return found
            old += length
            new -= length
            old_total += totals[level, k]
            new_total -= totals[level, k]
            if new >= least and old >= least:
                gap = abs(old_total / old - new_total / new)
                inverse = 1.0 / (old - least + 1.0) + 1.0 / (new - least + 1.0)
                squared = 2.0 * inverse * spread * strictness
                # the root is worth taking only where the gap may exceed it
                if every or gap * gap > squared * 0.999999:
                    epsilon = sqrt(squared) + 2.0 / 3.0 * strictness * inverse
                    if every and (sums[_EPSILON] == 0.0 or gap * sums[_EPSILON] > sums[_GAP] * epsilon):
                        sums[_GAP], sums[_EPSILON] = gap, epsilon
                        found = True
                    elif not every and gap > epsilon:
                        sums[_GAP], sums[_EPSILON] = gap, epsilon
                        return True
        level -= 1
        length *= 0.5
    return found


@numba.njit(cache=True)
def _feed(
    counts: Int64Array,
    sums: Float64Array,
    sizes: Int64Array,
    totals: Float64Array,
    variances: Float64Array,
    values: Float64Array,
    delta: float,
    clock: int,
    max_buckets: int,
    least: float,
    grace: float,
) -> int:
    for i in range(len(values)):
        value = values[i]
        if not np.isfinite(value):
            counts[IGNORED] += 1
            continue
        if counts[ALARMED]:
            _clear(counts, sums, sizes, totals, variances)
        counts[SEEN] += 1
        counts[_TICK] += 1
        _insert(value, counts, sums, sizes, totals, variances, max_buckets)
        if counts[_TICK] % clock == 0 and sums[_WIDTH] > grace:
            gap, epsilon = 0.0, 0.0
            while _differs(counts, sums, sizes, totals, delta, least, False):
                if counts[ALARMED] == 0:
                    gap, epsilon = sums[_GAP], sums[_EPSILON]
                counts[ALARMED] = 1
                _drop_oldest(counts, sums, sizes, totals, variances)
            if counts[ALARMED]:  # the first cut that differed is the alarm's
                sums[_GAP], sums[_EPSILON] = gap, epsilon
                counts[SINCE] = int(sums[_WIDTH])
                return i
    return -1
