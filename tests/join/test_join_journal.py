"""The journal: its floor, restoring, what is refused; the control topic's task; bounded tables."""

from __future__ import annotations

import dataclasses
import json

import msgspec
import numpy as np
import pytest
from join_world import (
    GRACE,
    HORIZON,
    LABELS,
    PREDICTIONS,
    World,
    batch_of,
    label,
    prediction,
    rows_of,
    settings,
)

from schemas import Config
from streams.join import ControlTask, JoinSettings, JoinTask, ModelJoin, texts
from streams.outcomes import Control, Tick
from streams.records import Moment, TopicPartition
from streams.state import StateError

HOLD = HORIZON + GRACE
CONTROL = TopicPartition("control", 0)
NOW = Moment(0, frozenset())


def test_commits_are_numbered_from_one_and_metadata_says_the_number_in_few_bytes() -> None:
    world = World.of()
    for step in range(3):
        world.read([prediction(str(step), 2**40)], [label(1, 2**40)])
    assert [step.commit for step in world.steps] == [1, 2, 3]
    assert [json.loads(step.metadata)["commit"] for step in world.steps] == [1, 2, 3]
    assert max(len(step.metadata) for step in world.steps) < 256


def test_the_floor_is_the_oldest_commit_that_holds_a_live_record() -> None:
    world = World.of()
    for at in (0, 100, 200, HOLD + 150, HOLD + 500):
        world.read([prediction(f"p{at}", at)], [label(1, at, f"l{at}")])
    assert [step.floor for step in world.steps] == [1, 1, 1, 3, 4]


def test_the_floor_is_the_commit_itself_where_nothing_is_held() -> None:
    world = World.of()
    for _ in range(3):
        world.read()
    assert [step.floor for step in world.steps] == [1, 2, 3]


def test_restoring_brings_back_labels_that_wait_and_outcomes_that_stand() -> None:
    world = World.of(segment_keys=("region",))
    world.read([prediction("a", 1, "cat", id="p", scores={"cat": 0.5}, segments={"region": "eu"})], [label(1, 2, "b")])
    world.read([prediction("c", 1)], [label("dog", 5, "a"), label(1, 2, "c", weight=2.0)])
    world.read([], [label(0, 9, "c")])
    again = world.restored(segment_keys=("region",))
    records = [prediction("b", 3, segments={"region": "us"}), prediction("a", 2, id="p")], [label("cow", 6, "a")]
    assert again.read(*records) == world.read(*records)
    assert again.task.held == world.task.held
    assert again.task.positions == {PREDICTIONS: 4, LABELS: 5}


def test_what_was_met_before_the_floor_is_not_forgotten() -> None:
    world = World.of()
    world.read([prediction(at=0)], [label(1, HORIZON)])
    world.read([prediction("j", HOLD + 1)], [label(1, HOLD + 1, "j")])
    again = world.restored()
    later = [prediction("i", 10 * HOLD)], [label(1, 10 * HOLD, "i")]
    assert not [row for row in again.read(*later) if row.kind == "orphan_labels"]


def test_without_metadata_the_journal_is_taken_at_its_word() -> None:
    world = World.of()
    world.read([prediction(at=0)], [label(1, 0)])
    world.read([prediction("j", HOLD + 1)], [label(1, HOLD + 1, "j")])
    task = JoinTask(settings(), 0, 2)
    task.restore([block for step in world.steps for block in step.journal], {PREDICTIONS: "", LABELS: ""})
    assert (task.positions, task.held) == ({PREDICTIONS: 2, LABELS: 2}, world.task.held)


def test_a_shorter_horizon_takes_force_at_the_restore_and_lets_go_aloud() -> None:
    world = World.of()
    world.read([prediction(at=0)], [label(1, 400, "j")])
    again = world.restored(default=ModelJoin(100, 100))
    rows = again.read([prediction("i", 500)], [label(1, 500, "i")])
    assert [row.kind for row in rows] == ["predicted", "outcome", "unlabelled"]


def test_segment_keys_may_change_between_restores() -> None:
    world = World.of(segment_keys=("region", "tier"))
    world.read([prediction(segments={"region": "eu", "tier": "a"})])
    (row,) = world.restored(segment_keys=("land", "tier")).read([], [label(1)])
    assert row.segments == {"land": None, "tier": "a"}


def _blocks(world: World) -> list[bytes]:
    return [block for step in world.steps for block in step.journal]


