"""Keeps the partitions of a task together in event time: one that has run too far ahead waits for the others.

Without it, a replay that reads one topic faster than the other would hold (and journal) everything in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from streams.records import TopicPartition


class Skew:
    """Decides what to pause and what to resume. A partition at its end never holds the others back: it has nothing
    to give. One that was paused comes back at half the limit, since each pause throws the prefetch away."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._paused: set[TopicPartition] = set()

    def forget(self) -> None:
        """A new assignment: nothing is paused."""
        self._paused.clear()

    def judge(
        self,
        partitions: Sequence[TopicPartition],
        event_times: Mapping[TopicPartition, int],
        at_end: AbstractSet[TopicPartition],
    ) -> tuple[list[TopicPartition], list[TopicPartition]]:
        """(to pause, to resume) among a task's partitions, by the largest event time read of each (ms).

        A partition of which nothing was read yet has no time: it holds nobody back, since it may be empty or denied
        the first fetch, and it is not ahead of anybody.
        """
        if len(partitions) < 2:
            return [], []
        behind = [event_times[each] for each in partitions if each not in at_end and each in event_times]
        slowest = min(behind, default=None)
        pause, resume = [], []
        for partition in partitions:
            time = event_times.get(partition)
            ahead = time - slowest if time is not None and slowest is not None else 0
            if partition in self._paused:
                if ahead <= self._limit // 2:
                    self._paused.discard(partition)
                    resume.append(partition)
            elif ahead > self._limit:
                self._paused.add(partition)
                pause.append(partition)
        return pause, resume
