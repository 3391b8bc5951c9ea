"""Seeded traffic for the survival test: what services would send, and what each record means.

Everything the join semantics speak of is in it: early and late labels, labels at the very edge of the horizon,
corrections, withdrawals, duplicates, champions and challengers that share a request, labels that name a model,
missing labels, tombstones and records that are no events. Half way the world changes for one model, so that there is
something to be alarmed about. The meaning of each record is kept beside its bytes, so
that the oracle (oracle.py) never parses anything.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

MINUTE = 60_000
HOUR = 60 * MINUTE
HORIZON = 30 * MINUTE
GRACE = 6 * HOUR
SPAN = 2 * HOUR
REGIONS = ("eu", "us", "apac")
GRADES = ("a", "b", "c")
SENTINEL = "sentinel"
BROKEN = "fraud"
BREAKS = SPAN // 2
"""From so much event time on, nine in ten labels of this model say the opposite of what it predicted."""
TASKS = {"fraud": "binary", "churn": "binary", "grade": "multiclass", "demand": "regression"}

Input = Literal["predictions", "labels", "control"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """A valid prediction event. `score` is the positive class's probability or the probability of each class."""

    label_key: str
    prediction_id: str
    model: str
    version: str
    variant: str | None
    timestamp: int
    prediction: str | float | None
    score: float | dict[str, float] | None
    weight: float
    region: str | None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """A valid label event; `value` None withdraws."""

    label_key: str
    model: str | None
    timestamp: int
    value: str | float | None
    weight: float | None


