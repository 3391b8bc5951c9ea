"""Log-binned histograms: quantiles of times within 3 %, linear (bins are counts), so they merge and can be taken back.

Bin 0 holds everything below one unit; above it every octave has 17 equal bins, so a bin's harmonic middle is at most
1 part in 35 from any value in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numba
import numpy as np

from metrics.sums import Float64Array, Int32Array, Int64Array

PER_OCTAVE = 17


@numba.njit(cache=True)
def bin_of(units: float, bins: int) -> int:
    """The bin of a value given in units; what lies beyond the last bin is counted in it, what is below 1 in bin 0."""
    if not units >= 1.0:
        return 0
    mantissa, exponent = math.frexp(units)
    found = 1 + (exponent - 1) * PER_OCTAVE + int((mantissa * 2.0 - 1.0) * PER_OCTAVE)
    return min(found, bins - 1)


@numba.njit(cache=True)
def lower_edge(place: int) -> float:
    """The least value (in units) of bin `place`."""
    if place == 0:
        return 0.0
    octave, part = divmod(place - 1, PER_OCTAVE)
    return math.ldexp(1.0 + part / PER_OCTAVE, octave)


@numba.njit(cache=True)
def middle(place: int) -> float:
    """The value (in units) that stands for bin `place`: 0 for bin 0, else the harmonic middle."""
    if place == 0:
        return 0.0
    low, high = lower_edge(place), lower_edge(place + 1)
    return float(2.0 * low * high / (low + high))


@numba.njit(cache=True)
def _places(counts: Int64Array, fractions: Float64Array) -> Int64Array:
    total = 0
    for count in counts:
        total += count
    found = np.full(len(fractions), -1, np.int64)
    if total <= 0:
        return found
    for i in range(len(fractions)):
        rank = max(1, math.ceil(fractions[i] * total))
        seen = 0
        for place in range(len(counts)):
            seen += counts[place]
            if seen >= rank:
                found[i] = place
                break
    return found


def quantiles(counts: Int64Array | Int32Array, fractions: Sequence[float]) -> list[float] | None:
    """The quantiles (in units; the value of rank ceil(fraction * n)) of the histogram; None where it is empty."""
    places = _places(counts, np.asarray(fractions, np.float64))
    if places[0] < 0:
        return None
    return [middle(int(place)) for place in places]
