"""Whether a snapshot's windows hold together: kernels follow ids from array to array unasked, so these are looked at
before. A checksum says that a snapshot is as it was written; not that what wrote it meant what we mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streams.gauge.windows.excess import EXCESS_BINS
from streams.gauge.windows.store import (
    ARRAYS,
    COUNTS,
    EVER,
    FREE_CHUNK,
    RING_AT,
    RING_COUNT,
    RING_ROOM,
    RING_WINDOW,
    USED,
)
from streams.state import StateError

_REFERENCES = (
    ("scopes", "ever_cell", "cells", -1), ("cells", "scope", "scopes", 0),
    ("cells", "pairs", "pairs", -1), ("cells", "block", "blocks", -1), ("windows", "head", "chunks", -1),
    ("windows", "tail", "chunks", -1), ("windows", "scope", "scopes", 0), ("pairs", "cell", "cells", 0),
    ("pairs", "next", "pairs", -1), ("pairs", "predicted", "classes", -1), ("pairs", "actual", "classes", -2),
    ("chunks", "next", "chunks", -1), ("rings", "predicted", "classes", -1), ("rings", "actual", "classes", -1),
)  # fmt: skip
"""Array, field, what its numbers are ids of, and the least they may be."""
_MOST_KINDS = 256


def look_at(tree: Any) -> None:
    """Raises StateError where an array has another length than is said, or an id points to nothing, or round and
    round. `tree` is that of `ModelWindows.snapshot`; errors of its shape are left to whoever takes it over."""
    store = tree["store"]
    counts = store["counts"]
    _demand(counts.dtype == np.int64 and len(counts) <= COUNTS)
    used = {name: int(counts[place]) for name, place in USED.items()}
    for name, n in used.items():
        for each in ARRAYS[name]:
            columns = store[each].values() if isinstance(store[each], dict) else [store[each]]
            _demand(all(_length(column, n) for column in columns))
    for name, field, target, least in _REFERENCES:
        _demand(_inside(store[name][field], least, used[target]))
    _demand(_inside(store["cell_windows"], -1, used["windows"]))
    _demand(_inside(store["windows"]["kind"], 0, _MOST_KINDS) and int(counts[FREE_CHUNK]) == -1)
    rings = store["scope_rings"].reshape(-1, 4)
    _demand(_inside(rings[:, RING_WINDOW], -1, used["windows"]) and _inside(rings[:, RING_COUNT], 0, 2**62))
    _demand(_inside(rings[:, RING_AT], 0, used["rings"] + 1) and _inside(rings[:, RING_ROOM], 0, used["rings"] + 1))
    _demand(bool((rings[:, RING_AT] + rings[:, RING_ROOM] <= used["rings"]).all()))
    _demand(_ends(store["cells"]["pairs"], store["pairs"]["next"]))
    _demand(_ends(store["windows"]["head"], store["chunks"]["next"]))
    lengths = {window: len(arrays[0]) for window, *arrays in tree["bins"]}
    _demand(all(0 <= window < used["windows"] for window in lengths))
    for window, *arrays in [*tree["bins"], *tree.get("rests", [])]:
        _demand(all(each.dtype == np.float64 and each.shape == (lengths.get(window),) for each in arrays))
    for scope, bins in tree.get("excess", []):
        _demand(0 <= scope < used["scopes"] and bins.dtype == np.int64 and bins.shape == (EXCESS_BINS,))
        _demand(_inside(bins, 0, 2**62))
    store["scopes"]["pane_start"][:] = EVER  # the pane met last is a guess that may be old: none is made


def _demand(holds: bool) -> None:
    if not holds:
        raise StateError("windows that do not hold together")


def _length(column: Any, n: int) -> bool:
    if isinstance(column, list):  # places and values of what is not zero
        places, values = column
        return bool(places.dtype.kind == "i" and len(places) == len(values)) and _inside(places, 0, max(1, n) * 2**12)
    return isinstance(column, np.ndarray) and len(column) == n


def _inside(numbers: npt.NDArray[Any], least: int, beyond: int) -> bool:
    return not numbers.size or bool(least <= numbers.min() and numbers.max() < beyond)


def _ends(heads: npt.NDArray[Any], following: npt.NDArray[Any]) -> bool:
    """Whether every chain ends, and no two are one."""
    left = len(following)
    at = heads[heads >= 0]
    while len(at):
        left -= len(at)
        if left < 0:
            return False
        at = following[at]
        at = at[at >= 0]
    return True
