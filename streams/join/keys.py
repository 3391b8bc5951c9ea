"""Kernels: byte strings in the arena, the hash table of keys, rows taken and given back."""

from __future__ import annotations

import numba
import numpy as np

from streams.join.layout import (
    ARENA_GARBAGE,
    ARENA_USED,
    FREE,
    KERNEL,
    KEYS,
    LIVE,
    NOWHERE,
    USED,
    NewPredictions,
    Store,
)
from streams.records import Int64Array, UInt8Array

_ROW = 0xFFFFFFFF


@numba.njit(**KERNEL)
def hash_of(data: UInt8Array, start: int, stop: int) -> int:
    """31 bits of a hash of data[start:stop], eight bytes at a time (the finish is MurmurHash3's)."""
    h = np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(stop - start)
    at, end = np.uint64(start), np.uint64(stop)
    while at < end:
        if at + np.uint64(8) <= end:
            word = _word(data, at)
        else:
            word, shift = np.uint64(0), np.uint64(0)
            for i in range(at, end):
                word |= np.uint64(data[i]) << shift
                shift += np.uint64(8)
        h = (h ^ word) * np.uint64(0xFF51AFD7ED558CCD)
        h ^= h >> np.uint64(32)
        at += np.uint64(8)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    h ^= h >> np.uint64(33)
    return int(h & np.uint64(0x7FFFFFFF))


@numba.njit(**KERNEL)
def _word(data: UInt8Array, at: np.uint64) -> np.uint64:
    """Eight bytes, the first the lowest. Written out, and with places that cannot be negative, they are one load."""
    low = np.uint64(data[at]) | np.uint64(data[at + np.uint64(1)]) << np.uint64(8)
    low |= np.uint64(data[at + np.uint64(2)]) << np.uint64(16) | np.uint64(data[at + np.uint64(3)]) << np.uint64(24)
    high = np.uint64(data[at + np.uint64(4)]) << np.uint64(32) | np.uint64(data[at + np.uint64(5)]) << np.uint64(40)
    high |= np.uint64(data[at + np.uint64(6)]) << np.uint64(48) | np.uint64(data[at + np.uint64(7)]) << np.uint64(56)
    return low | high


@numba.njit(**KERNEL)
def same_bytes(one: UInt8Array, at: int, other: UInt8Array, start: int, length: int) -> bool:
    """Whether one[at:at + length] is other[start:start + length]."""
    for i in range(length):  # noqa: SIM110  (numba compiles the loop, not all())
        if one[at + i] != other[start + i]:
            return False
    return True


@numba.njit(**KERNEL)
def find_key(store: Store, data: UInt8Array, start: int, stop: int, h: int) -> int:
    """The row of a key, or -1."""
    mask = len(store.table) - 1
    length = stop - start
    at = h & mask
    while True:
        entry = store.table[at]
        if entry < 0:
            return -1
        if entry >> 32 == h:
            row = entry & _ROW
            begin = store.keys[row].start
            held = np.int64(store.arena[begin]) | (np.int64(store.arena[begin + 1]) << 8)
            if held == length and same_bytes(store.arena, begin + 2, data, start, length):
                return int(row)
        at = (at + 1) & mask


@numba.njit(**KERNEL)
def add_key(store: Store, data: UInt8Array, start: int, stop: int, h: int) -> int:
    """A new key's row; the caller knows that it is not there, and that there is room."""
    totals = store.totals
    row = totals[KEYS + FREE]
    if row >= 0:
        totals[KEYS + FREE] = store.keys[row].predictions
    else:
        row = totals[KEYS + USED]
        totals[KEYS + USED] += 1
    totals[KEYS + LIVE] += 1
    begin = totals[ARENA_USED]
    length = stop - start
    store.arena[begin] = length & 0xFF
    store.arena[begin + 1] = length >> 8
    for i in range(length):
        store.arena[begin + 2 + i] = data[start + i]
    totals[ARENA_USED] = begin + 2 + length
    key = store.keys[row]
    key.start = begin
    key.hash = h
    key.predictions = NOWHERE
    key.labels = NOWHERE
    key.last_label = NOWHERE
    _place(store.table, row, h)
    return int(row)


@numba.njit(**KERNEL)
def _place(table: Int64Array, row: int, h: int) -> None:
    mask = len(table) - 1
    at = h & mask
    while table[at] >= 0:
        at = (at + 1) & mask
    table[at] = (h << 32) | row


@numba.njit(**KERNEL)
def remove_key(store: Store, row: int) -> None:
    """Give back a key's row. The table closes the gap by shifting back (Knuth, vol. 3, 6.4, algorithm R)."""
    table, keys, totals = store.table, store.keys, store.totals
    mask = len(table) - 1
    gap = np.int64(keys[row].hash) & mask
    while table[gap] & _ROW != row:
        gap = (gap + 1) & mask
    at = gap
    while True:
        at = (at + 1) & mask
        moved = table[at]
        if moved < 0:
            break
        home = (moved >> 32) & mask
        if ((at - home) & mask) >= ((at - gap) & mask):
            table[gap] = moved
            gap = at
    table[gap] = NOWHERE
    begin = keys[row].start
    totals[ARENA_GARBAGE] += 2 + (np.int64(store.arena[begin]) | (np.int64(store.arena[begin + 1]) << 8))
    keys[row].start = NOWHERE
    keys[row].predictions = totals[KEYS + FREE]
    totals[KEYS + FREE] = row
    totals[KEYS + LIVE] -= 1


