"""What the pipeline says of drift is what the series alone find in the same rows.

tests/gauge shows over many seeds that the series keep the promise about false alarms and still find what has changed.
Here the same kind of traffic goes through everything: JSON records, both workers with the default configuration, the
in-memory log; and the alerts that come out are compared with the findings of a `ModelSeries` that was handed the rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from schemas import Config
from streams.gauge.series import Finding, ModelSeries, MonitorChange, SeriesSettings
from streams.log import MemoryLog
from streams.outcomes import Kind, Listed, Rows
from streams.worker import Telemetry, Worker, WorkerSettings, prepare
from streams.worker.process import gauge_stage, join_stage

SEED = 20261122
EVENTS = 8_000
CHANGE = 6_000
FEATURES = 11  # and the error and the score: 13 series
SERIES = FEATURES + 2
EVERY = 100  # milliseconds of event time between two events
START = 1_790_000_000_000
MODEL = "m"
INPUTS = ("predictions", "labels")


@dataclass(frozen=True)
class World:
    """Independent events at 10 a second. From CHANGE on, where it is planted, the error rate is 30 % instead of 10 %,
    and the score and the fifth feature are one standard deviation higher."""

    wrong: npt.NDArray[np.bool_]
    score: npt.NDArray[np.float64]
    numbers: npt.NDArray[np.float64]

    @classmethod
    def of(cls, *, changed: bool) -> World:
        rng = np.random.default_rng(SEED)
        after = (np.arange(EVENTS) >= CHANGE) & changed
        wrong = rng.random(EVENTS) < np.where(after, 0.3, 0.1)
        numbers = rng.standard_normal((EVENTS, FEATURES))
        numbers[:, 4] += after
        return cls(wrong, rng.normal(0.0, 1.0, EVENTS) + after, numbers)

    def records(self, i: int) -> tuple[bytes, bytes]:
        """The prediction and the label of an event, as services would send them."""
        same: dict[str, Any] = {"prediction_id": str(i), "timestamp": START + i * EVERY}
        features = {f"f{k}": float(value) for k, value in enumerate(self.numbers[i])}
        values = {"prediction": 1, "score": float(self.score[i]), "features": features}
        prediction = same | {"model": MODEL, "version": "v1", "variant": "champion"} | values
        return json.dumps(prediction).encode(), json.dumps(same | {"label": int(not self.wrong[i])}).encode()

    def rows(self) -> Rows:
        """The same as rows, each prediction before its outcome: row 2i and row 2i + 1."""
        names = [f"f{k}" for k in range(FEATURES)]
        rows = Rows.blank(2 * EVENTS, [*names, MODEL, "v1", "champion"])
        event = np.arange(EVENTS)
        rows.kind[0::2], rows.kind[1::2] = Kind.PREDICTED, Kind.OUTCOME
        rows.model[:], rows.version[:], rows.variant[:] = FEATURES, FEATURES + 1, FEATURES + 2
        rows.timestamp[:] = START + np.repeat(event, 2) * EVERY
        rows.prediction_offset[:] = np.repeat(event, 2)
        rows.label_offset[1::2] = event
        rows.prediction[:] = 1.0
        rows.label[1::2] = ~self.wrong
        rows.score[0::2] = self.score
        ends = ((event + 1) * FEATURES).astype(np.int32)
        offsets = np.zeros(2 * EVENTS + 1, np.int32)
        offsets[1::2], offsets[2::2] = ends, ends
        codes = np.full(EVENTS * FEATURES, -1, np.int32)
        names_of_values = np.tile(np.arange(FEATURES, dtype=np.int32), EVENTS)
        rows.features = Listed(offsets, names_of_values, self.numbers.ravel(), codes)
        return rows


class LogTime:
    """The workers' time is the log's, and passes where they wait."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def now(self) -> int:
        return self._log.clock

    def steady(self) -> float:
        return self._log.clock / 1000

    def wait(self, seconds: float) -> None:
        self._log.advance(max(1, int(seconds * 1000)))


CONFIG = Config.model_validate({"models": {MODEL: {"task": "binary"}}, "defaults": {"segments": []}})


