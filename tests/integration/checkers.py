"""Checks of what was published, outside the code under test: plain events in, what was compared out.

`AssertionError` names the first differences. Every check says how many things it compared, so that a test can
assert that there were many.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.integration.oracle import UNKNOWN, Expected, Figures, Scope, Value, Window
from tests.integration.traffic import SENTINEL

TOLERANCE = 1e-9
METRIC = "io.streamgauge.metric.v1"


@dataclass(frozen=True, slots=True)
class Published:
    """A record of an output topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str]

    def event(self) -> dict[str, Any]:
        """Its JSON."""
        assert self.value is not None
        found: dict[str, Any] = json.loads(self.value)
        return found


@dataclass(frozen=True, slots=True)
class Compared:
    """How many things were compared; `totals` sums each count over the cumulative windows of whole models."""

    windows: int
    values: int
    counts: int
    totals: Mapping[str, int]


def metric_events(records: Iterable[Published]) -> list[dict[str, Any]]:
    """The metric events among the records of the metrics topic, which holds monitor events too."""
    return [record.event() for record in records if record.headers.get("ce_type") == METRIC]


def nothing_after_final(metrics: Iterable[dict[str, Any]]) -> int:
    """No event of a tumbling window follows the one that says it is final. Returns how many windows are."""
    final: set[Window] = set()
    for event in metrics:
        window = window_of(event)
        if window is None or window.start is None:
            continue
        assert window not in final, f"{window}: revision {event['revision']} after it was final"
        if event["state"] == "final":
            final.add(window)
    return len(final)


def window_of(event: Mapping[str, Any]) -> Window | None:
    """The window an event is about; None for a rolling one, which has no batch oracle over the inputs."""
    window = event["window"]
    segment = next(iter(event["segment"].items()), None)
    scope = Scope(event["model"], event["version"], event["variant"], segment)
    if window["kind"] == "tumbling":
        return Window(scope, window["size_ms"], milliseconds(window["start"]))
    return Window(scope, None, None) if window["kind"] == "cumulative" else None


def milliseconds(text: str) -> int:
    """RFC 3339 text as epoch milliseconds."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def no_id_twice(records: Sequence[Published]) -> int:
    """No CloudEvents id twice on a topic."""
    _once("ce_id", [record.headers["ce_id"] for record in records])
    return len(records)


def no_revision_twice(events: Sequence[Mapping[str, Any]]) -> int:
    """No event_id twice; a window's revisions are 1, 2, 3, … without a gap."""
    _once("event_id", [event["event_id"] for event in events])
    revisions: dict[str, list[int]] = {}
    for event in events:
        name = json.dumps([event[part] for part in ("model", "version", "variant", "segment", "window")])
        revisions.setdefault(name, []).append(event["revision"])
    for name, found in revisions.items():
        assert sorted(found) == list(range(1, len(found) + 1)), f"revisions of {name}: {sorted(found)}"
    return len(events)


NEXT = {
    None: {"pending", "firing"},
    "pending": {"firing", "resolved"},
    "firing": {"firing", "resolved"},
    "resolved": set(),
}
"""What an episode may say after what it said last (contract: alert event)."""


