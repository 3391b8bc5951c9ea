"""The rival of our files: RocksDB through rocksdict, asked for what the join asks of its store, and for nothing else.

The pattern of state.py without any rule of the join, journal or output: each new key is looked up and written, each
label's key looked up and written again, each prediction that is let go deleted; 140-byte values, in batches of 10,000.
No write-ahead log (the journal is one), Bloom filters, and a block cache and write buffers within the given memory.
rocksdict is not among the pinned packages: `pip install rocksdict==0.3.29`.
"""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
import time
from pathlib import Path
from typing import Any

from streams.decode import Packed

VALUE = bytes(140)
_MIB = 1 << 20


def is_there() -> bool:
    """Whether rocksdict is installed."""
    return importlib.util.find_spec("rocksdict") is not None


class Rocks:
    """A database that takes about `memory` MiB, in a directory of its own."""

    def __init__(self, memory: int, directory: Path) -> None:
        self._rocks: Any = importlib.import_module("rocksdict")
        options = self._rocks.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(memory // 4 * _MIB)
        options.set_max_write_buffer_number(2)
        blocks = self._rocks.BlockBasedOptions()
        blocks.set_bloom_filter(10, False)
        blocks.set_block_cache(self._rocks.Cache(memory // 2 * _MIB))
        options.set_block_based_table_factory(blocks)
        self._folder = tempfile.TemporaryDirectory(dir=directory)
        self._database = self._rocks.Rdict(self._folder.name, options)
        unlogged = self._rocks.WriteOptions()
        unlogged.disable_wal = True
        self._database.set_write_options(unlogged)

    def turn(self, new: Packed, labels: Packed | None, gone: Packed | None) -> tuple[float, float]:
        """New predictions, labels of others, and those that are let go; the seconds it took, wall and CPU."""
        added, met, left = _listed(new), _listed(labels), _listed(gone)
        start, busy = time.perf_counter(), time.process_time()
        changes = self._rocks.WriteBatch(raw_mode=True)
        for key, value in zip(added, self._database[added], strict=True):
            assert value is None, "a new key is known already"
            changes.put(key, VALUE)
        if met:
            for key, value in zip(met, self._database[met], strict=True):
                assert value == VALUE, "a label's prediction is not there"
                changes.put(key, value)
        for key in left:
            changes.delete(key)
        self._database.write(changes)
        return time.perf_counter() - start, time.process_time() - busy

    def disk_mib(self) -> int:
        """MiB of files."""
        return sum(each.stat().st_blocks * 512 for each in Path(self._folder.name).iterdir()) // _MIB

    def close(self) -> None:
        """Remove the files."""
        self._database.close()
        self._folder.cleanup()


def _listed(keys: Packed | None) -> list[bytes]:
    return [] if keys is None else [keys.at(i) for i in range(len(keys.ends))]
