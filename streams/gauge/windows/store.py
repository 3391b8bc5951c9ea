"""A model's windows as arrays: scopes, panes, windows, scores, rings, features. This file makes room.

    scope     version × variant × segment; segment -1 is the whole model
    cell      what was summed over a pane of a scope, or over all of it (start EVER)
    window    what is emitted: its revision, and the scores from which its AUC is computed
    pair      an entry of a cell's confusion table, chained from the cell
    chunk     32 scores of a window, chained from the window
    ring      the last outcomes of a scope, in log order: places ring_at … of the flat ring arrays
    block     the feature sums of a cell
All ids are dense and given in log order. Nothing is freed in compiled code: `compact` drops the dead.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from metrics import binary
from streams.gauge.windows.table import Table, table_of
from streams.records import Float64Array, Int32Array, Int64Array, UInt8Array

EVER = -(2**62)
"""The `start` of a cell that sums over everything."""
DELAY_BINS = 613  # 1 ms to 2 years
LATENCY_BINS = 512  # 1/64 ms to 5 h
LATENCY_UNITS = 64.0  # bins are counted in 1/64 ms
CHUNK = 32
RING_START = 64
SUMS = 9  # the most any task needs
assert binary.COLUMNS <= SUMS

# columns of Cells.ints: the first eleven are those of outcomes.Counter
PREDICTIONS, OUTCOMES, UNLABELLED, ERRORS, POSITIVES, CLASSED, OUT_POSITIVES, OUT_CLASSED, SCORED = range(11, 20)
INTS = 20

# places of Store.counts
N_SCOPES, N_CELLS, N_WINDOWS, N_PAIRS, N_CHUNKS, N_RING, N_BLOCKS, N_CLASSES, FREE_CHUNK, LONG, OVERFLOW = range(11)
STUCK_SCOPE, STUCK_RING = 11, 12
COUNTS = 13

# kinds of entries in a cell's chain, in place of the actual class
PREDICTED_AS, OUTCOMES_AS = -2, -1


class Scopes(NamedTuple):
    key: Int32Array  # (n, 4): version, variant, segment key, segment value
    pane_start: Int64Array  # the pane met last, and its cell
    pane_cell: Int32Array
    ever_cell: Int32Array  # -1 where no cumulative windows are kept
    first: Int64Array  # event times of the first and the last prediction
    last: Int64Array
    ring_at: Int64Array  # (n, rolling sizes): where the ring begins
    ring_room: Int64Array
    ring_count: Int64Array  # outcomes ever put in
    ring_window: Int32Array
    past_delay: Int64Array  # (n, DELAY_BINS): of panes that are final and gone
    past: Int64Array  # (n, 2): their predictions, outcomes


class Cells(NamedTuple):
    scope: Int32Array
    start: Int64Array
    alive: UInt8Array
    windows: Int32Array  # (n, tumbling sizes, at least 1): the windows it counts in, -1 where they are gone
    ints: Int64Array  # (n, INTS)
    score: Float64Array  # (n, 1, 2): sum of the scores of predictions
    sums: Float64Array  # (n, SUMS, 2): the task's
    delay: Int32Array
    latency: Int32Array
    pairs: Int32Array  # head of the chain
    block: Int32Array


class Windows(NamedTuple):
    scope: Int32Array
    kind: Int32Array  # place among the tumbling sizes, then cumulative, then the rolling sizes
    start: Int64Array
    alive: UInt8Array
    dirty: UInt8Array
    mature: UInt8Array
    state: Int32Array  # as last emitted; -1 never
    revision: Int64Array
    looked: Int64Array  # clock at which it was emitted, or found to need no event
    head: Int32Array  # of the chain of scores
    tail: Int32Array
    fill: Int64Array


class Pairs(NamedTuple):
    cell: Int32Array
    actual: Int32Array
    predicted: Int32Array
    next: Int32Array
    sums: Float64Array  # (n, 1, 2)


class Chunks(NamedTuple):
    entries: Float64Array  # (n, CHUNK)
    weights: Float64Array
    next: Int32Array


class Rings(NamedTuple):
    ints: Int64Array  # (n, 6): see rolling.py
    floats: Float64Array  # (n, 5)


class Blocks(NamedTuple):
    ints: Int64Array  # (n, features, 3): entries, missing, numbers
    sums: Float64Array  # (n, features, 2, 2): of x, of x squared


class Classes(NamedTuple):
    number: Float64Array
    text: Int32Array


class Tables(NamedTuple):
    scopes: Table
    cells: Table
    windows: Table
    pairs: Table
    classes: Table


class Store(NamedTuple):
    counts: Int64Array
    tables: Tables
    scopes: Scopes
    cells: Cells
    windows: Windows
    pairs: Pairs
    chunks: Chunks
    rings: Rings
    blocks: Blocks
    classes: Classes


def _zeros(rows: int, tumbling: int, rolling: int, features: int) -> dict[str, Any]:
    """Every group with `rows` rows of zeros."""

    def z(dtype: Any, *shape: int) -> Any:
        return np.zeros((rows, *shape), dtype)

    i4, i8, u1, f8 = np.int32, np.int64, np.uint8, np.float64
    rings = [z(i8, rolling), z(i8, rolling), z(i8, rolling), z(i4, rolling)]
    return {
        "scopes": Scopes(z(i4, 4), z(i8), z(i4), z(i4), z(i8), z(i8), *rings, z(i8, DELAY_BINS), z(i8, 2)),
        "cells": Cells(
            z(i4), z(i8), z(u1), z(i4, max(tumbling, 1)), z(i8, INTS), z(f8, 1, 2), z(f8, SUMS, 2),
            z(i4, DELAY_BINS), z(i4, LATENCY_BINS), z(i4), z(i4),
        ),
        "windows": Windows(
            z(i4), z(i4), z(i8), z(u1), z(u1), z(u1), z(i4), z(i8), z(i8), z(i4), z(i4), z(i8)
        ),
        "pairs": Pairs(z(i4), z(i4), z(i4), z(i4), z(f8, 1, 2)),
        "chunks": Chunks(z(f8, CHUNK), z(f8, CHUNK), z(i4)),
        "rings": Rings(z(i8, 6), z(f8, 5)),
        "blocks": Blocks(z(i8, features, 3), z(f8, features, 2, 2)),
        "classes": Classes(z(f8), z(i4)),
    }  # fmt: skip


USED = {
    "scopes": N_SCOPES, "cells": N_CELLS, "windows": N_WINDOWS, "pairs": N_PAIRS, "chunks": N_CHUNKS,
    "rings": N_RING, "blocks": N_BLOCKS, "classes": N_CLASSES,
}  # fmt: skip
"""The group's place in `counts`."""


