"""Seeded outcomes topics for tests of the gauge: messages as a join stage would write them."""

from __future__ import annotations

import msgspec
import numpy as np

from streams.outcomes import Control, Kind, Listed, Rows, Tick, concatenate, encode
from streams.records import RecordBatch, TopicPartition

STRINGS = ["fraud", "churn", "v1", "v2", "champion", "eu", "us", "amount", "country", "DE", "FR", "age"]
CODE = {text: i for i, text in enumerate(STRINGS)}
SOURCE = TopicPartition("streamgauge-outcomes", 0)
START = 1_790_000_000_000


class Traffic:
    """Predictions of two models, their labels, corrections and withdrawals, ticks of two join tasks."""

    def __init__(self, seed: int, shift_after: int | None = None) -> None:
        self.random = np.random.default_rng(seed)
        self.shift_after = shift_after
        self.clock = START
        self.number = 0
        self.made = 0
        self.open: list[tuple[int, Rows]] = []

    def predicted(self, n: int) -> Rows:
        """n new predictions, one every 100 ms of event time."""
        random = self.random
        rows = Rows.blank(n, STRINGS, ("region",))
        rows.number = self.number + np.arange(n)
        rows.timestamp = START + (self.made + np.arange(n)) * 100
        rows.model = random.choice([CODE["fraud"], CODE["fraud"], CODE["churn"]], n).astype(np.int32)
        rows.version[:] = CODE["v1"]
        rows.variant[:] = CODE["champion"]
        rows.segments[0] = random.choice([CODE["eu"], CODE["us"], -1], n)
        truth = random.random(n) < 0.3
        wrong = random.random(n) < 0.1
        rows.prediction = (truth ^ wrong).astype(np.float64)
        rows.score = np.clip(rows.prediction * 0.5 + random.random(n) * 0.5, 0, 1)
        rows.prediction_offset = self.made + np.arange(n)
        rows.latency = random.exponential(10, n)
        names = np.tile(np.array([CODE["amount"], CODE["age"], CODE["country"]], np.int32), n)
        values = np.column_stack([random.normal(100, 10, n), random.normal(40, 5, n), np.full(n, np.nan)])
        if self.shift_after is not None and self.made >= self.shift_after:
            values[:, 0] += 20
            flip = random.random(n) < 0.4
            truth ^= flip
        texts = np.full((n, 3), -1, np.int32)
        texts[:, 2] = random.choice([CODE["DE"], CODE["FR"]], n)
        rows.features = Listed(np.arange(0, 3 * n + 1, 3, dtype=np.int32), names, values.ravel(), texts.ravel())
        self.number += n
        self.made += n
        self._truth = truth.astype(np.float64)
        return rows

    def outcomes(self, of: Rows) -> Rows:
        """The labels of these predictions."""
        n = len(of)
        rows = of.take(np.arange(n))
        rows.kind[:] = Kind.OUTCOME
        rows.features = Listed.empty(n)
        rows.number = self.number + np.arange(n)
        rows.label = self._truth
        rows.label_timestamp = rows.timestamp + self.random.integers(1, 60_000, n)
        rows.label_offset = rows.prediction_offset + 1_000_000
        self.number += n
        return rows

    def corrections(self, of: Rows, n: int) -> Rows:
        """n of these outcomes are taken back; every second of them gets another label."""
        parts = []
        for at in self.random.choice(len(of), n, replace=False):
            back = of.take(np.array([at]))
            back.kind[:] = Kind.RETRACTED
            back.refers_to, back.number = back.number, np.array([self.number])
            self.number += 1
            parts.append(back)
            if len(parts) % 2:
                again = of.take(np.array([at]))
                again.label = 1 - again.label
                again.refers_to, again.number = again.number, np.array([self.number])
                self.number += 1
                parts.append(again)
        return concatenate(parts)

    def tick(self, task: int) -> Rows:
        """A tick, a second after the last one."""
        self.clock += 500
        latest = START + self.made * 100
        return row_of(Tick(task, 2, latest - 60_000 if task == 0 else None, task == 1, True, self.clock))

    def control(self, key: str, value: bytes | None) -> Rows:
        """A record of the control topic."""
        return row_of(Control(key, value, 0))

    def messages(self, rounds: int, each: int = 60) -> list[bytes]:
        """A topic of `rounds` rounds of predictions, outcomes, corrections and ticks."""
        made = []
        for i in range(rounds):
            predicted = self.predicted(each)
            outcomes = self.outcomes(predicted)
            made.append(encode(concatenate([predicted, self.tick(0)]), 0, i))
            made.append(
                encode(concatenate([self.tick(1), outcomes, self.corrections(outcomes, 4), self.tick(0)]), 0, i)
            )
        return made


def row_of(payload: Tick | Control) -> Rows:
    """The row that carries it."""
    rows = Rows.blank(1, STRINGS, ("region",))
    rows.kind[:] = Kind.TICK if isinstance(payload, Tick) else Kind.CONTROL
    rows.payloads = {0: msgspec.json.encode(payload)}
    return rows


def batch(messages: list[bytes], first: int) -> RecordBatch:
    """Messages at consecutive offsets."""
    n = len(messages)
    return RecordBatch(SOURCE, np.arange(first, first + n), np.full(n, START), messages)
