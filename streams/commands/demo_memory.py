"""The demo's pipeline where no Kafka can be had: both stages in this process, by turns, on the in-memory log.

It shows the same stages, the same loop and the same transactions; it shows nothing of Kafka, nor of processes.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import orjson
import structlog

from schemas import Config
from streams.commands.demo_pipeline import INPUTS, PARTITIONS, Event, Names, settings
from streams.log import MemoryLog
from streams.records import RecordBatch, TopicPartition
from streams.worker import SystemClock, Worker, make_worker, prepare

_TIMEOUT = 5.0
_BREATH = 0.02


class MemorySender:
    """Hands records over to the thread that has the log, each with the time at which it was sent."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self._sent: queue.SimpleQueue[tuple[str, bytes, bytes, int]] = queue.SimpleQueue()

    def send(self, topic: str, key: bytes, value: bytes) -> None:
        self._sent.put((topic, key, value, self._clock.now()))

    def flush(self) -> None:
        """What is sent is in the queue already."""

    def deliver(self, log: MemoryLog) -> None:
        """Append what has been sent."""
        while not self._sent.empty():
            topic, key, value, timestamp = self._sent.get()
            log.append(topic, value, key=key, timestamp=timestamp)


class MemoryPipeline:
    """See demo_pipeline.Pipeline. Nothing happens but inside `poll`, on the caller's thread."""

    to_look_at = ()
    farewell = (
        "Nothing is left: the topics were in this process's memory.",
        "On a Kafka: with Docker, or with Java 17 and Maven, `streamgauge demo` starts one by itself;",
        "or your own: KAFKA_BOOTSTRAP_SERVERS=host:9092 streamgauge demo; then the README's quick start.",
    )

    def __init__(self, names: Names) -> None:
        self._names = names
        self._clock = SystemClock()
        self._log = MemoryLog(clock=self._clock.now())
        self._sender = MemorySender(self._clock)
        self._followed = [self._names.topics["metrics"], self._names.topics["alerts"]]
        self._positions: dict[TopicPartition, int] = {}
        self._workers = self._make_workers(Config.model_validate(settings(names)))

    def _make_workers(self, config: Config) -> list[Worker]:
        for name in INPUTS:
            self._log.create_topic(self._names.topics[name], PARTITIONS)
        layout = prepare(config, self._log.admin())
        return [
            make_worker("join", config, self._log, layout, instance=None, start="earliest"),
            make_worker("gauge", config, self._log, layout, instance=None, start="earliest"),
        ]

    def start(self) -> None:
        """Both workers join their groups and take their tasks."""
        for worker in self._workers:
            worker.start()
        while not all(worker.tasks for worker in self._workers):
            self._turn()

    def close(self, *, in_order: bool) -> None:
        """Let the workers go; `in_order` with what they write before they go."""
        for worker in self._workers:
            if in_order:
                worker.last_turn()
            worker.close()

    def sender(self) -> MemorySender:
        return self._sender

    def alive(self) -> bool:
        return True  # what ends a worker is raised by poll

    def poll(self, timeout: float) -> list[tuple[str, Event]]:
        """The workers' turns sleep where nothing is to be done, but not always: the breath keeps this from spinning."""
        until = self._clock.steady() + timeout
        while True:
            self._sender.deliver(self._log)
            self._turn()
            left = until - self._clock.steady()
            if left <= 0:
                return [(topic, event) for topic in self._followed for event in self._fresh(topic)]
            self._clock.wait(min(left, _BREATH))

    def read(self, topic: str) -> list[Event]:
        return [event for place in self._places(topic) for event in _events(self._read(place, 0))]

    def produced_at(self, cause: Mapping[str, Any]) -> int:
        place = TopicPartition(cause["topic"], cause["partition"])
        return int(next(self._read(place, cause["offset"])).timestamps[0])

    def _turn(self) -> None:
        """The log's time is the machine's; each worker goes once around its loop."""
        for worker in self._workers:
            self._log.advance(max(0, self._clock.now() - self._log.clock))
            worker.turn()

    def _fresh(self, topic: str) -> Iterator[Event]:
        for place in self._places(topic):
            for batch in self._read(place, self._positions.get(place, 0)):
                self._positions[place] = int(batch.offsets[-1]) + 1
                yield from _events([batch])

    def _places(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in range(self._log.partition_count(topic))]

    def _read(self, place: TopicPartition, start: int) -> Iterator[RecordBatch]:
        """Committed records from `start` on."""
        with closing(self._log.reader()) as reader:
            _, end = reader.bounds(place, _TIMEOUT)
            yield from reader.read(place, start, end, _TIMEOUT)


def _events(batches: Iterator[RecordBatch] | list[RecordBatch]) -> Iterator[Event]:
    for batch in batches:
        yield from (orjson.loads(value) for value in batch.values if value is not None)


@contextmanager
def memory_pipeline(names: Names) -> Iterator[MemoryPipeline]:
    """streamgauge on the in-memory log, from ready until its last turn. It logs warnings alone: the screen is taken."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    pipeline = MemoryPipeline(names)
    in_order = False
    try:
        pipeline.start()
        yield pipeline
        in_order = True
    finally:
        pipeline.close(in_order=in_order)
        structlog.configure(wrapper_class=before)
