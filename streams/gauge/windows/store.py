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

from metrics import binary, multiclass, regression
from streams.gauge.windows.table import table_of
from streams.outcomes import Counter
from streams.records import Float64Array, Int32Array, Int64Array

EVER = -(2**62)
"""The `start` of a cell that sums over everything."""
DELAY_BINS = 613  # 1 ms to 2 years
LATENCY_BINS = 512  # 1/64 ms to 5 h
LATENCY_UNITS = 64.0  # bins are counted in 1/64 ms
CHUNK = 32
RING_START = 64
SUMS = binary.COLUMNS  # the most any task needs
assert max(regression.COLUMNS, multiclass.COLUMNS) <= SUMS

# columns of Cells.ints: the first are those of outcomes.Counter
_COUNTERS = len(Counter)
INTS = _COUNTERS + 9
PREDICTIONS, OUTCOMES, UNLABELLED, ERRORS, POSITIVES, CLASSED, OUT_POSITIVES, OUT_CLASSED, SCORED = range(
    _COUNTERS, INTS
)

# places of Store.counts
N_SCOPES, N_CELLS, N_WINDOWS, N_PAIRS, N_CHUNKS, N_RINGS, N_BLOCKS, N_CLASSES, FREE_CHUNK, LONG, OVERFLOW = range(11)
STUCK_SCOPE, STUCK_RING, WANTED, REFUSED_CLASSES = 11, 12, 13, 14
REFUSED = 15  # of panes: the first and the last start, of the whole model's; then of segments'. first > last: none
COUNTS = 19

# last axis of Store.scope_rings: where the ring begins, its places, outcomes ever put in, its window
RING_AT, RING_ROOM, RING_COUNT, RING_WINDOW = range(4)

# kinds of entries in a cell's chain, in place of the actual class
PREDICTED_AS, OUTCOMES_AS = -2, -1


SCOPE = np.dtype(
    [
        ("key", np.int32, (4,)),  # version, variant, segment key, segment value
        ("ever_cell", np.int32),  # -1 where no cumulative windows are kept
        ("pane_cell", np.int32),  # of the pane met last, which began at pane_start
        ("pane_start", np.int64),
        ("first", np.int64),  # event times of the first and the last prediction
        ("last", np.int64),
        ("past", np.int64, (2,)),  # predictions and outcomes of panes that are final and gone
        ("past_delay", np.int64, (DELAY_BINS,)),
    ],
    align=True,
)
CELL = np.dtype(
    [
        ("scope", np.int32),
        ("pairs", np.int32),  # head of the chain
        ("block", np.int32),
        ("alive", np.uint8),
        ("start", np.int64),
        ("ints", np.int64, (INTS,)),
        ("score", np.float64, (1, 2)),  # sum of the scores of predictions
        ("sums", np.float64, (SUMS, 2)),  # the task's
        ("delay", np.int32, (DELAY_BINS,)),  # of a cumulative cell without what excess.py holds
        ("latency", np.int32, (LATENCY_BINS,)),
    ],
    align=True,
)
WINDOW = np.dtype(
    [
        ("start", np.int64),
        ("revision", np.int64),
        ("looked", np.int64),  # clock at which it was emitted, or found to need no event
        ("fill", np.int64),  # scores in the chain
        ("head", np.int32),
        ("tail", np.int32),
        ("scope", np.int32),
        ("kind", np.int32),  # place among the tumbling sizes, then cumulative, then the rolling sizes
        ("state", np.int32),  # as last emitted; -1 never
        ("alive", np.uint8),
        ("dirty", np.uint8),
        ("mature", np.uint8),
    ],
    align=True,
)
PAIR = np.dtype(
    [
        ("sums", np.float64, (1, 2)),
        *((name, np.int32) for name in ("cell", "actual", "predicted", "next")),
    ],
    align=True,
)
SCORES = np.dtype(
    [("entries", np.float64, (CHUNK,)), ("weights", np.float64, (CHUNK,)), ("next", np.int32)], align=True
)
ROLLED = np.dtype(
    [
        *((name, np.int64) for name in ("number", "held", "delay")),
        *((name, np.float64) for name in ("prediction", "label", "score", "label_score", "weight")),
        *((name, np.int32) for name in ("predicted", "actual")),
    ],
    align=True,
)
CLASS = np.dtype([("number", np.float64), ("text", np.int32)], align=True)


class Tables(NamedTuple):
    """What finds the id of a key."""

    scopes: Any
    cells: Any
    windows: Any
    pairs: Any
    classes: Any


