"""The survival test's own instruments, tested without a Kafka: an oracle that is wrong would prove nothing."""

from __future__ import annotations

import copy
import functools
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration import checkers, oracle
from tests.integration.traffic import (
    GRACE,
    HORIZON,
    HOUR,
    MINUTE,
    SPAN,
    Bad,
    Label,
    Logged,
    Prediction,
    Record,
    Tombstone,
    Traffic,
    rfc3339,
)

START = 1_790_000_000_000 // HOUR * HOUR
SIZES = (HOUR,)
PARTITIONS = 4


def logged(records: list[Record]) -> list[Logged]:
    """The records as a log would place them."""
    ends = {(topic, partition): 0 for topic in ("predictions", "labels") for partition in range(PARTITIONS)}
    found: list[Logged] = []
    for record in records:
        partition = zlib.crc32(record.key) % PARTITIONS
        found.append(Logged(record, partition, ends[record.topic, partition]))
        ends[record.topic, partition] += 1
    return found


@functools.cache
def everything(requests: int = 1_000) -> oracle.Expected:
    traffic = Traffic(1, requests, START)
    return oracle.expect(logged(traffic.records() + traffic.sentinels()), SIZES)


def honest(expected: oracle.Expected) -> list[dict[str, Any]]:
    """The events that a faultless pipeline would have published last."""
    events = []
    for number, (window, figures) in enumerate(expected.windows.items()):
        values = expected.values[window]
        events.append(event(window, number, figures.counts, {name: {"value": v.value} for name, v in values.items()}))
    for number, (model, count) in enumerate(expected.unmet_labels.items()):
        scope = oracle.Scope(model, None, None, None)
        counts = dict.fromkeys(oracle.COUNTS, 0) | {"orphan_labels": count}
        events.append(event(oracle.Window(scope, None, None), -1 - number, counts, {}))
    return events


def event(window: oracle.Window, number: int, counts: dict[str, int], metrics: dict[str, Any]) -> dict[str, Any]:
    scope, cumulative = window.scope, window.start is None
    shape: dict[str, Any] = {"kind": "cumulative"}
    if window.start is not None:
        shape = {"kind": "tumbling", "size_ms": window.size, "start": rfc3339(window.start)}
    return {
        "event_id": str(number),
        "model": scope.model,
        "version": scope.version,
        "variant": scope.variant,
        "segment": dict([scope.segment]) if scope.segment else {},
        "window": shape,
        "revision": 1,
        "state": "open" if cumulative else "final",
        "counts": dict(counts),
        "metrics": copy.deepcopy(metrics),
    }


def prediction(key: str = "k", at: int = START, **more: Any) -> Record:
    body = {"version": "1", "variant": None, "prediction": "1", "score": 0.75, "weight": 1.0, "region": None}
    meaning = Prediction(label_key=key, prediction_id=key, model="fraud", timestamp=at, **(body | more))
    return Record("predictions", key.encode(), b"", at, meaning)


def label(value: str | None, at: int, key: str = "k", model: str | None = None) -> Record:
    return Record("labels", key.encode(), b"", at, Label(key, model, at, value, None))


def counts_of(*records: Record) -> dict[str, int]:
    expected = oracle.expect(logged(list(records)), SIZES)
    whole = oracle.Window(oracle.Scope("fraud", "1", None, None), None, None)
    return {name: count for name, count in expected.windows[whole].counts.items() if count}


def test_traffic_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    assert Traffic(5, 200, START).records() == Traffic(5, 200, START).records()
    assert Traffic(5, 200, START).records() != Traffic(6, 200, START).records()


def test_traffic_holds_every_kind_of_trouble_the_join_rules_speak_of() -> None:
    records = Traffic(1, 2_000, START).records()
    codes = {record.meaning.code for record in records if isinstance(record.meaning, Bad)}
    assert codes == {
        "invalid_json",
        "invalid_utf8",
        "missing_field",
        "invalid_type",
        "out_of_range",
        "future_timestamp",
    }
    assert any(isinstance(record.meaning, Tombstone) for record in records)
    expected = everything()
    totals = {name: sum(figures.counts[name] for figures in expected.windows.values()) for name in oracle.COUNTS}
    assert min(totals.values()) > 30, totals
    assert {oracle.UNKNOWN, "grade"} <= set(expected.unmet_labels)
    assert {window.scope.model for window in expected.windows} == {"fraud", "churn", "grade", "demand"}


def test_nothing_in_traffic_is_later_than_grace_so_that_the_outcomes_are_a_function_of_the_topics() -> None:
    times = [record.timestamp for record in Traffic(1, 2_000, START).records()]
    assert max(times) - min(times) < SPAN + 2 * HORIZON + 20 * MINUTE < GRACE


def test_a_label_counts_up_to_the_edge_of_the_horizon_and_not_a_millisecond_further() -> None:
    assert counts_of(prediction(), label("1", START + HORIZON)) == {"predictions": 1, "outcomes": 1}
    assert counts_of(prediction(), label("1", START + HORIZON + 1)) == {
        "predictions": 1,
        "unlabelled": 1,
        "late_labels": 1,
    }


def test_corrections_duplicates_and_withdrawals_are_counted_and_the_last_label_stands() -> None:
    records = [prediction(), *(label(value, START + i) for i, value in enumerate(["1", "1", "0", None, "1"]))]
    assert counts_of(*records) == {
        "predictions": 1,
        "outcomes": 1,
        "duplicate_labels": 1,
        "corrected_labels": 1,
        "withdrawn_labels": 1,
    }


