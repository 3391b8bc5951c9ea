"""What the demo needs of the pipeline it shows: the same on a real Kafka and on the in-memory log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

PARTITIONS = 4
INPUTS = ("predictions", "labels")
Event = dict[str, Any]


class DemoFailed(Exception):
    """The demo cannot go on; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class Names:
    """The demo's own application id and topics, so that it can run beside anything on a shared Kafka."""

    application_id: str

    @property
    def topics(self) -> dict[str, str]:
        """Topic names by their key in the configuration."""
        names = (*INPUTS, "metrics", "alerts", "dead_letters", "control")
        return {name: f"{self.application_id}.{name.replace('_', '-')}" for name in names}


def settings(names: Names) -> dict[str, Any]:
    """The configuration, which differs from the defaults in times alone: the demo has minutes, not weeks."""
    return {
        "kafka": {"application_id": names.application_id},
        "topics": names.topics,
        "defaults": {
            "task": "binary",
            "positive_label": "malignant",
            "join": {"horizon": "1m", "grace": "1m", "disorder": "2s", "idle_after": "5s"},
            "windows": {"tumbling": ["10s", "1m"], "rolling": [200], "emit_every": "1s"},
            "segments": ["site"],
        },
    }


class Sender(Protocol):
    """A user's producer, called by the model service's thread. Keys choose partitions by murmur2, as in Java."""

    def send(self, topic: str, key: bytes, value: bytes) -> None:
        """Produce a record, stamped with the time of now."""
        ...

    def flush(self) -> None:
        """Return when everything is sent."""
        ...


class Pipeline(Protocol):
    """streamgauge at work, and a reader of what it has committed."""

    @property
    def to_look_at(self) -> Sequence[str]:
        """Lines that say what can be looked at from outside while it is there; none where nothing can."""
        ...

    @property
    def farewell(self) -> Sequence[str]:
        """Lines for the end: where things were, what to try next."""
        ...

    def sender(self) -> Sender:
        """The model service's producer."""
        ...

    def alive(self) -> bool:
        """Whether it still works; where it does not, leaving its context says why."""
        ...

    def poll(self, timeout: float) -> list[tuple[str, Event]]:
        """Committed events of the metrics and alerts topics since the last call, with their topic; waits for some
        for at most about `timeout` seconds."""
        ...

    def read(self, topic: str) -> list[Event]:
        """All committed events of a topic, from its beginning to its end as of now."""
        ...

    def produced_at(self, cause: Mapping[str, Any]) -> int:
        """When the record that an alert names as its cause was produced, epoch ms."""
        ...
