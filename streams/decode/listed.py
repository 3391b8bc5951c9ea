"""Lists of maps ({feature: value}, {class: probability}) to list columns.

Events with the same names in the same order, usually all of a model's, form a group; each name of a group is one
column, converted in one call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from schemas import MAX_NUMBER, canonical_class
from streams.decode.columns import Strings
from streams.decode.vectors import Doubt, codes
from streams.outcomes import Listed
from streams.records import Float64Array, Int32Array, Int64Array

Value = float | str | bool | None
_NOTHING: dict[str, Value] = {}


@dataclass(frozen=True)
class Privacy:
    """Which names are dropped, and whose values become keyed hashes (BLAKE2b, 16 bytes, in hex)."""

    drop: frozenset[str] = frozenset()
    hashed: frozenset[str] = frozenset()
    key: bytes = field(default=b"", repr=False)

    def digest(self, value: float | str | bool) -> str:
        """The keyed hash of a value's canonical text."""
        return hashlib.blake2b(canonical_class(value).encode(), digest_size=16, key=self.key).hexdigest()


def listed(
    maps: Sequence[Mapping[str, Value] | None], strings: Strings, privacy: Privacy | None = None
) -> tuple[Listed, Doubt | None]:
    """The maps as a list column: numbers are values, texts and booleans are codes, None is missing.

    Also the rows that hold a number out of range, or None where there are no maps at all.
    """
    count = len(maps)
    if maps.count(None) == count:
        return Listed.empty(count), None
    privacy = privacy or Privacy()
    groups = _groups(maps)
    lengths = np.zeros(count, np.int64)
    for names, rows in groups:
        lengths[rows] = len(names) - len(privacy.drop.intersection(names))
    offsets = np.zeros(count + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    column = Listed(
        offsets,
        np.empty(offsets[-1], np.int32),
        np.empty(offsets[-1], np.float64),
        np.full(offsets[-1], -1, np.int32),
    )
    doubtful = np.zeros(count, np.bool_)
    for names, rows in groups:
        if names:
            members = maps if len(rows) == count else [maps[row] for row in rows]
            _fill(column, doubtful, rows, names, members, strings, privacy)
    return column, doubtful


def _groups(maps: Sequence[Mapping[str, Value] | None]) -> list[tuple[tuple[str, ...], Int64Array]]:
    """The rows of each tuple of names, in order of appearance."""
    names = [() if one is None else tuple(one) for one in maps]
    if names.count(names[0]) == len(names):
        return [(names[0], np.arange(len(names)))]
    rows: dict[tuple[str, ...], list[int]] = {}
    for row, key in enumerate(names):
        rows.setdefault(key, []).append(row)
    return [(key, np.array(places)) for key, places in rows.items()]


def _fill(
    column: Listed,
    doubtful: Doubt,
    rows: Int64Array,
    names: tuple[str, ...],
    members: Sequence[Mapping[str, Value] | None],
    strings: Strings,
    privacy: Privacy,
) -> None:
    """Writes one group's entries: name after name, strided through the group's rows."""
    flat: list[Value] = list(chain.from_iterable(map(dict.values, members)))  # type: ignore[arg-type]
    entries = column.offsets[:-1][rows]
    for at, name in enumerate(names):
        values = flat[at :: len(names)]
        if name in privacy.drop or name in privacy.hashed:  # its texts must not get into the table of strings
            doubtful[rows] |= np.array([type(one) is float and abs(one) > MAX_NUMBER for one in values])
            if name in privacy.drop:
                continue
            values = [None if one is None else privacy.digest(one) for one in values]
        value, text = _column(values, strings)
        doubtful[rows] |= np.abs(value) > MAX_NUMBER
        column.names[entries] = strings.code(name)
        column.values[entries] = value
        column.texts[entries] = text
        entries = entries + 1


def _column(values: Sequence[Value], strings: Strings) -> tuple[Float64Array, Int32Array | int]:
    """One feature's values: numbers with NaN for missing, and codes of texts (-1 for all where there are none)."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return np.fromiter(values, np.float64, len(values)), -1
    if kinds == {str}:
        return np.full(len(values), np.nan), codes(values, strings)  # type: ignore[arg-type]
    value = np.array([one if type(one) is float else np.nan for one in values])
    if kinds.isdisjoint((str, bool)):
        return value, -1
    texts = [canonical_class(one) if isinstance(one, str | bool) else None for one in values]
    return value, codes(texts, strings)
