"""Golden histories: what an application had written when it stopped, what came next, and what it then published.

A file is zlib over msgpack. `generation` counts them: whenever the format of the journal, the snapshots or the outcomes
gets a new number, a new generation is written (write.py), and the older ones stay: they must load for ever.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from schemas import Config
from streams.log import Committed, MemoryLog
from streams.log.memory.partition import Entry
from streams.records import TopicPartition
from streams.worker import wanted

FOLDER = Path(__file__).parent
KINDS = ("journal", "snapshots", "outcomes", "history")


class Record(msgspec.Struct, array_like=True, frozen=True):
    """What takes an offset of a partition; a transaction marker has neither key nor value."""

    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    marker: bool


Partitions = list[list[Record]]


class History(msgspec.Struct, frozen=True):
    """Everything beside the application's own state: its configuration, the users' topics and the committed offsets
    when it stopped; the inputs that came then; and by topic and ce_id what it published of them, in `turns` turns."""

    config: dict[str, Any]
    clock: int
    topics: dict[str, Partitions]
    offsets: dict[str, list[tuple[str, int, int, str]]]
    later: list[tuple[str, Record]]
    later_clock: int
    turns: int
    published: dict[str, dict[str, bytes]]


class Golden(msgspec.Struct, frozen=True):
    """A generation."""

    journal: Partitions
    snapshots: Partitions
    outcomes: Partitions
    history: History

    @property
    def configuration(self) -> Config:
        """The configuration as it was."""
        return Config.model_validate(self.history.config)


def generations() -> list[int]:
    """Those there are, oldest first."""
    return sorted(int(path.stem.removeprefix("history-")) for path in FOLDER.glob("history-*.bin"))


def load(generation: int) -> Golden:
    """A generation from its files."""
    parts = {kind: zlib.decompress(_path(kind, generation).read_bytes()) for kind in KINDS}
    history = msgspec.msgpack.decode(parts.pop("history"), type=History)
    states = {kind: msgspec.msgpack.decode(data, type=Partitions) for kind, data in parts.items()}
    return Golden(**states, history=history)


def save(golden: Golden, generation: int) -> None:
    """Write a generation's files."""
    for kind in KINDS:
        _path(kind, generation).write_bytes(zlib.compress(msgspec.msgpack.encode(getattr(golden, kind)), 9))


def _path(kind: str, generation: int) -> Path:
    return FOLDER / f"{kind}-{generation}.bin"


def partitions_of(log: MemoryLog, topic: str) -> Partitions:
    """All that a topic holds."""
    return [
        [Record(each.timestamp, each.key, each.value, list(each.headers), each.marker) for each in partition.entries]
        for partition in log._topics[topic]
    ]


def log_of(golden: Golden) -> MemoryLog:
    """The log as it was when the application stopped."""
    config, history = golden.configuration, golden.history
    log = MemoryLog(clock=history.clock)
    states = {
        config.journal_topic: golden.journal,
        config.snapshots_topic: golden.snapshots,
        config.outcomes_topic: golden.outcomes,
    }
    configs = {each.name: each.config for each in wanted(config, 1)}
    for topic, partitions in {**history.topics, **states}.items():
        log.create_topic(topic, len(partitions), configs.get(topic))
        for partition, records in zip(log._topics[topic], partitions, strict=True):
            partition.entries += [
                Entry(offset, each.timestamp, each.key, each.value, tuple(each.headers), 0, each.marker)
                for offset, each in enumerate(records)
            ]
    for group, places in history.offsets.items():
        for topic, number, offset, metadata in places:
            log.group(group).offsets[TopicPartition(topic, number)] = Committed(offset, metadata)
    return log


def offsets_of(log: MemoryLog, group: str) -> list[tuple[str, int, int, str]]:
    """What a group has committed."""
    return [(*place, each.offset, each.metadata) for place, each in log.group(group).offsets.items()]


def go_on(golden: Golden, log: MemoryLog) -> None:
    """What came after the stop."""
    for topic, record in golden.history.later:
        log.append(topic, record.value, key=record.key, partition=0, timestamp=record.timestamp)
    log.clock = golden.history.later_clock


def published(log: MemoryLog, config: Config, before: Collection[str] = ()) -> dict[str, dict[str, bytes]]:
    """By topic and ce_id, the events that were published; without those in `before`."""
    found: dict[str, dict[str, bytes]] = {topic: {} for topic in outputs_of(config)}
    for topic, events in found.items():
        for entry in (entry for partition in log._topics[topic] for entry in partition.entries):
            if entry.value is not None:
                events[dict(entry.headers)["ce_id"].decode()] = entry.value
        for identity in events.keys() & before:
            del events[identity]
    return found


def outputs_of(config: Config) -> tuple[str, ...]:
    """The topics whose records are for others."""
    return config.topics.metrics, config.topics.alerts, config.topics.dead_letters
