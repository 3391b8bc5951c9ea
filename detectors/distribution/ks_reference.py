"""Kernels of windowed_ks against a fixed reference: counts in cells, blocks of cells, looks only where one can matter.

The values of the reference and the gaps between them are cells; a value in and a value out move no distance by more
than one value's weight, so while the largest distance is k such steps below the threshold, k values need only be
counted; then the blocks of cells that they touched are summed anew.
"""

from __future__ import annotations

from math import gcd

import numba
import numpy as np

from detectors.detector import ALARMED, IGNORED, SEEN, SINCE, Float64Array, Int64Array
from detectors.distribution.ascending import STEPS, Int32Array, cell_of, grid_of, guide_of
from detectors.distribution.window import FILLED, NEXT, middle_ranks

_BLOCK = 64  # cells summed together
_TOTAL, _HIGH, _LOW, _STALE = range(4)  # of a block: sum, largest and smallest sum of a prefix, whether to sum anew


class AgainstReference:
    """The last `window` values against a reference sample."""

    def __init__(self, reference: Float64Array, window: int) -> None:
        self._points, self._weights = np.unique(reference, return_counts=True)
        self._divisor = gcd(len(reference), window)
        self._common = len(reference) * window // self._divisor
        self._grid = grid_of(self._points)
        self._guide = guide_of(self._points, self._grid)
        self.ring = np.zeros(window)
        self._slots = np.zeros(window, np.int32)
        self._cells = np.zeros(2 * len(self._points) + 1, np.int32)
        self._blocks = np.zeros((-(-len(self._cells) // _BLOCK), 4), np.int32)
        self._spare = np.zeros(1, np.int64)  # values that need no look
        self.memory = 40 * len(reference) + 16 * window + 8 * STEPS

    def feed(self, counts: Int64Array, threshold: float, values: Float64Array) -> int:
        """Take values up to and including the first alarm; its position, or -1."""
        return int(
            _feed(
                counts, self._points, self._guide, self._grid, self._weights, self.ring, self._slots, self._cells,
                self._blocks, self._spare, self._divisor, self._common, threshold, values,
            )
        )  # fmt: skip

    def clear(self, counts: Int64Array) -> None:
        """Empty the window."""
        _clear(counts, self._weights, self._cells, self._blocks, self._spare, len(self.ring))

    def recount(self, counts: Int64Array) -> None:
        """Count the values of the ring into an empty window."""
        filled = int(counts[FILLED])
        _recount(filled, self._points, self._guide, self._grid, self._weights, self.ring, self._slots, self._cells)

    def distance(self) -> float:
        """The KS distance of the full window."""
        return float(_largest(self._cells, self._blocks) // self._divisor / self._common)

    def ranks(self, values: Float64Array) -> Float64Array:
        """Of values in the reference."""
        return middle_ranks(self._points, self._weights, values)


@numba.njit(cache=True)
def _clear(
    counts: Int64Array, weights: Int64Array, cells: Int32Array, blocks: Int32Array, spare: Int64Array, window: int
) -> None:
    """The empty window: each cell holds its reference count × window; values will take × reference size off."""
    counts[ALARMED], counts[SINCE], counts[FILLED], counts[NEXT], spare[0] = 0, 0, 0, 0, 0
    cells[:] = 0
    for j in range(len(weights)):
        cells[2 * j + 1] = weights[j] * window
    blocks[:, _STALE] = 1


@numba.njit(cache=True)
def _recount(
    filled: int,
    points: Float64Array,
    guide: Int32Array,
    grid: Float64Array,
    weights: Int64Array,
    ring: Float64Array,
    slots: Int32Array,
    cells: Int32Array,
) -> None:
    size = weights.sum()
    for i in range(filled):
        slots[i] = cell_of(points, guide, grid, ring[i])
        cells[slots[i]] -= size


@numba.njit(cache=True)
def _largest(cells: Int32Array, blocks: Int32Array) -> int:
    """The largest absolute sum of a prefix of the cells: the distance × reference size × window."""
    total, high, low = 0, 0, 0
    for k in range(len(blocks)):
        if blocks[k, _STALE]:
            inside, top, bottom = 0, -(2**31 - 1), 2**31 - 1
            for cell in range(k * _BLOCK, min(len(cells), (k + 1) * _BLOCK)):
                inside += cells[cell]
                top = max(top, inside)
                bottom = min(bottom, inside)
            blocks[k, _TOTAL], blocks[k, _HIGH], blocks[k, _LOW], blocks[k, _STALE] = inside, top, bottom, 0
        high = max(high, total + blocks[k, _HIGH])
        low = min(low, total + blocks[k, _LOW])
        total += blocks[k, _TOTAL]
    return max(high, -low)


@numba.njit(cache=True)
def _feed(
    counts: Int64Array,
    points: Float64Array,
    guide: Int32Array,
    grid: Float64Array,
    weights: Int64Array,
    ring: Float64Array,
    slots: Int32Array,
    cells: Int32Array,
    blocks: Int32Array,
    ahead: Int64Array,
    divisor: int,
    common: int,
    threshold: float,
    values: Float64Array,
) -> int:
    window = len(ring)
    size = common * divisor // window
    at, filled, spare = counts[NEXT], counts[FILLED], ahead[0]
    for i in range(len(values)):
        value = values[i]
        if not np.isfinite(value):
            counts[IGNORED] += 1
            continue
        if counts[ALARMED]:
            _clear(counts, weights, cells, blocks, ahead, window)
            at, filled, spare = 0, 0, 0
        counts[SEEN] += 1
        slot = cell_of(points, guide, grid, value)
        if filled == window:
            old = slots[at]
            cells[old] += size
            blocks[old // _BLOCK, _STALE] = 1
        else:
            filled += 1
        cells[slot] -= size
        blocks[slot // _BLOCK, _STALE] = 1
        ring[at] = value
        slots[at] = slot
        at = at + 1 if at + 1 < window else 0
        spare -= 1
        if filled == window and spare < 0:
            largest = _largest(cells, blocks)
            if largest // divisor / common > threshold:
                counts[ALARMED] = 1
                counts[NEXT], counts[FILLED], ahead[0] = at, filled, 0
                return i
            # one step less than there are, against rounding
            spare = max(0, int((threshold * common * divisor - largest) / size) - 1)
    counts[NEXT], counts[FILLED], ahead[0] = at, filled, max(spare, 0)
    return -1
