"""What detectors with a sliding window share: the ring of the last values, its state, and when a change began."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.detector import SINCE, Detector, Float64Array, Int64Array, State, finite
from detectors.snapshot import SnapshotError

FILLED, NEXT = 4, 5
"""Places in `counts`: values in the ring, where the next one goes."""


class Windowed(Detector):
    """A detector whose state is a ring of its last values: whatever else it keeps can be counted anew from them."""

    _ring: Float64Array

    @abstractmethod
    def _recount(self) -> None:
        """Count the values of the ring into what a `reset` has emptied."""

    @property
    def full(self) -> bool:
        """Whether the ring is full: there is no test before."""
        return bool(self.counts[FILLED] == len(self._ring))

    def window_values(self) -> Float64Array:
        """The values in the ring, oldest first; a copy."""
        return np.roll(self._ring, -int(self.counts[NEXT])) if self.full else self._ring[: self.counts[FILLED]].copy()

    def state(self) -> State:
        return {"counts": self.counts, "ring": self._ring}

    def load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        counts, ring = self.counts.copy(), self._ring.copy()
        self._load_array(state, "counts", counts)
        self._load_array(state, "ring", ring)
        filled, at, size = int(counts[FILLED]), int(counts[NEXT]), len(ring)
        if not (0 <= filled <= size and 0 <= at < size and finite(ring) and filled in (size, at)):
            raise SnapshotError(f"the state of {self.name} is not one that can be: window out of bounds")
        self.reset()
        self.counts[:], self._ring[:] = counts, ring
        self._recount()


class Counting(Windowed):
    """A detector that counts its ring's values: what it keeps depends on which they are, not on what came before."""

    @abstractmethod
    def _take(self, values: Float64Array) -> int:
        """The kernel: feed up to and including the first alarm; its position, or -1."""

    @abstractmethod
    def _since(self) -> int:
        """At an alarm: how many values ago the change began."""

    def _feed(self, values: Float64Array) -> int:
        found = self._take(values)
        if found >= 0:
            self.counts[SINCE] = self._since()
        return found

    def _recount(self) -> None:
        """Take the values of the ring once more, place by place; counts as they were."""
        counts, ring = self.counts.copy(), self._ring[: self.counts[FILLED]].copy()
        self.reset()
        self._take(ring)
        self.counts[:] = counts


def middle_ranks(points: Float64Array, weights: Int64Array, values: Float64Array) -> Float64Array:
    """Twice the rank of each value among distinct ascending points of these weights, less one; ties in the middle."""
    below = np.concatenate(([0], np.cumsum(weights)))
    lower = below[np.searchsorted(points, values, side="left")]
    upper = below[np.searchsorted(points, values, side="right")]
    return (lower + upper).astype(np.float64)
