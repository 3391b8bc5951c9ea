"""Two workers of one name over the in-memory log: the newer one lives and the older one is told, however they meet."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from worker_rig import Rig

from streams.log import Abortable, Fenced, LogError, MemoryLog, ProducerFatal, UnknownOutcome
from streams.worker import Exit, Worker, exit_code

STEPS = ["begin", "produce", "send_offsets", "commit"]
LONGEST = 60


def commit_fails(log: MemoryLog, error: type[LogError]) -> None:
    log.fail_next("commit", error)


def abort_fails_too(log: MemoryLog) -> None:
    log.fail_next("commit", Abortable)
    log.fail_next("abort", ProducerFatal)


def stands_still(log: MemoryLog) -> None:
    """Longer than a transaction may take, shorter than a session."""

    def stall(step: str, when: str) -> None:
        if (step, when) == ("commit", "before"):
            log.faults.hook = None
            log.advance(9_000)

    log.faults.hook = stall


TROUBLES: dict[str, Callable[[MemoryLog], None]] = {
    "none": lambda log: None,
    "unknown outcome": lambda log: commit_fails(log, UnknownOutcome),
    "unknown outcome, applied": lambda log: log.fail_next("commit", UnknownOutcome, applied=True),
    "dead producer": lambda log: commit_fails(log, ProducerFatal),
    "aborted": lambda log: commit_fails(log, Abortable),
    "abort fails": abort_fails_too,
    "stalled": stands_still,
}


class Pair:
    """The older one is settled with records in flight; the newer one starts when `meet` is called."""

    def __init__(self) -> None:
        self.rig = Rig()
        self.older: Worker = self.rig.join("static-1")
        self.rig.send(4)
        self.rig.settle(self.older)
        self.rig.send(6)
        self.newer: Worker | None = None
        self.told: Fenced | None = None

    def meet(self, turns: int) -> None:
        """The newer one starts, and goes so far at once; far enough to commit things the older one never saw."""
        self.newer = self.rig.join("static-1")
        for turn in range(turns):
            if turn % 4 == 3:
                self.rig.send(2)
            self.rig.turn(self.newer)

    def turn_older(self) -> None:
        if self.told is None:
            try:
                self.rig.turn(self.older)
            except Fenced as problem:
                self.told = problem
                self.older.close()

    def check_the_newer_lives(self) -> None:
        for _ in range(LONGEST):
            self.turn_older()
            assert self.newer is not None, "they never met"
            self.rig.turn(self.newer)
        assert self.told is not None, "the older one was never told"
        assert exit_code(self.told) is Exit.FENCED
        self.rig.send(6)
        self.rig.settle(self.newer)
        self.rig.check_exactly_once()


def at(pair: Pair, step: str, when: str, act: Callable[[], None]) -> None:
    """Do `act` once, in the middle of whoever reaches the step next."""

    def hook(now: str, now_when: str) -> None:
        if (now, now_when) == (step, when):
            pair.rig.log.faults.hook = None
            act()

    pair.rig.log.faults.hook = hook


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("turns", [0, 1, 2, 12])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_the_newer_one_lives_wherever_in_a_transaction_of_the_older_it_starts(
    trouble: str, turns: int, step: str, when: str
) -> None:
    pair = Pair()

    def meet() -> None:
        pair.meet(turns)
        TROUBLES[trouble](pair.rig.log)  # strikes whoever commits next

    at(pair, step, when, meet)
    pair.turn_older()
    pair.check_the_newer_lives()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["init_transactions", "poll", "committed", *STEPS])
@pytest.mark.parametrize("turns", [1, 3])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_the_newer_one_lives_wherever_in_its_start_the_older_goes_on(
    trouble: str, turns: int, step: str, when: str
) -> None:
    pair = Pair()

    def older_goes_on() -> None:
        TROUBLES[trouble](pair.rig.log)
        for _ in range(turns):
            pair.turn_older()

    at(pair, step, when, older_goes_on)
    pair.meet(6)
    pair.check_the_newer_lives()


def test_a_static_member_that_stalls_in_a_transaction_is_not_told_of_a_newer_one_that_is_not_there() -> None:
    rig = Rig()
    worker = rig.join("static-1")
    rig.send(2)
    rig.settle(worker)
    stands_still(rig.log)
    rig.send(4)
    rig.settle(worker)
    rig.check_exactly_once()


def test_a_newer_one_that_dies_before_it_has_joined_ends_nobody() -> None:
    pair = Pair()
    pair.meet(0)
    assert pair.newer is not None
    pair.newer.close()
    pair.rig.settle(pair.older)
    pair.rig.check_exactly_once()


def test_who_slept_through_the_start_of_a_newer_one_is_told_when_it_wakes() -> None:
    pair = Pair()
    pair.older.consumer.suspend()
    pair.rig.log.advance(20_000)
    pair.meet(6)
    pair.older.consumer.wake()
    pair.check_the_newer_lives()


def test_one_that_had_lost_its_place_and_joins_after_the_newer_is_the_newest_and_one_of_them_lives() -> None:
    pair = Pair()
    pair.older.consumer.suspend()
    pair.rig.log.advance(20_000)
    pair.older.consumer.wake()

    def told_that_it_is_out() -> None:  # its next poll joins
        at(pair, "poll", "before", lambda: pair.meet(6))

    at(pair, "poll", "after", told_that_it_is_out)
    pair.turn_older()
    assert pair.newer is not None
    with pytest.raises(Fenced):
        for _ in range(LONGEST):
            pair.turn_older()
            pair.rig.turn(pair.newer)
    pair.newer.close()
    assert pair.told is None
    pair.rig.settle(pair.older)
    pair.rig.check_exactly_once()
