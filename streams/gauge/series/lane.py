"""A lane: the values that a stretch of rows brings to one series, as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streams.records import Float64Array, Int64Array


@dataclass(frozen=True, slots=True)
class Lane:
    """Finite values in row order. `rows` are places in the log of the model (counted from its first row).

    `offsets`, `partitions` and `labelled` name the input record behind each value: its offset, its partition and
    whether it is a label (else a prediction).
    """

    values: Float64Array
    rows: Int64Array
    timestamps: Int64Array
    offsets: Int64Array
    partitions: Int64Array
    labelled: Int64Array

    def __len__(self) -> int:
        return len(self.values)

    def part(self, start: int, stop: int) -> Lane:
        """The values [start, stop)."""
        return Lane(
            self.values[start:stop],
            self.rows[start:stop],
            self.timestamps[start:stop],
            self.offsets[start:stop],
            self.partitions[start:stop],
            self.labelled[start:stop],
        )

    def upto(self, row: int) -> int:
        """How many values lie at rows <= `row`."""
        return int(np.searchsorted(self.rows, row, side="right"))
