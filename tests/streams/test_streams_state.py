"""Explicit state as bytes: read back equal, refused when damaged or newer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.state import StateError, pack, unpack

trees = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(derandomize=True, deadline=None)
@given(trees)
def test_a_tree_is_read_back_equal(tree: object) -> None:
    assert unpack(b"TEST", 1, pack(b"TEST", 1, tree)) == tree


@pytest.mark.parametrize("dtype", ["i8", "i4", "u1", "f8", "?"])
def test_an_array_keeps_type_and_shape_and_can_be_written_to(dtype: str) -> None:
    array = np.arange(6).astype(dtype).reshape(2, 3)
    back = unpack(b"TEST", 1, pack(b"TEST", 1, {"array": array}))["array"]
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    back[0, 0] = 1


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.integers(0, 200), st.integers(0, 255))
def test_one_changed_byte_is_noticed(at: int, byte: int) -> None:
    data = bytearray(pack(b"TEST", 1, {"a": [1, 2, 3], "array": np.arange(10)}))
    at %= len(data)
    if data[at] == byte or at in (4, 5):  # the version may be an older one: that is read
        return
    data[at] = byte
    with pytest.raises(StateError):
        unpack(b"TEST", 1, bytes(data))


@settings(derandomize=True, deadline=None)
@given(st.binary(max_size=100))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(StateError):
        unpack(b"TEST", 1, data)


def test_a_newer_version_is_refused_by_its_number() -> None:
    with pytest.raises(StateError, match="version 2"):
        unpack(b"TEST", 1, pack(b"TEST", 2, {}))
