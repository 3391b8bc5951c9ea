"""The partitioner against Kafka's own test vectors and librdkafka's."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.partitioner import murmur2, partition_of, partitions_of

# org.apache.kafka.common.utils.UtilsTest.testMurmur2: facts, as signed 32-bit numbers
KAFKAS_OWN = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "expected"), KAFKAS_OWN.items())
def test_murmur2_is_kafkas(key: bytes, expected: int) -> None:
    assert murmur2(np.frombuffer(key, np.uint8), 0, len(key)) == expected % 2**32


def test_the_partition_is_the_hash_without_its_sign() -> None:
    assert partition_of(b"21", 7) == (-973932308 & 0x7FFFFFFF) % 7


@settings(derandomize=True, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 64))
def test_packed_keys_go_where_single_keys_go(keys: list[bytes], partitions: int) -> None:
    data, ends = np.frombuffer(b"".join(keys), np.uint8), np.cumsum([len(key) for key in keys], dtype=np.int64)
    for partitioner in ("murmur2", "crc32"):
        found = partitions_of(data, ends, partitions, partitioner)  # type: ignore[arg-type]
        assert found.tolist() == [partition_of(key, partitions, partitioner) for key in keys]  # type: ignore[arg-type]
    assert [zlib.crc32(key) % partitions for key in keys] == found.tolist()
