"""The application under test: its topics and its configuration, the same over a real Kafka and in the core alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.integration.traffic import BROKEN, GRACE, HORIZON, HOUR, MINUTE, TASKS

PARTITIONS = 4
SIZES = (20 * MINUTE, HOUR)
ROLLING = 100
RULE = {"name": "accuracy-too-low", "metric": "accuracy", "below": 0.6, "window": f"{SIZES[0]}ms", "min_count": 30}
PAGE_HINKLEY: dict[str, Any] = {"min_instances": 30, "threshold": 50.0}
INPUTS = ("predictions", "labels")
OUTPUTS = ("metrics", "alerts", "dead-letters")


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one application id."""

    application_id: str

    def __getitem__(self, name: str) -> str:
        return f"{self.application_id}.{name}"

    @property
    def inputs(self) -> dict[str, str]:
        """The input topics by their short names."""
        return {name: self[name] for name in INPUTS}

    @property
    def sources(self) -> dict[str, str]:
        """All that the join reads: the inputs, and the control topic."""
        return self.inputs | {"control": self["control"]}

    @property
    def outputs(self) -> list[str]:
        """What a transaction writes to."""
        own = [f"{self.application_id}-{name}" for name in ("outcomes", "journal", "snapshots")]
        return [*(self[name] for name in OUTPUTS), *own]


def settings(bootstrap: str, topics: Topics) -> dict[str, Any]:
    """The configuration file. The model that breaks has a detector of its own parameters, which river can be asked."""
    river = {"on": "error", "use": "page_hinkley", "severity": "critical", **PAGE_HINKLEY}
    watched = {"task": TASKS[BROKEN], "detectors": [{"on": "error", "use": "adwin", "severity": "critical"}, river]}
    names = ("predictions", "labels", "metrics", "alerts", "dead_letters", "control")
    return {
        "kafka": {"bootstrap_servers": bootstrap, "application_id": topics.application_id},
        "topics": {name: topics[name.replace("_", "-")] for name in names},
        "defaults": {
            "join": {"horizon": f"{HORIZON}ms", "grace": f"{GRACE}ms", "disorder": "1m", "idle_after": "30s"},
            "windows": {"tumbling": [f"{size}ms" for size in SIZES], "rolling": [ROLLING], "emit_every": "500ms"},
            "reference": {"warm_up": 200},
            "rules": [RULE],
        },
        "models": {model: {"task": task} for model, task in TASKS.items()} | {BROKEN: watched},
    }
