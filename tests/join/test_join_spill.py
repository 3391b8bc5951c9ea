"""What is held beyond a bound of memory lies on disk; what comes out is the same, byte for byte."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from join_oracle import Event
from join_world import GRACE, HORIZON, World, label, prediction
from test_join_laws import logs

from streams.join import JoinStep, Room
from streams.worker.errors import DirectoryUnusable, exit_code, sentence
from streams.worker.spill import Spill

Rooms = Callable[[], Room | None]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spill")


def _same(one: World, other: World) -> None:
    """Whether two worlds have said the same, byte for byte."""

    def told(step: JoinStep) -> tuple[object, ...]:
        return step.outputs, step.journal, step.metadata, step.counters, step.floor, step.held, step.watermark

    assert [told(step) for step in one.steps] == [told(step) for step in other.steps]


def _run(sent: list[Event], said: list[Event], cuts: list[tuple[int, int]], restarts: set[int], room: Rooms) -> World:
    """Read so many predictions and labels at each cut, then the rest."""
    world = World.of(room())
    values = [[json.dumps(event).encode() for event in events] for events in (sent, said)]
    for step, (predictions, labels) in enumerate([*cuts, (len(sent), len(said))]):
        world.read(values[0][:predictions], values[1][:labels])
        del values[0][:predictions], values[1][:labels]
        if step in restarts:
            world = world.restored(room())
    world.read([prediction("end", 10**9)], [label(1, 10**9, "end")])
    return world


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    logs(),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=8),
    st.sets(st.integers(0, 8), max_size=3),
    st.integers(0, 30_000),
)
def test_spilled_or_not_any_interleaving_cut_and_restart_gives_the_same_bytes(
    directory: Path,
    both: tuple[list[Event], list[Event]],
    cuts: list[tuple[int, int]],
    restarts: set[int],
    memory: int,
) -> None:
    plain = _run(*both, cuts, restarts, lambda: None)
    spilled = _run(*both, cuts, restarts, Spill(memory, directory).room)
    _same(plain, spilled)


def _busy(room: Rooms, turns: int = 18) -> World:
    """Much traffic: rows, texts and keys grow, are let go and used again, in a world that restarts now and then."""
    draw, world, keys = np.random.default_rng(4), World.of(room()), list[str]()
    for turn in range(turns):
        at = turn * (HORIZON + GRACE) // 5
        new = [f"{'long' * 20}-{turn}-{i}" for i in range(400)]
        keys = (keys + new)[-3_000:]
        sent = [
            prediction(key, at + int(draw.integers(0, 100)), f"class {turn} {i % 40}",
                       **({"scores": {f"a{turn}": 0.5, "b": 0.5}, "id": f"{key}!"} if i % 5 == 0 else {}))
            for i, key in enumerate(new)
        ]  # fmt: skip
        said = [
            label([f"class {turn} 1", 1, None][int(draw.integers(0, 3))], at, str(draw.choice(keys)))
            for _ in range(150)
        ]
        world.read(sent, [*said, label(1, at, f"nobody {turn}")])
        if turn % 8 == 7:
            world = world.restored(room())
    return world


@pytest.mark.parametrize("memory", [0, 300_000])
def test_stores_that_grow_are_compacted_and_forget_texts_spill_the_same(
    directory: Path, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streams.join import held, task

    monkeypatch.setattr(held, "_GARBAGE", 10_000)
    monkeypatch.setattr(task, "MOST_TEXTS", 300)
    _same(_busy(lambda: None), _busy(Spill(memory, directory).room))


def test_a_store_that_spills_before_it_holds_a_prediction_says_the_same(directory: Path) -> None:
    worlds = World.of(), World.of(Spill(0, directory).room())
    for world in worlds:
        assert {row.kind for row in world.read([], [label(1)] * 70)} == {"overflow"}
    _same(*worlds)


def test_nothing_is_left_in_the_directory(tmp_path: Path) -> None:
    world = _busy(Spill(0, tmp_path / "new" / "one").room, turns=2)
    assert world.task.held > 0
    assert list((tmp_path / "new" / "one").iterdir()) == []


def test_without_a_directory_nothing_spills(tmp_path: Path) -> None:
    room = Spill(0, None).room()
    assert not room.full(1_000_000)
    assert Spill(0, tmp_path).room().full(1)


def test_tasks_of_one_worker_share_the_bound(tmp_path: Path) -> None:
    spill = Spill(4_000, tmp_path)
    first, second = spill.room(), spill.room()
    assert not first.full(2_000)
    assert second.full(1_001)  # a quarter is kept for the files
    assert not first.full(3_000)  # what has moved is counted no more
    assert first.full(3_001)


def test_a_full_disk_ends_the_worker_with_a_sentence_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spill = Spill(0, tmp_path)
    world = World.of(spill.room())
    world.read([prediction("a")])

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(DirectoryUnusable) as caught:
            for turn in range(100):
                world.read([prediction(f"{turn} {i}") for i in range(100)])
    assert exit_code(caught.value) == 2
    assert "No space left on device" in sentence(caught.value) and str(tmp_path) in sentence(caught.value)
    again = world.restored(spill.room())
    assert again.task.held == world.steps[-1].held
    (outcome,) = again.read([], [label(1, 0, "a")])
    assert outcome.kind == "outcome"


def test_a_directory_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DirectoryUnusable, match=r"state\.directory"):
        Spill(0, tmp_path / "file")
