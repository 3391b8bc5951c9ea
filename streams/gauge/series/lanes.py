"""From a stretch of rows to the lanes of the series they feed; whoever is born in the rows is opened here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

import detectors
from streams.gauge.series.columns import Column, codes, columns, differs, first_labels
from streams.gauge.series.group import Feed, Group
from streams.gauge.series.lane import Lane
from streams.gauge.series.series import Segment, Series
from streams.gauge.series.settings import SeriesSettings
from streams.outcomes import Kind, Rows
from streams.records import Int32Array, Int64Array

ERRORS = ("error", "residual")
_PLAIN = {"score": "score", "service.latency": "latency"}
_FAMILIES = ("features", "attributions")


def predicted(
    group: Group, settings: SeriesSettings, rows: Rows, places: Int64Array, first: int, tasks: Int64Array
) -> list[tuple[Series, Lane]]:
    """The lanes of the predictions among the rows at `places`; `first` is the number of the first row, `tasks` the
    join task of each."""
    at = places[rows.kind[places] == Kind.PREDICTED]
    bare = _bare(at, rows, first, tasks[at])
    lanes = []
    for subject, name in _PLAIN.items():
        if settings.watched(subject):
            lane = replace(bare, values=getattr(rows, name)[at]).finite()
            if len(lane):
                lanes.append((group.open(settings, subject, "numeric", int(lane.rows[0])), lane))
    for segment, mine in _segments(settings, "score", rows, at):
        lane = replace(bare, values=rows.score[at]).where(mine).finite()
        if len(lane) and group.admits_segment(settings, "score", segment):
            lanes.append((group.open(settings, "score", "numeric", int(lane.rows[0]), segment), lane))
    for family in _FAMILIES:
        if settings.watches_family(family) or (family == "features" and settings.watches_family("missing")):
            lanes += _listed(group, settings, family, rows, bare, at, tasks)
    return lanes


def _segments(
    settings: SeriesSettings, subject: str, rows: Rows, places: Int64Array
) -> Iterator[tuple[Segment, npt.NDArray[np.bool_]]]:
    """The segments by which a subject is watched, by their first rows, and which of the rows are theirs."""
    for key, (which, values) in _values(settings, rows, places).items():
        if settings.watched(subject, key):
            for place, value in enumerate(values):
                if value is not None:
                    yield (key, value), which == place


def _values(settings: SeriesSettings, rows: Rows, places: Int64Array) -> dict[str, tuple[Int32Array, list[str | None]]]:
    """By segment key: the place of each row's value in a list of values, which are in the order of their first rows."""
    made = {}
    for key in settings.segment_keys:
        if key in rows.segment_keys:
            found, first, which = np.unique(
                rows.segments[rows.segment_keys.index(key)][places], return_index=True, return_inverse=True
            )
            order = np.argsort(first)
            rank = np.argsort(order).astype(np.int32)
            made[key] = rank[which], [rows.text(int(found[k])) for k in order]
    return made


def _listed(
    group: Group, settings: SeriesSettings, family: str, rows: Rows, bare: Lane, places: Int64Array, tasks: Int64Array
) -> list[tuple[Series, Lane]]:
    """The lanes of features or attributions, in the order of their first values."""
    first = int(bare.rows[0] - places[0]) if len(places) else 0
    found: list[tuple[int, int, Column]] = []
    for column in columns(getattr(rows, family), places):
        present = np.isfinite(column.values) | (column.texts >= 0)
        if present.any():
            begin = int(np.argmax(present))
            found.append((int(column.entries[begin]), begin, column))
    made = []
    there: dict[str, Int64Array] = {}  # the rows in which each feature has a value
    for _, begin, column in sorted(found, key=lambda each: each[0]):
        name = rows.strings[column.name]
        lane = bare
        if column.places is not places:  # a name that only some of the rows have
            lane = _bare(column.places, rows, first, tasks[column.places])
        born = int(lane.rows[begin])
        if family == "features" and settings.watched(f"missing.{name}"):
            there[name] = lane.rows[np.isfinite(column.values) | (column.texts >= 0)]
            if group.admits(settings, "missing", name):
                group.open(settings, f"missing.{name}", "binary", born)
        subject = f"{family}.{name}"
        if settings.watched(subject) and group.admits(settings, family, name):
            kind: detectors.Kind = "categories" if column.texts[begin] >= 0 else "numeric"
            series = group.open(settings, subject, kind, born)
            values = column.values
            if series.kind == "categories":
                values = codes(column, rows.strings, series.admit)
            made.append((series, replace(lane, values=values).finite()))
    return made + (_missing(group, bare, rows.failed[places] == 1, there) if family == "features" else [])


def _missing(
    group: Group, bare: Lane, failed: npt.NDArray[np.bool_], there: dict[str, Int64Array]
) -> list[tuple[Series, Lane]]:
    """For each feature 1 where a prediction lacks it, else 0, from its first value on. A prediction that failed says
    nothing about it."""
    made = []
    if failed.any():
        bare = bare.where(~failed)
    for subject, series in group.subjects.items():
        family, _, name = subject.partition(".")
        if family == "missing":
            lane = bare.part(int(np.searchsorted(bare.rows, series.born)), len(bare.rows))
            values = np.ones(len(lane.rows))
            if name in there:
                whole = len(there[name]) == len(bare.rows) and not failed.any()
                values[slice(None) if whole else np.isin(lane.rows, there[name], assume_unique=True)] = 0.0
            made.append((series, replace(lane, values=values)))
    return made


def outcomes(settings: SeriesSettings, rows: Rows, places: Int64Array, first: int, tasks: Int64Array) -> Feed | None:
    """What the first labels among the rows at `places` say of errors; None where nothing is said or watched."""
    if not any(settings.watches_family(family) for family in ERRORS):
        return None
    at = first_labels(rows, places)
    if not len(at):
        return None
    early = (rows.early[at] == 1) | (rows.label_offset[at] < 0)
    return Feed(
        wrong=differs(rows, at),
        residual=rows.prediction[at] - rows.label[at],
        rows=at + first,
        timestamps=rows.timestamp[at],
        offsets=np.where(early, rows.prediction_offset[at], rows.label_offset[at]),
        labelled=(~early).astype(np.uint8),
        partitions=tasks[at],
        segments=_values(settings, rows, at),
    )


def open_errors(group: Group, settings: SeriesSettings, feed: Feed, regression: bool) -> None:
    """Open the series of errors: of the whole model once, of segments when they first come."""
    kind: detectors.Kind = "numeric" if regression else "binary"
    subjects = ERRORS if regression else ERRORS[:1]
    if not group.has_errors:
        group.has_errors = True
        for subject in subjects:
            if settings.watched(subject):
                group.open(settings, subject, kind, int(feed.rows[0]))
    for segment, mine in feed.parts():
        for subject in subjects:
            if settings.watched(subject, segment[0]) and group.admits_segment(settings, subject, segment):
                group.open(settings, subject, kind, int(feed.rows[mine][0]), segment)


def _bare(places: Int64Array, rows: Rows, first: int, partitions: Int64Array) -> Lane:
    """A lane of predictions, its values to come: what all features of the same rows share."""
    return Lane(
        values=np.empty(0),
        rows=places + first,
        timestamps=rows.timestamp[places],
        offsets=rows.prediction_offset[places],
        labelled=np.zeros(len(places), np.uint8),
        partitions=partitions,
    )
