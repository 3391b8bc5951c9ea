"""ROC AUC from scores that come and go: exact while they are few, a bound that holds it when they are many.

Scores are kept as entries (score, signed weight; the sign bit of the score says the class) and consolidated into
sorted, disjoint bins [low, high] of positive and negative weight. A bin of one value is a tie and costs nothing; in
a wider one the order of its rows is not known, which is what the bound pays for. `coarsen` merges neighbours as long
as they hold at most 2/BINS of the positives' and the negatives' shares together, so the merged bins add at most
1/BINS to the bound's width; and, for average precision, as long as they hold little against what lies above them. Bins
never split: a row taken back is found in the bin that holds its score, and so is every later row. What is light now may
be where all rows fall later, so a merged bin is no wider than there must be room for, whatever it holds.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from metrics import sums
from metrics.sums import Float64Array

EXACT_ROWS = 4096
BINS = 1024
TOP = 0.008
"""Of the positives above it, and of the negatives, a merged bin holds at most this share: about 0.002 of precision."""
ROOM = EXACT_ROWS
"""Bins may be so many before they are wider than they should be."""
RATIO = 1.01
"""The largest distance in a merged bin is at most so many times the least."""
ANGLE = 1.0 / 2048
"""So wide is a merged bin of scores in asin(sqrt(score)), the scale on which a share's standard error is the same
everywhere: 1/2048 at a score of 1/2, 1/10,000 at 0.01 and at 0.99. All scores from 0 to 1 take 3,217 such bins."""


class Bins(NamedTuple):
    """Sorted disjoint intervals of scores with the weight of positives and of negatives in each, sums of shape (n, 2):
    of weights that were all taken back nothing stays, nor does a heavy one take lighter ones with it."""

    low: Float64Array
    high: Float64Array
    positive: Float64Array
    negative: Float64Array


def no_bins() -> Bins:
    """Nothing yet."""
    return Bins(np.empty(0), np.empty(0), np.empty((0, 2)), np.empty((0, 2)))


@numba.njit(cache=True)
def entry(score: float, positive: bool) -> float:
    """A score in [0, 1] and its class as one number."""
    return float(np.copysign(score, 1.0 if positive else -1.0))


@numba.njit(cache=True)
def consolidate(bins: Bins, entries: Float64Array, weights: Float64Array) -> Bins:
    """The bins with the entries in them: those inside a bin join it, the others become bins of one value, and a value
    whose rows were all taken back is gone."""
    scores = np.abs(entries)
    order = np.argsort(scores, kind="mergesort")
    room = len(bins.low) + len(entries)
    low, high, positive, negative = np.empty(room), np.empty(room), np.zeros((room, 2)), np.zeros((room, 2))
    made, b = 0, 0
    for i in order:
        score = scores[i]
        while b < len(bins.low) and bins.low[b] <= score:
            low[made], high[made] = bins.low[b], bins.high[b]
            positive[made], negative[made] = bins.positive[b], bins.negative[b]
            made += 1
            b += 1
        if made == 0 or high[made - 1] < score:
            low[made], high[made] = score, score
            made += 1
        if np.signbit(entries[i]):
            sums.add(negative, made - 1, weights[i])
        else:
            sums.add(positive, made - 1, weights[i])
    while b < len(bins.low):
        low[made], high[made] = bins.low[b], bins.high[b]
        positive[made], negative[made] = bins.positive[b], bins.negative[b]
        made += 1
        b += 1
    kept = np.flatnonzero((positive[:made, 0] != 0.0) | (negative[:made, 0] != 0.0) | (low[:made] < high[:made]))
    return Bins(low[kept], high[kept], positive[kept], negative[kept])


@numba.njit(cache=True)
def total(weights: Float64Array) -> float:
    """The weight of one side of all bins."""
    found = 0.0
    for b in range(len(weights)):
        found += sums.value(weights, b)
    return found


@numba.njit(cache=True)
def _fits(low: float, high: float, limit: float, distances: bool) -> bool:
    """Whether a merged bin may reach from low to high: of distances, `high` is at most `limit` times `low`; of scores,
    `limit` is the sine of the difference of their angles, asin(sqrt(score))."""
    if distances:
        return high <= low * limit
    return limit >= 1.0 or math.sqrt(high * (1.0 - low)) - math.sqrt(low * (1.0 - high)) <= limit


@numba.njit(cache=True)
def _merged(bins: Bins, limit: float, distances: bool) -> Bins:
    """Light neighbours merged where the bin that they make `_fits`; of scores, where also it holds at most TOP of the
    positives, and of the negatives, that lie above it: bins narrow towards the highest scores."""
    positives, negatives = total(bins.positive), total(bins.negative)
    positives_above, negatives_above = positives, negatives
    cap = 2.0 / BINS
    low, high, positive, negative = bins.low.copy(), bins.high.copy(), bins.positive.copy(), bins.negative.copy()
    made, held = 0, 0.0
    for b in range(len(bins.low)):
        p, n = sums.value(bins.positive, b), sums.value(bins.negative, b)
        share = 0.0
        if positives > 0.0:
            share += p / positives
        if negatives > 0.0:
            share += n / negatives
        positives_above -= p
        negatives_above -= n
        light = made > 0 and held + share <= cap and _fits(low[made - 1], bins.high[b], limit, distances)
        if light and not distances:
            light = (
                sums.value(positive, made - 1) + p <= TOP * positives_above
                and sums.value(negative, made - 1) + n <= TOP * negatives_above
            )
        if light:
            high[made - 1] = bins.high[b]
            sums.merge(positive[made - 1 : made], bins.positive[b : b + 1])
            sums.merge(negative[made - 1 : made], bins.negative[b : b + 1])
            held += share
        else:
            low[made], high[made] = bins.low[b], bins.high[b]
            positive[made], negative[made] = bins.positive[b], bins.negative[b]
            made += 1
            held = share
    return Bins(low[:made].copy(), high[:made].copy(), positive[:made].copy(), negative[:made].copy())


@numba.njit(cache=True)
def coarsen(bins: Bins, distances: bool = False) -> Bins:
    """Merge light neighbours, of scores or of `distances`, into bins as narrow as leaves at most ROOM of them."""
    limit, widest = (RATIO, np.inf) if distances else (ANGLE, 1.0)
    found: Bins = _merged(bins, limit, distances)
    while len(found.low) > ROOM and limit < widest:
        limit *= limit if distances else 2.0
        found = _merged(bins, limit, distances)
    return found


@numba.njit(cache=True)
def area(bins: Bins) -> tuple[float, float, float]:
    """(value, lower bound, upper bound) of the area; the three are equal where it is exact; NaN without both classes.

    The value is the Mann-Whitney statistic with pairs of unknown order counted half.
    """
    positives, negatives = 0.0, 0.0
    won, unknown = 0.0, 0.0
    for b in range(len(bins.low)):
        p, n = max(sums.value(bins.positive, b), 0.0), max(sums.value(bins.negative, b), 0.0)
        won += p * (negatives + 0.5 * n)
        if bins.low[b] < bins.high[b]:
            unknown += 0.5 * p * n
        positives += p
        negatives += n
    pairs = positives * negatives
    if not pairs > 0.0:
        return np.nan, np.nan, np.nan
    least, most = max(0.0, (won - unknown) / pairs), (won + unknown) / pairs
    return min(1.0, won / pairs), min(1.0, least), min(1.0, most)  # weights round: all pairs won may be a digit above 1


def value(bins: Bins) -> dict[str, object]:
    """The metric: {"value"}, with "bound" where it is not exact."""
    found, low, high = area(bins)
    if np.isnan(found):
        return {"value": None}
    return {"value": found} if low == high else {"value": found, "bound": [low, high]}
