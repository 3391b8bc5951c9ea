"""What is added to a plan: control records, records that no service should send, a change that a detector must see, and
troubles that need more than one thing to go wrong.

Drawn from the seed, but apart from the plan itself, and numbered after its parts: see plan.py.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace

from tests.integration.orders import order
from tests.integration.traffic import HORIZON, MINUTE, Bad, Input, Label, Order, Prediction, Record, Tombstone, Traffic
from tests.simulation.plan import SECOND, START, Drawn, Plan, Sent, Stage, Trouble, When, draw_plan

CONTROL: Input = "control"
_IN_A_COMMIT: tuple[tuple[str, When], ...] = (
    ("send_offsets", "before"),
    ("send_offsets", "after"),
    ("commit", "before"),
)
_REFUSED: tuple[tuple[str, bytes, bytes], ...] = (
    ("invalid_type", b"quiet/a", b"{}"),
    ("invalid_type", b"silence/", b"{}"),
    ("invalid_json", b"silence/a", b'{"matchers"'),
    ("missing_field", b"ack/0123", b"{}"),
    ("out_of_range", b"silence/b", b'{"matchers": {"model": "fraud"}, "starts_at": 1700000000001, "ends_at": 1}'),
    ("out_of_range", b"silence/c", b'{"matchers": {"colour": "red"}, "starts_at": 1, "ends_at": 1700000000000}'),
    ("invalid_utf8", b"silence/\xff", b"{}"),
)


def full_plan(seed: int) -> Plan:
    """The whole history of a seed."""
    plan = draw_plan(seed)
    draw = random.Random(f"additions {seed}")
    records = [*_control(draw, plan), *_unfit(draw, plan), *_change(draw, plan, seed), *_heavy(draw, plan, seed),
               *_at_the_edge(draw, plan, seed)]  # fmt: skip
    troubles = list(_troubles(draw, plan))
    later = random.Random(f"later additions {seed}")  # what came after the others: their numbers stay
    return replace(plan, additions=(*records, *troubles, *_quiet(later, plan), *_long_outage(later, plan)))


# -- records -------------------------------------------------------------------------------------------------------


def _control(draw: random.Random, plan: Plan) -> Iterator[Sent]:
    """Silences, announced events, baselines and re-baselines; deleted, said again, and refused."""
    if draw.random() < 0.4:
        return
    for _ in range(draw.choice((1, 2, 4, 8))):
        at = draw.randrange(plan.span)
        now = START + plan.ahead + at  # by the log's clock, which the ticks follow
        key, body = order(draw, now, START)
        luck = draw.random()
        if luck < 0.12:
            code, bad_key, value = draw.choice(_REFUSED)
            yield Sent(at, Record(CONTROL, bad_key, value, now, Bad(code)))
        elif luck < 0.24:
            yield Sent(at, Record(CONTROL, key.encode(), None, now, Order(key, None)))
        else:
            yield Sent(at, Record(CONTROL, key.encode(), json.dumps(body).encode(), now, Order(key, body)))


def _unfit(draw: random.Random, plan: Plan) -> Iterator[Sent]:
    """Tombstones, and records that are too large for any message of ours."""
    for number in range(draw.choice((0, 0, 1, 3))):
        yield plan.pace.sent(Record("predictions", f"gone-{number}".encode(), None, _when(draw, plan), Tombstone()))
    for number in range(draw.choice((0, 0, 0, 0, 1))):
        at, name = _when(draw, plan), f"large-{number}"
        body = {
            "prediction_id": name,
            "model": "fraud",
            "timestamp": at,
            "prediction": 1,
            "features": {"x": "y" * 300_000},
        }
        yield plan.pace.sent(Record("predictions", name.encode(), json.dumps(body).encode(), at, Bad("too_large")))


class _Steady(Traffic):
    """One version of one model whose labels turn round half way: a detector of its error has to see it."""

    def requests_of(self, plan: Plan, number: int) -> Iterator[Record]:
        """A prediction, and the label that follows it."""
        for i in range(number):
            at = START + (plan.pace.length - 2 * MINUTE) * i // number
            right = self.draw.random() < (0.9 if i < number // 2 else 0.1)
            value = self.draw.choice("01")
            key = f"steady-{i}"
            score = self.draw.randrange(1, 200) / 200
            yield self._prediction_record(Prediction(key, key, "churn", "9", None, at, value, score, 1.0, None), at)
            truth = value if right else "10"[int(value)]
            yield self._label_record(Label(key, None, at + MINUTE, truth, None), at + MINUTE)


def _change(draw: random.Random, plan: Plan, seed: int) -> Iterator[Sent]:
    if draw.random() < 0.25 and plan.pace.length > 10 * MINUTE:
        for record in _Steady(seed, 0, START).requests_of(plan, draw.choice((30, 60))):
            yield plan.pace.sent(record)


def _quiet(draw: random.Random, plan: Plan) -> Iterator[Sent]:
    """Everybody falls silent at the end, for so long that the streams are missed; half of the time they come back. The
    event time of those that come back is that of the last before: nothing is let go meanwhile."""
    if draw.random() < 0.7:
        return
    traffic = Drawn(plan.seed, 0, START, plan.grace)
    latest = plan.pace.length - 2 * MINUTE
    number = draw.choice((20, 40))
    for i in range(number):
        for record in _labelled(traffic, f"quiet-{i}", START + latest * i // number, labelled=i % 4 > 0):
            yield plan.pace.sent(record)
    stall = plan.pace.stall
    back = max(plan.span, 0 if stall is None else stall.end) + draw.choice((15, 30, 45)) * SECOND
    if draw.random() < 0.5:
        for i in range(6):
            for record in _labelled(traffic, f"back-{i}", START + latest, labelled=True):
                yield Sent(back + 500 * i, record)


def _labelled(traffic: Drawn, key: str, timestamp: int, *, labelled: bool) -> Iterator[Record]:
    """A prediction, and a second later its label."""
    yield traffic.prediction(Prediction(key, key, "churn", "8", None, timestamp, "1", 0.5, 1.0, None))
    if labelled:
        yield traffic.label(Label(key, None, timestamp + SECOND, "1", None), timestamp + SECOND)


def _heavy(draw: random.Random, plan: Plan, seed: int) -> Iterator[Sent]:
    """A few predictions of many bytes: what a commit writes takes more than one message and more than one block."""
    if draw.random() >= 0.06:
        return
    at = _when(draw, plan)
    traffic = Drawn(seed, 0, START, plan.grace)
    for number in range(14):
        key = f"heavy-{number}"
        event = Prediction(key, key, "demand", "1", None, at, 100.0, None, 1.0, None)
        made = traffic.prediction(event)
        assert made.value is not None
        body = json.loads(made.value) | {"features": {"text": chr(97 + number) * 50_000}}
        yield plan.pace.sent(replace(made, value=json.dumps(body).encode()))


def _at_the_edge(draw: random.Random, plan: Plan, seed: int) -> Iterator[Sent]:
    """Labels that change, withdraw or repeat what was said of a prediction in the last moment before it is let go."""
    hold = HORIZON + plan.grace
    if plan.pace.length <= hold + MINUTE or draw.random() < 0.4:
        return
    traffic = Drawn(seed, 0, START, plan.grace)
    for number, second in enumerate(("0", "1", None) * draw.choice((1, 2))):
        key = f"edge-{number}"
        at = START + draw.randrange(plan.pace.length - hold)
        event = Prediction(key, key, "churn", "1", None, at, "1", 0.5, 1.0, None)
        yield plan.pace.sent(traffic.prediction(event))
        early = at + draw.randrange(HORIZON)
        yield plan.pace.sent(traffic.label(Label(key, None, early, "1", None), early))
        last = Label(key, None, at + HORIZON, second, None)
        yield plan.pace.sent(traffic.label(last, at + hold - draw.choice((1, 500, 5_000, MINUTE))))


def _when(draw: random.Random, plan: Plan) -> int:
    return START + draw.randrange(plan.pace.length)


# -- troubles ------------------------------------------------------------------------------------------------------


def _troubles(draw: random.Random, plan: Plan) -> Iterator[Trouble]:
    stages: tuple[Stage, Stage] = ("join", "gauge")
    stage, at = draw.choice(stages), draw.randrange(plan.span)
    if draw.random() < 0.12:  # one worker, four, two
        yield Trouble(at, "scale", f"{stage}-0", lasting=draw.choice((3_000, 6_000)))
    if draw.random() < 0.2:  # a zombie in the middle of its commit, and somebody to take over
        step, when = draw.choice(_IN_A_COMMIT)
        yield Trouble(at, "hire", f"{stage}-1")
        yield Trouble(at + 2 * SECOND, "stall", f"{stage}-0", step, when, lasting=draw.choice((14_000, 30_000)))
    if draw.random() < 0.15:  # committed, the reply lost, and dead while it asks
        who = f"{draw.choice(stages)}-0"
        yield Trouble(at, "error", who, "commit", "after", error="UnknownOutcome applied")
        step = draw.choice(("init_transactions", "committed"))
        whens: tuple[When, When] = ("before", "after")
        yield Trouble(at, "kill", who, step, draw.choice(whens), lasting=draw.choice((100, 15_000)))
    if draw.random() < 0.25:  # snapshots of many chunks; half of the time what carries one is aborted
        yield Trouble(0, "small chunks")
        if draw.random() < 0.5:
            yield Trouble(at, "error", "gauge-0", draw.choice(("send_offsets", "commit")), nth=2, error="Abortable")
    if draw.random() < 0.3:
        yield Trouble(draw.randrange(plan.span, 2 * plan.span), "acknowledge")
    stall = plan.pace.stall
    if stall is not None and stall.topic == "labels" and draw.random() < 0.5:
        middle = (stall.begin + stall.end) // 2
        yield Trouble(middle, draw.choice(("hire", "rebalance", "retire")), f"join-{draw.choice((0, 1))}")
    for _ in range(draw.choice((0, 0, 0, 1, 2))):
        ending = draw.choice(("committed", "aborted"))
        yield Trouble(draw.randrange(plan.span), "transaction", lasting=draw.choice((500, 3_000, 6_000)), error=ending)
    if draw.random() < 0.25:  # who takes over meets offsets whose journal, snapshot or outcomes cannot be seen yet
        topic, stage = draw.choice(
            (("journal", "join"), ("journal", "join"), ("snapshots", "gauge"), ("outcomes", "join"))
        )
        at = draw.randrange(plan.span)
        late = draw.choice((3_000, 14_000, 20_000))
        yield Trouble(at, "hire", f"{stage}-1")
        yield Trouble(at + 2 * SECOND, "late markers", lasting=late, place=(topic, draw.randrange(plan.partitions)))
        yield Trouble(at + 2 * SECOND, "kill", f"{stage}-0", "commit", "after", lasting=draw.choice((2_000, 25_000)))


def _long_outage(draw: random.Random, plan: Plan) -> Iterator[Trouble]:
    """A partition without a leader for longer than sessions and transactions last."""
    if draw.random() < 0.2:
        topic = draw.choice(("predictions", "labels", "outcomes", "journal", "snapshots", "metrics", "alerts"))
        place = topic, draw.randrange(plan.partitions)
        yield Trouble(draw.randrange(plan.span), "outage", lasting=draw.choice((20, 40, 70)) * SECOND, place=place)
