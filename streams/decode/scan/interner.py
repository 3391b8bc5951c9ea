"""Texts to codes inside compiled code: a hash table of bytes, open addressing, that only grows.

It mirrors a table of `Strings`: the same texts, the same codes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numba
import numpy as np

from streams.decode.columns import Strings
from streams.records import Int32Array, Int64Array, UInt8Array

FULL: Final = -2
TEXTS, BYTES, SERIAL = 0, 1, 2  # places in `counts`: texts known, bytes of them, numbers given to lists


class Table(NamedTuple):
    """The arrays. slots: power of two, code or -1; ends: of each text in `store`; stamps: by code, the list in which
    it came last as a name."""

    slots: Int32Array
    ends: Int64Array
    store: UInt8Array
    counts: Int64Array
    stamps: Int64Array


@numba.njit(cache=True, _nrt=False)
def intern(
    slots: Int32Array,
    ends: Int64Array,
    store: UInt8Array,
    counts: Int64Array,
    data: UInt8Array,
    start: int,
    stop: int,
) -> int:
    """The code of data[start:stop], given to it now if it has none; FULL where there is no room for it."""
    mixed = np.uint64(14_695_981_039_346_656_037)  # FNV-1a
    for i in range(start, stop):
        mixed = (mixed ^ np.uint64(data[i])) * np.uint64(1_099_511_628_211)
    mask = np.int64(len(slots) - 1)
    slot = np.int64(mixed ^ (mixed >> np.uint64(29))) & mask
    length = stop - start
    while slots[slot] >= 0:
        code = np.int64(slots[slot])
        begin = ends[code - 1] if code else np.int64(0)
        if ends[code] - begin == length:
            same = True
            for i in range(length):
                if store[begin + i] != data[start + i]:
                    same = False
                    break
            if same:
                return int(code)
        slot = (slot + 1) & mask
    code, begin = counts[TEXTS], counts[BYTES]
    if code == len(ends) or begin + length > len(store):
        return FULL
    for i in range(length):
        store[begin + i] = data[start + i]
    ends[code] = begin + length
    slots[slot] = code
    counts[TEXTS] = code + 1
    counts[BYTES] = begin + length
    return int(code)


@numba.njit(cache=True, _nrt=False)
def intern_all(
    slots: Int32Array, ends: Int64Array, store: UInt8Array, counts: Int64Array, data: UInt8Array, stops: Int64Array
) -> None:
    """Take in packed texts, all of them new, for which there is room."""
    start = np.int64(0)
    for i in range(len(stops)):
        intern(slots, ends, store, counts, data, start, stops[i])
        start = stops[i]


class Interner:
    """The table that mirrors a table of strings, which it is given each time: were it to keep it, a task that goes on
    with a smaller one could never let the old one go."""

    def __init__(self) -> None:
        self.table = _room(64, 1024)

    def catch_up(self, strings: Strings) -> None:
        """Take in the texts that the table of strings was given elsewhere."""
        self._take(strings.texts[int(self.table.counts[TEXTS]) :], strings)

    def grow(self, strings: Strings) -> None:
        """Twice the room."""
        old = self.table
        self.table = _room(2 * len(old.ends), 2 * len(old.store))
        self.table.counts[SERIAL] = old.counts[SERIAL]
        self._take(strings.texts, strings)

    def give_back(self, strings: Strings) -> None:
        """Tell the table of strings of the texts found here."""
        table = self.table
        for code in range(len(strings), int(table.counts[TEXTS])):
            start = int(table.ends[code - 1]) if code else 0
            strings.code(table.store[start : table.ends[code]].tobytes().decode())

    def _take(self, texts: list[str], strings: Strings) -> None:
        encoded = [text.encode(errors="surrogatepass") for text in texts]
        size = sum(map(len, encoded))
        table = self.table
        if len(encoded) + int(table.counts[TEXTS]) > len(table.ends) or size + table.counts[BYTES] > len(table.store):
            self.table = _room(2 * len(strings), 2 * (size + int(table.counts[BYTES])))
            self.table.counts[SERIAL] = table.counts[SERIAL]
            encoded = [text.encode(errors="surrogatepass") for text in strings.texts]
        data = np.frombuffer(b"".join(encoded), np.uint8)
        table = self.table
        stops = np.cumsum([len(one) for one in encoded], dtype=np.int64)
        intern_all(table.slots, table.ends, table.store, table.counts, data, stops)


def _room(texts: int, size: int) -> Table:
    texts, size = max(texts, 64), max(size, 1024)
    return Table(
        slots=np.full(1 << (2 * texts - 1).bit_length(), -1, np.int32),
        ends=np.zeros(texts, np.int64),
        store=np.zeros(size, np.uint8),
        counts=np.zeros(3, np.int64),
        stamps=np.zeros(texts, np.int64),
    )
