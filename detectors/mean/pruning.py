"""The kernels of FOCuS: change points as corners of a convex hull of the cumulative sums, for one-parameter families.

For a change to a mean above, the corners of the lower hull; below, of the upper one (a sign turns one into the other).
With `ratio(a, b)` the log-likelihood of the values from a to b at their own mean, less that at a fixed one,
ratio(a, c) <= ratio(a, b) + ratio(b, c). So the sum of the ratios of the hull's sides up to a corner (its head), and
the ratio of what lies after it, bound the likelihood of a change there and at any older corner: as a rule one look
tells that none of them is over the threshold. The oldest corner is the start, all zeros.
"""

from __future__ import annotations

from math import log

import numba
import numpy as np

from detectors.detector import ALARMED, IGNORED, SEEN, SINCE, Float64Array, Int64Array

PIECES = 128
"""The most change points that are kept for one direction."""

KEPT = 4
"""Place in counts: change points kept upwards; downwards in the next."""

COUNT, TOTAL, START = 0, 2, 4
"""Places in sums: values and their sum, up and down; what the first value settled where the target is not known."""

AGES, TOTALS, HEADS = 0, 1, 2
"""Of a piece: the values and their sum up to it; the ratios of the hull's sides up to it, summed."""

GAUSSIAN, BERNOULLI, POISSON, GAMMA = 0, 1, 2, 3

_HUGE = 1e100  # beyond, values are taken as this: their squares and sums stay finite
_TINY = 1e-300  # instead of a zero to divide by, which only rounding leaves
_ROUNDING = 1e-9  # of a likelihood: pieces this close below the threshold are looked at too


@numba.njit(cache=True)
def clear(counts: Int64Array, sums: Float64Array, pieces: Float64Array) -> None:
    counts[ALARMED], counts[SINCE] = 0, 0
    counts[KEPT], counts[KEPT + 1] = 1, 1
    sums[:] = 0.0
    pieces[:] = 0.0


@numba.njit(cache=True)
def _inside(value: float, family: int) -> bool:
    """Whether the family has such values."""
    if family == GAUSSIAN:
        return True
    if family == GAMMA:
        return value > 0.0
    return value >= 0.0 and (family == POISSON or value <= 1.0)


@numba.njit(cache=True)
def _taken(value: float, family: int, origin: float, scale: float) -> float:
    """The value as it is summed."""
    if family == GAUSSIAN:
        return min(max((value - origin) / scale, -_HUGE), _HUGE)
    return min(max(value, 1.0 / _HUGE), _HUGE) if family == GAMMA else min(value, _HUGE)


@numba.njit(cache=True)
def _anchor(value: float, family: int) -> float:
    """Of an unknown target: the origin of gaussian values, else the mean that likelihoods are told against."""
    if family == GAUSSIAN:
        return value
    if family == BERNOULLI:
        return 0.5
    return min(value, _HUGE) + 0.5 if family == POISSON else min(max(value, 1.0 / _HUGE), _HUGE)


@numba.njit(cache=True)
def _ratio(total: float, count: float, mean: float, family: int, scale: float) -> float:
    """Log-likelihood of `count` values at their own mean, less that at `mean`: at least 0."""
    expected = count * mean
    if family == GAUSSIAN:
        gap = total - expected
        return gap * gap / (2.0 * count)
    if family == BERNOULLI:
        hits = min(max(total, 0.0), count)
        misses = count - hits
        found = hits * log(hits / max(expected, _TINY)) if hits > 0.0 else 0.0
        return found + (misses * log(misses / max(count - expected, _TINY)) if misses > 0.0 else 0.0)
    if family == POISSON:
        return expected - total + (total * log(total / max(expected, _TINY)) if total > 0.0 else 0.0)
    share = max(total / max(expected, _TINY), _TINY)
    return scale * count * (share - 1.0 - log(share))


