"""Chi-squared: how often each category came in the last values, against a fixed reference; rare and new ones apart."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

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
    demand,
    split,
)
from detectors.distribution.ascending import Int32Array
from detectors.distribution.categories import LEAST, counted, surprise
from detectors.distribution.tallies import (
    BEFORE,
    INSIDE,
    LIMIT,
    NAMED,
    USED,
    WHOLE,
    count_new,
    empty,
    find,
    pearson_of,
    regroup,
    squares_of,
    together,
    variation_of,
)
from detectors.distribution.window import FILLED, NEXT, Counting

_CAUSE = 6  # place in counts: whether the last alarm was one of surprise
_THRESHOLD, _MIN_EFFECT, _SURPRISE, _GROWN, _RARE = range(5)  # places in levels
_MARGIN = 1e-9  # the running sum's rounding, far above it


@dataclass(frozen=True, slots=True)
class ChiSquaredParams:
    """Parameters. reference: the healthy sample, categories as numbers (at least 30), kept as rows of (category, how
    often it came), which it may be, too. window: values looked back.
    threshold: alarm level of Pearson's statistic. min_effect: total variation (0 to 1) below which it does not alarm,
    however significant. surprise: alarm level for a rare or new category, in nats. min_share: by how much its share of
    the values (0 to 1) must have grown. least: categories expected fewer times than this in a window are rare."""

    reference: Values
    window: int = 500
    threshold: float = 60.0
    min_effect: float = 0.0
    surprise: float = 25.0
    min_share: float = 0.005
    least: float = LEAST

    def __post_init__(self) -> None:
        object.__setattr__(self, "reference", counted(self.reference))
        demand(10 <= self.window <= 1_000_000, "window must be 10 to 1,000,000 values")
        demand(isfinite(self.threshold) and self.threshold > 0, "threshold must be a number above 0")
        demand(isfinite(self.min_effect) and 0 <= self.min_effect < 1, "min_effect must be at least 0 and below 1")
        demand(isfinite(self.surprise) and self.surprise > 0, "surprise must be a number above 0")
        demand(isfinite(self.min_share) and 0 <= self.min_share < 1, "min_share must be at least 0 and below 1")
        demand(isfinite(self.least) and 0 <= self.least <= self.window / 2, "least must be 0 to half a window")


class ChiSquared(Counting):
    """Pearson's chi-squared statistic of a sliding window, and the surprise at each rare or new category.

    Categories that are expected at least `least` times in a window are named: Pearson's statistic compares their
    counts with the reference's proportions, given how many values are theirs. Its tail is wrong for rare categories,
    so each of these, whether the reference showed it or not, is tested by itself: how surprising is it that so many
    of its values came in the window and so few in the reference (see `surprise`: an exact bound, with nothing assumed
    of its rate), and all that are rare in both samples together once more, for a flood of values that are new each
    time. Alarm where either exceeds its level; `statistic` and `threshold` are Pearson's, but for an alarm of
    surprise. There is no test before the window is full; an alarm empties it.

    Memory: 28 bytes × window, plus 64 bytes × the reference's categories.

    >>> import numpy as np
    >>> rng = np.random.default_rng(3)
    >>> detector = ChiSquared(ChiSquaredParams(reference=rng.integers(4, size=5000)))
    >>> int(detector.update_many(np.concatenate([rng.integers(4, size=2000), rng.integers(2, size=500)]))[0])
    2173
    >>> detector.reset()
    >>> new = np.where(rng.random(1000) < 0.03, 7, rng.integers(4, size=1000))
    >>> int(detector.update_many(np.concatenate([rng.integers(4, size=2000), new]))[0])
    2311

    Pearson: On the criterion that a given system of deviations […]. Philosophical Magazine 50 (1900), 157-175.
    """

    name: ClassVar[str] = "chi_squared"
    parameters: ClassVar[type[ChiSquaredParams]] = ChiSquaredParams

    def __init__(self, params: ChiSquaredParams) -> None:
        self.params: ChiSquaredParams = params
        self._points = np.ascontiguousarray(np.asarray(params.reference)[:, 0])
        before = np.asarray(params.reference)[:, 1].astype(np.int64)
        self._size = int(before.sum())
        named = before * params.window >= params.least * self._size
        self.categories = self._points[named]
        self.proportions = before[named] / max(int(before[named].sum()), 1)
        self._shares = np.zeros(len(before))
        self._shares[named] = self.proportions
        self._known = np.zeros((len(before), 3), np.int64)
        self._known[:, BEFORE] = before
        limits = {times: self._limit(times) for times in (0, *np.unique(before[~named]).tolist())}
        self._known[:, LIMIT] = [params.window + 1 if own else limits[n] for own, n in zip(named, before, strict=True)]
        self._new_limit = limits[0]
        self._levels = np.array(
            [params.threshold, params.min_effect, params.surprise, max(params.min_share, params.min_effect),
             params.least * (1.0 + self._size / params.window)]
        )  # fmt: skip
        self.counts = np.zeros(8, np.int64)
        self._marks = np.zeros(5, np.int64)
        self._squares = np.zeros(1)
        self._ring = np.zeros(params.window)
        self._slots = np.zeros(params.window, np.int32)
        self._new = np.zeros(params.window + 1)
        self._times = np.zeros(params.window + 1, np.int32)
        self.reset()

    def _limit(self, before: int) -> int:
        """How many in a window alarm, of a rare category that came so often in the reference."""
        p = self.params
        return bisect_left(range(p.window + 1), True, key=lambda inside: self._gated(inside, before) > p.surprise)

    def _gated(self, inside: int, before: int) -> float:
        """The surprise at a category; 0 where its share has not grown by what matters."""
        p = self.params
        grown = inside / p.window - before / self._size >= p.min_share
        return float(surprise(inside, before, p.window, self._size)) if grown else 0.0

    def _take(self, values: Float64Array) -> int:
        return int(
            _feed(
                self.counts, self._marks, self._squares, self._points, self._shares, self._known, self._levels,
                self._new, self._times, self._ring, self._slots, self._new_limit, self._size, values,
            )
        )  # fmt: skip

    def _since(self) -> int:
        """Values since the split of the window that parts the log likelihood ratios of its own mixture best."""
        window = self.window_values()
        _, places, inside = np.unique(window, return_inverse=True, return_counts=True)
        cells = np.roll(self._slots, -int(self.counts[NEXT]))
        before = np.where(cells >= 0, self._known[cells, BEFORE], 0)
        expected = before * (self.params.window / self._size)
        return split(np.log((inside[places] + 0.5) / (expected + 0.5)))

    def reset(self) -> None:
        self.counts[[ALARMED, SINCE, FILLED, NEXT, _CAUSE]] = 0
        self._squares[0] = 0.0
        empty(self._marks, self._known, self._levels[_RARE])

    def _recount(self) -> None:
        super()._recount()
        self._marks[WHOLE] = 1  # what was restored may be held against lower levels than before

    @property
    def pearson(self) -> float:
        """Pearson's statistic of the named categories; 0 until the window is full."""
        return float(pearson_of(self._marks, self._shares, self._known)) if self.full else 0.0

    @property
    def surprise(self) -> float:
        """The largest surprise at a rare or new category, or at all of them, in nats; 0 until the window is full."""
        if not self.full:
            return 0.0
        rare = self._shares == 0.0
        pairs = set(zip(*self._known[rare][:, [INSIDE, BEFORE]].T.tolist(), strict=True))
        pairs |= {(int(times), 0) for times in self._times[: self._marks[USED]]}
        rest = float(together(self._marks, self._levels[_GROWN], self.params.window, self._size))
        return max([rest, *(self._gated(inside, before) for inside, before in pairs)])

    @property
    def effect(self) -> float:
        """Total variation between the window and the reference, all that is not named being one category; 0 until the
        window is full."""
        if not self.full:
            return 0.0
        return float(variation_of(self._marks, self._shares, self._known, self.params.window, self._size))

    @property
    def statistic(self) -> float:
        """Pearson's statistic; of an alarm of surprise, the surprise in nats. 0 until the window is full."""
        return self.surprise if self.counts[_CAUSE] and self.alarmed else self.pearson

    @property
    def threshold(self) -> float:
        """What the statistic is held against."""
        return self.params.surprise if self.counts[_CAUSE] and self.alarmed else self.params.threshold

    @property
    def memory(self) -> int:
        return OBJECTS + 28 * (self.params.window + 1) + 64 * len(self._points)


