"""Predictions and labels: a value is an event exactly where the model says so, and then with the model's values;
else there is one dead letter. By the whole decoder, by the compiled scan alone, and through the join."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any
from zlib import crc32

from schemas import Config, DeadLetter, InputError, LabelEvent, PredictionEvent, read_json
from streams.decode import LabelDecoder, PredictionDecoder, Refusal, Strings, dead_letter
from streams.decode.scan import LabelScan, PredictionScan
from streams.join import JoinSettings, JoinTask
from streams.records import Moment, RecordBatch, TopicPartition
from tests.decode.decode_oracle import (
    MAX_FUTURE,
    MAX_PAST,
    NOW,
    batch_of,
    label_row,
    label_rows,
    prediction_row,
    prediction_rows,
    refused,
)
from tests.fuzz.mutation import Grafts, bytes_changed, json_changed
from tests.fuzz.target import Target

Row = dict[str, Any]
CONFIG = Config.model_validate({"defaults": {"segments": ["region"]}, "privacy": {"dead_letter_value": "full"}})
_SCANNED, _TOLD, _JOINED = 4, 8, 16
"""Every how many families one goes through the scan alone, is looked at as dead letters, goes through the join."""

PREDICTIONS: list[Row] = [
    {"prediction_id": "7f3c", "model": "fraud", "version": "2026-11-02", "timestamp": "2026-11-22T08:00:00.125Z",
     "prediction": 1, "score": 0.93, "features": {"amount": 120.5, "country": "DE", "new": True, "gone": None},
     "segments": {"region": "eu", "shop": None}, "variant": "champion", "latency_ms": 12.5,
     "attributions": {"amount": 0.31, "country": None}, "error": None, "weight": 2},
    {"prediction_id": 17, "model": "demand", "timestamp": NOW, "prediction": 3.25, "label_key": "order-1"},
    {"prediction_id": "p", "model": "m", "timestamp": "2026-11-22 09:30:00.1+01:30", "prediction": "cat",
     "score": {"cat": 0.5, "dog": 0.25, "1": 0.25}, "extra": {"a": [1, -2.5e3, {}, []], "b": "\\u00e9"}},
    {"prediction_id": "ü", "model": "m", "timestamp": NOW - 5, "error": "no answer", "latency_ms": 1e-3},
    {"prediction_id": "q", "model": "m", "timestamp": NOW, "prediction": True, "features": {"a": -0.0, "b": 1e-7}},
]  # fmt: skip
LABELS: list[Row] = [
    {"prediction_id": "7f3c", "label": 1, "timestamp": "2026-11-22T08:00:00.125Z", "model": "fraud", "weight": 1.5},
    {"label_key": "order-1", "label": "cat"},
    {"prediction_id": 17, "label": 3.25, "timestamp": NOW},
    {"prediction_id": "p", "label_key": 5, "label": None},
    {"prediction_id": "q", "label": False, "other": [None, {"x": "\\n"}]},
]


def written(events: Sequence[Row]) -> list[bytes]:
    """The events as a service writes them, and as another does."""
    return [json.dumps(each).encode() for each in events] + [
        json.dumps(each, ensure_ascii=False, separators=(",", ":")).encode() for each in events
    ]


def expected(kind: type[PredictionEvent | LabelEvent], document: Row) -> Row | tuple[str, str | None]:
    """The row that the model makes of a document, or code and field of its refusal."""
    event = kind.read(document)
    timestamp = NOW if event.timestamp is None else event.timestamp
    if timestamp - NOW > MAX_FUTURE:
        return "future_timestamp", "timestamp"
    if NOW - timestamp > MAX_PAST:
        return "out_of_range", "timestamp"
    return {"timestamp": timestamp, **(prediction_row(event) if kind is PredictionEvent else label_row(event))}


class Events(Target):
    """What predictions and labels share."""

    model: type[PredictionEvent | LabelEvent]
    topic: str

    def __init__(self) -> None:
        self._families = 0
        self._seeds = self.seeds()
        self._grafts = Grafts(self._seeds)

    def changed(self, data: bytes, random: Random) -> bytes:
        if random.random() < 0.5:
            return self._grafts.grafted(self._grafts.donor(data), random)
        return json_changed(data, random)

    def family(self, data: bytes) -> list[bytes]:
        random = Random(crc32(data))
        donor = self._grafts.donor(data)
        found = [data[: self.largest]]
        for _ in range(self.children):
            kind = random.random()
            if kind < 0.6:
                child = self._grafts.grafted(donor, random)
            elif kind < 0.9:
                child = bytes_changed(data if random.random() < 0.5 else random.choice(self._seeds), random)
            else:
                child = json_changed(data, random)
            found.append(child[: self.largest])
        return found

    @abstractmethod
    def decoded(self, batch: RecordBatch) -> tuple[list[Row], list[Refusal], int]:
        """(rows, refusals, tombstones) by the decoder."""

    def scanned(self, values: Sequence[bytes]) -> list[Row] | None:
        """The rows by the compiled scan alone; None where it is not sure, or is not for these events."""
        return None

    def document(self, data: bytes) -> Row:
        """The contract's own document."""
        return read_json(data)

    def row(self, row: Row) -> Row:
        """The model's row as the decoder must give it."""
        return row

    def judge(self, inputs: Sequence[bytes]) -> int:
        batch = batch_of(inputs, topic=self.topic)
        found, refusals, tombstones = self.decoded(batch)
        rows, bad = self._by_the_model(inputs)
        assert tombstones == 0
        _same(found, rows)
        assert refused(refusals) == bad
        for refusal in refusals if self._families % _TOLD == 0 else ():
            letter = DeadLetter.model_validate_json(dead_letter(refusal, batch, CONFIG).value or b"")
            assert letter.error.code == refusal.code
        if self._families % _SCANNED == 0:
            self._scan(inputs, rows)
        if self._families % _JOINED == 0:
            self._join(inputs, len(bad))
        self._families += 1
        return len(rows)

    def _by_the_model(self, inputs: Sequence[bytes]) -> tuple[list[Row], list[Any]]:
        rows, bad = [], []
        for place, data in enumerate(inputs):
            try:
                one = expected(self.model, self.document(data))
            except InputError as problem:
                one = problem.code, problem.field
            if isinstance(one, dict):
                rows.append(self.row({"place": place, **one}))
            else:
                bad.append((place, *one))
        return rows, bad

    def _scan(self, inputs: Sequence[bytes], rows: Sequence[Row]) -> None:
        """What the scan takes must be what the model takes; together what it takes alone."""
        by_place = {row["place"]: row for row in rows}
        taken: list[int] = []
        for place, data in enumerate(inputs):
            alone = self.scanned([data])
            if alone is not None and self._in_time(alone[0]):
                assert place in by_place, "the scan takes what the model refuses"
                _same([alone[0] | {"place": place}], [by_place[place]])
                taken.append(place)
        together = self.scanned([inputs[place] for place in taken]) if taken else None
        if together is not None:
            _same([row | {"place": place} for row, place in zip(together, taken, strict=True)],
                  [by_place[place] for place in taken])  # fmt: skip

    @staticmethod
    def _in_time(row: Row) -> bool:
        return -MAX_PAST <= row["timestamp"] - NOW <= MAX_FUTURE

    def _join(self, inputs: Sequence[bytes], bad: int) -> None:
        """The join makes one dead letter of each bad record, and never stumbles."""
        settings = JoinSettings.from_config(self.config)
        task = JoinTask(settings, 3, 5)
        step = task.apply([batch_of(inputs, topic=self.topic)], Moment(NOW, frozenset()))
        letters = [each for each in step.outputs if each.topic == CONFIG.topics.dead_letters]
        assert len(letters) == bad, "one dead letter for each bad record"
        assert task.apply([], Moment(NOW + 60_000, frozenset({TopicPartition(self.topic, 3)}))).commit == 2

    config = CONFIG


