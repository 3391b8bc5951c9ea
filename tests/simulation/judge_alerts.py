"""What must hold of alerts at the end of a history: which are muted, and where the detectors' alarms come from."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from river import drift

from streams.records import TopicPartition
from tests.integration.checkers import Published, milliseconds
from tests.integration.row_checks import Copied
from tests.integration.rows import CONTROL, OUTCOME, Row
from tests.integration.traffic import SENTINEL
from tests.simulation.application import PAGE_HINKLEY, TOPICS
from tests.simulation.watch import Watch

Version = tuple[str | None, str | None, str | None]
"""Model, version and variant."""


def silences_mute(watch: Watch, alerts: list[Published]) -> int:
    """`muted_by` names a silence or announced event that is in force and matches; where one is, and has been so since
    before the tick at which the alert was raised, there is one."""
    compared = 0
    orders = next(iter(watch.copied.values()), [])
    for record in alerts:
        event = record.event()
        clock = milliseconds(record.headers["ce_time"])
        muted_by = event.get("muted_by")
        if muted_by is not None:
            compared += 1
            said = [each for each in orders if each.key == muted_by and each.value is not None]
            assert any(_mutes(each, event, clock) for each in said), f"muted by {muted_by}, which does not: {event}"
        elif any(_surely_mutes(copies, event, clock) for copies in watch.copied.values()):
            raise AssertionError(f"not muted, though one of {list(orders)} matches: {event}")
    return compared


def _surely_mutes(copies: list[Copied], event: Mapping[str, Any], clock: int) -> bool:
    """Whether a mute that was said only once was there before this clock: then the partition does not matter, as long
    as it was there in each."""
    once = [each for each in copies if sum(other.key == each.key for other in copies) == 1]
    return any(
        each.clock is not None and each.clock < clock and _mutes(each, event, clock)
        for each in once
        if each.value is not None
    )


def _mutes(copied: Copied, event: Mapping[str, Any], clock: int) -> bool:
    assert copied.value is not None
    body = json.loads(copied.value)
    if copied.key.startswith("silence/"):
        matches = all(event[name] == value for name, value in body["matchers"].items())
        return matches and bool(body["starts_at"] <= clock < body["ends_at"])
    return copied.key.startswith("calendar/") and bool(body["mute"]) and bool(body["at"] <= clock < body["until"])


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
