"""The gauge task as a fold: the same bytes for any cut, from any snapshot; figures equal scikit-learn's."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from schemas import AlertEvent, Config, MetricEvent, MonitorEvent
from streams.gauge import GaugeSettings, GaugeTask
from streams.outcomes import Kind, Rows, Tick, concatenate, decode, encode
from streams.records import OutputRecord

sys.path.insert(0, str(Path(__file__).parent))
from gauge_traffic import CODE, START, STRINGS, Traffic, batch

SETTINGS = GaugeSettings.from_config(Config())


def _run(messages: list[bytes], cuts: list[int] | None = None) -> list[OutputRecord]:
    task = GaugeTask(SETTINGS, 0)
    made: list[OutputRecord] = []
    bounds = [0, *(cuts or []), len(messages)]
    for start, stop in pairwise(bounds):
        made += task.apply(batch(messages[start:stop], start)).outputs
    return made


def _newest(outputs: list[OutputRecord]) -> dict[str, dict[str, Any]]:
    """The metric event of the highest revision of every window."""
    newest: dict[str, dict[str, Any]] = {}
    for record in outputs:
        if dict(record.headers)["ce_type"] == b"io.streamgauge.metric.v1":
            event = orjson.loads(record.value or b"")
            window = orjson.dumps([event[k] for k in ("model", "version", "variant", "segment", "window")]).decode()
            assert window not in newest or newest[window]["revision"] + 1 == event["revision"]
            newest[window] = event
    return newest


@pytest.fixture(scope="module")
def messages() -> list[bytes]:
    return Traffic(seed=1).messages(60)


@settings(derandomize=True, deadline=None, max_examples=10)
@given(st.lists(st.integers(0, 120), max_size=10))
def test_any_cut_of_the_log_publishes_the_same_bytes(cuts: list[int]) -> None:
    messages = Traffic(seed=2).messages(60)
    assert _run(messages, sorted(cuts)) == _run(messages)


@settings(derandomize=True, deadline=None, max_examples=10)
@given(st.integers(0, 120), st.integers(0, 40))
def test_a_task_restored_from_any_snapshot_publishes_the_same_bytes(at: int, earlier: int) -> None:
    messages = Traffic(seed=3, shift_after=1800).messages(60)
    whole = _run(messages)
    first = GaugeTask(SETTINGS, 0)
    records: list[OutputRecord] = []
    made = first.apply(batch(messages[: max(0, at - earlier)], 0)).outputs
    records += first.snapshot(max(0, at - earlier))
    made += first.apply(batch(messages[max(0, at - earlier) : at], 0)).outputs
    records += first.snapshot(at)
    second = GaugeTask(SETTINGS, 0)
    assert second.restore((record.key, record.value) for record in records) == at
    assert made + second.apply(batch(messages[at:], at)).outputs == whole


def test_silent_replay_after_an_older_snapshot_goes_on_with_the_same_bytes(messages: list[bytes]) -> None:
    whole = _run(messages)
    first = GaugeTask(SETTINGS, 0)
    first.apply(batch(messages[:50], 0))
    cut = first.snapshot(50)
    second = GaugeTask(SETTINGS, 0)
    assert second.restore((record.key, record.value) for record in cut) == 50
    second.apply(batch(messages[50:70], 50))
    rest = second.apply(batch(messages[70:], 70)).outputs
    assert whole[len(whole) - len(rest) :] == rest


def test_every_event_is_one_of_the_contract(messages: list[bytes]) -> None:
    outputs = _run(Traffic(seed=4, shift_after=2000).messages(80))
    models = {b"metric": MetricEvent, b"alert": AlertEvent, b"monitor": MonitorEvent}
    seen = set()
    for record in outputs:
        kind = dict(record.headers)["ce_type"].split(b".")[2]
        models[kind].model_validate_json(record.value or b"")
        seen.add(kind)
    assert seen == set(models)


def test_no_event_has_the_id_of_another() -> None:
    ids = [dict(record.headers)["ce_id"] for record in _run(Traffic(seed=5, shift_after=2000).messages(80))]
    assert len(ids) == len(set(ids))


def test_cumulative_figures_equal_scikit_learns_on_the_same_rows(messages: list[bytes]) -> None:
    newest = _newest(_run([*messages, *_late_ticks(messages)]))
    rows = _surviving(messages)
    compared = 0
    for event in newest.values():
        if event["window"]["kind"] != "cumulative":
            continue
        mine = [
            row
            for row in rows
            if row["model"] == event["model"] and event["segment"] in ({}, {"region": row["region"]})
        ]
        label = [row["label"] for row in mine]
        figures = event["metrics"]
        assert event["counts"]["outcomes"] == len(mine)
        assert figures["accuracy"]["value"] == pytest.approx(
            accuracy_score(label, [row["prediction"] for row in mine]), abs=1e-12
        )
        assert figures["roc_auc"]["value"] == pytest.approx(
            roc_auc_score(label, [row["score"] for row in mine]), abs=1e-12
        )
        assert figures["log_loss"]["value"] == pytest.approx(
            log_loss(label, [row["score"] for row in mine], labels=[0, 1]), abs=1e-12
        )
        compared += 1
    assert compared == 6  # two models: whole, eu, us


def _late_ticks(messages: list[bytes]) -> list[bytes]:
    """Ticks only, until the clock has moved on far enough for everything to be emitted."""
    traffic = Traffic(seed=0)
    traffic.clock = START + 10 * 60 * 1000

    return [encode(traffic.tick(0), 0, 0) for _ in range(3)]


def _surviving(messages: list[bytes]) -> list[dict[str, Any]]:
    alive: dict[int, dict[str, Any]] = {}
    for data in messages:
        rows = decode(data).rows
        for i in range(len(rows)):
            if rows.kind[i] == Kind.RETRACTED:
                del alive[int(rows.refers_to[i])]
            elif rows.kind[i] == Kind.OUTCOME:
                alive[int(rows.number[i])] = {
                    "model": rows.strings[rows.model[i]],
                    "region": rows.strings[rows.segments[0, i]] if rows.segments[0, i] >= 0 else None,
                    "label": rows.label[i],
                    "prediction": rows.prediction[i],
                    "score": rows.score[i],
                }
    return list(alive.values())


def test_a_planted_change_fires_with_the_record_that_tipped_it_and_the_feature_first_among_suspects() -> None:
    shift = 12_000
    outputs = _run(Traffic(seed=6, shift_after=shift).messages(300))
    alerts = [
        orjson.loads(record.value or b"")
        for record in outputs
        if dict(record.headers)["ce_type"] == b"io.streamgauge.alert.v1"
    ]
    errors = [alert for alert in alerts if alert["subject"] == "error" and alert["status"] == "firing"]
    assert {alert["model"] for alert in errors} == {"fraud", "churn"}
    for alert in errors:
        assert alert["cause"]["topic"] == "labels"
        assert shift <= alert["cause"]["offset"] - 1_000_000 < shift + 1500
        assert alert["suspects"][0]["feature"] == "amount"
        assert alert["severity"] == "critical"
        assert "error rate rose" in alert["summary"]
    assert all(np.int64(alert["cause"]["offset"]) % 1_000_000 >= shift for alert in alerts if alert["cause"])


def _slowly_labelled() -> list[bytes]:
    """Six hours of predictions, most of them labelled hours later, then quiet: one tick every five seconds."""
    traffic, random = Traffic(seed=1), np.random.default_rng(0)
    messages: list[bytes] = []
    waiting: list[Rows] = []

    def tick(clock: int) -> Rows:
        rows = Rows.blank(1, STRINGS, ("region",))
        rows.kind[:] = Kind.TICK
        rows.payloads = {0: msgspec.json.encode(Tick(0, 1, clock - 60_000, False, True, clock))}
        return rows

    clock = START
    for i in range(360):
        predicted = traffic.predicted(4)
        predicted.timestamp = START + i * 60_000 + np.arange(4) * 1000
        predicted.model[:] = CODE["fraud"]
        outcomes = traffic.outcomes(predicted)
        outcomes.label_timestamp = outcomes.timestamp + random.exponential(3_600_000, 4).astype(np.int64)
        waiting += [outcomes.take(np.array([k])) for k in range(4) if random.random() < 0.8]
        clock += 60_000
        come = [row for row in waiting if row.label_timestamp[0] <= clock]
        waiting = [row for row in waiting if row.label_timestamp[0] > clock]
        messages.append(encode(concatenate([predicted, *come, tick(clock)]), 0, i))
    for i in range(1300):
        clock += 5_000
        messages.append(encode(tick(clock), 0, i))
    return messages


def test_a_cut_made_in_a_long_quiet_loses_nothing_that_time_alone_decides() -> None:
    windows = {"tumbling": ["1h"], "rolling": [], "cumulative": False}
    settings = GaugeSettings.from_config(Config.model_validate({"defaults": {"windows": windows, "detectors": []}}))
    messages = _slowly_labelled()
    task = GaugeTask(settings, 0)
    newest: dict[bytes | None, bytes | None] = {}
    cuts: list[tuple[int, dict[bytes | None, bytes | None]]] = []
    published = []
    for i, message in enumerate(messages):
        published.append(task.apply(batch([message], i)).outputs)
        if task.snapshot_due():
            newest |= {record.key: record.value for record in task.snapshot(i + 1)}
            cuts.append((i + 1, dict(newest)))
    late = [i for i, outputs in enumerate(published) if outputs and i > 500]
    assert late, "nothing is decided in the quiet: this shows nothing"
    compared = 0
    for start, records in cuts:
        if any(start < at <= start + 60 for at in late):
            restored = GaugeTask(settings, 0)
            assert restored.restore(records.items()) == start
            made = [restored.apply(batch([messages[i]], i)).outputs for i in range(start, len(messages))]
            assert made == published[start:]
            compared += 1
    assert compared > 3


def _restarted(before: dict[str, Any], after: dict[str, Any], rounds: int = 60) -> list[dict[str, Any]]:
    """The metric events of a task that was restarted with another configuration, from after the restart."""
    messages = Traffic(seed=8).messages(2 * rounds)
    first = GaugeTask(GaugeSettings.from_config(Config.model_validate({"defaults": before})), 0)
    first.apply(batch(messages[: 2 * rounds], 0))
    second = GaugeTask(GaugeSettings.from_config(Config.model_validate({"defaults": after})), 0)
    second.restore((record.key, record.value) for record in first.snapshot(2 * rounds))
    outputs = second.apply(batch(messages[2 * rounds :], 2 * rounds)).outputs
    values = [orjson.loads(record.value or b"") for record in outputs]
    return [value for value in values if "revision" in value and value["counts"]["outcomes"]] + [
        value for value in values if "detector" in value and value.get("subject") == "error"
    ]


@pytest.mark.parametrize("after", [{"windows": {"rolling": [500]}}, {"segments": []}, {"task": "binary"}])
def test_a_changed_configuration_keeps_what_was_decided(after: dict[str, Any]) -> None:
    events = _restarted({}, after)
    metrics = [event for event in events if "revision" in event]
    assert metrics
    assert all("accuracy" in event["metrics"] for event in metrics)


def test_a_task_configured_before_it_was_decided_is_watched_for_errors() -> None:
    events = _restarted({}, {"task": "binary"}, rounds=10)  # fewer than 1,000 outcomes
    assert any(event.get("subject") == "error" for event in events)


def test_more_segments_than_the_limit_are_told_of() -> None:
    settings = GaugeSettings.from_config(Config.model_validate({"limits": {"segments_per_key": 1}}))
    outputs = GaugeTask(settings, 0).apply(batch(Traffic(seed=1).messages(10), 0)).outputs
    alerts = [orjson.loads(record.value or b"") for record in outputs if record.topic == "alerts"]
    assert {alert["rule"] for alert in alerts} == {"limits/segments_per_key"}
    assert {alert["kind"] for alert in alerts} == {"data_quality"}
