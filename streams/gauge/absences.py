"""Join tasks that say nothing while others go on: an alert about the pipeline itself.

Nobody reads the partitions of such a task, and the event time of all models waits for it: windows stay open, rules and
detectors hear less than there is. Where no task says anything there is nobody to tell; that is what /livez and
Prometheus are for.
"""

from __future__ import annotations

from itertools import islice
from operator import itemgetter
from typing import Any

from streams.alerts import Condition
from streams.outcomes import Tick
from streams.state import Count, shaped

ABSENT = 600_000
"""Milliseconds of the ticks' clock, which goes five times as fast as time while it makes up for downtime. Others take
over within a minute."""
MISSED = 60_000


class Absences:
    """When each join task was last heard, by the largest clock of all ticks until then."""

    def __init__(self) -> None:
        self._heard: dict[int, int] = {}  # who was heard last is last: no tick goes through all tasks
        self._absent: set[int] = set()

    def watch(self, tick: Tick, clock: int) -> list[Condition]:
        """Take the next tick; `clock` is the largest until now. What has begun, or ended."""
        if len(self._heard) < tick.join_tasks:
            for task in range(tick.join_tasks):
                self._heard.setdefault(task, clock)
        self._heard.pop(tick.join_task, None)
        self._heard[tick.join_task] = clock
        changed = []
        if tick.join_task in self._absent:
            self._absent.discard(tick.join_task)
            changed.append(_condition(tick.join_task, None))
        for task, heard in self._heard.items():
            if clock - heard < ABSENT:
                break
            if task not in self._absent:
                self._absent.add(task)
                changed.append(_condition(task, clock - heard))
        return changed

    def complete(self, clock: int) -> bool:
        """Whether every task was heard within the last minute."""
        return all(clock - heard < MISSED for heard in islice(self._heard.values(), 1))

    def snapshot(self) -> Any:
        """The state, for `streams.state.pack`."""
        return [[task, heard, task in self._absent] for task, heard in self._heard.items()]

    def restore(self, tree: Any) -> None:
        """Take back what snapshot gave; None where it was written before there were absences."""
        for task, heard, absent in sorted(shaped(list[tuple[Count, int, bool]], tree or []), key=itemgetter(1)):
            self._heard[task] = heard
            self._absent.update({task} if absent else ())


def _condition(task: int, silent: int | None) -> Condition:
    text = ""
    if silent is not None:
        text = (
            f"join task {task} has said nothing for {silent // 60_000} min while others have: its records wait to be "
            "read, and the windows of all models wait for it; look at the workers of the join stage"
        )
    return Condition(
        "pipeline", f"join/{task}", f"join/{task}", silent is not None, text,
        statistic=None if silent is None else silent / 1000,
    )  # fmt: skip
