"""ADWIN's window: exponentially growing buckets of sum and variance, and the kernels that append, cut and drop.

`places` and `store` are all there is of a detector: a call of a kernel is dearer by each argument, so parameters and
scratch lie there too. The kernels allocate nothing, and are compiled without the counting of references.
"""

from __future__ import annotations

from math import log, sqrt

import numba
import numpy as np

from detectors.detector import ALARMED, IGNORED, SEEN, SINCE, Float64Array, Int64Array

LEVELS = 48
AT_ONCE = 64  # values that are appended together, at most
TICK, DEEP, SIZES = 4, 5, 8  # in places: values since the start, levels in use, and from there the levels' buckets
# In store: what is known of the window and of the alarm's cut; the six parameters; from TOTALS on the sums of the
# buckets, a row a level, the oldest first, and their variances; at last, room for what is appended.
WIDTH, TOTAL, VARIANCE, GAP, EPSILON = range(5)
DELTA, CLOCK, BUCKETS, LEAST, GRACE, CHANGE = range(5, 11)
TOTALS = 11


def end_of_buckets(max_buckets: int) -> int:
    """Where in store the buckets end, and the room for what is appended begins: four rows of max_buckets + AT_ONCE."""
    return TOTALS + 2 * LEVELS * (max_buckets + 1)


@numba.njit(cache=True, _nrt=False)
def clear(places: Int64Array, store: Float64Array) -> None:
    """Empty the window."""
    places[TICK], places[DEEP], places[ALARMED], places[SINCE] = 0, 0, 0, 0
    for k in range(LEVELS):
        places[SIZES + k] = 0
    for k in range(DELTA):
        store[k] = 0.0
    for k in range(TOTALS, TOTALS + 2 * LEVELS * (int(store[BUCKETS]) + 1)):
        store[k] = 0.0


@numba.njit(cache=True, _nrt=False)
def _push_one(places: Int64Array, store: Float64Array, value: float, max_buckets: int) -> None:
    """Append a value; of each level that overflows the two oldest buckets merge into one of the next."""
    row, apart = TOTALS, LEVELS * (max_buckets + 1)
    total, variance, length = value, 0.0, 1.0
    for level in range(LEVELS):
        size = places[SIZES + level]
        store[row + size] = total
        store[row + apart + size] = variance
        if size < max_buckets:
            places[SIZES + level] = size + 1
            places[DEEP] = max(places[DEEP], level + 1)
            return
        share, half = 1.0 / length, length * 0.5  # of a power of two: products are what quotients would be
        gap = store[row] * share - store[row + 1] * share
        total = store[row] + store[row + 1]
        variance = store[row + apart] + store[row + apart + 1] + half * gap * gap
        for k in range(row, row + max_buckets - 1):
            store[k] = store[k + 2]
            store[k + apart] = store[k + apart + 2]
        for k in range(row + max_buckets - 1, row + max_buckets + 1):
            store[k] = store[k + apart] = 0.0
        places[SIZES + level] = max_buckets - 1
        row += max_buckets + 1
        length *= 2.0


