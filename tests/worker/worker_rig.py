"""A rig for the loop: the in-memory log, a clock that tests drive, and small tasks in the place of the real stages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from streams.log import MemoryLog
from streams.records import Moment, OutputRecord, RecordBatch, TopicPartition
from streams.worker import GaugeStage, GaugeTopics, JoinStage, JoinTopics, Telemetry, Worker, WorkerSettings
from streams.worker.commit import Patience
from streams.worker.stop_at import StopAt

PARTITIONS = 2
OUTCOMES = 2


@dataclass
class LogClock:
    """The log's time is the worker's: waiting moves it on."""

    log: MemoryLog

    def now(self) -> int:
        return self.log.clock

    def steady(self) -> float:
        return self.log.clock / 1000

    def wait(self, seconds: float) -> None:
        self.log.advance(max(1, int(seconds * 1000)))


@dataclass
class FakeStep:
    outputs: list[OutputRecord] = field(default_factory=list)
    journal: list[bytes] = field(default_factory=list)
    commit: int = 0
    floor: int = 0
    metadata: str = ""
    counters: dict[str, int] = field(default_factory=dict)
    watermark: int | None = None
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    held: int = 0
    ticks: list[OutputRecord] = field(default_factory=list)

    @property
    def rows(self) -> list[OutputRecord]:
        return self.outputs


class FakeJoin:
    """Numbers every record it reads and writes it to the outcomes; the journal holds all it has read."""

    def __init__(self, task: int) -> None:
        self.task = task
        self.commit = 0
        self.seen: list[str] = []
        self.times: dict[TopicPartition, int] = {}
        self.stalls: list[int] = []
        self.restored_from: list[bytes] | None = None
        self.explode: Callable[[], None] | None = None
        self.ticking = False

    def apply(self, batches: Sequence[RecordBatch], moment: Moment) -> FakeStep:
        if self.explode is not None:
            self.explode()
        self.commit += 1
        self.stalls.append(moment.stalled)
        new: list[str] = []
        for batch in batches:
            assert list(batch.offsets) == sorted(set(batch.offsets))
            new += [value.decode() for value in batch.values if value is not None]
            self.times[batch.source] = int(batch.timestamps.max())
        outputs = [
            OutputRecord("app-outcomes", None, f"{len(self.seen) + i}:{text}".encode(), self.task % OUTCOMES)
            for i, text in enumerate(new)
        ]
        self.seen += new
        journal = [json.dumps([self.commit, new]).encode()] if new else []
        metadata = json.dumps({"commit": self.commit, "task": self.task})
        ticks = [OutputRecord("app-outcomes", None, b"tick", partition) for partition in range(OUTCOMES)]
        return FakeStep(
            outputs, journal, self.commit, 1, metadata, {"read": len(new)}, 1000, dict(self.times), len(self.seen),
            ticks if self.ticking else [],
        )  # fmt: skip

    def restore(self, blocks: Iterable[bytes], metadata: Mapping[TopicPartition, str]) -> None:
        self.restored_from = list(blocks)
        for block in self.restored_from:
            self.seen += json.loads(block)[1]
        self.commit = max(json.loads(text)["commit"] for text in metadata.values())


class FakeGauge:
    """Publishes every message it reads with its number; its snapshot is the count."""

    def __init__(self, partition: int, every: int = 5) -> None:
        self.partition = partition
        self.count = 0
        self.since = 0
        self.every = every
        self.replayed = 0

    def apply(self, batch: RecordBatch) -> FakeStep:
        outputs = []
        for value in batch.values:
            assert value is not None
            outputs.append(OutputRecord("metrics", None, f"{self.count}:{value.decode()}".encode(), self.partition))
            self.count += 1
            self.since += 1
            self.replayed += 1
        return FakeStep(outputs)

    def snapshot_due(self) -> bool:
        return self.since >= self.every

    def snapshot(self, next_offset: int) -> list[OutputRecord]:
        self.since = 0
        return [OutputRecord("app-snapshots", b"head", json.dumps([next_offset, self.count]).encode(), self.partition)]

    def restore(self, records: Iterable[tuple[bytes | None, bytes | None]]) -> int | None:
        offset = None
        for key, value in records:
            if key == b"head" and value is not None:
                offset, self.count = json.loads(value)
        self.replayed = 0
        return offset


class Rig:
    """A cluster, and workers on it."""

    def __init__(self, *, start: str = "earliest", max_skew: int = 3_600_000) -> None:
        self.log = MemoryLog()
        self.clock = LogClock(self.log)
        self.start = start
        self.max_skew = max_skew
        for name, count in [("predictions", PARTITIONS), ("labels", PARTITIONS), ("control", 1), ("metrics", OUTCOMES),
                            ("app-outcomes", OUTCOMES), ("app-snapshots", OUTCOMES),
                            ("app-journal", PARTITIONS + 1)]:  # fmt: skip
            self.log.create_topic(name, count)
        self.cores: list[FakeJoin] = []
        self.gauges: list[FakeGauge] = []
        self.sent = 0
        self.members = 0

    def send(self, count: int = 1, timestamp: int | None = None) -> None:
        """Predictions and labels that say their number, round the partitions."""
        for _ in range(count):
            topic = ("predictions", "labels")[self.sent % 2]
            self.log.append(topic, f"r{self.sent}".encode(), partition=self.sent // 2 % 2, timestamp=timestamp)
            self.sent += 1

    def join(self, instance: str | None = None) -> Worker:
        """A worker of the join stage, with its consumer subscribed."""
        topics = JoinTopics("predictions", "labels", "control", "app-journal", "app-snapshots",
                            PARTITIONS, OUTCOMES, self.start)  # fmt: skip
        return self._worker(JoinStage(topics, "app-join", self._core), instance)

    def gauge(self, instance: str | None = None) -> Worker:
        """A worker of the gauge stage."""
        return self._worker(
            GaugeStage(GaugeTopics("app-outcomes", "app-snapshots", OUTCOMES), "app-gauge", self._gauge), instance
        )

    def _core(self, task: int) -> FakeJoin:
        self.cores.append(FakeJoin(task))
        return self.cores[-1]

    def _gauge(self, partition: int) -> FakeGauge:
        self.gauges.append(FakeGauge(partition))
        return self.gauges[-1]

    def _worker(self, stage: JoinStage | GaugeStage, instance: str | None) -> Worker:
        self.members += 1
        settings = WorkerSettings("app", instance, f"m{self.members}", max_skew=self.max_skew,
                                  patience=Patience(longest_pause=0.5))  # fmt: skip
        worker = Worker(stage, self.log, settings, self.clock, Telemetry(stage.name, "dead-letters", "alerts"),
                        stop_at=StopAt(""))  # fmt: skip
        worker.start()
        return worker

    def turns(self, worker: Worker, count: int = 4) -> None:
        for _ in range(count):
            self.turn(worker)

    def turn(self, worker: Worker) -> None:
        """Once around, and the time that polling took: the in-memory log's own polls take none."""
        worker.turn()
        self.log.advance(100)

    def settle(self, *workers: Worker, most: int = 60) -> None:
        """Turn until everything sent has come out; the group needs a few turns to agree."""
        for _ in range(most):
            for worker in workers:
                self.turn(worker)
            if len(self.outcomes()) >= self.sent:
                break

    def outcomes(self) -> list[str]:
        """The committed outcomes, as `<number>:<record>`."""
        return [entry.value.decode() for entry in self.log.records("app-outcomes") if entry.value is not None]

    def published(self) -> list[str]:
        """The committed metrics, as `<number>:<outcome>`."""
        return [entry.value.decode() for entry in self.log.records("metrics") if entry.value is not None]

    def check_exactly_once(self) -> None:
        """Every record came out once, and each task numbered its own without a gap: state and outputs agree."""
        texts = [text.partition(":") for text in self.outcomes()]
        assert sorted(int(name[1:]) for _, _, name in texts) == list(range(self.sent))
        for parity in range(PARTITIONS):
            numbers = [int(number) for number, _, name in texts if int(name[1:]) // 2 % 2 == parity]
            assert numbers == list(range(len(numbers)))

    def committed(self, topic: str, partition: int, group: str = "app-join") -> int | None:
        said = self.log.group(group).offsets.get(TopicPartition(topic, partition))
        return None if said is None else said.offset
