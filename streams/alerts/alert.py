"""The alert event of the contract, its identities, and its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from streams.alerts.facts import Cause, Direction, Level, Segment, Severity, Suspect
from streams.cloudevents import rfc3339
from streams.state import shaped


class Status(StrEnum):
    """Where an episode stands."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Resolution(StrEnum):
    """Why an episode ended."""

    RECOVERED = "recovered"
    REBASELINED = "rebaselined"
    VERSION_RETIRED = "version_retired"
    EXPIRED = "expired"


class AlertKey(NamedTuple):
    """What an alert is about: everything of its identity but the model. `segment` is a tuple of (key, value)."""

    version: str | None
    variant: str | None
    segment: tuple[tuple[str, str], ...]
    rule: str
    subject: str

    @classmethod
    def of(cls, version: str | None, variant: str | None, segment: Segment, rule: str, subject: str) -> AlertKey:
        """The key of plain values, as the findings and `tree` have them."""
        return cls(version, variant, tuple(sorted(segment.items())), rule, subject)

    def tree(self) -> list[Any]:
        """The key as plain values."""
        return [self.version, self.variant, dict(self.segment), self.rule, self.subject]

    @classmethod
    def of_tree(cls, tree: Any) -> AlertKey:
        """What `tree` gave."""
        return cls.of(*shaped(tuple[str | None, str | None, dict[str, str], str, str], tree))


def digest(*parts: object) -> str:
    """A stable identity of plain values: 128 bits of BLAKE2b over their JSON, in hex."""
    return blake2b(orjson.dumps(parts), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert event. Times are epoch milliseconds here and RFC 3339 in the event; see the contract for the fields.

    `started_at` is when the episode began to fire: None while it is pending. `sequence` rises by one with each event
    of an `alert_id`, over its episodes, so that in a compacted topic the highest is the truth.
    """

    alert_id: str
    episode_id: str
    sequence: int
    status: Status
    severity: Severity
    kind: str
    rule: str
    model: str
    version: str | None
    variant: str | None
    segment: Segment
    subject: str
    detector: Mapping[str, object] | None
    statistic: float | None
    threshold: float | None
    before: Level | None
    after: Level | None
    direction: Direction | None
    detected_at: int
    change_at: int | None
    observations_since_change: int | None
    started_at: int | None
    resolved_at: int | None
    resolution: Resolution | None
    cause: Cause | None
    suspects: tuple[Suspect, ...]
    group_id: str
    calibration: Mapping[str, object] | None
    config_hash: str
    summary: str
    annotations: Mapping[str, str]
    muted_by: str | None
    acknowledged_by: str | None

    @property
    def event_id(self) -> str:
        """The CloudEvents id: one for each event, the same in every replay."""
        return f"{self.episode_id}.{self.sequence}"

    def to_dict(self) -> dict[str, Any]:
        """The event as the contract shapes it, keys in its order."""
        return {
            "alert_id": self.alert_id,
            "episode_id": self.episode_id,
            "sequence": self.sequence,
            "status": self.status.value,
            "severity": self.severity,
            "kind": self.kind,
            "rule": self.rule,
            "model": self.model,
            "version": self.version,
            "variant": self.variant,
            "segment": dict(self.segment),
            "subject": self.subject,
            "detector": self.detector,
            "statistic": self.statistic,
            "threshold": self.threshold,
            "before": _level(self.before),
            "after": _level(self.after),
            "direction": self.direction,
            "detected_at": rfc3339(self.detected_at),
            "change_at": _time(self.change_at),
            "observations_since_change": self.observations_since_change,
            "started_at": _time(self.started_at),
            "resolved_at": _time(self.resolved_at),
            "resolution": None if self.resolution is None else self.resolution.value,
            "cause": None if self.cause is None else cause_tree(self.cause),
            "suspects": [suspect_tree(suspect) for suspect in self.suspects],
            "group_id": self.group_id,
            "calibration": self.calibration,
            "config_hash": self.config_hash,
            "summary": self.summary,
            "annotations": dict(self.annotations),
            "muted_by": self.muted_by,
            "acknowledged_by": self.acknowledged_by,
        }

    def to_json(self) -> bytes:
        """The event's bytes: UTF-8 JSON, keys in the contract's order, NaN and infinity as null."""
        return orjson.dumps(self.to_dict(), option=orjson.OPT_SERIALIZE_NUMPY)


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else rfc3339(milliseconds)


def _level(level: Level | None) -> dict[str, Any] | None:
    return None if level is None else {"mean": level.mean, "count": level.count}


def cause_tree(cause: Cause) -> dict[str, Any]:
    """A cause as plain values."""
    return {
        "topic": cause.topic,
        "partition": cause.partition,
        "offset": cause.offset,
        "traceparent": cause.traceparent,
    }


def suspect_tree(suspect: Suspect) -> dict[str, Any]:
    """A suspect as plain values."""
    return {
        "feature": suspect.feature,
        "detector": suspect.detector,
        "statistic": suspect.statistic,
        "p_value": suspect.p_value,
        "direction": suspect.direction,
    }