@numba.njit(cache=True)
def _any(marks: Int64Array, known: Int64Array, times: Int32Array, new_limit: int) -> bool:
    """Whether any rare or new category has come often enough to alarm."""
    for cell in range(len(known)):
        if known[cell, INSIDE] >= known[cell, LIMIT]:
            return True
    most = 0
    for k in range(marks[USED]):
        most = max(most, times[k])
    return most >= new_limit


@numba.njit(cache=True)
def _feed(
    counts: Int64Array,
    marks: Int64Array,
    squares: Float64Array,
    points: Float64Array,
    shares: Float64Array,
    known: Int64Array,
    levels: Float64Array,
    new: Float64Array,
    times: Int32Array,
    ring: Float64Array,
    slots: Int32Array,
    new_limit: int,
    size: int,
    values: Float64Array,
) -> int:
    window, rare, level = len(ring), levels[_RARE], levels[_THRESHOLD]
    margin = _MARGIN * (window + level)
    for i in range(len(values)):
        value = values[i]
        if not np.isfinite(value):
            counts[IGNORED] += 1
            continue
        if counts[ALARMED]:
            counts[ALARMED], counts[SINCE], counts[FILLED], counts[NEXT], counts[_CAUSE] = 0, 0, 0, 0, 0
            squares[0] = 0.0
            empty(marks, known, rare)
        counts[SEEN] += 1
        at, inside = counts[NEXT], 0
        cell = find(points, value)
        first = -1 if counts[FILLED] == window else 1
        counts[FILLED] += 1 if first > 0 else 0
        for sign in range(first, 2, 2):  # the value that leaves (-1), the one that comes (1)
            changed = cell if sign > 0 else slots[at]
            if changed < 0:
                inside = count_new(marks, new, times, rare, value if sign > 0 else ring[at], sign)
                continue
            before, inside = known[changed, BEFORE], known[changed, INSIDE]
            if shares[changed] > 0.0:
                squares[0] += (2 * sign * inside + 1) / shares[changed]
                marks[NAMED] += sign
            if before < rare:
                regroup(marks, inside, inside + sign, before, rare)
            inside += sign
            known[changed, INSIDE] = inside
        ring[at] = value
        slots[at] = cell
        counts[NEXT] = at + 1
        if at + 1 == window:
            counts[NEXT] = 0
            squares[0] = squares_of(shares, known)
        if counts[FILLED] < window:
            continue
        named = marks[NAMED]
        if named > 0 and squares[0] / named - named > level - margin:
            found = pearson_of(marks, shares, known)
            if found > level and variation_of(marks, shares, known, window, size) >= levels[_MIN_EFFECT]:
                counts[ALARMED] = 1
                return i
        limit = new_limit if cell < 0 else known[cell, LIMIT]
        if (
            inside >= limit
            or (marks[WHOLE] and _any(marks, known, times, new_limit))
            or together(marks, levels[_GROWN], window, size) > levels[_SURPRISE]
        ):
            counts[ALARMED], counts[_CAUSE] = 1, 1
            return i
        marks[WHOLE] = 0
    return -1
