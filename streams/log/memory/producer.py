"""The transactional producer of the in-memory log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING

from streams.log.base import (
    Abortable,
    Committed,
    Fenced,
    GroupMetadata,
    LogError,
    MembershipLost,
    ProducerFatal,
    Retriable,
    UnknownOutcome,
)
from streams.log.checks import refuse_foreign_offsets, refuse_large_record
from streams.records import OutputRecord, TopicPartition

if TYPE_CHECKING:
    from streams.log.memory.log import MemoryLog


class ProducerState(Enum):
    """NEW → READY ⇄ OPEN; OPEN → ABORTABLE → READY; any → DEAD."""

    NEW = "new"
    READY = "ready"
    OPEN = "open"
    ABORTABLE = "abortable"
    DEAD = "dead"


class MemoryProducer:
    """One transactional id, one transaction at a time."""

    def __init__(self, log: MemoryLog, transactional_id: str) -> None:
        self._log = log
        self._id = transactional_id
        self._epoch = 0
        self._state = ProducerState.NEW
        self._committing = False
        self._deliveries: list[tuple[Callable[[int], None], int]] = []
        self._queue: list[tuple[TopicPartition, OutputRecord, Callable[[int], None] | None]] = []

    def init_transactions(self, timeout: float) -> None:
        self._require(ProducerState.NEW)
        self._step("init_transactions", self._init)

    def begin(self) -> None:
        self._require(ProducerState.READY)
        self._step("begin", self._begin)

    def produce(self, record: OutputRecord, on_delivery: Callable[[int], None] | None = None) -> None:
        self._require(ProducerState.OPEN)
        refuse_large_record(record)
        self._step("produce", lambda: self._append(record, on_delivery))

    def send_offsets(self, offsets: Mapping[TopicPartition, Committed], group: GroupMetadata, timeout: float) -> None:
        self._require(ProducerState.OPEN)
        refuse_foreign_offsets(offsets, group)
        self._step("send_offsets", lambda: self._add_offsets(offsets, group))

    def commit(self, timeout: float) -> None:
        self._require(ProducerState.OPEN)
        self._step("commit", self._commit)

    def abort(self, timeout: float) -> None:
        self._require(ProducerState.OPEN, ProducerState.ABORTABLE)
        self._step("abort", self._abort)

    def close(self) -> None:
        """An open transaction is aborted where it can be; a dead producer's stays open until a successor or the
        time-out ends it."""
        alive = self._state in {ProducerState.OPEN, ProducerState.ABORTABLE}
        self._state = ProducerState.DEAD
        if alive and self._log.transactions.owns(self._id, self._epoch):
            self._log.transactions.end(self._id, self._epoch, committed=False)

    def _init(self) -> None:
        self._epoch = self._log.transactions.init(self._id)
        self._await_markers()
        self._log.transactions.verify(self._id, self._epoch)
        self._state = ProducerState.READY

    def _begin(self) -> None:
        self._state = ProducerState.OPEN
        self._committing = False
        self._deliveries.clear()
        self._queue.clear()

    def _append(self, record: OutputRecord, on_delivery: Callable[[int], None] | None) -> None:
        """To the broker, or into the queue where the producer lingers, the leader is away, or others wait already."""
        target = self._log.target(record)
        if self._queue or self._log.faults.linger or target in self._log.faults.down:
            self._queue.append((target, record, on_delivery))
        else:
            self._deliver(target, record, on_delivery)

    def _flush(self) -> None:
        while self._queue:
            target, record, on_delivery = self._queue[0]
            self._log.await_leader(target, self._log.delivery_timeout, Abortable)
            self._deliver(target, record, on_delivery)
            self._queue.pop(0)

    def _await_markers(self) -> None:
        """The transaction before must have ended everywhere before this id can have another."""
        until = self._log.clock + self._log.delivery_timeout
        while self._log.transactions.is_ending(self._id):
            if self._log.clock >= until:
                raise Retriable(f"the last transaction of {self._id} has not ended yet", "CONCURRENT_TRANSACTIONS")
            self._log.wait(100)

    def _deliver(self, target: TopicPartition, record: OutputRecord, on_delivery: Callable[[int], None] | None) -> None:
        self._await_markers()
        transaction = self._log.transactions.open(self._id, self._epoch)
        self._log.transactions.add(transaction, target)
        offset = self._log.partition(target).append(
            self._log.clock, record.key, record.value, record.headers, transaction.serial
        )
        if on_delivery is not None:
            self._deliveries.append((on_delivery, offset))

    def _add_offsets(self, offsets: Mapping[TopicPartition, Committed], group: GroupMetadata) -> None:
        self._await_markers()
        transaction = self._log.transactions.open(self._id, self._epoch)
        self._log.group(group.group_id).verify_offsets(group)
        self._log.transactions.add_offsets(transaction, group.group_id, offsets)

    def _commit(self) -> None:
        # Deliveries are reported while the client flushes, before the commit itself is asked for.
        self._flush()
        for on_delivery, offset in self._deliveries:
            on_delivery(offset)
        self._log.transactions.verify(self._id, self._epoch)
        self._committing = True
        self._log.transactions.end(self._id, self._epoch, committed=True)
        self._state = ProducerState.READY

    def _abort(self) -> None:
        if self._committing:  # the coordinator has prepared the commit, whatever was heard of it (KIP-98)
            raise ProducerFatal(f"the transaction of {self._id} is being committed already", "INVALID_TXN_STATE")
        self._log.transactions.end(self._id, self._epoch, committed=False)
        self._state = ProducerState.READY

    def _step(self, name: str, action: Callable[[], None]) -> None:
        try:
            with self._log.faults.around(name):
                action()
        except (Abortable, MembershipLost):
            self._state = ProducerState.ABORTABLE
            raise
        except (Fenced, ProducerFatal, UnknownOutcome):
            self._state = ProducerState.DEAD
            raise

    def _require(self, *allowed: ProducerState) -> None:
        if self._state in allowed:
            return
        if self._state is ProducerState.DEAD:
            raise ProducerFatal(f"the producer {self._id} is of no more use", "_FATAL")
        if self._state is ProducerState.ABORTABLE:
            raise Abortable(f"the transaction of {self._id} must be aborted first", "_STATE")
        raise LogError(f"the producer {self._id} is {self._state.value}", "_STATE")