@dataclass(frozen=True, slots=True)
class Bad:
    """A record that is no event, with the code its dead letter must carry."""

    code: str


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A record without a value."""


@dataclass(frozen=True, slots=True)
class Order:
    """A valid control record; `body` None deletes."""

    key: str
    body: dict[str, Any] | None


Meaning = Prediction | Label | Bad | Tombstone | Order


@dataclass(frozen=True, slots=True)
class Record:
    """A record to send: where to, its bytes, its Kafka timestamp, and what it means."""

    topic: Input
    key: bytes
    value: bytes | None
    timestamp: int
    meaning: Meaning


@dataclass(frozen=True, slots=True)
class Logged:
    """A record that was sent, and where the log put it.

    `offset` is None where the broker did not say: it had the record already, and found this to be a copy.
    """

    record: Record
    partition: int
    offset: int | None


def rfc3339(milliseconds: int) -> str:
    """An event's timestamp as text, to the millisecond."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Traffic:
    """Traffic of `requests` requests over two hours of event time from `start`, drawn from `seed`."""

    def __init__(self, seed: int, requests: int, start: int) -> None:
        self.draw = random.Random(seed)
        self.start = start
        self.requests = requests

    def records(self) -> list[Record]:
        """All records, in the order in which they are sent (that of their Kafka timestamps)."""
        found = [record for number in range(self.requests) for record in self._request(number)]
        found += [self._bad(number) for number in range(self.requests // 25)]
        found += [self._tombstone(number) for number in range(self.requests // 100)]
        found += [self._orphan(number) for number in range(self.requests // 50)]
        return sorted(found, key=lambda record: record.timestamp)

    def sentinels(self) -> list[Record]:
        """Predictions and labels a day later, on every partition: all windows before them become final."""
        at = self.start + 24 * HOUR
        found: list[Record] = []
        for number in range(64):
            key = f"{SENTINEL}-{number}"
            prediction = Prediction(key, key, SENTINEL, "1", None, at, "1", 0.5, 1.0, None)
            found.append(self._prediction_record(prediction, at))
            found.append(self._label_record(Label(key, None, at, "1", None), at))
        return found

    # -- one request -------------------------------------------------------------------------------------------

    def _request(self, number: int) -> Iterator[Record]:
        model = self.draw.choice(("fraud", "fraud", "grade", "demand"))
        timestamp = self.start + self.draw.randrange(SPAN)
        arrival = timestamp + self.draw.randrange(2_000)
        predictions = list(self._predictions(number, model, timestamp))
        for prediction in predictions:
            yield self._prediction_record(prediction, arrival)
            if self.draw.random() < 0.05:  # sent again, and changed: the first record wins
                again = self._again(prediction)
                yield self._prediction_record(again, arrival + self.draw.randrange(1, MINUTE))
        if not predictions[0].failed:
            yield from self._labels(predictions)

    def _predictions(self, number: int, model: str, timestamp: int) -> Iterator[Prediction]:
        whole_number = self.draw.random() < 0.2
        key = str(10_000_000 + number) if whole_number else f"{model}-{number:06d}"
        region = self.draw.choice((*REGIONS, None))
        if self.draw.random() < 0.02:
            yield Prediction(key, key, model, "1", None, timestamp, None, None, 1.0, region, failed=True)
            return
        if model == "fraud" and not whole_number and self.draw.random() < 0.3:
            yield self._prediction(key, f"{key}/champion", "fraud", "1", "champion", timestamp, region)
            yield self._prediction(key, f"{key}/challenger", "fraud", "2", "challenger", timestamp + 5, region)
            if self.draw.random() < 0.5:
                yield self._prediction(key, f"{key}/churn", "churn", "1", None, timestamp + 9, region)
        else:
            yield self._prediction(key, key, model, self.draw.choice("12"), None, timestamp, region)

    def _prediction(
        self, key: str, name: str, model: str, version: str, variant: str | None, timestamp: int, region: str | None
    ) -> Prediction:
        weight = 1.0
        value: str | float
        score: float | dict[str, float] | None
        if TASKS[model] == "binary":
            score = self.draw.randrange(1, 200) / 200
            value = "1" if score >= 0.5 else "0"
        elif TASKS[model] == "multiclass":
            first = self.draw.randrange(1, 90)
            second = self.draw.randrange(1, 99 - first)
            score = {"a": first / 100, "b": second / 100, "c": (100 - first - second) / 100}
            value = max(score, key=lambda name: score[name])  # type: ignore[index]
        else:
            score = None
            value = round(self.draw.gauss(100, 15), 3)
            weight = self.draw.choice((1.0, 1.0, 0.5, 2.25))
        return Prediction(key, name, model, version, variant, timestamp, value, score, weight, region)

    def _again(self, first: Prediction) -> Prediction:
        """The same prediction at most a second later, with another value."""
        other: str | float | None = first.prediction
        if isinstance(other, float):
            other += 1000
        elif other is not None:
            other = {"0": "1", "1": "0", "a": "b", "b": "c", "c": "a"}[other]
        return Prediction(
            first.label_key,
            first.prediction_id,
            first.model,
            first.version,
            first.variant,
            first.timestamp + self.draw.randrange(1_000),
            other,
            first.score,
            first.weight,
            first.region,
            first.failed,
        )

    # -- labels ------------------------------------------------------------------------------------------------

    def _labels(self, predictions: list[Prediction]) -> Iterator[Record]:
        first = predictions[0]
        luck = self.draw.random()
        if luck < 0.10:
            return  # never known
        delay = int(min(self.draw.expovariate(1 / (4 * MINUTE)), HORIZON - MINUTE)) + 5_000
        if luck < 0.20:
            delay = -self.draw.randrange(1_000, 5 * MINUTE)  # before its prediction
        elif luck < 0.25:
            delay = HORIZON + self.draw.randrange(20, 20 * MINUTE)  # late
        elif luck < 0.28:
            delay = HORIZON  # the last millisecond that counts for the first, and one too late for none
        elif luck < 0.31:
            delay = HORIZON + 1
        elif luck < 0.34:
            delay = -HORIZON
        value = self._truth(first)
        model = None
        if self.draw.random() < 0.1:
            model = self.draw.choice(predictions).model  # serves that model's predictions alone
        at = first.timestamp + delay
        label = Label(first.label_key, model, at, value, self._label_weight(first))
        yield self._label_record(label, at)
        yield from self._afterthoughts(first, label)

    def _afterthoughts(self, first: Prediction, label: Label) -> Iterator[Record]:
        luck = self.draw.random()
        later = label.timestamp + self.draw.randrange(1_000, 3 * MINUTE)
        changed = Label(label.label_key, label.model, later, self._truth(first), label.weight)
        if luck < 0.05:
            yield self._label_record(Label(label.label_key, label.model, later, label.value, label.weight), later)
        elif luck < 0.15:
            yield self._label_record(changed, later)
        elif luck < 0.19:
            yield self._label_record(Label(label.label_key, label.model, later, None, None), later)
        elif luck < 0.22:
            yield self._label_record(Label(label.label_key, label.model, later, None, None), later)
            again = Label(label.label_key, label.model, later + 7_000, self._truth(first), label.weight)
            yield self._label_record(again, later + 7_000)
        elif luck < 0.24:  # a correction that comes too late
            at = first.timestamp + HORIZON + self.draw.randrange(1_000, 10 * MINUTE)
            yield self._label_record(Label(label.label_key, label.model, at, changed.value, label.weight), at)
        elif luck < 0.26 and isinstance(label.value, float):  # a typing error of nine digits, mended
            wrong = Label(label.label_key, label.model, later, 1e9, label.weight)
            yield self._label_record(wrong, later)
            mended = Label(label.label_key, label.model, later + 9_000, label.value, label.weight)
            yield self._label_record(mended, later + 9_000)

    def _truth(self, prediction: Prediction) -> str | float:
        if prediction.model == BROKEN and prediction.timestamp >= self.start + BREAKS and self.draw.random() < 0.9:
            return "1" if prediction.prediction == "0" else "0"
        if TASKS[prediction.model] == "binary":
            assert isinstance(prediction.score, float)
            return "1" if self.draw.random() < prediction.score else "0"
        if TASKS[prediction.model] == "multiclass":
            return str(prediction.prediction) if self.draw.random() < 0.7 else self.draw.choice(GRADES)
        assert isinstance(prediction.prediction, float)
        return round(prediction.prediction + self.draw.gauss(1, 5), 3)

    def _label_weight(self, prediction: Prediction) -> float | None:
        if TASKS[prediction.model] != "regression":
            return None
        return self.draw.choice((None, None, 1.0, 3.5))

    # -- what is no event, or belongs to none ----------------------------------------------------------------------

    def _bad(self, number: int) -> Record:
        at = self.start + self.draw.randrange(SPAN)
        good: dict[str, Any] = {"prediction_id": f"bad-{number}", "model": "fraud", "timestamp": at, "prediction": 1}
        if self.draw.random() < 0.3:
            good = {"prediction_id": f"bad-{number}", "timestamp": at, "label": 1}
        topic: Input = "labels" if "label" in good else "predictions"
        required = "label" if topic == "labels" else "model"
        ways: list[tuple[str, bytes]] = [
            ("invalid_json", json.dumps(good).encode()[:-1]),
            ("invalid_json", b""),
            ("invalid_utf8", json.dumps(good).encode().replace(b"bad-", b"bad\xff")),
            ("missing_field", json.dumps({k: v for k, v in good.items() if k != required}).encode()),
            ("missing_field", json.dumps({k: v for k, v in good.items() if k != "prediction_id"}).encode()),
            ("invalid_type", json.dumps(good | {"weight": "1.5"}).encode()),
            ("invalid_type", json.dumps(good | {"prediction_id": 1.5}).encode()),
            ("invalid_type", json.dumps([good]).encode()),
            ("out_of_range", json.dumps(good | {"weight": 1e101}).encode()),
            ("out_of_range", json.dumps(good | {"timestamp": at // 1000}).encode()),
            ("future_timestamp", json.dumps(good | {"timestamp": at + 2 * HOUR}).encode()),
        ]
        code, value = ways[number % len(ways)]
        return Record(topic, f"bad-{number}".encode(), value, at, Bad(code))

    def _tombstone(self, number: int) -> Record:
        topic: Input = self.draw.choice(("predictions", "labels"))
        return Record(topic, f"gone-{number}".encode(), None, self.start + self.draw.randrange(SPAN), Tombstone())

    def _orphan(self, number: int) -> Record:
        at = self.start + self.draw.randrange(SPAN)
        model = self.draw.choice((None, "grade"))
        return self._label_record(Label(f"nobody-{number}", model, at, "a", None), at)

    # -- bytes -----------------------------------------------------------------------------------------------------

    def _prediction_record(self, event: Prediction, at: int) -> Record:
        body: dict[str, Any] = {
            "prediction_id": self._identifier(event.prediction_id),
            "model": event.model,
            "version": event.version,
            "timestamp": self._time(event.timestamp),
        }
        if event.failed:
            body["error"] = "model server timed out"
        else:
            body["prediction"] = self._class(event.prediction)
            body["features"] = {"amount": round(self.draw.gauss(50, 9), 2), "country": self.draw.choice(("DE", "FR"))}
            body["latency_ms"] = round(self.draw.expovariate(1 / 12), 2)
        if event.label_key != event.prediction_id:
            body["label_key"] = event.label_key
        for name, value in (("score", event.score), ("variant", event.variant)):
            if value is not None:
                body[name] = value
        if event.region is not None:
            body["segments"] = {"region": event.region}
        if event.weight != 1.0:
            body["weight"] = event.weight
        return Record("predictions", event.label_key.encode(), json.dumps(body).encode(), at, event)

    def _label_record(self, event: Label, at: int) -> Record:
        body: dict[str, Any] = {"label": None if event.value is None else self._class(event.value)}
        if self.draw.random() < 0.5:
            body["label_key"] = event.label_key
        else:
            body["prediction_id"] = self._identifier(event.label_key)
        if self.draw.random() < 0.8:  # else the record's own timestamp counts, which is the same
            body["timestamp"] = self._time(event.timestamp)
        if event.model is not None:
            body["model"] = event.model
        if event.weight is not None:
            body["weight"] = event.weight
        return Record("labels", event.label_key.encode(), json.dumps(body).encode(), at, event)

    def _identifier(self, text: str) -> str | int:
        return int(text) if text.isdigit() else text

    def _time(self, milliseconds: int) -> str | int:
        return milliseconds if self.draw.random() < 0.5 else rfc3339(milliseconds)

    def _class(self, value: str | float | None) -> Any:
        """One of the spellings of a class: 1, 1.0, true and "1" are the same."""
        if value == "1":
            return self.draw.choice((1, 1.0, True, "1"))
        if value == "0":
            return self.draw.choice((0, 0.0, False, "0"))
        return value
