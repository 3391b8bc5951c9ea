"""Writes a generation of golden files: `python -m tests.golden.write GENERATION`.

To be run when a format of the journal, the snapshots or the outcomes got a new number. Files of a generation that has
been released are never written again.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from golden_files import Golden, History, Record, offsets_of, partitions_of, published, save
from golden_world import NOW, World

from schemas import Config
from streams.log import MemoryLog

TURNS = 40
# Parameters of their own: a better calibration is no other format.
OPTIONS: dict[str, Any] = {
    "outcomes_partitions": 1,
    "defaults": {
        "join": {"horizon": "1h", "grace": "10m", "disorder": "1s", "idle_after": "5s"},
        "windows": {"tumbling": ["10s", "1m"], "rolling": [50], "cumulative": True, "emit_every": "2s"},
        "segments": ["region"],
        "reference": {"warm_up": 100},
        "detectors": [
            {"on": "error", "use": "page_hinkley", "severity": "critical", "min_instances": 30, "delta": 0.005,
             "threshold": 10, "alpha": 0.9999},
            {"on": "error", "use": "adwin", "severity": "warning", "delta": 0.002},
        ],
        "rules": [{"metric": "accuracy", "below": 0.7, "window": "10s", "min_count": 5, "severity": "warning"}],
    },
    "models": {"fraud": {"task": "binary"}, "grade": {"task": "multiclass"}, "demand": {"task": "regression"}},
}  # fmt: skip


class Traffic:
    """Three models; labels that come late, are corrected, withdrawn, or never come; records that are none."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._draw = random.Random(11)
        self._waiting: list[tuple[int, dict[str, Any]]] = []
        self.sent: list[tuple[str, Record]] = []

    def send(self, first: int, count: int, wrong: float) -> None:
        """So many predictions of each model, and the labels whose time has come."""
        for i in range(first, first + count):
            for model in ("fraud", "grade", "demand"):
                self._predict(f"{model}-{i}", model, i, wrong)
            due = [label for when, label in self._waiting if when <= i]
            self._waiting = [each for each in self._waiting if each[0] > i]
            for label in due:
                self._append("labels", label["prediction_id"], json.dumps(label | {"timestamp": self._log.clock}))
            self._log.advance(150)
        self._append("predictions", "none", "no event")
        self._append("labels", f"fraud-{first}", None)

    def _predict(self, key: str, model: str, i: int, wrong: float) -> None:
        draw = self._draw
        truth: Any = {"fraud": i % 2, "grade": "abc"[i % 3], "demand": 10.0 + i % 5}[model]
        miss = draw.random() < wrong
        said: Any = {"fraud": 1 - i % 2, "grade": "abc"[(i + 1) % 3], "demand": 30.0}[model] if miss else truth
        event = {
            "prediction_id": key, "model": model, "version": "2" if i >= 440 else "1", "timestamp": self._log.clock,
            "prediction": said, "segments": {"region": draw.choice(["eu", "us"])}, "latency_ms": 5.0 + i % 9,
            "features": {"amount": draw.gauss(100, 10), "country": draw.choice(["DE", "FR", None])},
            "attributions": {"amount": draw.gauss(0, 1)}, "weight": 1.0 + i % 2,
        }  # fmt: skip
        if model == "fraud":
            event["score"] = min(max(said * 0.6 + draw.random() * 0.4, 0.0), 1.0)
        self._append("predictions", key, json.dumps(event))
        if i % 40 == 3:
            self._append("predictions", key, json.dumps(event))
        when = i + draw.randrange(0, 60)
        if i % 11:
            self._waiting.append((when, {"prediction_id": key, "label": truth}))
        if i % 13 == 5:
            self._waiting.append((when + 10, {"prediction_id": key, "label": None if i % 2 else said}))

    def control(self) -> None:
        """A silence and two baselines, of which one is long enough to be kept in pages."""
        until = self._log.clock + 86_400_000
        silence = {"matchers": {"model": "demand"}, "starts_at": NOW, "ends_at": until, "by": "someone"}
        self._append("control", "silence/1", json.dumps(silence))
        baseline = {"profile": {"score": {"values": [0.1, 0.9] * 60}}}
        self._append("control", "baseline/fraud/2", json.dumps(baseline))
        long = {"profile": {"error": {"values": [0.0, 0.0, 0.0, 1.0] * 700}}}
        self._append("control", "baseline/fraud/1", json.dumps(long))

    def _append(self, topic: str, key: str, value: str | None) -> None:
        record = Record(self._log.clock, key.encode(), None if value is None else value.encode(), [], marker=False)
        self.sent.append((topic, record))
        self._log.append(topic, record.value, key=record.key, partition=0, timestamp=record.timestamp)


def make() -> Golden:
    """A history: 300 predictions of each model, the last 120 often wrong; a stop; then 200 more, and it recovers."""
    config = Config.model_validate(OPTIONS)
    log = MemoryLog(clock=NOW)
    world = World(config, log)
    traffic = Traffic(log)
    traffic.control()
    for first, wrong in ((0, 0.1), (60, 0.1), (120, 0.1), (180, 0.6), (240, 0.6)):
        traffic.send(first, 60, wrong)
        world.run(8)
    clock = log.clock
    users = (config.topics.predictions, config.topics.labels, config.topics.control)
    topics = {topic: partitions_of(log, topic) for topic in users}
    states = [config.journal_topic, config.snapshots_topic, config.outcomes_topic]
    journal, snapshots, outcomes = (partitions_of(log, topic) for topic in states)
    offsets = {group: offsets_of(log, group) for group in (config.join_group, config.gauge_group)}
    before = [identity for events in published(log, config).values() for identity in events]

    traffic.sent.clear()
    traffic.send(300, 60, 0.6)
    traffic.send(360, 140, 0.02)
    later_clock = log.clock
    world.run(TURNS)
    history = History(
        OPTIONS, clock, topics, offsets, list(traffic.sent), later_clock, TURNS, published(log, config, before)
    )
    return Golden(journal, snapshots, outcomes, history)


if __name__ == "__main__":
    save(make(), int(sys.argv[1]))
