"""Thresholds from a false-alarm budget, by a bound: no simulation, no tuning, the assumptions said in words.

The budget is a number of false alarms in 30 days, shared by all armed series. Each bound limits the expected number of
alarms of a healthy series of independent values at a given rate; linearity of expectation does the rest. A sample that
a bound cannot stand on raises Uncalibrated, with the reason as a sentence.
"""

from __future__ import annotations

from math import ceil, log, sqrt
from typing import Literal

import numpy as np

from detectors.calibration.result import Kind, Promise, Request, Uncalibrated
from detectors.detector import Float64Array
from detectors.distribution.chi_squared import LEAST, cells
from detectors.distribution.windowed_ks import ks_bound, ks_distance_at

STANDARD_ERRORS = 5.0
"""An allowance must be at least this many standard errors of the reference mean."""


def page_hinkley(request: Request) -> Promise:
    """Parameters of page_hinkley, by Kingman's bound."""
    r = request
    return _page_hinkley(r.values, r.looks, r.share, r.kind, r.min_effect, r.direction)


def adwin(request: Request) -> Promise:
    """Parameters of adwin, by Bernstein's bound."""
    return _adwin(request.values, request.looks, request.share)


def windowed_ks(request: Request) -> Promise:
    """Parameters of windowed_ks, by the bound of Dvoretzky, Kiefer and Wolfowitz."""
    r = request
    return _windowed_ks(r.values, r.looks, r.share, r.window or 500, 0.1 if r.min_effect is None else r.min_effect)


def chi_squared(request: Request) -> Promise:
    """Parameters of chi_squared, by Chernoff's bound."""
    r = request
    return _chi_squared(r.values, r.looks, r.share, r.window or 500, 0.05 if r.min_effect is None else r.min_effect)


_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(31)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def _page_hinkley(
    sample: Float64Array,
    looks: float,
    share: float,
    kind: Kind,
    min_effect: float | None,
    direction: Literal["up", "down", "both"],
) -> Promise:
    """Kingman's and Lundberg's bound: a reflected walk of increments Y with negative mean is above h after a step
    with at most exp(-theta h), where E exp(theta Y) = 1 (Asmussen, Applied Probability and Queues, XIII.5).

    The running mean is itself uncertain, by about one standard error over the values seen so far; the bound is
    averaged over that error and summed over the 30 days, so the early days, when the mean is poor, are paid for.
    """
    size = len(sample)
    if kind == "binary":
        mean = (float(sample.sum()) + 0.5) / (size + 1.0)
        spread = sqrt(mean * (1.0 - mean))
    else:
        mean, spread = float(sample.mean()), float(sample.std())
    if not spread > 0:
        raise Uncalibrated("the reference does not vary")
    delta = min_effect if min_effect is not None else (0.05 if kind == "binary" else 0.25 * spread)
    error = spread / sqrt(size)
    if delta < STANDARD_ERRORS * error:
        needed = ceil((STANDARD_ERRORS * spread / delta) ** 2)
        raise Uncalibrated(
            f"the allowance {delta:.4g} is smaller than five standard errors of the reference mean "
            f"({STANDARD_ERRORS * error:.4g}); a reference of about {needed} values would do",
            needed,
        )
    starts = np.geomspace(size, size + looks, 25)
    errors = spread / np.sqrt(starts[:-1])[:, None] * _NODES[None, :]
    weights = (np.diff(starts)[:, None] * _WEIGHTS[None, :]).ravel()
    sides = (1.0, -1.0) if direction == "both" else ((1.0,) if direction == "up" else (-1.0,))
    thetas = [_exponents(sample * side, mean * side, errors.ravel(), delta, kind) for side in sides]

    def expected(threshold: float) -> float:
        return float(sum(weights @ np.exp(-theta * threshold) for theta in thetas))

    low, high = 0.0, spread
    while expected(high) > share:
        low, high = high, 2.0 * high
        if high > 1e6 * spread:
            raise Uncalibrated("the tails of the reference are too heavy for the bound")
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if expected(middle) > share else (low, middle)
    mode = {"up": "up", "down": "down", "both": "both"}[direction]
    return Promise(
        params={"min_instances": 30, "delta": delta, "threshold": high, "alpha": 1.0, "mode": mode},
        method="bound",
        expected_per_30d=expected(high),
        assumes=(
            "independent values at the reference's rate; Kingman's bound with the moment generating function of "
            + ("a Bernoulli variable" if kind == "binary" else "the reference, three standard errors up")
            + ", averaged over the error of the running mean"
        ),
        shift=3.0 * delta if kind == "binary" else 3.0 * delta / spread,
        within=ceil(high / (2.0 * delta)),
    )


