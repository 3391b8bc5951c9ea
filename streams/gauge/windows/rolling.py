"""Rolling windows: a ring of the last outcomes in log order, summed when a window is emitted.

Columns of `Rings.ints`: row number, 2 × join task + 1 (or + 0: a hole), label delay, predicted class, actual class,
unused; of `Rings.floats`: prediction, label, score, probability of the label, weight.
"""

from __future__ import annotations

import numba

from streams.gauge.windows.store import Rings


@numba.njit(cache=True)
def _find(rings: Rings, at: int, room: int, count: int, number: int, task: int) -> int:
    """The place of the row `number` of join task `task`, or -1 where it is out."""
    for back in range(min(count, room)):
        place = at + (count - 1 - back) % room
        if rings.ints[place, 0] == number and rings.ints[place, 1] >> 1 == task:
            return int(place)
    return -1


@numba.njit(cache=True)
def hole(rings: Rings, at: int, room: int, count: int, refers_to: int, task: int) -> bool:
    """Make a hole where the row was; False where it is out already."""
    place = _find(rings, at, room, count, refers_to, task)
    if place < 0:
        return False
    rings.ints[place, 1] = 2 * task
    return True


@numba.njit(cache=True)
def put(rings: Rings, at: int, room: int, count: int, refers_to: int, task: int, number: int) -> int:
    """The place of a new row, claimed: that of the row it replaces (-1 where it is out), else the oldest's."""
    if refers_to >= 0:
        place = _find(rings, at, room, count, refers_to, task)
        if place < 0:
            return -1
    else:
        place = at + count % room
    rings.ints[place, 0] = number
    rings.ints[place, 1] = 2 * task + 1
    return int(place)
