"""What the histograms of cumulative cells hold beyond 32 bits: exact counts for ever, at no cost to panes.

A row adds at most one to a bin, so after `carry`, which leaves less than FULL in every bin, there is room for FULL rows
more. It moves counts and changes none: when it comes makes no difference.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from streams.gauge.windows.store import DELAY_BINS, LATENCY_BINS, N_SCOPES, Store
from streams.records import Int64Array

FULL = 2**30
EXCESS_BINS = DELAY_BINS + LATENCY_BINS


class Excess:
    """By scope, what was carried out of the bins of its cumulative cell: label delays, then latencies."""

    def __init__(self, tree: list[Any] | None = None) -> None:
        self._of: dict[int, Int64Array] = {scope: bins.copy() for scope, bins in tree or []}
        self._rows = 0  # since the last time

    def make_room(self, store: Store, rows: int) -> None:
        """See that so many rows more can be folded."""
        self._rows += rows
        if self._rows > FULL:
            self.carry(store)
            self._rows = rows

    def carry(self, store: Store) -> None:
        """Leave less than FULL in every bin of the cumulative cells."""
        for scope, cell in enumerate(store.scopes["ever_cell"][: int(store.counts[N_SCOPES])].tolist()):
            if cell < 0:
                continue
            bins = np.concatenate([store.cells["delay"][cell], store.cells["latency"][cell]]).astype(np.int64)
            bins[bins < -(2**30)] += 2**32  # an earlier version let it go round
            bins += self._of.pop(scope, 0)
            kept = np.where(bins > 0, bins % FULL, bins)
            if (kept != bins).any():
                self._of[scope] = bins - kept
            store.cells["delay"][cell] = kept[:DELAY_BINS]
            store.cells["latency"][cell] = kept[DELAY_BINS:]

    def add_to(self, scope: int, delay: Int64Array, latency: Int64Array) -> None:
        """Complete the histograms of the scope's cumulative cell."""
        if scope in self._of:
            delay += self._of[scope][:DELAY_BINS]
            latency += self._of[scope][DELAY_BINS:]

    def forget(self, scopes: list[int]) -> None:
        """Of scopes that count anew."""
        for scope in scopes:
            self._of.pop(scope, None)

    def snapshot(self) -> list[Any]:
        """What it is made from."""
        return [[scope, bins.copy()] for scope, bins in sorted(self._of.items())]
