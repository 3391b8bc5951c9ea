"""A store under other window sizes: the windows that are still configured go on, the others go, new ones start.

A new tumbling size begins with the first of its windows that holds no pane met before: of those the store knows sums,
but not which of their rows a window of that size would have had. A new rolling window begins empty.
"""

from __future__ import annotations

import numpy as np

from streams.gauge.windows.settings import WindowSettings
from streams.gauge.windows.store import (
    EVER,
    N_CELLS,
    N_RINGS,
    N_SCOPES,
    N_WINDOWS,
    RING_AT,
    RING_ROOM,
    RING_START,
    RING_WINDOW,
    Store,
    with_room,
    with_tables,
)
from streams.records import Int64Array


def kinds_of(settings: WindowSettings) -> dict[tuple[str, int], int]:
    """The number of each kind of window (store.WINDOW.kind)."""
    rolling = len(settings.tumbling) + 1
    found = {("tumbling", size): i for i, size in enumerate(settings.tumbling)}
    if settings.cumulative:
        found["cumulative", 0] = len(settings.tumbling)
    return found | {("rolling", size): rolling + i for i, size in enumerate(settings.rolling)}


def begin_of_new(store: Store, before: WindowSettings, pane: int, since: Int64Array, now: WindowSettings) -> Int64Array:
    """From which start on windows of each tumbling size of `now` are kept: as before, else after every pane and every
    prediction so far."""
    starts = store.cells["start"][: int(store.counts[N_CELLS])]
    last = store.scopes["last"][: int(store.counts[N_SCOPES])]
    after = max(int(starts.max(initial=EVER)) + pane, int(last.max(initial=EVER)) + 1)
    old = dict(zip(before.tumbling, since.tolist(), strict=True))
    return np.array([old.get(size, after) for size in now.tumbling], np.int64)


def with_other_sizes(store: Store, before: WindowSettings, now: WindowSettings, revision: int) -> Store:
    """The store, from which windows of sizes that are gone have been dropped, with the sizes of `now`. New rolling
    windows count their revisions from `revision` on. `now` has cumulative windows only if `before` had."""
    old, new = kinds_of(before), kinds_of(now)
    renumbered = np.full(len(before.tumbling) + 1 + len(before.rolling), -1, np.int32)
    for kind, number in old.items():
        renumbered[number] = new.get(kind, -1)
    used = int(store.counts[N_WINDOWS])
    store.windows["kind"][:used] = renumbered[store.windows["kind"][:used]]

    cell_windows = np.full((len(store.cells), max(len(now.tumbling), 1)), -1, np.int32)
    ever = store.cells["start"] == EVER
    for i, size in enumerate(now.tumbling):
        if ("tumbling", size) in old:
            cell_windows[~ever, i] = store.cell_windows[~ever, old["tumbling", size]]
    cell_windows[ever, 0] = store.cell_windows[ever, 0]

    scopes = int(store.counts[N_SCOPES])
    rings = np.zeros((len(store.scopes), len(now.rolling), store.scope_rings.shape[2]), np.int64)
    added = [size for size in now.rolling if ("rolling", size) not in old]
    room = {"windows": len(added) * scopes, "rings": RING_START * len(added) * scopes}
    store = with_room(store._replace(cell_windows=cell_windows), room)
    first = len(before.tumbling) + 1
    for i, size in enumerate(now.rolling):
        if ("rolling", size) in old:
            rings[:, i] = store.scope_rings[:, old["rolling", size] - first]
        else:
            for scope in range(scopes):
                _new_ring(store, rings, scope, i, size, new["rolling", size], revision)
    return with_tables(store._replace(scope_rings=rings))


def _new_ring(store: Store, rings: Int64Array, scope: int, ring: int, size: int, kind: int, revision: int) -> None:
    """As kernel._new_scope makes it."""
    window, room = int(store.counts[N_WINDOWS]), min(RING_START, size)
    row = store.windows[window]
    row["scope"], row["kind"], row["start"], row["alive"] = scope, kind, EVER, 1
    row["state"], row["head"], row["tail"], row["revision"] = -1, -1, -1, revision
    rings[scope, ring, RING_AT], rings[scope, ring, RING_ROOM] = store.counts[N_RINGS], room
    rings[scope, ring, RING_WINDOW] = window
    store.counts[N_WINDOWS] += 1
    store.counts[N_RINGS] += room