@numba.njit(**KERNEL)
def fill_table(table: Int64Array, larger: Int64Array) -> None:
    """Put every entry of a table into a larger, empty one."""
    for entry in table:
        if entry >= 0:
            _place(larger, entry & _ROW, entry >> 32)


@numba.njit(**KERNEL)
def add_extra(store: Store, new: NewPredictions, i: int) -> int:
    """Put record i's own prediction_id and score map into the arena; -1 where it has neither.

    Layout: id length (2 bytes, 0 for none), id, number of scores (4 bytes), each: class code (4), bits (8).
    """
    id_start = id_stop = 0
    if len(new.id_ends):
        id_start = new.id_ends[i - 1] if i else 0
        id_stop = new.id_ends[i]
    first = new.score_ends[i - 1] if i else 0
    count = new.score_ends[i] - first
    if id_start == id_stop and count == 0:
        return NOWHERE
    arena = store.arena
    begin = store.totals[ARENA_USED]
    at = _write(arena, begin, id_stop - id_start, 2)
    for j in range(id_start, id_stop):
        arena[at] = new.id_data[j]
        at += 1
    at = _write(arena, at, count, 4)
    for j in range(first, first + count):
        at = _write(arena, at, np.int64(new.score_names[j]), 4)
        at = _write(arena, at, new.score_values[j], 8)
    store.totals[ARENA_USED] = at
    return int(begin)


@numba.njit(**KERNEL)
def _write(arena: UInt8Array, at: int, number: int, size: int) -> int:
    for i in range(size):
        arena[at + i] = (number >> (8 * i)) & 0xFF
    return at + size


@numba.njit(**KERNEL)
def read(arena: UInt8Array, at: int, size: int) -> int:
    """The little-endian number of `size` bytes at `at`."""
    number = np.int64(0)
    for i in range(size):
        number |= np.int64(arena[at + i]) << (8 * i)
    return int(number)


@numba.njit(**KERNEL)
def same_id(store: Store, extra: int, new: NewPredictions, i: int) -> bool:
    """Whether the held prediction with `extra` has record i's prediction_id (their keys are the same)."""
    start = stop = 0
    if len(new.id_ends):
        start = new.id_ends[i - 1] if i else 0
        stop = new.id_ends[i]
    held = 0 if extra < 0 else read(store.arena, extra, 2)
    if held != stop - start:
        return False
    return held == 0 or bool(same_bytes(store.arena, extra + 2, new.id_data, start, held))


@numba.njit(**KERNEL)
def extra_size(arena: UInt8Array, extra: int) -> int:
    """The bytes that an extra takes."""
    length = read(arena, extra, 2)
    return int(6 + length + 12 * read(arena, extra + 2 + length, 4))


@numba.njit(cache=True)
def compact_keys(store: Store, arena: UInt8Array, at: int, first: int, stop: int) -> int:
    """Copy the live ones of these keys into a new arena, from `at` on. Returns where it goes on."""
    for row in range(first, stop):
        begin = store.keys[row].start
        if begin >= 0:
            size = 2 + read(store.arena, begin, 2)
            arena[at : at + size] = store.arena[begin : begin + size]
            store.keys[row].start = at
            at += size
    return at


@numba.njit(cache=True)
def compact_predictions(store: Store, arena: UInt8Array, at: int, first: int, stop: int) -> int:
    """The same for what these predictions have in the arena."""
    for row in range(first, stop):
        begin = store.predictions[row].extra
        if store.predictions[row].status and begin >= 0:
            size = extra_size(store.arena, begin)
            arena[at : at + size] = store.arena[begin : begin + size]
            store.predictions[row].extra = at
            at += size
    return at


@numba.njit(cache=True)
def gather_packed(data: UInt8Array, ends: Int64Array, index: Int64Array) -> tuple[UInt8Array, Int64Array]:
    """The packed byte strings of `index`, packed."""
    found = np.empty(len(index), np.int64)
    total = 0
    for i in range(len(index)):
        j = index[i]
        total += ends[j] - (ends[j - 1] if j else 0)
        found[i] = total
    packed = np.empty(total, np.uint8)
    at = 0
    for j in index:
        start = ends[j - 1] if j else 0
        for b in range(start, ends[j]):
            packed[at] = data[b]
            at += 1
    return packed, found


@numba.njit(cache=True)
def own_ids(
    key_data: UInt8Array, key_ends: Int64Array, id_data: UInt8Array, id_ends: Int64Array
) -> tuple[UInt8Array, Int64Array]:
    """The packed ids, each left empty where it is its key."""
    packed, ends = np.empty(len(id_data), np.uint8), np.empty(len(id_ends), np.int64)
    at = 0
    for i in range(len(id_ends)):
        start = id_ends[i - 1] if i else 0
        key_start = key_ends[i - 1] if i else 0
        length = id_ends[i] - start
        if length != key_ends[i] - key_start or not same_bytes(id_data, start, key_data, key_start, length):
            for j in range(length):
                packed[at + j] = id_data[start + j]
            at += length
        ends[i] = at
    return packed[:at].copy(), ends
