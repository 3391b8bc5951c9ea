"""The Wilson score interval of a proportion.

E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist


@cache
def _quantile(level: float) -> float:
    return NormalDist().inv_cdf(0.5 + level / 2.0)


def wilson_interval(proportion: float, trials: float, level: float = 0.95) -> tuple[float, float] | None:
    """The interval of `proportion` seen in `trials` (weighted: the effective number); None without trials."""
    if not trials > 0.0:
        return None
    z = _quantile(level)
    squared = z * z / trials
    centre = (proportion + squared / 2.0) / (1.0 + squared)
    inner = proportion * (1.0 - proportion) / trials + squared / (4.0 * trials)
    half = z * math.sqrt(max(inner, 0.0)) / (1.0 + squared)
    return max(0.0, centre - half), min(1.0, centre + half)
