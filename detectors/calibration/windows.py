"""Thresholds of windowed_ks: how often a healthy window strays that far from its reference.

The distance of a sliding window of w values is a field over time and value, locally like Brownian motion in both, so
alarms come in clumps at the rate 8 λ² exp(-2 λ²) / w a value, λ = D sqrt(n w / (n + w)) (Pickands' constant for such
fields is 1: Aldous, Probability approximations via the Poisson clumping heuristic, 1989, J. Kolmogorov's
distribution is the same without the factor 4 λ² / w for time), and never more often than each look exceeds D by
itself (the inequality of Dvoretzky, Kiefer and Wolfowitz). Dependent values fill a window as fewer independent ones
would: n and w are divided by the largest inflation over the events "at or under a quantile".
"""

from __future__ import annotations

from math import ceil, e, exp, log, sqrt

import numpy as np

from detectors.calibration.dependence import LEAST_FREEDOM, certain, least_share
from detectors.calibration.request import Request
from detectors.calibration.result import Promise, Uncalibrated
from detectors.detector import Float64Array

HELD = 2000
"""Values that the detector holds of a reference: evenly spaced order statistics, so its distribution function is off
by 1 / (2 HELD) at the most, however many values the reference had."""
SHORTEST = 200
"""Values in a window that is chosen here, at least."""
LEAST_INSIDE = 20.0
"""A window must be worth this many independent values."""
LARGEST = 0.6
"""A distance that is found no sooner than this is no use."""

_QUANTILES = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)


def windowed_ks(request: Request) -> Promise:
    """Parameters of windowed_ks. Without a window given, the shortest whose threshold is 1.5 × min_effect."""
    values, size = request.values, len(request.values)
    least = 0.1 if request.min_effect is None else request.min_effect
    inflation, freedom = indicator_inflation(request)
    held = thinned(values)
    off = 0.5 / len(held) if len(held) < size else 0.0
    longest = min(size // 8, 2**29 // len(held))

    def variance(window: int) -> float:
        return inflation * (1.0 / size + 1.0 / window)

    def distance(window: int) -> float:
        return sqrt(certain(_exponent(window, request.share / request.looks), freedom) / 2.0 * variance(window)) + off

    window = request.window or min(SHORTEST, longest)
    while request.window is None and window < longest and distance(window) > 1.5 * least:
        window = min(longest, ceil(window * 1.05))
    level = distance(window) if window >= 10 else 1.0
    if window < LEAST_INSIDE * inflation or level > LARGEST or freedom < LEAST_FREEDOM:
        raise Uncalibrated(
            f"a reference of {size} values and a window of {window} are too small for the budget"
            + (f", where {inflation:.3g} values count as one for their dependence" if inflation > 1.0 else ""),
            ceil(8.0 * max(SHORTEST, LEAST_INSIDE * inflation, 30.0 * inflation / LARGEST**2)),
        )
    level = max(level, least)
    exponent = 2.0 * (level - off) ** 2 / variance(window)
    expected = request.looks * _clumps(exponent, window) * (1.0 + 2.0 * exponent / freedom) ** (-freedom / 2.0)
    return Promise(
        params={"window": window, "threshold": level},
        method="closed form",
        expected_per_30d=min(request.share, expected),
        at_most_per_30d=request.looks * _clumps(exponent, window) * exp(-exponent * least_share(freedom)),
        assumes=(
            "independent values like the reference's, at its rate"
            if inflation == 1.0
            else f"values like the reference's, at its rate, {inflation:.3g} of which count as one in a mean"
        )
        + "; the rate of clumps of a Brownian field",
        shift=min(1.0, 1.5 * level),
        within=ceil(window / 1.5),
        inflation=inflation,
        reference=held,
    )


def indicator_inflation(request: Request) -> tuple[float, float]:
    """The largest inflation over the events "at or under a quantile", and the freedom it is known with."""
    worst = (1.0, float(len(request.values)))
    for cut in np.unique(np.quantile(request.values, _QUANTILES)):
        under = (request.values <= cut).astype(np.float64)
        if 0.0 < under.mean() < 1.0:
            found = request.dependence(under)
            worst = max(worst, (found.inflation, found.freedom))
    return worst


def thinned(values: Float64Array) -> Float64Array:
    """At most HELD order statistics that stand for all values, in ascending order."""
    ordered = np.sort(values)
    if len(values) <= HELD:
        return ordered
    places = ((np.arange(HELD) + 0.5) * len(values) / HELD).astype(np.int64)
    found: Float64Array = ordered[places]
    return found


def _clumps(exponent: float, window: int) -> float:
    """Alarms a value, but for exp(-exponent)."""
    return min(4.0 * exponent / window, e)


def _exponent(window: int, rate: float) -> float:
    """2 λ² at which there are so many alarms a value."""
    exponent = 2.0
    for _ in range(60):
        exponent = max(log(_clumps(exponent, window) / rate), 1.0)
    return exponent
