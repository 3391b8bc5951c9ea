"""What the hot decoder asks msgspec for: the events' JSON as typed structs, and the structs of a whole batch at once.

msgspec is as strict as the models in `schemas` or stricter; what it refuses is not refused yet: the model decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np

from schemas import MAX_VALUE_BYTES, InputError, LabelEvent, PredictionEvent, read_json
from streams.decode.columns import Refusal

Class = bool | int | float | str


class PredictionWire(msgspec.Struct, gc=False):
    """A prediction event as JSON has it."""

    prediction_id: int | str
    model: str
    timestamp: int | str
    prediction: Class | None = None
    label_key: int | str | None = None
    score: float | dict[str, float] | None = None
    version: str | None = None
    variant: str | None = None
    features: dict[str, float | str | bool | None] | None = None
    segments: dict[str, str | None] | None = None
    latency_ms: float | None = None
    error: str | None = None
    attributions: dict[str, float | None] | None = None
    weight: float | None = None


class LabelWire(msgspec.Struct, gc=False):
    """A label event as JSON has it."""

    label: Class | None
    prediction_id: int | str | None = None
    label_key: int | str | None = None
    timestamp: int | str | None = None
    model: str | None = None
    weight: float | None = None


W = TypeVar("W", PredictionWire, LabelWire)


def prediction_of(document: dict[str, Any]) -> PredictionWire:
    """What the model makes of a JSON object. Raises InputError."""
    return _wire(PredictionWire, PredictionEvent.read(document))


def label_of(document: dict[str, Any]) -> LabelWire:
    """What the model makes of a JSON object. Raises InputError."""
    return _wire(LabelWire, LabelEvent.read(document))


def _wire(kind: type[W], event: PredictionEvent | LabelEvent) -> W:
    return kind(**{name: getattr(event, name) for name in kind.__struct_fields__})


def remap(document: dict[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """The contract's fields of a document in a user's own format; `fields` says where each is, with dots.

    A key that holds the dots itself goes before a path. A field that is not there is left out; fields that are not
    mapped keep their names. `segments.region` is the entry region of segments, added to what is there.
    """
    mapped = {key: value for key, value in document.items() if key not in fields}
    for name in sorted(fields, key=lambda name: "." in name):  # whole maps before their entries
        value = _found(document, fields[name])
        field, _, entry = name.partition(".")
        if value is msgspec.UNSET:
            continue
        if entry:
            whole = mapped.get(field)
            if whole is None or isinstance(whole, dict):  # else it is wrong, and the model says so
                mapped[field] = {**(whole or {}), entry: value}
        else:
            mapped[name] = value
    return mapped


def _found(document: dict[str, Any], path: str) -> Any:
    if path in document:
        return document[path]
    value: Any = document
    for part in path.split("."):
        value = value.get(part, msgspec.UNSET) if isinstance(value, dict) else msgspec.UNSET
    return value


class Reader(Generic[W]):
    """Reads the values of a batch: whole, else one by one, and asks the model about what msgspec refuses.

    `reference` is the model's word on a JSON object; without one (in tests) what msgspec refuses is refused.
    """

    def __init__(
        self, kind: type[W], fields: Mapping[str, str], reference: Callable[[dict[str, Any]], W] | None
    ) -> None:
        self._kind: type[W] = kind
        self._fields = dict(fields)
        self._reference: Callable[[dict[str, Any]], W] | None = reference
        self._typed: msgspec.json.Decoder[W] = msgspec.json.Decoder(kind)
        self._untyped = msgspec.json.Decoder(dict[str, Any])

    def read(self, values: Sequence[bytes | None]) -> tuple[list[W], list[int], list[Refusal]]:
        """The events, the places of their records, and the refusals. A tombstone is neither."""
        if self._fields or None in values:
            return self._one_by_one(values)
        whole = self._whole(values)
        return self._one_by_one(values) if whole is None else (whole, list(range(len(values))), [])

    def reconsider(self, value: bytes, place: int) -> W | Refusal:
        """The model's word on one value."""
        if self._reference is None:
            return Refusal(place, "unknown", "not sure, and no model to ask")
        try:
            return self._reference(remap(read_json(value), self._fields))
        except InputError as problem:
            return Refusal(place, problem.code, problem.message, problem.field)

    def _whole(self, values: Sequence[bytes | None]) -> list[W] | None:
        """All values in one call, as lines; None where any of them is not a plain event.

        Safe against values that are not one JSON object each, such as two halves of one: every value begins with a
        brace and ends with one, and between two stands a line feed, which JSON allows neither in text nor between
        a closing and an opening brace; so no object runs over a seam, each value holds one at least, and where
        there are as many objects as values, each holds one.
        """
        joined = b"\n".join(values)  # type: ignore[arg-type]
        lengths = np.fromiter(map(len, values), np.int64, len(values))  # type: ignore[arg-type]
        if not len(values) or lengths.min() == 0 or lengths.max() > MAX_VALUE_BYTES:
            return None
        data = np.frombuffer(joined, np.uint8)
        ends = np.cumsum(lengths + 1) - 1
        if not ((data[ends - lengths] == ord("{")).all() and (data[ends - 1] == ord("}")).all()):
            return None
        try:
            if not joined.isascii():
                joined.decode()  # msgspec does not look into fields it skips
            events = self._typed.decode_lines(joined)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        return events if len(events) == len(values) else None

    def _one_by_one(self, values: Sequence[bytes | None]) -> tuple[list[W], list[int], list[Refusal]]:
        events: list[W] = []
        places: list[int] = []
        refusals: list[Refusal] = []
        for place, value in enumerate(values):
            if value is None:
                continue
            result = self._one(value)
            if result is None:
                decided = self.reconsider(value, place)
                if isinstance(decided, Refusal):
                    refusals.append(decided)
                    continue
                result = decided
            events.append(result)
            places.append(place)
        return events, places, refusals

    def _one(self, value: bytes) -> W | None:
        """One value by msgspec alone; None where it is not sure."""
        if len(value) > MAX_VALUE_BYTES:
            return None
        try:
            if not value.isascii():
                value.decode()
            if self._fields:
                return msgspec.convert(remap(self._untyped.decode(value), self._fields), self._kind)
            return self._typed.decode(value)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
