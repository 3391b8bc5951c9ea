"""Batches of one partition that were read one after the other, as one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from streams.records import RecordBatch, TopicPartition


def join_batches(parts: Sequence[RecordBatch]) -> list[RecordBatch]:
    """One batch a partition, in the order in which the partitions first appeared."""
    by_source: dict[TopicPartition, list[RecordBatch]] = {}
    for part in parts:
        if len(part):
            by_source.setdefault(part.source, []).append(part)
    return [each[0] if len(each) == 1 else _concatenate(each) for each in by_source.values()]


def _concatenate(parts: list[RecordBatch]) -> RecordBatch:
    starts = list(accumulate((len(part) for part in parts), initial=0))

    def key(i: int) -> bytes | None:
        at = bisect_right(starts, i) - 1
        return parts[at].key(i - starts[at])

    return RecordBatch(
        parts[0].source,
        np.concatenate([part.offsets for part in parts]),
        np.concatenate([part.timestamps for part in parts]),
        [value for part in parts for value in part.values],
        key,
    )
