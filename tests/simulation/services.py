"""The user's services, which write the inputs: plainly, or for a while in a transaction of their own.

A transaction that is committed shows its records late, and whatever was written behind them in their partitions. Of
one that is aborted nothing may ever be seen: what it holds are copies of what is written plainly meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from streams.log import MemoryLog
from streams.records import OutputRecord, TopicPartition


@dataclass(frozen=True, slots=True)
class _Open:
    """A transaction of a service's that has not ended."""

    transactional_id: str
    epoch: int
    committed: bool


class Services:
    """Appends to the log as a user's producers do."""

    def __init__(self, log: MemoryLog, seen: Counter[str]) -> None:
        self._log = log
        self._seen = seen
        self._open: list[_Open] = []
        self._begun = 0

    def begin(self, *, committed: bool) -> Callable[[], None]:
        """What is written from now on is in a transaction too, until the returned function ends it."""
        self._begun += 1
        transactional_id = f"service-{self._begun}"
        mine = _Open(transactional_id, self._log.transactions.init(transactional_id), committed)
        self._open.append(mine)

        def end() -> None:
            self._open.remove(mine)
            self._log.transactions.end(mine.transactional_id, mine.epoch, committed=mine.committed)

        return end

    def append(self, record: OutputRecord, timestamp: int) -> tuple[TopicPartition, int]:
        """Where the record went, the one that counts."""
        serial = 0
        for each in self._open:
            if each.committed:
                serial = self._enter(each, record)
                self._seen["an input in a transaction of its service"] += 1
            else:
                self._write(record, timestamp, self._enter(each, record))
                self._seen["an input that is aborted"] += 1
        return self._write(record, timestamp, serial)

    def _enter(self, transaction: _Open, record: OutputRecord) -> int:
        """The serial of the transaction, of which the record's partition is one from now on."""
        opened = self._log.transactions.open(transaction.transactional_id, transaction.epoch)
        self._log.transactions.add(opened, self._log.target(record))
        return opened.serial

    def _write(self, record: OutputRecord, timestamp: int, serial: int) -> tuple[TopicPartition, int]:
        return self._log.append(record.topic, record.value, key=record.key, timestamp=timestamp, transaction=serial)
