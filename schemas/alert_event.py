"""The alert event: something to know, or to be woken by."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from schemas.outputs import Count, Figure, OutputEvent, Segment, Time
from schemas.watching import Severity


class DetectorInfo(OutputEvent):
    """A detector and its parameters."""

    name: str
    """Its name in the catalogue."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Its parameters."""


class Side(OutputEvent):
    """The values on one side of a change."""

    mean: Figure | None
    """Their mean."""
    count: Count
    """How many there are."""


class Cause(OutputEvent):
    """The input record that tipped it."""

    topic: str
    """Its topic."""
    partition: Count
    """Its partition."""
    offset: Count
    """Its offset."""
    traceparent: str | None = None
    """W3C trace context of the record, where it had one."""


class Suspect(OutputEvent):
    """A feature that changed about when the errors did."""

    feature: str
    """Its name."""
    detector: str
    """What it was judged by."""
    statistic: Figure | None
    """The statistic."""
    p_value: Figure | None = None
    """How likely so much is without a change."""
    direction: Literal["up", "down", "both"] | None = None
    """Where it went."""


class Calibration(OutputEvent):
    """Where the threshold is from."""

    method: str
    """bound, given, …"""
    expected_per_30d: Figure | None = None
    """False alarms expected of this detector in 30 days."""
    assumptions: str | None = None
    """What the method assumes."""


class AlertEvent(OutputEvent):
    """Something to know, or to be woken by. One episode is one firing; sequence rises with each event of the alert."""

    alert_id: str
    """Of model × version × variant × segment × rule × subject."""
    episode_id: str
    """Of one firing."""
    sequence: Count
    """Rises with each event."""
    status: Literal["pending", "firing", "resolved"]
    """pending: the condition holds, `for` is not over."""
    severity: Severity
    """Severity."""
    kind: Literal["threshold", "drift", "data_quality", "silence_of_stream", "service", "pipeline"]
    """What is wrong."""
    rule: str
    """<on>/<detector>, or the rule's name."""
    model: str
    """The model."""
    version: str | None
    """Its version."""
    variant: str | None
    """Its variant."""
    segment: Segment
    """{} for the whole model, else one key and its value."""
    subject: str
    """error, score, features.<name>, …, or a metric's name."""
    detector: DetectorInfo | None = None
    """What found it; null for threshold rules."""
    statistic: Figure | None = None
    """What was compared …"""
    threshold: Figure | None = None
    """… with what."""
    before: Side | None = None
    """Before the change."""
    after: Side | None = None
    """After it."""
    direction: Literal["up", "down", "both"] | None = None
    """Where it went."""
    detected_at: Time
    """Clock of the ticks."""
    change_at: Time | None = None
    """Event time at which the change is estimated to have begun."""
    observations_since_change: Count | None = None
    """Values since."""
    started_at: Time | None = None
    """When it began to fire; clock of the ticks."""
    resolved_at: Time | None = None
    """When it ended; clock of the ticks."""
    resolution: Literal["recovered", "rebaselined", "version_retired", "expired"] | None = None
    """How it ended."""
    cause: Cause | None = None
    """The record that tipped it."""
    suspects: list[Suspect] = Field(default_factory=list)
    """Features that changed too, the likeliest first."""
    group_id: str
    """The incident: alerts of one model until an hour after the last of them resolves."""
    calibration: Calibration | None = None
    """Where the threshold is from."""
    config_hash: str | None = None
    """The configuration it was made under."""
    summary: str
    """One sentence for a person."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """From the configuration."""
    muted_by: str | None = None
    """The silence that mutes it."""
    acknowledged_by: str | None = None
    """Who acknowledged it."""
