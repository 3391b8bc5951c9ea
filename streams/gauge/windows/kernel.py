"""The hot path: one pass of compiled code over a model's rows, into every scope they belong to.

Order of the rows is all that counts: a row is finished before the next begins, and where there is no room left for
another row the pass stops, the caller makes room (store.py), and it goes on at that row.
"""

from __future__ import annotations

from typing import NamedTuple

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
    N_RING,
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
    RING_START,
    SCORED,
    STUCK_RING,
    STUCK_SCOPE,
    UNLABELLED,
    Store,
)
from streams.gauge.windows.table import find, find_or_add
from streams.outcomes import Counter, Kind
from streams.records import Float64Array, Int32Array, Int64Array, UInt8Array

UNDECIDED, MULTICLASS, BINARY, REGRESSION = range(4)
_PREDICTED, _OUTCOME, _RETRACTED = int(Kind.PREDICTED), int(Kind.OUTCOME), int(Kind.RETRACTED)
_UNLABELLED, _COUNT = int(Kind.UNLABELLED), int(Kind.COUNT)
_EVER_ONLY = int(Counter.LATE_PREDICTIONS)  # this counter and those after it are in the cumulative windows alone


class Columns(NamedTuple):
    """The columns of Rows that windows need; texts and names already as the model's own codes."""

    kind: UInt8Array
    counter: UInt8Array
    failed: UInt8Array
    number: Int64Array
    refers_to: Int64Array
    timestamp: Int64Array
    label_timestamp: Int64Array
    amount: Int64Array
    prediction: Float64Array
    label: Float64Array
    score: Float64Array  # of the positive class
    label_score: Float64Array  # the probability a score map gave to the label; NaN where there was no map
    weight: Float64Array
    latency: Float64Array
    names: Int32Array  # (4 + segment keys, n): version, variant, prediction text, label text, segments


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
        windows.scope[new] = scope
        windows.kind[new] = kind
        windows.start[new] = start
        windows.alive[new] = 1
        windows.state[new] = -1
        windows.head[new] = -1
        windows.tail[new] = -1
    return int(found)


@numba.njit(cache=True)
def _new_cell(store: Store, scope: int, start: int) -> int:
    cell = store.counts[N_CELLS]
    store.counts[N_CELLS] += 1
    find_or_add(store.tables.cells, scope, start, cell)
    cells = store.cells
    cells.scope[cell] = scope
    cells.start[cell] = start
    cells.alive[cell] = 1
    cells.windows[cell] = -1
    cells.pairs[cell] = -1
    cells.block[cell] = -1
    return int(cell)


@numba.njit(cache=True)
def _new_scope(store: Store, plan: Plan, scope: int, version: int, variant: int, key: int, segment: int) -> None:
    store.counts[N_SCOPES] += 1
    scopes = store.scopes
    scopes.key[scope, 0] = version
    scopes.key[scope, 1] = variant
    scopes.key[scope, 2] = key
    scopes.key[scope, 3] = segment
    scopes.pane_start[scope] = EVER
    scopes.ever_cell[scope] = -1
    if plan.cumulative:
        cell = _new_cell(store, scope, EVER)
        store.cells.windows[cell, 0] = _new_window(store, scope, len(plan.sizes), EVER)
        scopes.ever_cell[scope] = cell
    for ring in range(len(plan.rolling)):
        room = min(RING_START, plan.rolling[ring])
        scopes.ring_at[scope, ring] = store.counts[N_RING]
        scopes.ring_room[scope, ring] = room
        store.counts[N_RING] += room
        scopes.ring_window[scope, ring] = _new_window(store, scope, len(plan.sizes) + 1 + ring, EVER)


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
    if scopes.pane_start[scope] == start:
        return int(scopes.pane_cell[scope])
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
                store.cells.windows[cell, t] = _new_window(store, scope, t, begin)
    scopes.pane_start[scope] = start
    scopes.pane_cell[scope] = cell
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
        store.classes.number[new] = number + 0.0 if text < 0 else np.nan
        store.classes.text[new] = text
    return int(found)


@numba.njit(cache=True)
def _add_pair(store: Store, cell: int, actual: int, predicted: int, amount: float) -> None:
    new = store.counts[N_PAIRS]
    key = (np.int64(actual + 2) << 32) | np.int64(predicted)
    found = find_or_add(store.tables.pairs, cell, key, new)
    pairs = store.pairs
    if found == new:
        store.counts[N_PAIRS] += 1
        pairs.cell[new] = cell
        pairs.actual[new] = actual
        pairs.predicted[new] = predicted
        pairs.next[new] = store.cells.pairs[cell]
        store.cells.pairs[cell] = new
    sums.add(pairs.sums[found], 0, amount)


