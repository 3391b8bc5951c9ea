"""The arrays of a store as a tree of plain values, and back. Histograms, mostly empty, are kept as what is in them."""

from __future__ import annotations

from typing import Any

import numpy as np

from streams.gauge.windows.store import USED, Store, new_store, with_features, with_room, with_tables

_SPARSE = frozenset({"delay", "latency", "past_delay"})


def tree_of(store: Store) -> dict[str, Any]:
    """The used rows of every group."""
    tree: dict[str, Any] = {"counts": store.counts.copy()}
    for name, place in USED.items():
        group, used = getattr(store, name), int(store.counts[place])
        tree[name] = {
            column: _sparse(array[:used]) if column in _SPARSE else array[:used].copy()
            for column, array in group._asdict().items()
        }
    return tree


def _sparse(array: Any) -> list[Any]:
    flat = array.reshape(-1)
    at = np.flatnonzero(flat)
    return [at.astype(np.int64), flat[at]]


def store_from(tree: dict[str, Any], tumbling: int, rolling: int) -> Store:
    """The store that tree_of was given."""
    store = with_features(new_store(tumbling, rolling), tree["blocks"]["ints"].shape[1])
    counts = tree["counts"].copy()
    store.counts[:] = 0
    store = with_room(store, {name: int(counts[place]) for name, place in USED.items()})
    for name, place in USED.items():
        group, used = getattr(store, name), int(counts[place])
        for column, array in group._asdict().items():
            stored = tree[name][column]
            if column in _SPARSE:
                array[:used].reshape(-1)[stored[0]] = stored[1]
            else:
                array[:used] = stored
    store.counts[:] = counts
    return with_tables(store)
