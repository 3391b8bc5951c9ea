"""The conformance suite's two clusters, the in-memory log and a real Apache Kafka, behind the same few handles."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import confluent_kafka

from streams.log import Committed, Consumer, KafkaLog, Log, LogError, MemoryLog, Producer
from streams.records import OutputRecord, RecordBatch, TopicPartition

PATIENCE = 30.0
SESSION_MS = 6000  # the least that a broker with default settings allows
TRANSACTION_MS = 2000


class Watch:
    """A listener that notes what happens, and seeks each partition to where it is told."""

    def __init__(self, start: Callable[[TopicPartition], int | None] = lambda _: 0) -> None:
        self.events: list[tuple[str, list[TopicPartition]]] = []
        self.consumer: Consumer | None = None
        self._start = start

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self.events.append(("assigned", list(partitions)))
        for partition in partitions:
            offset = self._start(partition)
            if offset is not None and self.consumer is not None:
                self.consumer.seek(partition, offset)

    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.events.append(("revoked", list(partitions)))

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.events.append(("lost", list(partitions)))

    def names(self) -> list[str]:
        """The kinds of events, in their order."""
        return [name for name, _ in self.events]


class Member:
    """A consumer with its listener and all it has been handed."""

    def __init__(self, consumer: Consumer, watch: Watch, topics: Sequence[str]) -> None:
        self.consumer, self.watch = consumer, watch
        watch.consumer = consumer
        self.batches: list[RecordBatch] = []
        consumer.subscribe(topics, watch)

    def poll(self, max_records: int = 1000) -> None:
        """One poll, kept."""
        self.batches += self.consumer.poll(max_records, 0.05)

    def values(self, source: TopicPartition | None = None) -> list[bytes | None]:
        """All values handed out, of one partition or of all."""
        return [v for batch in self.batches if source is None or batch.source == source for v in batch.values]

    def offsets(self) -> list[int]:
        """All offsets handed out."""
        return [int(o) for batch in self.batches for o in batch.offsets]

    def owns(self) -> list[TopicPartition]:
        """What is assigned now."""
        return self.consumer.assignment()


class Base:
    """What both clusters share."""

    log: Log

    def __init__(self) -> None:
        self._open: list[Any] = []

    def member(
        self,
        group: str,
        topics: Sequence[str],
        instance: str | None = None,
        start: Callable[[TopicPartition], int | None] = lambda _: 0,
    ) -> Member:
        """A subscribed member that reads from the beginning, unless told otherwise."""
        return Member(self.kept(self.log.consumer(group, instance)), Watch(start), topics)

    def producer(self, transactional_id: str) -> Producer:
        """A producer that is ready to begin."""
        producer = self.kept(self.log.producer(transactional_id))
        producer.init_transactions(PATIENCE)
        return producer  # type: ignore[no-any-return]

    def topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> TopicPartition:
        """A new topic; its first partition."""
        self.kept(self.log.admin()).create(name, partitions, config or {}, None, PATIENCE)
        return TopicPartition(name, 0)

    def read(self, partition: TopicPartition, start: int = 0) -> list[bytes | None]:
        """All committed values of a partition."""
        self.settle(partition)
        reader = self.kept(self.log.reader())
        _, end = reader.bounds(partition, PATIENCE)
        return [v for batch in reader.read(partition, start, end, PATIENCE) for v in batch.values]

    def settle(self, partition: TopicPartition) -> None:
        """Wait until what was committed can be seen."""

    def kept(self, client: Any) -> Any:
        """The client, closed when the test is over."""
        self._open.append(client)
        return client

    def close(self) -> None:
        for client in reversed(self._open):
            with contextlib.suppress(LogError):  # fenced clients are part of the tests
                client.close()


class MemoryCluster(Base):
    """The in-memory log: time passes by being told to."""

    kind = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.log: MemoryLog = MemoryLog(session_timeout=SESSION_MS, transaction_timeout=TRANSACTION_MS)

    def append(
        self,
        topic: str,
        value: bytes | None,
        partition: int = 0,
        key: bytes | None = None,
        timestamp: int | None = None,
    ) -> int:
        """A user's plain producer; the record's offset."""
        return self.log.append(topic, value, partition=partition, key=key, timestamp=timestamp)[1]

    def until(self, condition: Callable[[], bool], *members: Member) -> None:
        """Let the members poll in turns until the condition holds, time passing as it goes."""
        for _ in range(100):
            if condition():
                return
            for member in members:
                member.poll()
            self.log.advance(100)
        assert condition(), "the condition never held"

    def let_time_pass(self, ms: int) -> None:
        """So much later."""
        self.log.advance(ms)


class KafkaCluster(Base):
    """A real Apache Kafka: conditions are waited for."""

    kind = "kafka"

    def __init__(self, bootstrap_servers: str, client: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.bootstrap_servers = bootstrap_servers
        tuned = {
            "session.timeout.ms": SESSION_MS,
            "heartbeat.interval.ms": 200,  # how soon a member hears of a rebalance
            "transaction.timeout.ms": TRANSACTION_MS,
            "topic.metadata.propagation.max.ms": 1000,
            **(client or {}),
        }
        self.log: KafkaLog = KafkaLog(bootstrap_servers, tuned)
        self._plain = confluent_kafka.Producer({"bootstrap.servers": bootstrap_servers, "linger.ms": 0, "log_level": 2})
        self._client = dict(client or {})

    def _uncommitted(self) -> confluent_kafka.Consumer:
        settings = {"bootstrap.servers": self.bootstrap_servers, "group.id": "ends", "log_level": 2, **self._client}
        return confluent_kafka.Consumer({**settings, "isolation.level": "read_uncommitted"})

    def append(
        self,
        topic: str,
        value: bytes | None,
        partition: int = 0,
        key: bytes | None = None,
        timestamp: int | None = None,
    ) -> int:
        """A user's plain producer; the record's offset."""
        found: list[int] = []
        extra = {} if timestamp is None else {"timestamp": timestamp}
        self._plain.produce(
            topic, value, key, partition, on_delivery=lambda error, message: found.append(message.offset()), **extra
        )
        assert self._plain.flush(PATIENCE) == 0
        return found[0]

    def settle(self, partition: TopicPartition) -> None:
        """A commit is answered before its markers are written: wait for them, a second at most, as a transaction may
        be open on purpose."""
        reader, everything = self.kept(self.log.reader()), self.kept(self._uncommitted())
        place = confluent_kafka.TopicPartition(*partition)
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            if reader.bounds(partition, PATIENCE)[1] == everything.get_watermark_offsets(place, PATIENCE)[1]:
                return

    def until(self, condition: Callable[[], bool], *members: Member) -> None:
        """Let the members poll in turns until the condition holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "the condition did not hold in time"
            for member in members:
                member.poll()

    def let_time_pass(self, ms: int) -> None:
        """So much later: nothing else can be waited for where a time-out itself is the subject."""
        deadline = time.monotonic() + ms / 1000
        waiter = self.kept(self.log.consumer("nobody", None))
        while time.monotonic() < deadline:
            waiter.poll(1, 0.2)


AnyCluster = MemoryCluster | KafkaCluster


def flushed(producer: Producer, topic: str, value: bytes, partition: int = 0) -> None:
    """Produce, and make sure that the record is in the log, its transaction still open."""
    producer.produce(OutputRecord(topic, None, value, partition))
    client = getattr(producer, "_client", None)
    if client is not None:
        assert client.flush(PATIENCE) == 0


def at(offset: int, metadata: str = "") -> Committed:
    """A committed offset."""
    return Committed(offset, metadata)
