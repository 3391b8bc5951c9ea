"""A detector as bytes: versioned, checksummed, no pickle.

Layout: 4 bytes magic, 2 bytes version, 4 bytes CRC-32 of the body (big-endian), body. The body is 4 bytes of length,
a JSON head of that length (name, parameters, and name, type and shape of each array) and the arrays' raw bytes.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

VERSION = 1
_MAGIC = b"SGDT"
_HEAD = struct.Struct(">4sHI")
_LENGTH = struct.Struct(">I")
_DTYPES = ("<f8", "<i8", "<i4", "<u8", "|u1")


class SnapshotError(ValueError):
    """Bytes that are not a detector's snapshot, are damaged, or are of a newer version."""


def encode(name: str, params: Mapping[str, Any], state: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The bytes of a detector. Parameters are numbers, texts or arrays."""
    plain = {key: value for key, value in params.items() if not isinstance(value, np.ndarray)}
    arrays = {f"param.{key}": value for key, value in params.items() if isinstance(value, np.ndarray)}
    arrays |= {f"state.{key}": value for key, value in state.items()}
    listed = [[key, array.dtype.str, list(array.shape)] for key, array in arrays.items()]
    head = json.dumps({"name": name, "params": plain, "arrays": listed}, separators=(",", ":")).encode()
    body = b"".join([_LENGTH.pack(len(head)), head, *(array.tobytes() for array in arrays.values())])
    return _HEAD.pack(_MAGIC, VERSION, zlib.crc32(body)) + body


def decode(data: bytes) -> tuple[str, dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """(name, parameters, state). Raises SnapshotError where the bytes are not a snapshot of ours."""
    if len(data) < _HEAD.size + _LENGTH.size:
        raise SnapshotError("too short to be the snapshot of a detector")
    magic, version, checksum = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        raise SnapshotError("not the snapshot of a detector")
    if version > VERSION:
        raise SnapshotError(f"a snapshot of version {version}; this version reads up to {VERSION}")
    body = data[_HEAD.size :]
    if zlib.crc32(body) != checksum:
        raise SnapshotError("the checksum does not fit: the snapshot is damaged")
    try:
        return _body(body)
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError, struct.error) as problem:
        raise SnapshotError(f"not a readable snapshot: {problem}") from problem


def _body(body: bytes) -> tuple[str, dict[str, Any], dict[str, npt.NDArray[Any]]]:
    start = _LENGTH.size + _LENGTH.unpack_from(body)[0]
    head = json.loads(body[_LENGTH.size : start])
    params: dict[str, Any] = dict(head["params"])
    state: dict[str, npt.NDArray[Any]] = {}
    for key, dtype, shape in head["arrays"]:
        if dtype not in _DTYPES or any(not isinstance(n, int) or n < 0 for n in shape):
            raise ValueError("an array that is not ours")
        stop = start + np.dtype(dtype).itemsize * prod(shape)
        array = np.frombuffer(body[start:stop], dtype).reshape(shape).copy()
        kind, _, field = key.partition(".")
        (params if kind == "param" else state)[field] = array
        start = stop
    if start != len(body):
        raise ValueError("left-over bytes")
    return str(head["name"]), params, state
