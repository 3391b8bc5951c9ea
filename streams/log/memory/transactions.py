"""The transaction coordinator in memory: epochs fence producers, markers end transactions, time ends forgotten ones.

READY ──first record or offset──► OPEN ──commit──► READY
                                   │ ──abort, new producer, time-out──► READY (epoch + 1, but for an abort)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from streams.log.base import Committed, ProducerFenced
from streams.log.memory.group import Group
from streams.log.memory.partition import Partition
from streams.records import TopicPartition


@dataclass(slots=True)
class Transaction:
    """One transactional id. `serial` is 0 while no transaction is open."""

    epoch: int = 0
    serial: int = 0
    started: int = 0
    partitions: list[TopicPartition] = field(default_factory=list)
    offsets: dict[str, dict[TopicPartition, Committed]] = field(default_factory=dict)


class Transactions:
    """All transactional ids of a log."""

    def __init__(
        self,
        timeout: int,
        partition: Callable[[TopicPartition], Partition],
        group: Callable[[str], Group],
        clock: Callable[[], int],
    ) -> None:
        self._timeout = timeout
        self._partition = partition
        self._group = group
        self._clock = clock
        self._ids: dict[str, Transaction] = {}
        self._serial = 0

    def init(self, transactional_id: str) -> int:
        """The new producer's epoch; what its predecessor left open is aborted."""
        transaction = self._ids.setdefault(transactional_id, Transaction())
        self._finish(transaction, committed=False)
        transaction.epoch += 1
        return transaction.epoch

    def verify(self, transactional_id: str, epoch: int) -> Transaction:
        """The transaction; raises ProducerFenced where another producer, or the time-out, has taken the id over."""
        transaction = self._ids[transactional_id]
        if transaction.epoch != epoch:
            raise ProducerFenced(f"a newer producer has taken the transactional id {transactional_id}", "_FENCED")
        return transaction

    def owns(self, transactional_id: str, epoch: int) -> bool:
        """Whether this producer is still the id's latest."""
        return self._ids[transactional_id].epoch == epoch

    def open(self, transactional_id: str, epoch: int) -> Transaction:
        """The open transaction, opened now where there was none."""
        transaction = self.verify(transactional_id, epoch)
        if not transaction.serial:
            self._serial += 1
            transaction.serial = self._serial
            transaction.started = self._clock()
        return transaction

    def add(self, transaction: Transaction, partition: TopicPartition) -> None:
        """Records of the transaction go to this partition."""
        if partition not in transaction.partitions:
            transaction.partitions.append(partition)

    def add_offsets(self, transaction: Transaction, group_id: str, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Offsets to be committed with the transaction."""
        transaction.offsets.setdefault(group_id, {}).update(offsets)

    def end(self, transactional_id: str, epoch: int, *, committed: bool) -> None:
        """Commit or abort what is open."""
        self._finish(self.verify(transactional_id, epoch), committed=committed)

    def expire(self, now: int) -> None:
        """Abort what has been open for longer than the time-out, and fence its producer."""
        for transaction in self._ids.values():
            if transaction.serial and now - transaction.started >= self._timeout:
                self._finish(transaction, committed=False)
                transaction.epoch += 1

    def unstable_for(self, group_id: str, partitions: Iterable[TopicPartition]) -> int:
        """How long, in ms, until no open transaction holds offsets of these any more; 0 where none does."""
        wanted = set(partitions)
        return max(
            (
                max(transaction.started + self._timeout - self._clock(), 1)
                for transaction in self._ids.values()
                if transaction.serial and wanted & transaction.offsets.get(group_id, {}).keys()
            ),
            default=0,
        )

    def _finish(self, transaction: Transaction, *, committed: bool) -> None:
        if not transaction.serial:
            return
        for partition in transaction.partitions:
            self._partition(partition).finish(transaction.serial, self._clock(), committed=committed)
        if committed:
            for group_id, offsets in transaction.offsets.items():
                self._group(group_id).offsets.update(offsets)
        transaction.serial = 0
        transaction.partitions = []
        transaction.offsets = {}
