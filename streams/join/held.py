"""The held state: room for what comes, what is due, garbage. The rules themselves are in kernels.py."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from streams.join.kernels import (
    EVENTS_A_MEETING,
    apply_labels,
    apply_predictions,
    due_rows,
    let_go_labels,
    let_go_predictions,
    put_back,
)
from streams.join.keys import compact_keys, compact_predictions, fill_table
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
from streams.join.room import Memory, Room
from streams.records import Int32Array, Int64Array, UInt8Array

_GARBAGE = 1 << 20
_ROWS = 1024
SEQUENTIAL = 512
"""How many rows that lie one after the other touch what one record may touch."""
_NEVER = np.iinfo(np.int64).max
_KINDS = {"predictions": PREDICTIONS, "labels": LABELS, "keys": KEYS}


class Held:
    """Predictions and labels held by key, in a `Store` whose arrays lie and grow in a `Room`."""

    def __init__(self, limit: int, room: Room | None = None) -> None:
        self._room: Room = Memory() if room is None else room
        self._events = np.empty(4 * (EVENTS_A_MEETING * limit + 1), EVENT)
        totals = np.zeros(11, np.int64)
        for kind in (PREDICTIONS, LABELS, KEYS):
            totals[kind + FREE] = NOWHERE
        self.store = Store(
            np.empty(_ROWS, PREDICTION),
            np.empty(_ROWS, LABEL),
            np.empty(_ROWS, KEY),
            np.full(2 * _ROWS, NOWHERE, np.int64),
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
        more = {"predictions": predictions, "labels": labels, "keys": predictions + labels}
        brings = sum(getattr(self.store, name).itemsize * rows for name, rows in more.items())
        moves = self._room.full(self._bytes() + brings + arena)
        self._room_in_arena(arena, moves=moves)
        for name, kind in _KINDS.items():
            rows, used = getattr(self.store, name), int(self.store.totals[kind + USED])
            if moves or used + more[name] > len(rows):
                self.store = self.store._replace(**{name: self._room.grown(name, rows, used, more[name])})
        self._room_in_table(predictions + labels)

    def _bytes(self) -> int:
        """What the store takes, untouched pages left out."""
        store = self.store
        rows = sum(getattr(store, name).itemsize * int(store.totals[kind + USED]) for name, kind in _KINDS.items())
        return int(rows) + int(store.totals[ARENA_USED]) + store.table.nbytes

    def _room_in_table(self, keys: int) -> None:
        store = self.store
        size = len(store.table)
        while 4 * (int(store.totals[KEYS + LIVE]) + keys) > 3 * size:
            size *= 2
        if size != len(store.table):
            table = self._room.fresh("table", size, np.int64, hot=True)
            table[:] = NOWHERE
            fill_table(store.table, table)
            self.store = store._replace(table=table)

    def _room_in_arena(self, more: int, *, moves: bool) -> None:
        store = self.store
        used, garbage = int(store.totals[ARENA_USED]), int(store.totals[ARENA_GARBAGE])
        if used + more <= len(store.arena) and not moves:
            return
        if garbage > _GARBAGE and 2 * garbage > used:
            arena = self._room.fresh("arena", max(2 * (used - garbage + more), 64 * _ROWS), np.uint8)
            self._compact(arena)
        else:
            arena = self._room.grown("arena", store.arena, used, more)
        self.store = store._replace(arena=arena)

    def _compact(self, arena: UInt8Array) -> None:
        """Copy all that is alive into a new arena, in the order of rows."""
        totals, at = self.store.totals, 0
        for kind, compact in ((KEYS, compact_keys), (PREDICTIONS, compact_predictions)):
            for first, stop in self.steps(int(totals[kind + USED]), SEQUENTIAL):
                at = compact(self.store, arena, at, first, stop)
        totals[ARENA_USED], totals[ARENA_GARBAGE] = at, 0

    def steps(self, rows: int, density: int = 1) -> Iterator[tuple[int, int]]:
        """Chunks of so many rows, (first, stop): memory is eased after each. `density` of them touch what one record
        may touch."""
        chunk = density * self._room.chunk
        for first in range(0, rows, chunk):
            yield first, min(first + chunk, rows)
            self.ease()

    def copies(self, rows: Records, index: Int32Array) -> Records:
        """Copies of these rows of an array of the store, which may lie anywhere in it."""
        parts = [rows_at(rows, index[first:stop]) for first, stop in self.steps(len(index))]
        return parts[0] if len(parts) == 1 else joined([rows[:0], *parts])

    def ease(self) -> None:
        """Give back memory that is only lent."""
        self._room.ease()

    def apply_predictions(
        self, new: NewPredictions, rules: Rules, watermark: int, base: int
    ) -> tuple[Records, Int32Array, Int32Array]:
        """Hold what is new of `new`, for which there must be room. Event i becomes the row numbered base + i.

        Returns (events, the row in `predictions` of each record or -1, rows of labels that met their first).
        """
        slots = np.full(len(new.offset), NOWHERE, np.int32)
        met = np.empty(self.labels, np.int32)
        at = mets = count = 0
        for _, stop in self.steps(len(new.order)):
            part = new._replace(order=new.order[:stop])
            while at < stop:
                at, mets, count = apply_predictions(
                    self.store, rules, part, at, watermark, slots, met, mets, self._events, count, base
                )
                self._room_for_events(count, done=at == stop)
        return joined([self._events[:count]]), slots, met[:mets].copy()

    def apply_labels(self, new: NewLabels, rules: Rules, watermark: int, base: int) -> tuple[Records, Int32Array]:
        """Hold `new` and let it serve what is held. Returns (events, the row in `labels` of each or -1)."""
        slots = np.full(len(new.offset), NOWHERE, np.int32)
        at = count = 0
        for _, stop in self.steps(len(new.order)):
            part = new._replace(order=new.order[:stop])
            while at < stop:
                at, count = apply_labels(self.store, rules, part, at, watermark, slots, self._events, count, base)
                self._room_for_events(count, done=at == stop)
        return joined([self._events[:count]]), slots

    def _room_for_events(self, used: int, *, done: bool) -> None:
        if not done:
            self._events = Memory().grown("events", self._events, used, len(self._events))

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
        firsts = []
        for kind, rows, word, free in (
            (PREDICTIONS, store.predictions, "status", 0),
            (LABELS, store.labels, "met", GONE),
        ):
            for start, stop in self.steps(int(store.totals[kind + USED]), SEQUENTIAL):
                index = start + np.flatnonzero(rows[word][start:stop] != free).astype(np.int32)
                firsts.append(_deadlines(index, rows, rules).min(initial=_NEVER))
        return min((int(first) for first in firsts if first < _NEVER), default=None)

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
        for first, stop in self.steps(len(predictions)):
            let_go_predictions(self.store, predictions[first:stop])
        for first, stop in self.steps(len(labels)):
            let_go_labels(self.store, labels[first:stop])

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
