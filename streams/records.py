"""What the core reads and writes: plain records, with no Kafka client behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]
Float64Array = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]
Headers = tuple[tuple[str, bytes], ...]


class Unreadable(ValueError):
    """Bytes of ours (state, outcomes) that are damaged, or of a version that this one cannot read."""


class TopicPartition(NamedTuple):
    """A partition of a topic, by name and number."""

    topic: str
    partition: int


def _no_key(_: int) -> bytes | None:
    return None


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Consecutive records of one partition, as columns; offsets rise strictly (gaps are transaction markers).

    `timestamps` are the Kafka records' own, in epoch milliseconds. `key(i)` reads the key of record i: a
    function, because only dead letters ever ask for it.
    """

    source: TopicPartition
    offsets: Int64Array
    timestamps: Int64Array
    values: Sequence[bytes | None]
    key: Callable[[int], bytes | None] = _no_key

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """A record to be produced. `partition` None lets the log choose by murmur2 of the key, as Java does."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Moment:
    """What the worker knows of the world when it hands a batch to a join task. Wall time enters only here.

    `clock` is the wall clock in epoch milliseconds; `at_end` are the source partitions whose end of log was
    reached by this batch; `stalled` is for how many milliseconds Kafka did not let the batches before this one be
    committed, 0 where that is nothing to speak of.
    """

    clock: int
    at_end: frozenset[TopicPartition]
    stalled: int = 0
