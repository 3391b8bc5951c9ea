"""What decoding yields: the valid events of a record batch as columns, and a refusal for each bad record.

No Python object per event leaves this room: strings are codes into a table, keys are packed bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from streams.outcomes import Listed
from streams.records import Float64Array, Int32Array, Int64Array, UInt8Array


class _Codes(dict[str | None, int]):
    """Text to code; a text that is looked up for the first time is given the next one. None is -1, no text."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__({None: -1})
        self._texts = texts
        self.size = 0

    def __missing__(self, text: str) -> int:
        code = self[text] = len(self._texts)
        self._texts.append(text)
        self.size += len(text)
        return code


class Strings:
    """A growing table of strings: text to code and back. Codes are dense and never change."""

    def __init__(self, texts: list[str] | None = None) -> None:
        self.texts: list[str] = []
        self._codes = _Codes(self.texts)
        for text in texts or []:
            self.code(text)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def size(self) -> int:
        """The characters of all texts."""
        return self._codes.size

    def code(self, text: str) -> int:
        """The code of `text`, given to it now if it has none."""
        return self._codes[text]

    def codes(self, texts: Sequence[str | None]) -> Int32Array:
        """The code of each text, -1 for None; new texts get theirs in order of appearance."""
        return np.fromiter(map(self._codes.__getitem__, texts), np.int32, len(texts))


@dataclass(slots=True)
class Packed:
    """Byte strings end to end: string i is data[ends[i - 1]:ends[i]] (from 0 for the first)."""

    data: UInt8Array
    ends: Int64Array

    def at(self, i: int) -> bytes:
        """String i."""
        return self.data[self.ends[i - 1] if i else 0 : self.ends[i]].tobytes()


@dataclass(slots=True)
class PredictionColumns:
    """Valid prediction events, in offset order. Classes as in `outcomes.Rows`: a number, or a text's code.

    Where `failed` is 1 (the event carried an error) prediction may be NaN with no text. `place` is the position
    of each event's record in its batch. Absent version, variant, segment: -1. Absent weight: 1.
    """

    place: Int64Array
    offset: Int64Array
    timestamp: Int64Array
    label_key: Packed
    prediction_id: Packed | None  # None where every event's prediction_id is its label_key
    model: Int32Array
    version: Int32Array
    variant: Int32Array
    prediction: Float64Array
    prediction_text: Int32Array
    score: Float64Array
    weight: Float64Array
    latency: Float64Array
    failed: UInt8Array
    segments: Int32Array  # shape (segment keys, n)
    features: Listed
    attributions: Listed
    scores: Listed

    def __len__(self) -> int:
        return len(self.offset)


@dataclass(slots=True)
class LabelColumns:
    """Valid label events, in offset order. `timestamp` is the record's where the event names none; `model` -1
    where it names none; `weight` NaN where it names none; `withdrawn` 1 where the label is null."""

    place: Int64Array
    offset: Int64Array
    timestamp: Int64Array
    label_key: Packed
    model: Int32Array
    label: Float64Array
    label_text: Int32Array
    weight: Float64Array
    withdrawn: UInt8Array

    def __len__(self) -> int:
        return len(self.offset)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that is not an event: what its dead letter says. `message` quotes no values."""

    place: int  # the record's position in its batch
    code: str
    message: str
    field: str | None = None


@dataclass(slots=True)
class DecodedPredictions:
    """A decoded batch of the predictions topic."""

    columns: PredictionColumns
    refusals: list[Refusal] = field(default_factory=list)
    tombstones: int = 0


@dataclass(slots=True)
class DecodedLabels:
    """A decoded batch of the labels topic."""

    columns: LabelColumns
    refusals: list[Refusal] = field(default_factory=list)
    tombstones: int = 0
