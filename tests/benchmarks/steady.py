"""Steady traffic with a change in every model, for the latency part of the benchmark.

`python -m tests.benchmarks.steady BOOTSTRAP PREDICTIONS LABELS MESSAGES_A_SECOND SECONDS`: half predictions, half
labels, each label a second after its prediction. From half-time on the models go bad, one after the other.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque

from tests.benchmarks.load import MODELS, Generator, new_producer

LABEL_DELAY = 1.0
STEP = 0.01


def run(bootstrap: str, predictions: str, labels: str, rate: int, seconds: float) -> dict[str, float]:
    """Send for so long; how many messages were sent, and the rate that was reached."""
    producer, generator = new_producer(bootstrap), Generator(seed=2)
    waiting: deque[tuple[float, bytes, bytes]] = deque()
    half = seconds / 2
    lead = min(1.0, half / (2 * len(MODELS)))  # seconds between one model's change and the next's
    began = time.monotonic()
    served = sent = 0
    while (now := time.monotonic() - began) < seconds:
        clock = time.time_ns() // 1_000_000
        for number in range(served, int(now * rate / 2)):
            changed = now > half + lead * (number % len(MODELS))
            pair = generator.pair(number, clock, clock + int(LABEL_DELAY * 1000), changed=changed)
            producer.produce(predictions, pair.prediction, pair.key)
            waiting.append((now + LABEL_DELAY, pair.key, pair.label))
            sent += 1
        served = max(served, int(now * rate / 2))
        while waiting and waiting[0][0] <= now:
            _, key, label = waiting.popleft()
            producer.produce(labels, label, key)
            sent += 1
        producer.poll(0)
        time.sleep(max(0.0, STEP - (time.monotonic() - began - now)))
    producer.flush(30)
    return {"messages": sent, "rate": sent / (time.monotonic() - began)}


if __name__ == "__main__":
    print(json.dumps(run(*sys.argv[1:4], int(sys.argv[4]), float(sys.argv[5]))))
