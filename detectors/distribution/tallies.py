"""Kernels of chi_squared: counts of a window's categories, those of the reference and new ones, and what they show.

Kernels of other files call them: `make kernels` after a change.
"""

from __future__ import annotations

import numba

from detectors.detector import Float64Array, Int64Array
from detectors.distribution.ascending import Int32Array, place_of, shift_down, shift_up
from detectors.distribution.categories import surprise

BEFORE, LIMIT, INSIDE = range(3)
"""Columns of `known`, the reference's categories: times in the reference, times in a window that alarm, times in it."""
USED, NAMED, REST, REST_BEFORE, WHOLE = range(5)
"""Places in `marks`: new categories in the window (ascending in `new`, how often each came in `times`), values of named
categories; values of those rare in both samples together, in the window and in the reference; whether the next look
must look at all categories, and not only at the one that came."""


@numba.njit(cache=True)
def find(points: Float64Array, value: float) -> int:
    """The place of a category among the reference's; -1 where it is new."""
    place: int = place_of(points, len(points), value)
    return place if place < len(points) and points[place] == value else -1


@numba.njit(cache=True)
def empty(marks: Int64Array, known: Int64Array, rare: float) -> None:
    """No value in the window. `rare` is the number of times in both samples below which a category is."""
    marks[:] = 0
    marks[WHOLE] = 1
    for cell in range(len(known)):
        known[cell, INSIDE] = 0
        if known[cell, BEFORE] < rare:
            marks[REST_BEFORE] += known[cell, BEFORE]


@numba.njit(cache=True)
def count_new(marks: Int64Array, new: Float64Array, times: Int32Array, rare: float, value: float, sign: int) -> int:
    """A new category's value into the window (sign 1) or out of it (-1); how many of it there are then."""
    used = marks[USED]
    at = place_of(new, used, value)
    if at == used or new[at] != value:
        used += 1
        shift_up(new[at:used])
        shift_up(times[at:used])
        new[at], times[at] = value, 0
    inside: int = times[at] + sign
    regroup(marks, inside - sign, inside, 0, rare)
    times[at] = inside
    if inside == 0:
        shift_down(new[at:used])
        shift_down(times[at:used])
        used -= 1
    marks[USED] = used
    return inside


@numba.njit(cache=True)
def regroup(marks: Int64Array, inside: int, after: int, before: int, rare: float) -> None:
    """Who is rare is told by both samples together: chosen by the reference alone, those that came there too seldom by
    chance would come more often ever after."""
    if inside + before < rare:
        marks[REST] -= inside
        marks[REST_BEFORE] -= before
    if after + before < rare:
        marks[REST] += after
        marks[REST_BEFORE] += before


@numba.njit(cache=True)
def squares_of(shares: Float64Array, known: Int64Array) -> float:
    """The sum of inside² / share over the named categories, from the counts themselves."""
    total = 0.0
    for cell in range(len(shares)):
        if shares[cell] > 0.0:
            total += known[cell, INSIDE] * known[cell, INSIDE] / shares[cell]
    return total


@numba.njit(cache=True)
def pearson_of(marks: Int64Array, shares: Float64Array, known: Int64Array) -> float:
    """Pearson's statistic of the named categories, given how many values are theirs."""
    named = marks[NAMED]
    return max(squares_of(shares, known) / named - named, 0.0) if named > 0 else 0.0


@numba.njit(cache=True)
def variation_of(marks: Int64Array, shares: Float64Array, known: Int64Array, window: int, size: int) -> float:
    """Total variation of the window from the reference, all that is not named being one category."""
    total, before = 0.0, 0
    for cell in range(len(shares)):
        if shares[cell] > 0.0:
            total += abs(known[cell, INSIDE] / window - known[cell, BEFORE] / size)
            before += known[cell, BEFORE]
    variation: float = (total + abs(marks[NAMED] / window - before / size)) / 2.0
    return variation


@numba.njit(cache=True)
def together(marks: Int64Array, least: float, window: int, size: int) -> float:
    """The surprise at all that is rare in both samples; 0 where its share has not grown by `least`."""
    inside, before = marks[REST], marks[REST_BEFORE]
    if inside / window - before / size < least:
        return 0.0
    found: float = surprise(inside, before, window, size)
    return found