def _world() -> World:
    world = World.of()
    for at in range(4):
        world.read([prediction(str(at), at)], [label(1, at, str(at))])
    return world


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda blocks: blocks[:1] + blocks[2:], "missing"),
        (lambda blocks: blocks[:-1], "ends at 3"),
        (lambda blocks: [], "empty"),
        (lambda blocks: [*blocks[:2], blocks[2][:-1], blocks[3]], "checksum"),
        (lambda blocks: [*blocks[:3], blocks[3][:4] + b"\x00\x09" + blocks[3][6:]], "version 9"),
    ],
)
def test_a_journal_that_is_missing_damaged_or_newer_is_refused(spoil, says: str) -> None:  # type: ignore[no-untyped-def]
    world = _world()
    metadata = world.steps[-1].metadata
    with pytest.raises(StateError, match=says):
        JoinTask(settings(), 0, 2).restore(spoil(_blocks(world)), {PREDICTIONS: metadata, LABELS: metadata})


def test_the_journal_of_another_task_is_refused() -> None:
    with pytest.raises(StateError, match="not of 1 of 3"):
        JoinTask(settings(), 1, 3).restore(_blocks(_world()), {})


def test_a_large_commit_is_several_blocks_and_all_of_them_are_needed() -> None:
    world = World.of()
    world.read([prediction(f"{i:0200}", i % 100, version=f"v{i % 7}") for i in range(4_000)])
    assert len(world.steps[0].journal) > 2
    assert max(map(len, world.steps[0].journal)) <= 512 * 1024
    again = world.restored()
    said = [label(1, 0, f"{i:0200}") for i in range(0, 4_000, 97)]
    assert again.read([], said) == world.read([], said)
    with pytest.raises(StateError, match="cut off"):
        JoinTask(settings(), 0, 2).restore(world.steps[0].journal[:-1], {})


def test_the_table_of_texts_forgets_what_nothing_held_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    from streams.join import task

    monkeypatch.setattr(task, "MOST_TEXTS", 50)
    world = World.of()
    world.read([prediction("a", 0, "cat", scores={"cat": 0.25, "dog": 0.75}, version="2")], [label("dog", 0, "b")])
    for i in range(20):
        world.read([prediction(f"k{i}", 0, features={"user": f"u{i}"} | {f"f{i}-{j}": 1 for j in range(10)})])
    assert len(world.task._planner.strings) < 120
    (outcome,) = world.read([], [label("cow", 3, "a")])
    assert (outcome.prediction, outcome.label, outcome.version) == ("cat", "cow", "2")
    assert outcome.scores == {"cat": 0.25, "dog": 0.75}
    _, outcome = world.read([prediction("b", 1)])
    assert outcome.label == "dog"
    assert texts.MOST_TEXTS > 50


def test_memory_of_what_was_let_go_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from streams.join import held

    monkeypatch.setattr(held, "_GARBAGE", 10_000)
    world = World.of()
    kept = [prediction(f"kept-{i}", 30 * HOLD, id=f"{i}", scores={"a": 0.5}) for i in range(50)]
    world.read(kept)
    for step in range(25):
        keys, at = [f"{step}-{i:0100}" for i in range(100)], step * HOLD
        rows = world.read([prediction(key, at, id="p") for key in keys], [label(1, at, key) for key in keys])
        assert sum(row.kind == "outcome" for row in rows) == 100
    store = world.task._held.store
    assert len(store.predictions) <= 1_024 and len(store.keys) <= 1_024
    assert len(store.arena) <= 100_000  # all keys together were 255,000 bytes
    assert {world.task._held.key_of(row) for row in store.predictions["key"][:50]} == {
        f"kept-{i}".encode() for i in range(50)
    }
    rows = world.read([], [label(0, 30 * HOLD, f"kept-{i}") for i in range(50)])
    assert [(row.prediction_offset, row.scores) for row in rows] == [(i, {"a": 0.5}) for i in range(50)]


# -- the control topic ---------------------------------------------------------------------------------------------


def _control(task: ControlTask, keys: list[bytes | None], values: list[bytes | None], clock: int = 0):  # type: ignore[no-untyped-def]
    batch = dataclasses.replace(batch_of(CONTROL, 5, values), key=lambda i: keys[i])
    return task.apply([batch] if values else [], Moment(clock, frozenset({CONTROL})))


def test_control_records_are_copied_in_their_order_into_every_outcomes_partition() -> None:
    task = ControlTask(settings(), 1, 2)
    step = _control(task, [b"ack/a", b"ack/b"], [b'{"by": "me"}', None])
    for partition in range(3):
        rows = rows_of(each for each in step.outputs if each.partition == partition)
        assert [row.kind for row in rows] == ["control", "control", "tick"]
        assert [msgspec.json.decode(row.payload, type=Control) for row in rows[:2]] == [
            Control("ack/a", b'{"by": "me"}', 5),
            Control("ack/b", None, 6),
        ]
    numbers = [row.number for row in rows_of([*step.rows, step.ticks[0]])]
    assert numbers == list(range(7))


