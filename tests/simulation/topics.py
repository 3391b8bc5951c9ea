"""Reads what the application wrote, without its code: Arrow messages with pyarrow, journal and snapshots with msgpack.

The formats are those of the contract: outcomes are Arrow IPC streams whose columns may be left out where every value
is missing; envelopes and heads are a magic, a version, a CRC-32 and msgpack.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa

from streams.log import MemoryLog
from streams.log.memory import Entry
from streams.records import TopicPartition
from tests.integration.checkers import Published

PREDICTED, OUTCOME, RETRACTED, UNLABELLED, COUNT, TICK, CONTROL = range(7)
_NUMBERS = ("number", "refers_to", "timestamp", "prediction_offset", "label_offset")
_OTHERS = ("prediction", "label", "weight", "prediction_text", "label_text", "model", "version", "variant")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the outcomes topic. `prediction` and `label` are the number, or else the text, of a class."""

    kind: int
    number: int
    refers_to: int
    timestamp: int
    prediction_offset: int
    label_offset: int
    prediction: float | str | None
    label: float | str | None
    weight: float
    model: str | None
    version: str | None
    variant: str | None
    region: str | None
    counter: int
    payload: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the outcomes topic."""

    task: int
    commit: int
    rows: list[Row]


def read_message(value: bytes) -> Message:
    """Read one message."""
    reader = pa.ipc.open_stream(pa.py_buffer(value))
    told = {name.decode(): text.decode() for name, text in reader.schema.metadata.items()}
    batch = reader.read_next_batch()
    size = int(told["streamgauge.rows"])
    columns = {name: column.to_pylist() for name, column in zip(batch.schema.names, batch.columns, strict=True)
               if name in {"kind", "payload", "counter", "segment.region", *_NUMBERS, *_OTHERS}}  # fmt: skip

    def of(name: str, missing: Any = None) -> list[Any]:
        return columns.get(name) or [missing] * size

    numbers = [of(name, -1) for name in _NUMBERS]
    classes = [
        [text if text is not None else number for text, number in zip(of(f"{name}_text"), of(name), strict=True)]
        for name in ("prediction", "label")
    ]
    names = [of(name) for name in ("model", "version", "variant", "segment.region")]
    payloads = [json.loads(data) if data and kind in {TICK, CONTROL} else None
                for data, kind in zip(of("payload"), of("kind", 0), strict=True)]  # fmt: skip
    others = [of("counter", -1), payloads]
    rows = [
        Row(*each) for each in zip(of("kind", 0), *numbers, *classes, of("weight", 1.0), *names, *others, strict=True)
    ]
    return Message(int(told["streamgauge.join_task"]), int(told["streamgauge.commit"]), rows)


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
