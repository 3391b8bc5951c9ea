"""What a window is made of, merged: the sums of its cells, or of the outcomes in its ring."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from metrics import binary, histogram, multiclass, regression, roc_auc, sums
from streams.gauge.windows.kernel import BINARY, MULTICLASS, REGRESSION, Plan
from streams.gauge.windows.store import (
    CHUNK,
    CLASSED,
    DELAY_BINS,
    EVER,
    INTS,
    LATENCY_BINS,
    OUT_CLASSED,
    OUT_POSITIVES,
    OUTCOMES,
    POSITIVES,
    PREDICTIONS,
    RING_AT,
    RING_COUNT,
    RING_ROOM,
    SUMS,
    Store,
)
from streams.gauge.windows.table import find
from streams.records import Float64Array, Int64Array


class Merged(NamedTuple):
    """A window's sums. `pairs` are (actual, predicted) classes with their weights, an entry as often as it came."""

    ints: Int64Array
    score: Float64Array
    sums: Float64Array
    delay: Int64Array
    latency: Int64Array
    pairs: Int64Array  # (n, 2)
    pair_weights: Float64Array


@numba.njit(cache=True)
def pane_cells(store: Store, scope: int, start: int, stop: int, pane: int) -> Int64Array:
    """The cells of the scope's panes in [start, stop), in order of time."""
    found = np.empty((stop - start) // pane, np.int64)
    made = 0
    for begin in range(start, stop, pane):
        cell = find(store.tables.cells, scope, begin)
        if cell >= 0:
            found[made] = cell
            made += 1
    return found[:made]


@numba.njit(cache=True)
def merge_cells(store: Store, cells: Int64Array) -> Merged:
    """The sums of the cells together, in their order."""
    ints, score, own = np.zeros(INTS, np.int64), np.zeros((1, 2)), np.zeros((SUMS, 2))
    delay, latency = np.zeros(DELAY_BINS, np.int64), np.zeros(LATENCY_BINS, np.int64)
    length = 0
    for cell in cells:
        ints += store.cells[cell].ints
        sums.merge(score, store.cells[cell].score)
        sums.merge(own, store.cells[cell].sums)
        delay += store.cells[cell].delay
        latency += store.cells[cell].latency
        pair = store.cells[cell].pairs
        while pair >= 0:
            length += 1
            pair = store.pairs[pair].next
    pairs, weights = np.empty((length, 2), np.int64), np.empty(length)
    at = 0
    for cell in cells:
        pair = store.cells[cell].pairs
        while pair >= 0:
            pairs[at, 0] = store.pairs[pair].actual
            pairs[at, 1] = store.pairs[pair].predicted
            weights[at] = sums.value(store.pairs[pair].sums, 0)
            at += 1
            pair = store.pairs[pair].next
    return Merged(ints, score, own, delay, latency, pairs, weights)


@numba.njit(cache=True)
def merge_ring(store: Store, plan: Plan, scope: int, ring: int) -> tuple[Merged, Float64Array, Float64Array]:
    """The sums of the outcomes in a ring, oldest first; also their scores as roc_auc's entries and weights.

    What was rolled out is no prediction of the window: its predictions are its outcomes."""
    ints, own, delay = np.zeros(INTS, np.int64), np.zeros((SUMS, 2)), np.zeros(DELAY_BINS, np.int64)
    room, count = store.scope_rings[scope, ring, RING_ROOM], store.scope_rings[scope, ring, RING_COUNT]
    base, held = store.scope_rings[scope, ring, RING_AT], min(room, count)
    pairs, weights = np.empty((held, 2), np.int64), np.empty(held)
    entries, entry_weights = np.empty(held), np.empty(held)
    made, scored = 0, 0
    for k in range(count - held, count):
        at = base + k % room
        if store.rings[at].held & 1 == 0:
            continue
        predicted, actual = store.rings[at].predicted, store.rings[at].actual
        prediction, label = store.rings[at].prediction, store.rings[at].label
        score, weight = store.rings[at].score, store.rings[at].weight
        ints[OUTCOMES] += 1
        if store.rings[at].delay != EVER:
            delay[histogram.bin_of(float(store.rings[at].delay), DELAY_BINS)] += 1
        if plan.task == REGRESSION:
            if not (np.isnan(prediction) or np.isnan(label)):
                regression.add_outcome(own, prediction, label, weight, 1.0)
                entries[scored], entry_weights[scored] = abs(prediction - label), weight
                scored += 1
        elif predicted >= 0 and actual >= 0:
            if plan.task == MULTICLASS:
                multiclass.add_outcome(own, store.rings[at].label_score, weight, 1.0)
                pairs[made, 0], pairs[made, 1], weights[made] = actual, predicted, weight
                made += 1
            elif plan.task == BINARY:
                positive = _positive(store, plan, predicted, prediction)
                hit = _positive(store, plan, actual, label)
                ints[OUT_CLASSED] += 1
                ints[OUT_POSITIVES] += positive
                binary.add_outcome(own, positive, hit, score, weight, 1.0)
                if score >= 0.0 and score <= 1.0:
                    entries[scored], entry_weights[scored] = roc_auc.entry(score, hit), weight
                    scored += 1
    ints[PREDICTIONS] = ints[OUTCOMES]
    ints[CLASSED], ints[POSITIVES] = ints[OUT_CLASSED], ints[OUT_POSITIVES]
    none = np.zeros(LATENCY_BINS, np.int64)
    merged = Merged(ints, np.zeros((1, 2)), own, delay, none, pairs[:made].copy(), weights[:made].copy())
    return merged, entries[:scored].copy(), entry_weights[:scored].copy()


@numba.njit(cache=True)
def _positive(store: Store, plan: Plan, code: int, number: float) -> bool:
    if np.isnan(number):
        return bool(store.classes[code].text == plan.positive_text)
    return bool(number == plan.positive_number)


@numba.njit(cache=True)
def scores_of(store: Store, window: int, count: int) -> tuple[Float64Array, Float64Array]:
    """The first `count` scores of a window's chain, as roc_auc's entries and their signed weights."""
    entries, weights = np.empty(count), np.empty(count)
    chunk = store.windows[window].head
    for i in range(count):
        at = i % CHUNK
        if i > 0 and at == 0:
            chunk = store.chunks[chunk].next
        entries[i] = store.chunks[chunk].entries[at]
        weights[i] = store.chunks[chunk].weights[at]
    return entries, weights


@numba.njit(cache=True)
def drop_scores(store: Store, window: int, free_place: int) -> None:
    """Free the chunks of the first EXACT_ROWS scores, of which there must be more."""
    windows, chunks = store.windows, store.chunks
    for _ in range(roc_auc.EXACT_ROWS // CHUNK):
        chunk = windows[window].head
        windows[window].head = chunks[chunk].next
        chunks[chunk].next = store.counts[free_place]
        store.counts[free_place] = chunk
    windows[window].fill -= roc_auc.EXACT_ROWS
