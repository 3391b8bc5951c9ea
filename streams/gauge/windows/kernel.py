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
    REFUSED,
    REFUSED_CLASSES,
    RING_AT,
    RING_COUNT,
    RING_ROOM,
    RING_START,
    RING_WINDOW,
    SCORED,
    STUCK_RING,
    STUCK_SCOPE,
    UNLABELLED,
    WANTED,
    Store,
)
from streams.gauge.windows.table import KERNEL, find, find_or_add
from streams.outcomes import Counter, Kind
from streams.records import Int32Array, Int64Array

UNDECIDED, MULTICLASS, BINARY, REGRESSION = range(4)
_PREDICTED, _OUTCOME, _RETRACTED = int(Kind.PREDICTED), int(Kind.OUTCOME), int(Kind.RETRACTED)
_UNLABELLED, _COUNT = int(Kind.UNLABELLED), int(Kind.COUNT)
_EVER_ONLY = int(Counter.LATE_PREDICTIONS)  # this counter and those after it are in the cumulative windows alone


ROW = np.dtype(
    [
        *((name, np.int64) for name in ("number", "refers_to", "join_task", "timestamp", "label_timestamp", "amount")),
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
    since: Int64Array  # of each size, windows that start before this are not kept
    rolling: Int64Array
    cumulative: bool
    classes: int
    panes: int
    sealed: int  # windows that end at or before this are final


@numba.njit(**KERNEL)
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


@numba.njit(**KERNEL)
def create_cell(store: Store, scope: int, start: int) -> int:
    """A new cell's id; there must be room for it."""
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


@numba.njit(**KERNEL)
def _scope_key(version: int, variant: int, key: int, segment: int) -> tuple[int, int]:
    a = (np.int64(version) << 32) | np.int64(variant)
    b = (np.int64(key + 1) << 32) | np.int64(segment + 1)
    return int(a), int(b)


@numba.njit(**KERNEL)
def _new_scope(store: Store, plan: Plan, version: int, variant: int, key: int, segment: int) -> int:
    a, b = _scope_key(version, variant, key, segment)
    scope = find_or_add(store.tables.scopes, a, b, store.counts[N_SCOPES])
    store.counts[N_SCOPES] += 1
    scopes = store.scopes
    scopes[scope].key[0] = version
    scopes[scope].key[1] = variant
    scopes[scope].key[2] = key
    scopes[scope].key[3] = segment
    scopes[scope].pane_start = EVER
    scopes[scope].ever_cell = -1
    if plan.cumulative:
        cell = create_cell(store, scope, EVER)
        store.cell_windows[cell, 0] = _new_window(store, scope, len(plan.sizes), EVER)
        scopes[scope].ever_cell = cell
    for ring in range(len(plan.rolling)):
        room = min(RING_START, plan.rolling[ring])
        store.scope_rings[scope, ring, RING_AT] = store.counts[N_RINGS]
        store.scope_rings[scope, ring, RING_ROOM] = room
        store.counts[N_RINGS] += room
        store.scope_rings[scope, ring, RING_WINDOW] = _new_window(store, scope, len(plan.sizes) + 1 + ring, EVER)
    return int(scope)


@numba.njit(**KERNEL)
def _may_open(sizes: Int64Array, since: Int64Array, sealed: int, start: int) -> bool:
    """Whether any window of a pane is kept, and not final yet."""
    found = False
    for t in range(len(sizes)):
        begin = start - start % sizes[t]
        found |= begin + sizes[t] > sealed and begin >= since[t]
    return found


@numba.njit(**KERNEL)
def _refuses(counts: Int64Array, most: int, place: int, start: int) -> bool:
    """Whether there is no room for a new pane of the whole model (place 0), or of a segment. A pane that was refused
    stays so, and those beside it: what is taken back must have been put in."""
    at = REFUSED if place == 0 else REFUSED + 2
    room = 2 * most + counts[N_SCOPES] if place == 0 else most
    return bool(counts[N_CELLS] >= room or counts[at] <= start <= counts[at + 1])


@numba.njit(**KERNEL)
def admit(store: Store, plan: Plan, rows: Any, names: Int32Array, i: int) -> None:
    """Make the scopes and panes that row i needs and does not find. There must be room for them."""
    row = rows[i]
    timeless = row.timestamp < 0 or (row.kind == _COUNT and row.counter >= _EVER_ONLY) or plan.pane == 0
    for place in range(names.shape[0] - 3):
        segment = np.int32(-1) if place == 0 else names[3 + place, i]
        if place > 0 and segment < 0:
            continue
        a, b = _scope_key(names[0, i], names[1, i], place - 1, segment)
        scope = find(store.tables.scopes, a, b)
        if scope < 0:
            scope = _new_scope(store, plan, names[0, i], names[1, i], place - 1, segment)
        if timeless:
            continue
        start = row.timestamp - row.timestamp % plan.pane
        if find(store.tables.cells, scope, start) >= 0 or not _may_open(plan.sizes, plan.since, plan.sealed, start):
            continue
        if _refuses(store.counts, plan.panes, place, start):
            continue
        cell = create_cell(store, scope, start)
        for t in range(len(plan.sizes)):
            begin = start - start % plan.sizes[t]
            if begin + plan.sizes[t] > plan.sealed and begin >= plan.since[t]:
                store.cell_windows[cell, t] = _new_window(store, scope, t, begin)


@numba.njit(**KERNEL)
def _class_of(
    counts: Int64Array, classes: Any, table: Any, limit: int, undecided: bool, number: float, text: int
) -> int:
    """The class's code; 0 beyond the limit, -1 where there is no class."""
    bits = np.int64(0)
    if text < 0:
        if np.isnan(number) or (undecided and number != np.floor(number)):
            return -1
        bits = np.float64(number + 0.0).view(np.int64)
    found = find(table, text, bits)
    if found < 0:
        new = counts[N_CLASSES]
        if new > limit:
            counts[REFUSED_CLASSES] += 1
            return 0
        found = find_or_add(table, text, bits, new)
        counts[N_CLASSES] += 1
        classes[new].number = number + 0.0 if text < 0 else np.nan
        classes[new].text = text
    return int(found)


@numba.njit(**KERNEL)
def _add_pair(
    counts: Int64Array, cells: Any, pairs: Any, table: Any, cell: int, actual: int, predicted: int, amount: float
) -> None:
    new = counts[N_PAIRS]
    key = (np.int64(actual + 2) << 32) | np.int64(predicted)
    found = find_or_add(table, cell, key, new)
    if found == new:
        counts[N_PAIRS] += 1
        pairs[new].cell = cell
        pairs[new].actual = actual
        pairs[new].predicted = predicted
        pairs[new].next = cells[cell].pairs
        cells[cell].pairs = new
    sums.add(pairs[found].sums, 0, amount)


@numba.njit(**KERNEL)
def _add_score(counts: Int64Array, windows: Any, chunks: Any, window: int, entry: float, weight: float) -> None:
    at = windows[window].fill % CHUNK
    if at == 0:
        chunk = counts[FREE_CHUNK]
        if chunk >= 0:
            counts[FREE_CHUNK] = chunks[chunk].next
        else:
            chunk = counts[N_CHUNKS]
            counts[N_CHUNKS] += 1
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
        counts[LONG] = 1


@numba.njit(**KERNEL)
def _add_scores(
    counts: Int64Array, cell_windows: Int32Array, windows: Any, chunks: Any, cell: int, entry: float, weight: float
) -> None:
    """To every window that the cell counts in."""
    for t in range(cell_windows.shape[1]):
        window = cell_windows[cell, t]
        if window >= 0:
            _add_score(counts, windows, chunks, window, entry, weight)


@numba.njit(**KERNEL)
def _mark(cell_windows: Int32Array, windows: Any, cell: int) -> None:
    for t in range(cell_windows.shape[1]):
        if cell_windows[cell, t] >= 0:
            windows[cell_windows[cell, t]].dirty = 1


def needs(sizes: int, rolling: int, scopes: int) -> dict[str, int]:
    """The rows that one row of the log can add to each group."""
    return {
        "scopes": scopes, "cells": 2 * scopes, "windows": (sizes + 1 + rolling) * scopes, "pairs": 6 * scopes,
        "chunks": (sizes + 1) * scopes, "rings": RING_START * rolling * scopes, "classes": 2,
    }  # fmt: skip


@numba.njit(**KERNEL)
def _count(
    counts: Int64Array,
    cells: Any,
    pairs: Any,
    table: Any,
    cell: int,
    row: Any,
    predicted: int,
    positive: bool,
    by_class: bool,
) -> None:
    """What a row counts in a cell, whatever the task. `by_class`: predictions are counted by class."""
    ints = cells[cell].ints
    kind = row.kind
    classed = predicted >= 0
    if kind == _PREDICTED:
        ints[PREDICTIONS] += 1
        ints[ERRORS] += row.failed
        if classed:
            ints[CLASSED] += 1
            ints[POSITIVES] += positive
            if by_class:
                _add_pair(counts, cells, pairs, table, cell, PREDICTED_AS, predicted, 1.0)
        if not np.isnan(row.score):
            ints[SCORED] += 1
            sums.add(cells[cell].score, 0, row.score)
        if not np.isnan(row.latency):
            cells[cell].latency[histogram.bin_of(row.latency * LATENCY_UNITS, LATENCY_BINS)] += 1
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
            if by_class:
                _add_pair(counts, cells, pairs, table, cell, OUTCOMES_AS, predicted, float(sign))
        if row.label_timestamp >= 0:
            delay = row.label_timestamp - row.timestamp
            cells[cell].delay[histogram.bin_of(float(delay), DELAY_BINS)] += sign


@numba.njit(**KERNEL)
def _score(
    counts: Int64Array, cells: Any, cell_windows: Int32Array, windows: Any, chunks: Any, pairs: Any, table: Any,
    cell: int, row: Any, predicted: int, positive: bool, actual: int, hit: bool, task: int,
) -> None:  # fmt: skip
    """What an outcome adds to the task's sums of a cell, or takes back. `actual` is the label's class, `hit` whether
    it is the positive one."""
    sign = 1.0 if row.kind == _OUTCOME else -1.0
    weight = row.weight
    if task == REGRESSION:
        if not (np.isnan(row.prediction) or np.isnan(row.label)):
            regression.add_outcome(cells[cell].sums, row.prediction, row.label, weight, sign)
            distance = abs(row.prediction - row.label)
            _add_scores(counts, cell_windows, windows, chunks, cell, distance, sign * weight)
    elif predicted >= 0 and actual >= 0:
        if task == MULTICLASS:
            multiclass.add_outcome(cells[cell].sums, row.label_score, weight, sign)
            _add_pair(counts, cells, pairs, table, cell, actual, predicted, sign * weight)
        else:
            score = row.score
            binary.add_outcome(cells[cell].sums, positive, hit, score, weight, sign)
            if score >= 0.0 and score <= 1.0:
                entry = roc_auc.entry(score, hit)
                _add_scores(counts, cell_windows, windows, chunks, cell, entry, sign * weight)


@numba.njit(**KERNEL)
def _full_ring(counts: Int64Array, scope_rings: Int64Array, rolling: Int64Array, ids: Int64Array) -> bool:
    """Whether a ring must grow before this row; which one is left in `counts`."""
    for place in range(len(ids)):
        scope = ids[place]
        if scope < 0:
            continue
        for ring in range(len(rolling)):
            room = scope_rings[scope, ring, RING_ROOM]
            if room < rolling[ring] and scope_rings[scope, ring, RING_COUNT] == room:
                counts[STUCK_SCOPE] = scope
                counts[STUCK_RING] = ring
                return True
    return False


@numba.njit(**KERNEL)
def _roll(
    scope_rings: Int64Array, rings: Any, windows: Any, rolling: int,
    scope: int, row: Any, predicted: int, actual: int,
) -> None:  # fmt: skip
    """Put an outcome into the scope's rings, or make a hole where it was."""
    for ring in range(rolling):
        at, room, count = (
            scope_rings[scope, ring, RING_AT],
            scope_rings[scope, ring, RING_ROOM],
            scope_rings[scope, ring, RING_COUNT],
        )
        if row.kind == _RETRACTED:
            changed = hole(rings, at, room, count, row.refers_to, row.join_task)
        else:
            delay = row.label_timestamp - row.timestamp if row.label_timestamp >= 0 else EVER
            place = put(rings, at, room, count, row.refers_to, row.join_task, row.number)
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
                    scope_rings[scope, ring, RING_COUNT] += 1
        if changed:
            windows[scope_rings[scope, ring, RING_WINDOW]].dirty = 1


@numba.njit(**KERNEL)
def _is_positive(positive_number: float, positive_text: int, number: float, text: int) -> bool:
    return bool(text == positive_text) if text >= 0 else bool(number == positive_number)


@numba.njit(**KERNEL)
def _fold(
    store: Store, rows: Any, names: Int32Array, begin: int, plan: Plan, whole_cells: Int32Array, ids: Int64Array,
    panes: Int64Array, both: Int64Array,
) -> int:  # fmt: skip
    """See fold; ids, panes (of one place a scope) and both (two places) are scratch."""
    # Taken apart once: handing the whole store to a helper costs more (in reference counts) than what most of them do.
    counts, scopes, scope_rings, cells, cell_windows = (
        store.counts, store.scopes, store.scope_rings, store.cells, store.cell_windows
    )  # fmt: skip
    windows, pairs, chunks, rings, classes = store.windows, store.pairs, store.chunks, store.rings, store.classes
    scope_table, cell_table, pair_table = store.tables.scopes, store.tables.cells, store.tables.pairs
    class_table = store.tables.classes
    task, counting, scoring, pane = plan.task, plan.counting, plan.scoring, plan.pane
    positive_number, positive_text, rolling = plan.positive_number, plan.positive_text, plan.rolling
    limit, by_class = plan.classes, plan.task <= MULTICLASS
    window_sizes, since, sealed, most_cells = plan.sizes, plan.since, plan.sealed, plan.panes
    sizes, most = len(plan.sizes), names.shape[0] - 3
    for i in range(begin, len(rows)):
        if (  # the caller's `needs`
            counts[N_SCOPES] + most > len(scopes)
            or counts[N_CELLS] + 2 * most > len(cells)
            or counts[N_WINDOWS] + (sizes + 1 + len(rolling)) * most > len(windows)
            or counts[N_PAIRS] + 6 * most > len(pairs)
            or counts[N_CHUNKS] + (sizes + 1) * most > len(chunks)
            or counts[N_RINGS] + RING_START * len(rolling) * most > len(rings)
            or counts[N_CLASSES] + 2 > len(classes)
        ):
            return i
        row = rows[i]
        kind = row.kind
        version, variant = names[0, i], names[1, i]
        timeless = row.timestamp < 0 or (kind == _COUNT and row.counter >= _EVER_ONLY) or pane == 0
        start = EVER if timeless else row.timestamp - row.timestamp % pane
        refused = 0
        for place in range(most):
            segment = np.int32(-1) if place == 0 else names[3 + place, i]
            ids[place], panes[place] = -1, -1
            if place > 0 and segment < 0:
                continue
            a, b = _scope_key(version, variant, place - 1, segment)
            scope = find(scope_table, a, b)
            if scope >= 0 and not timeless:
                if scopes[scope].pane_start == start:
                    panes[place] = scopes[scope].pane_cell
                else:
                    panes[place] = find(cell_table, scope, start)
            ids[place] = scope
            if scope < 0 or (not timeless and panes[place] < 0 and _may_open(window_sizes, since, sealed, start)):
                if scope >= 0 and _refuses(counts, most_cells, place, start):
                    first = REFUSED if place == 0 else REFUSED + 2
                    counts[first] = min(counts[first], start)
                    counts[first + 1] = max(counts[first + 1], start)
                    refused += 1
                    continue
                counts[WANTED] = 1
                return i
        counts[OVERFLOW] += refused
        is_outcome = _OUTCOME <= kind <= _RETRACTED
        if kind == _OUTCOME and counting and _full_ring(counts, scope_rings, rolling, ids):
            return i
        predicted, actual, positive, hit = -1, -1, False, False
        if task != REGRESSION:
            undecided = task == UNDECIDED
            predicted = _class_of(counts, classes, class_table, limit, undecided, row.prediction, names[2, i])
            positive = _is_positive(positive_number, positive_text, row.prediction, names[2, i])
            if is_outcome:
                actual = _class_of(counts, classes, class_table, limit, undecided, row.label, names[3, i])
                hit = _is_positive(positive_number, positive_text, row.label, names[3, i])
        for place in range(most):
            scope = ids[place]
            if scope < 0:
                continue
            both[0], both[1] = panes[place], scopes[scope].ever_cell
            if both[0] >= 0:
                scopes[scope].pane_start = start
                scopes[scope].pane_cell = both[0]
            if kind == _PREDICTED and counting:
                if place == 0:
                    whole_cells[i, 0] = both[0]
                    whole_cells[i, 1] = both[1]
                if scopes[scope].first == 0 or row.timestamp < scopes[scope].first:
                    scopes[scope].first = row.timestamp
                scopes[scope].last = max(scopes[scope].last, row.timestamp)
            for k in range(2):
                cell = both[k]
                if cell < 0:
                    continue
                _mark(cell_windows, windows, cell)
                if counting:
                    _count(counts, cells, pairs, pair_table, cell, row, predicted, positive, by_class)
                if is_outcome and scoring:
                    _score(
                        counts, cells, cell_windows, windows, chunks, pairs, pair_table,
                        cell, row, predicted, positive, actual, hit, task,
                    )  # fmt: skip
            if is_outcome and counting:
                _roll(scope_rings, rings, windows, len(rolling), scope, row, predicted, actual)
    return len(rows)


def fold(store: Store, rows: Any, names: Int32Array, begin: int, plan: Plan, whole_cells: Int32Array) -> int:
    """Fold rows[begin:] (of dtype ROW; names, shape (4 + segment keys, n), has the codes of version, variant,
    prediction text, label text and segments) and return their number, or the row before which
    room is needed or (counts[WANTED]) its scopes and panes must be made by `admit`.

    whole_cells, shape (n, 2), gets the pane and the cumulative cell of the whole model for PREDICTED rows, else -1.
    """
    scopes = names.shape[0] - 3
    scratch = np.empty(scopes, np.int64), np.empty(scopes, np.int64), np.empty(2, np.int64)
    return int(_fold(store, rows, names, begin, plan, whole_cells, *scratch))
