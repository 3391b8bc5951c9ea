"""How held records lie in memory: one fixed record a prediction, a label, a key; byte strings in an arena.

A held prediction takes 105 bytes (not aligned: that would add seven), its key 24, its place in the hash table 11 to 21
(load .37 to .75), plus two bytes and the key itself in the arena. Records are rows of structured arrays (one or two
cache lines each) and refer to each other by row number; freed rows are chained and used again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from streams.records import Float64Array, Int32Array, Int64Array, UInt8Array

Records = npt.NDArray[Any]
NOWHERE = -1
KERNEL: dict[str, Any] = {"cache": True, "_nrt": False, "forceinline": True}
"""How kernels over the store are compiled: they allocate nothing, and counting references to the arrays of their
arguments would double what a record costs."""

# Bits of a prediction's status; 0 is a free row.
HELD = 1
LABELLED = 2
EARLY = 4
FAILED = 8
MUTE = 16  # failed without a prediction: takes no label
ONCE = 32  # had an outcome that was withdrawn

GONE = 2

PREDICTION = np.dtype(
    [
        ("timestamp", "<i8"),
        ("offset", "<i8"),
        ("value", "<i8"),  # words (words.py), as `label`
        ("score", "<f8"),
        ("weight", "<f8"),
        ("label", "<i8"),
        ("label_weight", "<f8"),
        ("label_timestamp", "<i8"),
        ("label_offset", "<i8"),
        ("row", "<i8"),  # the number of the outcome row that stands
        ("extra", "<i8"),  # in the arena: prediction_id where it is not the label_key, score map; or NOWHERE
        ("key", "<i4"),
        ("next", "<i4"),  # of the same key, in the order read
        ("later", "<i4"),  # of the same bucket of the wheel; of free rows
        ("profile", "<i4"),
        ("status", "u1"),
    ],
)
LABEL = np.dtype(
    [
        ("timestamp", "<i8"),
        ("offset", "<i8"),
        ("value", "<i8"),
        ("weight", "<f8"),  # NaN where the event named none
        ("key", "<i4"),
        ("next", "<i4"),
        ("later", "<i4"),
        ("profile", "<i4"),
        ("met", "u1"),  # 1 once there was a prediction of its key and model, 0 before; GONE for a free row
    ],
    align=True,
)
KEY = np.dtype(
    [
        ("start", "<i8"),  # in the arena: two bytes of length, then the key
        ("hash", "<i4"),  # 31 bits
        ("predictions", "<i4"),  # the first of each chain; of free rows: the next free one
        ("labels", "<i4"),
        ("last_label", "<i4"),
    ],
    align=True,
)
EVENT = np.dtype(
    [
        ("timestamp", "<i8"),
        ("refers_to", "<i8"),
        ("label", "<i8"),
        ("weight", "<f8"),
        ("label_timestamp", "<i8"),
        ("label_offset", "<i8"),
        ("prediction_offset", "<i8"),
        ("amount", "<i8"),
        ("slot", "<i4"),
        ("source", "<i4"),
        ("profile", "<i4"),
        ("kind", "u1"),
        ("counter", "u1"),
        ("early", "u1"),
        ("failed", "u1"),
    ],
    align=True,
)
"""What the kernels say has happened: one event becomes one row. `slot` is a held prediction, `source` the place of
a PREDICTED event in its batch's columns; -1 where there is none."""

# Places in `Store.totals`, for each of the three kinds of row: rows ever used, first free row, rows in use.
USED, FREE, LIVE = 0, 1, 2
PREDICTIONS, LABELS, KEYS = 0, 3, 6
ARENA_USED, ARENA_GARBAGE = 9, 10


class Store(NamedTuple):
    """All arrays of the held state, as one argument of the kernels."""

    predictions: Records
    labels: Records
    keys: Records
    # Open addressing, linear probing, a power of two long: a key's hash above its row in `keys`, or -1. The hash is
    # there so that looking past other keys, or finding none, touches no row.
    table: Int64Array
    arena: UInt8Array
    prediction_wheel: Int32Array  # first of each bucket, by deadline // width, modulo
    label_wheel: Int32Array
    totals: Int64Array


class Rules(NamedTuple):
    """What the join rules need to know of each profile (model × version × variant × segments), by its code."""

    model: Int32Array
    identity: Int32Array  # profiles that differ in segments alone share it
    horizon: Int64Array
    hold: Int64Array  # horizon + grace
    names_model: UInt8Array  # 0 for labels that serve every model
    width: int  # of a bucket of the wheel, in milliseconds
    limit: int  # records of one key


class NewPredictions(NamedTuple):
    """A planned batch of predictions; `order` are the places to apply, `ids` is empty where no id differs."""

    order: Int64Array
    timestamp: Int64Array
    offset: Int64Array
    value: Int64Array
    score: Float64Array
    weight: Float64Array
    profile: Int32Array
    failed: UInt8Array
    key_data: UInt8Array
    key_ends: Int64Array
    id_data: UInt8Array
    id_ends: Int64Array
    score_ends: Int64Array
    score_names: Int32Array
    score_values: Int64Array  # bits


class NewLabels(NamedTuple):
    """A planned batch of labels."""

    order: Int64Array
    timestamp: Int64Array
    offset: Int64Array
    value: Int64Array
    weight: Float64Array
    profile: Int32Array
    key_data: UInt8Array
    key_ends: Int64Array


def rows_at(records: Records, index: npt.NDArray[np.integer[Any]]) -> Records:
    """Copies of the rows of `index`, whole (numpy copies structured rows field by field, ten times slower)."""
    rows: Records = records.view(f"V{records.itemsize}")[index].view(records.dtype)
    return rows


def joined(parts: Sequence[Records]) -> Records:
    """The rows of all parts, which have one dtype, copied whole; there must be a part."""
    dtype = parts[0].dtype
    rows: Records = np.concatenate([part.view(f"V{dtype.itemsize}") for part in parts]).view(dtype)
    return rows
