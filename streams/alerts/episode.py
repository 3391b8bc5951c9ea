"""One firing of an alert, from its first event to its last.

(none) ──► PENDING ──► FIRING ──► RESOLVED        PENDING: the condition is true, `for` is not over
   │          │          ▲                        PENDING ──► RESOLVED: it was no longer true before it fired
   └──────────┼──────────┘                        FIRING ──► FIRING: an update (severity, repeat)
              └──────────────────► RESOLVED       RESOLVED is the end: what comes back is a new episode
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from streams.alerts.alert import AlertKey, Resolution, Status, cause_tree, suspect_tree
from streams.alerts.facts import Cause, Direction, Level, Severity, Suspect
from streams.state import Count, Number, Time, shaped

TRANSITIONS: Mapping[Status | None, frozenset[Status]] = {
    None: frozenset({Status.PENDING, Status.FIRING}),
    Status.PENDING: frozenset({Status.FIRING, Status.RESOLVED}),
    Status.FIRING: frozenset({Status.FIRING, Status.RESOLVED}),
    Status.RESOLVED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What an alert says, apart from where it stands. `origin` is what raised it, and so what may end it.

    The summary is made of `noun` ("error rate"), `text` ("error rate rose from 10.0 % to 31.0 %"), `ago` (" about 220
    outcomes ago": true of the first event alone) and `close` (", is 93.1 %": said when it has recovered).
    """

    origin: Literal["drift", "threshold", "silence", "condition", "limit"]
    kind: str
    severity: Severity
    noun: str
    text: str
    ago: str = ""
    close: str = ""
    detector: Mapping[str, object] | None = None
    statistic: float | None = None
    threshold: float | None = None
    before: Level | None = None
    after: Level | None = None
    direction: Direction | None = None
    change_at: int | None = None
    observations_since_change: int | None = None
    cause: Cause | None = None
    suspects: tuple[Suspect, ...] = ()
    calibration: Mapping[str, object] | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


_Level = tuple[Number | None, Count]


class _State(TypedDict):
    key: Any
    alert_id: str
    episode_id: str
    group_id: str
    facts: Any
    detected_at: Time
    heard_at: Time
    status: str
    started_at: Time | None
    published_at: Time
    acknowledged_by: str | None


@dataclass(slots=True)
class Episode:
    """An open episode: state of the book, moved by `move` alone."""

    key: AlertKey
    alert_id: str
    episode_id: str
    group_id: str
    facts: Facts
    detected_at: int
    heard_at: int
    status: Status | None = None
    started_at: int | None = None
    resolved_at: int | None = None
    resolution: Resolution | None = None
    published_at: int = 0
    acknowledged_by: str | None = None

    def move(self, status: Status, clock: int, resolution: Resolution | None = None) -> None:
        """Go to `status` at `clock`; only what TRANSITIONS draws."""
        assert status in TRANSITIONS[self.status], f"an alert cannot go from {self.status} to {status}"
        assert (resolution is not None) == (status is Status.RESOLVED), "a resolved alert has a resolution"
        if status is Status.FIRING and self.started_at is None:
            self.started_at = clock
        if status is Status.RESOLVED:
            self.resolved_at, self.resolution = clock, resolution
        self.status = status

    def snapshot(self) -> dict[str, Any]:
        """The episode as plain values. Only open ones are kept, so there is no resolution to keep."""
        assert self.status in (Status.PENDING, Status.FIRING)
        return {
            "key": self.key.tree(),
            "alert_id": self.alert_id,
            "episode_id": self.episode_id,
            "group_id": self.group_id,
            "facts": facts_tree(self.facts),
            "detected_at": self.detected_at,
            "heard_at": self.heard_at,
            "status": self.status.value,
            "started_at": self.started_at,
            "published_at": self.published_at,
            "acknowledged_by": self.acknowledged_by,
        }

    @classmethod
    def restored(cls, tree: Mapping[str, Any]) -> Episode:
        """The episode of a snapshot."""
        fields = shaped(_State, tree)
        fields["key"] = AlertKey.of_tree(tree["key"])
        fields["facts"] = facts_of(tree["facts"])
        fields["status"] = Status(tree["status"])
        return cls(**fields)


def facts_tree(facts: Facts) -> dict[str, Any]:
    """Facts as plain values."""
    return {
        "origin": facts.origin,
        "kind": facts.kind,
        "severity": facts.severity,
        "noun": facts.noun,
        "text": facts.text,
        "ago": facts.ago,
        "close": facts.close,
        "detector": None if facts.detector is None else dict(facts.detector),
        "statistic": facts.statistic,
        "threshold": facts.threshold,
        "before": None if facts.before is None else [facts.before.mean, facts.before.count],
        "after": None if facts.after is None else [facts.after.mean, facts.after.count],
        "direction": facts.direction,
        "change_at": facts.change_at,
        "observations_since_change": facts.observations_since_change,
        "cause": None if facts.cause is None else cause_tree(facts.cause),
        "suspects": [suspect_tree(suspect) for suspect in facts.suspects],
        "calibration": None if facts.calibration is None else dict(facts.calibration),
        "annotations": dict(facts.annotations),
    }


def facts_of(tree: Mapping[str, Any]) -> Facts:
    """The facts of plain values."""
    shaped(Facts, {**tree, "before": None, "after": None})  # looked at alone: its numbers stay as they are
    fields = dict(tree)
    for name in ("before", "after"):
        fields[name] = None if tree[name] is None else Level(*shaped(_Level, tree[name]))
    fields["cause"] = None if tree["cause"] is None else Cause(**tree["cause"])
    fields["suspects"] = tuple(Suspect(**suspect) for suspect in tree["suspects"])
    return Facts(**fields)
