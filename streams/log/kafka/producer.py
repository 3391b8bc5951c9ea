"""The transactional producer over Apache Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

import confluent_kafka
from confluent_kafka import KafkaError, Message

from streams.log.base import (
    Abortable,
    Committed,
    Fenced,
    GroupMetadata,
    LogError,
    Refused,
    TopicMissing,
    Unreachable,
)
from streams.log.checks import refuse_foreign_offsets, refuse_large_record
from streams.log.kafka.errors import translate, translated
from streams.log.kafka.settings import Settings, build
from streams.records import OutputRecord, TopicPartition

_ANY_PARTITION = -1
_QUEUE_TIMEOUT = 30.0


class KafkaProducer:
    """One transactional id, one transaction at a time."""

    def __init__(self, settings: Settings, transactional_id: str) -> None:
        self._client = build(confluent_kafka.Producer, settings.producer(transactional_id, self._client_error))
        self._undelivered: LogError | None = None

    def init_transactions(self, timeout: float) -> None:
        with translated("init_transactions"):
            self._client.init_transactions(timeout)

    def begin(self) -> None:
        self._undelivered = None
        with translated("begin"):
            self._client.begin_transaction()

    def produce(self, record: OutputRecord, on_delivery: Callable[[int], None] | None = None) -> None:
        refuse_large_record(record)
        deadline = time.monotonic() + _QUEUE_TIMEOUT
        while True:
            try:
                with translated("produce"):
                    self._client.produce(
                        record.topic,
                        value=record.value,
                        key=record.key,
                        partition=_ANY_PARTITION if record.partition is None else record.partition,
                        headers=list(record.headers),
                        on_delivery=partial(self._delivered, on_delivery),
                    )
                return
            except BufferError as full:
                if time.monotonic() > deadline:
                    raise Unreachable(
                        "the producer's queue stays full: the broker takes nothing", "_QUEUE_FULL"
                    ) from full
                with translated("produce"):
                    self._client.poll(0.1)

    def send_offsets(self, offsets: Mapping[TopicPartition, Committed], group: GroupMetadata, timeout: float) -> None:
        refuse_foreign_offsets(offsets, group)
        entries = [confluent_kafka.TopicPartition(*p, c.offset, c.metadata) for p, c in offsets.items()]
        with translated("send_offsets"):
            self._client.send_offsets_to_transaction(entries, group.opaque, timeout)

    def commit(self, timeout: float) -> None:
        try:
            with translated("commit"):
                self._client.commit_transaction(timeout)
        except Abortable as error:
            # The commit says only that something was not delivered; the delivery report says why.
            if isinstance(self._undelivered, Refused | TopicMissing):
                raise self._undelivered from error
            raise

    def abort(self, timeout: float) -> None:
        with translated("abort"):
            self._client.abort_transaction(timeout)

    def close(self) -> None:
        """The open transaction, if there is one, stays open: a successor or the time-out ends it."""
        with translated("produce"):
            self._client.purge()
        self._client.close(0)

    def _delivered(self, on_delivery: Callable[[int], None] | None, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failure = translate(error, "produce")
            if self._undelivered is None or isinstance(failure, Refused | TopicMissing | Fenced):
                self._undelivered = failure
        elif on_delivery is not None:
            on_delivery(message.offset())

    def _client_error(self, error: KafkaError) -> None:
        """Connections come back by themselves; what concerns a transaction is raised by its next call."""