def _exponents(sample: Float64Array, mean: float, errors: Float64Array, delta: float, kind: Kind) -> Float64Array:
    """For each error of the running mean, the theta at which E exp(theta (X - mean - delta)) = 1; 0 where there is
    none above 0. Found on a grid, from below."""
    grid = np.geomspace(1e-3, 1e3, 400)
    if kind == "binary":
        spread = sqrt(abs(mean) * (1.0 - abs(mean)))
        grid = grid / spread
        down = mean < 0  # the mirrored side: X is -1 with the probability of an error
        rates = np.clip(abs(mean) + (-errors if down else errors), 1e-12, 1.0 - 1e-12)
        steps = np.expm1(-grid) if down else np.expm1(np.minimum(grid, 500.0))
        best = np.zeros(len(errors))
        for i, rate in enumerate(rates):
            slope = np.log1p(rate * steps) / grid - mean
            best[i] = _last_below(grid, slope, delta)
        return best
    gaps = sample - mean
    grid = grid / gaps.std()
    grid = grid[grid * max(float(gaps.max()), 1e-300) < 300.0]
    if not len(grid):
        return np.zeros(len(errors))
    slope = np.empty(len(grid))
    for k, theta in enumerate(grid):
        powers = np.exp(theta * gaps)
        guard = 3.0 * float((powers - theta * gaps).std()) / sqrt(len(gaps))
        slope[k] = log(float(powers.mean()) + guard) / theta
    slope = np.maximum.accumulate(slope)
    place = np.searchsorted(slope, delta - errors, side="right")
    return np.where(place > 0, grid[np.maximum(place, 1) - 1], 0.0)


def _last_below(grid: Float64Array, slope: Float64Array, level: float) -> float:
    # log E exp(theta X) / theta rises with theta
    place = int(np.searchsorted(slope, level, side="right"))
    return float(grid[place - 1]) if place else 0.0


def _adwin(sample: Float64Array, looks: float, share: float) -> Promise:
    """A union bound over checks and cuts of the Bernstein bound that ADWIN tests with."""
    clock, buckets = 32, 5
    # a cut is exceeded with at most 2 exp(-log(2 log W / delta)) = delta / log W; there are buckets × log2 W cuts
    cuts = (buckets + 1) / log(2.0)
    checks = max(looks / clock, 1.0)
    delta = min(share / (checks * cuts), 0.5)
    spread, width = max(float(sample.std()), 1e-9), looks + len(sample)
    strictness = log(2.0 * log(max(width, 3.0)) / delta)
    within = 8
    while within < 1_000_000:  # the least number of new values at which one standard deviation exceeds epsilon
        inverse = 1.0 / (within - 4.0) + 1.0 / len(sample)
        if sqrt(2.0 * inverse * spread * spread * strictness) + 2.0 / 3.0 * strictness * inverse < spread:
            break
        within = ceil(within * 1.05)
    return Promise(
        params={"delta": delta, "clock": clock, "max_buckets": buckets},
        method="bound",
        expected_per_30d=checks * cuts * delta,
        assumes="independent values at the reference's rate; Bernstein's bound with the window's own variance, "
        "summed over all checks and cuts of 30 days; values of a range of about 1",
        shift=1.0,
        within=within,
    )


def _windowed_ks(sample: Float64Array, looks: float, share: float, window: int, min_effect: float) -> Promise:
    """The two-sample Dvoretzky-Kiefer-Wolfowitz bound (see `ks_bound`), summed over all looks."""
    threshold = max(ks_distance_at(min(share / looks, 1.0), len(sample), window), min_effect)
    if threshold >= 0.9:
        raise Uncalibrated(f"a reference of {len(sample)} values and a window of {window} are too small for the budget")
    return Promise(
        params={"window": window, "threshold": threshold},
        method="bound",
        expected_per_30d=looks * ks_bound(threshold, len(sample), window),
        assumes="independent values at the reference's rate; two-sample Dvoretzky-Kiefer-Wolfowitz bound, summed over "
        "every look of 30 days",
        shift=min(1.0, 1.5 * threshold),
        within=ceil(window / 1.5),
    )


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
