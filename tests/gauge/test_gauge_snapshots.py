"""Snapshots: one cut, read back whole or refused."""

import numpy as np
import pytest

from streams.gauge.snapshots import CHUNK, HEAD_KEY, Cut, head, model_chunks, read
from streams.state import StateError

Record = tuple[bytes | None, bytes | None]
BIG = {"array": np.arange(CHUNK // 4, dtype=np.int64)}  # 2 chunks and a bit


def _cut(offset: int, models: dict[str, object], before: dict[str, int] | None = None) -> list[Record]:
    records: list[Record] = []
    chunks = {}
    for name, tree in models.items():
        made = list(model_chunks(name, tree, (before or {}).get(name, 0)))
        chunks[name] = sum(value is not None for _, value in made)
        records += made
    return [*records, head(Cut(offset, {"clock": offset}, chunks))]


def test_a_cut_is_read_back_whole() -> None:
    snapshot = read(_cut(42, {"small": {"a": 1}, "big": BIG}))
    assert snapshot is not None
    assert (snapshot.cut.offset, snapshot.cut.state) == (42, {"clock": 42})
    assert snapshot.models["small"] == {"a": 1}
    np.testing.assert_array_equal(snapshot.models["big"]["array"], BIG["array"])


def test_a_model_that_did_not_change_stands_as_it_was() -> None:
    first = _cut(1, {"still": {"a": 1}, "moving": {"b": 1}})
    moved = list(model_chunks("moving", {"b": 2}, 1))
    snapshot = read([*first, *moved, head(Cut(2, None, {"still": 1, "moving": 1}))])
    assert snapshot is not None
    assert snapshot.models == {"still": {"a": 1}, "moving": {"b": 2}}


def test_a_model_that_shrank_leaves_no_old_chunks_behind() -> None:
    shrunk = _cut(2, {"m": {"a": 1}}, before={"m": 3})
    assert sum(value is None for _, value in shrunk) == 2
    snapshot = read([*_cut(1, {"m": BIG}), *shrunk])
    assert snapshot is not None
    assert snapshot.models == {"m": {"a": 1}}


def test_a_partition_without_a_cut_has_none() -> None:
    assert read([(b"birth", b"{}"), (None, b"x")]) is None


def test_a_missing_chunk_is_refused() -> None:
    records = [record for record in _cut(1, {"big": BIG}) if record[0] != b"model/1/big"]
    with pytest.raises(StateError, match="big lacks a chunk"):
        read(records)


def test_a_damaged_chunk_is_refused() -> None:
    records = [
        (key, value if key == HEAD_KEY or value is None else value[:-1] + b"?")
        for key, value in _cut(1, {"m": {"a": 1}})
    ]
    with pytest.raises(StateError):
        read(records)