@numba.njit(cache=True)
def _split_ratio(
    i: int,
    pieces: Float64Array,
    count: float,
    total: float,
    family: int,
    scale: float,
    known: bool,
    mean: float,
) -> float:
    """The log-likelihood ratio of a change at piece i."""
    before, sum_before = pieces[AGES, i], pieces[TOTALS, i]
    if known:
        return _ratio(total - sum_before, count - before, mean, family, scale)  # type: ignore[no-any-return]
    pooled = total / count
    after = _ratio(total - sum_before, count - before, pooled, family, scale)
    before_it = _ratio(sum_before, before, pooled, family, scale) if before > 0.0 else -after
    return after + before_it  # type: ignore[no-any-return]


@numba.njit(cache=True)
def best_change(
    pieces: Float64Array, kept: int, count: float, total: float, family: int, scale: float, known: bool, mean: float
) -> tuple[float, float]:
    """The largest ratio over the pieces, and the values after its change point."""
    best, after = 0.0, 1.0
    for i in range(kept):
        if pieces[AGES, i] < count:
            ratio = _split_ratio(i, pieces, count, total, family, scale, known, mean)
            if ratio > best:
                best, after = ratio, count - pieces[AGES, i]
    return best, after


@numba.njit(cache=True)
def _thin(pieces: Float64Array, kept: int, count: float) -> int:
    """Drop the piece whose neighbours are closest, relative to their age."""
    drop, closest = 1, np.inf
    for i in range(1, kept - 1):
        gap = (pieces[AGES, i + 1] - pieces[AGES, i - 1]) / (count - pieces[AGES, i - 1])
        if gap < closest:
            drop, closest = i, gap
    for i in range(drop, kept - 1):
        for k in range(3):
            pieces[k, i] = pieces[k, i + 1]
    return kept - 1


@numba.njit(cache=True)
def _pruned(pieces: Float64Array, kept: int, count: float, total: float, sign: float, known: bool, mean: float) -> int:
    """How many pieces are left as corners of the hull once the newest sum is part of it."""
    while kept > 1:
        width = pieces[AGES, kept - 1] - pieces[AGES, kept - 2]
        height = pieces[TOTALS, kept - 1] - pieces[TOTALS, kept - 2]
        new_width, new_height = count - pieces[AGES, kept - 1], total - pieces[TOTALS, kept - 1]
        if sign * new_height * width > sign * height * new_width:
            return kept
        kept -= 1
    behind = known and sign * (total - pieces[TOTALS, 0]) <= sign * mean * (count - pieces[AGES, 0])
    return 0 if behind else 1


@numba.njit(cache=True)
def _exceeds(
    pieces: Float64Array,
    kept: int,
    count: float,
    total: float,
    family: int,
    scale: float,
    known: bool,
    mean: float,
    base: float,
    threshold: float,
) -> bool:
    """Whether some piece's ratio is over the threshold; goes on to older ones while they may have it."""
    level = threshold + base - _ROUNDING * (1.0 + base)
    for i in range(kept - 1, -1, -1):
        newer = _ratio(total - pieces[TOTALS, i], count - pieces[AGES, i], mean, family, scale)
        if pieces[HEADS, i] + newer <= level:
            return False
        if _split_ratio(i, pieces, count, total, family, scale, known, mean) > threshold:
            return True
    return False


@numba.njit(cache=True)
def _matters(
    pieces: Float64Array,
    kept: int,
    count: float,
    total: float,
    family: int,
    scale: float,
    known: bool,
    mean: float,
    threshold: float,
    least: float,
) -> bool:
    """Whether the values after some piece are over the threshold against a mean that has moved by `least` (upwards
    where that is above 0) already. An unknown mean counts for as much as the values that it was estimated from."""
    for i in range(kept - 1, -1, -1):
        before, after = pieces[AGES, i], count - pieces[AGES, i]
        if after <= 0.0 or not (known or before > 0.0):
            continue
        moved = least + (mean if known else pieces[TOTALS, i] / before)
        newer = total - pieces[TOTALS, i]
        if (newer - after * moved) * least <= 0.0:
            continue
        share = 1.0 if known else before / count
        if share * _ratio(newer, after, moved, family, scale) > threshold:
            return True
    return False


