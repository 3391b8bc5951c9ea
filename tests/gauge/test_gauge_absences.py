"""Which join tasks say nothing: against a look at every task at every tick."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.gauge.absences import ABSENT, MISSED, Absences
from streams.outcomes import Tick

TASKS = 5
STEPS = st.lists(
    st.tuples(st.integers(0, TASKS - 1), st.sampled_from([0, 1000, MISSED, ABSENT // 2, ABSENT])),
    min_size=1,
    max_size=40,
)


def _tick(task: int, clock: int) -> Tick:
    return Tick(task, TASKS, None, idle=False, caught_up=True, clock=clock)


class _Every:
    """The rule as it is told: no order, every task looked at."""

    def __init__(self) -> None:
        self.heard: dict[int, int] = {}
        self.absent: set[int] = set()

    def watch(self, task: int, clock: int) -> set[tuple[str, bool]]:
        for each in range(TASKS):
            self.heard.setdefault(each, clock)
        self.heard[task] = clock
        now = {each for each, heard in self.heard.items() if clock - heard >= ABSENT}
        changed = {(f"join/{each}", each in now) for each in now ^ self.absent}
        self.absent = now
        return changed

    def complete(self, clock: int) -> bool:
        return all(clock - heard < MISSED for heard in self.heard.values())


@given(STEPS, st.integers(0, 39))
def test_who_is_silent_is_told_when_it_begins_and_ends_also_across_a_restore(
    steps: list[tuple[int, int]], restored_at: int
) -> None:
    ours, every, clock = Absences(), _Every(), 1_000_000
    for number, (task, passes) in enumerate(steps):
        clock += passes
        told: list[Any] = ours.watch(_tick(task, clock), clock)
        assert {(each.rule, each.active) for each in told} == every.watch(task, clock)
        assert len(told) == len({each.rule for each in told})
        assert ours.complete(clock) == every.complete(clock)
        if number == restored_at:
            again = Absences()
            again.restore(ours.snapshot())
            assert again.snapshot() == ours.snapshot()
            ours = again
