"""What a series remembers of its values: sums at marks, to date a change, and the last values, to judge the present.

Sums are added value by value, so they do not depend on where the log was cut into batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from streams.gauge.series.lane import Lane
from streams.records import Float64Array, Int64Array

MARK_EVERY = 16
MARKS = 128
RECENT = 500
_COUNT, _TIME, _SUM, _SQUARES = range(4)


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
        self.latest = np.iinfo(np.int64).min  # the largest timestamp so far
        self._total = 0.0
        self._squares = 0.0
        self._marks = np.empty((0, 4))
        self._recent: Float64Array = np.empty(0)
        self._start = 0  # count before the lane in hand
        self._totals: Float64Array = np.zeros(1)
        self._all_squares: Float64Array = np.zeros(1)
        self._latest: Int64Array = np.empty(0, np.int64)

    def extend(self, lane: Lane) -> None:
        """Take over the next values."""
        values = lane.values
        self._start = self.count
        # np.cumsum adds from left to right, one after the other
        self._totals = np.cumsum(np.concatenate(([self._total], values)))
        self._all_squares = np.cumsum(np.concatenate(([self._squares], values * values)))
        self._latest = np.maximum.accumulate(np.concatenate(([self.latest], lane.timestamps)))[1:]
        at = np.arange(-self._start % MARK_EVERY, len(values), MARK_EVERY)
        marks = np.column_stack([self._start + at, lane.timestamps[at], self._totals[at], self._all_squares[at]])
        self._marks = np.concatenate([self._marks[-MARKS:], marks])
        self._recent = np.concatenate([self._recent[-RECENT:], values])
        self.count += len(values)
        self._total, self._squares = float(self._totals[-1]), float(self._all_squares[-1])
        self.latest = int(self._latest[-1])

    def moments(self, count: int) -> Moments:
        """Of the first `count` values, of which the lane in hand must bring the last."""
        place = count - self._start
        return Moments(count, float(self._totals[place]), float(self._all_squares[place]))

    def latest_at(self, count: int) -> int:
        """The largest timestamp of the first `count` values."""
        return int(self._latest[count - self._start - 1])

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
            "latest": self.latest,
            "total": self._total,
            "squares": self._squares,
            "marks": self._marks[-MARKS:],
            "recent": self._recent[-RECENT:],
        }

    def restore(self, tree: Any) -> None:
        """Take back what snapshot gave."""
        self.count, self.latest = tree["count"], tree["latest"]
        self._total, self._squares = tree["total"], tree["squares"]
        self._marks, self._recent = tree["marks"], tree["recent"]
        self._start = self.count
        self._totals = np.array([self._total])
        self._all_squares = np.array([self._squares])
        self._latest = np.empty(0, np.int64)
