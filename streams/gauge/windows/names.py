"""A model's own codes for versions, variants, texts, segments and features, admitted in log order up to the limits.

Strings of a message are codes into the message's own table; here they become codes that last. What comes after a
limit is reached becomes `__other__`, and so does a name that is too long to be told in an event.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import orjson

from schemas import class_number
from streams.gauge.windows.kernel import ROW
from streams.gauge.windows.settings import WindowSettings
from streams.outcomes import Listed, Rows
from streams.records import Float64Array, Int32Array, Int64Array

OTHER = "__other__"
VARIANTS = 20
"""Variants of a model; the contract names three."""
LONGEST = 500
"""Bytes of a name, as JSON has it: hundreds of them must fit into an event."""


def fits(name: str) -> bool:
    """Whether a name is short enough to be told."""
    return len(orjson.dumps(name)) - 2 <= LONGEST


class Admitted:
    """Names with codes 0, 1, … in the order of admission. `overflow` counts sightings of names beyond the limit, of
    which there are more than `limit`; they share the code of `__other__`."""

    def __init__(self, limit: int, names: list[str | None] | None = None, overflow: int = 0) -> None:
        self.limit = limit
        self.names: list[str | None] = []
        self._codes: dict[str | None, int] = {}
        self.overflow = overflow
        for name in names or []:
            self._add(name)

    def _add(self, name: str | None) -> int:
        code = self._codes[name] = len(self.names)
        self.names.append(name)
        return code

    def code(self, name: str | None) -> int:
        """The name's code, given to it now if there is room."""
        found = self._codes.get(name)
        if found is not None:
            return found
        # None (the field was absent) and __other__ do not count against the limit.
        if self.has_room(name):
            return self._add(name)
        self.overflow += 1
        return self.code(OTHER)

    def has_room(self, name: str | None) -> bool:
        """Whether the name has a code, or would be given one."""
        if name in self._codes or name is None or name == OTHER:
            return True
        special = (None in self._codes) + (OTHER in self._codes)
        return len(self.names) - special < self.limit and fits(name)

    def replace(self, old: str, new: str) -> int:
        """Give the code of `old` to `new`, and say which it is."""
        code = self._codes[new] = self._codes.pop(old)
        self.names[code] = new
        return code


@numba.njit(cache=True)
def _distinct(codes: Int32Array, strings: int) -> Int32Array:
    """The distinct (column, code) pairs of codes, shape (columns, n), in the order of rows; code -1 included."""
    seen = np.zeros((codes.shape[0], strings + 1), np.uint8)
    found = np.empty((codes.shape[0] * (strings + 1), 2), np.int32)
    made = 0
    for i in range(codes.shape[1]):
        for column in range(codes.shape[0]):
            code = codes[column, i]
            if seen[column, code] == 0:  # place -1 is that of -1
                seen[column, code] = 1
                found[made, 0] = column
                found[made, 1] = code
                made += 1
    return found[:made].copy()


@numba.njit(cache=True)
def _recode(codes: Int32Array, places: Int32Array) -> None:
    """codes[c, i] becomes places[c, codes[c, i]], in place."""
    for column in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            codes[column, i] = places[column, codes[column, i]]


@numba.njit(cache=True)
def _from_maps(
    offsets: Int32Array,
    names: Int32Array,
    values: Float64Array,
    numbers: Float64Array,
    texts: Int32Array,
    wanted_numbers: Float64Array,
    wanted_texts: Int32Array,
) -> Float64Array:
    """The probability each row's score map gives to its wanted class: 0 where the map lacks it, NaN without a map.

    numbers and texts say which class a name (a string's code) is."""
    found = np.full(len(offsets) - 1, np.nan)
    for i in range(len(found)):
        if offsets[i] < offsets[i + 1]:
            found[i] = 0.0
        for entry in range(offsets[i], offsets[i + 1]):
            name = names[entry]
            same = texts[name] == wanted_texts[i] if wanted_texts[i] >= 0 else numbers[name] == wanted_numbers[i]
            if same:
                found[i] = values[entry]
    return found


