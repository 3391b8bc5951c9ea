"""What a series remembers of its values: sums at marks, to date a change, and the last values, to judge the present.

Sums are added value by value, so they do not depend on where the log was cut into batches. They are sums of gaps to an
origin near the values, for the square of a large mean leaves no digits to their spread; and of values held within what
the reference makes plausible, as detectors take them: one absurd value would outweigh all others for good.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import inf, sqrt
from typing import Annotated, Any

import msgspec
import numba
import numpy as np
import numpy.typing as npt

from streams.gauge.series.lane import Lane
from streams.records import Float64Array, Int64Array
from streams.state import Count, array, shaped

MARK_EVERY = 16
MARKS = 128
RECENT = 500
_COUNT, _TIME, _SUM, _SQUARES, _LATEST = range(5)
_Sums = Annotated[list[float], msgspec.Meta(max_length=3)]
_NO_MARKS = np.empty((0, 5))
_FAR = 40.0
"""Times the limits' half width: sums of values further away have no digits left for the others."""


@numba.njit(cache=True)
def _add(
    values: Float64Array,
    timestamps: Int64Array,
    first: int,
    origin: float,
    limits: Float64Array,
    sums: Float64Array,
    latest: Int64Array,
    extent: Float64Array,
    marks: Float64Array,
) -> None:
    """Add values one after the other. Before the `first` one and each 16th after it, note where the sums stand."""
    low, high = limits
    total, squares, newest = sums[0], sums[1], latest[0]
    at, mark = first, 0
    for i in range(len(values)):
        if i == at and mark < len(marks):
            marks[mark, _TIME] = timestamps[i]
            marks[mark, _SUM], marks[mark, _SQUARES], marks[mark, _LATEST] = total, squares, newest
            mark += 1
            at += MARK_EVERY
        gap = min(max(values[i], low), high) - origin
        total += gap
        squares += gap * gap
        extent[0], extent[1] = min(extent[0], values[i]), max(extent[1], values[i])
        newest = max(newest, timestamps[i])
    sums[0], sums[1], latest[0] = total, squares, newest


@dataclass(frozen=True, slots=True)
class _Start:
    count: int
    total: float
    squares: float
    latest: int


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, sum and sum of squares of the gaps of some values to an origin."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    origin: float = 0.0

    def __add__(self, other: Moments) -> Moments:
        here = self.about(other.origin)
        return Moments(
            here.count + other.count, here.total + other.total, here.squares + other.squares, other.origin
        )  # fmt: skip

    def __sub__(self, other: Moments) -> Moments:
        there = other.about(self.origin)
        return Moments(
            self.count - there.count, self.total - there.total, self.squares - there.squares, self.origin
        )  # fmt: skip

    def about(self, origin: float) -> Moments:
        """Of the same values, with another origin."""
        if origin == self.origin:
            return self
        gap = self.origin - origin
        squares = self.squares + 2.0 * gap * self.total + self.count * gap * gap
        return Moments(self.count, self.total + self.count * gap, squares, origin)

    @property
    def _gap(self) -> float:
        return self.total / self.count if self.count else 0.0

    @property
    def mean(self) -> float:
        """0 of nothing."""
        return self.origin + self._gap if self.count else 0.0

    @property
    def deviation(self) -> float:
        """Population standard deviation."""
        return sqrt(max(0.0, self.squares / self.count - self._gap**2)) if self.count else 0.0

    def rise(self, before: Moments) -> float:
        """How much larger the mean is than that before."""
        if not (self.count and before.count):
            return self.mean - before.mean
        return self._gap - before.about(self.origin)._gap

    @classmethod
    def of(cls, values: Float64Array, origin: float = 0.0) -> Moments:
        """Of a sample."""
        gaps = values - origin
        return cls(len(gaps), float(gaps.sum()), float((gaps * gaps).sum()), origin)

    def tree(self) -> list[float]:
        """Itself for `streams.state.pack`."""
        return list(asdict(self).values())

    @classmethod
    def of_tree(cls, tree: Any) -> Moments:
        """What `tree` gave; sums of an older version are about 0."""
        count, *sums = tree or (0,)
        return cls(shaped(Count, count), *shaped(_Sums, sums))


