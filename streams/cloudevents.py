"""CloudEvents 1.0 headers in Kafka's binary mode: every record of an output topic carries them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from streams.records import Headers

EventType = Literal["metric", "alert", "dead_letter", "monitor"]


_FIRST, _LAST = -62_135_596_800_000, 253_402_300_799_999  # years 1 to 9999


def rfc3339(milliseconds: int) -> str:
    """Epoch milliseconds as RFC 3339 in UTC, with milliseconds; beyond what it can write, the first or last it can."""
    # Kafka takes any timestamp, and with it an event's may be anywhere: what is said of it must not stop anyone.
    seconds, rest = divmod(min(max(milliseconds, _FIRST), _LAST), 1000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{rest:03d}Z"


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
