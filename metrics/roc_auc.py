"""ROC AUC from scores that come and go: exact while they are few, a bound that holds it when they are many.

Scores are kept as entries (score, signed weight; the sign bit of the score says the class) and consolidated into
sorted, disjoint bins [low, high] of positive and negative weight. A bin of one value is a tie and costs nothing; in
a wider one the order of its rows is not known, which is what the bound pays for. `coarsen` merges neighbours as long
as they hold at most 2/BINS of the positives' and the negatives' shares together, so the merged bins add at most
1/BINS to the bound's width; and, for average precision, as long as they hold little against what lies above them. Bins
never split: a row taken back is found in the bin that holds its score.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from metrics.sums import Float64Array

EXACT_ROWS = 4096
BINS = 1024
TOP = 0.008
"""Of the positives above it, and of the negatives, a merged bin holds at most this share: about 0.002 of precision."""


class Bins(NamedTuple):
    """Sorted disjoint intervals of scores with the weight of positives and of negatives in each."""

    low: Float64Array
    high: Float64Array
    positive: Float64Array
    negative: Float64Array


def no_bins() -> Bins:
    """Nothing yet."""
    none = np.empty(0)
    return Bins(none, none, none, none)


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
    low, high, positive, negative = np.empty(room), np.empty(room), np.zeros(room), np.zeros(room)
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
            negative[made - 1] += weights[i]
        else:
            positive[made - 1] += weights[i]
    while b < len(bins.low):
        low[made], high[made] = bins.low[b], bins.high[b]
        positive[made], negative[made] = bins.positive[b], bins.negative[b]
        made += 1
        b += 1
    kept = np.flatnonzero((positive[:made] != 0.0) | (negative[:made] != 0.0) | (low[:made] < high[:made]))
    return Bins(low[kept], high[kept], positive[kept], negative[kept])


@numba.njit(cache=True)
def coarsen(bins: Bins, top: float = np.inf) -> Bins:
    """Merge light neighbours: at most about 2 * BINS bins remain; with `top`, about 3 * BINS: then a merged bin has at
    most this share of the positives, and of the negatives, that lie above it: bins narrow towards the highest scores.
    """
    positives, negatives = bins.positive.sum(), bins.negative.sum()
    positives_above, negatives_above = positives, negatives
    cap = 2.0 / BINS
    low, high, positive, negative = bins.low.copy(), bins.high.copy(), bins.positive.copy(), bins.negative.copy()
    made, held = 0, 0.0
    for b in range(len(bins.low)):
        share = 0.0
        if positives > 0.0:
            share += bins.positive[b] / positives
        if negatives > 0.0:
            share += bins.negative[b] / negatives
        positives_above -= bins.positive[b]
        negatives_above -= bins.negative[b]
        light = made > 0 and held + share <= cap
        if light and top < np.inf:
            light = (
                positive[made - 1] + bins.positive[b] <= top * positives_above
                and negative[made - 1] + bins.negative[b] <= top * negatives_above
            )
        if light:
            high[made - 1] = bins.high[b]
            positive[made - 1] += bins.positive[b]
            negative[made - 1] += bins.negative[b]
            held += share
        else:
            low[made], high[made] = bins.low[b], bins.high[b]
            positive[made], negative[made] = bins.positive[b], bins.negative[b]
            made += 1
            held = share
    return Bins(low[:made].copy(), high[:made].copy(), positive[:made].copy(), negative[:made].copy())


@numba.njit(cache=True)
def area(bins: Bins) -> tuple[float, float, float]:
    """(value, lower bound, upper bound) of the area; the three are equal where it is exact; NaN without both classes.

    The value is the Mann-Whitney statistic with pairs of unknown order counted half.
    """
    positives, negatives = 0.0, 0.0
    won, unknown = 0.0, 0.0
    for b in range(len(bins.low)):
        p, n = max(bins.positive[b], 0.0), max(bins.negative[b], 0.0)
        won += p * (negatives + 0.5 * n)
        if bins.low[b] < bins.high[b]:
            unknown += 0.5 * p * n
        positives += p
        negatives += n
    pairs = positives * negatives
    if not pairs > 0.0:
        return np.nan, np.nan, np.nan
    return won / pairs, max(0.0, (won - unknown) / pairs), min(1.0, (won + unknown) / pairs)


def value(bins: Bins) -> dict[str, object]:
    """The metric: {"value"}, with "bound" where it is not exact."""
    found, low, high = area(bins)
    if np.isnan(found):
        return {"value": None}
    return {"value": found} if low == high else {"value": found, "bound": [low, high]}
