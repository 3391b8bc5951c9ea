"""Thresholds by bounds that hold for any number of values: adwin, chi_squared.

Each bound limits the expected number of alarms of a healthy series at a given rate; linearity of expectation does the
rest. Both are for independent values; where values depend on each other, sums of them vary as those of fewer
independent ones would, and what is asked of the exponent is multiplied by that inflation.
"""

from __future__ import annotations

from math import ceil, exp, log, sqrt

import numpy as np

from detectors.calibration.dependence import LEAST_FREEDOM, Dependence, certain
from detectors.calibration.request import Request
from detectors.calibration.result import Promise, Uncalibrated
from detectors.detector import Float64Array
from detectors.distribution.chi_squared import LEAST, cells

_CLOCK, _BUCKETS = 32, 5


def adwin(request: Request) -> Promise:
    """A union bound over checks and cuts of the Bernstein bound that ADWIN tests with, for values of a range of 1."""
    sample = request.values
    size, spread = len(sample), max(float(sample.std()), 1e-9)
    found = request.dependence() if sample.std() > 0 else Dependence(1.0, float(size), 0, sample, np.zeros(0))
    if found.freedom < LEAST_FREEDOM:
        raise Uncalibrated("the reference is too short to tell how far its values depend on each other", 4 * size)
    # a cut is exceeded with at most 2 exp(-log(2 log W / delta)) = delta / log W; there are buckets × log2 W cuts
    cuts, checks = (_BUCKETS + 1) / log(2.0), max(request.looks / _CLOCK, 1.0)
    nominal = min(request.share / (checks * cuts), 0.5)
    width = 2.0 * log(max(request.looks + size, 3.0))
    strictness = certain(log(width / nominal), found.freedom) * found.inflation
    if strictness - log(width) > 600.0:
        raise Uncalibrated("the values of the reference depend on each other too much for adwin", None)
    within = 8
    while within < 1_000_000:  # the least number of new values at which one standard deviation exceeds epsilon
        inverse = 1.0 / (within - 4.0) + 1.0 / size
        if sqrt(2.0 * inverse * spread * spread * strictness) + 2.0 / 3.0 * strictness * inverse < spread:
            break
        within = ceil(within * 1.05)
    return Promise(
        params={"delta": width * exp(-strictness), "clock": _CLOCK, "max_buckets": _BUCKETS},
        method="bound",
        expected_per_30d=checks * cuts * nominal,
        assumes=(
            "independent values at the reference's rate"
            if found.inflation == 1.0
            else f"values at the reference's rate, {found.inflation:.3g} of which count as one in a mean"
        )
        + "; Bernstein's bound with the window's own variance, summed over all checks and cuts of 30 days",
        shift=1.0,
        within=within,
        inflation=found.inflation,
    )


def chi_squared(request: Request) -> Promise:
    """Parameters of chi_squared, by Chernoff's bound."""
    r = request
    return _chi_squared(r.values, r.looks, r.share, r.window or 500, 0.05 if r.min_effect is None else r.min_effect)


def _chi_squared(sample: Float64Array, looks: float, share: float, window: int, min_effect: float) -> Promise:
    """A Chernoff bound for multinomials, P(n KL >= x) <= exp(-x) (e x / (k - 1))^(k - 1) over k cells (Agrawal,
    Finite-sample concentration of the multinomial in relative entropy, IEEE Trans. Inf. Theory 66, 2020), and the
    largest Pearson statistic that so much relative entropy allows, cell by cell."""
    _, proportions = cells(sample, window, LEAST)
    free = len(proportions) - 1
    if free < 1:
        raise Uncalibrated("no category of the reference is frequent enough to be told from the rest")
    level = log(min(share / looks, 1.0))
    entropy = float(free)
    while -entropy + free * log(2.718281828459045 * entropy / free) > level:
        entropy = entropy * 1.01 + 0.01
    room = entropy / (window * float(proportions.min()))
    ratio = 1.0
    while ratio * log(ratio) - ratio + 1.0 < room:
        ratio *= 1.01
    factor = (ratio - 1.0) ** 2 / max(ratio * log(ratio) - ratio + 1.0, 1e-12) if ratio > 1.001 else 2.0
    threshold = factor * entropy * (1.0 + window / len(sample))
    variation = max(min_effect, sqrt(threshold / window) / 2.0)
    if variation >= 0.9:
        raise Uncalibrated(f"{free} categories are too many for a window of {window} values and the budget")
    return Promise(
        params={"window": window, "threshold": threshold, "min_effect": min_effect},
        method="bound",
        expected_per_30d=share,
        assumes="independent values at the reference's rate; Chernoff's bound on the relative entropy of a multinomial "
        "summed over every look of 30 days; the reference's own error as the factor 1 + window / reference",
        shift=min(1.0, 1.5 * variation),
        within=ceil(window / 1.5),
    )
