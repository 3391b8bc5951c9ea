"""Thresholds by bounds that hold for any number of values: adwin, hddm_a, and, with the rate of clumps, chi_squared.

Each limits the expected number of alarms of a healthy series at a given rate; linearity of expectation does the rest.
They are for independent values; where values depend on each other, sums of them vary as those of fewer independent
ones would, and what is asked of the exponent is multiplied by that inflation.
"""

from __future__ import annotations

from math import ceil, e, exp, log, log1p, sqrt
from typing import NamedTuple

import numpy as np

from detectors.calibration.dependence import LEAST_FREEDOM, Dependence, certain
from detectors.calibration.request import Request
from detectors.calibration.result import Promise, Uncalibrated
from detectors.detector import Float64Array
from detectors.distribution.categories import LEAST, counted

_CLOCK, _BUCKETS = 32, 5
_WINDOW = 500  # values, for categories
_LONG = 2000  # a longer one is slow to show a new category; only taken where this one shows nothing
_BLIND = 0.6  # a total variation that is found no sooner than this is no use
_ENOUGH = 50  # values of rare categories to tell how they depend on each other
_WATCHED = 8  # categories whose dependence is looked at


class Known(NamedTuple):
    """An inflation, and the freedom it is known with."""

    inflation: float
    freedom: float


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
        params={"delta": width * exp(-strictness), "clock": _CLOCK, "max_buckets": _BUCKETS}
        | ({} if request.min_effect is None else {"least_change": request.min_effect}),
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


def hddm_a(request: Request) -> Promise:
    """Hoeffding's inequality for each pair of a value and a cut before it, summed over all pairs of a year."""
    size, values = len(request.values), request.values
    if values.min() < -0.5 or values.max() > 1.5:
        raise Uncalibrated("hddm_a is for values from 0 to 1")
    found = request.dependence() if values.std() > 0 else Dependence(1.0, float(size), 0, values, np.zeros(0))
    if found.freedom < LEAST_FREEDOM:
        raise Uncalibrated("the reference is too short to tell how far its values depend on each other", 4 * size)
    sides = 1 if request.direction == "up" else 2
    pairs = request.looks * (size + 12.0 * request.looks)
    confidence = min(request.share / pairs / sides, 0.5)
    strictness = certain(log(2.0 / confidence), found.freedom) * found.inflation
    if strictness > 600.0:
        raise Uncalibrated("the values of the reference depend on each other too much for hddm_a")
    drift = 2.0 * exp(-strictness)
    return Promise(
        params={
            "drift_confidence": drift,
            "warning_confidence": min(5.0 * drift, 1.0),
            "two_sided_test": request.direction != "up",
        },
        method="bound",
        expected_per_30d=request.share,
        assumes="values from 0 to 1 at the reference's rate, independent"
        + ("" if found.inflation == 1.0 else f" but for {found.inflation:.3g} counting as one in a mean")
        + "; Hoeffding's inequality, summed over all values and cuts of 30 days of the first year",
        shift=0.25,
        within=ceil(strictness / 2.0 / 0.25**2),
        inflation=found.inflation,
    )


