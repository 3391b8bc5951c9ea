"""The hot path: one pass of compiled code over a model's rows, into every scope they belong to.

Order of the rows is all that counts: a row is finished before the next begins, and where there is no room left for
another row the pass stops, the caller makes room (store.py), and it goes on at that row.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from metrics import binary, histogram, multiclass, regression, roc_auc, sums
from streams.gauge.windows.rolling import hole, put
from streams.gauge.windows.store import (
    CHUNK,
    CLASSED,
    DELAY_BINS,
    ERRORS,
    EVER,
    FREE_CHUNK,
    LATENCY_BINS,
    LATENCY_UNITS,
    LONG,
    N_CELLS,
    N_CHUNKS,
    N_CLASSES,
    N_PAIRS,
    N_RINGS,
    N_SCOPES,
    N_WINDOWS,
    OUT_CLASSED,
    OUT_POSITIVES,
    OUTCOMES,
    OUTCOMES_AS,
    OVERFLOW,
    POSITIVES,
    PREDICTED_AS,
    PREDICTIONS,
    RING_AT,
    RING_COUNT,
    RING_ROOM,
    RING_START,
    RING_WINDOW,
    SCORED,
    STUCK_RING,
    STUCK_SCOPE,
    UNLABELLED,
    Store,
)
from streams.gauge.windows.table import find, find_or_add
from streams.outcomes import Counter, Kind
from streams.records import Int32Array, Int64Array

UNDECIDED, MULTICLASS, BINARY, REGRESSION = range(4)
_PREDICTED, _OUTCOME, _RETRACTED = int(Kind.PREDICTED), int(Kind.OUTCOME), int(Kind.RETRACTED)
_UNLABELLED, _COUNT = int(Kind.UNLABELLED), int(Kind.COUNT)
_EVER_ONLY = int(Counter.LATE_PREDICTIONS)  # this counter and those after it are in the cumulative windows alone


ROW = np.dtype(
    [
        *((name, np.int64) for name in ("number", "refers_to", "timestamp", "label_timestamp", "amount")),
        *((name, np.float64) for name in ("prediction", "label", "score", "label_score", "weight", "latency")),
        *((name, np.uint8) for name in ("kind", "counter", "failed")),
    ],
    align=True,
)
"""What windows need of a row. `score` is that of the positive class, `label_score` the probability a score map gave to
the label (NaN where there was no map)."""


class Plan(NamedTuple):
    """What does not change during a pass."""

    task: int
    counting: bool  # counts, delays, rings
    scoring: bool  # the task's sums and scores
    positive_number: float
    positive_text: int
    pane: int
    sizes: Int64Array
    rolling: Int64Array
    cumulative: bool
    classes: int
    panes: int
    sealed: int  # windows that end at or before this are final
    join_task: int


@numba.njit(cache=True)
def _new_window(store: Store, scope: int, kind: int, start: int) -> int:
    new = store.counts[N_WINDOWS]
    found = find_or_add(store.tables.windows, scope * 256 + kind, start, new)
    if found == new:
        store.counts[N_WINDOWS] += 1
        windows = store.windows
        windows[new].scope = scope
        windows[new].kind = kind
        windows[new].start = start
        windows[new].alive = 1
        windows[new].state = -1
        windows[new].head = -1
        windows[new].tail = -1
    return int(found)


@numba.njit(cache=True)
def _new_cell(store: Store, scope: int, start: int) -> int:
    cell = store.counts[N_CELLS]
    store.counts[N_CELLS] += 1
    find_or_add(store.tables.cells, scope, start, cell)
    cells = store.cells
    cells[cell].scope = scope
    cells[cell].start = start
    cells[cell].alive = 1
    store.cell_windows[cell] = -1
    cells[cell].pairs = -1
    cells[cell].block = -1
    return int(cell)


@numba.njit(cache=True)
def _new_scope(store: Store, plan: Plan, scope: int, version: int, variant: int, key: int, segment: int) -> None:
    store.counts[N_SCOPES] += 1
    scopes = store.scopes
    scopes[scope].key[0] = version
    scopes[scope].key[1] = variant
    scopes[scope].key[2] = key
    scopes[scope].key[3] = segment
    scopes[scope].pane_start = EVER
    scopes[scope].ever_cell = -1
    if plan.cumulative:
        cell = _new_cell(store, scope, EVER)
        store.cell_windows[cell, 0] = _new_window(store, scope, len(plan.sizes), EVER)
        scopes[scope].ever_cell = cell
    for ring in range(len(plan.rolling)):
        room = min(RING_START, plan.rolling[ring])
        store.scope_rings[scope, ring, RING_AT] = store.counts[N_RINGS]
        store.scope_rings[scope, ring, RING_ROOM] = room
        store.counts[N_RINGS] += room
        store.scope_rings[scope, ring, RING_WINDOW] = _new_window(store, scope, len(plan.sizes) + 1 + ring, EVER)


@numba.njit(cache=True)
def _scope_of(store: Store, plan: Plan, version: int, variant: int, key: int, segment: int) -> int:
    new = store.counts[N_SCOPES]
    a = (np.int64(version) << 32) | np.int64(variant)
    b = (np.int64(key + 1) << 32) | np.int64(segment + 1)
    found = find_or_add(store.tables.scopes, a, b, new)
    if found == new:
        _new_scope(store, plan, found, version, variant, key, segment)
    return int(found)


@numba.njit(cache=True)
def _pane_of(store: Store, plan: Plan, scope: int, timestamp: int, whole: bool) -> int:
    """The cell of the row's pane; -1 where its windows are final, or no more panes may be opened."""
    start = timestamp - timestamp % plan.pane
    scopes = store.scopes
    if scopes[scope].pane_start == start:
        return int(scopes[scope].pane_cell)
    cell = find(store.tables.cells, scope, start)
    if cell < 0:
        is_open = False
        for size in plan.sizes:
            is_open |= start - start % size + size > plan.sealed
        if not is_open:
            return -1
        if not whole and store.counts[N_CELLS] >= plan.panes:
            store.counts[OVERFLOW] += 1
            return -1
        cell = _new_cell(store, scope, start)
        for t in range(len(plan.sizes)):
            begin = start - start % plan.sizes[t]
            if begin + plan.sizes[t] > plan.sealed:
                store.cell_windows[cell, t] = _new_window(store, scope, t, begin)
    scopes[scope].pane_start = start
    scopes[scope].pane_cell = cell
    return int(cell)


