"""One partition in memory: records and transaction markers at rising offsets, and how far a reader may see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from streams.records import Headers, RecordBatch, TopicPartition


class Entry(NamedTuple):
    """What takes an offset. `transaction` is 0 for a record outside any; a marker is never handed out, and neither is
    what compaction has taken away, which looks like one."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    transaction: int
    marker: bool


@dataclass(slots=True)
class Partition:
    """Entries are dense in offset from `low` on, so an offset is an index."""

    source: TopicPartition
    low: int = 0
    entries: list[Entry] = field(default_factory=list)
    open: dict[int, int] = field(default_factory=dict)
    """First offset of each transaction that has not ended."""
    aborted: set[int] = field(default_factory=set)

    @property
    def end(self) -> int:
        """The high watermark."""
        return self.low + len(self.entries)

    @property
    def stable_end(self) -> int:
        """The last stable offset: nothing from the first open transaction on is readable."""
        return max(min(self.open.values(), default=self.end), self.low)

    def append(
        self, timestamp: int, key: bytes | None, value: bytes | None, headers: Headers, transaction: int = 0
    ) -> int:
        """The offset of the new record."""
        offset = self.end
        if transaction:
            self.open.setdefault(transaction, offset)
        self.entries.append(Entry(offset, timestamp, key, value, headers, transaction, marker=False))
        return offset

    def finish(self, transaction: int, timestamp: int, *, committed: bool) -> None:
        """Write the transaction's marker, which takes an offset of its own."""
        self.open.pop(transaction, None)
        if not committed:
            self.aborted.add(transaction)
        self.entries.append(Entry(self.end, timestamp, None, None, (), transaction, marker=True))

    def cut(self, offset: int) -> None:
        """Delete all before `offset`."""
        keep = min(max(offset, self.low), self.end)
        del self.entries[: keep - self.low]
        self.low = keep

    def compact(self, stop: int) -> None:
        """Take away, below `stop`, aborted records and those with a newer committed one of their key; offsets stay as
        they are. A tombstone goes where it is the newest: after its delete.retention.ms."""
        newest: dict[bytes | None, int] = {}
        stop = min(stop, self.stable_end)
        for entry in self.entries[: stop - self.low]:
            if not entry.marker and entry.transaction not in self.aborted:
                newest[entry.key] = entry.offset
        for entry in self.entries[: stop - self.low]:
            if entry.marker or (newest.get(entry.key) == entry.offset and entry.value is not None):
                continue
            gone = entry._replace(key=None, value=None, headers=(), marker=True)
            self.entries[entry.offset - self.low] = gone

    def readable(self, start: int, stop: int, limit: int) -> tuple[list[Entry], int]:
        """Up to `limit` committed records of [start, stop), none beyond the stable end; and the position after them.
        Markers and aborted records behind the last one are passed over as well."""
        stop = min(stop, self.stable_end)
        found: list[Entry] = []
        position = start
        while position < stop and len(found) < limit:
            entry = self.entries[position - self.low]
            if not entry.marker and entry.transaction not in self.aborted:
                found.append(entry)
            position += 1
        while position < stop:
            entry = self.entries[position - self.low]
            if not entry.marker and entry.transaction not in self.aborted:
                break
            position += 1
        return found, max(position, start)

    def batch(self, entries: list[Entry]) -> RecordBatch:
        """The entries as columns."""
        return RecordBatch(
            self.source,
            np.array([entry.offset for entry in entries], np.int64),
            np.array([entry.timestamp for entry in entries], np.int64),
            [entry.value for entry in entries],
            lambda i: entries[i].key,
        )
