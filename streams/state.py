"""Explicit state as bytes: versioned msgpack with a checksum, numpy arrays included. Never pickle.

Layout: 4 bytes magic, 2 bytes version (big-endian), 4 bytes CRC-32 of the body, body. The body is msgpack; an array is
an extension of dtype, shape and raw bytes.
"""

from __future__ import annotations

import struct
import zlib
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from streams.records import Unreadable

Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Time = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
"""Numbers and times of a state: beyond, sums of them would not fit kernels; no tick says a time beyond either."""
Number = int | float
"""As it is: msgspec makes a float of an integer where a float is asked for, and events would tell another text."""
_HEAD = struct.Struct(">4sHI")
_ARRAY = 1
_DTYPES = frozenset({"<i8", "<i4", "<i2", "|i1", "|u1", "<u2", "<u4", "<u8", "<f8", "<f4", "|b1"})


class StateError(Unreadable):
    """Bytes that are not a state of ours, are damaged, or are of a newer version."""


def _encode(value: object) -> object:
    if isinstance(value, np.ndarray):
        head = msgspec.msgpack.encode([value.dtype.str, list(value.shape)])
        return msgspec.msgpack.Ext(_ARRAY, struct.pack(">I", len(head)) + head + np.ascontiguousarray(value).tobytes())
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.floating):
        return float(value)
    raise NotImplementedError(f"{type(value).__name__} is not a state value")


def _decode(code: int, data: memoryview) -> object:
    if code != _ARRAY:
        raise StateError(f"unknown extension {code}")
    size = struct.unpack(">I", data[:4])[0]
    dtype, shape = msgspec.msgpack.decode(data[4 : 4 + size])
    if dtype not in _DTYPES:
        raise StateError("an array of a type that is not ours")
    # A copy: the bytes of a message must not be kept alive, and state is written to.
    return np.frombuffer(data[4 + size :], dtype=dtype).reshape(shape).copy()


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_encode)
_DECODER = msgspec.msgpack.Decoder(ext_hook=_decode)


def pack(magic: bytes, version: int, tree: object) -> bytes:
    """The tree (dicts, lists, text, numbers, bytes, None, numpy arrays) as bytes. `magic` is 4 bytes."""
    body = _ENCODER.encode(tree)
    return _HEAD.pack(magic, version, zlib.crc32(body)) + body


def shaped(kind: Any, tree: Any) -> Any:
    """The tree, where it has the shape of a type; the bytes of another version may hold something else. Raises
    StateError."""
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as problem:
        raise StateError(f"not the state it should be: {problem}") from problem


def array(value: Any, dtype: str, *shape: int | None) -> npt.NDArray[Any]:
    """The value, where it is an array of this type and shape (None: of any length). Raises StateError."""
    if not isinstance(value, np.ndarray) or value.dtype.str != dtype or value.ndim != len(shape):
        raise StateError("an array of a state is not the one it should be")
    if any(wanted not in (None, size) for wanted, size in zip(shape, value.shape, strict=True)):
        raise StateError("an array of a state has another length than it should")
    return value


def unpack(magic: bytes, version: int, data: bytes) -> Any:
    """The tree. Raises StateError where it is not ours, damaged, or newer than `version`."""
    if len(data) < _HEAD.size:
        raise StateError("too short to be a state")
    found, number, checksum = _HEAD.unpack_from(data)
    if found != magic:
        raise StateError(f"not a state of kind {magic.decode()}")
    if number > version:
        raise StateError(f"state of version {number}; this version reads up to {version}")
    body = memoryview(data)[_HEAD.size :]
    if zlib.crc32(body) != checksum:
        raise StateError("the checksum does not fit: the state is damaged")
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, ValueError, struct.error) as problem:
        raise StateError(f"not readable: {problem}") from problem
