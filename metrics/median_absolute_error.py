"""The median absolute error from distances that come and go: exact while they are few, a bound when they are many.

Distances are kept as roc_auc keeps scores, all on one side, in sorted disjoint bins. One is merged while it has at most
2/BINS of the weight, so a bound lies between the 0.498 and the 0.502 quantile; or where errors have since moved into
it, is at most 1 % wide (unless distances are spread over so many powers of ten that there is no room for that).
Weighted as scikit-learn's: the least distance that has half of the weight at or below it, or the middle between it and
the next where it is half exactly.
"""

from __future__ import annotations

import numba
import numpy as np

from metrics import sums
from metrics.roc_auc import Bins, total

_TOLERANCE = 1e-12  # of the weight: what adding weights may have rounded


@numba.njit(cache=True)
def bounds(bins: Bins) -> tuple[float, float]:
    """Between which values it lies; equal where it is exact; NaN without weight."""
    weight = total(bins.positive)
    if not weight > 0.0:
        return np.nan, np.nan
    half, seen = weight / 2.0, 0.0
    for b in range(len(bins.low)):
        seen += sums.value(bins.positive, b)
        if seen < half - _TOLERANCE * weight:
            continue
        if seen <= half + _TOLERANCE * weight:
            for after in range(b + 1, len(bins.low)):
                if sums.value(bins.positive, after) > 0.0:
                    return (bins.low[b] + bins.low[after]) / 2.0, (bins.high[b] + bins.high[after]) / 2.0
        return bins.low[b], bins.high[b]
    return bins.low[-1], bins.high[-1]


def value(bins: Bins, weight: float) -> dict[str, object]:
    """The metric: {"value"}, with "bound" where it is not exact; then the value is the bound's middle.

    `weight` is that of all outcomes: None where the bins do not hold all of them (a state that is older than they)."""
    low, high = bounds(bins)
    if np.isnan(low) or abs(total(bins.positive) - weight) > 1e-9 * weight:
        return {"value": None}
    return {"value": low} if low == high else {"value": (low + high) / 2.0, "bound": [low, high]}