@numba.njit(cache=True)
def _add_score(store: Store, window: int, entry: float, weight: float) -> None:
    windows, chunks = store.windows, store.chunks
    at = windows.fill[window] % CHUNK
    if at == 0:
        chunk = store.counts[FREE_CHUNK]
        if chunk >= 0:
            store.counts[FREE_CHUNK] = chunks.next[chunk]
        else:
            chunk = store.counts[N_CHUNKS]
            store.counts[N_CHUNKS] += 1
        chunks.next[chunk] = -1
        if windows.tail[window] >= 0:
            chunks.next[windows.tail[window]] = chunk
        else:
            windows.head[window] = chunk
        windows.tail[window] = chunk
    chunk = windows.tail[window]
    chunks.entries[chunk, at] = entry
    chunks.weights[chunk, at] = weight
    windows.fill[window] += 1
    if windows.fill[window] > roc_auc.EXACT_ROWS:
        store.counts[LONG] = 1


@numba.njit(cache=True)
def _mark(store: Store, cell: int) -> None:
    for window in store.cells.windows[cell]:
        if window >= 0:
            store.windows.dirty[window] = 1


@numba.njit(cache=True)
def _room(store: Store, plan: Plan, scopes: int) -> bool:
    """Whether one more row fits in whatever it does (the caller's `needs`)."""
    counts = store.counts
    windows = len(plan.sizes) + 1 + len(plan.rolling)
    return bool(
        counts[N_SCOPES] + scopes <= len(store.scopes.pane_start)
        and counts[N_CELLS] + 2 * scopes <= len(store.cells.scope)
        and counts[N_WINDOWS] + windows * scopes <= len(store.windows.scope)
        and counts[N_PAIRS] + 6 * scopes <= len(store.pairs.cell)
        and counts[N_CHUNKS] + (len(plan.sizes) + 1) * scopes <= len(store.chunks.next)
        and counts[N_RING] + RING_START * len(plan.rolling) * scopes <= len(store.rings.ints)
        and counts[N_CLASSES] + 2 <= len(store.classes.text)
    )


def needs(sizes: int, rolling: int, scopes: int) -> dict[str, int]:
    """The rows that one row of the log can add to each group."""
    return {
        "scopes": scopes, "cells": 2 * scopes, "windows": (sizes + 1 + rolling) * scopes, "pairs": 6 * scopes,
        "chunks": (sizes + 1) * scopes, "rings": RING_START * rolling * scopes, "classes": 2,
    }  # fmt: skip


@numba.njit(cache=True)
def _count(store: Store, cell: int, rows: Columns, i: int, predicted: int, positive: bool, plan: Plan) -> None:
    """What a row counts in a cell, whatever the task."""
    ints = store.cells.ints[cell]
    kind = rows.kind[i]
    classed = predicted >= 0
    if kind == _PREDICTED:
        ints[PREDICTIONS] += 1
        ints[ERRORS] += rows.failed[i]
        if classed:
            ints[CLASSED] += 1
            ints[POSITIVES] += positive
            if plan.task <= MULTICLASS:
                _add_pair(store, cell, PREDICTED_AS, predicted, 1.0)
        if not np.isnan(rows.score[i]):
            ints[SCORED] += 1
            sums.add(store.cells.score[cell], 0, rows.score[i])
        if not np.isnan(rows.latency[i]):
            store.cells.latency[cell, histogram.bin_of(rows.latency[i] * LATENCY_UNITS, LATENCY_BINS)] += 1
    elif kind == _UNLABELLED:
        ints[UNLABELLED] += 1
    elif kind == _COUNT:
        ints[rows.counter[i]] += max(rows.amount[i], 1)
    else:
        sign = 1 if kind == _OUTCOME else -1
        ints[OUTCOMES] += sign
        if classed:
            ints[OUT_CLASSED] += sign
            ints[OUT_POSITIVES] += sign * positive
            if plan.task <= MULTICLASS:
                _add_pair(store, cell, OUTCOMES_AS, predicted, float(sign))
        if rows.label_timestamp[i] >= 0:
            delay = rows.label_timestamp[i] - rows.timestamp[i]
            store.cells.delay[cell, histogram.bin_of(float(delay), DELAY_BINS)] += sign


@numba.njit(cache=True)
def _score(
    store: Store, cell: int, rows: Columns, i: int, predicted: int, positive: bool, actual: int, hit: bool, plan: Plan
) -> None:
    """What an outcome adds to the task's sums of a cell, or takes back. `actual` is the label's class, `hit` whether
    it is the positive one."""
    sign = 1.0 if rows.kind[i] == _OUTCOME else -1.0
    weight, cells = rows.weight[i], store.cells
    if plan.task == REGRESSION:
        if not (np.isnan(rows.prediction[i]) or np.isnan(rows.label[i])):
            regression.add_outcome(cells.sums[cell], rows.prediction[i], rows.label[i], weight, sign)
    elif predicted >= 0 and actual >= 0:
        if plan.task == MULTICLASS:
            multiclass.add_outcome(cells.sums[cell], rows.label_score[i], weight, sign)
            _add_pair(store, cell, actual, predicted, sign * weight)
        else:
            score = rows.score[i]
            binary.add_outcome(cells.sums[cell], positive, hit, score, weight, sign)
            if score >= 0.0 and score <= 1.0:
                entry = roc_auc.entry(score, hit)
                for window in cells.windows[cell]:
                    if window >= 0:
                        _add_score(store, window, entry, sign * weight)


