"""Both stages in one process, an innocent model, and beside it a model that floods them with distinct values.

A round is ten seconds of event time: some hundred records of the innocent model, and a batch of the flood. What is kept
of the outputs is a digest, so that what grows is the pipeline's own.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from schemas import Config
from streams.gauge import GaugeSettings, GaugeTask
from streams.join import ControlTask, JoinSettings, JoinTask
from streams.records import Moment, OutputRecord, RecordBatch, TopicPartition

START = 1_767_225_600_000
ROUND = 10_000
EACH = 10_000
"""Records of a flood in a round."""
INNOCENT = 100
PREDICTIONS, LABELS, CONTROL = (TopicPartition(name, 0) for name in ("predictions", "labels", "control"))
LONGEST_MESSAGE = 1_000_000


@dataclass(slots=True)
class Batch:
    """What a flood sends in a round: values of predictions and labels; keys and values of control records."""

    predictions: list[bytes] = field(default_factory=list)
    labels: list[bytes] = field(default_factory=list)
    control: list[tuple[str, bytes]] = field(default_factory=list)


@dataclass(slots=True)
class Seen:
    """What came out. `innocent` is a digest of all metric events of the innocent model, in their order."""

    innocent: str = ""
    alerts: Counter[str] = field(default_factory=Counter)  # of the flooding model: firing events by rule
    innocent_alerts: Counter[str] = field(default_factory=Counter)
    dead_letters: int = 0
    other: bool = False  # whether anything was counted as __other__
    largest_message: int = 0
    largest_commit: int = 0  # bytes


class Flooded:
    """One join task, the control task and the gauge tasks."""

    def __init__(self, config: Config) -> None:
        join = JoinSettings.from_config(config)
        self.join, self.control = JoinTask(join, 0, 2), ControlTask(join, 1, 2)
        self.gauges = [GaugeTask(GaugeSettings.from_config(config), p) for p in range(config.outcomes_partitions)]
        self._config = config
        self._offsets = dict.fromkeys((PREDICTIONS, LABELS, CONTROL), 0)
        self._innocent = hashlib.sha256()
        self.round = 0
        self.seen = Seen()

    def play(self, batch: Batch) -> None:
        """A round: the innocent model's records and those of the flood, then a tick."""
        at = START + self.round * ROUND
        predictions = [*batch.predictions, *innocent_predictions(self.round, at)]
        labels = [*batch.labels, *innocent_labels(self.round, at)]
        for first in range(0, max(len(predictions), len(labels)), EACH):
            self._apply(predictions[first : first + EACH], labels[first : first + EACH], at, ends=())
        self._apply_control(batch.control, at)
        self._apply([], [], at + ROUND, ends=(PREDICTIONS, LABELS))
        self._apply_control([], at + ROUND)
        self.round += 1
        self.seen.innocent = self._innocent.hexdigest()

    def _apply(self, predictions: list[bytes], labels: list[bytes], at: int, ends: Sequence[TopicPartition]) -> None:
        batches = [
            self._batch(source, values, at)
            for source, values in ((PREDICTIONS, predictions), (LABELS, labels))
            if values
        ]
        self._fold(self.join.apply(batches, Moment(at, frozenset(ends))).outputs, at)

    def _apply_control(self, records: list[tuple[str, bytes]], at: int) -> None:
        batches = [self._batch(CONTROL, [value for _, value in records], at, [key for key, _ in records])]
        step = self.control.apply(batches if records else [], Moment(at, frozenset([CONTROL])))
        self._fold(step.outputs, at)

    def _batch(
        self, source: TopicPartition, values: list[bytes], at: int, keys: Sequence[str] | None = None
    ) -> RecordBatch:
        first = self._offsets[source]
        self._offsets[source] += len(values)
        offsets = np.arange(first, first + len(values))
        stamps = np.full(len(values), at)
        if keys is None:
            return RecordBatch(source, offsets, stamps, values)
        return RecordBatch(source, offsets, stamps, values, lambda i: keys[i].encode())

    def _fold(self, outputs: Iterable[OutputRecord], at: int) -> None:
        size = 0
        for output in outputs:
            size += len(output.value or b"")
            self._look(output)
            if output.topic == self._config.outcomes_topic:
                assert output.partition is not None
                source = TopicPartition(output.topic, output.partition)
                message = RecordBatch(source, np.zeros(1, np.int64), np.array([at]), [output.value])
                for made in self.gauges[output.partition].apply(message).outputs:
                    self._look(made)
        self.seen.largest_commit = max(self.seen.largest_commit, size)

    def _look(self, output: OutputRecord) -> None:
        value = output.value or b""
        seen = self.seen
        seen.largest_message = max(seen.largest_message, len(value))
        if output.topic == self._config.topics.metrics:
            if output.key == b"innocent":
                self._innocent.update(value)
            else:
                seen.other = seen.other or b"__other__" in value
        elif output.topic == self._config.topics.alerts:
            alert = json.loads(value)
            if alert["status"] == "firing":
                whose = seen.innocent_alerts if alert["model"] == "innocent" else seen.alerts
                whose[alert["rule"]] += 1
        elif output.topic == self._config.topics.dead_letters:
            seen.dead_letters += 1

    def snapshot_sizes(self) -> list[int]:
        """The bytes of the records of a whole snapshot."""
        return [len(record.value or b"") for gauge in self.gauges for record in gauge.snapshot(0)]


def innocent_predictions(number: int, at: int) -> list[bytes]:
    """A hundred predictions, mostly right, over two versions."""
    return [
        b'{"prediction_id":"i%d-%d","model":"innocent","version":"%d","timestamp":%d,"prediction":%d,"score":%.3f,'
        b'"features":{"amount":%d,"country":"%s"},"segments":{"region":"eu"}}'
        % (number, i, i % 2, at + i, i % 3 == 0, (i * 37 % 100) / 100, i * 13 % 50, b"DE" if i % 4 else b"FR")
        for i in range(INNOCENT)
    ]


def innocent_labels(number: int, at: int) -> list[bytes]:
    """The labels of the round before."""
    return [
        b'{"prediction_id":"i%d-%d","label":%d,"timestamp":%d}' % (number - 1, i, i % 3 == 0 or i % 10 == 1, at)
        for i in range(INNOCENT)
        if number
    ]
