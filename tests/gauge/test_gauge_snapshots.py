"""Snapshots: one cut, read back whole or refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streams.gauge.pages import PAGE, page_bytes, page_of
from streams.gauge.snapshots import CHUNK, HEAD_KEY, Cut, Written, head, model_records, read
from streams.state import StateError

Record = tuple[bytes | None, bytes | None]
BIG = {"array": np.arange(CHUNK // 4, dtype=np.int64)}  # 2 chunks and a bit


def _cut(offset: int, models: dict[str, Any], before: dict[str, Written] | None = None) -> list[Record]:
    records: list[Record] = []
    chunks = {}
    for name, tree in models.items():
        made, written = model_records(name, tree, (before or {}).get(name, Written()))
        chunks[name] = written.chunks
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
    moved, _ = model_records("moving", {"b": 2}, Written(1))
    snapshot = read([*first, *moved, head(Cut(2, {}, {"still": 1, "moving": 1}))])
    assert snapshot is not None
    assert snapshot.models == {"still": {"a": 1}, "moving": {"b": 2}}


def test_a_model_that_shrank_leaves_no_old_chunks_behind() -> None:
    shrunk = _cut(2, {"m": {"a": 1}}, before={"m": Written(3)})
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


def _series(*references: Any) -> dict[str, Any]:
    return {"windows": 1, "series": {"groups": [{"warm_up": [7, *references]}]}}


def _newest(records: list[Record]) -> dict[bytes | None, bytes]:
    return {key: value for key, value in dict(records).items() if value is not None}


def test_what_a_reference_has_grown_by_is_all_that_is_written_of_it() -> None:
    values = np.random.default_rng(1).normal(size=5 * PAGE + 7)
    first, written = model_records("m", _series(values[: 4 * PAGE + 3]), Written())
    second, grown = model_records("m", _series(values), written)
    assert len([key for key, _ in first if key.startswith(b"page/")]) == 4
    assert len([key for key, _ in second if key.startswith(b"page/")]) == 1
    assert sum(len(value or b"") for _, value in second) < 10 * PAGE < sum(len(value or b"") for _, value in first) / 3
    snapshot = read([*first, *second, head(Cut(1, {}, {"m": grown.chunks}))])
    assert snapshot is not None
    assert snapshot.written == {"m": grown}
    np.testing.assert_array_equal(snapshot.models["m"]["series"]["groups"][0]["warm_up"][1], values)


def test_arrays_of_the_same_content_are_written_once() -> None:
    times = np.arange(3 * PAGE, dtype=np.uint32) * 60
    records, written = model_records("m", _series(times, times.copy(), times[: 2 * PAGE]), Written())
    assert len(written.pages) == len([key for key, _ in records if key.startswith(b"page/")]) == 3


def test_a_reference_that_is_finished_leaves_no_pages_behind() -> None:
    first, written = model_records("m", _series(np.arange(2.0 * PAGE)), Written())
    second, left = model_records("m", _series(None), written)
    assert left.pages == frozenset()
    assert set(_newest([*first, *second])) == {b"model/0/m"}


def test_a_missing_page_and_a_damaged_one_are_refused() -> None:
    records = _cut(1, {"m": _series(np.arange(2.0 * PAGE))})
    (at, _) = [k for k, (key, _) in enumerate(records) if (key or b"").startswith(b"page/")]
    with pytest.raises(StateError, match="lacks a page"):
        read(records[:at] + records[at + 1 :])
    key, value = records[at]
    with pytest.raises(StateError):
        read([*records, (key, (value or b"")[:-1] + b"?")])


@given(
    st.one_of(
        arrays(np.float64, PAGE, elements=st.floats(width=64), fill=st.just(0.1)),
        arrays(np.uint32, PAGE),
        arrays(np.int64, PAGE),
        arrays(np.uint8, PAGE, elements=st.integers(0, 1)),
    )
)
@settings(derandomize=True, deadline=None, max_examples=40)
def test_a_page_is_read_back_to_the_last_bit(page: Any) -> None:
    assert page_of(page_bytes(page)).tobytes() == page.tobytes()
    assert page_of(page_bytes(page)).dtype == page.dtype