@numba.njit(cache=True, _nrt=False)
def _push(places: Int64Array, store: Float64Array, count: int, max_buckets: int) -> None:
    """Append the values in the spare room, as `_push_one` does one by one.

    It goes level by level, for all values at once: which buckets make a pair does not depend on when they merge. Of
    the spare room two rows hold the buckets that come to a level, from place max_buckets on, and two those for the
    next.
    """
    apart, wide = LEVELS * (max_buckets + 1), max_buckets + AT_ONCE
    row, lane = TOTALS, TOTALS + 2 * apart
    out = lane + 2 * wide
    length = 1.0
    for level in range(LEVELS):
        size = places[SIZES + level]
        merges = max(0, (size + count - max_buckets + 1) // 2)
        if merges == 0:
            for k in range(count):
                store[row + size + k] = store[lane + max_buckets + k]
                store[row + apart + size + k] = store[lane + wide + max_buckets + k]
            places[SIZES + level] = size + count
            places[DEEP] = max(places[DEEP], level + 1)
            return
        first = lane + max_buckets - size
        for k in range(size):
            store[first + k] = store[row + k]
            store[first + wide + k] = store[row + apart + k]
        share, half = 1.0 / length, length * 0.5
        for k in range(merges):
            one = first + 2 * k
            gap = store[one] * share - store[one + 1] * share
            store[out + max_buckets + k] = store[one] + store[one + 1]
            spread = store[one + wide] + store[one + wide + 1] + half * gap * gap
            store[out + wide + max_buckets + k] = spread
        first += 2 * merges
        size += count - 2 * merges
        for k in range(size):
            store[row + k] = store[first + k]
            store[row + apart + k] = store[first + wide + k]
        for k in range(row + size, row + max_buckets + 1):
            store[k] = store[k + apart] = 0.0
        places[SIZES + level] = size
        count = merges
        lane, out = out, lane
        row += max_buckets + 1
        length *= 2.0


@numba.njit(cache=True, _nrt=False)
def _drop_oldest(places: Int64Array, store: Float64Array, max_buckets: int) -> None:
    level = places[DEEP] - 1
    length = float(1 << level)
    totals = TOTALS + level * (max_buckets + 1)
    variances = totals + LEVELS * (max_buckets + 1)
    total = store[totals]
    store[WIDTH] -= length
    store[TOTAL] -= total
    gap = total / length - store[TOTAL] / store[WIDTH]
    store[VARIANCE] -= store[variances] + length * store[WIDTH] * gap * gap / (length + store[WIDTH])
    for k in range(max_buckets):
        store[totals + k] = store[totals + k + 1]
        store[variances + k] = store[variances + k + 1]
    places[SIZES + level] -= 1
    if places[SIZES + level] == 0:
        places[DEEP] -= 1


@numba.njit(cache=True, _nrt=False)
def _even(places: Int64Array, store: Float64Array, max_buckets: int, strictness: float) -> bool:
    """Whether surely no cut differs, found without a division or a root; where in doubt, False.

    As min_window_length >= 1, epsilon^2 is at least 2 × strictness × variance / (old × new), and the distance of the
    means is |old total × new - new total × old| / (old × new). The slack of 1e-15 and 1e-9 is several times what the
    roundings on both ways come to; numbers too large to be squared are in doubt.
    """
    width = store[WIDTH]
    least = 2.0 * strictness * store[VARIANCE] * (1.0 - 1e-9)
    old, new = 0.0, width
    old_total, new_total = 0.0, store[TOTAL]
    doubts = 0
    for level in range(places[DEEP] - 1, -1, -1):
        length = float(1 << level)
        row = TOTALS + level * (max_buckets + 1)
        for k in range(row, row + places[SIZES + level] - (level == 0)):  # after the newest value there is no cut
            old += length
            new -= length
            old_total += store[k]
            new_total -= store[k]
            ours, theirs = old_total * new, new_total * old
            apart = abs(ours - theirs) + 1e-15 * (abs(ours) + abs(theirs))
            doubts += 0 if apart * apart <= least * (old * new) else 1
    return doubts == 0 and least * width * width < 1e300


@numba.njit(cache=True, _nrt=False)
def cut(
    places: Int64Array, store: Float64Array, max_buckets: int, delta: float, least: float, every: bool
) -> tuple[float, float, bool]:
    """The first cut from the oldest whose means are further apart than epsilon and the least change that matters:
    (their distance, that level, whether there is one). With `every`, the most telling cut, further apart or not."""
    width = store[WIDTH]
    strictness = log(2.0 * log(width) / delta)
    most_gap, most_epsilon = 0.0, 0.0
    if not every and _even(places, store, max_buckets, strictness):
        return most_gap, most_epsilon, False
    spread = store[VARIANCE] / width
    old, new = 0.0, width
    old_total, new_total = 0.0, store[TOTAL]
    for level in range(places[DEEP] - 1, -1, -1):
        length = float(1 << level)
        row = TOTALS + level * (max_buckets + 1)
        for k in range(places[SIZES + level] - (level == 0)):  # after the newest value there is no cut
            old += length
            new -= length
            old_total += store[row + k]
            new_total -= store[row + k]
            if new < least or old < least:
                continue
            gap = abs(old_total / old - new_total / new)
            inverse = 1.0 / (old - least + 1.0) + 1.0 / (new - least + 1.0)
            epsilon = sqrt(2.0 * inverse * spread * strictness) + 2.0 / 3.0 * strictness * inverse + store[CHANGE]
            if not every and gap > epsilon:
                return gap, epsilon, True
            if every and (most_epsilon == 0.0 or gap * most_epsilon > most_gap * epsilon):
                most_gap, most_epsilon = gap, epsilon
    return most_gap, most_epsilon, False


@numba.njit(cache=True, _nrt=False)
def _shrink(places: Int64Array, store: Float64Array, max_buckets: int, delta: float, least: float) -> bool:
    """Drop the oldest buckets while some cut differs; whether any did. The first such cut is the alarm's."""
    gap, epsilon, differs = cut(places, store, max_buckets, delta, least, False)
    if not differs:
        return False
    while differs:
        _drop_oldest(places, store, max_buckets)
        _, _, differs = cut(places, store, max_buckets, delta, least, False)
    store[GAP], store[EPSILON] = gap, epsilon
    places[ALARMED], places[SINCE] = 1, int(store[WIDTH])
    return True


@numba.njit(cache=True, _nrt=False)
def _check(places: Int64Array, store: Float64Array) -> bool:
    """Look at the window; whether it shrank."""
    if not np.isfinite(store[VARIANCE]):  # values whose squares overflowed: with them no cut could ever differ again
        clear(places, store)
        return False
    shrunk: bool = _shrink(places, store, int(store[BUCKETS]), store[DELTA], store[LEAST])
    return shrunk


@numba.njit(cache=True, _nrt=False)
def feed_one(places: Int64Array, store: Float64Array, value: float) -> bool:
    """Take one value and check, where every value is; whether it alarms."""
    if not np.isfinite(value):
        places[IGNORED] += 1
        return False
    if places[ALARMED]:
        clear(places, store)
    width, total = store[WIDTH], store[TOTAL]
    if width > 0.0:
        gap = value - total / width
        store[VARIANCE] += width * gap * gap / (width + 1.0)
    store[WIDTH], store[TOTAL] = width + 1.0, total + value
    places[SEEN] += 1
    places[TICK] += 1
    _push_one(places, store, value, int(store[BUCKETS]))
    alarmed: bool = width + 1.0 > store[GRACE] and _check(places, store)
    return alarmed


@numba.njit(cache=True, _nrt=False)
def feed_many(places: Int64Array, store: Float64Array, values: Float64Array) -> int:
    """Take values up to and including the first alarm: its place, or -1. Between checks they are appended together."""
    clock, max_buckets = int(store[CLOCK]), int(store[BUCKETS])
    i, size = 0, len(values)
    if clock == 1:
        for i in range(size):
            if feed_one(places, store, values[i]):
                return i
        return -1
    spare = TOTALS + 2 * LEVELS * (max_buckets + 1) + max_buckets
    while i < size:
        left = clock - places[TICK] % clock  # values until the next check
        width, total, variance = store[WIDTH], store[TOTAL], store[VARIANCE]
        count, most = 0, min(left, AT_ONCE)
        while i < size and count < most:
            value = values[i]
            i += 1
            if not np.isfinite(value):
                places[IGNORED] += 1
                continue
            if places[ALARMED]:
                clear(places, store)
                left, width, total, variance = clock, 0.0, 0.0, 0.0
                most = min(left, AT_ONCE)
            if width > 0.0:
                gap = value - total / width
                variance += width * gap * gap / (width + 1.0)
            width += 1.0
            total += value
            store[spare + count] = value
            store[spare + max_buckets + AT_ONCE + count] = 0.0
            count += 1
        store[WIDTH], store[TOTAL], store[VARIANCE] = width, total, variance
        if count == 0:
            break
        places[SEEN] += count
        places[TICK] += count
        _push(places, store, count, max_buckets)
        if count == left and width > store[GRACE] and _check(places, store):
            return i - 1
    return -1