def new_store(tumbling: int, rolling: int) -> Store:
    """Empty, for so many tumbling and rolling sizes. Class 0 stands for all classes beyond the limit."""
    counts = np.zeros(COUNTS, np.int64)
    counts[FREE_CHUNK] = -1
    counts[N_CLASSES] = 1
    groups = _zeros(16, tumbling, rolling, 4)
    groups["classes"].number[0] = np.nan
    groups["classes"].text[0] = -1
    return with_tables(Store(counts, **groups, tables=None))  # type: ignore[arg-type]


def _keys(*columns: Any) -> Int64Array:
    return np.stack([np.asarray(column, np.int64) for column in columns], axis=1)


def scope_keys(key: Int32Array) -> Int64Array:
    """What scopes are found by."""
    wide = key.astype(np.int64)
    return _keys((wide[:, 0] << 32) | wide[:, 1], ((wide[:, 2] + 1) << 32) | (wide[:, 3] + 1))


def class_keys(classes: Classes, used: int) -> Int64Array:
    """What classes are found by: (text, 0), or (-1, the number's bits)."""
    number = classes.number[:used] + 0.0  # -0.0 is 0.0
    return _keys(classes.text[:used], np.where(classes.text[:used] < 0, number.view(np.int64), 0))


def with_tables(store: Store) -> Store:
    """The store with its hash tables made anew, each with room for as many rows as its arrays have."""
    used = {name: int(store.counts[place]) for name, place in USED.items()}
    windows, cells, pairs = store.windows, store.cells, store.pairs
    n = used["windows"]
    window_keys = _keys(windows.scope[:n].astype(np.int64) * 256 + windows.kind[:n], windows.start[:n])
    n = used["pairs"]
    wide = pairs.actual[:n].astype(np.int64)
    pair_keys = _keys(pairs.cell[:n], ((wide + 2) << 32) | pairs.predicted[:n].astype(np.int64))
    n = used["cells"]
    cell_keys = _keys(cells.scope[:n], cells.start[:n])
    keys = scope_keys(store.scopes.key[: used["scopes"]])
    tables = Tables(
        scopes=table_of(keys, len(store.scopes.key)),
        cells=table_of(cell_keys, len(cells.scope)),
        windows=table_of(window_keys, len(windows.scope)),
        pairs=table_of(pair_keys, len(pairs.cell)),
        classes=table_of(class_keys(store.classes, used["classes"]), len(store.classes.text)),
    )
    return store._replace(tables=tables)


