"""What a series remembers of its values: sums at marks, to date a change, and the last values, to judge the present.

Sums are added value by value, so they do not depend on where the log was cut into batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numba
import numpy as np

from streams.gauge.series.lane import Lane
from streams.records import Float64Array, Int64Array

MARK_EVERY = 16
MARKS = 128
RECENT = 500
_COUNT, _TIME, _SUM, _SQUARES, _LATEST = range(5)
_NO_MARKS = np.empty((0, 5))


@numba.njit(cache=True)
def _add(
    values: Float64Array,
    timestamps: Int64Array,
    first: int,
    sums: Float64Array,
    latest: Int64Array,
    marks: Float64Array,
) -> None:
    """Add values one after the other. Before the `first` one and each 16th after it, note where the sums stand."""
    total, squares, newest = sums[0], sums[1], latest[0]
    at, mark = first, 0
    for i in range(len(values)):
        if i == at and mark < len(marks):
            marks[mark, _TIME] = timestamps[i]
            marks[mark, _SUM], marks[mark, _SQUARES], marks[mark, _LATEST] = total, squares, newest
            mark += 1
            at += MARK_EVERY
        total += values[i]
        squares += values[i] * values[i]
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
    """Count, sum and sum of squares of some values."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.count + other.count, self.total + other.total, self.squares + other.squares)

    def __sub__(self, other: Moments) -> Moments:
        return Moments(self.count - other.count, self.total - other.total, self.squares - other.squares)

    @property
    def mean(self) -> float:
        """0 of nothing."""
        return self.total / self.count if self.count else 0.0

    @property
    def deviation(self) -> float:
        """Population standard deviation."""
        return sqrt(max(0.0, self.squares / self.count - self.mean**2)) if self.count else 0.0

    @classmethod
    def of(cls, values: Float64Array) -> Moments:
        """Of a sample."""
        return cls(len(values), float(values.sum()), float((values * values).sum()))


class History:
    """The past of one series. `extend` takes a lane; until the next one, any place in it can be asked about."""

    def __init__(self) -> None:
        self.count = 0
        self._sums = np.zeros(2)  # sum, sum of squares
        self._latest = np.full(1, np.iinfo(np.int64).min)  # the largest timestamp so far
        self._marks = np.empty((0, 5))
        self._recent: Float64Array = np.empty(0)
        self._start = _Start(0, 0.0, 0.0, int(self._latest[0]))
        self._lane = Lane.empty()

    def extend(self, lane: Lane) -> None:
        """Take over the next values."""
        self._lane = lane
        self._start = _Start(self.count, float(self._sums[0]), float(self._sums[1]), int(self._latest[0]))
        first = -self.count % MARK_EVERY
        marks = np.empty((max(0, -(-(len(lane) - first) // MARK_EVERY)), 5))
        _add(lane.values, lane.timestamps, first, self._sums, self._latest, marks)
        marks[:, _COUNT] = self.count + first + MARK_EVERY * np.arange(len(marks))
        self._marks = np.concatenate([self._marks[-MARKS:], marks])
        self._recent = np.concatenate([self._recent[-RECENT:], lane.values])
        self.count += len(lane)

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
        _add(self._lane.values[start:stop], self._lane.timestamps[start:stop], stop - start, sums, latest, _NO_MARKS)
        return _Start(count, float(sums[0]), float(sums[1]), int(latest[0]))

    def _marks_end(self) -> int:
        return int(self._marks[-1, _COUNT])

    def moments(self, count: int) -> Moments:
        """Of the first `count` values, of which the lane in hand must bring the last."""
        found = self._at(count)
        return Moments(count, found.total, found.squares)

    def latest_at(self, count: int) -> int:
        """The largest timestamp of the first `count` values."""
        return self._at(count).latest

    def recent(self, count: int) -> Float64Array:
        """The last values, at most RECENT, of the first `count`."""
        stop = len(self._recent) - (self.count - count)
        return self._recent[max(0, stop - RECENT) : stop]

    def change(self, since: int | None, begin: Moments, before: Moments, count: int) -> tuple[Moments, int]:
        """Where a change found at the `count`-th value began: (moments up to there, event time).

        Marks after the watch began and before now are candidates. With `since`, the one nearest to that many values
        ago; else the one that most likely parts two means (Hinkley 1970), with `before` the values before `begin`.
        """
        marks = self._marks
        oldest = max(begin.count, count - MARKS * MARK_EVERY)
        marks = marks[(marks[:, _COUNT] >= oldest) & (marks[:, _COUNT] < count)]
        if not len(marks):
            return begin, self.latest_at(count)
        now = self.moments(count)
        if since is not None:
            best = int(np.argmin(np.abs(marks[:, _COUNT] - (count - since))))
        else:
            older = before.count + marks[:, _COUNT] - begin.count
            newer = now.count - marks[:, _COUNT]
            gap = (now.total - marks[:, _SUM]) / newer - (before.total + marks[:, _SUM] - begin.total) / np.maximum(
                older, 1
            )
            best = int(np.argmax(gap * gap * newer * older / (newer + older)))
        mark = marks[best]
        return Moments(int(mark[_COUNT]), float(mark[_SUM]), float(mark[_SQUARES])), int(mark[_TIME])

    def snapshot(self) -> Any:
        """The state, for `streams.state.pack`."""
        return {
            "count": self.count,
            "sums": self._sums.copy(),
            "latest": self._latest.copy(),
            "marks": self._marks[-MARKS:],
            "recent": self._recent[-RECENT:],
        }

    def restore(self, tree: Any) -> None:
        """Take back what snapshot gave."""
        self.count, self._sums, self._latest = tree["count"], tree["sums"], tree["latest"]
        self._marks, self._recent = tree["marks"], tree["recent"]
        self._start = _Start(self.count, float(self._sums[0]), float(self._sums[1]), int(self._latest[0]))
