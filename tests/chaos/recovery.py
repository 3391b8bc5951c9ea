"""How long a recovery takes: from SIGKILL to the first commit of whoever goes on, with so many predictions held.

Looked at from outside: the committed offsets carry a commit number, so they change with every commit, also where
nothing is read.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.benchmarks.load import Generator, new_producer
from tests.chaos.cluster import ThreeBrokers
from tests.integration.application import PARTITIONS, Topics, settings
from tests.kafka_client import Kafka, input_ends
from tests.service import Service, wait_until

_LONG = 600.0
_IN_FLIGHT = 1.0
"""Seconds after the kill within which a commit that was under way has ended; no process starts as quickly."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds, but for the counts. `start` is from the successor's birth until its loop runs (0 where it ran already),
    `restore` from its assignment until all its tasks are restored, `rows` what these hold."""

    how: str
    held: int
    first_commit: float
    start: float
    restore: float
    rows: int

    @property
    def rows_per_second(self) -> float:
        """How quickly the journal was read back."""
        return self.rows / self.restore


def measure(brokers: ThreeBrokers, held: int, client: Mapping[str, Any]) -> list[Recovery]:
    """The same name comes back; then another takes over."""
    topics = Topics(f"recovery-{uuid.uuid4().hex[:8]}")
    options = settings(brokers.servers, topics)
    options["kafka"]["client"] = dict(client)
    options["defaults"]["join"]["horizon"] = "7d"
    with closing(Kafka(brokers.servers)) as kafka:
        kafka.create(dict.fromkeys(topics.inputs.values(), PARTITIONS))
        fill(brokers.servers, topics["predictions"], held)
        ends = input_ends(kafka, topics["predictions"])
        with Service(options, arguments=["--instance", "one"]) as first:
            wait_until(lambda: kafka.consumed(_group(topics), ends), _LONG, f"{held:,} predictions are held")
            back = _same_name(brokers, options, topics, held, first)
        with closing(_Watch(brokers, topics)) as watch, Service(options) as one:
            one.wait_ready(_LONG)
            with Service(options) as other:
                other.wait_ready(_LONG)
                wait_until(lambda: bool(_tasks(one)) and bool(_tasks(other)), _LONG, "they share the partitions")
                one.wait_ready(_LONG)
                taken = _taken_over(watch, held, one, other)
        return [back, taken]


def fill(bootstrap: str, topic: str, count: int) -> None:
    """So many predictions, over 100 s of event time that end now, and no label."""
    producer, generator = new_producer(bootstrap), Generator(1)
    start = time.time_ns() // 1_000_000 - 140_000
    for number in range(count):
        at = start + number * 100_000 // count
        pair = generator.pair(number, at, at)
        while True:
            try:
                producer.produce(topic, pair.prediction, pair.key, timestamp=at)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(_LONG) == 0


def _same_name(
    brokers: ThreeBrokers, options: Mapping[str, Any], topics: Topics, held: int, first: Service
) -> Recovery:
    with closing(_Watch(brokers, topics)) as watch:
        killed = time.monotonic()
        first.kill()
        born = time.time()
        with Service(options, arguments=["--instance", "one"]) as successor:
            first_commit = watch.next_commit(killed, range(PARTITIONS)) - killed
            wait_until(lambda: bool(_events(successor, "assigned")), _LONG, "it says how long its restore took")
            start = _at(_events(successor, "stage_starts")[0]) - born
            restore = _events(successor, "assigned")[0]["seconds"]
            successor.terminate()
    return Recovery("the same name comes back", held, first_commit, start, restore, held)


def _taken_over(watch: _Watch, held: int, one: Service, other: Service) -> Recovery:
    tasks = [task for task in _tasks(one) if task < PARTITIONS]
    before = len(_events(other, "assigned"))
    killed = time.monotonic()
    one.kill()
    first_commit = watch.next_commit(killed, tasks) - killed
    wait_until(lambda: len(_events(other, "assigned")) > before, _LONG, "it says how long its restore took")
    restore = _events(other, "assigned")[-1]["seconds"]
    return Recovery("taken over by another", held, first_commit, 0.0, restore, held * len(tasks) // PARTITIONS)


class _Watch:
    """Sees what the join's group has committed, pending transactions left aside."""

    def __init__(self, brokers: ThreeBrokers, topics: Topics) -> None:
        properties = {"group.id": _group(topics), "isolation.level": "read_uncommitted", "enable.auto.commit": False}
        self._consumer = Consumer({"bootstrap.servers": brokers.servers, "log_level": 2, **properties})
        self._topic = topics["predictions"]

    def next_commit(self, killed: float, partitions: Sequence[int]) -> float:
        """When each of these partitions had been committed anew by somebody after the kill."""
        wait_until(lambda: time.monotonic() > killed + _IN_FLIGHT, _LONG, "what was in flight has ended")
        before = self._committed(partitions)
        wait_until(
            lambda: all(now != then for now, then in zip(self._committed(partitions), before, strict=True)),
            _LONG,
            "somebody goes on",
        )
        return time.monotonic()

    def _committed(self, partitions: Sequence[int]) -> list[tuple[int, str | None]]:
        places = [TopicPartition(self._topic, number) for number in partitions]
        while True:
            try:
                return [(place.offset, place.metadata) for place in self._consumer.committed(places, timeout=5)]
            except KafkaException:
                continue

    def close(self) -> None:
        self._consumer.close()


def _group(topics: Topics) -> str:
    return f"{topics.application_id}-join"


def _events(service: Service, name: str) -> list[dict[str, Any]]:
    """What the join stage has logged under a name."""
    found = [json.loads(line) for line in service.log().splitlines() if line.startswith("{") and f'"{name}"' in line]
    return [each for each in found if each["event"] == name and each.get("stage") == "join"]


def _tasks(service: Service) -> list[int]:
    assigned = _events(service, "assigned")
    return list(assigned[-1]["tasks"]) if assigned else []


def _at(event: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(event["timestamp"]).timestamp()


def table(recoveries: Sequence[Recovery]) -> str:
    """For people."""
    lines = ["recovery with predictions held      held   first commit after   process start   restore        rows/s"]
    lines += [
        f"{each.how:<27} {each.held:>12,}   {each.first_commit:>16.1f} s   {each.start:>11.1f} s   "
        f"{each.restore:>5.1f} s   {each.rows_per_second:>11,.0f}"
        for each in recoveries
    ]
    return "\n".join(lines)


def as_json(recoveries: Sequence[Recovery]) -> str:
    """For a machine."""
    return json.dumps({"recovery": [asdict(each) | {"rows_per_second": each.rows_per_second} for each in recoveries]})
