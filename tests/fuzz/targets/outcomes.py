"""Messages of the outcomes topic: rows that the gauge can fold, else one refusal. Anyone who may write there can make
Arrow say anything, so what a message claims is looked at before memory is read by it."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa

from streams.gauge import GaugeSettings, GaugeTask
from streams.outcomes import Listed, concatenate, decode, encode
from streams.records import Unreadable
from tests.fuzz.mutation import array_changed, bytes_changed
from tests.fuzz.target import Target
from tests.fuzz.targets.states import CONFIG
from tests.gauge.gauge_traffic import Traffic, batch

_COLUMNS = (
    "kind", "counter", "failed", "early", "number", "refers_to", "timestamp", "label_timestamp", "prediction_offset",
    "label_offset", "amount", "prediction", "label", "score", "weight", "latency", "model", "version", "variant",
    "prediction_text", "label_text",
)  # fmt: skip
_LIVES = 60
"""Families that one gauge lives through."""


class Outcomes(Target):
    """One message."""

    name = "outcomes"
    about = "messages of the outcomes topic: rows the gauge folds, else one refusal (exit 5)"
    children = 7
    largest = 16_384

    def __init__(self) -> None:
        self._settings = GaugeSettings.from_config(CONFIG)
        self._gauge: GaugeTask | None = None
        self._lived = 0

    def seeds(self) -> list[bytes]:
        traffic = Traffic(seed=5)
        found = []
        for each in (1, 5):
            predicted = traffic.predicted(each)
            outcomes = traffic.outcomes(predicted)
            found.append(encode(predicted, 0, 1))
            found.append(encode(concatenate([outcomes, traffic.corrections(outcomes, 1)]), 0, 2))
            found.append(encode(concatenate([predicted, traffic.tick(0)]), 1, 3))
        found.append(encode(concatenate([traffic.tick(0), traffic.control("ack/x", b'{"by": "me"}')]), 1, 4))
        return found

    def changed(self, data: bytes, random: Random) -> bytes:
        kind = random.random()
        if kind < 0.35:
            return bytes_changed(data, random, [b"\xff\xff\xff\xff", b"\x00" * 8, b"\xff" * 8, b"\x7f", b"\x01\0\0\0"])
        try:
            if kind < 0.7:
                return _rows_changed(data, random)
            return _columns_changed(data, random)
        except (Unreadable, pa.ArrowException, ValueError, TypeError, OverflowError, IndexError, KeyError, OSError):
            return bytes_changed(data, random, [b"\xff" * 4, b"\x00" * 4])

    def judge(self, inputs: Sequence[bytes]) -> int:
        return sum(map(self._one, inputs))

    def _one(self, data: bytes) -> bool:
        try:
            rows = decode(data).rows
        except Unreadable:
            return False
        if len(rows) > 10_000:  # a message of nothing but a number of rows; folded by the thousand it is only slow
            return True
        if self._gauge is None or self._lived % _LIVES == 0:
            self._gauge = GaugeTask(self._settings, 0)
        self._lived += 1
        gauge, self._gauge = self._gauge, None
        try:
            gauge.apply(batch([data], self._lived))
        except Unreadable:
            return False
        self._gauge = gauge
        return True


def _rows_changed(data: bytes, random: Random) -> bytes:
    """A message of the same rows with something in a column changed: what the format allows, and no join says."""
    rows = decode(data).rows
    name = random.choice([*_COLUMNS, "features", "segments", "payloads", "strings"])
    if name == "features":
        listed: Listed = rows.features
        which = random.choice(["offsets", "names", "values", "texts"])
        setattr(listed, which, array_changed(getattr(listed, which), random).astype(getattr(listed, which).dtype))
    elif name == "payloads":
        rows.payloads = {random.randrange(len(rows)): random.choice([b"{}", b"null", b'{"clock": 1}', b"\xff", b"[]"])}
    elif name == "strings":
        rows.strings = [bytes_changed(each.encode(), random).decode(errors="replace") for each in rows.strings]
    else:
        column = getattr(rows, name)
        setattr(rows, name, array_changed(column, random).reshape(column.shape).astype(column.dtype))
    return encode(rows, random.choice([0, 0, 1, -1, 2**40]), random.choice([1, 0, -1, 2**62]))


def _columns_changed(data: bytes, random: Random) -> bytes:
    """A message with a column dropped, renamed, of another type, or of other metadata."""
    found = pa.ipc.open_stream(pa.py_buffer(data)).read_next_batch()
    names, arrays = list(found.schema.names), list(found.columns)
    metadata: dict[bytes, bytes] = dict(found.schema.metadata or {})
    at = random.randrange(len(names))
    match random.randrange(6):
        case 0:
            del names[at], arrays[at]
        case 1:
            names[at] = random.choice([*_COLUMNS, "features", "payload", "segment.", "segment.x", names[at] + "x"])
        case 2:
            arrays[at] = _of_another_type(arrays[at], random)
        case 3:
            key = random.choice(list(metadata))
            metadata[key] = random.choice([b"", b"x", b"-1", b"0", b"3", b"999999", b"1" * 30, b"\xff"])
        case 4:
            arrays[at] = _broken(arrays[at], random)
        case _:
            other = random.randrange(len(names))
            arrays[at], arrays[other] = arrays[other], arrays[at]
    fields = [pa.field(name, array.type) for name, array in zip(names, arrays, strict=True)]
    made = pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields, metadata=metadata))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, made.schema) as writer:
        writer.write_batch(made)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _of_another_type(array: Any, random: Random) -> Any:
    n = len(array)
    made = [
        pa.array(np.zeros(n, np.int32)), pa.array(np.zeros(n)), pa.nulls(n), pa.array(["x"] * n), pa.array([b"x"] * n),
        pa.array([None] * n, pa.int64()), pa.array([[1]] * n), pa.array([True] * n), pa.array(np.zeros(n, np.uint64)),
        pa.array(["x", None] * n, pa.dictionary(pa.int32(), pa.string()))[:n], pa.nulls(n, array.type),
    ]  # fmt: skip
    return random.choice(made)


def _broken(array: Any, random: Random) -> Any:
    """Indices and offsets that point anywhere, which Arrow writes as they are."""
    wild = np.array([random.choice([0, -1, 7, 2**31 - 1, -(2**31)]) for _ in range(len(array) + 1)], np.int32)
    if pa.types.is_dictionary(array.type):
        indices = pa.array(wild[:-1]).cast(array.type.index_type, safe=False)
        return pa.DictionaryArray.from_arrays(indices, array.dictionary, safe=False)
    if pa.types.is_list(array.type):
        return pa.ListArray.from_buffers(array.type, len(array), [None, pa.py_buffer(wild)], children=[array.values])
    if pa.types.is_binary(array.type) or pa.types.is_string(array.type):
        return pa.BinaryArray.from_buffers(array.type, len(array), [None, pa.py_buffer(wild), array.buffers()[2]])
    return array.slice(0, random.randrange(len(array) + 1))
