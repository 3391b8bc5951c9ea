"""Snapshots of detectors: `detectors.restore` gives a detector that works, else one SnapshotError."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from math import prod
from random import Random
from typing import Any

import numpy as np

import detectors
from detectors import Detector, ParameterError, SnapshotError
from tests.fuzz.mutation import bytes_changed, state_leaf, tree_changed
from tests.fuzz.target import Target

_HEAD = struct.Struct(">4sHI")
_SLOW = {"domain_classifier", "isolation_forest", "one_class_svm", "half_space_trees", "mmd", "conformal"}
_REFERENCE = np.random.default_rng(7).normal(0, 1, 64)
_CATEGORIES = np.random.default_rng(8).integers(0, 3, 64).astype(np.float64)
_ROWS = np.random.default_rng(9).normal(0, 1, (64, 2))


def _built(name: str) -> Detector | None:
    """A detector with a small reference, where it needs one; None where the library it adapts is not there."""
    for more in ({}, {"reference": _REFERENCE}, {"reference": _CATEGORIES}, {"reference": _ROWS}):
        try:
            return detectors.build(name, **more)
        except (ParameterError, ImportError, ValueError):
            continue
    return None


class Detectors(Target):
    """One snapshot."""

    name = "detectors"
    about = "snapshots of detectors, their checksums made to fit: a detector that works, else SnapshotError"
    children = 7
    largest = 65_536

    def __init__(self) -> None:
        random = np.random.default_rng(11)
        self._values = np.concatenate([random.normal(0, 1, 40), random.normal(3, 1, 20), [np.nan, 0, 1, 1, 0, 1e300]])

    def seeds(self) -> list[bytes]:
        found: list[bytes] = []
        for name in detectors.catalog():
            detector = None if name in _SLOW or ":" in name else _built(name)
            if detector is not None:
                found.append(detector.snapshot())
                detector.update_many(np.abs(np.sin(np.arange(150))) > 0.5)
                found.append(detector.snapshot())
        return [each for each in found if len(each) <= self.largest]

    def changed(self, data: bytes, random: Random) -> bytes:
        if random.random() < 0.8:
            try:
                return _rewritten(data, random)
            except (ValueError, TypeError, KeyError, struct.error, OverflowError, RecursionError):
                pass
        changed = data[:10] + bytes_changed(data[10:], random) if random.random() < 0.8 else bytes_changed(data, random)
        if len(changed) > 10 and random.random() < 0.8:
            changed = changed[:6] + zlib.crc32(changed[10:]).to_bytes(4, "big") + changed[10:]
        return changed

    def judge(self, inputs: Sequence[bytes]) -> int:
        return sum(map(self._one, inputs))

    def _one(self, data: bytes) -> bool:
        try:
            detector = detectors.restore(data)
        except SnapshotError:
            return False
        with np.errstate(all="ignore"):
            detector.update_many(self._values)
            for value in self._values[:5]:
                detector.update(value)
        assert isinstance(float(detector.statistic), float)
        assert isinstance(float(detector.threshold), float)
        assert detector.memory > 0
        again = detectors.restore(detector.snapshot())
        assert again.snapshot() == detector.snapshot()
        detector.reset()
        return True


def _rewritten(data: bytes, random: Random) -> bytes:
    """The snapshot taken apart, changed, and written again with its checksum."""
    size = struct.unpack(">I", data[10:14])[0]
    head = json.loads(data[14 : 14 + size])
    arrays: list[Any] = []
    at = 14 + size
    for _, dtype, shape in head["arrays"]:
        stop = at + np.dtype(dtype).itemsize * prod(shape)
        arrays.append(np.frombuffer(data[at:stop], dtype).reshape(shape))
        at = stop
    told = [{"key": key, "array": array} for (key, _, _), array in zip(head["arrays"], arrays, strict=True)]
    if random.random() < 0.5 and head["params"]:
        head["params"] = tree_changed(head["params"], random)
    else:
        told = tree_changed(told, random, state_leaf)
    kept = [each for each in told if isinstance(each, dict) and isinstance(each.get("array"), np.ndarray)]
    head["arrays"] = [[each.get("key"), each["array"].dtype.str, list(each["array"].shape)] for each in kept]
    if random.random() < 0.1:
        head = tree_changed(head, random)
    told_head = json.dumps(head, separators=(",", ":")).encode()
    body = b"".join([struct.pack(">I", len(told_head)), told_head, *(each["array"].tobytes() for each in kept)])
    return _HEAD.pack(b"SGDT", 1, zlib.crc32(body)) + body
