"""Thresholds from a false-alarm budget, by a bound: no simulation, no tuning, the assumptions said in words.

The budget is a number of false alarms in 30 days, shared by all armed series. Each bound limits the expected number of
alarms of a healthy series of independent values at a given rate; linearity of expectation does the rest. A sample that
a bound cannot stand on raises Uncalibrated, with the reason as a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isfinite, log, sqrt
from typing import Any, Literal

import numpy as np

from detectors.detector import Float64Array, ParameterError, Values, as_values
from detectors.distribution.chi_squared import LEAST, cells
from detectors.distribution.windowed_ks import ks_bound, ks_distance_at

Kind = Literal["binary", "numeric", "categories"]
"""What the values are: 0/1, numbers, or categories coded as numbers."""

SECONDS = 30 * 86400.0
LAG_ONE = 0.1
"""Lag-1 autocorrelation above which values are not taken as independent."""
STANDARD_ERRORS = 5.0
"""An allowance must be at least this many standard errors of the reference mean."""


class Uncalibrated(ValueError):
    """The bound does not hold for this sample; the message is the reason. `needed` is the size of a reference that
    would do, where a larger one would."""

    def __init__(self, reason: str, needed: int | None = None) -> None:
        super().__init__(reason)
        self.needed = needed


@dataclass(frozen=True, slots=True)
class Calibration:
    """Parameters to build a detector with, and what they promise.

    `params` lacks the reference where the detector takes one. `shift` (standard deviations, a rate's difference,
    a KS distance, a total variation) is found in about `within` values.
    """

    params: dict[str, Any]
    method: str
    expected_per_30d: float
    assumes: str
    shift: float
    within: int


def lag_one_autocorrelation(values: Values, kind: Kind = "numeric") -> float:
    """Of consecutive values; of categories, how much more often than by chance neighbours agree."""
    array = as_values(values)
    array = array[np.isfinite(array)]
    if len(array) < 3:
        return 0.0
    if kind == "categories":
        _, counts = np.unique(array, return_counts=True)
        chance = float(((counts / len(array)) ** 2).sum())
        return (float((array[1:] == array[:-1]).mean()) - chance) / (1.0 - chance) if chance < 1.0 else 0.0
    gaps = array - array.mean()
    spread = float(gaps @ gaps)
    return float(gaps[1:] @ gaps[:-1]) / spread if spread > 0 else 0.0


def calibrate(
    name: str,
    reference: Values,
    *,
    rate: float,
    budget: float = 1.0,
    series: int = 1,
    kind: Kind = "numeric",
    min_effect: float | None = None,
    direction: Literal["up", "down", "both"] = "both",
    window: int = 500,
    lag_one: float | None = None,
) -> Calibration:
    """Parameters for a detector that keeps to its share, budget / series, of the false alarms in 30 days.

    `rate` is in values a second. `min_effect` is the change that matters: for page_hinkley, the allowance, in the
    units of the values (default .05 for binary, a quarter of a standard deviation for numbers); for windowed_ks a
    distance (.1); for chi_squared a total variation (.05). `lag_one` replaces the reference's own autocorrelation,
    where its values are not consecutive. Raises Uncalibrated, or ParameterError for arguments out of range.
    """
    sample = as_values(reference)
    sample = sample[np.isfinite(sample)]
    if not (isfinite(rate) and rate > 0 and isfinite(budget) and budget > 0 and series >= 1):
        raise ParameterError("rate, budget and series must be numbers above 0")
    if len(sample) < 30:
        raise Uncalibrated(f"the reference holds {len(sample)} values; a bound needs at least 30")
    found = lag_one_autocorrelation(sample, kind) if lag_one is None else lag_one
    if found > LAG_ONE:
        raise Uncalibrated(
            f"neighbouring values of the reference are correlated (lag-1 autocorrelation {found:.3f}, over {LAG_ONE}); "
            "the bound holds for independent values only"
        )
    share, looks = budget / series, max(rate * SECONDS, 1.0)
    if name == "page_hinkley":
        return _page_hinkley(sample, looks, share, kind, min_effect, direction)
    if name == "adwin":
        return _adwin(sample, looks, share)
    if name == "windowed_ks":
        return _windowed_ks(sample, looks, share, window, 0.1 if min_effect is None else min_effect)
    if name == "chi_squared":
        return _chi_squared(sample, looks, share, window, 0.05 if min_effect is None else min_effect)
    raise ParameterError(f"there is no bound for {name!r}")


_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(31)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def _page_hinkley(
    sample: Float64Array,
    looks: float,
    share: float,
    kind: Kind,
    min_effect: float | None,
    direction: Literal["up", "down", "both"],
) -> Calibration:
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
    return Calibration(
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


def _adwin(sample: Float64Array, looks: float, share: float) -> Calibration:
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
    return Calibration(
        params={"delta": delta, "clock": clock, "max_buckets": buckets},
        method="bound",
        expected_per_30d=checks * cuts * delta,
        assumes="independent values at the reference's rate; Bernstein's bound with the window's own variance, "
        "summed over all checks and cuts of 30 days; values of a range of about 1",
        shift=1.0,
        within=within,
    )


def _windowed_ks(sample: Float64Array, looks: float, share: float, window: int, min_effect: float) -> Calibration:
    """The two-sample Dvoretzky-Kiefer-Wolfowitz bound (see `ks_bound`), summed over all looks."""
    threshold = max(ks_distance_at(min(share / looks, 1.0), len(sample), window), min_effect)
    if threshold >= 0.9:
        raise Uncalibrated(f"a reference of {len(sample)} values and a window of {window} are too small for the budget")
    return Calibration(
        params={"window": window, "threshold": threshold},
        method="bound",
        expected_per_30d=looks * ks_bound(threshold, len(sample), window),
        assumes="independent values at the reference's rate; two-sample Dvoretzky-Kiefer-Wolfowitz bound, summed over "
        "every look of 30 days",
        shift=min(1.0, 1.5 * threshold),
        within=ceil(window / 1.5),
    )


def _chi_squared(sample: Float64Array, looks: float, share: float, window: int, min_effect: float) -> Calibration:
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
    return Calibration(
        params={"window": window, "threshold": threshold, "min_effect": min_effect},
        method="bound",
        expected_per_30d=share,
        assumes="independent values at the reference's rate; Chernoff's bound on the relative entropy of a multinomial "
        "summed over every look of 30 days; the reference's own error as the factor 1 + window / reference",
        shift=min(1.0, 1.5 * variation),
        within=ceil(window / 1.5),
    )
