"""The benchmark's traffic: ten models, five regions, three numeric features and a categorical one.

Predictions are about 230 bytes of JSON and labels about 100, keyed by prediction_id, i.i.d. with an error rate of
10 %; from `changed` on a model errs in 40 %.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from confluent_kafka import Producer

MODELS = tuple(f"model-{number}" for number in range(10))
REGIONS = ("eu", "us", "apac", "latam", "mea")
COUNTRIES = ("DE", "FR", "US", "IN", "BR", "JP")
_DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Pair:
    """A prediction and its label, as bytes."""

    key: bytes
    prediction: bytes
    label: bytes


class Generator:
    """Pairs drawn from a seed, so that every run measures the same bytes."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._day: tuple[int, str] = (-1, "")

    def pair(self, number: int, at: int, label_at: int, *, changed: bool = False) -> Pair:
        """The pair of request `number`: its prediction at `at`, its label known at `label_at` (epoch ms)."""
        draw = self._draw.random
        identifier = f"{self._draw.getrandbits(64):016x}-{number:09d}"
        score = draw()
        predicted = int(score >= 0.5)
        wrong = draw() < (0.4 if changed else 0.1)
        prediction = (
            f'{{"prediction_id":"{identifier}","model":"{MODELS[number % 10]}","version":"1",'
            f'"timestamp":"{self._text(at)}","prediction":{predicted},"score":{score:.4f},'
            f'"features":{{"amount":{100 * draw():.2f},"age":{18 + 60 * draw():.1f},"tenure":{10 * draw():.2f},'
            f'"country":"{COUNTRIES[int(6 * draw())]}"}},"segments":{{"region":"{REGIONS[int(5 * draw())]}"}}}}'
        )
        label = f'{{"prediction_id":"{identifier}","label":{predicted ^ wrong},"timestamp":"{self._text(label_at)}"}}'
        return Pair(identifier.encode(), prediction.encode(), label.encode())

    def _text(self, milliseconds: int) -> str:
        """RFC 3339, with the day's part kept: generating must not be what is measured."""
        day, rest = divmod(milliseconds, _DAY)
        if day != self._day[0]:
            self._day = (day, datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%dT"))
        seconds, fraction = divmod(rest, 1000)
        minutes, second = divmod(seconds, 60)
        hour, minute = divmod(minutes, 60)
        return f"{self._day[1]}{hour:02d}:{minute:02d}:{second:02d}.{fraction:03d}Z"


def new_producer(bootstrap: str) -> Producer:
    """A producer as a user would have it, with room for a burst."""
    return Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "linger.ms": 5,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 1_048_576,
        }
    )


def fill(bootstrap: str, predictions: str, labels: str, count: int, seed: int = 1) -> dict[str, float]:
    """Write `count` predictions and as many labels, over 100 s of event time that end now; mean bytes of each."""
    producer, generator = new_producer(bootstrap), Generator(seed)
    start = time.time_ns() // 1_000_000 - 140_000
    waiting: list[tuple[int, bytes, bytes]] = []
    size = label_size = 0

    def send_labels(until: float) -> None:
        while waiting and waiting[-1][0] <= until:
            at, key, value = waiting.pop()
            _produce(producer, labels, key, value, at)

    for block in _blocks(count):
        for number in block:
            at = start + number * 100_000 // count
            label_at = at + 1_000 + (number * 7919) % 29_000
            pair = generator.pair(number, at, label_at)
            size, label_size = size + len(pair.prediction), label_size + len(pair.label)
            _produce(producer, predictions, pair.key, pair.prediction, at)
            waiting.append((label_at, pair.key, pair.label))
        waiting.sort(reverse=True)
        send_labels(start + block[-1] * 100_000 / count)
    send_labels(float("inf"))
    assert producer.flush(120) == 0
    return {"prediction_bytes": size / count, "label_bytes": label_size / count}


def _blocks(count: int) -> Iterator[range]:
    step = max(1, min(5_000, count // 20))
    return (range(first, min(first + step, count)) for first in range(0, count, step))


def _produce(producer: Producer, topic: str, key: bytes, value: bytes, at: int) -> None:
    while True:
        try:
            producer.produce(topic, value, key, timestamp=at)
        except BufferError:
            producer.poll(0.1)
        else:
            producer.poll(0)
            return
