"""A hash table from pairs of integers to dense ids, for compiled code: open addressing, linear probing.

Ids are given in the order of first sight, so they depend on the log alone. The caller keeps the table at most half
full (`grown`), because compiled code cannot make room in the middle of a row.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from streams.records import Int32Array, Int64Array


class Table(NamedTuple):
    """`ids` is -1 where a place is free; both arrays have a power of two of places."""

    keys: Int64Array  # shape (places, 2)
    ids: Int32Array


@numba.njit(cache=True)
def _place(table: Table, a: int, b: int) -> int:
    """The place of the pair, or the free one where it would go."""
    h = np.uint64(a) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(b)
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    h = h ^ (h >> np.uint64(32))
    mask = len(table.ids) - 1
    at = np.int64(h & np.uint64(mask))
    while table.ids[at] >= 0 and (table.keys[at, 0] != a or table.keys[at, 1] != b):
        at = (at + 1) & mask
    return int(at)


@numba.njit(cache=True)
def find(table: Table, a: int, b: int) -> int:
    """The id of the pair, or -1."""
    return int(table.ids[_place(table, a, b)])


@numba.njit(cache=True)
def find_or_add(table: Table, a: int, b: int, new: int) -> int:
    """The id of the pair; `new` is stored and returned where it has none."""
    at = _place(table, a, b)
    if table.ids[at] < 0:
        table.keys[at, 0] = a
        table.keys[at, 1] = b
        table.ids[at] = new
    return int(table.ids[at])


@numba.njit(cache=True)
def _fill(table: Table, keys: Int64Array) -> None:
    for i in range(len(keys)):
        at = _place(table, keys[i, 0], keys[i, 1])
        table.keys[at, 0] = keys[i, 0]
        table.keys[at, 1] = keys[i, 1]
        table.ids[at] = i


def table_of(keys: Int64Array, room: int) -> Table:
    """The table in which key i has id i, with room for `room` keys in all; keys of shape (n, 2)."""
    places = 16
    while places < 2 * max(room, len(keys)):
        places *= 2
    table = Table(np.zeros((places, 2), np.int64), np.full(places, -1, np.int32))
    _fill(table, np.ascontiguousarray(keys, np.int64).reshape(-1, 2))
    return table
