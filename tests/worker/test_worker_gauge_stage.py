"""The gauge stage in the loop: snapshots, silent replay, and refusals, over the in-memory log with small tasks."""

from __future__ import annotations

import pytest
from worker_rig import Rig

from streams.log import MemoryLog
from streams.records import TopicPartition
from streams.worker import StateLost, Worker


def fill(log: MemoryLog, count: int, start: int = 0) -> None:
    for i in range(start, start + count):
        log.append("app-outcomes", f"m{i}".encode(), partition=0)


def metrics(rig: Rig) -> list[str]:
    return [entry.value.decode() for entry in rig.log.records("metrics") if entry.value is not None]


def expected(count: int) -> list[str]:
    return [f"{i}:m{i}" for i in range(count)]


def settle(rig: Rig, worker: Worker, count: int) -> None:
    for _ in range(40):
        rig.turn(worker)
        if len(metrics(rig)) >= count:
            break
    assert metrics(rig) == expected(count)


def test_a_gauge_publishes_each_message_once_across_restarts() -> None:
    rig = Rig()
    fill(rig.log, 7)
    worker = rig.gauge()
    settle(rig, worker, 7)
    worker.close()
    fill(rig.log, 7, 7)
    settle(rig, rig.gauge(), 14)


def test_a_restart_replays_only_what_came_after_the_snapshot() -> None:
    rig = Rig()
    worker = rig.gauge()
    for start in range(0, 12, 3):
        fill(rig.log, 3, start)
        settle(rig, worker, start + 3)
    worker.close()
    again = rig.gauge()
    rig.turns(again, 3)
    restored = rig.gauges[-2]  # of partition 0
    assert (restored.count, restored.replayed) == (12, 0)
    fill(rig.log, 2, 12)
    settle(rig, again, 14)


def test_a_worker_told_to_stop_leaves_a_snapshot_at_its_last_offset() -> None:
    rig = Rig()
    worker = rig.gauge()
    fill(rig.log, 3)
    settle(rig, worker, 3)
    worker.stop()
    worker.last_turn()
    worker.close()
    rig.log.expire_offsets("app-gauge")  # the group was gone for a week: the snapshot says how far it was
    fill(rig.log, 3, 3)
    settle(rig, rig.gauge(), 6)


def test_what_was_published_after_the_snapshot_is_not_said_again_when_the_offsets_of_the_group_have_expired() -> None:
    rig = Rig()
    worker = rig.gauge()
    for start in range(0, 12, 3):  # a snapshot behind the sixth, say, and some more published after it
        fill(rig.log, 3, start)
        settle(rig, worker, start + 3)
    fill(rig.log, 2, 12)
    settle(rig, worker, 14)
    worker.consumer.suspend()  # killed: nothing is written any more
    rig.log.advance(20_000)
    del rig.log.group("app-gauge").offsets[TopicPartition("app-outcomes", 0)]
    fill(rig.log, 2, 14)
    settle(rig, rig.gauge(), 16)
    assert rig.gauges[-2].replayed > 2


def test_a_first_start_before_any_snapshot_is_replayed_from_its_birth() -> None:
    rig = Rig()
    worker = rig.gauge()
    fill(rig.log, 3)
    settle(rig, worker, 3)
    worker.close()
    fill(rig.log, 1, 3)
    settle(rig, rig.gauge(), 4)


def test_neither_snapshot_nor_offset_of_a_task_that_has_run_is_refused() -> None:
    rig = Rig()
    worker = rig.gauge()
    fill(rig.log, 3)
    settle(rig, worker, 3)
    worker.close()
    rig.log.expire_offsets("app-gauge")
    with pytest.raises(StateLost, match="neither a snapshot"):
        rig.turns(rig.gauge(), 3)


def test_outcomes_deleted_behind_the_snapshot_are_refused() -> None:
    rig = Rig()
    worker = rig.gauge()
    for start in range(0, 9, 3):
        fill(rig.log, 3, start)
        settle(rig, worker, start + 3)
    worker.close()
    fill(rig.log, 3, 9)
    rig.log.expire_before(TopicPartition("app-outcomes", 0), 12)
    with pytest.raises(StateLost, match=r"no longer holds offset|deleted before"):
        rig.turns(rig.gauge(), 3)


def test_a_group_offset_before_the_snapshot_is_refused() -> None:
    rig = Rig()
    worker = rig.gauge()
    for start in range(0, 9, 3):
        fill(rig.log, 3, start)
        settle(rig, worker, start + 3)
    worker.close()
    offsets = rig.log.group("app-gauge").offsets
    place = TopicPartition("app-outcomes", 0)
    offsets[place] = type(offsets[place])(1, "")
    with pytest.raises(StateLost, match="published twice"):
        rig.turns(rig.gauge(), 3)
