"""The promise's world: twenty models through the pipeline on the in-memory log, two months in a minute or two.

The log's clock is event time, and so is that of the ticks: they come every half day. Predictions and labels are JSON;
workers of both stages join and judge them, and alerts are read from their topic. Where time is short, what the join
stage would write is written in its place, in bulk; a test holds both ways together.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
import orjson

from schemas import Config
from streams.gauge import GaugeSettings, GaugeTask
from streams.log import MemoryLog
from streams.outcomes import Kind, Listed, Rows, Tick, encode
from streams.records import TopicPartition
from streams.worker import GaugeStage, GaugeTopics, Telemetry, Worker, WorkerSettings, prepare
from streams.worker.process import join_stage
from tests.promise.promise_traffic import CATEGORIES, DAY, MINUTE, MONDAY, Change, Columns, Model

MODELS = 20
REFERENCE, HEALTHY, CHANGED = 28, 30, 3
"""Days that are the reference, that are healthy after it, and within which a change must be found."""
DAYS = REFERENCE + HEALTHY + CHANGED
STEP = 720
"""Minutes between two ticks."""
NUMERIC = [f"f{k}" for k in range(18)]
REGIONS = ("eu", "us", "apac", "latam")
CHANGES: tuple[Change, ...] = ("error", "feature", "score", "category", "nulls")

CONFIG: dict[str, Any] = {
    "outcomes_partitions": 1,
    "max_skew": "365d",
    "defaults": {
        "task": "binary",
        "join": {"horizon": "1h", "grace": "1h"},
        "windows": {"tumbling": ["1d"], "rolling": [], "cumulative": False},
        "reference": {"warm_up": 1000, "span": "28d"},
        "detectors": [
            {"on": "error", "use": "page_hinkley", "severity": "critical"},
            {"on": "error", "use": "page_hinkley", "segment": "region"},
            {"on": "score", "use": "windowed_ks"},
            {"on": "score", "use": "page_hinkley"},
            {"on": "features", "use": "windowed_ks", "severity": "info"},
            {"on": "features", "use": "page_hinkley", "severity": "info"},
            {"on": "features", "use": "chi_squared", "window": 200, "severity": "info"},  # a new category soon
            {"on": "missing", "use": "page_hinkley"},
        ],
        "budget": {"false_alarms": 1, "per": "30d"},
    },
}
"""One configuration, for what is healthy and for what changes."""


def default_detectors() -> dict[str, Any]:
    """The same, with the detectors of a configuration that names none."""
    return {**CONFIG, "defaults": {name: value for name, value in CONFIG["defaults"].items() if name != "detectors"}}


@dataclass
class LogClock:
    """The log's time is the workers'."""

    log: MemoryLog

    def now(self) -> int:
        return self.log.clock

    def steady(self) -> float:
        return self.log.clock / 1000

    def wait(self, seconds: float) -> None:
        self.log.advance(max(1, int(seconds * 1000)))


@dataclass(frozen=True)
class Alarm:
    """The first event of a firing alert: the minute of the record that tipped it, and of what it was raised."""

    model: int
    minute: int
    subject: str
    rule: str
    kind: str
    group: str


@dataclass
class Told:
    """What came out: alarms in the order of their publication, and each detector's last state."""

    alarms: list[Alarm] = field(default_factory=list)
    states: dict[tuple[int, str, str], str] = field(default_factory=dict)
    reasons: dict[tuple[int, str, str], str | None] = field(default_factory=dict)


