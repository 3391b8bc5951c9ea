"""The transaction coordinator in memory: epochs fence producers, markers end transactions, time ends forgotten ones.

READY ──first record or offset──► OPEN ──commit──► ENDING ──the last marker──► READY
                                   └─abort, new producer, time-out──► ENDING (epoch + 1, but for an abort)

Once it is ending, a transaction's markers reach its partitions and groups one after the other (KIP-98), whatever
becomes of its producer: others see some of it before the rest. A partition without a leader gets its marker once it has
one, and others may get theirs late as well; until then the id can open no other transaction. What is too old is found
at the coordinator's next scan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from streams.log.base import Committed, ProducerFenced
from streams.log.memory.faults import Faults
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
    committed: bool | None = None
    """How it ends; None while it does not."""


class Transactions:
    """All transactional ids of a log."""

    def __init__(
        self,
        timeout: int,
        partition: Callable[[TopicPartition], Partition],
        group: Callable[[str], Group],
        clock: Callable[[], int],
        faults: Faults,
    ) -> None:
        self._timeout = timeout
        self._partition = partition
        self._group = group
        self._clock = clock
        self._faults = faults
        self._ids: dict[str, Transaction] = {}
        self._serial = 0
        self.scan = 1
        """How often the coordinator looks for transactions that are too old, ms: brokers do every ten seconds."""

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
        """Whether this producer is still the id's latest. One that was never initialised owns nothing."""
        transaction = self._ids.get(transactional_id)
        return transaction is not None and transaction.epoch == epoch

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
        """Write the markers that are left, and abort what has been open for longer than the time-out: its producer is
        fenced."""
        for transaction in self._ids.values():
            if transaction.committed is not None:
                self._write_markers(transaction)
            if transaction.serial and transaction.committed is None and now >= self._expires_at(transaction):
                self._finish(transaction, committed=False)
                transaction.epoch += 1

    def _expires_at(self, transaction: Transaction) -> int:
        """The first scan at which it is too old."""
        return -(-(transaction.started + self._timeout) // self.scan) * self.scan

    @property
    def ending(self) -> bool:
        """Whether any transaction has some of its markers and not the others."""
        return any(transaction.committed is not None for transaction in self._ids.values())

    def is_ending(self, transactional_id: str) -> bool:
        """Whether markers of this id's last transaction are still to be written."""
        transaction = self._ids.get(transactional_id)
        return transaction is not None and transaction.committed is not None

    def unstable_for(self, group_id: str, partitions: Iterable[TopicPartition]) -> int:
        """How long, in ms, until no open transaction holds offsets of these any more; 0 where none does."""
        wanted = set(partitions)
        return max(
            (
                1 if transaction.committed is not None else max(self._expires_at(transaction) - self._clock(), 1)
                for transaction in self._ids.values()
                if transaction.serial and wanted & transaction.offsets.get(group_id, {}).keys()
            ),
            default=0,
        )

    def _finish(self, transaction: Transaction, *, committed: bool) -> None:
        """End it; of one that is ending already, only write what is left."""
        if not transaction.serial:
            return
        serial = transaction.serial
        if transaction.committed is None:
            transaction.committed = committed
            self._write_marker(transaction)
            while transaction.serial == serial and (transaction.partitions or transaction.offsets):
                self._faults.pass_by("marker")
                if transaction.serial == serial and not self._write_marker(transaction):
                    break
        if transaction.serial == serial:
            self._write_markers(transaction)
            if transaction.serial == serial:
                self._faults.pass_by("marker waits")

    def _write_markers(self, transaction: Transaction) -> None:
        while self._write_marker(transaction):
            pass
        if not transaction.partitions and not transaction.offsets:
            transaction.serial = 0
            transaction.committed = None

    def _write_marker(self, transaction: Transaction) -> bool:
        """The next marker that can be written. Returns whether there was one."""
        faults = self._faults
        place = next((p for p in transaction.partitions if p not in faults.down and p not in faults.late), None)
        if place is not None and not (self._faults.offsets_first and transaction.offsets):
            transaction.partitions.remove(place)
            self._partition(place).finish(transaction.serial, self._clock(), committed=bool(transaction.committed))
            return True
        if transaction.offsets:
            group_id = next(iter(transaction.offsets))
            offsets = transaction.offsets.pop(group_id)
            if transaction.committed:
                self._group(group_id).offsets.update(offsets)
            return True
        return False
