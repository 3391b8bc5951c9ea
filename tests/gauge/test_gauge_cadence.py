"""How often a gauge writes its snapshot: often while that is small, else as its outcomes are worth it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from schemas import Config
from streams.gauge import GaugeSettings, GaugeTask
from streams.gauge import task as module
from streams.outcomes import encode

sys.path.insert(0, str(Path(__file__).parent))
from gauge_traffic import Traffic, batch

SECOND = 1_000
SETTINGS = GaugeSettings.from_config(Config())


class World:
    """A task that has just written a snapshot."""

    def __init__(self) -> None:
        self._traffic = Traffic(3)
        self.task = GaugeTask(SETTINGS, 0)
        self.read(2000)
        self.wait(60)
        assert self.task.snapshot_due()
        self.size = sum(len(record.value or b"") for record in self.task.snapshot(1))

    def read(self, predictions: int) -> int:
        """So many bytes of outcomes."""
        message = encode(self._traffic.predicted(predictions), 0, 0)
        self.task.apply(batch([message], 0))
        return len(message)

    def wait(self, seconds: int) -> None:
        """Ticks for so long, of a clock that goes in steps of five seconds."""
        for _ in range(seconds // 5):
            self._traffic.clock += 4_500
            self.task.apply(batch([encode(self._traffic.tick(0), 0, 0)], 0))


def test_a_small_snapshot_is_due_every_half_minute() -> None:
    world = World()
    world.wait(25)
    assert not world.task.snapshot_due()
    world.wait(5)
    assert world.task.snapshot_due()


def test_a_large_snapshot_waits_for_outcomes_of_half_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALL", 1)
    world = World()
    world.wait(120)
    assert not world.task.snapshot_due()
    read = 0
    while read < world.size // 2:
        assert not world.task.snapshot_due()
        read += world.read(500)
    assert world.task.snapshot_due()


def test_a_large_snapshot_waits_for_ten_minutes_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALL", 1)
    world = World()
    world.task._snapshot_size = 10**12
    world.wait(595)
    assert not world.task.snapshot_due()
    world.wait(5)
    assert world.task.snapshot_due()
