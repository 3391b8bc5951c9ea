"""The arrays of a store as a tree of plain values, and back. Histograms, mostly empty, are kept as what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from metrics import roc_auc
from streams.gauge.windows.store import (
    ARRAYS,
    CELL,
    SCOPE,
    USED,
    Store,
    new_store,
    with_features,
    with_room,
    with_tables,
)

_SPARSE = {(CELL, "delay"), (CELL, "latency"), (SCOPE, "past_delay")}


def tree_of(store: Store) -> dict[str, Any]:
    """The used rows of every array; records field by field."""
    tree: dict[str, Any] = {"counts": store.counts.copy()}
    for name, place in USED.items():
        used = int(store.counts[place])
        for each in ARRAYS[name]:
            array = getattr(store, each)[:used]
            if array.dtype.names is None:
                tree[each] = array.copy()
            else:
                tree[each] = {field: _sparse(array[field]) if (array.dtype, field) in _SPARSE else array[field].copy()
                              for field in array.dtype.names}  # fmt: skip
    return tree


def _sparse(array: Any) -> list[Any]:
    flat = np.ascontiguousarray(array).reshape(-1)
    at = np.flatnonzero(flat)
    return [at.astype(np.int64), flat[at]]


def store_from(tree: dict[str, Any], tumbling: int, rolling: int) -> Store:
    """The store that tree_of was given."""
    store = with_features(new_store(tumbling, rolling), tree["block_ints"].shape[1])
    blank = store.counts.copy()
    store.counts[:] = 0
    store = with_room(store, {name: int(tree["counts"][place]) for name, place in USED.items()})
    for name, place in USED.items():
        used = int(tree["counts"][place])
        for each in ARRAYS[name]:
            array = getattr(store, each)
            if array.dtype.names is None:
                array[:used] = tree[each]
                continue
            for field in array.dtype.names:
                stored = tree[each][field]
                if (array.dtype, field) in _SPARSE:
                    width = array.dtype[field].shape[0]
                    array[field][stored[0] // width, stored[0] % width] = stored[1]
                elif stored.shape[1:] != array[field].shape[1:]:  # older: what it did not sum cannot be known
                    array[field][:used] = np.nan
                    array[field][:used, : stored.shape[1]] = stored
                else:
                    array[field][:used] = stored
    store.counts[:] = blank  # earlier states have fewer
    store.counts[: len(tree["counts"])] = tree["counts"]
    return with_tables(store)


def tree_of_bins(bins: Mapping[int, roc_auc.Bins]) -> dict[str, Any]:
    """The bins of each window; apart, as earlier states have none, what their weights are beyond a float."""
    each = sorted(bins.items())
    return {
        "bins": [[window, low, high, p[:, 0].copy(), n[:, 0].copy()] for window, (low, high, p, n) in each],
        "rests": [
            [window, p[:, 1].copy(), n[:, 1].copy()] for window, (_, _, p, n) in each if p[:, 1].any() or n[:, 1].any()
        ],
    }


def bins_from(tree: dict[str, Any]) -> dict[int, roc_auc.Bins]:
    """The bins that tree_of_bins was given."""
    rests = {window: rest for window, *rest in tree.get("rests", [])}
    found = {}
    for window, low, high, *weights in tree["bins"]:
        rest = rests.get(window, [np.zeros(len(low))] * 2)
        found[window] = roc_auc.Bins(low, high, *(np.stack(each, axis=1) for each in zip(weights, rest, strict=True)))
    return found
