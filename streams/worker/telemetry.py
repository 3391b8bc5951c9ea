"""What a worker tells the outside: Prometheus metrics, and the status that the HTTP thread reads.

The loop writes, the HTTP thread reads: the metrics are prometheus_client's, which are made for it; the status is an
immutable value that is replaced whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from streams.log import Consumer
from streams.records import RecordBatch
from streams.worker.assignment import Held
from streams.worker.commit import CommitCounts
from streams.worker.stage import Turn

_COMMIT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_RESTORE_BUCKETS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_LAG_EVERY = 1.0
disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nothing here asks for


@dataclass(frozen=True, slots=True)
class Status:
    """What /livez and /readyz answer from. `beaten` is the steady time of the loop's last sign of life."""

    ready: bool = False
    tasks: tuple[int, ...] = ()


class Telemetry:
    """The metrics of one stage's worker, all with a `stage` label."""

    def __init__(self, stage: str, dead_letters_topic: str, alerts_topic: str) -> None:
        self.registry = CollectorRegistry()
        self.status = Status()
        self._stage = stage
        self._dead_letters_topic = dead_letters_topic
        self._alerts_topic = alerts_topic
        self._lag_told = float("-inf")
        self._told: dict[str, int] = {}

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"streamgauge_{name}", text, ["stage", *labels], registry=self.registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"streamgauge_{name}", text, ["stage", *labels], registry=self.registry)

        def histogram(name: str, text: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(f"streamgauge_{name}", text, ["stage"], registry=self.registry, buckets=buckets)

        self._input = counter("input_records_total", "Records read and committed.", "topic")
        self._delay = counter(
            "input_delay_seconds_total", "Seconds from the records' timestamps to their commit, summed.", "topic"
        )
        self._output = counter("output_records_total", "Records published and committed.", "topic")
        self._dead = counter("dead_letters_total", "Dead letters published.")
        self._alerts = counter("alerts_total", "Alert events published.")
        self._events = counter("events_total", "What the stage counted, by name.", "event")
        self._transactions = counter("transactions_total", "Transactions by how they ended.", "outcome")
        self._losses = counter("memberships_lost_total", "Times the group went on without this worker.")
        self._lag = gauge("lag_records", "Records not read yet.", "topic", "partition")
        self._watermark = gauge("watermark_timestamp_seconds", "Event time of the task's watermark.", "task")
        self._held = gauge("held_records", "Predictions and labels that the task holds.", "task")
        self._tasks = gauge("tasks", "Tasks that run on this worker.")
        self._ready = gauge("ready", "1 when all assigned state is restored.")
        self._commit = histogram("commit_seconds", "Time from begin to the end of a transaction.", _COMMIT_BUCKETS)
        self._apply = histogram("apply_seconds", "Time to apply what was read in one turn.", _COMMIT_BUCKETS)
        self._upkeep = histogram("upkeep_seconds", "Time for what a turn does beside its work.", _COMMIT_BUCKETS)
        self._restore = histogram("restore_seconds", "Time from assignment to the first poll.", _RESTORE_BUCKETS)
        process = psutil.Process()
        gauge("cpu_seconds", "CPU time of the worker's process.").labels(stage).set_function(
            lambda: sum(process.cpu_times()[:2])
        )
        gauge("resident_memory_bytes", "Resident memory of the worker's process.").labels(stage).set_function(
            lambda: process.memory_info().rss
        )
        for metric in (self._dead, self._alerts, self._losses, self._tasks, self._ready, self._commit, self._restore):
            metric.labels(stage)  # so that they are there, at 0, from the start

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def ready(self, ready: bool) -> None:
        """Whether all assigned state is restored."""
        self.status = replace(self.status, ready=ready)
        self._ready.labels(self._stage).set(ready)

    def assigned(self, tasks: Iterable[int], seconds: float) -> None:
        """All tasks of an assignment are restored."""
        self.status = Status(True, tuple(tasks))
        self._ready.labels(self._stage).set(1)
        self._tasks.labels(self._stage).set(len(self.status.tasks))
        self._restore.labels(self._stage).observe(seconds)
        for metric in (self._lag, self._watermark, self._held):  # those of tasks that went elsewhere must not linger
            metric.clear()

    def turned(self, apply: float, upkeep: float) -> None:
        """A turn is over: seconds of applying what was read, and of skew, lag and trimming after the commit."""
        self._apply.labels(self._stage).observe(apply)
        self._upkeep.labels(self._stage).observe(upkeep)

    def membership_lost(self) -> None:
        """The group went on without us."""
        self._losses.labels(self._stage).inc()

    def committed(
        self,
        turns: Mapping[int, Turn],
        batches: Sequence[RecordBatch],
        seconds: float,
        counts: CommitCounts,
        clock: int,
    ) -> None:
        """A transaction has been committed, after `seconds`, at `clock` (epoch milliseconds)."""
        stage = self._stage
        self._commit.labels(stage).observe(seconds)
        for batch in batches:
            self._input.labels(stage, batch.source.topic).inc(len(batch))
            self._delay.labels(stage, batch.source.topic).inc(_delay(batch, clock))
        topics: dict[str, int] = {}
        for number, turn in turns.items():
            for record in (*turn.outputs, *turn.closing):
                topics[record.topic] = topics.get(record.topic, 0) + 1
            figures = turn.figures
            if figures.watermark is not None:
                self._watermark.labels(stage, str(number)).set(figures.watermark / 1000)
            if figures.held is not None:
                self._held.labels(stage, str(number)).set(figures.held)
            for event, amount in figures.counters.items():
                if amount > 0:
                    self._events.labels(stage, event).inc(amount)
        for topic, amount in topics.items():
            self._output.labels(stage, topic).inc(amount)
        self._dead.labels(stage).inc(topics.get(self._dead_letters_topic, 0))
        self._alerts.labels(stage).inc(topics.get(self._alerts_topic, 0))
        now = {"committed": counts.committed, "aborted": counts.aborted, "unknown": counts.unknown}
        for outcome, total in now.items():
            self._transactions.labels(stage, outcome).inc(total - self._told.get(outcome, 0))
        self._told = now

    def lag(self, tasks: Iterable[Held], consumer: Consumer, now: float) -> None:
        """Tell the lag of every partition, at most once a second."""
        if now - self._lag_told < _LAG_EVERY:
            return
        self._lag_told = now
        for held in tasks:
            for partition in held.task.partitions:
                lag = consumer.lag(partition)
                if lag is not None:
                    self._lag.labels(self._stage, partition.topic, str(partition.partition)).set(lag)


def _delay(batch: RecordBatch, clock: int) -> float:
    """Seconds from the records' timestamps to `clock`, summed; 0 for one without a timestamp, or with one to come.

    By Little's law what is summed in a second is the number of records that waited in it, on average: the lag, and
    nothing between two looks at it is missed (J. D. C. Little, 1961: "A proof for the queuing formula L = λW").
    """
    stamped = batch.timestamps[batch.timestamps >= 0]
    return float(np.maximum(clock - stamped, 0).sum()) / 1000
