"""What the inputs of a model look like: entries, missing ones, mean and standard deviation of each feature."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from metrics import sums
from streams.gauge.windows.store import N_BLOCKS, Store
from streams.records import Float64Array, Int32Array, Int64Array

ENTRIES, MISSING, NUMBERS = range(3)


@numba.njit(cache=True)
def fold_features(
    store: Store,
    begin: int,
    whole_cells: Int32Array,
    offsets: Int32Array,
    names: Int32Array,
    values: Float64Array,
    texts: Int32Array,
    places: Int32Array,
) -> int:
    """Add the features of rows[begin:] to the cells in whole_cells, shape (n, 2); -1 is none.

    Returns the row before which two more blocks are needed, or the number of rows."""
    for i in range(begin, len(whole_cells)):
        if offsets[i] == offsets[i + 1]:
            continue
        if store.counts[N_BLOCKS] + 2 > len(store.block_ints):
            return i
        for cell in whole_cells[i]:
            if cell < 0:
                continue
            block = store.cells[cell].block
            if block < 0:
                block = store.counts[N_BLOCKS]
                store.counts[N_BLOCKS] += 1
                store.cells[cell].block = block
            for entry in range(offsets[i], offsets[i + 1]):
                feature = places[names[entry]]
                store.block_ints[block, feature, ENTRIES] += 1
                value = values[entry]
                if not np.isnan(value):
                    store.block_ints[block, feature, NUMBERS] += 1
                    sums.add(store.block_sums[block, feature], 0, value)
                    sums.add_product(store.block_sums[block, feature], 1, 1.0, value, value)
                elif texts[entry] < 0:
                    store.block_ints[block, feature, MISSING] += 1
    return len(whole_cells)


@numba.njit(cache=True)
def gather_features(store: Store, cells: Int64Array, ints: Int64Array, figures: Float64Array) -> None:
    """Merge the blocks of the cells into ints (features, 3) and figures (features, 2): mean and standard deviation."""
    merged = np.zeros((len(ints), 3, 2))  # x, x squared, weight
    for cell in cells:
        block = store.cells[cell].block
        if block < 0:
            continue
        for feature in range(len(ints)):
            ints[feature] += store.block_ints[block, feature]
            sums.merge(merged[feature, :2], store.block_sums[block, feature])
    for feature in range(len(ints)):
        count = float(ints[feature, NUMBERS])
        figures[feature] = np.nan
        if count > 0.0:
            merged[feature, 2, 0] = count
            figures[feature, 0] = sums.value(merged[feature], 0) / count
            figures[feature, 1] = math.sqrt(sums.centred(merged[feature], 1, 0, 2) / count)


def inputs(store: Store, cells: Int64Array, names: list[str | None]) -> dict[str, dict[str, Any]]:
    """The `inputs` of a metric event: population standard deviation; no mean where no number was seen."""
    ints, figures = np.zeros((len(names), 3), np.int64), np.empty((len(names), 2))
    gather_features(store, cells, ints, figures)
    found: dict[str, dict[str, Any]] = {}
    for name, (entries, missing, numbers), (mean, std) in zip(names, ints.tolist(), figures.tolist(), strict=True):
        if entries:
            assert name is not None
            found[name] = {"count": entries, "missing": missing}
            if numbers:
                found[name] |= {"mean": mean, "std": std}
    return found
