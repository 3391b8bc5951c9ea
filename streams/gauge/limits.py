"""One alert for each limit that a model goes beyond, until nothing has for an hour of the ticks' clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streams.alerts import Condition
from streams.state import Count, Time, shaped

_QUIET = 3_600_000
_TEXTS = {
    "variants": "more variants were seen than are told apart; the rest counts as __other__",
    "classes": "more classes were seen than limits.categories allows; the rest counts as __other__",
    "open_windows": "more windows were open than limits.open_windows allows; what would have opened more counts in "
    "cumulative and rolling windows alone",
}


class Limits:
    """Notes when more goes beyond a limit. How much it is depends on how the log was cut, so that is not told."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._latest: dict[str, int] = {}  # the ticks' clock when there last was more

    def tick(self, beyond: Mapping[str, int], clock: int) -> list[Condition]:
        """`beyond` says, by the limit's name, what has gone beyond it so far. The conditions that hold or ended."""
        told = []
        for name, sightings in beyond.items():
            if sightings > self._seen.get(name, 0):
                self._latest[name] = clock
            self._seen[name] = sightings
            if name in self._latest:
                active = clock - self._latest[name] < _QUIET
                told.append(_condition(name, active=active))
                if not active:
                    del self._latest[name]
        return told

    def snapshot(self) -> Any:
        """The state, for `streams.state.pack`."""
        return [[name, seen, self._latest.get(name)] for name, seen in self._seen.items()]

    def restore(self, tree: Any) -> None:
        """Take back what snapshot gave."""
        for name, seen, latest in shaped(list[tuple[str, Count, Time | None]], tree):
            self._seen[name] = seen
            if latest is not None:
                self._latest[name] = latest


def _condition(name: str, *, active: bool) -> Condition:
    text = _TEXTS.get(name, f"more {name} were seen than limits.{name} allows; the rest counts as __other__")
    return Condition("data_quality", f"limits/{name}", name, active=active, text=text)