@numba.njit(cache=True)
def _class_of(store: Store, plan: Plan, number: float, text: int) -> int:
    """The class's code; 0 beyond the limit, -1 where there is no class."""
    bits = np.int64(0)
    if text < 0:
        if np.isnan(number) or (plan.task == UNDECIDED and number != np.floor(number)):
            return -1
        bits = np.float64(number + 0.0).view(np.int64)
    found = find(store.tables.classes, text, bits)
    if found < 0:
        new = store.counts[N_CLASSES]
        if new > plan.classes:
            return 0
        found = find_or_add(store.tables.classes, text, bits, new)
        store.counts[N_CLASSES] += 1
        store.classes[new].number = number + 0.0 if text < 0 else np.nan
        store.classes[new].text = text
    return int(found)


@numba.njit(cache=True)
def _add_pair(store: Store, cell: int, actual: int, predicted: int, amount: float) -> None:
    new = store.counts[N_PAIRS]
    key = (np.int64(actual + 2) << 32) | np.int64(predicted)
    found = find_or_add(store.tables.pairs, cell, key, new)
    pairs = store.pairs
    if found == new:
        store.counts[N_PAIRS] += 1
        pairs[new].cell = cell
        pairs[new].actual = actual
        pairs[new].predicted = predicted
        pairs[new].next = store.cells[cell].pairs
        store.cells[cell].pairs = new
    sums.add(pairs[found].sums, 0, amount)


@numba.njit(cache=True)
def _add_score(store: Store, window: int, entry: float, weight: float) -> None:
    windows, chunks = store.windows, store.chunks
    at = windows[window].fill % CHUNK
    if at == 0:
        chunk = store.counts[FREE_CHUNK]
        if chunk >= 0:
            store.counts[FREE_CHUNK] = chunks[chunk].next
        else:
            chunk = store.counts[N_CHUNKS]
            store.counts[N_CHUNKS] += 1
        chunks[chunk].next = -1
        if windows[window].tail >= 0:
            chunks[windows[window].tail].next = chunk
        else:
            windows[window].head = chunk
        windows[window].tail = chunk
    chunk = windows[window].tail
    chunks[chunk].entries[at] = entry
    chunks[chunk].weights[at] = weight
    windows[window].fill += 1
    if windows[window].fill > roc_auc.EXACT_ROWS:
        store.counts[LONG] = 1


@numba.njit(cache=True)
def _mark(store: Store, cell: int) -> None:
    for window in store.cell_windows[cell]:
        if window >= 0:
            store.windows[window].dirty = 1