@numba.njit(cache=True)
def prime(
    counts: Int64Array, sums: Float64Array, pieces: Float64Array, values: Float64Array, family: int, scale: float
) -> None:
    count, total, start = 0.0, 0.0, 0.0
    for value in values:
        if np.isfinite(value) and _inside(value, family):
            if count == 0.0:
                start = _anchor(value, family)
            count += 1.0
            total += _taken(value, family, start, scale)
    if count == 0.0:
        return
    sums[START] = start
    head = _ratio(total, count, 0.0 if family == GAUSSIAN else start, family, scale)
    for side in range(2):
        sums[COUNT + side], sums[TOTAL + side], counts[KEPT + side] = count, total, 2
        pieces[side, AGES, 1], pieces[side, TOTALS, 1], pieces[side, HEADS, 1] = count, total, head


@numba.njit(cache=True)
def feed(
    counts: Int64Array,
    sums: Float64Array,
    pieces: Float64Array,
    values: Float64Array,
    threshold: float,
    family: int,
    known: bool,
    target: float,
    scale: float,
    direction: int,
    least: float,
) -> int:
    for at in range(len(values)):
        value = values[at]
        if not (np.isfinite(value) and _inside(value, family)):
            counts[IGNORED] += 1
            continue
        if counts[ALARMED]:
            clear(counts, sums, pieces)
        counts[SEEN] += 1
        if not known and sums[COUNT] == 0.0 and sums[COUNT + 1] == 0.0:
            sums[START] = _anchor(value, family)
        start = target if known else sums[START]
        mean = 0.0 if family == GAUSSIAN else start
        taken = _taken(value, family, start, scale)
        base = 0.0
        for side in range(2):
            if not direction & (1 << side):
                continue
            sign = 1.0 - 2.0 * side
            own = pieces[side]
            count, total = sums[COUNT + side] + 1.0, sums[TOTAL + side] + taken
            kept = _pruned(own, counts[KEPT + side], count, total, sign, known, mean)
            if kept == 0:  # the sums are behind the healthy mean: no change yet
                counts[KEPT + side], sums[COUNT + side], sums[TOTAL + side] = 1, 0.0, 0.0
                continue
            if not known and base == 0.0:  # the same for both sides
                base = _ratio(total, count, mean, family, scale)
            last = kept - 1
            head = own[HEADS, last] + _ratio(total - own[TOTALS, last], count - own[AGES, last], mean, family, scale)
            if (
                head > threshold + base - _ROUNDING * (1.0 + base)
                and _exceeds(own, kept, count, total, family, scale, known, mean, base, threshold)
                and (
                    least == 0.0
                    or _matters(own, kept, count, total, family, scale, known, mean, threshold, sign * least)
                )
            ):
                counts[ALARMED] = 1
            else:
                if kept == PIECES:
                    kept = _thin(own, kept, count)
                own[AGES, kept], own[TOTALS, kept], own[HEADS, kept] = count, total, head
                kept += 1
            counts[KEPT + side], sums[COUNT + side], sums[TOTAL + side] = kept, count, total
        if counts[ALARMED]:
            _locate(counts, sums, pieces, family, scale, known, mean)
            return at
    return -1


@numba.njit(cache=True)
def _locate(
    counts: Int64Array, sums: Float64Array, pieces: Float64Array, family: int, scale: float, known: bool, mean: float
) -> None:
    """At an alarm: the values since the change point of the largest ratio."""
    best = 0.0
    for side in range(2):
        ratio, after = best_change(
            pieces[side], counts[KEPT + side], sums[COUNT + side], sums[TOTAL + side], family, scale, known, mean
        )
        if ratio > best:
            best = ratio
            counts[SINCE] = int(after)
