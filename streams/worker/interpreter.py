"""What a stage asks of its interpreter: a quick start, and no walks over what never becomes garbage."""

from __future__ import annotations

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
