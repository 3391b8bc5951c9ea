"""Reads what the application wrote to the in-memory log, without its code."""

from __future__ import annotations

from collections.abc import Iterator

from streams.log import MemoryLog
from streams.log.memory import Entry
from streams.records import TopicPartition
from tests.integration.checkers import Published


def places(log: MemoryLog, topic: str) -> list[TopicPartition]:
    """The partitions of a topic."""
    return [TopicPartition(topic, number) for number in range(log.partition_count(topic))]


def newest_committed(log: MemoryLog, place: TopicPartition, key: bytes | None = None) -> Entry | None:
    """The newest record of a transaction that was committed, whatever is still open before it."""
    stored = log.partition(place)
    for entry in reversed(stored.entries):
        if entry.marker or entry.transaction in stored.aborted or entry.transaction in stored.open:
            continue
        if entry.value is not None and (key is None or entry.key == key):
            return entry
    return None


def published(log: MemoryLog, topic: str) -> list[Published]:
    """All committed records of a topic, partition by partition."""
    return [
        Published(place.partition, entry.offset, entry.key, entry.value,
                  {name: value.decode() for name, value in entry.headers})
        for place in places(log, topic)
        for entry in committed(log, place)
    ]  # fmt: skip


def committed(log: MemoryLog, place: TopicPartition, start: int = 0, end: int | None = None) -> Iterator[Entry]:
    """Committed records of [start, end)."""
    stored = log.partition(place)
    yield from stored.readable(max(start, stored.low), stored.end if end is None else end, stored.end)[0]
