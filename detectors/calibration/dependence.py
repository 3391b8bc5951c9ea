"""How much the values of a healthy sample depend on their neighbours, and what that does to sums of them.

The mean of n independent values varies by σ²/n, that of dependent ones by v σ²/n in the long run: v is the inflation.
An autoregression is fitted (Yule, Walker; its order by Schwarz's criterion), whose innovations e are uncorrelated, and
whose sums are those of e / (1 - Σφ), but for what hangs over at both ends. Blocks of the innovations then show whether
longer dependence is left, and raise the inflation where they do (Andrews, Monahan: An improved heteroskedasticity and
autocorrelation consistent covariance matrix estimator. Econometrica 60, 1992, 953-966: prewhitening).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log, sqrt

import numba
import numpy as np

from detectors.calibration.result import Kind, Uncalibrated
from detectors.detector import Float64Array, Values, as_values

HIGHEST_ORDER = 24
SURE = 1e-3
"""Blocks count as dependent where independent ones would vary as much less often than this."""
FEWEST = 16
"""Blocks to judge a length by."""
SLOWEST = 8
"""Half turns over the sample, up to which a slow wander is looked for."""
LEAST_FREEDOM = 15.0
"""A long-run variance known less well than this says nothing about rare alarms."""


@dataclass(frozen=True, slots=True, eq=False)
class Dependence:
    """`inflation`: the long-run variance over the variance, at least 1. `freedom`: it is known as well as a variance
    from so many independent normal values and one more. `order` of the autoregression, 0 where none was needed.

    `steps`: independent increments, centred, whose sums stand for the sums of the values; `overhang`: weights of the
    last values, newest first, in what a sum of values starts with beyond that of its steps; `wander`: the share of
    the inflation that blocks have added, 1 where none.
    """

    inflation: float
    freedom: float
    order: int
    steps: Float64Array
    overhang: Float64Array
    wander: float = 1.0


def dependence_of(values: Float64Array, parameters: float = 0.0) -> Dependence:
    """Of finite values in the order in which they came. `parameters` is the share of freedom that a season has taken
    from them: they vary less than new ones will. Raises Uncalibrated where dependence reaches too far to tell."""
    gaps = values - values.mean()
    size = len(gaps)
    variance = float(np.square(gaps).sum()) / size
    if not variance > 0:
        raise Uncalibrated("the reference does not vary")
    coefficients, spread = _autoregression(gaps / sqrt(variance))
    order = len(coefficients)
    # Yule and Walker's estimate is short by about this much (Kendall 1954)
    total = float(coefficients.sum())
    total += (1.0 + 4.0 * total) / size if order and total > 0 else 0.0
    if total >= 1.0 - 5.0 / sqrt(size):
        raise Uncalibrated("the values of the reference wander: each hardly differs from the one before", 20 * size)
    gain = 1.0 / (1.0 - total)
    innovations = gaps[order:].copy()
    for lag, coefficient in enumerate(coefficients, 1):
        innovations -= coefficient * gaps[order - lag : size - lag]
    innovations -= innovations.mean()
    freedom = 2.0 / (2.0 / size + 4.0 * gain * gain * spread)
    wander, blocks = _wander(innovations)
    if wander > 1.0:
        freedom = 1.0 / (1.0 / freedom + 1.0 / blocks)
    wander *= 1.0 + parameters
    inflation = gain * gain * wander * float(np.square(innovations).sum()) / len(innovations) / variance
    if inflation < 1.0:  # sums that vary less than independent ones do so in the long run only
        return Dependence(1.0, float(size), order, gaps, np.zeros(0))
    overhang = gain * np.cumsum(coefficients[::-1])[::-1]
    return Dependence(inflation, freedom, order, gain * sqrt(wander) * innovations, overhang, wander)


def dependence_at(values: Float64Array, lag_one: float) -> Dependence:
    """Of values that are not consecutive: as that of a first-order autoregression with this coefficient."""
    gaps = values - values.mean()
    if not float(np.square(gaps).sum()) > 0:
        raise Uncalibrated("the reference does not vary")
    if lag_one <= 0.0:
        return Dependence(1.0, float(len(gaps)), 0, gaps, np.zeros(0))
    if lag_one >= 1.0 - 5.0 / sqrt(len(gaps)):
        raise Uncalibrated("the values of the reference wander: each hardly differs from the one before")
    inflation = (1.0 + lag_one) / (1.0 - lag_one)
    freedom = len(gaps) * (1.0 - lag_one) / (2.0 * (1.0 + lag_one))
    return Dependence(inflation, freedom, 1, sqrt(inflation) * gaps, np.array([lag_one / (1.0 - lag_one)]))


def _autoregression(gaps: Float64Array, highest: int = HIGHEST_ORDER) -> tuple[Float64Array, float]:
    """(coefficients of standardised values, variance of their sum's error), by Levinson's recursion."""
    size = len(gaps)
    highest = min(highest, size // 20)
    covariance = _covariance(gaps, highest)
    coefficients, error = np.zeros(0), float(covariance[0])
    if not 0.0 < error < np.inf:
        raise Uncalibrated("the reference has values beyond what squares can tell")
    best, least = coefficients, size * log(error)
    for order in range(1, highest + 1):
        reflection = (covariance[order] - coefficients @ covariance[order - 1 : 0 : -1]) / error
        coefficients = np.append(coefficients - reflection * coefficients[::-1], reflection)
        error *= 1.0 - reflection * reflection
        if not error > 1e-12:
            raise Uncalibrated("the values of the reference wander: each hardly differs from the one before")
        cost = size * log(error) + order * log(size)
        if cost < least:
            best, least = coefficients, cost
    order = len(best)
    if not order:
        return best, 0.0
    lags = np.abs(np.arange(order)[:, None] - np.arange(order)[None, :])
    ones = np.ones(order)
    error = float(covariance[0] - best @ covariance[1 : order + 1])
    return best, error / size * float(ones @ np.linalg.solve(covariance[lags], ones))


def _wander(innovations: Float64Array) -> tuple[float, float]:
    """(how many times more than independent ones the sums of blocks vary, blocks less one): of the length at which
    they do so most, among those of which it is sure; (1, ∞) where there is none."""
    from scipy.special import chdtri

    size = len(innovations)
    variance = float(np.square(innovations).sum()) / size
    worst, blocks, length = 1.0, float("inf"), 8
    sums = np.concatenate(([0.0], np.cumsum(innovations)))
    while size // length >= FEWEST:
        parts = np.diff(sums[::length])
        freedom = len(parts) - 1
        ratio = float(parts.var(ddof=1)) / (length * variance)
        if ratio > max(worst, float(chdtri(freedom, SURE)) / freedom):
            worst, blocks = ratio, float(freedom)
        length *= 4
    return worst, blocks


@numba.njit(cache=True)
def _covariance(gaps: Float64Array, highest: int) -> Float64Array:
    """Autocovariances of centred values at lags 0 to the highest. Summed in order: the same bits on any machine."""
    size = len(gaps)
    found = np.zeros(highest + 1)
    for i in range(size):
        for lag in range(min(i, highest) + 1):
            found[lag] += gaps[i] * gaps[i - lag]
    return found / size


def demand_steady(values: Float64Array, parameters: float = 0.0, brief: bool = False) -> None:
    """Raises Uncalibrated where a sample wanders more slowly than its dependence tells: then it is too short to know
    its own level by, whether it shows a part of a season, an undertone or a trend.

    The sums of its ranks with the slowest cosines (up to four whole turns) are independent, and vary as sums of ranks
    do in the long run, which short dependence has told: an F test. Of a `brief` sample only a dependence on the last
    two values is taken for short: a longer one may as well be the wander itself (Müller, Watson: Testing models of
    low-frequency variability. Econometrica 76, 2008, 979-1016)."""
    from scipy.special import fdtrc

    size = len(values)
    _, places, times = np.unique(values, return_inverse=True, return_counts=True)
    if len(times) < 2:
        return
    ranks = (np.cumsum(times) - times / 2.0)[places]
    gaps = (ranks - ranks.mean()) / ranks.std()
    if brief:
        total = min(float(_autoregression(gaps, 2)[0].sum()), 1.0 - 5.0 / sqrt(size))
        inflation, freedom = (1.0 - total) ** -2.0 * max(1.0 - total * total, 0.0), float(size)
    else:
        found = dependence_of(ranks, parameters)
        inflation, freedom = found.inflation, found.freedom
    turns = np.pi * (np.arange(size) + 0.5) / size
    sums = np.array([float((gaps * np.cos(half * turns)).sum()) for half in range(1, SLOWEST + 1)])
    ratio = float(np.square(sums).mean()) * 2.0 / size / max(inflation, 1.0)
    if float(fdtrc(float(SLOWEST), max(freedom, 1.0), ratio)) < SURE:
        raise Uncalibrated(
            "the reference is too short for its slowest wander: its level moves further from end to end than its "
            "neighbouring values explain, by a season, an undertone or a trend",
            10 * size,
        )


def certain(exponent: float, freedom: float) -> float:
    """The exponent to ask for, so that exp(-exponent) holds on average where it is divided by a variance that is
    known with so many degrees of freedom: E exp(-y chi²/f) = (1 + 2 y / f)^(-f/2)."""
    if not isfinite(freedom):
        return exponent
    return freedom / 2.0 * float(np.expm1(2.0 * exponent / freedom))


def least_share(freedom: float) -> float:
    """What chi²/f exceeds in 95 of 100 cases."""
    from scipy.special import chdtri

    return float(chdtri(freedom, 0.95)) / freedom


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
    spread = float(np.square(gaps).sum())
    return float((gaps[1:] * gaps[:-1]).sum()) / spread if spread > 0 else 0.0
