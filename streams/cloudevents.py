"""CloudEvents 1.0 headers in Kafka's binary mode: every record of an output topic carries them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from streams.records import Headers

EventType = Literal["metric", "alert", "dead_letter", "monitor"]


def rfc3339(milliseconds: int) -> str:
    """Epoch milliseconds as RFC 3339 in UTC, with milliseconds."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def headers(event: EventType, event_id: str, application_id: str, subject: str | None, clock: int) -> Headers:
    """The headers of one event. `event_id` must be deterministic; `clock` is the clock of the ticks."""
    made = (
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_type", f"io.streamgauge.{event}.v1".encode()),
        ("ce_source", f"/streamgauge/{application_id}".encode()),
        ("ce_time", rfc3339(clock).encode()),
        ("content-type", b"application/json"),
    )
    return made if subject is None else (*made, ("ce_subject", subject.encode()))
