"""Records that were met where they do not belong, or that were too many for their key: alerts about our own input.

A misplaced record cannot meet its label, so it is a `pipeline` alert; records of one key beyond the limit are dropped,
which is a `data_quality` alert. Both end after an hour of the ticks' clock without another.
"""

from __future__ import annotations

from typing import Any

from streams.alerts import Condition
from streams.outcomes import Counter, Kind, Rows
from streams.state import Count, Time, shaped

_QUIET = 3_600_000
_TEXTS = {
    Counter.MISPLACED: (
        "pipeline", "input/misplaced", "misplaced",
        "{:,} records were on a partition that the partitioner does not give for their label_key, and were left out; "
        "check the producers' partitioner with doctor",
    ),
    Counter.OVERFLOW: (
        "data_quality", "limits/records_per_key", "records_per_key",
        "{:,} records had a label_key with more records than limits.records_per_key allows, and were left out",
    ),
}  # fmt: skip


class Strays:
    """Counts what is left out, from the first until an hour without any."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._latest: dict[int, int] = {}  # the ticks' clock at the last of each
        self._active: dict[int, bool] = {}

    def watch(self, rows: Rows, clock: int) -> None:
        """Look at the next rows."""
        if not (rows.kind == Kind.COUNT).any():
            return
        for counter in _TEXTS:
            at = (rows.kind == Kind.COUNT) & (rows.counter == counter)
            if at.any():
                amounts = rows.amount[at]
                self._counts[counter] = self._counts.get(counter, 0) + int(amounts.clip(min=1).sum())
                self._latest[counter] = clock

    def tick(self, clock: int) -> list[Condition]:
        """The conditions that hold, with what they have come to, or ended since the last tick."""
        told = []
        for counter, latest in list(self._latest.items()):
            if latest == 0:  # met before the first tick
                self._latest[counter] = latest = clock
            active = clock - latest < _QUIET
            if active or self._active.get(counter, False):
                kind, rule, subject, text = _TEXTS[Counter(counter)]
                sentence = text.format(self._counts[counter])
                told.append(Condition(kind, rule, subject, active, sentence))  # type: ignore[arg-type]
            self._active[counter] = active
            if not active:  # the next ones are news, and counted as such
                del self._counts[counter], self._latest[counter], self._active[counter]
        return told

    def snapshot(self) -> Any:
        """The state, for `streams.state.pack`."""
        return [[counter, self._counts[counter], latest, self._active.get(counter, False)]
                for counter, latest in self._latest.items()]  # fmt: skip

    def restore(self, tree: Any) -> None:
        """Take back what snapshot gave."""
        for counter, count, latest, active in shaped(list[tuple[Count, Count, Time, bool]], tree):
            self._counts[counter], self._latest[counter], self._active[counter] = count, latest, active