@numba.njit(cache=True)
def _full_ring(store: Store, plan: Plan, ids: Int64Array) -> bool:
    """Whether a ring must grow before this row; which one is left in `counts`."""
    scopes = store.scopes
    for scope in ids:
        if scope < 0:
            continue
        for ring in range(len(plan.rolling)):
            room = scopes.ring_room[scope, ring]
            if room < plan.rolling[ring] and scopes.ring_count[scope, ring] == room:
                store.counts[STUCK_SCOPE] = scope
                store.counts[STUCK_RING] = ring
                return True
    return False


@numba.njit(cache=True)
def _roll(store: Store, plan: Plan, scope: int, rows: Columns, i: int, predicted: int, actual: int) -> None:
    """Put an outcome into the scope's rings, or make a hole where it was."""
    scopes, rings = store.scopes, store.rings
    for ring in range(len(plan.rolling)):
        at, room, count = scopes.ring_at[scope, ring], scopes.ring_room[scope, ring], scopes.ring_count[scope, ring]
        if rows.kind[i] == _RETRACTED:
            changed = hole(rings, at, room, count, rows.refers_to[i], plan.join_task)
        else:
            delay = rows.label_timestamp[i] - rows.timestamp[i] if rows.label_timestamp[i] >= 0 else EVER
            place = put(rings, at, room, count, rows.refers_to[i], plan.join_task, rows.number[i])
            changed = place >= 0
            if changed:
                rings.ints[place, 2] = delay
                rings.ints[place, 3] = predicted
                rings.ints[place, 4] = actual
                rings.floats[place, 0] = rows.prediction[i]
                rings.floats[place, 1] = rows.label[i]
                rings.floats[place, 2] = rows.score[i]
                rings.floats[place, 3] = rows.label_score[i]
                rings.floats[place, 4] = rows.weight[i]
                if rows.refers_to[i] < 0:
                    scopes.ring_count[scope, ring] += 1
        if changed:
            store.windows.dirty[scopes.ring_window[scope, ring]] = 1


@numba.njit(cache=True)
def _is_positive(plan: Plan, number: float, text: int) -> bool:
    return bool(text == plan.positive_text) if text >= 0 else bool(number == plan.positive_number)


@numba.njit(cache=True)
def fold(store: Store, rows: Columns, begin: int, plan: Plan, whole_cells: Int32Array) -> int:
    """Fold rows[begin:] and return the row before which room is needed, or their number.

    whole_cells, shape (n, 2), gets the pane and the cumulative cell of the whole model for PREDICTED rows, else -1.
    """
    keys = rows.names.shape[0] - 4
    ids = np.empty(1 + keys, np.int64)
    for i in range(begin, len(rows.kind)):
        if not _room(store, plan, 1 + keys):
            return i
        kind = rows.kind[i]
        version, variant = rows.names[0, i], rows.names[1, i]
        ids[0] = _scope_of(store, plan, version, variant, -1, -1)
        for key in range(keys):
            segment = rows.names[4 + key, i]
            ids[1 + key] = -1 if segment < 0 else _scope_of(store, plan, version, variant, key, segment)
        is_outcome = _OUTCOME <= kind <= _RETRACTED
        if kind == _OUTCOME and plan.counting and _full_ring(store, plan, ids):
            return i
        predicted, actual, positive, hit = -1, -1, False, False
        if plan.task != REGRESSION:
            predicted = _class_of(store, plan, rows.prediction[i], rows.names[2, i])
            positive = _is_positive(plan, rows.prediction[i], rows.names[2, i])
            if is_outcome:
                actual = _class_of(store, plan, rows.label[i], rows.names[3, i])
                hit = _is_positive(plan, rows.label[i], rows.names[3, i])
        timeless = rows.timestamp[i] < 0 or (kind == _COUNT and rows.counter[i] >= _EVER_ONLY) or plan.pane == 0
        for place in range(len(ids)):
            scope = ids[place]
            if scope < 0:
                continue
            pane = -1 if timeless else _pane_of(store, plan, scope, rows.timestamp[i], place == 0)
            ever = np.int64(store.scopes.ever_cell[scope])
            if kind == _PREDICTED and plan.counting:
                if place == 0:
                    whole_cells[i, 0] = pane
                    whole_cells[i, 1] = ever
                if store.scopes.first[scope] == 0 or rows.timestamp[i] < store.scopes.first[scope]:
                    store.scopes.first[scope] = rows.timestamp[i]
                store.scopes.last[scope] = max(store.scopes.last[scope], rows.timestamp[i])
            for cell in (pane, ever):
                if cell < 0:
                    continue
                _mark(store, cell)
                if plan.counting:
                    _count(store, cell, rows, i, predicted, positive, plan)
                if is_outcome and plan.scoring:
                    _score(store, cell, rows, i, predicted, positive, actual, hit, plan)
            if is_outcome and plan.counting:
                _roll(store, plan, scope, rows, i, predicted, actual)
    return len(rows.kind)