def _resized(group: Any, used: int, rows: int) -> Any:
    """The group with `rows` rows, the first `used` of them kept."""
    found = []
    for array in group:
        new = np.zeros((rows, *array.shape[1:]), array.dtype)
        new[:used] = array[:used]
        found.append(new)
    return type(group)(*found)


def with_room(store: Store, needs: dict[str, int]) -> Store:
    """The store with room for at least `needs[group]` more rows of each group."""
    changed: dict[str, Any] = {}
    for name, more in needs.items():
        group, used = getattr(store, name), int(store.counts[USED[name]])
        rows = len(group[0])
        if used + more <= rows:
            continue
        while used + more > rows:
            rows *= 2
        changed[name] = _resized(group, used, rows)
    if not changed:
        return store
    return with_tables(store._replace(**changed))


def with_features(store: Store, features: int) -> Store:
    """The store with room for so many features in a block."""
    room = store.blocks.ints.shape[1]
    if features <= room:
        return store
    while room < features:
        room *= 2
    rows = len(store.blocks.ints)
    ints, sums = np.zeros((rows, room, 3), np.int64), np.zeros((rows, room, 2, 2))
    ints[:, : store.blocks.ints.shape[1]] = store.blocks.ints
    sums[:, : store.blocks.ints.shape[1]] = store.blocks.sums
    return store._replace(blocks=Blocks(ints, sums))


def with_longer_ring(store: Store, size: int) -> Store:
    """The ring that is full (counts[STUCK_…]) moved to the end of the flat arrays, four times as long up to `size`."""
    scope, ring = int(store.counts[STUCK_SCOPE]), int(store.counts[STUCK_RING])
    at, room = int(store.scopes.ring_at[scope, ring]), int(store.scopes.ring_room[scope, ring])
    longer = min(4 * room, size)
    store = with_room(store, {"rings": longer})
    to = int(store.counts[N_RING])
    for array in store.rings:
        array[to : to + room] = array[at : at + room]
    store.counts[N_RING] += longer
    store.scopes.ring_at[scope, ring] = to
    store.scopes.ring_room[scope, ring] = longer
    return store


def without_pairs(store: Store) -> Store:
    """The store with every confusion table empty."""
    store.counts[N_PAIRS] = 0
    store.cells.pairs[:] = -1
    return with_tables(store._replace(pairs=_resized(store.pairs, 0, 16)))


