"""MemoryLog: the whole cluster in one object. Deterministic, single-threaded; time passes when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from schemas import SESSION_TIMEOUT_MS, TRANSACTION_TIMEOUT_MS
from streams.log.base import (
    LogError,
    OffsetOutOfRange,
    TopicInfo,
    TopicMissing,
    Unreachable,
)
from streams.log.checks import refuse_large_record
from streams.log.memory.consumer import MemoryConsumer
from streams.log.memory.faults import Faults
from streams.log.memory.group import Group
from streams.log.memory.partition import Entry, Partition
from streams.log.memory.producer import MemoryProducer
from streams.log.memory.transactions import Transactions
from streams.records import Headers, OutputRecord, RecordBatch, TopicPartition

DELIVERY_TIMEOUT_MS = 5_000
_READ_CHUNK = 1000
_OPERATIONS = frozenset({"READ", "WRITE", "CREATE", "DELETE", "DESCRIBE", "DESCRIBE_CONFIGS"})


class MemoryLog:
    """Topics, groups and transactions in memory, with the promises of Apache Kafka and faults on demand.

    `clock` is the log's time in epoch milliseconds: the time stamp of produced records, and what ends sessions and
    transactions; `advance` alone moves it (and a stable read that has to wait: it calls `wait`, which a simulation
    replaces by one that lets others go on meanwhile). `faults` says what goes wrong next.
    """

    def __init__(
        self,
        *,
        clock: int = 1_700_000_000_000,
        session_timeout: int = SESSION_TIMEOUT_MS,
        transaction_timeout: int = TRANSACTION_TIMEOUT_MS,
    ) -> None:
        self.clock = clock
        self.faults = Faults()
        self.wait: Callable[[int], None] = self.advance
        self._session_timeout = session_timeout
        self.delivery_timeout = DELIVERY_TIMEOUT_MS
        self._topics: dict[str, list[Partition]] = {}
        self._configs: dict[str, dict[str, str]] = {}
        self._groups: dict[str, Group] = {}
        self._keyless = 0
        self.transactions = Transactions(
            transaction_timeout, self.partition, self.group, lambda: self.clock, self.faults
        )

    # The four clients

    def consumer(self, group_id: str, instance_id: str | None = None) -> MemoryConsumer:
        return MemoryConsumer(self, group_id, instance_id)

    def producer(self, transactional_id: str) -> MemoryProducer:
        return MemoryProducer(self, transactional_id)

    def reader(self) -> MemoryReader:
        return MemoryReader(self)

    def admin(self) -> MemoryAdmin:
        return MemoryAdmin(self)

    def check(self, timeout: float) -> None:
        """Always reachable."""

    # What tests and simulations say to the cluster itself

    def fail_next(
        self, step: str, error: BaseException | type[BaseException], *, applied: bool = False, skip: int = 0
    ) -> None:
        """See Faults.fail_next."""
        self.faults.fail_next(step, error, applied=applied, skip=skip)

    def advance(self, ms: int) -> None:
        """Time passes: transactions that are too old are aborted, then silent sessions end."""
        self.clock += ms
        self.transactions.expire(self.clock)
        for group in self._groups.values():
            group.expire(self.clock)

    def create_topic(self, name: str, partitions: int, config: Mapping[str, str] | None = None) -> None:
        """No error where it is there already."""
        if name in self._topics:
            return
        self._topics[name] = [Partition(TopicPartition(name, i)) for i in range(partitions)]
        self._configs[name] = {"cleanup.policy": "delete", "message.timestamp.type": "CreateTime", **(config or {})}

    def delete_topic(self, name: str) -> None:
        """Its records are gone; offsets that groups committed stay."""
        self._topics.pop(name, None)
        self._configs.pop(name, None)

    def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp: int | None = None,
        headers: Headers = (),
        transaction: int = 0,
    ) -> tuple[TopicPartition, int]:
        """A user's producer: outside any transaction, or in the one of this serial. Where it went."""
        record = OutputRecord(topic, key, value, partition, headers)
        refuse_large_record(record)
        target = self.target(record)
        when = self.clock if timestamp is None else timestamp
        return target, self.partition(target).append(when, key, value, headers, transaction)

    def expire_before(self, partition: TopicPartition, offset: int) -> None:
        """Retention has deleted everything before `offset`."""
        self.partition(partition).cut(offset)

    def compact(self, partition: TopicPartition, stop: int) -> None:
        """The log cleaner has been over everything below `stop`; tombstones are old enough to go too."""
        self.partition(partition).compact(stop)

    def expire_offsets(self, group_id: str) -> None:
        """The group was empty for too long: its committed offsets are gone."""
        self.group(group_id).offsets.clear()

    def records(self, topic: str) -> list[Entry]:
        """All committed records of a topic with their headers, partition by partition: what a checker looks at."""
        return [
            entry
            for stored in self._partitions(topic)
            for entry in stored.readable(stored.low, stored.end, stored.end)[0]
        ]

    # What the clients share

    def has_topic(self, name: str) -> bool:
        """Whether the topic exists."""
        return name in self._topics

    def partition(self, partition: TopicPartition) -> Partition:
        """The stored partition; raises TopicMissing."""
        stored = self._partitions(partition.topic)
        if not 0 <= partition.partition < len(stored):
            raise TopicMissing(f"{partition.topic} has no partition {partition.partition}", "_UNKNOWN_PARTITION")
        return stored[partition.partition]

    def partition_count(self, topic: str) -> int:
        """0 where the topic does not exist."""
        return len(self._topics.get(topic, ()))

    def delete_group(self, group_id: str) -> None:
        """No error where it is not there."""
        if self.group(group_id).members:
            raise LogError(f"{group_id} has members", "NON_EMPTY_GROUP")
        del self._groups[group_id]

    def group(self, group_id: str) -> Group:
        """The group's coordinator."""
        if group_id not in self._groups:
            self._groups[group_id] = Group(group_id, self.partition_count, self._session_timeout)
        return self._groups[group_id]

    def target(self, record: OutputRecord) -> TopicPartition:
        """Where the record goes: its partition, else murmur2 of its key, else the next one."""
        count = len(self._partitions(record.topic))
        if record.partition is not None:
            return TopicPartition(record.topic, record.partition)
        if record.key is not None:
            from streams.partitioner import partition_of  # compiled: nobody waits for it who has no such log

            return TopicPartition(record.topic, partition_of(record.key, count))
        self._keyless += 1
        return TopicPartition(record.topic, self._keyless % count)

    def await_leader(self, partition: TopicPartition, timeout: int, error: type[LogError]) -> None:
        """Wait while the partition is down; raises `error` where that takes longer than `timeout` ms."""
        until = self.clock + timeout
        while partition in self.faults.down:
            if self.clock >= until:
                raise error(f"{partition.topic}/{partition.partition} has no leader", "_MSG_TIMED_OUT")
            self.wait(100)

    def describe(self, topic: str) -> TopicInfo | None:
        """As the broker would."""
        if topic not in self._topics:
            return None
        return TopicInfo(topic, len(self._topics[topic]), 1, dict(self._configs[topic]))

    def _partitions(self, topic: str) -> list[Partition]:
        if topic not in self._topics:
            raise TopicMissing(f"the topic {topic} does not exist", "UNKNOWN_TOPIC_OR_PART")
        return self._topics[topic]


