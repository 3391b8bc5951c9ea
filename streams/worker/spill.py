"""State larger than memory: rooms for the join tasks of a worker, within `state.memory`, beyond it on disk.

A task's held predictions, labels and keys lie in memory until all tasks together need more than their share; then
the arrays of the one that grows move to files in `state.directory`, mapped into memory, and the kernels go on as they
were. Predictions come, are looked up and expire in the order of time, so the rows of a page are used together. The
hash table, which every record reaches into somewhere else, stays in memory as long as it fits.

What the files take of memory is lent: near the bound the mappings give their pages back, and they are read again
where they are needed. The files have no name, so nothing of them outlives the process, however it ends; a task is
restored from its journal alone.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import MADV_DONTNEED, PAGESIZE, mmap
from pathlib import Path
from typing import IO, Any
from weakref import WeakSet

import numpy as np
import numpy.typing as npt
import structlog

from streams.join import Memory
from streams.worker.errors import DirectoryUnusable

_FAULT = 4 * 16 * PAGESIZE
"""What a record may bring into memory at most: a page of the table, keys, texts and predictions, and those around."""
_FEWEST = 64
_STATM = Path("/proc/self/statm")
_log = structlog.get_logger("streamgauge.join")


class Spill:
    """What the rooms of one worker share: `memory` bytes, and a directory (None: what is beyond is said, not done).

    Raises DirectoryUnusable where files cannot be written there, now or later.
    """

    def __init__(self, memory: int, directory: Path | None) -> None:
        self._memory, self._directory = memory, directory
        self._rooms: WeakSet[SpillRoom] = WeakSet()
        self._lent_before: int | None = None
        self._warned = False
        if directory is not None:
            with usable(directory):
                directory.mkdir(parents=True, exist_ok=True)
                tempfile.TemporaryFile(dir=directory).close()
                _lent()

    def room(self) -> SpillRoom:
        """A room for one more task."""
        room = SpillRoom(self)
        self._rooms.add(room)
        return room

    def too_much(self) -> bool:
        """Whether the arrays in memory leave the files less than a quarter of it."""
        taken = self._taken()
        if 4 * taken <= 3 * self._memory:
            return False
        if self._directory is None:
            if taken > self._memory and not self._warned:
                self._warned = True
                _log.warning("state_memory_exceeded", held_bytes=taken, state_memory=self._memory,
                             remedy="raise state.memory, give a state.directory, or run more instances")  # fmt: skip
            return False
        return True

    def fits(self, size: int) -> bool:
        """Whether so many bytes more may lie in memory, of what nothing but memory is fast enough for."""
        return 2 * (self._taken() + size) <= self._memory

    def file(self) -> IO[bytes]:
        """A new file without a name."""
        assert self._directory is not None
        if self._lent_before is None:
            self._lent_before = _lent()
        with usable(self._directory):
            return tempfile.TemporaryFile(dir=self._directory)

    def extend(self, file: IO[bytes], size: int) -> mmap:
        """The file, of `size` bytes now, mapped. The disk is asked for all of them here, where it can refuse."""
        assert self._directory is not None
        with usable(self._directory):
            os.posix_fallocate(file.fileno(), 0, size)
            return mmap(file.fileno(), size)

    @property
    def chunk(self) -> int:
        """How many records can be applied before the files have taken a quarter of what they may."""
        return max(_FEWEST, self._allowance() // 4 // _FAULT)

    def ease(self) -> None:
        """Give the pages of all files back where they have taken three quarters of what they may."""
        if self._lent_before is not None and 4 * (_lent() - self._lent_before) > 3 * self._allowance():
            for room in self._rooms:
                room.give_back()

    def _taken(self) -> int:
        return sum(room.in_memory for room in self._rooms)

    def _allowance(self) -> int:
        return max(self._memory - self._taken(), self._memory // 4)


class SpillRoom(Memory):
    """The room of one task."""

    def __init__(self, spill: Spill) -> None:
        super().__init__()
        self._spill = spill
        self._files: dict[str, IO[bytes]] = {}
        self._lent: WeakSet[mmap] = WeakSet()
        self._hot = 0
        self._spilled = False
        self.in_memory = 0

    @property
    def chunk(self) -> int:
        """As Room says."""
        return self._spill.chunk if self._spilled else super().chunk

    def full(self, needed: int) -> bool:
        """As Room says: true once."""
        if self._spilled:
            return False
        self.in_memory = needed
        self._spilled = self._spill.too_much()
        if self._spilled:
            self.in_memory = self._hot
            _log.info("state_spills", held_bytes=needed)
        return self._spilled

    def fresh(self, name: str, rows: int, dtype: npt.DTypeLike, *, hot: bool = False) -> npt.NDArray[Any]:
        """As Room says."""
        size = rows * np.dtype(dtype).itemsize
        stays = not self._spilled or (hot and self._spill.fits(size - self._hot))
        if hot:
            self._hot = size if stays else 0
            self.in_memory = self._hot if self._spilled else self.in_memory
        if stays:
            return super().fresh(name, rows, dtype)
        self._files[name] = self._spill.file()
        return self._mapped(name, rows, dtype)

    def grown(self, name: str, array: npt.NDArray[Any], used: int, more: int) -> npt.NDArray[Any]:
        """As Room says: a file grows where it is, by a quarter."""
        if not self._spilled:
            return super().grown(name, array, used, more)
        rows = max((used + more) * 5 // 4, _FEWEST)
        if name in self._files:
            return self._mapped(name, rows, array.dtype)
        before = self._maps.get(name)
        grown = self.fresh(name, rows, array.dtype)
        self.copy(array, grown, used, before)
        return grown

    def ease(self) -> None:
        """As Room says."""
        if self._spilled:
            self._spill.ease()

    def give_back(self) -> None:
        """Let the pages of the files go. What was written stays written: the mappings are shared with the files."""
        for each in self._lent:
            each.madvise(MADV_DONTNEED)

    def _mapped(self, name: str, rows: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        mapped = self._spill.extend(self._files[name], max(rows * np.dtype(dtype).itemsize, PAGESIZE))
        self._maps.pop(name, None)
        self._lent.add(mapped)
        return np.frombuffer(mapped, dtype, rows)


def _lent() -> int:
    """Bytes of files that this process has in memory now."""
    return int(_STATM.read_bytes().split()[2]) * PAGESIZE


@contextmanager
def usable(directory: Path) -> Iterator[None]:
    """Say in one sentence what is wrong with the directory."""
    try:
        yield
    except OSError as problem:
        raise DirectoryUnusable(
            f"held predictions cannot spill to state.directory ({directory}): {problem.strerror or problem}; make room "
            "there or give another one, or raise state.memory; nothing is lost: what is held is restored at the next "
            "start"
        ) from problem
