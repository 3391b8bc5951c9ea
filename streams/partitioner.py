"""Which partition a key belongs on: murmur2 (Java's default) and CRC32 (librdkafka's default).

murmur2 is Kafka's own variant (org.apache.kafka.common.utils.Utils.murmur2, seed 0x9747b28c); the partition is the
hash without its sign bit, modulo the number of partitions. CRC32 is librdkafka's `consistent`: zlib's, modulo.
"""

from __future__ import annotations

import zlib
from typing import Literal

import numba
import numpy as np

from streams.records import Int32Array, Int64Array, UInt8Array

Partitioner = Literal["murmur2", "crc32"]


@numba.njit(cache=True)
def murmur2(data: UInt8Array, start: int, stop: int) -> int:
    """Kafka's murmur2 of data[start:stop], as an unsigned 32-bit number."""
    m = np.uint32(0x5BD1E995)
    length = stop - start
    h = np.uint32(0x9747B28C) ^ np.uint32(length)
    at = start
    for _ in range(length // 4):
        k = (
            np.uint32(data[at])
            | (np.uint32(data[at + 1]) << np.uint32(8))
            | (np.uint32(data[at + 2]) << np.uint32(16))
            | (np.uint32(data[at + 3]) << np.uint32(24))
        )
        k = np.uint32(k * m)
        k ^= k >> np.uint32(24)
        k = np.uint32(k * m)
        h = np.uint32(h * m) ^ k
        at += 4
    rest = length % 4
    if rest == 3:
        h ^= np.uint32(data[at + 2]) << np.uint32(16)
    if rest >= 2:
        h ^= np.uint32(data[at + 1]) << np.uint32(8)
    if rest >= 1:
        h ^= np.uint32(data[at])
        h = np.uint32(h * m)
    h ^= h >> np.uint32(13)
    h = np.uint32(h * m)
    h ^= h >> np.uint32(15)
    return int(h)


@numba.njit(cache=True)
def _murmur2_partitions(data: UInt8Array, ends: Int64Array, partitions: int) -> Int32Array:
    found = np.empty(len(ends), np.int32)
    start = 0
    for i in range(len(ends)):
        found[i] = (murmur2(data, start, ends[i]) & 0x7FFFFFFF) % partitions
        start = ends[i]
    return found


def partitions_of(data: UInt8Array, ends: Int64Array, partitions: int, partitioner: Partitioner) -> Int32Array:
    """The partition of each packed key: key i is data[ends[i - 1]:ends[i]]."""
    if partitioner == "murmur2":
        found: Int32Array = _murmur2_partitions(data, ends, partitions)
        return found
    whole = data.tobytes()
    starts = np.concatenate(([0], ends))[:-1]
    return np.array(
        [zlib.crc32(whole[start:end]) % partitions for start, end in zip(starts, ends, strict=True)], np.int32
    )


def partition_of(key: bytes, partitions: int, partitioner: Partitioner = "murmur2") -> int:
    """The partition of one key."""
    data = np.frombuffer(key, np.uint8)
    return int(partitions_of(data, np.array([len(key)], np.int64), partitions, partitioner)[0])