def test_the_first_record_of_a_prediction_wins() -> None:
    records = [prediction(), prediction(at=START + 5, prediction="0"), label("1", START + 9)]
    expected = oracle.expect(logged(records), SIZES)
    rows = expected.windows[oracle.Window(oracle.Scope("fraud", "1", None, None), None, None)].rows
    assert [row.prediction.prediction for row in rows] == ["1"]


def test_a_label_that_names_another_model_meets_nobody() -> None:
    expected = oracle.expect(logged([prediction(), label("1", START, model="churn")]), SIZES)
    assert expected.unmet_labels == {"churn": 1}


def test_what_a_faultless_pipeline_publishes_passes_every_check() -> None:
    expected = everything()
    events = honest(expected)
    problems, compared = checkers.differences(expected, events)
    assert problems == []
    assert checkers.no_revision_twice(events) == len(events)
    assert compared.windows > 80 and compared.values > 500


def _wrong_value(event: dict[str, Any]) -> None:
    event["metrics"]["accuracy"]["value"] += 1e-6


def _wrong_count(event: dict[str, Any]) -> None:
    event["counts"]["predictions"] += 1


def _lost_metric(event: dict[str, Any]) -> None:
    del event["metrics"]["accuracy"]


def _never_final(event: dict[str, Any]) -> None:
    event["state"] = "closed"


def _of_another_model(event: dict[str, Any]) -> None:
    event["model"] = "nobody"


@pytest.mark.parametrize("harm", [_wrong_value, _wrong_count, _lost_metric, _never_final, _of_another_model])
def test_one_wrong_thing_in_one_event_is_found(harm: Callable[[dict[str, Any]], None]) -> None:
    expected = everything(requests=300)
    events = honest(expected)
    victim = next(e for e in events if e["window"]["kind"] == "tumbling" and "accuracy" in e["metrics"])
    harm(victim)
    assert checkers.differences(expected, events)[0]


def test_a_missing_event_and_a_repeated_one_are_found() -> None:
    expected = everything(requests=300)
    events = honest(expected)
    assert checkers.differences(expected, events[1:])[0]
    with pytest.raises(AssertionError, match="more than once"):
        checkers.no_revision_twice([*events, events[0]])
    with pytest.raises(AssertionError, match="revisions of"):
        checkers.no_revision_twice([*events, events[0] | {"event_id": "another"}])


def test_dead_letters_must_be_one_for_each_bad_record_with_its_code() -> None:
    expected, names = everything(requests=300), {"predictions": "predictions", "labels": "labels"}
    letters = [
        checkers.Published(0, i, None, json.dumps(dead_letter(place, code)).encode(), {})
        for i, (place, code) in enumerate(expected.dead_letters.items())
    ]
    assert checkers.dead_letters_differ(expected, letters, names) == ([], len(letters))
    assert checkers.dead_letters_differ(expected, letters[1:], names)[0]
    assert checkers.dead_letters_differ(expected, [*letters, letters[0]], names)[0]


def dead_letter(place: tuple[str, int, int], code: str) -> dict[str, Any]:
    topic, partition, offset = place
    return {"error": {"code": code}, "source": {"topic": topic, "partition": partition, "offset": offset}}


def alert(sequence: int, status: str, episode: str = "e1", **more: Any) -> dict[str, Any]:
    about = {"alert_id": "a1", "rule": "r", "model": "fraud", "version": "1", "variant": None, "kind": "threshold"}
    resolution = "recovered" if status == "resolved" else None
    return about | {"episode_id": episode, "sequence": sequence, "status": status, "resolution": resolution} | more


def test_an_alert_that_goes_its_way_is_legal_and_fires_once_an_episode() -> None:
    way = [alert(1, "pending"), alert(2, "firing"), alert(3, "firing"), alert(4, "resolved"), alert(5, "firing", "e2")]
    assert checkers.alerts_legal(way) == {"threshold": 2}
    assert checkers.firing(way, "r") == {oracle.Scope("fraud", "1", None, None)}
    assert checkers.firing(way[:4], "r") == set()


@pytest.mark.parametrize(
    "way",
    [
        [alert(2, "firing")],
        [alert(1, "firing"), alert(3, "resolved")],
        [alert(1, "firing"), alert(1, "firing")],
        [alert(1, "resolved")],
        [alert(1, "firing"), alert(2, "pending")],
        [alert(1, "firing"), alert(2, "firing", "e2")],
        [alert(1, "firing"), alert(2, "resolved"), alert(3, "firing")],
        [alert(1, "firing", resolution="recovered")],
    ],
    ids=["begins late", "a gap", "twice", "begins at its end", "back to pending", "two at once", "after its end",
         "resolved, but firing"],
)  # fmt: skip
def test_an_alert_that_does_not_is_found(way: list[dict[str, Any]]) -> None:
    with pytest.raises(AssertionError):
        checkers.alerts_legal(way)


def test_a_threshold_is_judged_by_the_last_window_with_enough_outcomes() -> None:
    records: list[Record] = []
    for hour, truth in enumerate(("0", "1", "0")):
        for i in range(4 if hour < 2 else 2):
            at = START + hour * HOUR + i * MINUTE
            key = f"{hour}-{i}"
            records += [prediction(key=key, at=at), label(truth, at, key=key)]
    expected = oracle.expect(logged(records), SIZES)
    scope = oracle.Scope("fraud", "1", None, None)
    assert oracle.below(expected, "accuracy", 0.6, HOUR, min_count=3) == set()
    assert oracle.below(expected, "accuracy", 0.6, HOUR, min_count=2) == {scope}