class World:
    """Models, a log, and a worker of each stage."""

    def __init__(
        self,
        models: list[Model],
        days: int,
        plans: list[dict[Change, int]],
        *,
        joined: bool,
        configured: dict[str, Any] = CONFIG,
    ) -> None:
        """`plans` say in which minute each change sets in. `joined`: outcomes are written in bulk."""
        self._columns = [model.columns(days, plan) for model, plan in zip(models, plans, strict=True)]
        self._days, self._joined = days, joined
        self._log = MemoryLog(clock=MONDAY, session_timeout=10**15, transaction_timeout=10**15)
        self._clock = LogClock(self._log)
        self.told = Told()
        config = Config.model_validate(configured)
        self._topics = config.topics
        for name in (self._topics.predictions, self._topics.labels):
            self._log.create_topic(name, 1)
        layout = prepare(config, self._log.admin())
        # snapshots and arming go by the clock, which races here; what restoring does is tested elsewhere
        settings = replace(
            GaugeSettings.from_config(config), snapshot_every=10**15, snapshot_bytes=10**15, armed_at_once=10**15
        )
        topics = GaugeTopics(config.outcomes_topic, config.snapshots_topic, config.outcomes_partitions)
        gauge = GaugeStage(topics, config.gauge_group, lambda partition: GaugeTask(settings, partition))
        stages = [gauge] if joined else [join_stage(config, layout, "earliest"), gauge]
        self._workers = [self._worker(config, stage) for stage in stages]
        self._outcomes = config.outcomes_topic
        self._produced = (config.outcomes_topic, config.journal_topic, self._topics.metrics, self._topics.alerts)

    def _worker(self, config: Config, stage: Any) -> Worker:
        telemetry = Telemetry(stage.name, self._topics.dead_letters, self._topics.alerts)
        settings = WorkerSettings("streamgauge", None, stage.name, max_skew=config.max_skew)
        worker = Worker(stage, self._log, settings, self._clock, telemetry)
        worker.start()
        while not worker.tasks:
            worker.turn()
        return worker

    def run(self) -> Told:
        """All days, step by step."""
        try:
            for minute in range(0, self._days * DAY, STEP):
                self._log.advance(MONDAY + (minute + STEP) * MINUTE - self._log.clock)
                if self._joined:
                    self._send_outcomes(minute, minute + STEP)
                else:
                    self._send(minute, minute + STEP)
                self._drain()
        finally:
            for worker in self._workers:
                worker.close()
            gc.collect()
        return self.told

    def _send(self, start: int, stop: int) -> None:
        """Predictions and their labels half a minute behind, minute by minute."""
        predictions, labels = (
            self._log.partition(TopicPartition(name, 0)) for name in (self._topics.predictions, self._topics.labels)
        )
        made = zip(*(_events(k, each, start, stop) for k, each in enumerate(self._columns)), strict=True)
        for i, events in enumerate(made):
            at = MONDAY + (start + i) * MINUTE
            for prediction, label in events:
                predictions.append(at, None, prediction, ())
                labels.append(at + 30_000, None, label, ())

    def _send_outcomes(self, start: int, stop: int) -> None:
        """What the join stage would write of the same events: a message a model, and a tick."""
        for number, columns in enumerate(self._columns):
            self._log.append(
                self._outcomes, encode(outcome_rows(number, columns, start, stop, len(self._columns)), 0, 0)
            )
        rows = Rows.blank(1, [], ("region",))
        rows.kind[:] = Kind.TICK
        tick = Tick(0, 1, MONDAY + (stop - 2) * MINUTE, False, True, self._log.clock)
        rows.payloads = {0: msgspec.json.encode(tick)}
        self._log.append(self._outcomes, encode(rows, 0, 0))

    def _drain(self) -> None:
        """Let both workers read all there is; note what they tell; forget the rest."""
        for worker in self._workers:
            before = -1
            while before != (before := self._written()):
                worker.turn()
        for name in (self._topics.metrics, self._topics.alerts):
            for entry in self._log.records(name):
                if entry.value is not None:
                    self._note(orjson.loads(entry.value))
        for name in (self._topics.predictions, self._topics.labels, *self._produced):
            for number in range(self._log.partition_count(name)):
                place = TopicPartition(name, number)
                self._log.expire_before(place, self._log.partition(place).end)

    def _written(self) -> int:
        return sum(self._log.partition(TopicPartition(name, 0)).end for name in self._produced)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("status") == "firing":
            cause = event["cause"]
            minute = -1 if cause is None else cause["offset"] // len(self._columns)
            model = int(event["model"])
            alarm = Alarm(model, minute, _subject(event), event["rule"], event["kind"], event["group_id"])
            if alarm not in self.told.alarms:  # a firing alert is published again and again
                self.told.alarms.append(alarm)
        elif "state" in event and "detector" in event:
            key = (int(event["model"]), _subject(event), event["detector"])
            self.told.states[key], self.told.reasons[key] = event["state"], event["reason"]


