"""Alerts about the pipeline itself: Kafka let nothing be committed for a while, a join task says nothing."""

from __future__ import annotations

import json

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import AlertEvent, Config
from streams.gauge import GaugeSettings, GaugeTask
from streams.gauge.absences import Absences
from streams.join import ControlTask, JoinSettings, JoinTask
from streams.outcomes import Kind, Rows, Tick, encode
from streams.records import Int64Array, Moment, OutputRecord, RecordBatch, TopicPartition

CONFIG = Config()
SETTINGS = GaugeSettings.from_config(CONFIG)
START = 1_790_000_000_000


def _message(at: int, stalled: int = 0, task: int = 0) -> bytes:
    rows = Rows.blank(1, [], ())
    rows.kind[0] = Kind.TICK
    rows.payloads[0] = msgspec.json.encode(Tick(task, 2, None, True, True, START + at, stalled))
    return encode(rows, task, at // 1000)


def _ticks(seconds: int, stalls: dict[int, int]) -> list[bytes]:
    """Both join tasks tick once a second; `stalls` says what they tell, in milliseconds, by second."""
    return [_message(1000 * at, stalls.get(at, 0), task) for at in range(seconds) for task in (0, 1)]


def _alerts(task: GaugeTask, messages: list[bytes]) -> list[OutputRecord]:
    numbers = range(len(messages))
    batch = RecordBatch(TopicPartition("outcomes", 0), *_columns(numbers), messages)
    return [each for each in task.apply(batch).outputs if each.topic == SETTINGS.alerts_topic]


def _columns(numbers: range) -> tuple[Int64Array, Int64Array]:
    return np.array(numbers, np.int64), np.array(numbers, np.int64)


def _said(records: list[OutputRecord]) -> list[tuple[str, str, str]]:
    events = [json.loads(record.value or b"") for record in records]
    return [(event["status"], event["kind"], event["rule"]) for event in events]


def test_one_alert_fires_after_a_stall_and_resolves_after_ten_quiet_minutes() -> None:
    made = _alerts(GaugeTask(SETTINGS, SETTINGS.nobodys_partition), _ticks(700, {5: 63_000}))
    assert _said(made) == [("firing", "pipeline", "kafka/commits"), ("resolved", "pipeline", "kafka/commits")]
    first = AlertEvent.model_validate_json(made[0].value or b"")
    assert (first.model, first.statistic) == ("__unknown__", 63_000)
    assert "63 s" in first.summary


def test_a_broker_that_comes_and_goes_is_one_episode() -> None:
    stalls = {5: 40_000, 200: 31_000, 700: 90_000}
    made = _alerts(GaugeTask(SETTINGS, SETTINGS.nobodys_partition), _ticks(1400, stalls))
    assert [status for status, *_ in _said(made)] == ["firing", "resolved"]


def test_of_all_partitions_one_tells_it() -> None:
    tellers = [
        partition
        for partition in range(CONFIG.outcomes_partitions)
        if _alerts(GaugeTask(SETTINGS, partition), _ticks(8, {5: 63_000}))
    ]
    assert tellers == [SETTINGS.nobodys_partition]


def _ticks_but(absent: dict[int, range], seconds: int) -> list[bytes]:
    """Both join tasks tick once a second, but not in the seconds in which they are absent."""
    return [
        _message(1000 * at, 0, task) for at in range(seconds) for task in (0, 1) if at not in absent.get(task, range(0))
    ]


def test_a_join_task_that_is_not_heard_for_ten_minutes_is_told_until_it_is_back() -> None:
    made = _alerts(GaugeTask(SETTINGS, SETTINGS.nobodys_partition), _ticks_but({1: range(20, 1300)}, 1400))
    assert _said(made) == [("firing", "pipeline", "join/1"), ("resolved", "pipeline", "join/1")]
    first = AlertEvent.model_validate_json(made[0].value or b"")
    assert (first.model, first.statistic) == ("__unknown__", 600)
    assert "join task 1 has said nothing for 10 min" in first.summary


def test_a_join_task_that_is_never_heard_is_told_too() -> None:
    made = _alerts(GaugeTask(SETTINGS, SETTINGS.nobodys_partition), _ticks_but({1: range(2000)}, 1400))
    assert _said(made) == [("firing", "pipeline", "join/1")]


def test_a_takeover_is_not_told() -> None:
    made = _alerts(GaugeTask(SETTINGS, SETTINGS.nobodys_partition), _ticks_but({1: range(20, 300)}, 600))
    assert _said(made) == []


def test_all_is_heard_while_every_task_ticked_within_the_last_minute() -> None:
    absences = Absences()
    complete = []
    for at in range(100):
        for task in (0, 1):
            if task == 0 or at < 10 or at > 90:
                absences.watch(Tick(task, 2, None, True, True, 1000 * at), 1000 * at)
        complete.append(absences.complete(1000 * at))
    assert [at for at, heard in enumerate(complete) if not heard] == list(range(69, 91))


@settings(derandomize=True, deadline=None, max_examples=10)
@given(st.integers(0, 2600))
def test_a_task_restored_anywhere_tells_the_same_absences(cut: int) -> None:
    ticks = _ticks_but({1: range(20, 1300)}, 1400)
    whole = _alerts(GaugeTask(SETTINGS, SETTINGS.nobodys_partition), ticks)
    task = GaugeTask(SETTINGS, SETTINGS.nobodys_partition)
    made = _alerts(task, ticks[:cut])
    restored = GaugeTask(SETTINGS, SETTINGS.nobodys_partition)
    restored.restore([(record.key, record.value) for record in task.snapshot(cut)])
    assert made + _alerts(restored, ticks[cut:]) == whole


@settings(derandomize=True, deadline=None, max_examples=10)
@given(st.integers(0, 1400))
def test_a_task_restored_anywhere_tells_the_same(cut: int) -> None:
    messages = _ticks(700, {5: 63_000})
    whole = _alerts(GaugeTask(SETTINGS, SETTINGS.nobodys_partition), messages)
    first, second = (GaugeTask(SETTINGS, SETTINGS.nobodys_partition) for _ in range(2))
    made = _alerts(first, messages[:cut])
    second.restore((record.key, record.value) for record in first.snapshot(cut))
    assert made + _alerts(second, messages[cut:]) == whole


def test_the_join_tasks_write_a_stall_into_their_ticks_for_every_partition() -> None:
    join = JoinSettings.from_config(CONFIG)
    moment = Moment(START, frozenset(), stalled=45_000)
    for task in (JoinTask(join, 0, 2), ControlTask(join, 1, 2)):
        sent = task.apply([], moment).outputs
        assert sorted(each.partition or 0 for each in sent) == list(range(CONFIG.outcomes_partitions))
        nobodys = [each.value for each in sent if each.partition == SETTINGS.nobodys_partition]
        made = _alerts(GaugeTask(SETTINGS, SETTINGS.nobodys_partition), [value for value in nobodys if value])
        assert _said(made) == [("firing", "pipeline", "kafka/commits")]
