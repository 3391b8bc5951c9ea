"""Rolling windows: a ring of the last outcomes in log order, summed when a window is emitted.

`held` is 2 × join task + 1, or + 0 for a hole.
"""

from __future__ import annotations

from typing import Any

import numba

from streams.gauge.windows.table import KERNEL


@numba.njit(**KERNEL)
def _find(rings: Any, at: int, room: int, count: int, number: int, task: int) -> int:
    """The place of the row `number` of join task `task`, or -1 where it is out."""
    for back in range(min(count, room)):
        place = at + (count - 1 - back) % room
        if rings[place].number == number and rings[place].held >> 1 == task:
            return int(place)
    return -1


@numba.njit(**KERNEL)
def hole(rings: Any, at: int, room: int, count: int, refers_to: int, task: int) -> bool:
    """Make a hole where the row was; False where it is out already."""
    place = _find(rings, at, room, count, refers_to, task)
    if place < 0:
        return False
    rings[place].held = 2 * task
    return True


@numba.njit(**KERNEL)
def put(rings: Any, at: int, room: int, count: int, refers_to: int, task: int, number: int) -> int:
    """The place of a new row, claimed: that of the row it replaces (-1 where it is out), else the oldest's."""
    if refers_to >= 0:
        place = _find(rings, at, room, count, refers_to, task)
        if place < 0:
            return -1
    else:
        place = at + count % room
    rings[place].number = number
    rings[place].held = 2 * task + 1
    return int(place)