def _same(found: Sequence[Row], rows: Sequence[Row]) -> None:
    if found != rows:
        places = {row["place"]: row for row in rows}
        for row in found:
            assert row["place"] in places, f"taken, though the model refuses it: {row}"
            for name, value in row.items():
                assert value == places[row["place"]][name], f"{name}: {value!r}, not {places[row['place']][name]!r}"
        raise AssertionError(f"refused, though the model takes them: {places.keys() - {row['place'] for row in found}}")


class Predictions(Events):
    """Predictions in the contract's own format."""

    name, topic, model = "predictions", "predictions", PredictionEvent
    about = "prediction events: rows equal the model's, else one dead letter; decoder, compiled scan, join"

    def __init__(self) -> None:
        super().__init__()
        self._decoder = PredictionDecoder(segment_keys=("region",))

    def seeds(self) -> list[bytes]:
        return written(PREDICTIONS)

    def decoded(self, batch: RecordBatch) -> tuple[list[Row], list[Refusal], int]:
        strings = Strings()
        found = self._decoder.decode(batch, strings)
        return prediction_rows(found.columns, strings), found.refusals, found.tombstones

    def scanned(self, values: Sequence[bytes]) -> list[Row] | None:
        strings = Strings()
        columns = PredictionScan(("region",), lambda _: "1").columns(batch_of(values), strings)
        return None if columns is None else prediction_rows(columns, strings)


