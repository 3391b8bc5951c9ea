"""Kafka that lets nothing be committed for a while: the join tasks are told how long it was, once, when it is over."""

from __future__ import annotations

from worker_rig import Rig

from streams.log import LogError, MembershipLost, Retriable
from streams.worker import Worker


def _away(rig: Rig, milliseconds: int, last: LogError | None = None) -> None:
    """The broker answers no commit for so long; then the answer is `last`, or a commit."""
    back = rig.log.clock + milliseconds
    answered = False

    def hook(step: str, when: str) -> None:
        nonlocal answered
        if step != "commit" or when != "before" or answered:
            return
        if rig.log.clock < back:
            raise Retriable("the broker is away")
        answered = True
        if last is not None:
            raise last

    rig.log.faults.hook = hook


def _told(rig: Rig) -> list[int]:
    return [stall for core in rig.cores for stall in core.stalls if stall]


def _running() -> tuple[Rig, Worker]:
    """A worker that has committed before."""
    rig = Rig()
    worker = rig.join()
    rig.turns(worker, 6)
    return rig, worker


def test_a_stall_is_told_to_every_task_once_when_it_is_over() -> None:
    rig, worker = _running()
    _away(rig, 63_000)
    rig.send(4)
    rig.turns(worker, 60)
    told = _told(rig)
    assert len(told) == len(rig.cores) == 3
    assert all(63_000 <= stall < 70_000 for stall in told)
    rig.check_exactly_once()


def test_a_stall_that_costs_the_membership_is_told_after_it() -> None:
    rig, worker = _running()
    _away(rig, 63_000, MembershipLost("the session has ended"))
    rig.send(4)
    rig.settle(worker)
    rig.turns(worker, 40)
    told = _told(rig)
    assert len(told) == 3
    assert all(63_000 <= stall < 70_000 for stall in told)
    rig.check_exactly_once()


def test_a_leader_that_moves_is_no_stall() -> None:
    rig, worker = _running()
    _away(rig, 20_000)
    rig.send(4)
    rig.turns(worker, 60)
    assert _told(rig) == []


def test_a_worker_that_was_away_itself_has_waited_for_nobody() -> None:
    rig, worker = _running()
    worker.stop()
    worker.close()
    rig.log.advance(3_600_000)
    again = rig.join()
    rig.send(4)
    rig.settle(again)
    rig.turns(again, 20)
    assert _told(rig) == []
