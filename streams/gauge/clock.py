"""The gauge's time: the clock of the ticks and the least watermark over all join tasks.

Both only rise, and both come from TICK rows alone, so they are the same wherever and whenever the log is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

from streams.outcomes import Tick
from streams.state import Count, Time, shaped


@dataclass(frozen=True, slots=True)
class Now:
    """What time it is for the gauge. `watermark` is None until every join task has ticked and one had a watermark."""

    clock: int
    watermark: int | None
    caught_up: bool


class _State(TypedDict):
    ticks: list[tuple[Count, Count, Time | None, bool, bool, Time]]
    clock: Time
    watermark: Time | None


class GaugeClock:
    """Folds ticks. The watermark is the least over the join tasks, once each has ticked, leaving out idle ones."""

    def __init__(self) -> None:
        self._latest: dict[int, Tick] = {}
        self._clock = 0
        self._watermark: int | None = None

    def tick(self, tick: Tick) -> Now:
        """Take one tick and say what time it is now."""
        self._latest[tick.join_task] = tick
        self._clock = max(self._clock, tick.clock)
        complete = len(self._latest) >= tick.join_tasks
        if complete:
            speaking = [
                each.watermark for each in self._latest.values() if not each.idle and each.watermark is not None
            ]
            waiting = any(not each.idle and each.watermark is None for each in self._latest.values())
            if speaking and not waiting:
                self._watermark = max(min(speaking), self._watermark or min(speaking))
        return Now(self._clock, self._watermark, complete and all(each.caught_up for each in self._latest.values()))

    @property
    def clock(self) -> int:
        """The latest clock of the ticks, epoch milliseconds; 0 before the first."""
        return self._clock

    @property
    def watermark(self) -> int | None:
        """The gauge's watermark, epoch milliseconds."""
        return self._watermark

    def snapshot(self) -> Any:
        """The state, for `streams.state.pack`."""
        ticks = [
            [t.join_task, t.join_tasks, t.watermark, t.idle, t.caught_up, t.clock]
            for _, t in sorted(self._latest.items())
        ]
        return {"ticks": ticks, "clock": self._clock, "watermark": self._watermark}

    def restore(self, tree: Any) -> None:
        """Take back what snapshot gave."""
        tree = shaped(_State, tree)
        self._latest = {fields[0]: Tick(*fields) for fields in tree["ticks"]}
        self._clock, self._watermark = tree["clock"], tree["watermark"]
