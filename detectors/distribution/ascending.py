"""Kernels over ascending numbers: where a value lies, and moving a part by one place.

Kernels of other files call them, and numba's cache looks at a kernel's own file alone: `make kernels` after a change.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from detectors.detector import Float64Array

Int32Array = npt.NDArray[np.int32]

STEPS = 2048
"""Even steps between the least and the largest point, to begin a search in."""


def grid_of(points: Float64Array) -> Float64Array:
    """Where the steps begin, and how many there are to a unit (0: all points are in one)."""
    with np.errstate(over="ignore"):
        spread = float(points[-1] - points[0])
    return np.array([points[0], STEPS / spread if 1e-300 < spread < 1e300 else 0.0])


@numba.njit(cache=True)
def _step(grid: Float64Array, value: float) -> int:
    """The step that a value falls in; it rises with the value."""
    place: int = int(min(max((value - grid[0]) * grid[1], 0.0), STEPS - 1.0))
    return place


@numba.njit(cache=True)
def guide_of(points: Float64Array, grid: Float64Array) -> Int32Array:
    """Where the points of each step begin: of step s they are guide[s] to guide[s + 1] - 1."""
    guide = np.zeros(STEPS + 1, np.int32)
    for j in range(len(points)):
        guide[_step(grid, points[j]) + 1] += 1
    for step in range(STEPS):
        guide[step + 1] += guide[step]
    return guide


@numba.njit(cache=True)
def cell_of(points: Float64Array, guide: Int32Array, grid: Float64Array, value: float) -> int:
    """The cell of a value: 2j + 1 for the j-th point itself, 2j for the gap before it."""
    step = _step(grid, value)
    low, high = guide[step], guide[step + 1]
    while low < high:
        middle = (low + high) >> 1
        if points[middle] < value:
            low = middle + 1
        else:
            high = middle
    found: int = 2 * low + (1 if low < len(points) and points[low] == value else 0)
    return found


@numba.njit(cache=True)
def place_of(points: Float64Array, used: int, value: float) -> int:
    """The first place among the first `used` points whose value is not smaller."""
    low, high = 0, used
    while low < high:
        middle = (low + high) >> 1
        if points[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(cache=True)
def shift_down(array: npt.NDArray[Any]) -> None:
    """Move all but the first one place down."""
    for k in range(len(array) - 1):
        array[k] = array[k + 1]


@numba.njit(cache=True)
def shift_up(array: npt.NDArray[Any]) -> None:
    """Move all but the last one place up."""
    for k in range(len(array) - 1, 0, -1):
        array[k] = array[k - 1]