def _taken(group: Any, kept: Int64Array) -> Any:
    """The rows `kept` of the group, in as many places as it had (growing and shrinking is left to with_room)."""
    rows = 16
    while rows < len(kept):
        rows *= 2
    found = []
    for array in group:
        new = np.zeros((rows, *array.shape[1:]), array.dtype)
        new[: len(kept)] = array[kept]
        found.append(new)
    return type(group)(*found)


def _renumbered(kept: Int64Array, used: int) -> Int32Array:
    """Old id to new id; -1 (also at place -1) for what is gone."""
    places = np.full(used + 1, -1, np.int32)
    places[kept] = np.arange(len(kept), dtype=np.int32)
    return places


def compact(store: Store) -> tuple[Store, Int32Array]:
    """The store without dead cells, windows and what hangs on them. Also: old window id to new, -1 for the gone."""
    counts, cells, windows = store.counts.copy(), store.cells, store.windows
    used = {name: int(counts[place]) for name, place in USED.items()}
    kept_cells = np.flatnonzero(cells.alive[: used["cells"]])
    kept_windows = np.flatnonzero(windows.alive[: used["windows"]])
    kept_pairs = np.flatnonzero(cells.alive[store.pairs.cell[: used["pairs"]]])
    kept_chunks = _reachable(store, kept_windows)
    kept_blocks = cells.block[kept_cells].astype(np.int64)
    kept_blocks = kept_blocks[kept_blocks >= 0]
    cell_of = _renumbered(kept_cells, used["cells"])
    window_of = _renumbered(kept_windows, used["windows"])
    pair_of = _renumbered(kept_pairs, used["pairs"])
    chunk_of = _renumbered(kept_chunks, used["chunks"])
    block_of = _renumbered(kept_blocks, used["blocks"])

    new_cells: Cells = _taken(cells, kept_cells)
    new_windows: Windows = _taken(windows, kept_windows)
    pairs: Pairs = _taken(store.pairs, kept_pairs)
    chunks: Chunks = _taken(store.chunks, kept_chunks)
    n = len(kept_cells)
    new_cells.windows[:n] = window_of[new_cells.windows[:n]]
    new_cells.pairs[:n] = pair_of[new_cells.pairs[:n]]
    new_cells.block[:n] = block_of[new_cells.block[:n]]
    n = len(kept_windows)
    new_windows.head[:n] = chunk_of[new_windows.head[:n]]
    new_windows.tail[:n] = chunk_of[new_windows.tail[:n]]
    n = len(kept_pairs)
    pairs.cell[:n] = cell_of[pairs.cell[:n]]
    pairs.next[:n] = pair_of[pairs.next[:n]]
    chunks.next[: len(kept_chunks)] = chunk_of[chunks.next[: len(kept_chunks)]]
    scopes = store.scopes
    scopes.pane_start[:] = EVER
    n = used["scopes"]
    scopes.ever_cell[:n] = cell_of[scopes.ever_cell[:n]]
    scopes.ring_window[:n] = window_of[scopes.ring_window[:n]]
    counts[[N_CELLS, N_WINDOWS, N_PAIRS]] = len(kept_cells), len(kept_windows), len(kept_pairs)
    counts[[N_CHUNKS, N_BLOCKS, FREE_CHUNK]] = len(kept_chunks), len(kept_blocks), -1
    blocks = _taken(store.blocks, kept_blocks)
    made = Store(
        counts, store.tables, scopes, new_cells, new_windows, pairs, chunks, store.rings, blocks, store.classes
    )
    return with_tables(made), window_of


def _reachable(store: Store, windows: Int64Array) -> Int64Array:
    """The chunks that hold scores of these windows, in rising order."""
    found = []
    at = store.windows.head[windows]
    while len(at := at[at >= 0]):
        found.append(at)
        at = store.chunks.next[at]
    return np.sort(np.concatenate(found)).astype(np.int64) if found else np.empty(0, np.int64)
