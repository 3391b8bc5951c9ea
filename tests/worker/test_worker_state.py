"""What a worker finds at its start: journal, offsets and inputs that agree, are gone, or do not fit yet."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from worker_rig import OUTCOMES, PARTITIONS, Rig

from streams.log import Committed, OffsetOutOfRange, Refused, Retriable, Unreachable
from streams.records import OutputRecord, TopicPartition
from streams.worker import Exit, StateLost, WorkerSettings, exit_code
from streams.worker.upkeep import Upkeep


def test_offsets_that_expired_with_the_group_are_taken_from_the_journal() -> None:
    rig = Rig()
    first = rig.join()
    rig.send(8)
    rig.settle(first)
    first.close()
    rig.log.expire_offsets("app-join")
    rig.send(4)
    second = rig.join()
    rig.settle(second)
    rig.check_exactly_once()


def test_a_task_that_was_born_but_has_neither_offsets_nor_journal_refuses_to_start() -> None:
    rig = Rig()
    first = rig.join()
    rig.send(8)
    rig.settle(first)
    first.close()
    rig.log.expire_offsets("app-join")
    rig.log.delete_topic("app-journal")
    rig.log.create_topic("app-journal", PARTITIONS + 1)
    with pytest.raises(StateLost, match="journal app-journal/0 is empty") as problem:
        rig.turns(rig.join(), 6)
    assert exit_code(problem.value) is Exit.STATE_LOST


def test_a_journal_cut_above_its_floor_refuses_to_start() -> None:
    rig = Rig()
    first = rig.join()
    rig.send(8)
    rig.settle(first)
    rig.send(8)
    rig.settle(first)
    first.close()
    rig.log.expire_before(TopicPartition("app-journal", 0), 2)
    with pytest.raises(StateLost, match="commit 1 is still needed"):
        rig.turns(rig.join(), 6)


def test_input_deleted_before_it_was_read_refuses_to_start_and_says_how_to_go_on() -> None:
    rig = Rig()
    first = rig.join()
    rig.send(8)
    rig.settle(first)
    first.close()
    rig.send(8)
    rig.log.expire_before(TopicPartition("predictions", 0), 4)
    with pytest.raises(StateLost, match="2 records were deleted before they were read"):
        rig.turns(rig.join(), 6)


def test_offsets_moved_on_by_hand_are_followed_and_moved_back_are_refused() -> None:
    rig = Rig()
    first = rig.join()
    rig.send(8)
    rig.settle(first)
    first.close()
    rig.send(8)
    offsets = rig.log.group("app-join").offsets
    place = TopicPartition("predictions", 0)
    ours = offsets[place]
    offsets[place] = type(ours)(ours.offset + 1, "")
    second = rig.join()
    rig.turns(second, 12)
    assert len(rig.outcomes()) == rig.sent - 1
    second.close()
    offsets[place] = type(ours)(0, "")
    with pytest.raises(StateLost, match="would count twice"):
        rig.turns(rig.join(), 6)


def test_a_position_that_is_gone_ends_the_worker_with_exit_5() -> None:
    assert exit_code(OffsetOutOfRange("gone")) is Exit.STATE_LOST


def test_the_journal_is_trimmed_below_the_floor_now_and_then() -> None:
    rig = Rig()
    worker = rig.join()
    rig.send(8)
    rig.settle(worker)
    for core in rig.cores:
        apply = core.apply

        def at_its_floor(batches, moment, apply=apply):  # type: ignore[no-untyped-def]
            step = apply(batches, moment)
            step.floor = step.commit + 1  # nothing is held any more
            return step

        core.apply = at_its_floor  # type: ignore[method-assign]
    started = rig.log.clock
    while rig.log.clock - started < 130_000:
        rig.turn(worker)
    stored = rig.log.partition(TopicPartition("app-journal", 0))
    assert 0 < stored.low < stored.end
    worker.close()
    again = rig.join()
    rig.send(2)
    rig.turns(again, 8)
    assert rig.cores[-1].restored_from == []


def test_a_journal_that_cannot_be_read_says_which_and_what_to_do() -> None:
    rig = Rig()
    worker = rig.join()
    rig.send(4)
    rig.settle(worker)
    worker.close()
    rig.log.append("app-journal", b"not ours", partition=0)
    with pytest.raises(StateLost, match="the journal app-journal/0 cannot be read") as problem:
        rig.turns(rig.join(), 6)
    assert exit_code(problem.value) is Exit.STATE_LOST


def test_a_journal_that_may_not_be_trimmed_keeps_nobody_from_working() -> None:
    rig = Rig()
    worker = rig.join()
    rig.send(8)
    rig.settle(worker)
    for core in rig.cores:
        apply = core.apply

        def holds_nothing(batches, moment, apply=apply):  # type: ignore[no-untyped-def]
            step = apply(batches, moment)
            step.floor = step.commit
            return step

        core.apply = holds_nothing  # type: ignore[method-assign]
    rig.log.fail_next("admin", Refused)
    started = rig.log.clock
    while rig.log.clock - started < 70_000:
        rig.turn(worker)
    assert not rig.log.faults.pending("admin")
    rig.send(2)
    rig.settle(worker)
    rig.check_exactly_once()


def test_a_trim_that_hangs_costs_two_seconds_a_minute_and_the_next_begins_behind_it() -> None:
    asked: list[tuple[str, float]] = []

    class Hanging:
        def delete_records_before(self, partition: TopicPartition, offset: int, timeout: float) -> None:
            asked.append((partition.topic, timeout))
            if partition.topic == "b":
                clock.wait(timeout)
                raise Retriable("timed out", "REQUEST_TIMED_OUT")

    held: Any = {
        number: SimpleNamespace(
            task=SimpleNamespace(
                partitions=[], event_times=dict, trim=lambda topic=topic: (TopicPartition(topic, 0), 1)
            )
        )
        for number, topic in enumerate("abc")
    }
    clock = Rig().clock
    given_back: list[float] = []
    told: Any = SimpleNamespace(lag=lambda *_: None)
    upkeep = Upkeep(WorkerSettings("app", None, "m"), clock, told, lambda: given_back.append(clock.steady()))
    for _ in range(3):
        clock.wait(61.0)
        upkeep.after_turn(held, None, Hanging(), frozenset())  # type: ignore[arg-type]
        upkeep.after_turn(held, None, Hanging(), frozenset())  # type: ignore[arg-type]
    assert "".join(topic for topic, _ in asked) == "ab" + "cab" + "cab"
    assert {timeout for _, timeout in asked} == {2.0}
    assert len(given_back) == 3, "memory, in the same rhythm"


def test_state_that_does_not_fit_yet_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    first = rig.join()
    rig.send(8)
    rig.settle(first)
    first.close()
    rig.send(4)
    second = rig.join()
    whole, tries = second.stage.open, []

    def markers_come_late(task: int, committed: object, library: object) -> object:
        tries.append(task)
        if tries.count(task) < 3:
            raise StateLost("the journal is behind the group's offsets")
        return whole(task, committed, library)  # type: ignore[arg-type]

    monkeypatch.setattr(second.stage, "open", markers_come_late)
    rig.settle(second)
    rig.check_exactly_once()
    assert min(tries.count(task) for task in set(tries)) == 3


@pytest.mark.parametrize(("seconds", "ends"), [(14.0, None), (16.0, StateLost)])
def test_a_marker_is_waited_for_longer_than_a_dead_broker_counts_as_alive(
    monkeypatch: pytest.MonkeyPatch, seconds: float, ends: type[Exception] | None
) -> None:
    rig = Rig()
    first = rig.join()
    rig.send(8)
    rig.settle(first)
    first.close()
    second = rig.join()
    whole, since, unreachable = second.stage.open, [], [Unreachable("no leader for the journal")]

    def marker_comes_late(task: int, committed: object, library: object) -> object:
        if unreachable:  # the time that this takes is not that of the marker
            rig.log.advance(40_000)
            raise unreachable.pop()
        since.append(rig.log.clock)
        if rig.log.clock - since[0] < 1_000 * seconds:
            raise StateLost("the journal is behind the group's offsets")
        return whole(task, committed, library)  # type: ignore[arg-type]

    monkeypatch.setattr(second.stage, "open", marker_comes_late)
    if ends is None:
        rig.turns(second, 10)
        assert second.tasks
    else:
        with pytest.raises(ends):
            rig.turns(second, 10)


@pytest.mark.parametrize("how", ["a restart", "a rebalance"])
def test_markers_and_aborted_records_that_retention_deletes_were_no_records_of_ours(how: str) -> None:
    rig = Rig()
    worker = rig.join()
    rig.send(8)
    rig.settle(worker)
    upstream = rig.log.producer("upstream")
    upstream.init_transactions(1)
    upstream.begin()
    upstream.produce(OutputRecord("predictions", b"k", b"never seen", 0))
    upstream.abort(1)
    rig.turns(worker, 15)
    place = TopicPartition("predictions", 0)
    end = rig.log.partition(place).end
    assert rig.committed("predictions", 0) == end
    rig.log.expire_before(place, end)
    if how == "a restart":
        worker.stop()
        worker.close()
        worker = rig.join()
    else:
        rig.turns(rig.join(), 2)
    rig.send(4)
    rig.settle(worker)
    rig.turns(worker, 15)
    assert worker.tasks


def test_a_gauge_whose_outcomes_were_deleted_before_it_read_them_says_how_to_go_on() -> None:
    rig = Rig()
    join, gauge = rig.join(), rig.gauge()
    rig.send(8)
    rig.settle(join)
    rig.turns(gauge, 8)
    gauge.last_turn()
    gauge.close()
    rig.send(8)
    rig.settle(join)
    place = TopicPartition("app-outcomes", 0)
    rig.log.expire_before(place, rig.log.partition(place).end)
    second = rig.gauge()
    with pytest.raises(StateLost, match="reset the group's offset"):
        rig.turns(second, 8)


def _behind(rig: Rig, read_on: bool) -> tuple[TopicPartition, int, list[str]]:
    """A gauge that was off while retention went past its snapshot, and where the partition begins now."""
    gauge = rig.gauge()
    place = TopicPartition("app-outcomes", 0)
    for number in range(8):
        rig.log.append("app-outcomes", f"m{number}".encode(), partition=0)
        rig.turns(gauge, 6)
    said = rig.published()
    gauge.consumer.suspend()  # killed
    if not read_on:
        rig.log.append("app-outcomes", b"m8", partition=0)
        rig.log.append("app-outcomes", b"m9", partition=0)
    low = rig.log.partition(place).end - (0 if read_on else 1)
    rig.log.expire_before(place, low)
    rig.log.advance(60_000)  # the session of the one that was killed ends
    return place, low, said


@pytest.mark.parametrize("read_on", [True, False])
def test_a_gauge_goes_on_from_what_is_left_once_its_offset_has_been_set_by_hand(read_on: bool) -> None:
    rig = Rig()
    place, low, said = _behind(rig, read_on)
    refused = rig.gauge()
    with pytest.raises(StateLost, match=r"set the group.s offset|reset the group.s offset"):
        rig.turns(refused, 30)
    refused.close()
    rig.log.group("app-gauge").offsets[place] = Committed(low, "")
    gauge = rig.gauge()
    rig.log.append("app-outcomes", b"last", partition=0)
    rig.turns(gauge, 10)
    assert rig.published()[: len(said)] == said
    assert [text.partition(":")[2] for text in rig.published()[len(said) :]] == [*([] if read_on else ["m9"]), "last"]


@pytest.mark.parametrize("topic", ["predictions", "app-outcomes"])
def test_a_log_that_ends_before_what_was_read_of_it_refuses_to_start(topic: str) -> None:
    rig = Rig()
    join, gauge = rig.join(), rig.gauge()
    rig.send(8)
    rig.settle(join)
    rig.turns(gauge, 8)
    for worker in (join, gauge):
        worker.stop()
        worker.last_turn()
        worker.close()
    partitions = rig.log.partition_count(topic)
    rig.log.delete_topic(topic)
    rig.log.create_topic(topic, partitions)
    again = rig.join() if topic == "predictions" else rig.gauge()
    with pytest.raises(StateLost, match="ends at offset 0, but was read up to"):
        rig.turns(again, 30)


def test_markers_behind_the_last_outcomes_are_gone_past_although_nothing_more_comes() -> None:
    rig = Rig()
    gauge = rig.gauge()
    upstream = rig.log.producer("upstream")
    upstream.init_transactions(1)
    place = TopicPartition("app-outcomes", 0)
    for number in range(3):
        upstream.begin()
        upstream.produce(OutputRecord("app-outcomes", b"k", f"m{number}".encode(), 0))
        upstream.commit(1) if number < 2 else upstream.abort(1)
        rig.turns(gauge, 120)
    assert rig.committed("app-outcomes", 0, "app-gauge") == rig.log.partition(place).end
    gauge.stop()
    gauge.last_turn()
    gauge.close()
    rig.log.expire_before(place, rig.log.partition(place).end)
    again = rig.gauge()
    rig.turns(again, 8)
    assert again.tasks


def test_one_task_of_a_worker_at_most_writes_a_snapshot_into_a_transaction() -> None:
    rig = Rig()
    gauge = rig.gauge()
    for number in range(40):
        for partition in range(OUTCOMES):
            rig.log.append("app-outcomes", f"m{number}".encode(), partition=partition)
        if number % 5 == 4:
            rig.turns(gauge, 3)
    cuts = [
        {entry.transaction for entry in rig.log.partition(TopicPartition("app-snapshots", n)).entries
         if entry.key == b"head" and entry.value is not None}
        for n in range(OUTCOMES)
    ]  # fmt: skip
    assert all(len(each) >= 3 for each in cuts), cuts
    assert not cuts[0] & cuts[1]
