"""The loop over the in-memory log: start, restore, rebalance, and faults at every step."""

from __future__ import annotations

import pytest
from worker_rig import PARTITIONS, Rig

from streams.log import (
    Abortable,
    Fenced,
    LogError,
    MembershipLost,
    ProducerFatal,
    Refused,
    Retriable,
    UnknownOutcome,
    Unreachable,
)
from streams.records import TopicPartition
from streams.worker import Exit, KafkaRefuses, Misfit, exit_code
from streams.worker.assignment import RebalanceNotes
from streams.worker.errors import RepeatedlyAborted


def test_everything_sent_comes_out_once() -> None:
    rig = Rig()
    rig.send(10)
    worker = rig.join()
    rig.settle(worker)
    rig.send(7)
    rig.settle(worker)
    rig.check_exactly_once()


def test_the_ticks_of_a_commit_come_after_the_rows_of_all_its_tasks() -> None:
    rig = Rig()
    worker = rig.join()
    rig.settle(worker)
    for core in rig.cores:
        core.ticking, core.task = True, 0  # all rows to partition 0
    rig.send(12)
    rig.settle(worker, most=2)
    first = rig.outcomes()
    ticks = first.index("tick")
    assert {int(text.partition(":r")[2]) // 2 % 2 for text in first[:ticks]} == {0, 1}
    assert first[ticks : ticks + 2] == ["tick", "tick"]


def test_the_first_commit_writes_a_birth_and_the_offsets_of_all_partitions() -> None:
    rig = Rig()
    worker = rig.join()
    rig.turns(worker, 6)
    births = [entry.key for entry in rig.log.records("app-snapshots")]
    assert sorted(key for key in births if key) == [b"birth/join/0", b"birth/join/1", b"birth/join/2"]
    assert [rig.committed(topic, part) for topic in ("predictions", "labels") for part in range(2)] == [0] * 4
    assert rig.committed("control", 0) == 0


def test_an_idle_task_still_turns_about_once_a_second() -> None:
    rig = Rig()
    worker = rig.join()
    rig.turns(worker, 4)
    before = rig.cores[0].commit
    started = rig.log.clock
    while rig.log.clock - started < 5000:
        rig.turn(worker)
    assert 4 <= rig.cores[0].commit - before <= 6


def test_a_restart_restores_what_the_journal_holds() -> None:
    rig = Rig()
    rig.send(8)
    first = rig.join()
    rig.settle(first)
    first.stop()
    first.close()
    rig.send(8)
    second = rig.join()
    rig.settle(second)
    rig.check_exactly_once()
    assert rig.cores[PARTITIONS + 1].restored_from


def test_latest_begins_at_the_end_but_the_control_topic_is_always_read_whole() -> None:
    rig = Rig(start="latest")
    rig.log.append("control", b"silence", partition=0)
    rig.log.append("predictions", b"old", partition=0)
    worker = rig.join()
    rig.turns(worker, 6)
    assert rig.outcomes() == ["0:silence"]
    assert rig.committed("predictions", 0) == 1


def test_a_start_time_begins_at_the_first_record_that_is_not_older() -> None:
    rig = Rig(start="2026-11-22T08:00:00Z")
    for hour in (7, 8, 9):
        rig.log.append("predictions", f"{hour}".encode(), partition=0, timestamp=1_795_305_600_000 + hour * 3_600_000)
    worker = rig.join()
    rig.turns(worker, 6)
    assert rig.outcomes() == ["0:8", "1:9"]


@pytest.mark.parametrize("start", ["1970-01-01T00:00:00+01:00", "1969-12-31T23:59:59.999Z"])
def test_a_start_time_before_there_were_times_is_the_beginning(start: str) -> None:
    rig = Rig(start=start)
    rig.send(4)
    rig.settle(rig.join())
    rig.check_exactly_once()


STEPS = ["begin", "produce", "send_offsets", "commit"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error", [Retriable, Abortable, ProducerFatal, Unreachable, UnknownOutcome, MembershipLost])
def test_a_fault_at_any_step_loses_nothing_and_repeats_nothing(step: str, error: type[LogError]) -> None:
    rig = Rig()
    worker = rig.join()
    rig.send(6)
    rig.settle(worker)
    rig.log.fail_next(step, error)
    rig.send(6)
    rig.settle(worker)
    assert not rig.log.faults.pending(step)
    rig.check_exactly_once()


@pytest.mark.parametrize("applied", [True, False])
def test_an_unknown_commit_is_asked_for_not_guessed(applied: bool) -> None:
    rig = Rig()
    worker = rig.join()
    rig.send(6)
    rig.settle(worker)
    rig.log.fail_next("commit", UnknownOutcome, applied=applied)
    rig.send(6)
    rig.settle(worker)
    rig.send(3)
    rig.settle(worker)
    rig.check_exactly_once()
    assert len(rig.cores) == PARTITIONS + 1  # nothing had to be restored


def test_an_abort_that_fails_too_takes_a_new_producer() -> None:
    rig = Rig()
    worker = rig.join()
    rig.send(2)
    rig.settle(worker)
    rig.log.fail_next("send_offsets", Abortable)
    rig.log.fail_next("abort", UnknownOutcome)
    rig.send(4)
    rig.settle(worker)
    rig.check_exactly_once()


def test_the_same_transaction_aborted_five_times_ends_the_worker_with_its_code() -> None:
    rig = Rig()
    worker = rig.join()
    rig.send(2)
    rig.settle(worker)
    for _ in range(5):
        rig.log.fail_next("commit", Abortable("no", "INVALID_TXN_STATE"))
    rig.send(2)
    with pytest.raises(RepeatedlyAborted, match="INVALID_TXN_STATE") as problem:
        rig.settle(worker)
    assert exit_code(problem.value) is Exit.BUG


def test_four_aborts_are_survived() -> None:
    rig = Rig()
    worker = rig.join()
    for _ in range(4):
        rig.log.fail_next("commit", Abortable)
    rig.send(2)
    rig.settle(worker)
    rig.check_exactly_once()


@pytest.mark.parametrize(("error", "code"), [(Fenced, Exit.FENCED), (Refused, Exit.KAFKA)])
@pytest.mark.parametrize("step", [*STEPS, "poll"])
def test_fenced_and_refused_end_the_worker(step: str, error: type[LogError], code: Exit) -> None:
    rig = Rig()
    worker = rig.join("static-1")
    rig.send(2)
    rig.settle(worker)
    rig.log.fail_next(step, error)
    rig.send(2)
    with pytest.raises(error) as problem:
        rig.settle(worker)
    assert exit_code(problem.value) is code
    assert len(rig.outcomes()) == 2


def test_a_newer_instance_of_the_same_name_fences_the_older() -> None:
    rig = Rig()
    older = rig.join("static-1")
    rig.send(2)
    rig.settle(older)
    newer = rig.join("static-1")
    rig.send(4)
    with pytest.raises(Fenced):
        rig.settle(newer, older)
    rig.settle(newer)
    rig.check_exactly_once()


def test_a_transaction_timed_out_by_the_broker_is_not_mistaken_for_a_newer_instance() -> None:
    rig = Rig()
    worker = rig.join()
    rig.send(2)
    rig.settle(worker)

    def stall(step: str, when: str) -> None:
        if step == "send_offsets" and when == "before":
            rig.log.faults.hook = None
            rig.log.advance(9_000)

    rig.log.faults.hook = stall
    rig.send(4)
    rig.settle(worker)
    rig.check_exactly_once()


def test_two_workers_share_the_tasks_and_hand_them_over() -> None:
    rig = Rig()
    first = rig.join()
    rig.send(8)
    rig.settle(first)
    second = rig.join()
    rig.send(8)
    rig.settle(first, second)
    rig.check_exactly_once()
    first.stop()
    first.close()
    rig.send(8)
    rig.settle(second)
    rig.check_exactly_once()


def test_a_task_that_stays_ours_through_a_rebalance_resumes_as_it_is() -> None:
    rig = Rig()
    first = rig.join()
    rig.send(8)
    rig.settle(first)
    opened = len(rig.cores)
    second = rig.join()
    for _ in range(6):
        rig.turn(first)
        rig.turn(second)
    second_opened = len(rig.cores) - opened
    assert second_opened == PARTITIONS + 1 - len(first.tasks)
    assert set(first.tasks) | set(second.tasks) == set(range(PARTITIONS + 1))


def test_a_worker_thrown_out_of_its_group_drops_its_tasks_and_rejoins() -> None:
    rig = Rig()
    worker = rig.join()
    rig.send(4)
    rig.settle(worker)
    worker.consumer.suspend()
    rig.log.advance(20_000)  # its session has ended
    worker.consumer.wake()
    rig.send(4)
    rig.settle(worker)
    rig.check_exactly_once()


def test_a_zombie_that_wakes_up_publishes_nothing() -> None:
    rig = Rig()
    zombie = rig.join()
    rig.send(4)
    rig.settle(zombie)
    zombie.consumer.suspend()
    rig.log.advance(20_000)
    heir = rig.join()
    rig.send(4)
    rig.settle(heir)
    zombie.consumer.wake()
    rig.send(4)
    for _ in range(10):
        rig.turn(zombie)
        rig.turn(heir)
    rig.settle(zombie, heir)
    rig.check_exactly_once()


@pytest.mark.parametrize("step", [*STEPS, "poll", "committed", "read"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_any_step_loses_nothing_and_repeats_nothing(step: str, when: str) -> None:
    class Crash(BaseException):
        pass

    rig = Rig()
    worker = rig.join()
    rig.send(6)
    rig.settle(worker)
    rig.send(6)

    def crash(at: str, at_when: str) -> None:
        if (at, at_when) == (step, when):
            rig.log.faults.hook = None
            raise Crash

    rig.log.faults.hook = crash
    if step in {"committed", "read"}:
        worker.close()
        worker = rig.join()
    with pytest.raises(Crash):
        rig.settle(worker)
        raise Crash  # a step that this worker does not reach
    worker.consumer.suspend()
    heir = rig.join()
    rig.log.advance(20_000)
    rig.send(2)
    rig.settle(heir)
    rig.check_exactly_once()


def test_partitions_added_while_running_end_the_worker_with_exit_2() -> None:
    rig = Rig()
    worker = rig.join()
    rig.send(2)
    rig.settle(worker)
    worker.close()
    rig.log.delete_topic("predictions")
    rig.log.create_topic("predictions", PARTITIONS + 1)
    with pytest.raises(Misfit, match="more partitions") as problem:
        rig.turns(rig.join(), 6)
    assert exit_code(problem.value) is Exit.USAGE


def test_a_partition_that_runs_ahead_in_event_time_waits_for_the_others() -> None:
    rig = Rig(max_skew=1000)
    day = 86_400_000
    for i in range(40):
        rig.log.append("predictions", f"r{i}".encode(), partition=0, timestamp=day * (i + 1))
        rig.log.append("labels", f"l{i}".encode(), partition=0, timestamp=day * (i + 1))
    worker = rig.join()
    worker.stage.max_records = 1  # type: ignore[misc]
    for _ in range(400):
        rig.turn(worker)
        at = [rig.committed(topic, 0) or 0 for topic in ("predictions", "labels")]
        assert abs(at[0] - at[1]) <= 2
    assert at == [40, 40]


def test_a_stop_finishes_the_batch_and_a_static_member_keeps_its_place() -> None:
    rig = Rig()
    worker = rig.join("static-1")
    rig.send(6)
    rig.settle(worker)
    worker.close()
    assert rig.log.group("app-join").members
    dynamic = Rig()
    leaver = dynamic.join()
    dynamic.send(6)
    dynamic.settle(leaver)
    leaver.close()
    assert not dynamic.log.group("app-join").members


def test_a_bug_in_a_task_ends_the_worker_and_nothing_of_the_batch_is_visible() -> None:
    rig = Rig()
    worker = rig.join()
    rig.send(4)
    rig.settle(worker)

    def explode() -> None:
        raise ZeroDivisionError

    for core in rig.cores:
        core.explode = explode
    rig.send(4)
    with pytest.raises(ZeroDivisionError) as problem:
        rig.settle(worker)
    assert exit_code(problem.value) is Exit.BUG
    worker.close()
    rig.settle(rig.join())
    rig.check_exactly_once()


def test_a_stop_that_kafka_does_not_let_finish_gives_up_after_a_while_and_loses_nothing() -> None:
    rig = Rig()
    worker = rig.join()
    rig.send(4)
    rig.settle(worker)
    for _ in range(200):
        rig.log.fail_next("commit", Retriable)
    rig.send(4)
    advance = rig.log.advance

    def stop_meanwhile(ms: int) -> None:
        worker.stop()
        advance(ms)

    rig.log.advance = stop_meanwhile  # type: ignore[method-assign]
    with pytest.raises(KafkaRefuses, match="nothing is lost") as problem:
        rig.settle(worker)
    rig.log.advance = advance  # type: ignore[method-assign]
    assert exit_code(problem.value) is Exit.KAFKA
    worker.close()
    rig.log.faults = type(rig.log.faults)()
    rig.settle(rig.join())
    rig.check_exactly_once()


@pytest.mark.parametrize("seconds", [5, 60, 300])
def test_a_partition_without_a_leader_is_waited_for_and_told(seconds: int) -> None:
    rig = Rig()
    worker = rig.join()
    rig.send(8)
    rig.settle(worker)
    place, since = TopicPartition("app-outcomes", 0), rig.log.clock
    rig.log.faults.down.add(place)
    advance = rig.log.advance

    def back_in_time(ms: int) -> None:
        advance(ms)
        if rig.log.clock - since >= 1_000 * seconds:
            rig.log.faults.down.discard(place)

    rig.log.advance = back_in_time  # type: ignore[method-assign]
    rig.send(4)
    rig.settle(worker)
    rig.turns(worker, 40)
    rig.check_exactly_once()
    told = [stall for core in rig.cores for stall in core.stalls if stall]
    assert (max(told) >= 1_000 * seconds) if seconds >= 30 else not told


def test_more_workers_than_tasks_are_all_ready() -> None:
    rig = Rig()
    workers = [rig.join() for _ in range(4)]
    for _ in range(60):
        for worker in workers:
            rig.turn(worker)
    assert sorted(len(worker.tasks) for worker in workers) == [0, 0, 1, 2]
    assert all(worker.telemetry.status.ready for worker in workers)


def test_a_worker_whose_partitions_were_taken_is_not_ready_until_the_group_has_spoken() -> None:
    notes = RebalanceNotes()
    notes.on_assigned([TopicPartition("predictions", 0)])
    notes.on_revoked([TopicPartition("predictions", 0)])
    assert (notes.assigned, notes.owned) == (False, frozenset())
    notes.on_assigned([])
    assert (notes.assigned, notes.owned) == (True, frozenset())


def test_a_commit_that_the_coordinator_has_prepared_cannot_be_aborted_and_is_not_sent_again() -> None:
    rig = Rig()
    worker = rig.join()
    rig.send(4)
    rig.settle(worker)
    seen: list[str] = []

    def hook(step: str, when: str) -> None:
        if step in {"marker", "commit"} and when == "before" and len(seen) < 3:
            seen.append(step)
            if seen == ["commit", "marker"]:
                raise Retriable("its reply is lost, half of its markers are written")
            if seen == ["commit", "marker", "commit"]:
                raise Abortable("it is refused now")

    rig.log.faults.hook = hook
    rig.send(4)
    rig.settle(worker)
    rig.turns(worker, 10)
    assert seen == ["commit", "marker", "commit"]
    rig.check_exactly_once()
