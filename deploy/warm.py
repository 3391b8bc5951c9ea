"""Compile every kernel, so that an image's first start is not its slowest: a small day of traffic through the core.

Run where streamgauge is installed; nothing of it is kept but the compiled kernels (NUMBA_CACHE_DIR).
"""

from __future__ import annotations

import random

import msgspec
import numpy as np

from schemas import Config
from streams.gauge import GaugeSettings, GaugeTask
from streams.join import ControlTask, JoinSettings, JoinTask
from streams.records import Moment, RecordBatch, TopicPartition

START = 1_767_225_600_000
EVENTS = 3_000
TASKS = ("binary", "multiclass", "regression")


def main() -> None:
    """One join task and its gauge tasks, three models, labels, corrections, expiry, a snapshot and its restore."""
    config = Config.model_validate(
        {
            "defaults": {"join": {"horizon": "1m", "grace": "0s"}, "windows": {"rolling": [100]}},
            "models": {task: {"task": task} for task in TASKS},
        }
    )
    settings = JoinSettings.from_config(config)
    join, control = JoinTask(settings, 0, 2), ControlTask(settings, 1, 2)
    gauges = [GaugeTask(GaugeSettings.from_config(config), p) for p in range(config.outcomes_partitions)]
    predictions, labels = TopicPartition("predictions", 0), TopicPartition("labels", 0)
    sources = {predictions: list(predicted()), labels: list(known())}
    journal: list[bytes] = []
    metadata, offset = "", 0
    for cut in range(10):
        clock = START + 1_000 * EVENTS + 5_000 * cut
        moment = Moment(clock, frozenset([predictions, labels, TopicPartition("control", 0)]))
        batches = [records(source, values, cut) for source, values in sources.items()]
        step = join.apply(batches, moment)
        journal, metadata = journal + list(step.journal), step.metadata
        for output in [*step.outputs, *control.apply([], moment).outputs]:
            if output.topic == config.outcomes_topic and output.partition is not None:
                message = RecordBatch(
                    TopicPartition(output.topic, output.partition),
                    np.array([offset]),
                    np.array([clock]),
                    [output.value],
                )
                gauges[output.partition].apply(message)
                offset += 1
    JoinTask(settings, 0, 2).restore(journal, {predictions: metadata, labels: metadata})
    for partition, gauge in enumerate(gauges):
        cut_records = [(each.key or b"", each.value) for each in gauge.snapshot(offset)]
        GaugeTask(GaugeSettings.from_config(config), partition).restore(cut_records)


def predicted() -> list[bytes]:
    """Predictions of three models, a second apart."""
    draw = random.Random(1)
    return [
        msgspec.json.encode(
            {
                "prediction_id": f"warm-{i}",
                "model": TASKS[i % 3],
                "timestamp": START + 1_000 * i,
                "prediction": draw.gauss(5, 1) if i % 3 == 2 else draw.randrange(2 + i % 3),
                "features": {"amount": draw.gauss(0, 1), "country": draw.choice("abc")},
                "segments": {"region": draw.choice("xy")},
                "latency_ms": draw.expovariate(0.1),
            }
            | ({"score": draw.random()} if i % 3 == 0 else {})
        )
        for i in range(EVENTS)
    ]


def known() -> list[bytes]:
    """Their labels, some of them corrected or withdrawn."""
    draw = random.Random(2)
    found: list[bytes] = []
    for i in range(EVENTS):
        truth: float | None = draw.gauss(5, 1) if i % 3 == 2 else draw.randrange(2 + i % 3)
        for value in [truth] if i % 50 else [truth, 0, None]:
            found.append(
                msgspec.json.encode({"prediction_id": f"warm-{i}", "label": value, "timestamp": START + 1_000 * i})
            )
    return found


def records(source: TopicPartition, values: list[bytes], cut: int) -> RecordBatch:
    """A tenth of the values, as the log's client hands them over."""
    first, last = len(values) * cut // 10, len(values) * (cut + 1) // 10
    stamps = np.full(last - first, START + 1_000 * EVENTS, np.int64)
    return RecordBatch(source, np.arange(first, last), stamps, values[first:last])


if __name__ == "__main__":
    main()
