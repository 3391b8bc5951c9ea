"""What a run counts, in shared memory: it is there also when the process that counted was killed by a kernel."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np

INPUTS, ACCEPTED, SLOWEST, RSS_FIRST, RSS_LAST = range(5)
"""Inputs judged, those accepted, the longest family in microseconds of processor time, and RSS in KiB, once what is
loaded and compiled is there, and at last."""
_PLACES = 8


class Tally:
    """A few numbers in a file that is mapped."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8 * _PLACES))
        with path.open("r+b") as file:
            self._numbers = np.frombuffer(mmap.mmap(file.fileno(), 0), np.int64)

    def __getitem__(self, place: int) -> int:
        return int(self._numbers[place])

    def __setitem__(self, place: int, number: int) -> None:
        self._numbers[place] = number


def rss() -> int:
    """Resident memory of this process in KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise OSError("/proc/self/status says nothing of VmRSS")