def alerts_legal(events: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Each alert's sequence is 1, 2, 3, … in the order of the topic, one open episode at a time, and every episode
    goes the way that alerts go. Returns how many first firings there were, by kind."""
    last: dict[str, Mapping[str, Any]] = {}
    firings: Counter[str] = Counter()
    for event in events:
        before = last.get(event["alert_id"])
        name = f"{event['rule']} of {event['model']}/{event['version']}/{event['variant']}"
        sequence = 0 if before is None else before["sequence"]
        assert event["sequence"] == sequence + 1, f"{name}: {event['sequence']} after {sequence}"
        same = before is not None and before["episode_id"] == event["episode_id"]
        status = before["status"] if before is not None and same else None
        assert same or before is None or before["status"] == "resolved", f"{name}: an episode inside another"
        assert event["status"] in NEXT[status], f"{name}: {event['status']} after {status}"
        assert (event["resolution"] is not None) == (event["status"] == "resolved"), f"{name}: {event}"
        if event["status"] == "firing" and status != "firing":
            firings[event["kind"]] += 1
        last[event["alert_id"]] = event
    return firings


def firing(events: Iterable[Mapping[str, Any]], rule: str) -> set[Scope]:
    """About which whole models an alert of the rule is firing at the end of these events."""
    last = {event["alert_id"]: event for event in events if event["rule"] == rule}
    return {
        Scope(event["model"], event["version"], event["variant"], None)
        for event in last.values()
        if event["status"] == "firing"
    }


def _once(what: str, values: Sequence[str]) -> None:
    twice = [value for value, times in Counter(values).items() if times > 1]
    assert not twice, f"{len(twice)} {what} more than once, such as {twice[0]}"


def latest(events: Iterable[Mapping[str, Any]]) -> dict[Window, Mapping[str, Any]]:
    """The highest revision of each tumbling and cumulative window."""
    found: dict[Window, Mapping[str, Any]] = {}
    for event in events:
        window = window_of(event)
        if window is None or window.scope.model == SENTINEL:
            continue
        if window not in found or event["revision"] > found[window]["revision"]:
            found[window] = event
    return found


def differences(expected: Expected, events: Iterable[Mapping[str, Any]]) -> tuple[list[str], Compared]:
    """What differs between the highest revisions and the oracle, in words; empty where all is as it must be."""
    found = {window: event for window, event in latest(events).items() if not _of_counts_alone(window, event)}
    problems = [f"{window}: no event" for window in expected.windows if window not in found]
    problems += [f"{window}: an event, and nothing was sent" for window in found if window not in expected.windows]
    values = counts = 0
    totals: Counter[str] = Counter()
    for window, figures in expected.windows.items():
        if window in found:
            if window.start is None and window.scope.segment is None:
                totals.update(figures.counts)
            said = found[window]
            wanted = expected.values.get(window, {})
            values, counts = values + len(wanted), counts + len(figures.counts)
            problems += _values_differ(window, wanted, said) + _counts_differ(window, figures, said)
            if window.start is not None and said["state"] != "final":
                problems.append(f"{window}: {said['state']}, not final")
    problems += _unmet_differ(expected, events)
    return problems, Compared(len(found), values, counts, totals)


def _of_counts_alone(window: Window, event: Mapping[str, Any]) -> bool:
    """Labels that met no prediction are counted in cumulative events that are about no prediction at all."""
    return window.start is None and event["counts"]["predictions"] == 0


def _counts_differ(window: Window, figures: Figures, said: Mapping[str, Any]) -> list[str]:
    return [
        f"{window}: {name} is {said['counts'].get(name)}, must be {count}"
        for name, count in figures.counts.items()
        if said["counts"].get(name) != count
    ]


def _values_differ(window: Window, wanted: Mapping[str, Value], said: Mapping[str, Any]) -> list[str]:
    problems: list[str] = []
    for name, value in wanted.items():
        metric = said["metrics"].get(name)
        if metric is None:
            problems.append(f"{window}: no {name}")
        elif not equal(value, metric):
            problems.append(f"{window}: {name} is {metric}, must be {value}")
    return problems


def equal(wanted: Value, said: Mapping[str, Any]) -> bool:
    """Within 1e-9 of the terms' mean magnitude; or inside the bound where the event gives one."""
    if wanted.value is None or said["value"] is None:
        return wanted.value is None and said["value"] is None
    if "bound" in said and said["bound"] is not None:
        low, high = said["bound"]
        return bool(low - TOLERANCE <= wanted.value <= high + TOLERANCE and high - low <= 0.002)
    return bool(abs(wanted.value - said["value"]) <= TOLERANCE * wanted.magnitude)


def _unmet_differ(expected: Expected, events: Iterable[Mapping[str, Any]]) -> list[str]:
    """Labels that met no prediction: lost or orphan, exact as a sum, in the cumulative events of the whole model."""
    met: Counter[str] = Counter()
    for window, event in latest(events).items():
        if window.start is None and window.scope.segment is None:
            counts = event["counts"]
            met[window.scope.model] += counts.get("orphan_labels", 0) + counts.get("lost_labels", 0)
    return [
        f"{model}: {met[model]} labels met no prediction, must be {count}"
        for model, count in ({UNKNOWN: 0} | expected.unmet_labels).items()
        if met[model] != count
    ]


def dead_letters_differ(
    expected: Expected, records: Iterable[Published], topics: Mapping[str, str]
) -> tuple[list[str], int]:
    """One dead letter for each bad record, with its code, and none for any other. `topics` names the input topics."""
    wanted = {(topics[topic], *place): code for (topic, *place), code in expected.dead_letters.items()}
    found: Counter[tuple[str, int, int]] = Counter()
    problems: list[str] = []
    for record in records:
        event = record.event()
        place = (event["source"]["topic"], event["source"]["partition"], event["source"]["offset"])
        found[place] += 1
        if wanted.get(place) != event["error"]["code"]:
            problems.append(f"{place}: dead letter {event['error']}, must be {wanted.get(place)}")
    problems += [
        f"{place}: {found[place]} dead letters ({code})" for place, code in wanted.items() if found[place] != 1
    ]
    return problems, len(wanted)