def _own(array: Any) -> Any:
    """Writable, so that compiled code has one signature: Arrow's columns are read-only."""
    return array if array.flags.writeable else array.copy()


class Names:
    """All names of a model, and the translation of a message's rows."""

    def __init__(self, settings: WindowSettings) -> None:
        self._settings = settings
        self.versions = Admitted(settings.versions)
        self.variants = Admitted(VARIANTS)
        self.texts = Admitted(2 * settings.categories + 2)
        self.segments = [Admitted(settings.segments_per_key) for _ in settings.segments]
        self.features = Admitted(settings.features)
        self.positive_number = class_number(settings.positive_label)
        self.positive_text = self.texts.code(settings.positive_label)

    def columns(self, rows: Rows, join_task: int | Int64Array) -> tuple[Any, Int32Array]:
        """The rows as an array of dtype ROW, and their names as the model's own codes (see kernel.fold)."""
        absent = np.full(len(rows), -1, np.int32)
        keys = rows.segment_keys
        segments = [rows.segments[keys.index(key)] if key in keys else absent for key in self._settings.segments]
        names = np.stack([rows.version, rows.variant, rows.prediction_text, rows.label_text, *segments])
        admitted = [self.versions, self.variants, self.texts, self.texts, *self.segments]
        places = np.full((len(names), len(rows.strings) + 1), -1, np.int32)
        for column, code in _distinct(names, len(rows.strings)).tolist():
            if code >= 0:
                places[column, code] = admitted[column].code(rows.strings[code])
            elif column < 2:
                places[column, code] = admitted[column].code(None)
        _recode(names, places)
        score, label_score = self._scores(rows, names[3])
        given = {"score": score, "label_score": label_score, "join_task": join_task}
        found = np.empty(len(rows), ROW)
        for field in ROW.names or ():
            found[field] = given[field] if field in given else getattr(rows, field)
        return found, names

    def _scores(self, rows: Rows, label_texts: Int32Array) -> tuple[Float64Array, Float64Array]:
        """The positive class's probability, and the label's where there is a map."""
        maps = rows.scores
        if len(maps.names) == 0:
            return rows.score, np.full(len(rows), np.nan)
        numbers, texts = np.full(len(rows.strings), np.nan), np.full(len(rows.strings), -2, np.int32)
        for name in np.unique(maps.names).tolist():
            numbers[name] = class_number(rows.strings[name])
            if np.isnan(numbers[name]):
                texts[name] = self.texts.code(rows.strings[name])
        given = _own(maps.offsets), _own(maps.names), _own(maps.values), numbers, texts
        label_score = _from_maps(*given, _own(rows.label), label_texts)
        positive = -1 if not np.isnan(self.positive_number) else self.positive_text
        wanted = np.full(len(rows), self.positive_number), np.full(len(rows), positive, np.int32)
        score = np.where(np.isnan(rows.score), _from_maps(*given, *wanted), rows.score)
        return score, label_score

    def feature_places(self, listed: Listed, strings: list[str]) -> Int32Array:
        """Code in the message's table → the model's code of a feature; -1 for strings that name none."""
        places = np.full((1, len(strings) + 1), -1, np.int32)
        for _, code in _distinct(listed.names.reshape(1, -1), len(strings)).tolist():
            places[0, code] = self.features.code(strings[code])
        found: Int32Array = places[0]
        return found

    def overflow(self) -> dict[str, int]:
        """Sightings of names beyond a limit, by the limit's name."""
        return {
            "versions": self.versions.overflow,
            "variants": self.variants.overflow,
            "classes": self.texts.overflow,
            "segments_per_key": sum(each.overflow for each in self.segments),
            "features": self.features.overflow,
        }

    def snapshot(self) -> Any:
        """The state, for `streams.state.pack`."""
        return [[each.names, each.overflow] for each in self._all()]

    def restore(self, tree: Any) -> None:
        """Take back what snapshot gave."""
        for each, (names, overflow) in zip(self._all(), tree, strict=True):
            each.__init__(each.limit, names, overflow)  # type: ignore[misc]

    def _all(self) -> list[Admitted]:
        return [self.versions, self.variants, self.texts, self.features, *self.segments]