@contextmanager
def running(log: MemoryLog) -> Iterator[Callable[[], None]]:
    """Both stages on the log; gives what lets each go once around its loop."""
    for name in INPUTS:
        log.create_topic(name, 1)
    layout = prepare(CONFIG, log.admin())
    workers = []
    for stage in (join_stage(CONFIG, layout, "earliest"), gauge_stage(CONFIG)):
        settings = WorkerSettings(CONFIG.kafka.application_id, None, stage.name)
        telemetry = Telemetry(stage.name, CONFIG.topics.dead_letters, CONFIG.topics.alerts)
        workers.append(Worker(stage, log, settings, LogTime(log), telemetry))

    def turn() -> None:
        for worker in workers:
            worker.turn()
        log.advance(1_000)

    for worker in workers:
        worker.start()
    try:
        yield turn
    finally:
        for worker in workers:
            worker.close()


def published(world: World) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The alert events and the monitor events that the pipeline publishes of the world, read in cuts of any size."""
    log = MemoryLog(clock=START)
    draw = np.random.default_rng(SEED)
    with running(log) as turn:
        sent = 0
        while sent < EVENTS:
            upto = min(sent + int(draw.integers(1, 400)), EVENTS)
            for i in range(sent, upto):
                for topic, value in zip(INPUTS, world.records(i), strict=True):
                    log.append(topic, value, key=str(i).encode(), timestamp=START + i * EVERY)
            sent = upto
            turn()
        for _ in range(10):
            turn()
    assert log.records(CONFIG.topics.dead_letters) == []
    alerts = [json.loads(entry.value) for entry in log.records(CONFIG.topics.alerts)]
    monitors = [
        json.loads(entry.value)
        for entry in log.records(CONFIG.topics.metrics)
        if dict(entry.headers)["ce_type"] == b"io.streamgauge.monitor.v1"
    ]
    return alerts, monitors


def door(world: World) -> tuple[list[Finding], list[MonitorChange]]:
    """What the series find in the rows, told of nothing else."""
    settings = SeriesSettings.of(CONFIG.model(MODEL), CONFIG.limits)
    model = ModelSeries(MODEL, settings)
    model.decide("binary")
    found = model.apply(world.rows(), 0)
    return found, [each for each in model.tick(0, None) if isinstance(each, MonitorChange)]


def as_alert(finding: Finding) -> dict[str, Any]:
    """What an alert event must say of a finding."""
    drift = finding.drift
    assert drift.cause is not None and drift.before is not None and drift.after is not None
    return {
        "status": "firing",
        "rule": drift.rule,
        "subject": drift.subject,
        "version": drift.version,
        "variant": drift.variant,
        "statistic": drift.statistic,
        "threshold": drift.threshold,
        "before": {"mean": drift.before.mean, "count": drift.before.count},
        "after": {"mean": drift.after.mean, "count": drift.after.count},
        "change_at": drift.change_at,
        "observations_since_change": drift.observations_since_change,
        "cause": (drift.cause.topic, drift.cause.partition, drift.cause.offset),
    }


def said(alert: dict[str, Any]) -> dict[str, Any]:
    """The same of an alert event."""
    names = ("status", "rule", "subject", "version", "variant", "statistic", "threshold", "before", "after",
             "observations_since_change")  # fmt: skip
    cause = alert["cause"]
    return {name: alert[name] for name in names} | {
        "change_at": round(datetime.fromisoformat(alert["change_at"]).timestamp() * 1000),
        "cause": (cause["topic"], cause["partition"], cause["offset"]),
    }


def by_name(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(events, key=lambda each: (each["subject"], each["rule"]))


@pytest.mark.parametrize("changed", [False, True], ids=["healthy", "changed"])
def test_the_drift_alerts_of_the_pipeline_are_the_findings_of_the_series(changed: bool) -> None:
    world = World.of(changed=changed)
    alerts, monitors = published(world)
    found, watched = door(world)
    assert by_name([said(alert) for alert in alerts]) == by_name([as_alert(finding) for finding in found])

    told = {(each["subject"], each["detector"]) for each in monitors if each["state"] == "armed"}
    assert told == {(each.subject, each.detector) for each in watched if each.state == "armed"}
    armed = len({subject for subject, _ in told})
    assert armed >= 0.95 * SERIES, f"{armed} of {SERIES} series are armed"

    first = {alert["subject"]: alert["cause"]["offset"] - CHANGE for alert in reversed(alerts)}
    print(f"{armed=} of {SERIES}; found after {first}")
    if changed:
        assert first.keys() == {"error", "score", "features.f4"}
        assert 0 <= first["error"] < 300
        assert 0 <= first["score"] < 500 and 0 <= first["features.f4"] < 500
    else:
        assert alerts == []