def chi_squared(request: Request) -> Promise:
    """Half the share for Pearson's statistic of the named categories, half for the surprise at rare and new ones.

    Pearson's: the relative entropy of a window's counts, which is as good as half of chi-squared however far out,
    strays above a level in clumps (see `windows`), and no more often than each look does by itself (Agrawal,
    Finite-sample concentration of the multinomial in relative entropy, IEEE Trans. Inf. Theory 66, 2020:
    P(n KL >= x) <= exp(-x) (e x / (k - 1))^(k - 1) over k cells); and the largest statistic that so much relative
    entropy allows, cell by cell. Surprise: its own bound (see `surprise`), summed over the reference's rare categories,
    all of them together, and as many new ones as a window can hold often enough to alarm. Without a window given, the
    shortest that finds a total variation of 3 × min_effect, within reason.
    """
    least, size = 0.05 if request.min_effect is None else request.min_effect, len(request.values)
    rows = counted(request.values)
    usual, rare = of_categories(request)
    inflation, freedom = usual
    if freedom < LEAST_FREEDOM:
        raise Uncalibrated("the reference is too short to tell how far its values depend on each other", 4 * size)

    window, longest = request.window or _WINDOW, size // 8
    found = _levels(request, rows[:, 1], window, usual, rare)
    while (
        request.window is None
        and window < longest
        and (found[2] >= _BLIND or (found[2] > 3.0 * least and window < _LONG))
    ):
        window = min(ceil(window * 1.1), longest)
        found = _levels(request, rows[:, 1], window, usual, rare)
    threshold, surprise, variation = found
    if variation >= _BLIND:
        raise Uncalibrated(
            f"{len(rows)} categories are too many for a window of {window} values and a reference of {size}", 4 * size
        )
    variation = max(variation, least)
    return Promise(
        params={"window": window, "threshold": threshold, "surprise": surprise, "min_effect": least},
        method="closed form",
        expected_per_30d=request.share,
        assumes=(
            "independent values at the reference's rate"
            if inflation == 1.0
            else f"values at the reference's rate, {inflation:.3g} of which count as one in a proportion"
        )
        + "; the rate of clumps of the relative entropy of a multinomial, and Chernoff's bound on each rare category's "
        "count at every look of 30 days; the reference's own error as the factor 1 + window / reference",
        shift=min(1.0, 1.5 * variation),
        within=ceil(window / 1.5),
        inflation=inflation,
        reference=rows,
    )


def _levels(
    request: Request, times: Float64Array, window: int, usual: Known, rare: Known
) -> tuple[float, float, float]:
    """(threshold, surprise, total variation that is found) with a window."""
    inflation, freedom = usual
    size, rate = len(request.values), min(request.share / request.looks, 1.0) / 2.0
    named = times * window >= LEAST * size
    free = int(named.sum()) - 1
    surprise = certain(_surprise(rate, int((~named).sum()), window, size), rare.freedom) * rare.inflation
    if free < 1:
        return surprise, surprise, surprise / log1p(size / window) / window
    entropy = certain(_entropy(rate, free, window), freedom)
    expected = window * float(times[named].min()) / size
    threshold = _most(entropy / expected * inflation) * entropy * inflation * (1.0 + window / size)
    return threshold, surprise, sqrt(threshold / window) / 2.0


def of_categories(request: Request) -> tuple[Known, Known]:
    """(The largest inflation over the events "this category" of the most frequent ones and "none of these"; that of
    categories that are hardly ever seen: of all but these together, or, where they are too few, the least of the
    others', for what makes values stick together holds for each, and a season does not)."""
    values, rows = request.values, counted(request.values)
    most = rows[np.argsort(-rows[:, 1], kind="stable")[:_WATCHED], 0]
    found = [Known(1.0, float(len(values)))]
    for event in (*(values == each for each in most), ~np.isin(values, most)):
        if 0 < np.count_nonzero(event) < len(values):
            dependence = request.dependence(event.astype(np.float64))
            found.append(Known(dependence.inflation, dependence.freedom))
    others = len(found) == _WATCHED + 2 and np.count_nonzero(event) >= _ENOUGH
    return max(found), found[-1] if others else min(found[1:], default=found[0])


def _surprise(rate: float, rare: int, window: int, size: int) -> float:
    """The level, in nats, that the surprise at any category exceeds at most so often a look."""
    nats = 1.0
    for _ in range(60):
        nats = max(log((rare + 1 + window * log1p(size / window) / nats) / rate), 1.0)
    return nats


def _entropy(rate: float, free: int, window: int) -> float:
    """The relative entropy, in nats, that a multinomial of so many degrees of freedom exceeds in so many clumps."""
    from scipy.special import chdtrc

    entropy = float(free)
    while True:
        bound = exp(min(0.0, -entropy + free * log(e * entropy / free)))
        if min(bound, 4.0 * entropy / window * float(chdtrc(free, 2.0 * entropy))) <= rate:
            return entropy
        entropy = entropy * 1.01 + 0.01


def _most(room: float) -> float:
    """Pearson's statistic over the relative entropy at the most, where one cell has this much of it for each value
    that it expects."""
    ratio = 1.0
    while ratio * log(ratio) - ratio + 1.0 < room:
        ratio *= 1.01
    return (ratio - 1.0) ** 2 / max(ratio * log(ratio) - ratio + 1.0, 1e-12) if ratio > 1.001 else 2.0