class Labels(Events):
    """Labels in the contract's own format."""

    name, topic, model = "labels", "labels", LabelEvent
    about = "label events: rows equal the model's, else one dead letter; decoder, compiled scan, join"

    def __init__(self) -> None:
        super().__init__()
        self._decoder = LabelDecoder()

    def seeds(self) -> list[bytes]:
        return written(LABELS)

    def decoded(self, batch: RecordBatch) -> tuple[list[Row], list[Refusal], int]:
        strings = Strings()
        found = self._decoder.decode(batch, strings)
        return label_rows(found.columns, strings), found.refusals, found.tombstones

    def scanned(self, values: Sequence[bytes]) -> list[Row] | None:
        strings = Strings()
        columns = LabelScan().columns(batch_of(values), strings)
        return None if columns is None else label_rows(columns, strings)


FIELDS = {
    "prediction_id": "request.id", "score": "output.proba", "model": "served_by", "features": "input",
    "features.extra": "output.extra", "segments.region": "where", "label_key": "a.key.of.dots",
}  # fmt: skip
LABEL_FIELDS = {"prediction_id": "request.id", "label": "truth.was", "timestamp": "truth.at"}
MAPPED = Config.model_validate(
    {
        "fields": FIELDS,
        "label_fields": LABEL_FIELDS,
        "defaults": {"segments": ["region"]},
        "privacy": {"drop_features": ["secret"], "hash_features": ["who"], "hash_key": "k" * 32},
    }
)


def own_format(event: Row, fields: Mapping[str, str]) -> Row:
    """An event of the contract in the user's own format."""
    made: Row = {key: value for key, value in event.items() if key not in fields}
    for name, path in fields.items():
        field, _, entry = name.partition(".")
        whole = event.get(field)
        if field in event and (not entry or (isinstance(whole, dict) and entry in whole)):
            inside = made
            *way, last = path.split(".")
            for part in way:
                inside = inside.setdefault(part, {})
            inside[last] = whole[entry] if entry and isinstance(whole, dict) else whole
    return made


def contract_format(document: Row, fields: Mapping[str, str]) -> Row:
    """The contract's document of one in the user's own format: written anew from the contract's words."""
    made: Row = {key: value for key, value in document.items() if key not in fields}
    whole = [name for name in fields if "." not in name]
    for name in [*whole, *(name for name in fields if "." in name)]:
        there, value = _at(document, fields[name])
        if not there:
            continue
        if "." not in name:
            made[name] = value
            continue
        field, entry = name.split(".")
        if made.get(field) is None:
            made[field] = {entry: value}
        elif isinstance(made[field], dict):
            made[field] = {**made[field], entry: value}
    return made


def _at(document: Row, path: str) -> tuple[bool, Any]:
    if path in document:
        return True, document[path]
    inside: Any = document
    for part in path.split("."):
        if not isinstance(inside, dict) or part not in inside:
            return False, None
        inside = inside[part]
    return True, inside


class _Mapped(Events):
    config = MAPPED
    fields: Mapping[str, str]

    def document(self, data: bytes) -> Row:
        return contract_format(read_json(data), self.fields)


class MappedPredictions(_Mapped):
    """Predictions in a user's own format, with features that are dropped and hashed."""

    name, topic, model = "predictions-mapped", "predictions", PredictionEvent
    about = "prediction events in a user's own format; dropped and hashed features; join"
    fields = FIELDS

    def __init__(self) -> None:
        super().__init__()
        self._decoder = PredictionDecoder.from_config(MAPPED)
        self._digest = JoinSettings.from_config(MAPPED).privacy.digest

    def seeds(self) -> list[bytes]:
        private: Mapping[str, Any] = {"secret": 1, "who": "me", "amount": 1.5}
        events = [each | {"features": {**each.get("features", {}), **private}} for each in PREDICTIONS]
        return written([own_format(each, FIELDS) for each in events])

    def decoded(self, batch: RecordBatch) -> tuple[list[Row], list[Refusal], int]:
        strings = Strings()
        found = self._decoder.decode(batch, strings)
        assert "secret" not in strings.texts or any(b"secret" in value for value in batch.values if value)
        return prediction_rows(found.columns, strings), found.refusals, found.tombstones

    def row(self, row: Row) -> Row:
        features = {name: value for name, value in row["features"].items() if name != "secret"}
        if features.get("who") is not None:
            features["who"] = self._digest(features["who"])
        attributions = {name: value for name, value in row["attributions"].items() if name != "secret"}
        return row | {"features": features, "attributions": attributions}


class MappedLabels(_Mapped):
    """Labels in a user's own format."""

    name, topic, model = "labels-mapped", "labels", LabelEvent
    about = "label events in a user's own format; join"
    fields = LABEL_FIELDS

    def __init__(self) -> None:
        super().__init__()
        self._decoder = LabelDecoder.from_config(MAPPED)

    def seeds(self) -> list[bytes]:
        return written([own_format(each, LABEL_FIELDS) for each in LABELS])

    def decoded(self, batch: RecordBatch) -> tuple[list[Row], list[Refusal], int]:
        strings = Strings()
        found = self._decoder.decode(batch, strings)
        return label_rows(found.columns, strings), found.refusals, found.tombstones
