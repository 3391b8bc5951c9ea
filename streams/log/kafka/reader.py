"""Reads ranges of partitions over Apache Kafka, outside any group."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import confluent_kafka
from confluent_kafka import KafkaError, Message

from streams.log.base import OffsetOutOfRange, Unreachable
from streams.log.kafka.columns import batches, split_events
from streams.log.kafka.errors import TRANSIENT, translate, translated
from streams.log.kafka.settings import Settings, build
from streams.records import RecordBatch, TopicPartition

_AT_ONCE = 5000
_HARMLESS = TRANSIENT | {KafkaError.GROUP_AUTHORIZATION_FAILED}
"""The client looks for the coordinator of the group it must name; nothing is ever asked of it, so it may be refused."""
_TURN = 0.25


class KafkaReader:
    """One range at a time."""

    def __init__(self, settings: Settings) -> None:
        self._client = build(confluent_kafka.Consumer, settings.reader())

    def bounds(self, partition: TopicPartition, timeout: float) -> tuple[int, int]:
        with translated("request", {KafkaError.TOPIC_AUTHORIZATION_FAILED: partition.topic}):
            found = self._client.get_watermark_offsets(confluent_kafka.TopicPartition(*partition), timeout)
        if found is None:
            raise Unreachable(f"no broker says where {partition.topic}/{partition.partition} ends", "_TIMED_OUT")
        return int(found[0]), int(found[1])

    def read(self, partition: TopicPartition, start: int, end: int, timeout: float) -> Iterator[RecordBatch]:
        if start >= end:
            return
        with translated("request"):
            self._client.assign([confluent_kafka.TopicPartition(*partition, start)])
        try:
            yield from self._read_assigned(partition, start, end, timeout)
        finally:
            with translated("request"):
                self._client.unassign()

    def _read_assigned(self, partition: TopicPartition, start: int, end: int, timeout: float) -> Iterator[RecordBatch]:
        position = start
        deadline = time.monotonic() + timeout
        while position < end:
            if messages := self._there_is(min(_AT_ONCE, end - position)):
                records, stamps, events = split_events(messages)
                for batch in batches(records, stamps) if len(records) else []:
                    position = int(batch.offsets[-1]) + 1
                    deadline = time.monotonic() + timeout
                    kept = _before(batch, end)
                    if len(kept):
                        yield kept
                        deadline = time.monotonic() + timeout
                position = max(position, self._end_of(events, partition))
            if position < end and time.monotonic() > deadline:
                raise Unreachable(
                    f"{partition.topic}/{partition.partition} gives nothing from {position} on, of {end}", "_TIMED_OUT"
                )

    def _there_is(self, most: int) -> list[Message]:
        """Wait for the first, then take what is there: a consume() of many waits for all of them, or its whole time,
        and a partition's end is no reason for it to return."""
        with translated("consume"):
            messages: list[Message] = self._client.consume(1, _TURN)
            return messages + self._client.consume(most, 0) if messages else messages

    def _end_of(self, events: Sequence[Message], partition: TopicPartition) -> int:
        """Where the client says the partition ends: behind markers and aborted records it never hands out."""
        found = 0
        for event in events:
            error: KafkaError = event.error()
            if error.code() == KafkaError._PARTITION_EOF:
                found = max(found, event.offset())
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                raise OffsetOutOfRange(
                    f"{partition.topic}/{partition.partition} no longer holds what was to be read: {error.str()}",
                    error.name(),
                )
            elif error.code() not in _HARMLESS:
                raise translate(error, "consume", {KafkaError.TOPIC_AUTHORIZATION_FAILED: partition.topic})
        return found

    def close(self) -> None:
        with translated("request"):
            self._client.close()


def _before(batch: RecordBatch, end: int) -> RecordBatch:
    """The records below `end`."""
    if int(batch.offsets[-1]) < end:
        return batch
    count = int(batch.offsets.searchsorted(end))
    return RecordBatch(
        batch.source, batch.offsets[:count], batch.timestamps[:count], list(batch.values[:count]), batch.key
    )
