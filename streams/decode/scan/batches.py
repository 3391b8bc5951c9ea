"""A record batch through the kernel: its arrays made ready, what it found put into columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from schemas import MAX_VALUE_BYTES, canonical_class, class_number
from streams.decode.columns import LabelColumns, Packed, PredictionColumns, Strings
from streams.decode.scan.events import (
    ATTRIBUTION_LIST,
    CLASS,
    CLASS_NUMBER,
    CLASS_TEXT,
    DONE,
    ERROR,
    FEATURE_LIST,
    GIVEN,
    ID,
    ID_AT,
    KEY,
    KEY_AT,
    LATENCY_NUMBER,
    LIST_END,
    MODEL,
    MODEL_TEXT,
    SCORE_LIST,
    SCORE_NUMBER,
    SEGMENT_TEXT,
    TIME,
    TIMESTAMP,
    VARIANT_TEXT,
    VERSION_TEXT,
    WEIGHT_NUMBER,
    WHOLE,
    Fields,
    Found,
    pack,
    scan,
)
from streams.decode.scan.interner import FULL, Interner
from streams.outcomes import Listed
from streams.records import Float64Array, Int32Array, Int64Array, RecordBatch, UInt8Array

_LONGEST_PAUSE = 64
_BOOLEANS = np.frombuffer((canonical_class(False) + canonical_class(True)).encode(), np.uint8)
Scalar = TypeVar("Scalar", bound=np.generic)


def _fields(names: Sequence[str], present: int, given: int) -> Fields:
    ends = np.cumsum([len(name) for name in names])
    return Fields(np.frombuffer("".join(names).encode(), np.uint8), ends, present, given)


_COMMON = ("prediction_id", "label_key", "timestamp", "model")
_PREDICTION = _fields(
    (*_COMMON, "prediction", "weight", "score", "latency_ms", "error", "version", "variant",
     "features", "attributions", "segments"),
    0, 1 << ID | 1 << TIMESTAMP | 1 << MODEL,
)  # fmt: skip
_LABEL = _fields((*_COMMON, "label", "weight"), 1 << CLASS, 0)


class _Scan:
    """The kernel for one kind of event. After batches that it was not sure of it lets some pass untried."""

    def __init__(self, fields: Fields, segment_keys: tuple[str, ...] = ()) -> None:
        self._fields = fields
        self._segment_keys = segment_keys
        self._order = np.full(24, -1, np.int64)
        self._interners: WeakKeyDictionary[Strings, Interner] = WeakKeyDictionary()
        self._pause = self._waiting = 0

    def read(self, values: Sequence[bytes | None], strings: Strings) -> tuple[UInt8Array, Found] | None:
        """The records' bytes, and what the kernel found in them; None where it is not sure."""
        if self._waiting:
            self._waiting -= 1
            return None
        found = self._read(values, strings)
        self._pause = 0 if found is not None else min(2 * self._pause + 1, _LONGEST_PAUSE)
        self._waiting = self._pause
        return found

    def _read(self, values: Sequence[bytes | None], strings: Strings) -> tuple[UInt8Array, Found] | None:
        if not len(values) or None in values:
            return None
        joined = b"\n".join([*values, b""])  # type: ignore[list-item]
        lengths = np.fromiter(map(len, values), np.int64, len(values))  # type: ignore[arg-type]
        if lengths.max() > MAX_VALUE_BYTES:
            return None
        if not joined.isascii():
            try:
                joined.decode()
            except UnicodeDecodeError:
                return None
        data = np.frombuffer(joined, np.uint8)
        ends = np.cumsum(lengths + 1) - 1
        segments = strings.codes(self._segment_keys)
        interner = self._interners.get(strings)
        if interner is None:
            interner = self._interners[strings] = Interner()
        interner.catch_up(strings)
        while True:
            found = _empty(len(values), len(data), len(segments))
            status = scan(
                data, ends, self._fields.names, self._fields.ends, (self._fields.present, self._fields.given),
                self._order, segments, _BOOLEANS, *interner.table, *found,
            )  # fmt: skip
            interner.give_back(strings)
            if status != FULL:
                return (data, found) if status == DONE else None
            interner.grow(strings)


def _empty(rows: int, size: int, segment_keys: int) -> Found:
    entries = size // 4 + 1  # the shortest is "":1 and a comma; of memory only what is written is used
    return Found(
        whole=np.zeros((rows, WHOLE), np.int64),
        texts=np.full((rows, SEGMENT_TEXT + segment_keys), -1, np.int32),
        numbers=np.full((rows, 4), np.nan),
        list_ends=np.zeros(3, np.int64),
        names=np.empty((3, entries), np.int32),
        values=np.empty((3, entries)),
        categories=np.empty((3, entries), np.int32),
    )


