"""Where the detectors' alarms come from, wherever the topics lie: river's detector, fed with the outcomes, raises them
too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from river import drift

from tests.integration.application import Topics
from tests.integration.checkers import Published
from tests.integration.row_checks import Rows
from tests.integration.rows import CONTROL, OUTCOME, Row
from tests.integration.traffic import SENTINEL

Version = tuple[str | None, str | None, str | None]
"""Model, version and variant."""


def alarms_are_rivers(placed: Rows, alerts: Sequence[Published], topics: Topics, parameters: Mapping[str, Any]) -> int:
    """The first drift of an error is said of an outcome at which river's Page-Hinkley of these parameters raises an
    alarm, fed with the first outcome of each prediction in the order of the topic. Where the error was re-baselined,
    detectors start anew at a row that the topic alone does not tell: those versions are left out. How many were
    judged."""
    left_out = _rebaselined(placed)
    causes = {version: list(_alarms(rows, topics, parameters)) for version, rows in _errors(placed).items()}
    first: dict[Version, dict[str, Any]] = {}
    for record in alerts:
        event = record.event()
        if event["rule"] == "error/page_hinkley" and event["status"] == "firing" and not event["segment"]:
            first.setdefault((event["model"], event["version"], event["variant"]), event)
    judged = {version: event for version, event in first.items() if version[:2] not in left_out}
    for version, event in judged.items():
        cause = event["cause"]
        place = cause["topic"], cause["partition"], cause["offset"]
        assert place in causes[version], f"{version}: an alarm at {place}; river's are at {causes[version]}"
    return len(judged)


def _rebaselined(placed: Rows) -> set[tuple[str, str]]:
    """Model and version of requests to take the error anew."""
    keys = [row.payload["key"] for rows in placed.values() for _, row in rows if row.kind == CONTROL and row.payload]
    parts = [key.split("/") for key in keys if key.startswith("rebaseline/")]
    return {(model, version) for _, model, version, subject in parts if subject == "error"}


def _errors(placed: Rows) -> dict[Version, list[tuple[int, Row]]]:
    found: dict[Version, list[tuple[int, Row]]] = defaultdict(list)
    for rows in placed.values():
        for task, row in rows:
            if row.kind == OUTCOME and row.refers_to == -1 and row.model != SENTINEL:
                found[row.model, row.version, row.variant].append((task, row))
    return found


def _alarms(
    rows: Sequence[tuple[int, Row]], topics: Topics, parameters: Mapping[str, Any]
) -> Iterator[tuple[str, int, int]]:
    """Where the records are that made the outcomes at which river raises an alarm: the label, and the prediction, which
    may have come after its label."""
    detector = drift.PageHinkley(**parameters)
    for task, row in rows:
        if isinstance(row.label, str) or row.model != "demand":
            value = float(row.prediction != row.label)
        else:
            value = abs(float(row.prediction or 0) - float(row.label or 0))
        detector.update(value)
        if detector.drift_detected:
            yield topics["labels"], task, row.label_offset
            yield topics["predictions"], task, row.prediction_offset
