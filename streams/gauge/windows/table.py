"""A hash table from pairs of integers to dense ids, for compiled code: open addressing, linear probing.

Ids are given in the order of first sight, so they depend on the log alone. The caller keeps the table at most half
full (`grown`), because compiled code cannot make room in the middle of a row.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from streams.records import Int64Array

ENTRY = np.dtype([("a", np.int64), ("b", np.int64), ("id", np.int64)])
"""A place of a table: its key and its id, -1 where the place is free. A table has a power of two of places."""

KERNEL: dict[str, Any] = {"cache": True, "_nrt": False}
"""How kernels over the windows are compiled: they allocate nothing, and counting references to the arrays of their
arguments would cost more than the work."""


@numba.njit(**KERNEL)
def _place(table: Any, a: int, b: int) -> int:
    """The place of the pair, or the free one where it would go."""
    h = np.uint64(a) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(b)
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    h = h ^ (h >> np.uint64(32))
    mask = len(table) - 1
    at = np.int64(h & np.uint64(mask))
    while table[at].id >= 0 and (table[at].a != a or table[at].b != b):
        at = (at + 1) & mask
    return int(at)


@numba.njit(**KERNEL)
def find(table: Any, a: int, b: int) -> int:
    """The id of the pair, or -1."""
    return int(table[_place(table, a, b)].id)


@numba.njit(**KERNEL)
def find_or_add(table: Any, a: int, b: int, new: int) -> int:
    """The id of the pair; `new` is stored and returned where it has none."""
    at = _place(table, a, b)
    if table[at].id < 0:
        table[at].a = a
        table[at].b = b
        table[at].id = new
    return int(table[at].id)


@numba.njit(**KERNEL)
def _fill(table: Any, keys: Int64Array) -> None:
    for i in range(len(keys)):
        at = _place(table, keys[i, 0], keys[i, 1])
        table[at].a = keys[i, 0]
        table[at].b = keys[i, 1]
        table[at].id = i


def table_of(keys: Int64Array, room: int) -> Any:
    """The table in which key i has id i, with room for `room` keys in all; keys of shape (n, 2)."""
    places = 16
    while places < 2 * max(room, len(keys)):
        places *= 2
    table = np.zeros(places, ENTRY)
    table["id"] = -1
    _fill(table, np.ascontiguousarray(keys, np.int64).reshape(-1, 2))
    return table
