"""The ceiling: what one Python process can consume and decode, doing nothing with it.

`consume(1000)` of a tuned client and msgspec's typed decode, nothing else. Run as a process of its own, so that its
CPU time is that of this work alone: `python -m tests.benchmarks.ceiling BOOTSTRAP PREDICTIONS LABELS COUNT`.
"""

from __future__ import annotations

import json
import sys
import time

import msgspec
from confluent_kafka import Consumer, TopicPartition


class Prediction(msgspec.Struct):
    """The prediction event of the benchmark."""

    prediction_id: str
    model: str
    version: str
    timestamp: str
    prediction: int
    score: float
    features: dict[str, float | str]
    segments: dict[str, str]


class Label(msgspec.Struct):
    """The label event of the benchmark."""

    prediction_id: str
    label: int
    timestamp: str


def measure(bootstrap: str, predictions: str, labels: str, count: int) -> dict[str, float]:
    """Read and decode `count` messages of both topics; CPU seconds of all threads, and the wall time."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "ceiling",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "queued.min.messages": 1_000_000,
            "fetch.queue.backoff.ms": 5,
        }
    )
    known = consumer.list_topics(timeout=15).topics
    places = [TopicPartition(topic, number, 0) for topic in (predictions, labels) for number in known[topic].partitions]
    prediction, label = msgspec.json.Decoder(Prediction).decode, msgspec.json.Decoder(Label).decode
    wall, cpu = time.perf_counter(), time.process_time()
    consumer.assign(places)
    seen = 0
    while seen < count:
        for message in consumer.consume(1000, 1.0):
            if message.error() is None:
                (prediction if message.topic() == predictions else label)(message.value())
                seen += 1
    found = {"messages": seen, "cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
    consumer.close()
    return found


if __name__ == "__main__":
    print(json.dumps(measure(*sys.argv[1:4], int(sys.argv[4]))))
