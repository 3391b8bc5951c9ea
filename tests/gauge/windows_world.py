"""A small world for window tests: rows in log order from a seeded generator, rows as columns, and what is left."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from streams.outcomes import Counter, Kind, Listed, Rows

START = 1_763_800_000_000 - 1_763_800_000_000 % 3_600_000


@dataclass(frozen=True)
class Row:
    """One row; classes are numbers or texts."""

    kind: Kind
    number: int = 0
    refers_to: int = -1
    timestamp: int = START
    label_timestamp: int = -1
    prediction: float | str | None = None
    label: float | str | None = None
    score: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    weight: float = 1.0
    latency: float | None = None
    failed: int = 0
    version: str | None = "v1"
    variant: str | None = "champion"
    region: str | None = None
    features: dict[str, float | str | None] = field(default_factory=dict)
    counter: Counter = Counter.DUPLICATE_PREDICTIONS
    amount: int = -1


def rows_of(log: list[Row]) -> Rows:
    """The rows as one message's columns, with a table of strings of its own."""
    strings: list[str] = []

    def code(text: str | None) -> int:
        if text is None:
            return -1
        if text not in strings:
            strings.insert(0, text)  # so that codes differ from message to message; fixed up below
        return 0

    for row in log:
        for text in (row.version, row.variant, row.region, row.prediction, row.label, *row.scores, *row.features):
            code(text if isinstance(text, str) else None)
        for value in row.features.values():
            code(value if isinstance(value, str) else None)
    place = {text: i for i, text in enumerate(strings)}

    def of(text: Any) -> int:
        return place[text] if isinstance(text, str) else -1

    def number(value: Any) -> float:
        return float(value) if isinstance(value, int | float) else np.nan

    rows = Rows.blank(len(log), strings, ("region",))
    for i, row in enumerate(log):
        for name in ("kind", "number", "refers_to", "timestamp", "label_timestamp", "weight", "failed"):
            getattr(rows, name)[i] = getattr(row, name)
        rows.counter[i], rows.amount[i] = row.counter, row.amount
        rows.prediction[i], rows.prediction_text[i] = number(row.prediction), of(row.prediction)
        rows.label[i], rows.label_text[i] = number(row.label), of(row.label)
        rows.score[i], rows.latency[i] = number(row.score), number(row.latency)
        rows.version[i], rows.variant[i] = of(row.version), of(row.variant)
        rows.segments[0, i] = of(row.region)
    rows.features = _listed([row.features for row in log], of, number)
    rows.scores = _listed([row.scores for row in log], of, number)
    return rows


def _listed(entries: list[dict[str, Any]], of: Any, number: Any) -> Listed:
    flat = [(of(name), number(value), of(value)) for each in entries for name, value in each.items()]
    offsets = np.cumsum([0, *(len(each) for each in entries)]).astype(np.int32)
    names, values, texts = zip(*flat, strict=True) if flat else ((), (), ())
    return Listed(offsets, np.array(names, np.int32), np.array(values, float), np.array(texts, np.int32))


def generated(seed: int, task: str, predictions: int, span: int = 3 * 3_600_000, weighted: bool = False) -> list[Row]:
    """Predictions over `span` ms with labels that come late, corrections, withdrawals, counts and errors."""
    rng = random.Random(seed)
    classes = ["0", "1"] if task == "binary" else ["ant", "bee", "3", "cat"]
    pending: list[tuple[float, int, Row]] = []
    for i in range(predictions):
        at = START + int(span * i / predictions)
        region = rng.choice(["eu", "us", None])
        version, variant = rng.choice(["v1", "v1", "v2"]), rng.choice(["champion", None])
        weight = rng.choice([0.25, 1.0, 3.7]) if weighted else 1.0
        row = Row(
            Kind.PREDICTED, timestamp=at, region=region, version=version, variant=variant, weight=weight,
            latency=rng.lognormvariate(2, 1),
            features={"amount": rng.gauss(5, 2), "country": rng.choice(["DE", "FR", None]), "age": None},
        )  # fmt: skip
        if rng.random() < 0.02:
            pending.append((at, i, replace(row, failed=1)))
            continue
        row = replace(row, **_guess(rng, task, classes))
        pending.append((at, i, row))
        if rng.random() < 0.1:
            pending.append((at + span, i, replace(row, kind=Kind.UNLABELLED)))
            continue
        when = at + rng.expovariate(1 / 600_000)
        answers: list[Any] = [_truth(rng, task, classes)]
        while rng.random() < 0.15:
            answers.append(rng.choice([None, _truth(rng, task, classes)]))
        for answer in answers:
            pending.append((when, i, replace(row, kind=Kind.OUTCOME, label=answer, label_timestamp=int(when))))
            when += rng.expovariate(1 / 900_000)
    return _numbered(sorted(pending, key=lambda each: each[:2]))


def _guess(rng: random.Random, task: str, classes: list[str]) -> dict[str, Any]:
    if task == "regression":
        return {"prediction": rng.gauss(100, 20)}
    if task == "binary":
        score = round(rng.random(), 2)
        return {"prediction": float(score > 0.5), "score": score if rng.random() < 0.9 else None}
    shares = [rng.random() for _ in classes]
    scores = {name: share / sum(shares) for name, share in zip(classes, shares, strict=True)}
    return {"prediction": _class(max(scores, key=lambda name: scores[name])), "scores": scores}


def _class(text: str) -> float | str:
    return float(text) if text.isdigit() else text


def _truth(rng: random.Random, task: str, classes: list[str]) -> Any:
    return rng.choice([0.0, rng.gauss(100, 30)]) if task == "regression" else _class(rng.choice(classes))


def _numbered(pending: list[tuple[float, int, Row]]) -> list[Row]:
    """The log a join task would write: numbered rows; a correction is a retraction and an outcome that refers."""
    log: list[Row] = []
    current: dict[int, Row] = {}
    for _, i, row in pending:
        if row.kind != Kind.OUTCOME:
            log.append(replace(row, number=len(log)))
            continue
        old = current.pop(i, None)
        if old is not None:
            log.append(replace(old, kind=Kind.RETRACTED, refers_to=old.number, number=len(log)))
            counter = Counter.WITHDRAWN_LABELS if row.label is None else Counter.CORRECTED_LABELS
            log.append(
                Row(Kind.COUNT, len(log), timestamp=row.timestamp, counter=counter, amount=1, version=row.version,
                    variant=row.variant, region=row.region)
            )  # fmt: skip
        if row.label is not None:
            current[i] = replace(row, number=len(log), refers_to=-1 if old is None else old.number)
            log.append(current[i])
    return log


def standing(log: list[Row]) -> list[Row]:
    """The outcomes that are left when every retraction has been done, in log order of their first place."""
    alive: dict[int, Row] = {}
    for row in log:
        if row.kind == Kind.RETRACTED:
            del alive[row.refers_to]
        elif row.kind == Kind.OUTCOME:
            alive[row.number] = row
    return list(alive.values())


def rolled(log: list[Row], size: int) -> list[Row]:
    """The contract's rolling window, one row at a time."""
    slots: list[tuple[int, Row | None]] = []
    for row in log:
        if row.kind == Kind.RETRACTED:
            slots = [(number, None if number == row.refers_to else held) for number, held in slots]
        elif row.kind == Kind.OUTCOME and row.refers_to < 0:
            slots = [*slots, (row.number, row)][-size:]
        elif row.kind == Kind.OUTCOME:
            slots = [(row.number, row) if number == row.refers_to else (number, held) for number, held in slots]
    return [held for _, held in slots if held is not None]
