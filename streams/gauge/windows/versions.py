"""Versions make room for each other: which rows are those of `__other__`, and which version goes when one comes.

A version is settled when it has predicted nothing for a day and nothing of it can change any more: the watermark has
passed its last prediction by horizon + grace, and its tumbling windows are final and gone. When a version comes for
which the limit has no room, the one that settled first leaves, and is forgotten; without any, the newcomer is
`__other__`. This is decided at the newcomer's first row.
"""

from __future__ import annotations

import numpy as np

from streams.gauge.windows.kernel import create_cell
from streams.gauge.windows.names import OTHER, Admitted, Names
from streams.gauge.windows.store import EVER, N_SCOPES, N_WINDOWS, RING_COUNT, Store, with_room
from streams.gauge.windows.table import find
from streams.outcomes import Rows
from streams.records import Int32Array, Int64Array


def by_first_row(codes: Int32Array) -> list[tuple[int, int]]:
    """(code, its first place) of the distinct codes, in the order in which they come."""
    if len(codes) and (codes == codes[0]).all():
        return [(int(codes[0]), 0)]
    found, first = np.unique(codes, return_index=True)
    return [(int(found[k]), int(first[k])) for k in np.argsort(first)]


def rename(codes: Int32Array, beyond: list[int], strings: list[str]) -> Int32Array:
    """The codes with those in `beyond` replaced by that of `__other__`."""
    if not beyond:
        return codes
    if strings[-1] != OTHER:
        strings.append(OTHER)
    return np.where(np.isin(codes, beyond), np.int32(len(strings) - 1), codes)


def admit_variants(rows: Rows, taken: int, variants: Admitted) -> None:
    """Let variants beyond the limit be `__other__`, in the first `taken` rows."""
    beyond = []
    for code, _ in by_first_row(rows.variant[:taken]):
        if not variants.has_room(rows.text(code)):
            beyond.append(code)
            variants.overflow += 1
        else:
            variants.code(rows.text(code))
    admitted = rename(rows.variant[:taken], beyond, rows.strings)
    rows.variant = np.concatenate([admitted, rows.variant[taken:]])


def settled(store: Store, names: Names, kinds: int, before: int) -> str | None:
    """The version whose last prediction is the oldest, if it is older than `before` and has no tumbling window left
    (`kinds` is the number of their sizes); None where there is none."""
    scopes, windows = store.scopes[: int(store.counts[N_SCOPES])], store.windows[: int(store.counts[N_WINDOWS])]
    busy = np.unique(windows["scope"][(windows["alive"] == 1) & (windows["kind"] < kinds)])
    last = scopes["last"].copy()
    last[busy] = before
    found: list[tuple[int, int]] = []
    for code, name in enumerate(names.versions.names):
        mine = last[scopes["key"][:, 0] == code]
        if name not in (None, OTHER) and len(mine) and mine.max() < before:
            found.append((int(mine.max()), code))
    return names.versions.names[min(found)[1]] if found else None


def scopes_of(store: Store, version: int) -> Int64Array:
    """The scopes of a version's code."""
    keys = store.scopes["key"][: int(store.counts[N_SCOPES]), 0]
    found: Int64Array = np.flatnonzero(keys == version)
    return found


def lasting_windows(store: Store, scopes: Int64Array) -> Int64Array:
    """The cumulative and rolling windows of these scopes."""
    windows = store.windows[: int(store.counts[N_WINDOWS])]
    found: Int64Array = np.flatnonzero(np.isin(windows["scope"], scopes) & (windows["start"] == EVER))
    return found


def empty(store: Store, scopes: Int64Array, revision: int) -> None:
    """Leave nothing in these scopes; their windows count their revisions from `revision` on. To be compacted, and
    then given cells again by `refurnish`."""
    windows = lasting_windows(store, scopes)
    for name, value in (
        ("revision", revision), ("state", -1), ("looked", 0), ("fill", 0), ("head", -1), ("tail", -1), ("dirty", 0),
        ("mature", 0),
    ):  # fmt: skip
        store.windows[name][windows] = value
    ever = store.scopes["ever_cell"][scopes]
    store.cells["alive"][ever[ever >= 0]] = 0
    store.scope_rings[scopes, :, RING_COUNT] = 0
    store.scopes["pane_start"][scopes] = EVER
    for name in ("first", "last", "past", "past_delay"):
        store.scopes[name][scopes] = 0


def refurnish(store: Store, scopes: Int64Array, kinds: int) -> Store:
    """The store with empty cumulative cells for these scopes."""
    store = with_room(store, {"cells": len(scopes)})
    for scope in scopes.tolist():
        cell = create_cell(store, scope, EVER)
        store.cell_windows[cell, 0] = find(store.tables.windows, scope * 256 + kinds, EVER)
        store.scopes["ever_cell"][scope] = cell
    return store
