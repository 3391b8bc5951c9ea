"""Both stages of the core, one after the other, with no Kafka between them: the same checks in seconds.

The clock is the test's own. A join task gets each partition's records in cuts drawn from a seed; every outcomes
message goes to its gauge task in the order in which it was written.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import numpy as np

from schemas import Config
from streams.gauge import GaugeSettings, GaugeTask
from streams.join import ControlTask, JoinSettings, JoinTask
from streams.records import Moment, OutputRecord, RecordBatch, TopicPartition
from tests.integration.traffic import Logged

TICK = 1_000


class Core:
    """An application: a join task for each pair of partitions, the control task, a gauge task an outcomes partition."""

    def __init__(self, config: Config, partitions: int, clock: int) -> None:
        self._config = config
        self.clock = clock
        join = JoinSettings.from_config(config)
        self._joins = [JoinTask(join, task, partitions + 1) for task in range(partitions)]
        self._control = ControlTask(join, partitions, partitions + 1)
        gauge = GaugeSettings.from_config(config)
        self._gauges = [GaugeTask(gauge, partition) for partition in range(config.outcomes_partitions)]
        self._outcomes_written = [0] * config.outcomes_partitions
        self.published: list[OutputRecord] = []

    def feed(self, log: Iterable[Logged], seed: int) -> None:
        """All records of the log, in cuts drawn from the seed."""
        draw = random.Random(seed)
        waiting: dict[TopicPartition, list[Logged]] = {}
        for logged in log:
            topic = getattr(self._config.topics, logged.record.topic)
            waiting.setdefault(TopicPartition(topic, logged.partition), []).append(logged)
        while waiting:
            for source in list(waiting):
                size = draw.randrange(1, 300)
                taken, left = waiting[source][:size], waiting[source][size:]
                self._join(source.partition, [batch(source, taken)], at_end=() if left else (source,))
                if left:
                    waiting[source] = left
                else:
                    del waiting[source]
            self.clock += TICK // 2

    def idle(self, ticks: int) -> None:
        """Let time pass: nothing more is there to be read."""
        for _ in range(ticks):
            self.clock += TICK
            for task in range(len(self._joins)):
                ends = [TopicPartition(topic, task) for topic in self._inputs]
                self._join(task, [], at_end=ends)
            ends = [TopicPartition(self._config.topics.control, 0)]
            self._gauge(self._control.apply([], Moment(self.clock, frozenset(ends))).outputs)

    @property
    def _inputs(self) -> tuple[str, str]:
        return self._config.topics.predictions, self._config.topics.labels

    def _join(self, task: int, batches: Sequence[RecordBatch], at_end: Iterable[TopicPartition]) -> None:
        step = self._joins[task].apply(batches, Moment(self.clock, frozenset(at_end)))
        self._gauge(step.outputs)

    def _gauge(self, outputs: Sequence[OutputRecord]) -> None:
        for output in outputs:
            if output.topic != self._config.outcomes_topic:
                self.published.append(output)
                continue
            assert output.partition is not None
            source = TopicPartition(output.topic, output.partition)
            offset = self._outcomes_written[output.partition]
            self._outcomes_written[output.partition] += 1
            message = RecordBatch(source, np.array([offset]), np.array([self.clock]), [output.value])
            self.published += self._gauges[output.partition].apply(message).outputs

    def on(self, topic: str) -> list[OutputRecord]:
        """What was published on a topic."""
        return [record for record in self.published if record.topic == topic]


def batch(source: TopicPartition, logged: Sequence[Logged]) -> RecordBatch:
    """Records as the log's client would hand them over."""
    return RecordBatch(
        source,
        np.array([each.offset for each in logged], np.int64),
        np.array([each.record.timestamp for each in logged], np.int64),
        [each.record.value for each in logged],
        lambda i: logged[i].record.key,
    )
