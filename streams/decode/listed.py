"""Lists of maps ({feature: value}, {class: probability}) to list columns.

Events with the same names in the same order, usually all of a model's, form a group; each name of a group is one
column, converted in one call.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from schemas import MAX_NUMBER, Config, canonical_class
from streams.decode.columns import Strings
from streams.decode.vectors import Doubt, nothing
from streams.outcomes import Listed
from streams.records import Float64Array, Int32Array, Int64Array

_DIGEST = re.compile("[0-9a-f]{32}")
Value = float | str | bool | None


@dataclass(frozen=True)
class Privacy:
    """Which names are dropped, and whose values become keyed hashes (BLAKE2b, 16 bytes, in hex)."""

    drop: frozenset[str] = frozenset()
    hashed: frozenset[str] = frozenset()
    key: bytes = field(default=b"", repr=False)

    @classmethod
    def from_config(cls, config: Config) -> Privacy:
        """What a configuration asks for."""
        secret = config.privacy.hash_key
        key = b"" if secret is None else secret.get_secret_value().encode()
        return cls(frozenset(config.privacy.drop_features), frozenset(config.privacy.hash_features), key)

    def profile(self, profile: Mapping[str, Any]) -> dict[str, Any]:
        """A published baseline ({subject: profile}) without what must not be written: dropped features, and values of
        hashed ones in the clear (counts of hashes stay)."""
        kept: dict[str, Any] = {}
        for subject, body in profile.items():
            of, _, name = subject.partition(".")
            if of in {"features", "attributions"} and name in self.drop:
                continue
            if of == "features" and name in self.hashed:
                counts = body.get("counts") if isinstance(body, dict) else None
                if not isinstance(counts, dict) or not all(map(_DIGEST.fullmatch, counts)):
                    continue
                body = {key: body[key] for key in ("counts", "rate") if key in body}
            kept[subject] = body
        return kept

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
    if nothing(maps):
        return Listed.empty(count), None
    privacy = privacy or Privacy()
    groups = _groups(maps)
    lengths = np.zeros(count, np.int64)
    for group in groups:
        lengths[group.rows] = len(group.names) - len(privacy.drop.intersection(group.names))
    offsets = np.zeros(count + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    size = int(offsets[-1])
    column = Listed(offsets, np.empty(size, np.int32), np.empty(size), np.full(size, -1, np.int32))
    doubtful = np.zeros(count, np.bool_)
    for group in groups:
        _fill(column, doubtful, group, strings, privacy)
    return column, doubtful


@dataclass(frozen=True, slots=True)
class _Group:
    """The rows whose maps have the same names in the same order, and all their values, row after row."""

    names: tuple[str, ...]
    rows: Int64Array | slice
    values: list[Value]


def _groups(maps: Sequence[Mapping[str, Value] | None]) -> list[_Group]:
    """The groups, in order of appearance. The common case is one."""
    if None not in maps:
        names = tuple(maps[0])  # type: ignore[arg-type]
        # A map's names are distinct, so a run of `names` over and over in which no map is longer than `names` and
        # all together are as long as so many of them, is cut at every one of them.
        if list(chain.from_iterable(maps)) == list(names) * len(maps):  # type: ignore[arg-type]
            return [_Group(names, slice(None), _flat(maps))]
    rows: dict[tuple[str, ...], list[int]] = {}
    for row, one in enumerate(maps):
        rows.setdefault(tuple(one or ()), []).append(row)
    return [_Group(key, np.array(own), _flat([maps[row] for row in own]) if key else []) for key, own in rows.items()]


def _flat(maps: Sequence[Mapping[str, Value] | None]) -> list[Value]:
    return list(chain.from_iterable(map(dict.values, maps)))  # type: ignore[arg-type]


def _fill(column: Listed, doubtful: Doubt, group: _Group, strings: Strings, privacy: Privacy) -> None:
    """Writes one group's entries, name by name."""
    rows = group.rows
    kept = len(group.names) - len(privacy.drop.intersection(group.names))
    starts = None if isinstance(rows, slice) else column.offsets[:-1][rows]
    place = 0
    for at, name in enumerate(group.names):
        values = group.values[at :: len(group.names)]
        if name in privacy.drop or name in privacy.hashed:  # its texts must not get into the table of strings
            doubtful[rows] |= np.array([type(one) is float and abs(one) > MAX_NUMBER for one in values])
            if name in privacy.drop:
                continue
            values = [None if one is None else privacy.digest(one) for one in values]
        value, text = _column(values, strings)
        doubtful[rows] |= np.abs(value) > MAX_NUMBER
        entries = slice(place, None, kept) if starts is None else starts + place
        column.names[entries] = strings.code(name)
        column.values[entries] = value
        if text is not None:
            column.texts[entries] = text
        place += 1


def _column(values: Sequence[Value], strings: Strings) -> tuple[Float64Array, Int32Array | None]:
    """One feature's values: numbers with NaN for missing, and codes of texts (None where there are no texts)."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return np.fromiter(values, np.float64, len(values)), None
    if kinds == {str}:
        return np.full(len(values), np.nan), strings.codes(values)  # type: ignore[arg-type]
    value = np.array([one if type(one) is float else np.nan for one in values])
    if kinds.isdisjoint((str, bool)):
        return value, None
    texts = [canonical_class(one) if isinstance(one, str | bool) else None for one in values]
    return value, strings.codes(texts)
