"""The other events that go out: what is monitored, and dead letters."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.inputs import ErrorCode
from schemas.outputs import Count, Figure, OutputEvent, Segment, Time


class Detectable(OutputEvent):
    """What a series would notice."""

    shift: Figure
    """A change of this size …"""
    within: Count
    """… within so many values."""


class MonitorEvent(OutputEvent):
    """What is watched and what is not, on change."""

    event_id: str | None = None
    """Deterministic."""
    model: str
    """The model."""
    version: str | None
    """Its version."""
    variant: str | None = None
    """Its variant."""
    segment: Segment = Field(default_factory=dict)
    """{} for the whole model, else one key and its value."""
    subject: str
    """error, score, features.<name>, …"""
    detector: str
    """The detector's name."""
    state: Literal["warming", "armed", "uncalibrated", "unarmed"]
    """Whether it can raise an alarm."""
    reason: str | None = None
    """Why it cannot."""
    reference: Literal["baseline", "previous_version", "self"] | None = None
    """What it compares with."""
    detectable: Detectable | None = None
    """What it would notice."""
    config_hash: str | None = None
    """The configuration it was made under."""


class RecordError(OutputEvent):
    """What is wrong with a record."""

    code: ErrorCode
    """The kind of error."""
    message: str
    """A sentence, which quotes no values."""
    field: str | None
    """The field it is about."""


class RecordSource(OutputEvent):
    """Where a record is."""

    topic: str
    """Its topic."""
    partition: Count
    """Its partition."""
    offset: Count
    """Its offset."""
    timestamp: Time
    """Its Kafka timestamp."""


class DeadLetter(OutputEvent):
    """A record that could not be read, or not applied. There is one for each."""

    error: RecordError
    """What is wrong."""
    source: RecordSource
    """Where it is."""
    key: str | None = None
    """Base64 of its key, cut at 64 KiB, where privacy.dead_letter_value is full."""
    value: str | None = None
    """Base64 of its value, cut at 64 KiB, where privacy.dead_letter_value is full."""
