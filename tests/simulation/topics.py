"""Reads what the application wrote to the in-memory log, without its code; journal and snapshots with msgpack:
envelopes and heads are a magic, a version, a CRC-32 and a body.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec

from streams.log import MemoryLog
from streams.log.memory import Entry
from streams.records import TopicPartition
from tests.integration.checkers import Published

_HEAD = struct.Struct(">4sHI")


def read_state(magic: bytes, value: bytes) -> Any:
    """The tree of an envelope (`SGJE`) or a snapshot's head (`SGHD`)."""
    found, _, checksum = _HEAD.unpack_from(value)
    body = value[_HEAD.size :]
    assert found == magic and zlib.crc32(body) == checksum
    return msgspec.msgpack.Decoder(ext_hook=lambda code, data: (code, bytes(data))).decode(body)


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
