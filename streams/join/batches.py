"""Record batches of one partition as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streams.records import RecordBatch, TopicPartition


def merged(batches: Sequence[RecordBatch], source: TopicPartition) -> RecordBatch | None:
    """The records of `source`, in the order of the batches; None where there are none."""
    ours = [batch for batch in batches if batch.source == source and len(batch)]
    if len(ours) < 2:
        return ours[0] if ours else None
    starts = np.cumsum([0, *map(len, ours)])

    def key(i: int) -> bytes | None:
        which = int(np.searchsorted(starts, i, side="right")) - 1
        return ours[which].key(i - int(starts[which]))

    return RecordBatch(
        source,
        np.concatenate([batch.offsets for batch in ours]),
        np.concatenate([batch.timestamps for batch in ours]),
        [value for batch in ours for value in batch.values],
        key,
    )
