"""Average precision from the score bins of roc_auc: exact where no bin is wider than a value, else within a bound.

The sum over thresholds, from the highest score down, of what recall rises by times the precision there; scores that tie
are one threshold, as scikit-learn has it. In a bin whose order is not known, precision is highest where its positives
come first, all at once, and lowest where its negatives do and the positives follow one by one: then it is the integral
of (P + x) / (P + x + N) over the bin's positives, P and N being the weights of the positives and negatives above.
`roc_auc.coarsen` keeps bins narrow against what is above them, so that the bound stays narrow too.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from metrics import sums
from metrics.roc_auc import Bins


@numba.njit(cache=True)
def bounds(bins: Bins) -> tuple[float, float]:
    """The least and the largest value it can have; equal where it is exact; NaN without positives."""
    low, high, positives, negatives = 0.0, 0.0, 0.0, 0.0
    for b in range(len(bins.low) - 1, -1, -1):
        p, n = max(sums.value(bins.positive, b), 0.0), max(sums.value(bins.negative, b), 0.0)
        if p > 0.0:
            last = p * (positives + p) / (positives + p + negatives + n)
            if bins.low[b] == bins.high[b]:
                low += last
                high += last
            else:
                above = negatives + n
                high += p * (positives + p) / (positives + p + negatives)
                low += p - above * math.log1p(p / (positives + above)) if above > 0.0 else p
        positives += p
        negatives += n
    if not positives > 0.0:
        return np.nan, np.nan
    return min(1.0, max(0.0, low / positives)), min(1.0, high / positives)


def value(bins: Bins) -> dict[str, object]:
    """The metric: {"value"}, with "bound" where it is not exact; then the value is the bound's middle."""
    low, high = bounds(bins)
    if math.isnan(low):
        return {"value": None}
    return {"value": low} if low == high else {"value": (low + high) / 2.0, "bound": [low, high]}