class PredictionScan(_Scan):
    """Predictions. `positive_label` gives a model's positive class."""

    def __init__(self, segment_keys: tuple[str, ...], positive_label: Callable[[str], str]) -> None:
        super().__init__(_PREDICTION, segment_keys)
        self._positive_label = positive_label

    def columns(self, batch: RecordBatch, strings: Strings) -> PredictionColumns | None:
        """The batch's events; None where one of its records may be something else."""
        read = self.read(batch.values, strings)
        if read is None:
            return None
        data, found = read
        given = found.whole[:, GIVEN]
        number, text = _classes(found, strings)
        failed = _bit(given, ERROR)
        if not (_bit(given, CLASS) | failed).all():
            return None
        ids = Packed(*pack(data, found.whole[:, ID_AT:KEY_AT]))
        keyed = _bit(given, KEY)
        label_key = _keys(data, found, keyed) if keyed.any() else ids
        scores = _list(found, SCORE_LIST)
        places = np.arange(len(given))
        texts, numbers = _columns(found.texts), _columns(found.numbers)
        weight = numbers[WEIGHT_NUMBER]
        return PredictionColumns(
            place=places,
            offset=batch.offsets[places],
            timestamp=found.whole[:, TIME].copy(),
            label_key=label_key,
            prediction_id=ids if keyed.any() else None,
            model=texts[MODEL_TEXT],
            version=texts[VERSION_TEXT],
            variant=texts[VARIANT_TEXT],
            prediction=number,
            prediction_text=text,
            score=self._scores(found, scores, strings),
            weight=np.where(np.isnan(weight), 1.0, weight),
            latency=numbers[LATENCY_NUMBER],
            failed=failed.astype(np.uint8),
            segments=texts[SEGMENT_TEXT:],
            features=_list(found, FEATURE_LIST),
            attributions=_list(found, ATTRIBUTION_LIST),
            scores=scores,
        )

    def _scores(self, found: Found, scores: Listed, strings: Strings) -> Float64Array:
        """The score, of a map that of the model's positive class."""
        score = found.numbers[:, SCORE_NUMBER].copy()
        if len(scores.names):
            rows = np.repeat(np.arange(len(score)), np.diff(scores.offsets))
            models = found.texts[:, MODEL_TEXT]
            positive = np.full(len(strings), -1, np.int32)
            for model in np.unique(models[rows]).tolist():
                positive[model] = strings.code(self._positive_label(strings.texts[model]))
            hits = scores.names == positive[models[rows]]
            score[rows[hits]] = scores.values[hits]
        return score


class LabelScan(_Scan):
    """Labels."""

    def __init__(self) -> None:
        super().__init__(_LABEL)

    def columns(self, batch: RecordBatch, strings: Strings) -> LabelColumns | None:
        """The batch's events; None where one of its records may be something else."""
        read = self.read(batch.values, strings)
        if read is None:
            return None
        data, found = read
        given = found.whole[:, GIVEN]
        keyed = _bit(given, KEY)
        if not (keyed | _bit(given, ID)).all():
            return None
        places = np.arange(len(given))
        number, text = _classes(found, strings)
        return LabelColumns(
            place=places,
            offset=batch.offsets[places],
            timestamp=np.where(_bit(given, TIMESTAMP), found.whole[:, TIME], batch.timestamps[places]),
            label_key=_keys(data, found, keyed),
            model=found.texts[:, MODEL_TEXT].copy(),
            label=number,
            label_text=text,
            weight=found.numbers[:, WEIGHT_NUMBER].copy(),
            withdrawn=(~_bit(given, CLASS)).astype(np.uint8),
        )


def _bit(given: Int64Array, field: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return (given >> field & 1).astype(np.bool_)


def _classes(found: Found, strings: Strings) -> tuple[Float64Array, Int32Array]:
    """Classes as numbers or codes of texts; a text that is the canonical text of a number is that number."""
    number, text = found.numbers[:, CLASS_NUMBER].copy(), found.texts[:, CLASS_TEXT].copy()
    for code in np.unique(text).tolist():
        if code >= 0 and not np.isnan(as_number := class_number(strings.texts[code])):
            number[text == code] = as_number
            text[text == code] = -1
    return number, text


def _columns(rows: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """Columns as rows that are each in one piece."""
    return np.ascontiguousarray(rows.T)


def _keys(data: UInt8Array, found: Found, keyed: npt.NDArray[np.bool_]) -> Packed:
    """The label key where there is one, else the id."""
    spans = found.whole[:, ID_AT:KEY_AT]
    if keyed.any():
        spans = np.where(keyed[:, None], found.whole[:, KEY_AT:TIME], spans)
    return Packed(*pack(data, spans))


def _list(found: Found, which: int) -> Listed:
    offsets = np.zeros(len(found.whole) + 1, np.int32)
    offsets[1:] = found.whole[:, LIST_END + which]
    size = int(offsets[-1])
    return Listed(offsets, found.names[which, :size], found.values[which, :size], found.categories[which, :size])
