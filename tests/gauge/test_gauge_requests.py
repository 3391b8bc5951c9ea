"""Requests on the control topic reach the series with all that they say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas import Config
from streams.gauge import GaugeSettings, GaugeTask
from streams.outcomes import Control, Rows, Tick, encode

sys.path.insert(0, str(Path(__file__).parent))
from gauge_traffic import batch, row_of
from series_world import rows_of

START = 1_790_000_000_000
SECOND = 1_000
DEFAULTS: dict[str, Any] = {
    "task": "binary",
    "windows": {"tumbling": ["1h"], "rolling": [], "cumulative": False},
    "reference": {"warm_up": 1000},
    "detectors": [{"on": "score", "use": "windowed_ks"}],
}


class World:
    """A gauge task that reads an event of model m a second; what it says of the score's detector."""

    def __init__(self) -> None:
        draw = np.random.default_rng(4)
        self._task = GaugeTask(GaugeSettings.from_config(Config.model_validate({"defaults": DEFAULTS})), 0)
        self._rows = rows_of(draw.random(6000) < 0.1, draw.normal(size=6000), np.zeros((6000, 0)), rate=1.0)
        self._rows.timestamp = self._rows.timestamp + START
        self._read = 0
        self.told: list[dict[str, Any]] = []

    def read_to(self, event: int, version: str = "v1") -> str:
        """Read on, and a tick; the detector's state then."""
        rows = self._rows.take(np.arange(2 * self._read, 2 * event))
        rows.strings = [version if text == "v1" else text for text in rows.strings]
        self._read = event
        clock = START + event * SECOND
        self._fold(rows)
        self._fold(row_of(Tick(0, 1, clock - 60_000, idle=False, caught_up=True, clock=clock)))
        return str(self.told[-1]["state"])

    def ask(self, key: str, body: dict[str, Any] | None) -> None:
        """A record of the control topic."""
        self._fold(row_of(Control(key, None if body is None else json.dumps(body).encode(), 0)))

    def _fold(self, rows: Rows) -> None:
        for output in self._task.apply(batch([encode(rows, 0, 0)], 0)).outputs:
            event = json.loads(output.value or b"")
            if event.get("detector") == "windowed_ks" and "state" in event:
                self.told.append(event)


def test_a_rebaseline_waits_for_the_event_time_that_it_asks_for() -> None:
    world = World()
    assert world.read_to(2000) == "armed"
    world.ask("rebaseline/m/v1/score", {"from": START + 3000 * SECOND})
    assert world.read_to(3900) == "warming"
    assert world.read_to(4100) == "armed"


def test_a_rebaseline_that_asks_for_no_time_begins_with_the_next_value() -> None:
    world = World()
    world.read_to(2000)
    world.ask("rebaseline/m/v1/score", {})
    assert world.read_to(3100) == "armed"


@pytest.mark.parametrize(("deleted", "reference"), [(False, "baseline"), (True, "previous_version")])
def test_a_baseline_that_was_deleted_is_not_taken_any_more(deleted: bool, reference: str) -> None:
    world = World()
    world.read_to(2000, version="v0")
    values = np.random.default_rng(5).normal(size=2000).tolist()
    world.ask("baseline/m/v1", {"profile": {"score": {"values": values, "rate": 1.0}}})
    if deleted:
        world.ask("baseline/m/v1", None)
    assert world.read_to(2500) == "armed"
    assert (world.told[-1]["version"], world.told[-1]["reference"]) == ("v1", reference)
