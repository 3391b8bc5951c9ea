"""A join task holds no more, and commits no more at once, than it must, whatever it is sent."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from streams.decode import PredictionDecoder, Strings
from streams.records import RecordBatch, TopicPartition
from tests.join.join_world import GRACE, HORIZON, LABELS, PREDICTIONS, World, label, prediction

HOLD = HORIZON + GRACE
EACH = 20


def _jump(world: World, texts: int = 100) -> None:
    """Predictions and labels, each a millisecond after the one before, then event time jumps far beyond all of them."""
    held = [prediction(f"p{i}", i) for i in range(texts)]
    world.read(held, [label(1, i, f"l{i}") for i in range(texts)])
    world.read([prediction("far", 100 * HOLD)], [label(1, 100 * HOLD, "far")])


def _kinds(world: World) -> list[tuple[str, int]]:
    from tests.join.join_world import rows_of

    rows = [row for step in world.steps for row in rows_of(step.outputs) if row.kind != "tick"]
    return [(row.kind, row.timestamp) for row in rows]


def test_what_a_jump_of_event_time_lets_go_leaves_in_many_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = World.of()
    _jump(whole)
    monkeypatch.setattr("streams.join.task.MOST_LET_GO", EACH)
    world = World.of()
    _jump(world)
    assert world.task.held > 150
    while len(_kinds(world)) < len(_kinds(whole)):
        assert world.steps[-1].watermark < 100 * HOLD
        # The sources are idle by now, yet it goes on.
        left = world.read(at_end=(PREDICTIONS, LABELS), after=60_000)
        assert 0 < len(left) <= 2 * EACH
    assert world.read(at_end=(PREDICTIONS, LABELS), after=60_000) == []
    assert world.steps[-1].watermark == whole.steps[-1].watermark == 100 * HOLD
    assert sorted(_kinds(world)) == sorted(_kinds(whole))
    assert world.task.held == whole.task.held == 2


def test_a_task_restored_while_it_lets_go_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.join.task.MOST_LET_GO", EACH)
    world = World.of()
    _jump(world)
    again = world.restored()
    for _ in range(8):
        ends = (PREDICTIONS, LABELS)
        assert again.read(at_end=ends, after=60_000) == world.read(at_end=ends, after=60_000)
        assert again.steps[-1].watermark == world.steps[-1].watermark
    assert again.task.held == 2


def test_what_shares_its_deadline_is_let_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.join.task.MOST_LET_GO", EACH)
    world = World.of()
    world.read([prediction(f"p{i}", 5) for i in range(3 * EACH)], [label(1, 5, "other")])
    gone = world.read([prediction("far", 100 * HOLD)], [label(1, 100 * HOLD, "far")])
    assert sum(row.kind == "unlabelled" for row in gone) == 3 * EACH


def test_a_table_of_texts_that_is_no_longer_used_is_freed_with_its_mirror_in_the_decoder() -> None:
    decoder, strings = PredictionDecoder(), Strings()
    value = b'{"prediction_id":"a","model":"m","version":"v","timestamp":1,"prediction":1}'
    batch = RecordBatch(TopicPartition("predictions", 0), np.arange(1), np.ones(1, np.int64), [value])
    assert len(decoder.decode(batch, strings).columns) == 1
    gone = weakref.ref(strings)
    del strings
    gc.collect()
    assert gone() is None


def test_few_long_texts_are_forgotten_like_many_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.join.task.MOST_CHARACTERS", 10_000)
    world = World.of()
    for i in range(50):
        world.read([prediction(f"k{i}", 0, features={"note": f"{i}" * 1_000})])
    assert world.task._planner.strings.size < 30_000
