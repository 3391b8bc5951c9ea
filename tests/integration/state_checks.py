"""`offsets_journal_and_snapshots_agree`: what one commit leaves in three places is of that commit.

Journal and snapshots are read without their code, with msgpack: envelopes and heads are a magic, a version, a CRC-32
and a body.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Any

import msgspec

from schemas import Config
from streams.records import TopicPartition
from tests.integration.rows import Violation
from tests.kafka_client import Kafka
from tests.service import wait_until

_HEAD = struct.Struct(">4sHI")
_CHECKER = "offsets_journal_and_snapshots_agree"
Offsets = Mapping[tuple[str, int], tuple[int, str]]
"""A group's offset of each topic's partition, and its metadata."""


def read_state(magic: bytes, value: bytes) -> Any:
    """The tree of an envelope (`SGJE`) or a snapshot's head (`SGHD`)."""
    found, _, checksum = _HEAD.unpack_from(value)
    body = value[_HEAD.size :]
    assert found == magic and zlib.crc32(body) == checksum
    return msgspec.msgpack.Decoder(ext_hook=lambda code, data: (code, bytes(data))).decode(body)


def journal_agrees(envelope: bytes, group: Offsets) -> dict[str, Any]:
    """A task's newest envelope says of each source what the group does. Returns what it says. Raises Violation."""
    said: dict[str, Any] = read_state(b"SGJE", envelope)
    for topic, number, *ours in said["sources"]:
        source = TopicPartition(topic, number)
        if source in group and group[source] != tuple(ours):
            raise Violation(_CHECKER, f"{source}: the group has {group[source]}, the journal {ours}")
    return said


def snapshot_agrees(head: bytes, source: TopicPartition, group: Offsets) -> None:
    """A task's newest snapshot is not of more than it has read. Raises Violation."""
    cut = read_state(b"SGHD", head)["offset"]
    if source in group and cut > group[source][0]:
        raise Violation(_CHECKER, f"{source}: the snapshot is of {cut}, the group has {group[source]}")


def state_agrees(kafka: Kafka, config: Config, *inputs: str) -> int:
    """All of it, of an application on a real Kafka that has been stopped. Returns how many offsets were compared."""
    topics = (config.journal_topic, config.snapshots_topic, config.outcomes_topic)
    wait_until(lambda: kafka.open_transactions(topics) == 0, 30, "the last markers are written")
    join, gauge = kafka.offsets(config.join_group, *inputs), kafka.offsets(config.gauge_group, config.outcomes_topic)
    envelopes = {message.partition(): message.value() for message in kafka.read(config.journal_topic)}
    compared = 0
    for envelope in envelopes.values():
        said = journal_agrees(envelope, join)
        missing = [each[:2] for each in said["sources"] if tuple(each[:2]) not in join]
        if missing:
            raise Violation(_CHECKER, f"the journal knows {missing}, the group has no offset of it")
        compared += len(said["sources"])
    heads = {
        message.partition(): message.value()
        for message in kafka.read(config.snapshots_topic)
        if message.key() == b"head" and message.value() is not None
    }
    for number, head in heads.items():
        snapshot_agrees(head, TopicPartition(config.outcomes_topic, number), gauge)
    return compared + len(heads)
