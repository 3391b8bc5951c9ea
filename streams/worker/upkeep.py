"""What is done between turns: partitions that run ahead are paused, lag is told, journals are trimmed, memory is given
back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

import structlog

from streams.log import Admin, Consumer, LogError
from streams.records import TopicPartition
from streams.worker.assignment import Held
from streams.worker.clock import Clock
from streams.worker.settings import WorkerSettings
from streams.worker.skew import Skew
from streams.worker.telemetry import Telemetry

_TRIM_EVERY = 60.0
_TRIM_WITHIN = 2.0
"""Seconds that all work may stand still for it."""
_log = structlog.get_logger("streamgauge.worker")


class Upkeep:
    """Called after every turn; most of what it does is due only now and then."""

    def __init__(
        self, settings: WorkerSettings, clock: Clock, telemetry: Telemetry, give_back: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._give_back = give_back
        self._telemetry = telemetry
        self._skew = Skew(settings.max_skew)
        self._trimmed = clock.steady()
        self._failed = -1  # the task whose journal could not be trimmed last

    def reassigned(self) -> None:
        """A new assignment: nothing is paused."""
        self._skew.forget()

    def after_turn(
        self, tasks: Mapping[int, Held], consumer: Consumer, admin: Admin, at_end: AbstractSet[TopicPartition]
    ) -> None:
        """See the module."""
        for held in tasks.values():
            pause, resume = self._skew.judge(held.task.partitions, held.task.event_times(), at_end)
            if pause:
                consumer.pause(pause)
            if resume:
                consumer.resume(resume)
        now = self._clock.steady()
        self._telemetry.lag(tasks.values(), consumer, now)
        if now - self._trimmed >= _TRIM_EVERY:
            self._trimmed = now
            self._trim(tasks, admin)
            self._give_back()

    def _trim(self, tasks: Mapping[int, Held], admin: Admin) -> None:
        """Delete journal blocks below the floor. Nothing depends on it, so a failure is only told; the next time begins
        behind it."""
        until = self._clock.steady() + _TRIM_WITHIN
        for number in sorted(tasks, key=lambda number: (number <= self._failed, number)):
            left = until - self._clock.steady()
            if left <= 0:
                return
            cut = tasks[number].task.trim()
            if cut is None:
                continue
            try:
                admin.delete_records_before(*cut, left)
            except LogError as problem:
                _log.warning("trim_failed", task=number, problem=str(problem), code=problem.code)
                self._failed = number