@numba.njit(cache=True)
def _room(store: Store, plan: Plan, scopes: int) -> bool:
    """Whether one more row fits in whatever it does (the caller's `needs`)."""
    counts = store.counts
    windows = len(plan.sizes) + 1 + len(plan.rolling)
    return bool(
        counts[N_SCOPES] + scopes <= len(store.scopes)
        and counts[N_CELLS] + 2 * scopes <= len(store.cells)
        and counts[N_WINDOWS] + windows * scopes <= len(store.windows)
        and counts[N_PAIRS] + 6 * scopes <= len(store.pairs.cell)
        and counts[N_CHUNKS] + (len(plan.sizes) + 1) * scopes <= len(store.chunks)
        and counts[N_RINGS] + RING_START * len(plan.rolling) * scopes <= len(store.rings)
        and counts[N_CLASSES] + 2 <= len(store.classes)
    )


def needs(sizes: int, rolling: int, scopes: int) -> dict[str, int]:
    """The rows that one row of the log can add to each group."""
    return {
        "scopes": scopes, "cells": 2 * scopes, "windows": (sizes + 1 + rolling) * scopes, "pairs": 6 * scopes,
        "chunks": (sizes + 1) * scopes, "rings": RING_START * rolling * scopes, "classes": 2,
    }  # fmt: skip


@numba.njit(cache=True)
def _count(store: Store, cell: int, row: Any, predicted: int, positive: bool, plan: Plan) -> None:
    """What a row counts in a cell, whatever the task."""
    ints = store.cells[cell].ints
    kind = row.kind
    classed = predicted >= 0
    if kind == _PREDICTED:
        ints[PREDICTIONS] += 1
        ints[ERRORS] += row.failed
        if classed:
            ints[CLASSED] += 1
            ints[POSITIVES] += positive
            if plan.task <= MULTICLASS:
                _add_pair(store, cell, PREDICTED_AS, predicted, 1.0)
        if not np.isnan(row.score):
            ints[SCORED] += 1
            sums.add(store.cells[cell].score, 0, row.score)
        if not np.isnan(row.latency):
            store.cells[cell].latency[histogram.bin_of(row.latency * LATENCY_UNITS, LATENCY_BINS)] += 1
    elif kind == _UNLABELLED:
        ints[UNLABELLED] += 1
    elif kind == _COUNT:
        ints[row.counter] += max(row.amount, 1)
    else:
        sign = 1 if kind == _OUTCOME else -1
        ints[OUTCOMES] += sign
        if classed:
            ints[OUT_CLASSED] += sign
            ints[OUT_POSITIVES] += sign * positive
            if plan.task <= MULTICLASS:
                _add_pair(store, cell, OUTCOMES_AS, predicted, float(sign))
        if row.label_timestamp >= 0:
            delay = row.label_timestamp - row.timestamp
            store.cells[cell].delay[histogram.bin_of(float(delay), DELAY_BINS)] += sign


@numba.njit(cache=True)
def _score(
    store: Store, cell: int, row: Any, predicted: int, positive: bool, actual: int, hit: bool, plan: Plan
) -> None:
    """What an outcome adds to the task's sums of a cell, or takes back. `actual` is the label's class, `hit` whether
    it is the positive one."""
    sign = 1.0 if row.kind == _OUTCOME else -1.0
    weight, cells = row.weight, store.cells
    if plan.task == REGRESSION:
        if not (np.isnan(row.prediction) or np.isnan(row.label)):
            regression.add_outcome(cells[cell].sums, row.prediction, row.label, weight, sign)
    elif predicted >= 0 and actual >= 0:
        if plan.task == MULTICLASS:
            multiclass.add_outcome(cells[cell].sums, row.label_score, weight, sign)
            _add_pair(store, cell, actual, predicted, sign * weight)
        else:
            score = row.score
            binary.add_outcome(cells[cell].sums, positive, hit, score, weight, sign)
            if score >= 0.0 and score <= 1.0:
                entry = roc_auc.entry(score, hit)
                for window in store.cell_windows[cell]:
                    if window >= 0:
                        _add_score(store, window, entry, sign * weight)


@numba.njit(cache=True)
def _full_ring(store: Store, plan: Plan, ids: Int64Array) -> bool:
    """Whether a ring must grow before this row; which one is left in `counts`."""
    for scope in ids:
        if scope < 0:
            continue
        for ring in range(len(plan.rolling)):
            room = store.scope_rings[scope, ring, RING_ROOM]
            if room < plan.rolling[ring] and store.scope_rings[scope, ring, RING_COUNT] == room:
                store.counts[STUCK_SCOPE] = scope
                store.counts[STUCK_RING] = ring
                return True
    return False


