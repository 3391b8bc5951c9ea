"""The held state: room for what comes, what is due, garbage. The rules themselves are in kernels.py."""

from __future__ import annotations

from mmap import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.join.kernels import (
    EVENTS_A_MEETING,
    apply_labels,
    apply_predictions,
    due_rows,
    let_go_labels,
    let_go_predictions,
    put_back,
)
from streams.join.keys import compact, fill_table
from streams.join.layout import (
    ARENA_GARBAGE,
    ARENA_USED,
    EVENT,
    FREE,
    GONE,
    KEY,
    KEYS,
    LABEL,
    LABELS,
    LIVE,
    NOWHERE,
    PREDICTION,
    PREDICTIONS,
    USED,
    NewLabels,
    NewPredictions,
    Records,
    Rules,
    Store,
    joined,
    rows_at,
)
from streams.join.profiles import WHEEL
from streams.records import Int32Array, Int64Array, UInt8Array

_GARBAGE = 1 << 20
_ROWS = 1024
_MAPPED = 1 << 20


class Held:
    """Predictions and labels held by key, in a `Store` that grows by doubling (untouched pages cost no memory)."""

    def __init__(self, limit: int) -> None:
        self._events = np.empty(4 * (EVENTS_A_MEETING * limit + 1), EVENT)
        totals = np.zeros(11, np.int64)
        for kind in (PREDICTIONS, LABELS, KEYS):
            totals[kind + FREE] = NOWHERE
        self.store = Store(
            np.empty(_ROWS, PREDICTION),
            np.empty(_ROWS, LABEL),
            np.empty(_ROWS, KEY),
            np.full(2 * _ROWS, NOWHERE, np.int32),
            np.empty(64 * _ROWS, np.uint8),
            np.full(WHEEL, NOWHERE, np.int32),
            np.full(WHEEL, NOWHERE, np.int32),
            totals,
        )

    @property
    def predictions(self) -> int:
        """Predictions held now."""
        return int(self.store.totals[PREDICTIONS + LIVE])

    @property
    def labels(self) -> int:
        """Labels held now."""
        return int(self.store.totals[LABELS + LIVE])

    def make_room(self, predictions: int, labels: int, arena: int) -> None:
        """Room for so many more records (each may bring a key) and bytes in the arena."""
        store = self.store
        totals = store.totals
        self._room_in_arena(arena)
        store = self.store._replace(
            predictions=_grown(store.predictions, int(totals[PREDICTIONS + USED]), predictions),
            labels=_grown(store.labels, int(totals[LABELS + USED]), labels),
            keys=_grown(store.keys, int(totals[KEYS + USED]), predictions + labels),
        )
        size = len(store.table)
        while 4 * (int(totals[KEYS + LIVE]) + predictions + labels) > 3 * size:
            size *= 2
        if size != len(store.table):
            table = room_for(size, np.int32)
            table[:] = NOWHERE
            fill_table(table, store)
            store = store._replace(table=table)
        self.store = store

    def _room_in_arena(self, more: int) -> None:
        store = self.store
        used, garbage = int(store.totals[ARENA_USED]), int(store.totals[ARENA_GARBAGE])
        if used + more <= len(store.arena):
            return
        if garbage > _GARBAGE and 2 * garbage > used:
            arena = room_for(max(2 * (used - garbage + more), 64 * _ROWS), np.uint8)
            compact(store, arena)
        else:
            arena = room_for(2 * (used + more), np.uint8)
            arena[:used] = store.arena[:used]
        self.store = store._replace(arena=arena)

    def apply_predictions(
        self, new: NewPredictions, rules: Rules, watermark: int, base: int
    ) -> tuple[Records, Int32Array, Int32Array]:
        """Hold what is new of `new`, for which there must be room. Event i becomes the row numbered base + i.

        Returns (events, the row in `predictions` of each record or -1, rows of labels that met their first).
        """
        slots = np.full(len(new.offset), NOWHERE, np.int32)
        met = np.empty(self.labels, np.int32)
        at = mets = count = 0
        while True:
            at, mets, count = apply_predictions(
                self.store, rules, new, at, watermark, slots, met, mets, self._events, count, base
            )
            if at == len(new.order):
                return joined([self._events[:count]]), slots, met[:mets].copy()
            self._events = _grown(self._events, count, len(self._events))

    def apply_labels(self, new: NewLabels, rules: Rules, watermark: int, base: int) -> tuple[Records, Int32Array]:
        """Hold `new` and let it serve what is held. Returns (events, the row in `labels` of each or -1)."""
        slots = np.full(len(new.offset), NOWHERE, np.int32)
        at = count = 0
        while True:
            at, count = apply_labels(self.store, rules, new, at, watermark, slots, self._events, count, base)
            if at == len(new.order):
                return joined([self._events[:count]]), slots
            self._events = _grown(self._events, count, len(self._events))

    def due(
        self, rules: Rules, since: int, watermark: int, most: int | None = None
    ) -> tuple[Int32Array, Int32Array, int]:
        """Rows of predictions and labels whose deadline the watermark has passed, coming from `since` (no deadline is
        before it), taken out of the wheels; in the order of deadline, then offset. They stay readable until `let_go`.

        Where there are more than `most` of either, the first of them, and the watermark at which those are all that
        is due; else `watermark`. What shares its deadline is never parted."""
        predictions, reached = self._taken(PREDICTIONS, rules, since, watermark, most)
        labels, reached = self._taken(LABELS, rules, since, reached, most)
        predictions = self._until(PREDICTIONS, rules, predictions, reached)
        store = self.store
        return _in_order(predictions, store.predictions, rules), _in_order(labels, store.labels, rules), reached

    def earliest(self, rules: Rules) -> int | None:
        """The first deadline of all that is held; None where nothing is."""
        store = self.store
        predictions = np.flatnonzero(store.predictions["status"][: store.totals[PREDICTIONS + USED]]).astype(np.int32)
        labels = np.flatnonzero(store.labels["met"][: store.totals[LABELS + USED]] != GONE).astype(np.int32)
        found = [
            _deadlines(index, rows, rules)
            for index, rows in ((predictions, store.predictions), (labels, store.labels))
            if len(index)
        ]
        return min((int(each.min()) for each in found), default=None)

    def _wheel(self, kind: int) -> tuple[Int32Array, Records]:
        store = self.store
        if kind == PREDICTIONS:
            return store.prediction_wheel, store.predictions
        return store.label_wheel, store.labels

    def _taken(self, kind: int, rules: Rules, since: int, watermark: int, most: int | None) -> tuple[Int32Array, int]:
        wheel, rows = self._wheel(kind)
        limit = len(rows) + 1 if most is None else most
        due, reached = due_rows(wheel, rows, rules, since, watermark, False, limit)
        if reached < watermark and len(due) < limit:  # after a lap of the wheel
            later, reached = due_rows(wheel, rows, rules, watermark, watermark, True, limit)
            due = np.concatenate([due, later])
        if len(due) > limit:
            reached = min(reached, int(np.partition(_deadlines(due, rows, rules), limit - 1)[limit - 1]) + 1)
        return self._until(kind, rules, due, reached), reached

    def _until(self, kind: int, rules: Rules, due: Int32Array, reached: int) -> Int32Array:
        """Those whose deadline is before `reached`; the others go back."""
        wheel, rows = self._wheel(kind)
        now = _deadlines(due, rows, rules) < reached
        if now.all():
            return due
        put_back(wheel, rows, rules, due[~now])
        kept: Int32Array = due[now]
        return kept

    def let_go(self, predictions: Int32Array, labels: Int32Array) -> None:
        """Give the rows that `due` named back."""
        let_go_predictions(self.store, predictions)
        let_go_labels(self.store, labels)

    def key_of(self, row: int) -> bytes:
        """The text of a key, for tests and tools."""
        begin = int(self.store.keys[row]["start"])
        arena: UInt8Array = self.store.arena
        return arena[begin + 2 : begin + 2 + int(arena[begin]) + 256 * int(arena[begin + 1])].tobytes()


def _deadlines(due: Int32Array, rows: Records, rules: Rules) -> Int64Array:
    found: Int64Array = rows["timestamp"][due] + rules.hold[rows["profile"][due]]
    return found


def _in_order(due: Int32Array, rows: Records, rules: Rules) -> Int32Array:
    found = rows_at(rows, due)
    ordered: Int32Array = due[np.lexsort((found["offset"], found["timestamp"] + rules.hold[found["profile"]]))]
    return ordered


def room_for(rows: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array with anything in it. Large ones are mappings of their own, whose untouched pages cost no memory, and
    which go back whole; the allocator would keep them as holes."""
    size = rows * np.dtype(dtype).itemsize
    if size < _MAPPED:
        return np.empty(rows, dtype)
    return np.frombuffer(mmap(-1, size), dtype)


def _grown(rows: Records, used: int, more: int) -> Records:
    if used + more <= len(rows):
        return rows
    grown = room_for(2 * (used + more), rows.dtype)
    whole = f"V{rows.itemsize}"
    grown.view(whole)[:used] = rows.view(whole)[:used]
    return grown
