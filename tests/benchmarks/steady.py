"""Steady traffic with a change in every model, for the latency part of the benchmark.

`python -m tests.benchmarks.steady BOOTSTRAP PREDICTIONS LABELS MESSAGES_A_SECOND SECONDS`: half predictions, half
labels, each label a second after its prediction. From half-time on the models go bad, one after the other. All events
are drawn before the first is sent: what is measured must not share its cores with the drawing.
"""

from __future__ import annotations

import json
import sys
import time

from tests.benchmarks.load import MODELS, Generator, Pair, new_producer

LABEL_DELAY = 1.0
STEP = 0.01


def draw(count: int, rate: float, half: float, start: int) -> list[Pair]:
    """The pairs of `count` predictions, `rate` a second from `start` (epoch ms) on; changed from `half` seconds on."""
    generator = Generator(seed=2)
    lead = min(1.0, half / (2 * len(MODELS)))  # seconds between one model's change and the next's
    pairs = []
    for number in range(count):
        at = number / rate
        clock = start + int(1000 * at)
        changed = at > half + lead * (number % len(MODELS))
        pairs.append(generator.pair(number, clock, clock + int(LABEL_DELAY * 1000), changed=changed))
    return pairs


def run(bootstrap: str, predictions: str, labels: str, rate: int, seconds: float) -> dict[str, float]:
    """Send for so long; how many messages were sent, and the rate that was reached."""
    producer = new_producer(bootstrap)
    pace = rate / 2
    count = int(pace * seconds)
    began = time.monotonic()
    draw(2_000, pace, seconds, 0)
    needed = 1.3 * (time.monotonic() - began) * count / 2_000 + 1
    start = time.time() + needed
    pairs = draw(count, pace, seconds / 2, int(start * 1000))
    time.sleep(max(0.0, start - time.time()))
    began = time.monotonic()
    served = labelled = 0
    while labelled < count:
        now = time.monotonic() - began
        due = min(count, int(now * pace))
        for pair in pairs[served:due]:
            producer.produce(predictions, pair.prediction, pair.key)
        served = max(served, due)
        due = min(count, int((now - LABEL_DELAY) * pace))
        for pair in pairs[labelled : max(labelled, due)]:
            producer.produce(labels, pair.label, pair.key)
        labelled = max(labelled, due)
        producer.poll(0)
        time.sleep(max(0.0, STEP - (time.monotonic() - began - now)))
    producer.flush(30)
    return {"messages": served + labelled, "rate": (served + labelled) / (time.monotonic() - began)}


if __name__ == "__main__":
    print(json.dumps(run(*sys.argv[1:4], int(sys.argv[4]), float(sys.argv[5]))))