def _subject(event: dict[str, Any]) -> str:
    """Subject and segment: error, error/eu."""
    return "/".join([event["subject"], *event["segment"].values()])


def _events(number: int, columns: Columns, start: int, stop: int) -> Iterator[tuple[bytes, bytes]]:
    """(prediction, label) of each minute, as a service and those who label would write them."""
    score, wrong = columns.score[start:stop], columns.wrong[start:stop]
    positive = score > 0.5
    rows = zip(
        columns.numbers[start:stop].tolist(), columns.texts[start:stop].tolist(), columns.region[start:stop].tolist(),
        score.tolist(), positive.tolist(), (positive ^ wrong).tolist(), strict=True,
    )  # fmt: skip
    model = str(number)
    for i, (numbers, texts, region, chance, prediction, label) in enumerate(rows, start):
        at = MONDAY + i * MINUTE
        name = f"{number}-{i}"
        features: dict[str, Any] = dict(zip(NUMERIC, numbers, strict=True))
        features["c0"], features["c1"] = f"k{texts[0]}", f"k{texts[1]}"
        yield (
            orjson.dumps(
                {
                    "prediction_id": name, "model": model, "version": "1", "timestamp": at, "prediction": prediction,
                    "score": chance, "features": features, "segments": {"region": REGIONS[region]},
                }
            ),
            b'{"prediction_id":"%b","label":%b,"timestamp":%d}'
            % (name.encode(), b"true" if label else b"false", at + 30_000),
        )  # fmt: skip


def outcome_rows(number: int, columns: Columns, start: int, stop: int, models: int) -> Rows:
    """The rows of the same events: each prediction, and its outcome right behind it."""
    n, width = stop - start, len(NUMERIC) + 2
    strings = [*NUMERIC, "c0", "c1", *(f"k{k}" for k in range(CATEGORIES + 1)), *REGIONS, str(number), "1"]
    rows = Rows.blank(2 * n, strings, ("region",))
    part = slice(start, stop)
    twice = np.repeat(np.arange(start, stop), 2)
    rows.kind[0::2], rows.kind[1::2] = Kind.PREDICTED, Kind.OUTCOME
    rows.number = 2 * twice
    rows.number[1::2] += 1
    rows.model[:], rows.version[:] = len(strings) - 2, len(strings) - 1
    rows.timestamp = MONDAY + twice * MINUTE
    rows.prediction_offset = twice * models + number
    rows.label_offset[1::2] = rows.prediction_offset[1::2]
    rows.label_timestamp[1::2] = rows.timestamp[1::2] + 30_000
    positive = columns.score[part] > 0.5
    rows.score, rows.prediction = np.repeat(columns.score[part], 2), np.repeat(positive, 2).astype(np.float64)
    rows.label[1::2] = positive ^ columns.wrong[part]
    rows.segments[0] = np.repeat(columns.region[part], 2) + width + CATEGORIES + 1
    values, texts = np.full((n, width), np.nan), np.full((n, width), -1, np.int32)
    values[:, : len(NUMERIC)], texts[:, len(NUMERIC) :] = columns.numbers[part], columns.texts[part] + width
    offsets = np.zeros(2 * n + 1, np.int32)
    offsets[1::2] = offsets[2::2] = width * np.arange(1, n + 1)
    names = np.tile(np.arange(width, dtype=np.int32), n)
    rows.features = Listed(offsets, names, values.ravel(), texts.ravel())
    return rows
