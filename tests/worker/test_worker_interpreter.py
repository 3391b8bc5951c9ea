"""What a stage asks of its interpreter, looked at in a process of its own."""

from __future__ import annotations

import subprocess
import sys

_A_STAGE = """
import sys
from streams.worker.interpreter import load_numba_without_blas
load_numba_without_blas()
import numpy as np
from streams.join import JoinTask
from streams.partitioner import partition_of
assert partition_of(b"21", 5000) == (-973932308 & 0x7FFFFFFF) % 5000, "the kernel works: Kafka says murmur2 of 21 so"
assert "scipy.linalg" not in sys.modules, "and did not wait for scipy.linalg"
"""


def _holds(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_kernel_runs_without_scipy_linalg_having_been_imported() -> None:
    _holds(_A_STAGE)


def test_who_needs_scipy_linalg_afterwards_gets_the_real_one() -> None:
    _holds(
        _A_STAGE
        + """
import scipy.linalg, scipy.linalg.cython_blas
assert scipy.linalg.cython_blas.__pyx_capi__, "the real module"
import numba
dot = numba.njit(lambda a, b: a @ b)
assert dot(np.eye(2), np.full((2, 2), 3.0)).tolist() == [[3.0, 3.0], [3.0, 3.0]], "numba too finds its BLAS"
"""
    )


def test_a_warm_join_has_its_kernels_loaded_before_it_has_read_anything() -> None:
    _holds(
        """
from streams.worker import preload, warm_up
preload()
from streams.join.past import hold_labels, hold_predictions
assert not hold_predictions.signatures and not hold_labels.signatures
warm_up("join")
assert hold_predictions.signatures and hold_labels.signatures, "those of a restore"
"""
    )


def test_what_lies_free_between_what_is_held_goes_back_to_the_system() -> None:
    _holds(
        """
import platform, resource
from streams.worker.interpreter import give_back_memory
if platform.libc_ver()[0] == "glibc":
    def resident():
        return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
    before = resident()
    pieces = [bytearray(50_000) for _ in range(2_000)]
    held = pieces[::100]
    full = resident() - before
    del pieces
    kept = resident() - before
    give_back_memory()
    left = resident() - before
    assert full > 90e6 and kept > 50e6, ("the allocator keeps them", full, kept)
    assert left < 10e6, left
else:
    give_back_memory()
"""
    )
