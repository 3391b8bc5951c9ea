"""A lane: the values that a stretch of rows brings to one series, as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.records import Float64Array, Int64Array, UInt8Array


@dataclass(frozen=True, slots=True)
class Lane:
    """Finite values in row order. `rows` are places in the log of the model (counted from its first row).

    `offsets`, `labelled` and `partitions` name the input record behind each value: its offset, whether it is a label
    (else a prediction), and its partition.
    """

    values: Float64Array
    rows: Int64Array
    timestamps: Int64Array
    offsets: Int64Array
    labelled: UInt8Array
    partitions: Int64Array

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def empty(cls) -> Lane:
        """Of no values."""
        none = np.empty(0, np.int64)
        return cls(np.empty(0), none, none, none, np.empty(0, np.uint8), none)

    def part(self, start: int, stop: int) -> Lane:
        """The values [start, stop)."""
        return Lane(
            self.values[start:stop],
            self.rows[start:stop],
            self.timestamps[start:stop],
            self.offsets[start:stop],
            self.labelled[start:stop],
            self.partitions[start:stop],
        )

    def upto(self, row: int) -> int:
        """How many values lie at rows <= `row`."""
        return int(np.searchsorted(self.rows, row, side="right"))

    def finite(self) -> Lane:
        """The lane without its missing and infinite values."""
        good = np.isfinite(self.values)
        return self if good.all() else self.where(good)

    def where(self, good: npt.NDArray[np.bool_]) -> Lane:
        """Those of its rows that are good; its values too, where it has any yet."""
        return Lane(
            self.values[good] if len(self.values) else self.values,
            self.rows[good],
            self.timestamps[good],
            self.offsets[good],
            self.labelled[good],
            self.partitions[good],
        )
