"""Silences and announced events: what mutes an alert, by the clock of the ticks. A muted alert is still published."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streams.alerts.alert import AlertKey
from streams.alerts.episode import Episode
from streams.state import Time, shaped

MOST = 1_000
"""As many silences and announced events are kept; of more, the one that ends first is let go."""


@dataclass(frozen=True, slots=True)
class Mute:
    """A silence or an announced event: matches alerts whose fields have these values, in [starts_at, ends_at)."""

    name: str
    matchers: tuple[tuple[str, str], ...]
    starts_at: int
    ends_at: int


_State = list[tuple[str, dict[str, str], Time, Time]]


class Mutes:
    """The mutes that may still matter, by name (`silence/<id>`, `calendar/<id>`)."""

    def __init__(self) -> None:
        self._mutes: dict[str, Mute] = {}
        self._ends: list[tuple[int, str]] = []  # in order

    def put(self, mute: Mute) -> None:
        """Add a mute, or change it."""
        self.remove(mute.name)
        self._mutes[mute.name] = mute
        insort(self._ends, (mute.ends_at, mute.name))
        if len(self._mutes) > MOST:
            self.remove(self._ends[0][1])

    def remove(self, name: str) -> None:
        """Take a mute away; no matter if it is not there."""
        mute = self._mutes.pop(name, None)
        if mute is not None:
            del self._ends[bisect_left(self._ends, (mute.ends_at, name))]

    def muting(self, model: str, episode: Episode, clock: int) -> str | None:
        """The name of the mute that matches an alert now; of several, the one that ends last."""
        if not self._mutes:
            return None
        fields = _fields(model, episode.key, episode)
        matching = [
            mute
            for mute in self._mutes.values()
            if mute.starts_at <= clock < mute.ends_at
            and all(fields.get(name) == value for name, value in mute.matchers)
        ]
        return max(matching, key=lambda mute: (mute.ends_at, mute.name)).name if matching else None

    def tick(self, clock: int) -> None:
        """Let go of what is over."""
        while self._ends and self._ends[0][0] <= clock:
            self.remove(self._ends[0][1])

    def snapshot(self) -> list[Any]:
        """The mutes as plain values."""
        return [[each.name, dict(each.matchers), each.starts_at, each.ends_at] for each in self._mutes.values()]

    def restore(self, tree: Sequence[Any]) -> None:
        """Take the mutes of a snapshot."""
        mutes = (Mute(name, tuple(matchers.items()), start, end) for name, matchers, start, end in shaped(_State, tree))
        self._mutes, self._ends = {}, []
        for mute in mutes:
            self.put(mute)


def _fields(model: str, key: AlertKey, episode: Episode) -> Mapping[str, str | None]:
    """What matchers look at: the fields of the event that are text, and the segment as `segment.<key>`."""
    return {
        "model": model,
        "version": key.version,
        "variant": key.variant,
        "rule": key.rule,
        "subject": key.subject,
        "kind": episode.facts.kind,
        "severity": episode.facts.severity,
        "alert_id": episode.alert_id,
        "episode_id": episode.episode_id,
        "group_id": episode.group_id,
        **{f"segment.{name}": value for name, value in key.segment},
    }
