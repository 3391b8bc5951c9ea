"""What must hold of alerts at the end of a history: where the detectors' alarms come from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from river import drift

from streams.records import TopicPartition
from tests.integration.checkers import Published
from tests.integration.rows import CONTROL, OUTCOME, Row
from tests.integration.traffic import SENTINEL
from tests.simulation.application import PAGE_HINKLEY, TOPICS
from tests.simulation.watch import Watch

Version = tuple[str | None, str | None, str | None]
"""Model, version and variant."""


def alarms_are_rivers(watch: Watch, alerts: list[Published]) -> int:
    """The first drift of an error is said of an outcome at which river's Page-Hinkley raises an alarm, fed with the
    first outcome of each prediction in the order of the topic. Where the error was re-baselined, detectors start anew
    at a row that the topic alone does not tell: those versions are left out."""
    left_out = _rebaselined(watch)
    causes = {version: list(_alarms(rows)) for version, rows in _errors(watch).items()}
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


def _rebaselined(watch: Watch) -> set[tuple[str, str]]:
    """Model and version of requests to take the error anew."""
    keys = [
        row.payload["key"] for placed in watch.rows.values() for _, row in placed if row.kind == CONTROL and row.payload
    ]
    parts = [key.split("/") for key in keys if key.startswith("rebaseline/")]
    return {(model, version) for _, model, version, subject in parts if subject == "error"}


def _errors(watch: Watch) -> dict[Version, list[tuple[int, Row]]]:
    found: dict[Version, list[tuple[int, Row]]] = defaultdict(list)
    rows: dict[TopicPartition, list[tuple[int, Row]]] = watch.rows
    for placed in rows.values():
        for task, row in placed:
            if row.kind == OUTCOME and row.refers_to == -1 and row.model != SENTINEL:
                found[row.model, row.version, row.variant].append((task, row))
    return found


def _alarms(rows: list[tuple[int, Row]]) -> Iterator[tuple[str, int, int]]:
    """Where the records are that made the outcomes at which river raises an alarm: the label, and the prediction, which
    may have come after its label."""
    detector = drift.PageHinkley(**PAGE_HINKLEY)
    for task, row in rows:
        if isinstance(row.label, str) or row.model != "demand":
            value = float(row.prediction != row.label)
        else:
            value = abs(float(row.prediction or 0) - float(row.label or 0))
        detector.update(value)
        if detector.drift_detected:
            yield TOPICS["labels"], task, row.label_offset
            yield TOPICS["predictions"], task, row.prediction_offset