class Store(NamedTuple):
    """All arrays; records of the types above, and where a shape depends on the configuration, plain ones."""

    counts: Int64Array
    tables: Tables
    scopes: Any
    scope_rings: Int64Array  # (scopes, rolling sizes, RING_…)
    cells: Any
    cell_windows: Int32Array  # (cells, tumbling sizes or 1): the windows a cell counts in, -1 where they are gone
    windows: Any
    pairs: Any
    chunks: Any
    rings: Any
    block_ints: Int64Array  # (blocks, features, 3): entries, missing, numbers
    block_sums: Float64Array  # (blocks, features, 2, 2): of x, of x squared
    classes: Any


USED = {
    "scopes": N_SCOPES, "cells": N_CELLS, "windows": N_WINDOWS, "pairs": N_PAIRS, "chunks": N_CHUNKS,
    "rings": N_RINGS, "blocks": N_BLOCKS, "classes": N_CLASSES,
}  # fmt: skip
"""Each group's place in `counts`."""
ARRAYS = {name: (name,) for name in USED} | {
    "scopes": ("scopes", "scope_rings"), "cells": ("cells", "cell_windows"), "blocks": ("block_ints", "block_sums"),
}  # fmt: skip
"""The arrays of each group."""


def forget_refused(counts: Int64Array, sealed: int) -> None:
    """Forget which panes were refused, where the windows of all of them are final: those that begin before `sealed`."""
    for at in (REFUSED, REFUSED + 2):
        if counts[at + 1] < sealed:
            counts[at : at + 2] = -EVER, EVER


def new_store(tumbling: int, rolling: int) -> Store:
    """Empty, for so many tumbling and rolling sizes. Class 0 stands for all classes beyond the limit."""
    counts = np.zeros(COUNTS, np.int64)
    counts[FREE_CHUNK] = -1
    counts[N_CLASSES] = 1
    forget_refused(counts, -EVER)
    classes = np.zeros(16, CLASS)
    classes[0] = (np.nan, -1)
    tables = Tables(*(table_of(np.empty((0, 2), np.int64), 16) for _ in Tables._fields))
    store = Store(
        counts, tables, np.zeros(16, SCOPE), np.zeros((16, rolling, 4), np.int64), np.zeros(16, CELL),
        np.zeros((16, max(tumbling, 1)), np.int32), np.zeros(16, WINDOW), np.zeros(16, PAIR), np.zeros(16, SCORES),
        np.zeros(16, ROLLED), np.zeros((16, 4, 3), np.int64), np.zeros((16, 4, 2, 2)), classes,
    )  # fmt: skip
    return with_tables(store)


def _keys(*columns: Any) -> Int64Array:
    return np.stack([np.asarray(column, np.int64) for column in columns], axis=1)


def _group_keys(store: Store) -> dict[str, Int64Array]:
    """What the rows of each group are found by, in the order of their ids; as the compiled code makes them."""
    used = {name: int(store.counts[place]) for name, place in USED.items()}
    key = store.scopes["key"][: used["scopes"]].astype(np.int64)
    cells, windows = store.cells[: used["cells"]], store.windows[: used["windows"]]
    pairs, classes = store.pairs[: used["pairs"]], store.classes[: used["classes"]]
    bits = np.ascontiguousarray(classes["number"] + 0.0).view(np.int64)  # -0.0 is 0.0
    actual = pairs["actual"].astype(np.int64)
    return {
        "scopes": _keys((key[:, 0] << 32) | key[:, 1], ((key[:, 2] + 1) << 32) | (key[:, 3] + 1)),
        "cells": _keys(cells["scope"], cells["start"]),
        "windows": _keys(windows["scope"].astype(np.int64) * 256 + windows["kind"], windows["start"]),
        "pairs": _keys(pairs["cell"], ((actual + 2) << 32) | pairs["predicted"]),
        "classes": _keys(classes["text"], np.where(classes["text"] < 0, bits, 0)),
    }


def with_tables(store: Store) -> Store:
    """The store with its hash tables made anew, each with room for as many rows as its arrays have."""
    keys = _group_keys(store)
    tables = Tables(*(table_of(keys[name], len(getattr(store, name))) for name in Tables._fields))
    return store._replace(tables=tables)


def _resized(array: Any, kept: Any, rows: int) -> Any:
    """An array of `rows` rows that begins with the rows `kept` of the given one."""
    new = np.zeros((rows, *array.shape[1:]), array.dtype)
    found = array[kept]
    new[: len(found)] = found
    return new


