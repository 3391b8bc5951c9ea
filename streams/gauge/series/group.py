"""The series of one version and variant, and the outcomes that wait until the kind of task is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import detectors
from streams.gauge.series.lane import Lane
from streams.gauge.series.series import Series
from streams.gauge.series.settings import SeriesSettings
from streams.records import Float64Array, Int64Array, UInt8Array


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

    def lane(self, values: Float64Array) -> Lane:
        """The lane of one reading, without missing ones."""
        return Lane(values, self.rows, self.timestamps, self.offsets, self.labelled, self.partitions).finite()


class Group:
    """The series of one version and variant, by subject, in the order of their first values."""

    def __init__(self, version: str | None, variant: str | None, born: int) -> None:
        self.version, self.variant, self.born = version, variant, born
        self.subjects: dict[str, Series] = {}
        self.waiting: list[Feed] = []
        self.has_errors = False
        self.overflowed = False
        self.place: int | None = None  # the first of its errors' in the division of the budget, …
        self.held = 0  # … and how many there are
        self.newborn: list[Series] = []  # whose detectors have no places yet

    def open(self, settings: SeriesSettings, subject: str, kind: detectors.Kind, row: int) -> Series:
        """The series of a subject, born at this row where there is none yet."""
        series = self.subjects.get(subject)
        if series is None:
            series = self.subjects[subject] = Series(settings, subject, kind, self.version, self.variant, row)
            self.newborn.append(series)
        return series

    def admits(self, settings: SeriesSettings, family: str, name: str) -> bool:
        """Whether there is room for one more of a family, or it is there already."""
        if f"{family}.{name}" in self.subjects or self.count(family) < settings.features:
            return True
        self.overflowed = True
        return False

    def series(self) -> Iterator[Series]:
        """All of them, by the row of their first value."""
        return iter(sorted(self.subjects.values(), key=lambda each: (each.born, each.subject)))

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
            "overflowed": self.overflowed,
            "places": [self.place, self.held],
            "waiting": [{f.name: getattr(feed, f.name) for f in fields(feed)} for feed in self.waiting],
            "series": [series.snapshot() for series in self.subjects.values()],
        }

    @classmethod
    def restored(cls, tree: Any, settings: SeriesSettings) -> Group:
        """The group that snapshot gave; series that nothing watches any more are let go."""
        group = cls(tree["version"], tree["variant"], tree["born"])
        group.has_errors, group.overflowed = tree["has_errors"], tree["overflowed"]
        group.place, group.held = tree["places"]
        group.waiting = [Feed(**each) for each in tree["waiting"]]
        for each in tree["series"]:
            series = Series(settings, each["subject"], each["kind"], group.version, group.variant, each["born"])
            if series.watches:
                series.restore(each)
                group.subjects[series.subject] = series
                group.newborn.append(series)  # the configuration may have given it more detectors
        return group
