"""The book of a model's alerts: which are open, what is published when, and which incident they belong to.

What is published: the first event of each status, a change of severity while firing, and a firing alert every
`repeat` of the clock. An incident is open while an alert is, and until `incident_gap` after the last that fired has
resolved; one in which nothing fired ends with its last alert. At most `open_limit` alerts are open at once: further
ones are refused, and one data_quality alert says so until none has been refused for an hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from streams.alerts.alert import Alert, AlertKey, Resolution, Status, digest
from streams.alerts.episode import Episode, Facts
from streams.alerts.mutes import Mutes
from streams.alerts.settings import HOUR, AlertSettings
from streams.alerts.summary import summary
from streams.state import Count, Time, shaped

_REMEMBERED = 10_000
"""Of at least as many closed alerts the last sequence is remembered; older ones start again at 1, in a new episode."""

_OVERFLOW = AlertKey(None, None, (), "limits/open_alerts", "alerts")


class _State(TypedDict):
    open: list[dict[str, Any]]
    sequences: dict[str, Count]
    incident: str | None
    quiet_since: Time | None
    overflowed_at: Time


class AlertBook:
    """State of one model's alerts. Every method that takes a clock returns the events it leads to, in order."""

    def __init__(self, model: str, settings: AlertSettings, mutes: Mutes) -> None:
        self._model = model
        self._settings = settings
        self._mutes = mutes
        self._open: dict[AlertKey, Episode] = {}
        self._sequences: dict[str, int] = {}
        self._incident: str | None = None
        self._quiet_since: int | None = None
        self._overflowed_at = 0

    def get(self, key: AlertKey) -> Episode | None:
        """The open episode of an alert."""
        return self._open.get(key)

    def episodes(self) -> list[Episode]:
        """The open episodes, in the order they were opened."""
        return list(self._open.values())

    def raise_(self, key: AlertKey, facts: Facts, status: Status, clock: int) -> list[Alert]:
        """The condition holds: pending, or firing. What fires already goes on firing whichever it is."""
        episode = self._open.get(key)
        if episode is None:
            return self._begin(key, facts, status, clock)
        severity, episode.facts, episode.heard_at = episode.facts.severity, facts, clock
        if status is Status.FIRING and episode.status is Status.PENDING:
            episode.move(status, clock)
            return [self._publish(episode, clock, first=True)]
        if episode.status is Status.FIRING and severity != facts.severity:
            episode.move(Status.FIRING, clock)
            return [self._publish(episode, clock, first=False)]
        return []

    def refresh(self, key: AlertKey, facts: Facts) -> None:
        """What an open alert is to say at its next event; this is no news of it."""
        if key in self._open:
            self._open[key].facts = facts

    def resolve(self, key: AlertKey, resolution: Resolution, clock: int, facts: Facts | None = None) -> list[Alert]:
        """The condition is over; no matter if the alert is not open. `facts`: what to say at the end."""
        episode = self._open.pop(key, None)
        if episode is None:
            return []
        if facts is not None:
            episode.facts = facts
        if episode.status is Status.FIRING:
            self._quiet_since = clock
        episode.move(Status.RESOLVED, clock, resolution)
        return [self._publish(episode, clock, first=True)]

    def acknowledge(self, episode_id: str, by: str | None) -> None:
        """Note who has taken an episode on (None takes it back). It goes on firing; its next event says so."""
        for episode in self._open.values():
            if episode.episode_id == episode_id:
                episode.acknowledged_by = by

    def tick(self, clock: int) -> list[Alert]:
        """Repeats, and the end of an overflow and of an incident."""
        events: list[Alert] = []
        if _OVERFLOW in self._open and self.room() > 0 and clock - self._overflowed_at >= HOUR:
            events += self.resolve(_OVERFLOW, Resolution.RECOVERED, clock)
        for episode in self._open.values():
            if episode.status is Status.FIRING and clock - episode.published_at >= self._settings.repeat:
                episode.move(Status.FIRING, clock)
                events.append(self._publish(episode, clock, first=False))
        self._end_incident(clock)
        return events

    def room(self) -> int:
        """How many more alerts may be opened."""
        return self._settings.open_limit - len(self._open) + (_OVERFLOW in self._open)

    def _begin(self, key: AlertKey, facts: Facts, status: Status, clock: int) -> list[Alert]:
        if key != _OVERFLOW and self.room() <= 0:
            self._overflowed_at = clock
            return self.raise_(_OVERFLOW, _overflow(self._settings.open_limit), Status.FIRING, clock)
        alert_id = digest(self._model, *key)
        episode_id = digest(alert_id, self._sequences.get(alert_id, 0) + 1, clock)
        self._end_incident(clock)
        if self._incident is None:
            self._incident = digest("incident", episode_id)
        episode = Episode(key, alert_id, episode_id, self._incident, facts, detected_at=clock, heard_at=clock)
        episode.move(status, clock)
        self._open[key] = episode
        return [self._publish(episode, clock, first=True)]

    def _end_incident(self, clock: int) -> None:
        if self._open or self._incident is None:
            return
        if self._quiet_since is None or clock - self._quiet_since >= self._settings.incident_gap:
            self._incident = self._quiet_since = None

    def _publish(self, episode: Episode, clock: int, *, first: bool) -> Alert:
        assert episode.status is not None
        sequence = self._sequences.pop(episode.alert_id, 0) + 1
        self._sequences[episode.alert_id] = sequence
        self._forget()
        episode.published_at = clock
        key, facts = episode.key, episode.facts
        return Alert(
            alert_id=episode.alert_id,
            episode_id=episode.episode_id,
            sequence=sequence,
            status=episode.status,
            severity=facts.severity,
            kind=facts.kind,
            rule=key.rule,
            model=self._model,
            version=key.version,
            variant=key.variant,
            segment=dict(key.segment),
            subject=key.subject,
            detector=facts.detector,
            statistic=facts.statistic,
            threshold=facts.threshold,
            before=facts.before,
            after=facts.after,
            direction=facts.direction,
            detected_at=episode.detected_at,
            change_at=facts.change_at,
            observations_since_change=facts.observations_since_change,
            started_at=episode.started_at,
            resolved_at=episode.resolved_at,
            resolution=episode.resolution,
            cause=facts.cause,
            suspects=facts.suspects,
            group_id=episode.group_id,
            calibration=facts.calibration,
            config_hash=self._settings.config_hash,
            summary=summary(self._model, episode, clock, first=first),
            annotations={**self._settings.annotations, **facts.annotations},
            muted_by=self._mutes.muting(self._model, episode, clock),
            acknowledged_by=episode.acknowledged_by,
        )

    def _forget(self) -> None:
        """Forget the sequences of the alerts that spoke longest ago, in bulk; never those of open ones."""
        excess = len(self._sequences) - _REMEMBERED - len(self._open)
        if excess < _REMEMBERED:
            return
        speaking = {episode.alert_id for episode in self._open.values()}
        quiet = [name for name in self._sequences if name not in speaking]
        for name in quiet[:excess]:
            del self._sequences[name]

    def snapshot(self) -> dict[str, Any]:
        """The book as plain values."""
        return {
            "open": [episode.snapshot() for episode in self._open.values()],
            "sequences": dict(self._sequences),
            "incident": self._incident,
            "quiet_since": self._quiet_since,
            "overflowed_at": self._overflowed_at,
        }

    def restore(self, tree: Mapping[str, Any]) -> None:
        """Take the book of a snapshot."""
        tree = shaped(_State, tree)
        episodes = [Episode.restored(each) for each in tree["open"]]
        self._open = {episode.key: episode for episode in episodes}
        self._sequences = dict(tree["sequences"])
        self._incident = tree["incident"]
        self._quiet_since = tree["quiet_since"]
        self._overflowed_at = tree["overflowed_at"]


def _overflow(limit: int) -> Facts:
    text = f"more than {limit:,} alerts are open at once; further ones wait until others are resolved"
    return Facts("limit", "data_quality", "warning", "the number of open alerts", text, threshold=limit)