@numba.njit(cache=True)
def _roll(store: Store, plan: Plan, scope: int, row: Any, predicted: int, actual: int) -> None:
    """Put an outcome into the scope's rings, or make a hole where it was."""
    rings = store.rings
    for ring in range(len(plan.rolling)):
        at, room, count = (
            store.scope_rings[scope, ring, RING_AT],
            store.scope_rings[scope, ring, RING_ROOM],
            store.scope_rings[scope, ring, RING_COUNT],
        )
        if row.kind == _RETRACTED:
            changed = hole(rings, at, room, count, row.refers_to, plan.join_task)
        else:
            delay = row.label_timestamp - row.timestamp if row.label_timestamp >= 0 else EVER
            place = put(rings, at, room, count, row.refers_to, plan.join_task, row.number)
            changed = place >= 0
            if changed:
                rings[place].delay = delay
                rings[place].predicted = predicted
                rings[place].actual = actual
                rings[place].prediction = row.prediction
                rings[place].label = row.label
                rings[place].score = row.score
                rings[place].label_score = row.label_score
                rings[place].weight = row.weight
                if row.refers_to < 0:
                    store.scope_rings[scope, ring, RING_COUNT] += 1
        if changed:
            store.windows[store.scope_rings[scope, ring, RING_WINDOW]].dirty = 1


@numba.njit(cache=True)
def _is_positive(plan: Plan, number: float, text: int) -> bool:
    return bool(text == plan.positive_text) if text >= 0 else bool(number == plan.positive_number)


@numba.njit(cache=True)
def fold(store: Store, rows: Any, names: Int32Array, begin: int, plan: Plan, whole_cells: Int32Array) -> int:
    """Fold rows[begin:] (of dtype ROW; names, shape (4 + segment keys, n), has the codes of version, variant,
    prediction text, label text and segments) and return the row before which room is needed, or their number.

    whole_cells, shape (n, 2), gets the pane and the cumulative cell of the whole model for PREDICTED rows, else -1.
    """
    keys = names.shape[0] - 4
    ids = np.empty(1 + keys, np.int64)
    for i in range(begin, len(rows)):
        if not _room(store, plan, 1 + keys):
            return i
        row = rows[i]
        kind = row.kind
        version, variant = names[0, i], names[1, i]
        ids[0] = _scope_of(store, plan, version, variant, -1, -1)
        for key in range(keys):
            segment = names[4 + key, i]
            ids[1 + key] = -1 if segment < 0 else _scope_of(store, plan, version, variant, key, segment)
        is_outcome = _OUTCOME <= kind <= _RETRACTED
        if kind == _OUTCOME and plan.counting and _full_ring(store, plan, ids):
            return i
        predicted, actual, positive, hit = -1, -1, False, False
        if plan.task != REGRESSION:
            predicted = _class_of(store, plan, row.prediction, names[2, i])
            positive = _is_positive(plan, row.prediction, names[2, i])
            if is_outcome:
                actual = _class_of(store, plan, row.label, names[3, i])
                hit = _is_positive(plan, row.label, names[3, i])
        timeless = row.timestamp < 0 or (kind == _COUNT and row.counter >= _EVER_ONLY) or plan.pane == 0
        for place in range(len(ids)):
            scope = ids[place]
            if scope < 0:
                continue
            pane = -1 if timeless else _pane_of(store, plan, scope, row.timestamp, place == 0)
            ever = np.int64(store.scopes[scope].ever_cell)
            if kind == _PREDICTED and plan.counting:
                if place == 0:
                    whole_cells[i, 0] = pane
                    whole_cells[i, 1] = ever
                if store.scopes[scope].first == 0 or row.timestamp < store.scopes[scope].first:
                    store.scopes[scope].first = row.timestamp
                store.scopes[scope].last = max(store.scopes[scope].last, row.timestamp)
            for cell in (pane, ever):
                if cell < 0:
                    continue
                _mark(store, cell)
                if plan.counting:
                    _count(store, cell, row, predicted, positive, plan)
                if is_outcome and plan.scoring:
                    _score(store, cell, row, predicted, positive, actual, hit, plan)
            if is_outcome and plan.counting:
                _roll(store, plan, scope, row, predicted, actual)
    return len(rows)
