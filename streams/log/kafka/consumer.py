"""The group consumer over Apache Kafka (classic protocol, range assignor, read_committed)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import confluent_kafka
import structlog
from confluent_kafka import KafkaError, Message

from streams.log.base import Committed, GroupMetadata, LogError, MembershipLost, RebalanceListener
from streams.log.kafka.columns import batches, split_events
from streams.log.kafka.errors import TRANSIENT, translate, translated
from streams.log.kafka.settings import Settings, build
from streams.records import RecordBatch, TopicPartition

_MAX_CONSUME = 1_000_000
_log = structlog.get_logger("streamgauge.kafka")
_GENERATION = struct.Struct("=i")
_GENERATION_AT = len(b"CGMDv2:")


class KafkaConsumer:
    """A member of a group.

    The client is given an assignment only once `seek` has said where to start, so it never fetches from anywhere
    else. A seek takes effect at the next `poll`, which hands the client all positions anew: seeks are rare, and
    librdkafka's own seek fails on a partition whose fetching has not started.
    """

    def __init__(self, settings: Settings, group_id: str, instance_id: str | None) -> None:
        self._group_id = group_id
        self._instance_id = instance_id
        self._client = build(confluent_kafka.Consumer, settings.consumer(group_id, instance_id, self._client_error))
        self._listener: RebalanceListener | None = None
        self._assignment: list[TopicPartition] = []
        self._positions: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._sought = False
        self._failure: BaseException | None = None
        self._closed = False

    def subscribe(self, topics: Sequence[str], listener: RebalanceListener) -> None:
        self._listener = listener
        with translated("request"):
            self._client.subscribe(
                list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )

    def poll(self, max_records: int, timeout: float) -> list[RecordBatch]:
        self._raise_failure()
        if self._sought:
            self._hand_over_positions()
        with translated("consume"):
            try:
                messages = self._client.consume(min(max_records, _MAX_CONSUME), timeout)
            except BaseException:
                self._sought = True  # what the client had taken from its queue is lost: read it again
                raise
        found = self._columns(messages) if messages else []
        if not found:
            self._raise_failure()
        return found

    def assignment(self) -> list[TopicPartition]:
        return list(self._assignment)

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        self._paused.update(partitions)
        self._tell(self._client.pause, partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        self._paused.difference_update(partitions)
        self._tell(self._client.resume, partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition not in self._assignment:
            raise LogError(f"{partition.topic}/{partition.partition} is not assigned", "_STATE")
        self._positions[partition] = offset
        self._ends.pop(partition, None)
        self._sought = True

    def position(self, partition: TopicPartition) -> int | None:
        return self._positions.get(partition)

    def at_end(self, partition: TopicPartition) -> bool:
        position = self._positions.get(partition)
        return position is not None and position == self._ends.get(partition)

    def lag(self, partition: TopicPartition) -> int | None:
        position = self._positions.get(partition)
        if position is None or self.at_end(partition):
            return None if position is None else 0
        with translated("request"):
            bounds = self._client.get_watermark_offsets(confluent_kafka.TopicPartition(*partition), cached=True)
        if bounds is None or bounds[1] < 0:
            return None
        return max(int(bounds[1]) - position, 0)

    def committed(self, partitions: Sequence[TopicPartition], timeout: float) -> dict[TopicPartition, Committed | None]:
        # A read_committed client asks for stable offsets (KIP-447), and asks again while a transaction holds them.
        with translated("request", self._named(None)):
            answer = self._client.committed([confluent_kafka.TopicPartition(*p) for p in partitions], timeout)
        found: dict[TopicPartition, Committed | None] = {}
        for entry in answer:
            if entry.error is not None:
                raise translate(entry.error, "request", self._named(entry.topic))
            key = TopicPartition(entry.topic, entry.partition)
            found[key] = None if entry.offset < 0 else Committed(entry.offset, entry.metadata or "")
        return found

    def group_metadata(self) -> GroupMetadata:
        blob: bytes | None = self._client.consumer_group_metadata()
        generation, member_id = _parse_metadata(blob)
        if blob is None or generation < 0:
            raise MembershipLost(f"this consumer has not joined {self._group_id}", "UNKNOWN_MEMBER_ID")
        return GroupMetadata(
            self._group_id, member_id, generation, self._instance_id, frozenset(self._assignment), blob
        )

    def close(self, *, leave: bool = True) -> None:
        if self._closed:
            return
        self._closed = True
        self._listener = None
        with translated("request"):
            self._client.close()

    def _columns(self, messages: Sequence[Message]) -> list[RecordBatch]:
        records, stamps, events = split_events(messages)
        # A revoke in the same call has taken its partitions away again.
        given = [b for b in batches(records, stamps) if b.source in self._positions] if len(records) else []
        found = [batch for each in given if len(batch := self._not_had(each))]
        for batch in found:
            self._positions[batch.source] = int(batch.offsets[-1]) + 1
        for event in events:
            self._take_event(event)
        return found

    def _not_had(self, batch: RecordBatch) -> RecordBatch:
        """The records that have not been handed out. The client should give none again; nothing counts twice if it
        does."""
        position = self._positions[batch.source]
        if int(batch.offsets[0]) >= position:
            return batch
        had = int(batch.offsets.searchsorted(position))
        _log.warning("given_again", topic=batch.source.topic, partition=batch.source.partition, records=had,
                     position=position)  # fmt: skip
        return RecordBatch(
            batch.source, batch.offsets[had:], batch.timestamps[had:], list(batch.values[had:]),
            lambda i: batch.key(had + i),
        )  # fmt: skip

    def _take_event(self, event: Message) -> None:
        error: KafkaError = event.error()
        if error.code() == KafkaError._PARTITION_EOF:
            source = TopicPartition(event.topic(), event.partition())
            if source in self._positions and event.offset() >= self._positions[source]:
                # The end lies behind markers and aborted records that are never handed out.
                self._positions[source] = self._ends[source] = event.offset()
        elif error.code() not in TRANSIENT:
            self._failure = self._failure or translate(error, "consume", self._named(event.topic()))

    def _named(self, topic: str | None) -> dict[int, str]:
        """What a denial is about."""
        group = {KafkaError.GROUP_AUTHORIZATION_FAILED: self._group_id}
        return group if topic is None else {**group, KafkaError.TOPIC_AUTHORIZATION_FAILED: topic}

    def _hand_over_positions(self) -> None:
        assigned = [confluent_kafka.TopicPartition(*p, offset) for p, offset in self._positions.items()]
        with translated("request"):
            self._client.assign(assigned)
            self._sought = False
            # A pause outlives its assignment in the client; here it does not.
            self._tell(self._client.resume, [p for p in self._positions if p not in self._paused])
            self._tell(self._client.pause, sorted(self._paused))

    def _tell(self, call: Callable[[list[Any]], None], partitions: Sequence[TopicPartition]) -> None:
        """Pause or resume what the client has been given already; the rest follows with its position."""
        if self._sought:
            return
        given = [confluent_kafka.TopicPartition(*p) for p in partitions if p in self._positions]
        if given:
            with translated("request"):
                call(given)

    def _on_assign(self, client: Any, partitions: Sequence[Any]) -> None:
        client.assign([])
        self._assignment = sorted(TopicPartition(p.topic, p.partition) for p in partitions)
        self._notify(lambda listener: listener.on_assigned(list(self._assignment)))

    def _on_revoke(self, client: Any, partitions: Sequence[Any]) -> None:
        # Where positions were handed over after the membership was lost, the client forgets that it was.
        generation, member_id = _parse_metadata(client.consumer_group_metadata())
        if generation < 0 or not member_id:
            self._on_lost(client, partitions)
        else:
            self._give_back(lambda listener, had: listener.on_revoked(had))

    def _on_lost(self, client: Any, partitions: Sequence[Any]) -> None:
        self._give_back(lambda listener, had: listener.on_lost(had))

    def _give_back(self, tell: Callable[[RebalanceListener, list[TopicPartition]], None]) -> None:
        had = self._assignment
        if had:
            self._notify(lambda listener: tell(listener, list(had)))
        self._assignment = []
        self._positions.clear()
        self._ends.clear()
        self._paused.clear()
        self._sought = False

    def _notify(self, tell: Callable[[RebalanceListener], None]) -> None:
        """An exception must not travel through the client's callback: `poll` raises it instead."""
        if self._listener is None:
            return
        try:
            tell(self._listener)
        except BaseException as exception:  # noqa: BLE001
            self._failure = self._failure or exception

    def _client_error(self, error: KafkaError) -> None:
        """Errors of the client as a whole. Those of connections are retried for ever; a refusal is not worth it."""
        if error.code() in {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED}:
            self._failure = self._failure or translate(error, "consume")

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure


def _parse_metadata(blob: bytes | None) -> tuple[int, str]:
    """Generation and member id of librdkafka's serialised group metadata: "CGMDv2:", int32 generation, group id NUL,
    member id NUL, …"""
    if blob is None or len(blob) < _GENERATION_AT + _GENERATION.size:
        return -1, ""
    (generation,) = _GENERATION.unpack_from(blob, _GENERATION_AT)
    fields = bytes(blob)[_GENERATION_AT + _GENERATION.size :].split(b"\0")
    return generation, fields[1].decode() if len(fields) > 1 else ""