def with_room(store: Store, needs: dict[str, int]) -> Store:
    """The store with room for at least `needs[group]` more rows of each group; itself where it has that."""
    changed: dict[str, Any] = {}
    for name, more in needs.items():
        used = int(store.counts[USED[name]])
        arrays = {each: getattr(store, each) for each in ARRAYS[name]}
        rows = len(next(iter(arrays.values())))
        if used + more <= rows:
            continue
        while used + more > rows:
            rows *= 2
        changed |= {each: _resized(array, slice(used), rows) for each, array in arrays.items()}
    return with_tables(store._replace(**changed)) if changed else store


def with_features(store: Store, features: int) -> Store:
    """The store with room for so many features in a block."""
    rows, room = store.block_ints.shape[:2]
    if features <= room:
        return store
    longer = room
    while longer < features:
        longer *= 2
    ints, sums = np.zeros((rows, longer, 3), np.int64), np.zeros((rows, longer, 2, 2))
    ints[:, :room] = store.block_ints
    sums[:, :room] = store.block_sums
    return store._replace(block_ints=ints, block_sums=sums)


def with_longer_ring(store: Store, size: int) -> Store:
    """The ring that is full (counts[STUCK_…]) moved to the end of the flat array, four times as long up to `size`."""
    place = int(store.counts[STUCK_SCOPE]), int(store.counts[STUCK_RING])
    at, room = store.scope_rings[place][:2].tolist()
    longer = min(4 * room, size)
    store = with_room(store, {"rings": longer})
    to = int(store.counts[N_RINGS])
    store.rings[to : to + room] = store.rings[at : at + room]
    store.counts[N_RINGS] += longer
    store.scope_rings[place][:2] = to, longer
    return store


def without_pairs(store: Store) -> Store:
    """The store with every confusion table empty."""
    store.counts[N_PAIRS] = 0
    store.cells["pairs"] = -1
    return with_tables(store._replace(pairs=np.zeros(16, PAIR)))


def _renumbered(kept: Int64Array, used: int) -> Int32Array:
    """Old id to new id; -1 (also at place -1) for what is gone."""
    places = np.full(used + 1, -1, np.int32)
    places[kept] = np.arange(len(kept), dtype=np.int32)
    return places


def compact(store: Store) -> tuple[Store, Int32Array]:
    """The store without dead cells, windows and what hangs on them. Also: old window id to new, -1 for the gone."""
    used = {name: int(store.counts[place]) for name, place in USED.items()}
    alive = store.cells["alive"][: used["cells"]]
    kept = {
        "cells": np.flatnonzero(alive),
        "windows": np.flatnonzero(store.windows["alive"][: used["windows"]]),
        "pairs": np.flatnonzero(alive[store.pairs["cell"][: used["pairs"]]]),
    }
    kept["chunks"] = _reachable(store, kept["windows"])
    blocks = store.cells["block"][kept["cells"]].astype(np.int64)
    kept["blocks"] = blocks[blocks >= 0]
    new_id = {name: _renumbered(ids, used[name]) for name, ids in kept.items()}
    counts, changed = store.counts.copy(), {"scopes": store.scopes.copy(), "scope_rings": store.scope_rings.copy()}
    for name, ids in kept.items():
        counts[USED[name]] = len(ids)
        for each in ARRAYS[name]:
            array = getattr(store, each)
            changed[each] = _resized(array, ids, len(array))
    counts[FREE_CHUNK] = -1
    made = store._replace(counts=counts, **changed)
    _redirect(made, new_id, used["scopes"])
    return with_tables(made), new_id["windows"]


def _redirect(store: Store, new_id: dict[str, Int32Array], scopes: int) -> None:
    """Let every reference among the kept rows point to the new ids."""
    n = {name: int(store.counts[place]) for name, place in USED.items()}
    references = [
        (store.cells["pairs"], n["cells"], "pairs"), (store.cells["block"], n["cells"], "blocks"),
        (store.cell_windows, n["cells"], "windows"), (store.pairs["cell"], n["pairs"], "cells"),
        (store.pairs["next"], n["pairs"], "pairs"), (store.chunks["next"], n["chunks"], "chunks"),
        (store.windows["head"], n["windows"], "chunks"), (store.windows["tail"], n["windows"], "chunks"),
        (store.scopes["ever_cell"], scopes, "cells"), (store.scope_rings[:, :, RING_WINDOW], scopes, "windows"),
    ]  # fmt: skip
    for array, rows, target in references:
        array[:rows] = new_id[target][array[:rows]]
    store.scopes["pane_start"] = EVER


def _reachable(store: Store, windows: Int64Array) -> Int64Array:
    """The chunks that hold scores of these windows, in rising order."""
    found = []
    at = store.windows["head"][windows]
    while len(at := at[at >= 0]):
        found.append(at)
        at = store.chunks["next"][at]
    return np.sort(np.concatenate(found)).astype(np.int64) if found else np.empty(0, np.int64)
