"""From rows to lanes: which values of a stretch of rows belong to which series. Vectorised; nothing per row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np

from streams.outcomes import NONE, Kind, Listed, Rows
from streams.records import Float64Array, Int32Array, Int64Array


@dataclass(frozen=True, slots=True)
class Column:
    """The entries of one name: their places in the rows and among all entries, numbers and codes of texts (-1: a
    number, or missing)."""

    name: int
    places: Int64Array
    entries: Int64Array
    values: Float64Array
    texts: Int32Array


def columns(listed: Listed, places: Int64Array) -> Iterator[Column]:
    """The entries of the rows at `places`, name by name."""
    starts = listed.offsets[:-1][places].astype(np.int64)
    lengths = listed.offsets[1:][places] - starts
    if not len(places) or not lengths.any():
        return
    width = int(lengths[0])
    if width and (lengths == width).all():
        if (starts == starts[0] + width * np.arange(len(starts))).all():  # end to end: no need to gather
            index: Any = slice(starts[0], starts[0] + width * len(starts))
        else:
            index = (starts[:, None] + np.arange(width)).ravel()
        names = listed.names[index].reshape(-1, width)
        if (names == names[0]).all() and len(np.unique(names[0])) == width:  # the usual case: all rows have all names
            values, texts = listed.values[index].reshape(-1, width), listed.texts[index].reshape(-1, width)
            for k in range(width):
                number, text = np.ascontiguousarray(values[:, k]), np.ascontiguousarray(texts[:, k])
                yield Column(int(names[0, k]), places, starts + k, number, text)
            return
    ends = np.cumsum(lengths)
    entries = np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)
    rows = np.repeat(places, lengths)
    found = listed.names[entries]
    order = np.argsort(found, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(found[order])) + 1):
        at = entries[group]
        yield Column(int(found[group[0]]), rows[group], at, listed.values[at], listed.texts[at])


def first_labels(rows: Rows, places: Int64Array) -> Int64Array:
    """Those of the places that are outcomes at their first label; what comes after it does not reach detectors."""
    found: Int64Array = places[(rows.kind[places] == Kind.OUTCOME) & (rows.refers_to[places] == NONE)]
    return found


def differs(rows: Rows, places: Int64Array) -> Float64Array:
    """1 where prediction and label are different classes, 0 where the same, NaN where one is missing."""
    number, label = rows.prediction[places], rows.label[places]
    text, label_text = rows.prediction_text[places], rows.label_text[places]
    same = (number == label) | ((text == label_text) & (text >= 0))
    missing = (np.isnan(number) & (text < 0)) | (np.isnan(label) & (label_text < 0))
    return np.where(missing, np.nan, np.where(same, 0.0, 1.0))


def groups(rows: Rows) -> list[tuple[int, int, Int64Array]]:
    """(version, variant, places) of the rows that make series, in the order in which the pairs first appear."""
    at = np.flatnonzero((rows.kind == Kind.PREDICTED) | (rows.kind == Kind.OUTCOME))
    if not len(at):
        return []
    version, variant = rows.version[at].astype(np.int64), rows.variant[at].astype(np.int64)
    if (version == version[0]).all() and (variant == variant[0]).all():
        return [(int(version[0]), int(variant[0]), at)]
    pairs, first, which = np.unique(version * (len(rows.strings) + 2) + variant, return_index=True, return_inverse=True)
    order = np.argsort(which, kind="stable")
    bounds = np.searchsorted(which[order], np.arange(len(pairs) + 1))
    return [
        (int(version[first[k]]), int(variant[first[k]]), at[order[bounds[k] : bounds[k + 1]]])
        for k in np.argsort(first)
    ]


_LONG = 256


def code(text: str) -> float:
    """A category as a number: 52 bits of its hash, the same in every series, version and restart."""
    return _short(text) if len(text) <= _LONG else _hash(text)


def _hash(text: str) -> float:
    return float(int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 12)


_short = lru_cache(maxsize=65_536)(_hash)
"""The same for texts of which so many may be kept."""


def codes(column: Column, strings: list[str], admit: Callable[[list[float]], list[float]]) -> Float64Array:
    """The categories of a column as numbers, NaN where missing. `admit` is given the distinct ones in the order in
    which they come, and says which stand in their place."""
    texts, first, which = np.unique(column.texts, return_index=True, return_inverse=True)
    present = [k for k in np.argsort(first).tolist() if texts[k] >= 0]
    known = np.full(len(texts), np.nan)
    known[present] = admit([code(strings[texts[k]]) for k in present])
    found: Float64Array = known[which]
    return found
