"""The transactional log: the one interface through which the pipeline touches Kafka.

Two implementations keep the same promises and pass the same conformance suite: `KafkaLog` (confluent-kafka) and
`MemoryLog` (in memory; it can be told to fail). The errors, drawn as a tree; client errors are translated to them
in one place:

    LogError
    ├── WrongProperty       a property of kafka.client that the client does not take           exit 2
    ├── Unreachable         no broker answers in time                                        exit 3
    ├── Refused             authorization or authentication                                  exit 3
    ├── TopicMissing        a topic that must exist does not                                 exit 3
    ├── OffsetOutOfRange    the records at a position are gone, or never were                exit 5
    ├── Fenced              a newer instance took our name                                   exit 4
    │   └── ProducerFenced  another producer, or the time-out, took the transactional id: a new one; the group says
    │                       who has the name
    ├── MembershipLost      this member is no longer in its group: abort, drop, rejoin
    ├── Retriable           the same call again
    ├── Abortable           abort, then the same outputs and offsets again
    ├── UnknownOutcome      a commit was sent and its result is not known: ask, never guess
    └── ProducerFatal       this producer is of no more use: a new one
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from streams.records import Headers, OutputRecord, RecordBatch, TopicPartition


class LogError(Exception):
    """Base of everything the log raises; `code` is Kafka's error name where there is one."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class WrongProperty(LogError): ...


class Unreachable(LogError): ...


class Refused(LogError): ...


class TopicMissing(LogError): ...


class OffsetOutOfRange(LogError): ...


class Fenced(LogError): ...


class ProducerFenced(Fenced): ...


class MembershipLost(LogError): ...


class Retriable(LogError): ...


class Abortable(LogError): ...


class UnknownOutcome(LogError): ...


class ProducerFatal(LogError): ...


@dataclass(frozen=True, slots=True)
class Committed:
    """A committed offset (the next to read) and its metadata, at most 4,095 bytes of UTF-8."""

    offset: int
    metadata: str


@dataclass(frozen=True, slots=True)
class GroupMetadata:
    """A membership as of the moment it was taken: what fences a transaction.

    `owned` is what the member was assigned then. The broker fences by member and generation, not by ownership, so
    `Producer.send_offsets` refuses offsets of any other partition. `opaque` is the client's own.
    """

    group_id: str
    member_id: str
    generation: int
    instance_id: str | None
    owned: frozenset[TopicPartition] = frozenset()
    opaque: object = None


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic as the broker describes it."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]


class RebalanceListener(Protocol):
    """Called from inside `Consumer.poll`, on the caller's thread. An exception raised here leaves `poll`.

    Rebalances are eager: everything is revoked or lost, then everything is assigned.
    """

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """All that is owned from now on; it may be nothing. Each hands out nothing before it was sought."""
        ...

    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Still owned until this returns: a last commit would count."""
        ...

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Owned by someone else already: a commit would be refused."""
        ...


class Consumer(Protocol):
    """A member of a group. Reads committed records only. Never commits: offsets go with transactions.

    A partition hands out nothing between its assignment and its first `seek`: where to start is always said, never
    defaulted. It joins the group between `subscribe` and the first `poll`, and again, as a new member, where it was
    thrown out (on_lost).
    """

    def subscribe(self, topics: Sequence[str], listener: RebalanceListener) -> None: ...

    def poll(self, max_records: int, timeout: float) -> list[RecordBatch]:
        """At most max_records records, gathered for at most timeout seconds, one batch a partition."""
        ...

    def assignment(self) -> list[TopicPartition]: ...

    def pause(self, partitions: Sequence[TopicPartition]) -> None: ...

    def resume(self, partitions: Sequence[TopicPartition]) -> None: ...

    def seek(self, partition: TopicPartition, offset: int) -> None: ...

    def position(self, partition: TopicPartition) -> int | None:
        """The next offset to be handed out: what to commit. None before the first seek."""
        ...

    def at_end(self, partition: TopicPartition) -> bool:
        """Whether everything readable of the partition has been handed out, as of the last fetch (no request)."""
        ...

    def lag(self, partition: TopicPartition) -> int | None: ...

    def committed(self, partitions: Sequence[TopicPartition], timeout: float) -> dict[TopicPartition, Committed | None]:
        """A stable read: waits for a predecessor's open transaction instead of missing its offsets."""
        ...

    def group_metadata(self) -> GroupMetadata:
        """Raises MembershipLost where the member has never joined (negative generation)."""
        ...

    def close(self, *, leave: bool = True) -> None:
        """Without calling the listener. leave=False keeps a static member's place in the group until its session
        ends. Kafka's client decides the rest: a dynamic member leaves at once, a static one only by its session."""
        ...