class MemoryReader:
    """Reads ranges, outside any group."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def bounds(self, partition: TopicPartition, timeout: float) -> tuple[int, int]:
        with self._log.faults.around("read"):
            self._log.await_leader(partition, int(timeout * 1000), Unreachable)
            stored = self._log.partition(partition)
            return stored.low, stored.stable_end

    def read(self, partition: TopicPartition, start: int, end: int, timeout: float) -> Iterator[RecordBatch]:
        stored = self._log.partition(partition)
        position = start
        while position < end:
            with self._log.faults.around("read"):
                self._log.await_leader(partition, int(timeout * 1000), Unreachable)
                if stored.low > position:
                    raise OffsetOutOfRange(
                        f"{partition.topic}/{partition.partition} begins at {stored.low}, after {position}",
                        "_AUTO_OFFSET_RESET",
                    )
                before = position
                entries, position = stored.readable(position, end, _READ_CHUNK)
                if position == before:
                    raise Unreachable(
                        f"{partition.topic}/{partition.partition} has nothing to read from {position} on", "_TIMED_OUT"
                    )
            if entries:
                yield stored.batch(entries)

    def close(self) -> None: ...


class MemoryAdmin:
    """Creates, describes and trims topics."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def describe(self, topics: Sequence[str], timeout: float) -> dict[str, TopicInfo | None]:
        with self._log.faults.around("admin"):
            return {topic: self._log.describe(topic) for topic in topics}

    def allowed(self, topics: Sequence[str], timeout: float) -> dict[str, frozenset[str]]:
        with self._log.faults.around("admin"):
            return {topic: _OPERATIONS for topic in topics if self._log.has_topic(topic)}

    def allowed_groups(self, groups: Sequence[str], timeout: float) -> dict[str, frozenset[str]]:
        with self._log.faults.around("admin"):
            return dict.fromkeys(groups, _OPERATIONS)

    def create(
        self, name: str, partitions: int, config: Mapping[str, str], replication_factor: int | None, timeout: float
    ) -> None:
        with self._log.faults.around("admin"):
            self._log.create_topic(name, partitions, config)

    def delete_topics(self, topics: Sequence[str], timeout: float) -> None:
        with self._log.faults.around("admin"):
            for topic in topics:
                self._log.delete_topic(topic)

    def delete_groups(self, groups: Sequence[str], timeout: float) -> None:
        with self._log.faults.around("admin"):
            for group in groups:
                self._log.delete_group(group)

    def delete_records_before(self, partition: TopicPartition, offset: int, timeout: float) -> None:
        with self._log.faults.around("admin"):
            stored = self._log.partition(partition)
            if offset > stored.end:
                raise OffsetOutOfRange(
                    f"{partition.topic}/{partition.partition} ends at {stored.end}, before {offset}",
                    "OFFSET_OUT_OF_RANGE",
                )
            stored.cut(offset)

    def offset_for_time(self, partition: TopicPartition, timestamp: int, timeout: float) -> int:
        with self._log.faults.around("admin"):
            stored = self._log.partition(partition)
            if timestamp < 0:  # to Kafka -1 is the end, and less than that no time at all
                raise LogError(f"{partition.topic}/{partition.partition}: no offset for the time {timestamp}")
            return next(
                (e.offset for e in stored.entries if not e.marker and e.timestamp >= timestamp), stored.stable_end
            )

    def close(self) -> None: ...
