"""Event time of a task (join rule 5) and the clock of its ticks. Wall time enters here alone, through Moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streams.records import Moment, TopicPartition
from streams.state import Count, Time, shaped

TICK_EVERY = 1_000
LONGEST_STEP = 5_000
BEGINNING = -(2**62)
"""Stands for "no watermark yet" in kernels: nothing is earlier."""


_Source = tuple[str, Count, Time | None, bool, Time | None, Count | None]
_Ticked = tuple[Time | None, Time | None, list[tuple[str, Count]]]


@dataclass(slots=True)
class SourceClock:
    """One partition: the largest timestamp it has shown, whether it is idle, since when it is at its end, and the
    next offset to read."""

    source: TopicPartition
    latest: int | None = None
    idle: bool = False
    at_end_since: int | None = None
    position: int | None = None


class EventTime:
    """The watermark of a task over its partitions; it only rises. It may be held back behind what the partitions have
    shown, so that a jump of theirs is taken in steps, and goes on whether they speak again or not."""

    def __init__(self, sources: Sequence[TopicPartition], disorder: int, idle_after: int) -> None:
        self.sources = {source: SourceClock(source) for source in sources}
        self.watermark: int | None = None
        self._shown: int | None = None  # what the watermark would be, were it not held back
        self._disorder, self._idle_after = disorder, idle_after

    def advance(
        self, spoke: Mapping[TopicPartition, int], latest: Mapping[TopicPartition, int], moment: Moment
    ) -> None:
        """Take a batch's effect: `spoke` has the next offset of each partition that had records, `latest` the
        largest timestamp of each that had events."""
        for source, clock in self.sources.items():
            self._hear(clock, spoke.get(source), latest.get(source), moment)
        speaking = [clock.latest for clock in self.sources.values() if not clock.idle]
        known = [each for each in speaking if each is not None]
        if known and len(known) == len(speaking):
            reached = min(known) - self._disorder
            self._shown = reached if self._shown is None else max(reached, self._shown)
        self.watermark = self._shown

    def hold_back(self, watermark: int) -> None:
        """Let it be this one for now; it must not be lower than before the last `advance`."""
        self.watermark = watermark

    def _hear(self, clock: SourceClock, position: int | None, latest: int | None, moment: Moment) -> None:
        if latest is not None:
            clock.latest = latest if clock.latest is None else max(clock.latest, latest)
        if position is not None:
            clock.position, clock.idle, clock.at_end_since = position, False, None
        if clock.source in moment.at_end:
            if clock.at_end_since is None or moment.clock < clock.at_end_since:  # the wall clock was set back
                clock.at_end_since = moment.clock
            clock.idle = clock.idle or moment.clock - clock.at_end_since >= self._idle_after
        elif not clock.idle:
            clock.at_end_since = None

    @property
    def idle(self) -> bool:
        """Whether all partitions are idle: event time stands still."""
        return all(clock.idle for clock in self.sources.values())

    @property
    def next_offsets(self) -> dict[TopicPartition, int]:
        """The next offset to read of each partition that has been read."""
        return {source: each.position for source, each in self.sources.items() if each.position is not None}

    def positions(self) -> dict[TopicPartition, int]:
        """The largest timestamp of each partition that is not idle and has shown one."""
        return {
            source: clock.latest
            for source, clock in self.sources.items()
            if clock.latest is not None and not clock.idle
        }

    def summary(self) -> dict[str, Any]:
        """The state in few bytes, for the metadata of the offsets; partitions in the order they were given in."""
        clocks = self.sources.values()
        return {
            "watermark": self.watermark,
            "latest": [clock.latest for clock in clocks],
            "idle": [int(clock.idle) for clock in clocks],
        }

    def snapshot(self) -> list[Any]:
        """The state, for `streams.state.pack`."""
        return [
            self.watermark,
            [[*s.source, s.latest, s.idle, s.at_end_since, s.position] for s in self.sources.values()],
            self._shown,
        ]

    def restore(self, tree: list[Any]) -> None:
        """Take back what snapshot gave; partitions that are not ours are left out. None is idle any more: what has
        come since must be read before that can be said again, and event time must not run ahead of it."""
        self.watermark, sources, *shown = tree
        self._shown = shown[0] if shown else self.watermark
        shaped(list[Time | None], [self.watermark, self._shown])
        for topic, partition, latest, _idle, _since, position in shaped(list[_Source], sources):
            source = TopicPartition(topic, partition)
            if source in self.sources:
                self.sources[source] = SourceClock(source, latest, position=position)


class Ticker:
    """Says when a tick is due, about once a second, and what its clock is.

    The clock advances at most 5 s a tick, so that our own downtime is not taken for silence of the sources; while it
    makes up for some, its seconds are not theirs either, and nothing is caught up.
    """

    def __init__(self, sources: Sequence[TopicPartition]) -> None:
        self._sources = frozenset(sources)
        self._seen_end: frozenset[TopicPartition] = frozenset()
        self._ticked_at: int | None = None
        self.clock: int | None = None

    def tick(self, moment: Moment) -> tuple[int, bool] | None:
        """(clock, caught up) where a tick is due. Caught up: each partition was at its end since the last tick, and
        the clock is that of the wall again."""
        self._seen_end |= moment.at_end & self._sources
        if self._ticked_at is not None and 0 <= moment.clock - self._ticked_at < TICK_EVERY:
            return None
        before = moment.clock if self.clock is None else self.clock
        self.clock = max(before, min(moment.clock, before + LONGEST_STEP))
        self._ticked_at = moment.clock
        read, self._seen_end = self._seen_end == self._sources, frozenset()
        return self.clock, read and self.clock >= moment.clock

    def snapshot(self) -> list[Any]:
        """The state, for `streams.state.pack`."""
        return [self.clock, self._ticked_at, [list(source) for source in sorted(self._seen_end)]]

    def restore(self, tree: list[Any]) -> None:
        """Take back what snapshot gave."""
        self.clock, self._ticked_at, seen = shaped(_Ticked, tree)
        self._seen_end = frozenset(TopicPartition(*each) for each in seen)
