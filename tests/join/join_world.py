"""A small world for tests of the join: events as plain values, decoders that read them, and what came out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streams.decode import (
    DecodedLabels,
    DecodedPredictions,
    LabelColumns,
    Packed,
    PredictionColumns,
    Refusal,
    Strings,
)
from streams.join import Decoders, JoinSettings, JoinStep, JoinTask, ModelJoin, Room
from streams.outcomes import Counter, Kind, Listed, Rows, decode
from streams.records import Moment, OutputRecord, RecordBatch, TopicPartition

PREDICTIONS, LABELS = TopicPartition("predictions", 0), TopicPartition("labels", 0)
HORIZON, GRACE = 1_000, 500


def prediction(key: str = "k", at: int = 0, value: Any = 1, **more: Any) -> bytes:
    """A prediction event of model m."""
    return json.dumps({"key": key, "model": "m", "timestamp": at, "prediction": value, **more}).encode()


def label(value: Any, at: int = 0, key: str = "k", **more: Any) -> bytes:
    """A label event that names no model."""
    return json.dumps({"key": key, "label": value, "timestamp": at, **more}).encode()


def _pack(texts: Iterable[str]) -> Packed:
    parts = [text.encode() for text in texts]
    data = np.frombuffer(b"".join(parts), np.uint8).copy()
    return Packed(data, np.cumsum([len(part) for part in parts], dtype=np.int64))


def _class(value: Any, strings: Strings) -> tuple[float, int]:
    if value is None:
        return np.nan, -1
    return (np.nan, strings.code(value)) if isinstance(value, str) else (float(value), -1)


def _listed(maps: Sequence[Mapping[str, Any]], strings: Strings) -> Listed:
    entries = [(strings.code(name), *_class(value, strings)) for each in maps for name, value in each.items()]
    offsets = np.cumsum([0, *map(len, maps)]).astype(np.int32)
    names, values, texts = zip(*entries, strict=True) if entries else ((), (), ())
    return Listed(offsets, np.array(names, np.int32), np.array(values, float), np.array(texts, np.int32))


def _codes(events: Sequence[Mapping[str, Any]], name: str, strings: Strings) -> Any:
    return np.array([-1 if event.get(name) is None else strings.code(event[name]) for event in events], np.int32)


def _read(batch: RecordBatch) -> tuple[list[int], list[dict[str, Any]], list[Refusal], int]:
    places, events, refusals, tombstones = [], [], [], 0
    for place, value in enumerate(batch.values):
        if value is None:
            tombstones += 1
        elif value == b"bad":
            refusals.append(Refusal(place, "invalid_json", "is not JSON"))
        else:
            places.append(place)
            events.append(json.loads(value))
    return places, events, refusals, tombstones


@dataclass(frozen=True)
class PlainPredictions:
    """Reads what `prediction` writes."""

    segment_keys: tuple[str, ...] = ()

    def decode(self, batch: RecordBatch, strings: Strings) -> DecodedPredictions:
        places, events, refusals, tombstones = _read(batch)
        classes = [_class(event["prediction"], strings) for event in events]
        segments = [_codes([event.get("segments", {}) for event in events], key, strings) for key in self.segment_keys]
        columns = PredictionColumns(
            place=np.array(places, np.int64),
            offset=batch.offsets[places],
            timestamp=np.array([event["timestamp"] for event in events], np.int64),
            label_key=_pack(event["key"] for event in events),
            prediction_id=_pack(event.get("id", event["key"]) for event in events)
            if any("id" in event for event in events)
            else None,
            model=_codes(events, "model", strings),
            version=_codes(events, "version", strings),
            variant=_codes(events, "variant", strings),
            prediction=np.array([number for number, _ in classes], float),
            prediction_text=np.array([text for _, text in classes], np.int32),
            score=np.array([event.get("score", np.nan) for event in events], float),
            weight=np.array([event.get("weight", 1.0) for event in events], float),
            latency=np.array([event.get("latency", np.nan) for event in events], float),
            failed=np.array([int("error" in event) for event in events], np.uint8),
            segments=np.array(segments, np.int32).reshape(len(self.segment_keys), len(events)),
            features=_listed([event.get("features", {}) for event in events], strings),
            attributions=_listed([event.get("attributions", {}) for event in events], strings),
            scores=_listed([event.get("scores", {}) for event in events], strings),
        )
        return DecodedPredictions(columns, refusals, tombstones)


@dataclass(frozen=True)
class PlainLabels:
    """Reads what `label` writes."""

    def decode(self, batch: RecordBatch, strings: Strings) -> DecodedLabels:
        places, events, refusals, tombstones = _read(batch)
        classes = [_class(event["label"], strings) for event in events]
        columns = LabelColumns(
            place=np.array(places, np.int64),
            offset=batch.offsets[places],
            timestamp=np.array([event["timestamp"] for event in events], np.int64),
            label_key=_pack(event["key"] for event in events),
            model=_codes(events, "model", strings),
            label=np.array([number for number, _ in classes], float),
            label_text=np.array([text for _, text in classes], np.int32),
            weight=np.array([event.get("weight", np.nan) for event in events], float),
            withdrawn=np.array([int(event["label"] is None) for event in events], np.uint8),
        )
        return DecodedLabels(columns, refusals, tombstones)


def _dead_letter(refusal: Refusal, batch: RecordBatch) -> OutputRecord:
    place = (*batch.source, int(batch.offsets[refusal.place]), refusal.code)
    return OutputRecord("dead-letters", None, json.dumps(place).encode())


def settings(**more: Any) -> JoinSettings:
    """Settings of one partition with a horizon of 1,000, a grace of 500, no disorder."""
    given: dict[str, Any] = {
        "decoders": Decoders(PlainPredictions(tuple(more.get("segment_keys", ()))), PlainLabels(), _dead_letter),
        "default": ModelJoin(HORIZON, GRACE),
        "disorder": 0,
        "idle_after": 30_000,
        "outcomes_partitions": 3,
    }
    return JoinSettings(**(given | more))


@dataclass(frozen=True)
class Row:
    """A row of the outcomes topic as plain values; what is missing is None."""

    kind: str
    number: int
    model: str | None
    key: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        return self.key[name]


def _plain(rows: Rows) -> list[Row]:
    def text(code: int) -> str | None:
        return None if code < 0 else rows.strings[code]

    def number(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    def entries(listed: Listed, i: int) -> dict[str, Any]:
        span = range(listed.offsets[i], listed.offsets[i + 1])
        return {
            rows.strings[listed.names[j]]: number(listed.values[j]) if listed.texts[j] < 0 else text(listed.texts[j])
            for j in span
        }

    found = []
    for i in range(len(rows)):
        told: dict[str, Any] = {
            name: int(getattr(rows, name)[i])
            for name in ("refers_to", "timestamp", "label_timestamp", "prediction_offset", "label_offset", "amount")
        }
        told |= {name: bool(getattr(rows, name)[i]) for name in ("failed", "early")}
        told |= {name: number(getattr(rows, name)[i]) for name in ("score", "weight", "latency")}
        told |= {name: text(getattr(rows, name)[i]) for name in ("version", "variant")}
        for name in ("prediction", "label"):
            code = getattr(rows, f"{name}_text")[i]
            told[name] = number(getattr(rows, name)[i]) if code < 0 else text(code)
        told |= {name: entries(getattr(rows, name), i) for name in ("features", "attributions", "scores")}
        told["segments"] = {key: text(code) for key, code in zip(rows.segment_keys, rows.segments[:, i], strict=True)}
        told["payload"] = rows.payloads.get(i)
        kind = Kind(int(rows.kind[i]))
        name = Counter(int(rows.counter[i])).name if kind is Kind.COUNT else kind.name
        found.append(Row(name.lower(), int(rows.number[i]), text(int(rows.model[i])), told))
    return found


def rows_of(outputs: Iterable[OutputRecord]) -> list[Row]:
    """All rows of outcomes messages, in the order of their numbers."""
    found = [
        row for each in outputs if each.topic.endswith("-outcomes") for row in _plain(decode(each.value or b"").rows)
    ]
    return sorted(found, key=lambda row: row.number)


@dataclass
class World:
    """A join task with its two logs; keeps what it said."""

    task: JoinTask
    clock: int = 0
    offsets: dict[TopicPartition, int] = field(default_factory=lambda: {PREDICTIONS: 0, LABELS: 0})
    steps: list[JoinStep] = field(default_factory=list)

    @classmethod
    def of(cls, room: Room | None = None, **more: Any) -> World:
        return cls(JoinTask(settings(**more), 0, 2, room))

    def read(
        self,
        predictions: Sequence[bytes | None] = (),
        labels: Sequence[bytes | None] = (),
        at_end: Iterable[TopicPartition] = (),
        after: int = 0,
    ) -> list[Row]:
        """Apply records, `after` milliseconds of wall clock later; the rows that came of it, ticks left out."""
        self.clock += after
        batches = []
        for source, values in ((PREDICTIONS, predictions), (LABELS, labels)):
            if values:
                batches.append(batch_of(source, self.offsets[source], values))
                self.offsets[source] += len(values)
        step = self.task.apply(batches, Moment(self.clock, frozenset(at_end)))
        self.steps.append(step)
        return [row for row in rows_of(step.outputs) if row.kind != "tick"]

    def restored(self, room: Room | None = None, **more: Any) -> World:
        """A new task that has read the journal from the floor, and goes on where this one stands."""
        last = self.steps[-1]
        blocks = [block for step in self.steps if step.commit >= last.floor for block in step.journal]
        task = JoinTask(settings(**more), 0, 2, room)
        task.restore(blocks, {PREDICTIONS: last.metadata, LABELS: last.metadata})
        return World(task, self.clock, dict(self.offsets), list(self.steps))


def batch_of(source: TopicPartition, first: int, values: Sequence[bytes | None]) -> RecordBatch:
    """Records at consecutive offsets from `first`; their own timestamps are 7."""
    offsets = np.arange(first, first + len(values), dtype=np.int64)
    return RecordBatch(source, offsets, np.full(len(values), 7, np.int64), list(values))
