"""What the models alone make of a batch, and what the columns say, both as plain rows that can be compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from schemas import InputError, LabelEvent, PredictionEvent, canonical_class, read_json
from streams.decode import LabelColumns, PredictionColumns, Refusal, Strings
from streams.outcomes import Listed
from streams.records import RecordBatch, TopicPartition

NOW = 1_795_334_400_125
MAX_FUTURE, MAX_PAST = 3_600_000, 400 * 86_400_000
Row = dict[str, Any]


def batch_of(values: Sequence[bytes | None], now: int = NOW, topic: str = "predictions") -> RecordBatch:
    """A batch at offsets 100, 102, 104, … with one timestamp."""
    offsets = np.arange(100, 100 + 2 * len(values), 2)
    keys = [f"key-{i}".encode() for i in range(len(values))]
    return RecordBatch(TopicPartition(topic, 3), offsets, np.full(len(values), now), values, keys.__getitem__)


def expected(kind: type[PredictionEvent | LabelEvent], values: Sequence[bytes | None]) -> tuple[list[Row], list[Any]]:
    """Rows and refusals (place, code, field) by the models alone."""
    rows, refusals = [], []
    for place, value in enumerate(values):
        if value is None:
            continue
        try:
            event = kind.read(read_json(value))
        except InputError as problem:
            refusals.append((place, problem.code, problem.field))
            continue
        timestamp = NOW if event.timestamp is None else event.timestamp
        if timestamp - NOW > MAX_FUTURE:
            refusals.append((place, "future_timestamp", "timestamp"))
        elif NOW - timestamp > MAX_PAST:
            refusals.append((place, "out_of_range", "timestamp"))
        else:
            row = prediction_row(event) if isinstance(event, PredictionEvent) else label_row(event)
            rows.append({"place": place, "timestamp": timestamp, **row})
    return rows, refusals


def prediction_row(event: PredictionEvent) -> Row:
    score = event.score
    return {
        "label_key": event.label_key if event.label_key is not None else event.prediction_id,
        "prediction_id": event.prediction_id,
        "model": event.model,
        "version": event.version,
        "variant": event.variant,
        "class": None if event.prediction is None else canonical_class(event.prediction),
        "score": score.get("1") if isinstance(score, dict) else score,
        "scores": dict(score) if isinstance(score, dict) else {},
        "weight": 1.0 if event.weight is None else event.weight,
        "latency": event.latency_ms,
        "failed": bool(event.error),
        "region": (event.segments or {}).get("region"),
        "features": {name: canonical_class(v) if isinstance(v, str | bool) else v
                     for name, v in (event.features or {}).items()},
        "attributions": dict(event.attributions or {}),
    }  # fmt: skip


def label_row(event: LabelEvent) -> Row:
    return {
        "label_key": event.key,
        "model": event.model,
        "class": None if event.label is None else canonical_class(event.label),
        "weight": event.weight,
        "withdrawn": event.label is None,
    }


def prediction_rows(columns: PredictionColumns, strings: Strings) -> list[Row]:
    """The columns, row by row."""
    ids = columns.prediction_id or columns.label_key
    plain = zip(
        columns.place.tolist(), columns.timestamp.tolist(), columns.model.tolist(), columns.version.tolist(),
        columns.variant.tolist(), columns.prediction.tolist(), columns.prediction_text.tolist(), columns.score.tolist(),
        columns.weight.tolist(), columns.latency.tolist(), columns.failed.tolist(), columns.segments[0].tolist(),
        strict=True,
    )  # fmt: skip
    maps = [_listed(each, strings) for each in (columns.scores, columns.features, columns.attributions)]
    return [
        {
            "place": place,
            "timestamp": timestamp,
            "label_key": columns.label_key.at(i).decode(),
            "prediction_id": ids.at(i).decode(),
            "model": _text(model, strings),
            "version": _text(version, strings),
            "variant": _text(variant, strings),
            "class": _class(prediction, text, strings),
            "score": _number(score),
            "scores": maps[0][i],
            "weight": weight,
            "latency": _number(latency),
            "failed": bool(failed),
            "region": _text(region, strings),
            "features": maps[1][i],
            "attributions": maps[2][i],
        }
        for i, (
            place, timestamp, model, version, variant, prediction, text, score, weight, latency, failed, region,
        ) in enumerate(plain)
    ]  # fmt: skip


def label_rows(columns: LabelColumns, strings: Strings) -> list[Row]:
    """The columns, row by row."""
    plain = zip(
        columns.place.tolist(), columns.timestamp.tolist(), columns.model.tolist(), columns.label.tolist(),
        columns.label_text.tolist(), columns.weight.tolist(), columns.withdrawn.tolist(), strict=True,
    )  # fmt: skip
    return [
        {
            "place": place,
            "timestamp": timestamp,
            "label_key": columns.label_key.at(i).decode(),
            "model": _text(model, strings),
            "class": _class(label, text, strings),
            "weight": _number(weight),
            "withdrawn": bool(withdrawn),
        }
        for i, (place, timestamp, model, label, text, weight, withdrawn) in enumerate(plain)
    ]


def refused(refusals: Sequence[Refusal]) -> list[Any]:
    return [(refusal.place, refusal.code, refusal.field) for refusal in refusals]


def _text(code: int, strings: Strings) -> str | None:
    return strings.texts[code] if code >= 0 else None


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _class(number: float, code: int, strings: Strings) -> str | None:
    assert code < 0 or math.isnan(number), "a class is a number or a text, never both"
    if code >= 0:
        return strings.texts[code]
    return None if math.isnan(number) else canonical_class(float(number))


def _listed(column: Listed, strings: Strings) -> list[dict[str, Any]]:
    """The maps, row by row."""
    offsets, texts = column.offsets.tolist(), strings.texts
    entries = [
        (texts[name], texts[text] if text >= 0 else _number(value))
        for name, value, text in zip(column.names.tolist(), column.values.tolist(), column.texts.tolist(), strict=True)
    ]
    return [dict(entries[begin:end]) for begin, end in pairwise(offsets)]
