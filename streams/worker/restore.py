"""What restores share: reading a partition whole while the membership is kept alive, and where a first start begins."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager

from schemas import parse_timestamp
from streams.log import OffsetOutOfRange
from streams.records import RecordBatch, TopicPartition
from streams.state import StateError
from streams.worker.errors import StateLost
from streams.worker.stage import Library

KeyValue = tuple[bytes | None, bytes | None]
DEADLINE = 30.0
"""Seconds without progress after which a read is given up, to be tried again."""


@contextmanager
def readable_state(what: str) -> Iterator[None]:
    """State that is damaged, incomplete or newer than this version: say which, and what can be done.

    A checksum holds and the core stumbles all the same where another version laid its arrays out differently.
    """
    try:
        yield
    except (StateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as problem:
        raise StateLost(
            f"{what} cannot be read: {problem}; run the version that wrote it or a later one, restore the topic, or "
            "start anew under another kafka.application_id"
        ) from problem


def bounds(partition: TopicPartition, library: Library) -> tuple[int, int]:
    """(low watermark, end) of a partition."""
    return library.reader.bounds(partition, DEADLINE)


def read_range(partition: TopicPartition, start: int, end: int, library: Library) -> Generator[RecordBatch, None, None]:
    """Committed records of [start, end), breathing between batches. Raises StateLost where they are gone."""
    try:
        for batch in library.reader.read(partition, start, end, DEADLINE):
            library.breathe()
            yield batch
    except OffsetOutOfRange as problem:
        raise StateLost(
            f"{partition.topic}/{partition.partition} no longer holds offset {start}, from which state is restored "
            f"({problem}); restore the topic, or start anew under another kafka.application_id"
        ) from problem


def keyed_records(
    partition: TopicPartition, library: Library
) -> Generator[tuple[bytes | None, bytes | None], None, None]:
    """Key and value of every record that a partition still holds."""
    low, end = bounds(partition, library)
    for batch in read_range(partition, low, end, library):
        for i, value in enumerate(batch.values):
            yield batch.key(i), value


def newest(partition: TopicPartition, key: bytes, library: Library) -> bytes | None:
    """The newest value under a key, or None."""
    found: bytes | None = None
    for each, value in keyed_records(partition, library):
        if each == key:
            found = value
    return found


def first_offset(partition: TopicPartition, start: str, library: Library) -> int:
    """Where a first start begins: `earliest`, `latest`, or an RFC 3339 time."""
    low, end = bounds(partition, library)
    if start == "earliest":
        return low
    if start == "latest":
        return end
    return library.admin.offset_for_time(partition, max(parse_timestamp(start), 0), DEADLINE)


def require_readable(partition: TopicPartition, offset: int, library: Library) -> None:
    """Raise StateLost where the next record to read has been deleted, or where the log ends before it: going on would
    skip records unsaid."""
    low, end = bounds(partition, library)
    if offset > end:
        raise StateLost(
            f"{partition.topic}/{partition.partition} ends at offset {end}, but was read up to {offset}: it has been "
            "cut (an unclean leader election) or made anew, and what comes up to there would be skipped; restore the "
            f"topic, reset the group's offset of this partition to {end} (kafka-consumer-groups --reset-offsets), or "
            "start anew under another kafka.application_id"
        )
    if offset < low:
        raise StateLost(
            f"{partition.topic}/{partition.partition} begins at offset {low}, but was read only up to {offset}: "
            f"{low - offset} records were deleted before they were read; to go on without them, reset the group's "
            f"offset of this partition to {low} (kafka-consumer-groups --reset-offsets), else restore the topic"
        )