def test_the_control_tasks_ticks_never_hold_event_time_back() -> None:
    step = _control(ControlTask(settings(), 1, 2), [], [])
    tick = msgspec.json.decode(rows_of(step.outputs)[0].payload, type=Tick)
    assert (tick.idle, tick.watermark, tick.join_task, tick.join_tasks, tick.caught_up) == (True, None, 1, 2, True)


def test_a_control_record_whose_key_is_no_text_is_a_dead_letter() -> None:
    step = _control(ControlTask(settings(), 1, 2), [b"\xff", None, b"ack/b"], [b"{}", b"{}", b'{"by": "me"}'])
    letters = [json.loads(each.value or b"") for each in step.outputs if each.topic == "dead-letters"]
    assert [letter[2:] for letter in letters] == [[5, "invalid_utf8"], [6, "missing_field"]]
    assert step.counters["control"] == 1


def test_a_baseline_that_no_message_can_carry_is_a_dead_letter_and_its_neighbours_are_copied() -> None:
    values = {f"features.f{i}": {"values": [(1_000 * i + j) / 7 for j in range(1_000)]} for i in range(45)}
    large = json.dumps({"profile": values}).encode()
    assert len(large) < 1 << 20, "a topic with Kafka's defaults takes it"
    step = _control(ControlTask(settings(), 1, 2), [b"ack/a", b"baseline/m/1", b"ack/b"], [b"{}", large, b"{}"])
    letters = [json.loads(each.value or b"") for each in step.outputs if each.topic == "dead-letters"]
    assert [letter[2:] for letter in letters if letter[2] == 6] == [[6, "too_large"]]
    assert max(len(each.value or b"") for each in step.outputs) < 1_000_000


def test_a_control_record_that_says_nothing_we_know_is_a_dead_letter_and_not_copied() -> None:
    keys: list[bytes | None] = [b"silence/a", b"ack", b"mute/a", b"silence/b", b"mute/b"]
    values: list[bytes | None] = [
        b'{"matchers": {"modle": "m"}, "starts_at": 0, "ends_at": 1}',
        b"{}",
        b"{}",
        b"no",
        None,
    ]
    step = _control(ControlTask(settings(), 1, 2), keys, values)
    letters = [json.loads(each.value or b"") for each in step.outputs if each.topic == "dead-letters"]
    codes = ["out_of_range", "invalid_type", "invalid_type", "invalid_json", "invalid_type"]
    assert [letter[2:] for letter in letters] == [[5 + i, code] for i, code in enumerate(codes)]
    assert "control" not in step.counters


def test_a_restored_control_task_goes_on_numbering() -> None:
    task = ControlTask(settings(), 1, 2)
    first = _control(task, [b"ack/a"], [b'{"by": "me"}'])
    again = ControlTask(settings(), 1, 2)
    again.restore(first.journal, {CONTROL: first.metadata})
    assert again.positions == {CONTROL: 6}
    steps = [_control(each, [b"ack/c"], [b'{"by": "me"}'], 2_000) for each in (task, again)]
    assert rows_of(steps[0].outputs) == rows_of(steps[1].outputs)
    assert steps[1].commit == 2


# -- with the decoders of the room next door -----------------------------------------------------------------------


def test_a_configuration_builds_a_task_that_reads_the_contracts_events() -> None:
    config = Config.model_validate(
        {
            "defaults": {"join": {"horizon": "2h", "grace": "1h", "on_expiry": {"label": 0}}},
            "models": {"fraud": {"join": {"horizon": "1h"}}},
        }
    )
    built = JoinSettings.from_config(config)
    assert built.join_of("fraud") == ModelJoin(3_600_000, 3_600_000, 0.0)
    assert built.join_of("other") == ModelJoin(7_200_000, 3_600_000, 0.0)
    task = JoinTask(built, 0, 2)
    event = {"prediction_id": "7f3c", "model": "fraud", "timestamp": 1_000, "prediction": 1, "score": 0.93,
             "features": {"amount": 120.5, "country": "DE"}, "segments": {"region": "eu"}}  # fmt: skip
    said = {"prediction_id": "7f3c", "label": True, "timestamp": 2_000}
    sent = batch_of(PREDICTIONS, 0, [json.dumps(event).encode(), b"{"])
    step = task.apply([sent, batch_of(LABELS, 0, [json.dumps(said).encode()])], NOW)
    rows = [row for row in rows_of(step.outputs) if row.kind != "tick"]
    assert [row.kind for row in rows] == ["predicted", "outcome", "dead_letters"]
    assert (rows[1].label, rows[1].segments, rows[0].features) == (
        1,
        {"region": "eu"},
        {"amount": 120.5, "country": "DE"},
    )
    assert [each.topic for each in step.outputs if each.topic == "dead-letters"] == ["dead-letters"]
    assert np.isclose(rows[1].score, 0.93)