class History:
    """The past of one series. `extend` takes a lane; until the next one, any place in it can be asked about."""

    def __init__(self) -> None:
        self.count = 0
        self._sums = np.zeros(2)  # sum, sum of squares
        self._latest = np.full(1, np.iinfo(np.int64).min)  # the largest timestamp so far
        self._marks = np.empty((0, 5))
        self._recent: Float64Array = np.empty(0)
        self._origin: float | None = None  # the first value, while nothing better is known
        self._limits = np.array([-inf, inf])  # that the sums hold values within
        self._extent = np.array([inf, -inf])  # least and largest value since nothing was known of them
        self._first = 0  # values before the sums began
        self._start = self._now()
        self._lane = Lane.empty()

    @property
    def origin(self) -> float:
        """What moments are about."""
        return self._origin or 0.0

    def held(self, values: Float64Array) -> Float64Array:
        """Values as the sums take them."""
        taken: Float64Array = np.clip(values, self._limits[0], self._limits[1])
        return taken

    def beyond(self, values: Float64Array) -> int:
        """How many of the values are not taken as they are."""
        return int((self.held(values) != values).sum())

    def strays(self, limits: tuple[float, float] | None) -> bool:
        """Whether a value was outside limits, these or those in force, since nothing was known of them."""
        low, high = (
            self._limits if limits is None else (max(limits[0], self._limits[0]), min(limits[1], self._limits[1]))
        )
        return bool(self._extent[0] < low or self._extent[1] > high)

    def hold(self, limits: tuple[float, float]) -> bool:
        """Hold the next values within limits; where others are in force, within what either allow. Whether the sums
        had to begin anew: without what came before, as something in it was too far away."""
        half = (limits[1] - limits[0]) / 2.0
        middle = limits[0] + half
        free = not np.isfinite(self._limits).any()
        anew = free and self.strays((middle - _FAR * half, middle + _FAR * half))
        if self._origin is None or anew:
            self._begin(middle)
        else:  # what was summed within other limits must not be summed again within these
            self._start = self._now()
            self._lane = Lane.empty()
        if free:
            self._limits[:] = limits
        else:
            self._limits[:] = min(limits[0], self._limits[0]), max(limits[1], self._limits[1])
        return anew

    def forget(self) -> None:
        """Begin anew: nothing is known of the next values."""
        self._begin(None)
        self._limits[:], self._extent[:] = (-inf, inf), (inf, -inf)

    def _begin(self, origin: float | None) -> None:
        self._origin, self._first = origin, self.count
        self._sums[:] = 0.0
        self._marks = np.empty((0, 5))
        self._start = self._now()
        self._lane = Lane.empty()

    def extend(self, lane: Lane) -> None:
        """Take over the next values."""
        if self._origin is None and len(lane):
            self._origin = float(lane.values[0])
        self._lane = lane
        self._start = self._now()
        first = -self.count % MARK_EVERY
        marks = np.empty((max(0, -(-(len(lane) - first) // MARK_EVERY)), 5))
        self._sum(lane.values, lane.timestamps, first, self._sums, self._latest, self._extent, marks)
        marks[:, _COUNT] = self.count + first + MARK_EVERY * np.arange(len(marks))
        self._marks = np.concatenate([self._marks[-MARKS:], marks])
        self._recent = np.concatenate([self._recent[-RECENT:], lane.values])
        self.count += len(lane)

    def _now(self) -> _Start:
        return _Start(self.count, float(self._sums[0]), float(self._sums[1]), int(self._latest[0]))

    def _at(self, count: int) -> _Start:
        """The sums and the latest time of the first `count` values: from a mark on, value by value."""
        begin = self._start
        assert begin.count <= count <= self.count
        # the last mark of this lane at or before `count`: they are every 16 values, the newest one last
        back = (self._marks_end() - count + MARK_EVERY - 1) // MARK_EVERY + 1 if len(self._marks) else 0
        if 0 < back <= len(self._marks):
            mark = self._marks[-back]
            if begin.count <= mark[_COUNT] <= count:
                begin = _Start(int(mark[_COUNT]), float(mark[_SUM]), float(mark[_SQUARES]), int(mark[_LATEST]))
        start = begin.count - self._start.count
        stop = count - self._start.count
        sums, latest = np.array([begin.total, begin.squares]), np.array([begin.latest])
        values, timestamps = self._lane.values[start:stop], self._lane.timestamps[start:stop]
        self._sum(values, timestamps, stop - start, sums, latest, np.zeros(2), _NO_MARKS)
        return _Start(count, float(sums[0]), float(sums[1]), int(latest[0]))

    def _sum(self, values: Float64Array, timestamps: Int64Array, first: int, *into: npt.NDArray[Any]) -> None:
        _add(values, timestamps, first, self.origin, self._limits, *into)

    def _marks_end(self) -> int:
        return int(self._marks[-1, _COUNT])

    def moments(self, count: int) -> Moments:
        """Of the first `count` values (since the sums began), of which the lane in hand must bring the last."""
        found = self._at(count)
        return Moments(count - self._first, found.total, found.squares, self.origin)

    def latest_at(self, count: int) -> int:
        """The largest timestamp of the first `count` values."""
        return self._at(count).latest

    def recent(self, count: int) -> Float64Array:
        """The last values, at most RECENT, of the first `count`; as they came."""
        stop = len(self._recent) - (self.count - count)
        return self._recent[max(0, stop - RECENT) : stop]

    def change(self, since: int | None, begin: Moments, before: Moments, count: int) -> tuple[Moments, int]:
        """Where a change found at the `count`-th value began: (moments up to there, event time).

        Marks after the watch began and before now are candidates. With `since`, the one nearest to that many values
        ago; else the one that most likely parts two means (Hinkley 1970), with `before` the values before `begin`.
        """
        marks = self._marks
        oldest = max(self._first + begin.count, count - MARKS * MARK_EVERY)
        marks = marks[(marks[:, _COUNT] >= oldest) & (marks[:, _COUNT] < count)]
        if not len(marks):
            return begin, self.latest_at(count)
        now, before, begin = self.moments(count), before.about(self.origin), begin.about(self.origin)
        if since is not None:
            best = int(np.argmin(np.abs(marks[:, _COUNT] - (count - since))))
        else:
            older = before.count + marks[:, _COUNT] - self._first - begin.count
            newer = count - marks[:, _COUNT]
            gap = (now.total - marks[:, _SUM]) / newer - (before.total + marks[:, _SUM] - begin.total) / np.maximum(
                older, 1
            )
            best = int(np.argmax(gap * gap * newer * older / (newer + older)))
        mark = marks[best]
        found = int(mark[_COUNT]) - self._first
        return Moments(found, float(mark[_SUM]), float(mark[_SQUARES]), self.origin), int(mark[_TIME])

    def snapshot(self) -> Any:
        """The state, for `streams.state.pack`."""
        return {
            "count": self.count,
            "sums": self._sums.copy(),
            "latest": self._latest.copy(),
            "marks": self._marks[-MARKS:],
            "recent": self._recent[-RECENT:],
            "origin": self._origin,
            "limits": self._limits.copy(),
            "extent": self._extent.copy(),
            "first": self._first,
        }

    def restore(self, tree: Any) -> None:
        """Take back what snapshot gave."""
        self.count = shaped(Count, tree["count"])
        self._sums, self._latest = array(tree["sums"], "<f8", 2), array(tree["latest"], "<i8", 1)
        self._marks, self._recent = array(tree["marks"], "<f8", None, 5), array(tree["recent"], "<f8", None)
        # sums of an older version are about 0
        self._origin = shaped(float | None, tree.get("origin", 0.0 if self.count else None))
        self._limits = array(tree.get("limits", np.array([-inf, inf])), "<f8", 2)
        self._extent = array(tree.get("extent", np.array([inf, -inf])), "<f8", 2)
        self._first = shaped(Count, tree.get("first", 0))
        self._lane = Lane.empty()
        self._start = self._now()
