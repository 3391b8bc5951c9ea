"""The series of one version and variant, and the outcomes that wait until the kind of task is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NotRequired, TypedDict

import numpy as np
import numpy.typing as npt

import detectors
from streams.gauge.series.lane import Lane
from streams.gauge.series.series import Segment, Series
from streams.gauge.series.settings import SeriesSettings
from streams.records import Float64Array, Int32Array, Int64Array, UInt8Array
from streams.state import Count, array, shaped


@dataclass(frozen=True, slots=True)
class Feed:
    """Outcomes as columns: what a lane needs, and both readings of an error (0/1, and prediction - label)."""

    wrong: Float64Array
    residual: Float64Array
    rows: Int64Array
    timestamps: Int64Array
    offsets: Int64Array
    labelled: UInt8Array
    partitions: Int64Array
    segments: dict[str, tuple[Int32Array, list[str | None]]]
    """By key: the place of each row's value in a list of values."""

    def lane(self, values: Float64Array, mine: npt.NDArray[np.bool_] | None = None) -> Lane:
        """The lane of one reading, of all rows or some, without missing ones."""
        lane = Lane(values, self.rows, self.timestamps, self.offsets, self.labelled, self.partitions)
        return (lane if mine is None else lane.where(mine)).finite()

    def parts(self) -> Iterator[tuple[Segment, npt.NDArray[np.bool_]]]:
        """Each segment, and which of the rows are its."""
        for key, (codes, values) in self.segments.items():
            for place, value in enumerate(values):
                if value is not None:
                    yield (key, value), codes == place


_COLUMNS = {
    **{"wrong": "<f8", "residual": "<f8", "labelled": "|u1"},
    **{"rows": "<i8", "timestamps": "<i8", "offsets": "<i8", "partitions": "<i8"},
}


def _feed_of(tree: dict[str, Any]) -> Feed:
    """What was waiting, whose columns are of one length."""
    n = len(array(tree["rows"], "<i8", None))
    columns = {name: array(tree[name], dtype, n) for name, dtype in _COLUMNS.items()}
    told = shaped(dict[str, tuple[Any, list[str | None]]], tree["segments"])
    segments = {key: (array(codes, "<i4", n), values) for key, (codes, values) in told.items()}
    return Feed(**columns, segments=segments)


LONGEST = 1_000
"""Characters of a feature's name or a segment's value that is watched: events tell them."""


class _State(TypedDict):
    version: str | None
    variant: str | None
    born: int
    has_errors: bool
    overflow: NotRequired[Count]
    places: tuple[int | None, int]
    waiting: list[dict[str, Any]]
    series: list[dict[str, Any]]


class Group:
    """The series of one version and variant, by subject, in the order of their first values."""

    def __init__(self, version: str | None, variant: str | None, born: int) -> None:
        self.version, self.variant, self.born = version, variant, born
        self.subjects: dict[str, Series] = {}  # of the whole model
        self.segments: dict[tuple[str, Segment], Series] = {}
        self.waiting: list[Feed] = []
        self.has_errors = False
        self.overflow = 0  # sightings of features for which there was no room
        self._full: set[str] = set()  # families of which there are as many as may be
        self.place: int | None = None  # the first of its errors' in the division of the budget, …
        self.held = 0  # … and how many there are
        self.newborn: list[Series] = []  # whose detectors have no places yet

    def find(self, subject: str, segment: Segment | None) -> Series | None:
        """The series of a subject, of the whole model or of a segment."""
        return self.subjects.get(subject) if segment is None else self.segments.get((subject, segment))

    def open(
        self, settings: SeriesSettings, subject: str, kind: detectors.Kind, row: int, segment: Segment | None = None
    ) -> Series:
        """The series of a subject, born at this row where there is none yet."""
        series = self.find(subject, segment)
        if series is None:
            series = Series(settings, subject, kind, self.version, self.variant, row, segment)
            self._add(series)
        return series

    def _add(self, series: Series) -> None:
        if series.segment is None:
            self.subjects[series.subject] = series
        else:
            self.segments[series.subject, series.segment] = series
        self.newborn.append(series)

    def admits_segment(self, settings: SeriesSettings, subject: str, segment: Segment) -> bool:
        """Whether there is room for one more value of a segment key, or it is there already."""
        if (subject, segment) in self.segments:
            return True
        return (
            len(segment[1]) <= LONGEST
            and sum(each == subject and key == segment[0] for each, (key, _) in self.segments) < settings.segments
        )

    def forget(self, subjects: Sequence[str]) -> None:
        """Let the series of these subjects go."""
        for series in list(self.series()):
            if series.subject in subjects:
                if series.segment is None:
                    del self.subjects[series.subject]
                else:
                    del self.segments[series.subject, series.segment]

    def admits(self, settings: SeriesSettings, family: str, name: str) -> bool:
        """Whether there is room for one more of a family, or it is there already."""
        if f"{family}.{name}" in self.subjects:
            return True
        if family not in self._full and len(name) <= LONGEST:
            if self.count(family) < settings.features:
                return True
            self._full.add(family)
        self.overflow += 1
        return False

    def series(self) -> Iterator[Series]:
        """All of them, by the row of their first value."""
        every = [*self.subjects.values(), *self.segments.values()]
        return iter(sorted(every, key=lambda each: each.birth))

    def free_places(self) -> list[int]:
        """The places held for errors that none of them has taken."""
        taken = {watch.place for series in self.subjects.values() for watch in series.watches}
        first = self.place or 0
        return [place for place in range(first, first + self.held) if place not in taken]

    def features(self) -> Iterator[Series]:
        """Those of features."""
        return (series for subject, series in self.subjects.items() if subject.startswith("features."))

    def count(self, family: str) -> int:
        """How many there are of features, attributions or missing."""
        return sum(subject.startswith(f"{family}.") for subject in self.subjects)

    def snapshot(self) -> Any:
        """The state, for `streams.state.pack`."""
        return {
            "version": self.version,
            "variant": self.variant,
            "born": self.born,
            "has_errors": self.has_errors,
            "overflow": self.overflow,
            "places": [self.place, self.held],
            "waiting": [{f.name: getattr(feed, f.name) for f in fields(feed)} for feed in self.waiting],
            "series": [series.snapshot() for series in self.series()],
        }

    @classmethod
    def restored(cls, tree: Any, settings: SeriesSettings) -> Group:
        """The group that snapshot gave; series that nothing watches any more are let go."""
        tree = shaped(_State, tree)
        group = cls(tree["version"], tree["variant"], tree["born"])
        group.has_errors, group.overflow = tree["has_errors"], tree.get("overflow", 0)
        group.place, group.held = tree["places"]
        group.waiting = [_feed_of(each) for each in tree["waiting"]]
        for each in tree["series"]:
            segment = None if each["segment"] is None else tuple(each["segment"])
            series = Series(
                settings, each["subject"], each["kind"], group.version, group.variant, each["born"], segment
            )
            if series.watches:
                series.restore(each)
                group._add(series)  # as newborn: the configuration may have given it more detectors
        return group