class Producer(Protocol):
    """A transactional producer; one transaction at a time.

    After Abortable: only abort. After ProducerFatal, Fenced or UnknownOutcome: only close.
    """

    def init_transactions(self, timeout: float) -> None: ...

    def begin(self) -> None: ...

    def produce(self, record: OutputRecord, on_delivery: Callable[[int], None] | None = None) -> None:
        """Queue a record; on_delivery gets its offset at the latest when commit returns. A record that is too large
        is refused at once (LogError, MSG_SIZE_TOO_LARGE) and leaves the transaction as it was."""
        ...

    def send_offsets(self, offsets: Mapping[TopicPartition, Committed], group: GroupMetadata, timeout: float) -> None:
        """Refuses (MembershipLost) metadata with a negative generation and partitions outside `group.owned`: the
        broker checks neither. MembershipLost from the broker needs an abort."""
        ...

    def commit(self, timeout: float) -> None:
        """Raises UnknownOutcome where the reply did not come."""
        ...

    def abort(self, timeout: float) -> None: ...

    def close(self) -> None:
        """Aborts what is open, where that can be done at once; never raises for it."""
        ...


class Reader(Protocol):
    """Reads a range of one partition, outside any group: restores, commands, tests."""

    def bounds(self, partition: TopicPartition, timeout: float) -> tuple[int, int]:
        """(low watermark, end): the end is the last stable offset."""
        ...

    def read(self, partition: TopicPartition, start: int, end: int, timeout: float) -> Iterator[RecordBatch]:
        """Committed records of [start, end). Ends when the position reaches end; raises Unreachable when
        `timeout` seconds pass without progress, OffsetOutOfRange when the low watermark is above start."""
        ...

    def close(self) -> None: ...


class Admin(Protocol):
    """What is needed to create, describe and trim topics."""

    def describe(self, topics: Sequence[str], timeout: float) -> dict[str, TopicInfo | None]: ...

    def allowed(self, topics: Sequence[str], timeout: float) -> dict[str, frozenset[str]]:
        """What we may do with each topic that exists: of READ, WRITE, CREATE, DELETE, …"""
        ...

    def allowed_groups(self, groups: Sequence[str], timeout: float) -> dict[str, frozenset[str]]:
        """What we may do with each group, whether it exists or not: of READ, DESCRIBE, DELETE."""
        ...

    def create(
        self,
        name: str,
        partitions: int,
        config: Mapping[str, str],
        replication_factor: int | None,
        timeout: float,
    ) -> None:
        """No error where it is there already."""
        ...

    def delete_topics(self, topics: Sequence[str], timeout: float) -> None: ...

    def delete_groups(self, groups: Sequence[str], timeout: float) -> None:
        """With all they have committed; no error where one is not there. A group that has members is not deleted: a
        LogError with the code NON_EMPTY_GROUP."""
        ...

    def delete_records_before(self, partition: TopicPartition, offset: int, timeout: float) -> None: ...

    def offset_for_time(self, partition: TopicPartition, timestamp: int, timeout: float) -> int:
        """The first offset whose record is not older than `timestamp` (epoch ms); the end where all are."""
        ...

    def close(self) -> None: ...


class Log(Protocol):
    """Makes the four clients. All of them are closed by whoever asked for them."""

    def consumer(self, group_id: str, instance_id: str | None) -> Consumer: ...

    def producer(self, transactional_id: str) -> Producer: ...

    def reader(self) -> Reader: ...

    def admin(self) -> Admin: ...

    def check(self, timeout: float) -> None:
        """Raises Refused or Unreachable, in a sentence for people, where the cluster cannot be talked to."""
        ...


METADATA_LIMIT = 4095
"""Bytes of UTF-8 in the metadata of a committed offset (the broker's offset.metadata.max.bytes is 4,096, exclusive)."""

MESSAGE_LIMIT = 1_000_000
"""Bytes of key and value of one record: with its batch's overhead it fits a broker's default message.max.bytes."""


def headers_of(**values: str) -> Headers:
    """Text headers as bytes."""
    return tuple((name, value.encode()) for name, value in values.items())
