"""The transactional producer over Apache Kafka."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message

from streams.log.base import (
    Abortable,
    Committed,
    Fenced,
    GroupMetadata,
    LogError,
    ProducerFatal,
    Refused,
    TopicMissing,
    UnknownOutcome,
    Unreachable,
)
from streams.log.checks import refuse_foreign_offsets, refuse_large_record
from streams.log.kafka.errors import Step, error_in, translate, translated
from streams.log.kafka.settings import Settings, build
from streams.records import OutputRecord, TopicPartition

_ANY_PARTITION = -1
_QUEUE_TIMEOUT = 30.0
_CLOSE_TIMEOUT = 2.0
_GRACE = 5.0
"""Seconds after its time-out by which a call of librdkafka must have come back."""


class KafkaProducer:
    """One transactional id, one transaction at a time."""

    def __init__(self, settings: Settings, transactional_id: str) -> None:
        self._id = transactional_id
        self._client = build(confluent_kafka.Producer, settings.producer(transactional_id, self._client_error))
        self._undelivered: LogError | None = None
        self._dead = False
        self._closed = False

    def init_transactions(self, timeout: float) -> None:
        with self._step("init_transactions"):
            self._client.init_transactions(timeout)

    def begin(self) -> None:
        self._undelivered = None
        with self._step("begin"):
            self._client.begin_transaction()

    def produce(self, record: OutputRecord, on_delivery: Callable[[int], None] | None = None) -> None:
        refuse_large_record(record)
        deadline = time.monotonic() + _QUEUE_TIMEOUT
        while not self._queue(record, on_delivery):
            if time.monotonic() > deadline:
                raise Unreachable("the producer's queue stays full: the broker takes nothing", "_QUEUE_FULL")
            with self._step("produce"):
                self._client.poll(0.1)

    def send_offsets(self, offsets: Mapping[TopicPartition, Committed], group: GroupMetadata, timeout: float) -> None:
        refuse_foreign_offsets(offsets, group)
        entries = [confluent_kafka.TopicPartition(*p, c.offset, c.metadata) for p, c in offsets.items()]
        with self._step("send_offsets"):
            self._within(timeout, lambda: self._client.send_offsets_to_transaction(entries, group.opaque, timeout))

    def commit(self, timeout: float) -> None:
        try:
            with self._step("commit"):
                self._client.commit_transaction(timeout)
        except Abortable as error:
            # The commit says only that something was not delivered; the delivery report says why.
            if isinstance(self._undelivered, Refused | TopicMissing):
                raise self._undelivered from error
            raise

    def abort(self, timeout: float) -> None:
        with self._step("abort"):
            self._client.abort_transaction(timeout)

    def close(self) -> None:
        """An open transaction is aborted where that can be done at once; else a successor or the time-out ends it."""
        if self._closed:
            return
        self._closed = True
        if self._dead:
            # The client's own close would try to abort what is not ours to abort any more, and complain.
            del self._client
            return
        self._dead = True
        try:
            self._client.purge()
            with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
                self._client.close(_CLOSE_TIMEOUT)
        except (KafkaException, SystemError) as exception:
            # A fatal error may strike on the way out: the successor it speaks of ends the transaction.
            if error_in(exception) is None:
                raise

    def _queue(self, record: OutputRecord, on_delivery: Callable[[int], None] | None) -> bool:
        """Whether there was room for it."""
        with self._step("produce"):
            try:
                self._client.produce(
                    record.topic,
                    value=record.value,
                    key=record.key,
                    partition=_ANY_PARTITION if record.partition is None else record.partition,
                    headers=list(record.headers),
                    on_delivery=partial(self._delivered, on_delivery),
                )
            except BufferError:
                return False
        return True

    def _delivered(self, on_delivery: Callable[[int], None] | None, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failure = translate(error, "produce", {KafkaError.TOPIC_AUTHORIZATION_FAILED: message.topic()})
            if self._undelivered is None or isinstance(failure, Refused | TopicMissing):
                self._undelivered = failure
        elif on_delivery is not None:
            on_delivery(message.offset())

    def _within(self, timeout: float, call: Callable[[], object]) -> None:
        """The call, on a thread: librdkafka may not come back when the coordinator dies meanwhile. The thread keeps
        the client, and a new producer of the same id ends the transaction."""
        done: Future[object] = Future()

        def run() -> None:
            try:
                done.set_result(call())
            except Exception as problem:  # noqa: BLE001 (raised where it is waited for)
                done.set_exception(problem)

        threading.Thread(target=run, name="producer-call", daemon=True).start()
        try:
            done.result(timeout + _GRACE)
        except TimeoutError:
            raise ProducerFatal(f"no word from the client within {timeout + _GRACE:.0f} s", "_TIMED_OUT") from None

    @contextmanager
    def _step(self, step: Step) -> Iterator[None]:
        if self._dead:
            raise ProducerFatal(f"the producer {self._id} is of no more use", "_FATAL")
        try:
            with translated(step, {KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: self._id}):
                yield
        except (Fenced, ProducerFatal, UnknownOutcome):
            self._dead = True
            raise

    def _client_error(self, error: KafkaError) -> None:
        """Connections come back by themselves; what concerns a transaction is raised by its next call."""
