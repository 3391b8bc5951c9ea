"""What a history is made of: traffic, a crew of workers, and troubles, all drawn from one seed.

A plan is plain data. Taking parts out of it (`Plan.keeping`) leaves a plan that can be run just the same: that is how
a failing one is shrunk. What `additions.py` adds is drawn apart and numbered last, so that the seeds and parts that are
kept of earlier failures (bugs/) go on meaning what they meant.
"""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Literal

from tests.integration.traffic import HORIZON, HOUR, MINUTE, SPAN, Bad, Label, Prediction, Record, Traffic

START = 1_790_000_000_000 // HOUR * HOUR
POISON = 666.0
"""A prediction or a label of this value raises in the join's plan (see world.py)."""

Stage = Literal["join", "gauge"]
When = Literal["before", "after"]
SECOND = 1_000
SLOTS = 4
STEPS = ("poll", "committed", "init_transactions", "begin", "produce", "send_offsets", "commit", "read", "admin")
DYING = ("poll", "begin", "produce", "send_offsets", "commit", "commit", "commit", "init_transactions", "read")
ERRORS: tuple[tuple[str, str], ...] = (
    ("commit", "UnknownOutcome applied"),
    ("commit", "UnknownOutcome"),
    ("commit", "Abortable"),
    ("commit", "ProducerFatal"),
    ("commit", "Retriable"),
    ("send_offsets", "Abortable"),
    ("send_offsets", "Retriable"),
    ("send_offsets", "ProducerFatal"),
    ("produce", "Abortable"),
    ("produce", "Retriable"),
    ("init_transactions", "Retriable"),
    ("init_transactions", "Abortable"),
    ("poll", "Retriable"),
    ("poll", "Unreachable"),
    ("committed", "Retriable"),
    ("read", "Unreachable"),
    ("read", "Retriable"),
    ("admin", "Retriable"),
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A record and when it reaches the log, ms after the start of the history."""

    at: int
    record: Record


@dataclass(frozen=True, slots=True)
class Stall:
    """A topic that says nothing from `begin` to `end` (ms), and then all that it has missed; `event_time` is how much
    event time (ms) that was."""

    topic: str
    begin: int
    end: int
    event_time: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that goes wrong `at` so many ms; what the fields mean depends on `kind` (see world.py).

    With a step it happens at the nth time that `who` comes to it from then on. `lasting` is in ms.
    """

    at: int
    kind: str
    who: str = ""
    step: str = ""
    when: When = "before"
    nth: int = 1
    lasting: int = 0
    error: str = ""
    place: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A place for a worker. `instance` names a static member; `skew` is how far its clock is off, ms; `rate` how fast
    it goes; `slow` stretches its waits."""

    name: str
    stage: Stage
    instance: str | None
    skew: int
    rate: float
    slow: float
    from_start: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A history to be. Times in ms; `ahead` is how far the log's clock is ahead of event time at the start; `grace`,
    `idle_after` and `max_skew` are the application's settings."""

    seed: int
    ahead: int
    partitions: int
    outcomes_partitions: int
    grace: int
    idle_after: int
    max_skew: int
    commit_interval: int
    snapshot_every: int
    span: int
    crew: tuple[Member, ...]
    sent: tuple[Sent, ...]
    troubles: tuple[Trouble, ...]
    pace: Pace
    additions: tuple[Sent | Trouble, ...] = ()

    @property
    def spills(self) -> bool:
        """Whether all that the join holds lies in files: so that a quarter of all histories play with those."""
        return self.seed % 4 == 2

    @property
    def scan(self) -> int:
        """How often the coordinator looks for transactions that are too old, ms. Where it does so seldom, one outlives
        its owner's session: who takes over waits for it, and a zombie that wakes in time commits it after all."""
        return random.Random(f"scan {self.seed}").choice((1, 1, 4 * SECOND, 10 * SECOND))

    @property
    def parts(self) -> list[Sent | Trouble]:
        """What can be taken out, by number: records, troubles, then the records and troubles that were added."""
        return [*self.sent, *self.troubles, *self.additions]

    @property
    def size(self) -> int:
        """How many parts can be taken out."""
        return len(self.parts)

    @property
    def all_sent(self) -> list[Sent]:
        """All records, in the order in which they reach the log; of what comes at once, in that of their timestamps."""
        more = [each for each in self.additions if isinstance(each, Sent)]
        return sorted([*self.sent, *more], key=lambda each: (each.at, each.record.timestamp))

    @property
    def all_troubles(self) -> list[Trouble]:
        """All troubles, in their order."""
        more = [each for each in self.additions if isinstance(each, Trouble)]
        return sorted([*self.troubles, *more], key=lambda each: each.at)

    def keeping(self, parts: Collection[int]) -> Plan:
        """The plan with these parts alone."""
        kept = set(parts)
        groups: tuple[tuple[Any, ...], ...] = self.sent, self.troubles, self.additions
        starts = accumulate(map(len, groups), initial=0)
        left: list[tuple[Any, ...]] = [
            tuple(each for i, each in enumerate(group, start) if i in kept)
            for group, start in zip(groups, starts, strict=False)
        ]
        return replace(self, sent=left[0], troubles=left[1], additions=left[2])


def draw_plan(seed: int) -> Plan:
    """The history of a seed, without additions."""
    draw = random.Random(f"plan {seed}")
    partitions = draw.choice((1, 2, 2, 3))
    tight = draw.random() < 0.5
    span = draw.randrange(8, 30) * SECOND
    crew = tuple(_crew(draw))
    pace = _traffic(draw, seed, span, 25 * MINUTE if tight else 6 * HOUR)
    return Plan(
        seed=seed,
        ahead=draw.choice((0, 3 * HOUR, 30 * HOUR)),
        partitions=partitions,
        outcomes_partitions=draw.choice((1, 2, 2, 3)),
        # Tight: what is held expires in the middle of the history, and no partition is ever left out for silence, so
        # that nothing is read too late. Wide: partitions fall silent and are left out, and nothing expires meanwhile.
        grace=25 * MINUTE if tight else 6 * HOUR,
        idle_after=400 * 24 * HOUR if tight else draw.choice((8, 60)) * SECOND,
        max_skew=draw.choice((10 * MINUTE, HOUR)),
        commit_interval=draw.choice((200, 1_000, 1_000, 2_000)),
        snapshot_every=draw.choice((1, 2, 5)) * SECOND,
        span=span,
        crew=crew,
        sent=tuple(sorted(map(pace.sent, pace.records), key=lambda each: each.at)),
        troubles=tuple(sorted(_troubles(draw, span, partitions), key=lambda each: each.at)),
        pace=pace,
    )


def _crew(draw: random.Random) -> Iterator[Member]:
    stages: tuple[Stage, Stage] = ("join", "gauge")
    for stage in stages:
        static = draw.random() < 0.5
        starting = draw.choice((1, 1, 1, 2, 3))
        for number in range(SLOTS):
            name = f"{stage}-{number}"
            yield Member(
                name,
                stage,
                name if static else None,
                skew=draw.choice((0, 0, 700, -3_000, 3_000)),
                rate=draw.choice((1.0, 1.0, 0.99, 1.01)),
                slow=draw.choice((2.0, 4.0, 8.0)),
                from_start=number < starting,
            )


# -- traffic -------------------------------------------------------------------------------------------------------


class Drawn(Traffic):
    """The survival test's traffic, and labels that are known in time but told at the last moment, or just after."""

    def __init__(self, seed: int, requests: int, start: int, grace: int) -> None:
        super().__init__(seed, requests, start)
        self._grace = grace

    def _labels(self, predictions: list[Prediction]) -> Iterator[Record]:
        if self.draw.random() < 0.8:
            yield from super()._labels(predictions)
            return
        first = predictions[0]
        hold = first.timestamp + HORIZON + self._grace
        for _ in range(self.draw.choice((1, 2, 2, 3))):
            known = first.timestamp + self.draw.randrange(HORIZON + 1)
            told = min(known + self._grace, hold) - self.draw.randrange(5_000)
            if told - self.start > SPAN + 2 * HORIZON - MINUTE:
                told = known
            value = None if self.draw.random() < 0.25 else self._truth(first)
            label = Label(first.label_key, None, known, value, self._label_weight(first))
            yield self.label(label, told)

    def prediction(self, event: Prediction) -> Record:
        """A prediction that reaches the log at its own time."""
        return self._prediction_record(event, event.timestamp)

    def label(self, label: Label, told: int) -> Record:
        """A label whose record says another time than itself."""
        made = self._label_record(label, told)
        assert made.value is not None
        body = {**json.loads(made.value), "timestamp": label.timestamp}
        return replace(made, value=json.dumps(body).encode())

    def poison(self, number: int) -> Record:
        """A record that is good, and raises where it is applied."""
        at = self.start + self.draw.randrange(SPAN)
        key = f"poison-{number}"
        body = {"prediction_id": key, "timestamp": at}
        if self.draw.random() < 0.5:
            body |= {"model": "demand", "prediction": POISON}
            return Record("predictions", key.encode(), json.dumps(body).encode(), at, Bad("unknown"))
        body["label"] = POISON
        return Record("labels", key.encode(), json.dumps(body).encode(), at, Bad("unknown"))


@dataclass(frozen=True, slots=True)
class Pace:
    """When records reach the log: event time of `length` ms in `span` ms of the log's, but for what is stalled and for
    bursts. `records` is the traffic, in its order."""

    records: tuple[Record, ...]
    length: int
    span: int
    stalled: str | None
    begin: int
    end: int
    burst: bool

    def sent(self, record: Record) -> Sent:
        """The record and when it reaches the log."""
        at = (record.timestamp - START) * self.span // self.length
        if record.topic == self.stalled and self.begin <= at < self.end:
            at = self.end
        return Sent(at // (5 * SECOND) * 5 * SECOND if self.burst else at, record)

    @property
    def stall(self) -> Stall | None:
        """What is stalled."""
        if self.stalled is None:
            return None
        return Stall(self.stalled, self.begin, self.end, (self.end - self.begin) * self.length // self.span)


def _traffic(draw: random.Random, seed: int, span: int, grace: int) -> Pace:
    """Two hours and more of event time in `span` ms of the log's; now and then a topic comes late, or all in bursts."""
    traffic = Drawn(seed, draw.choice((12, 25, 25, 50)), START, grace)
    records = traffic.records() + [traffic.poison(number) for number in range(draw.choice((0, 0, 1, 3)))]
    length = max(record.timestamp for record in records) - START + 1
    stalled = draw.choice((None, None, "labels", "predictions"))
    begin = draw.randrange(span)
    end = begin + draw.randrange(span)
    burst = draw.random() < 0.3
    ordered = tuple(sorted(records, key=lambda each: each.timestamp))
    return Pace(ordered, length, span, stalled, begin, end, burst)


# -- troubles ------------------------------------------------------------------------------------------------------


def _troubles(draw: random.Random, span: int, partitions: int) -> Iterator[Trouble]:
    kinds = ("kill", "kill", "kill", "stall", "stall", "error", "error", "error", "hire", "retire", "flaky", "outage",
             "twin", "swap", "downtime", "retention", "compaction", "rebalance", "late produce")  # fmt: skip
    for _ in range(draw.choice((0, 1, 2, 3, 4, 6, 8))):
        yield _trouble(draw, draw.choice(kinds), draw.randrange(span), partitions)


def _trouble(draw: random.Random, kind: str, at: int, partitions: int) -> Trouble:
    stage = draw.choice(("join", "gauge"))
    who = f"{stage}-{draw.choice((0, 0, 0, 1, 1, 2))}"
    when: When = draw.choice(("before", "after"))
    nth = draw.choice((1, 1, 2, 3))
    if kind == "kill":
        down = draw.choice((100, 2_000, 15_000, 25_000))
        return Trouble(at, kind, who, draw.choice(DYING), when, nth, down)
    if kind == "stall":
        lasting = draw.choice((500, 9_000, 13_000, 16_000, 30_000))
        return Trouble(at, kind, who, draw.choice(DYING), when, nth, lasting)
    if kind == "error":
        step, error = draw.choice(ERRORS)
        return Trouble(at, kind, who, step, "after" if error.endswith("applied") else "before", nth, error=error)
    if kind in {"hire", "retire", "twin", "rebalance", "swap"}:
        return Trouble(at, kind, f"{stage}-{draw.randrange(SLOTS)}", lasting=draw.choice((3_000, 6_000)))
    if kind == "outage":
        topic = draw.choice(("predictions", "labels", "outcomes", "journal", "snapshots", "metrics"))
        return Trouble(at, kind, lasting=draw.choice((1_000, 6_000)), place=(topic, draw.randrange(partitions)))
    if kind == "downtime":
        return Trouble(
            at, kind, lasting=draw.choice((13_000, 30_000, HOUR, 3 * HOUR)), error=draw.choice(("", "offsets"))
        )
    return Trouble(at, kind, lasting=draw.choice((2_000, 8_000)))
