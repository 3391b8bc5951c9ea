"""Traffic without an end: the benchmark's events at a steady rate, in a process of its own.

`python -m tests.soak.traffic BOOTSTRAP PREDICTIONS LABELS MESSAGES_A_SECOND SECONDS`, rate 0 for as fast as it goes.
Labels come 1 to 30 s after their prediction, as in the benchmark; one prediction in fifty never gets one, one label in
a hundred is corrected a second later. Bodies are taken from a pool drawn beforehand: what is measured shares its cores
with this process. The last line is JSON: what was sent.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from itertools import islice

from confluent_kafka import Producer

from tests.benchmarks.load import Generator, new_producer

STEP = 0.02
WHEEL_STEP = 0.1
SHORTEST_DELAY, DELAYS = 1_000, 29_000  # milliseconds: a label comes 1 to 30 s after its prediction
POOL = 20_011  # a prime: a model meets the bodies in another order than its neighbours
FASTEST = 1_000  # pairs a step where no rate is given: the producer's own queue holds it back
_UNLABELLED, _CORRECTED = 50, 100


@dataclass(slots=True)
class Sent:
    """What has been sent."""

    predictions: int = 0
    labels: int = 0  # the corrections among them
    corrections: int = 0
    unlabelled: int = 0
    seconds: float = 0.0

    @property
    def messages(self) -> int:
        """All records of both topics."""
        return self.predictions + self.labels


@dataclass(slots=True)
class Traffic:
    """Events by number. A label that is due waits in a slot of `WHEEL_STEP` seconds."""

    producer: Producer
    predictions: str
    labels: str
    sent: Sent = field(default_factory=Sent)
    _pool: list[tuple[str, int]] = field(default_factory=list)
    _wheel: deque[list[tuple[str, int, bool]]] = field(default_factory=deque)
    _turned: float = 0.0

    def __post_init__(self) -> None:
        generator = Generator(seed=3)
        for number in range(POOL):
            pair = generator.pair(number % 10, 0, 0)
            body = json.loads(pair.prediction)
            text = json.dumps(
                {name: body[name] for name in ("prediction", "score", "features", "segments")}, separators=(",", ":")
            )
            self._pool.append((text[1:], json.loads(pair.label)["label"]))
        slots = int((SHORTEST_DELAY + DELAYS) / 1000 / WHEEL_STEP) + 3
        self._wheel.extend([] for _ in range(slots + int(1 / WHEEL_STEP)))

    def serve(self, first: int, last: int, now: float) -> None:
        """Send the predictions numbered from `first` up to `last`, and put their labels on the wheel."""
        text = rfc3339(now)
        for number in range(first, last):
            key = identifier(number)
            body, label = self._pool[number % POOL]
            head = f'{{"prediction_id":"{key}","model":"model-{number % 10}","version":"1","timestamp":"{text}",'
            self._send(self.predictions, head + body, key)
            if number % _UNLABELLED == 0:
                self.sent.unlabelled += 1
            else:
                delay = (SHORTEST_DELAY + number * 7919 % DELAYS) / 1000
                self._wheel[1 + int(delay / WHEEL_STEP)].append((key, label, number % _CORRECTED == 1))
        self.sent.predictions += last - first

    def label(self, now: float) -> None:
        """Send the labels that are due."""
        while self._turned + WHEEL_STEP <= now:
            self._turned = self._turned + WHEEL_STEP if self._turned else now
            due = self._wheel.popleft()
            self._wheel.append([])
            self._send_labels(due, rfc3339(now))

    def finish(self, now: float) -> None:
        """Send what still waits, at once."""
        while any(self._wheel):
            self._send_labels(self._wheel.popleft(), rfc3339(now))
            self._wheel.append([])

    def _send_labels(self, due: list[tuple[str, int, bool]], text: str) -> None:
        again = self._wheel[int(1 / WHEEL_STEP)]
        for key, label, correct in due:
            self._send(self.labels, f'{{"prediction_id":"{key}","label":{label},"timestamp":"{text}"}}', key)
            if correct:
                again.append((key, 1 - label, False))
                self.sent.corrections += 1
            self.sent.labels += 1

    def _send(self, topic: str, value: str, key: str) -> None:
        while True:
            try:
                self.producer.produce(topic, value, key)
                return
            except BufferError:
                self.producer.poll(0.1)


def identifier(number: int) -> str:
    """36 bytes or so, as ids are: scattered, unique."""
    return f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}-{number:09d}"


def rfc3339(now: float) -> str:
    """Epoch seconds as the events' timestamps have them."""
    whole = int(now)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{int(1000 * (now - whole)):03d}Z"


def run(bootstrap: str, predictions: str, labels: str, rate: float, seconds: float) -> Sent:
    """Send for so long, then the labels that still wait. A label counts as half of the rate."""
    traffic = Traffic(new_producer(bootstrap), predictions, labels)
    began = time.monotonic()
    served = 0
    while (spent := time.monotonic() - began) < seconds:
        due = int(spent * rate / 2) if rate else served + FASTEST
        now = time.time()
        traffic.serve(served, due, now)
        served = max(served, due)
        traffic.label(now)
        traffic.producer.poll(0)
        if rate:
            time.sleep(max(0.0, STEP - (time.monotonic() - began - spent)))
    traffic.sent.seconds = time.monotonic() - began
    traffic.finish(time.time())
    assert traffic.producer.flush(120) == 0
    return traffic.sent


def main() -> None:
    """The command line."""
    bootstrap, predictions, labels, rate, seconds = islice(sys.argv, 1, None)
    sent = run(bootstrap, predictions, labels, float(rate), float(seconds))
    print(json.dumps({**asdict(sent), "messages": sent.messages}))


if __name__ == "__main__":
    main()
