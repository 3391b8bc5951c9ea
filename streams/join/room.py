"""Where the arrays of the held state lie: in memory, unless a worker hands in a room that can do more.

The kernels see arrays alone and do the same in every room, so what comes out cannot depend on where they lie.
"""

from __future__ import annotations

from contextlib import suppress
from mmap import MADV_DONTNEED, MADV_HUGEPAGE, MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

_MAPPED = 1 << 20
_PIECE = 32 << 20
_HUGE_PAGE, _HUGE = 2 << 20, 32 << 20
"""From _HUGE bytes on an array may have huge pages, half of the last of which is waste; a hot one, which is touched
whole, from one such page on. They spare page faults while it fills, and look-ups in the processor's table of pages."""
_ALL = 1 << 31


class Room(Protocol):
    """The arrays of one task, by name. A room that can no longer give what is asked for raises, and the worker ends:
    what is held is in the journal."""

    @property
    def chunk(self) -> int:
        """The most records to apply before `ease` is called again."""
        ...

    def full(self, needed: int) -> bool:
        """Whether `needed` bytes, which is what all arrays of this task will take, are too many where they lie: then
        those of records and keys have to be moved by `grown`, once."""
        ...

    def fresh(self, name: str, rows: int, dtype: npt.DTypeLike, *, hot: bool = False) -> npt.NDArray[Any]:
        """An array with anything in it, apart from the one that had this name. A hot one is reached into everywhere
        by every record."""
        ...

    def grown(self, name: str, array: npt.NDArray[Any], used: int, more: int) -> npt.NDArray[Any]:
        """An array with the first `used` rows of `array`, which must not be looked at again, and room for `more`."""
        ...

    def ease(self) -> None:
        """Give back memory that is only lent."""
        ...


class Memory:
    """Anonymous memory, as much as there is."""

    def __init__(self) -> None:
        self._maps: dict[str, mmap] = {}

    @property
    def chunk(self) -> int:
        """No bound."""
        return _ALL

    def full(self, needed: int) -> bool:
        """Never."""
        return False

    def fresh(self, name: str, rows: int, dtype: npt.DTypeLike, *, hot: bool = False) -> npt.NDArray[Any]:
        """As Room says. Large arrays are mappings of their own, whose untouched pages cost no memory, and which go
        back whole; the allocator would keep them as holes."""
        size = rows * np.dtype(dtype).itemsize
        self._maps.pop(name, None)
        if size < _MAPPED:
            return np.empty(rows, dtype)
        mapped = self._maps[name] = mmap(-1, size, MAP_PRIVATE | MAP_ANONYMOUS)
        if size >= (_HUGE_PAGE if hot else _HUGE):
            with suppress(OSError):  # a kernel that has none
                mapped.madvise(MADV_HUGEPAGE)
        return np.frombuffer(mapped, dtype)

    def grown(self, name: str, array: npt.NDArray[Any], used: int, more: int) -> npt.NDArray[Any]:
        """As Room says: doubled."""
        before = self._maps.get(name)
        grown = self.fresh(name, 2 * (used + more), array.dtype)
        self.copy(array, grown, used, before)
        return grown

    def ease(self) -> None:
        """Nothing is lent."""

    def copy(self, old: npt.NDArray[Any], new: npt.NDArray[Any], rows: int, before: mmap | None) -> None:
        """Copy the first rows, giving back what has been copied out of the mapping `before`, so that growing takes
        no more memory than what is held."""
        source, target, stop = old.view(np.uint8), new.view(np.uint8), rows * old.itemsize
        for start in range(0, stop, _PIECE):
            size = min(_PIECE, stop - start)
            target[start : start + size] = source[start : start + size]
            if before is not None:
                before.madvise(MADV_DONTNEED, start, size)
            self.ease()
