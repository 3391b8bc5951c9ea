"""What a stage asks of its interpreter: a quick start, no walks over what is not garbage, no memory for nothing."""

from __future__ import annotations

import ctypes
import gc
import importlib
import sys
from pathlib import Path
from types import ModuleType

_COMM = Path("/proc/self/comm")
_BLAS = "scipy.linalg.cython_blas"


def keep_what_is_there() -> None:
    """What a start has made lives as long as the process: the collector need not look at it again."""
    gc.collect()
    gc.freeze()


def give_back_memory() -> None:
    """Give pages that hold nothing back to the system. A batch's arrays come and go in a heap for each thread of the
    client's, and glibc keeps what is free in the middle of one: a third of a stage's memory, more by the hour
    (malloc_trim(3)). Where the C library has no such call, nothing is done."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def load_numba_without_blas() -> None:
    """Numba learns whether there is BLAS by importing scipy.linalg, which takes a third of a stage's start. No kernel
    of ours calls BLAS, so for that moment a placeholder stands there; who needs scipy.linalg later gets the real one.
    """
    if _BLAS in sys.modules:
        return
    sys.modules[_BLAS] = ModuleType(_BLAS)
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        del sys.modules[_BLAS]


def name_process(name: str) -> None:
    """What `ps -o comm` and `top` call this process, where the system lets one say it (Linux); 15 characters of it."""
    if _COMM.exists():
        _COMM.write_text(name[:15])
