"""Thresholds of cumulative sums with an allowance (page_hinkley, cusum): how often a healthy sum climbs that high.

A sum of increments Y with a negative mean is a walk that starts again at zero. With E exp(theta Y) = 1, exp(theta walk)
is a martingale; stopped where the walk either climbs above h or falls below zero by an undershoot u, it says

    P(climbs above h) <= exp(-theta h) (1 - E exp(-theta u))

(Lundberg; Asmussen, Applied Probability and Queues, XIII.5), and an alarm is a zero from which it climbs. The zeros
and their undershoots are counted on the reference. Dependent values are sums of independent increments but for what
hangs over at both ends (see `dependence`): theta is that of the increments, and each zero counts exp(theta × what
hangs over there) times. The level that the sum is taken from is an estimate: the bound is averaged over its error, by
the long-run variance, and over how well that variance is known.

An allowance alone does not hold back a change of nearly its size: the sum hardly falls back, and climbs by chance.
Where a change is said to be too small to matter, the climb must also be too steep for it: h >= z σ sqrt(n) over the n
values since zero, with exp(-z²/2) the false alarms allowed a value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log, sqrt
from typing import Any

import numba
import numpy as np

from detectors.calibration.dependence import LEAST_FREEDOM, Dependence, certain, least_share
from detectors.calibration.request import Request
from detectors.calibration.result import Promise, Uncalibrated
from detectors.detector import Float64Array

STANDARD_ERRORS = 5.0
"""An allowance must be at least this many standard errors of the reference mean."""

SURELY = 2.0
"""Standard errors of the reference mean that are added to a change too small to matter."""

_ERRORS, _CHANCES = np.polynomial.hermite_e.hermegauss(31)
_CHANCES = _CHANCES / _CHANCES.sum()
_CELLS = 1024


def page_hinkley(request: Request) -> Promise:
    """Parameters of page_hinkley; its running mean goes on learning, so its error shrinks over the 30 days."""
    size = len(request.values)
    climb = _climb(request, np.geomspace(size, size + request.looks, 25))
    return climb.promise(
        {"min_instances": 30, "delta": climb.delta, "threshold": climb.level, "alpha": 1.0, "mode": request.direction}
        | ({"gate": climb.gate} if climb.gate else {}),
        "the running mean",
    )


def cusum(request: Request) -> Promise:
    """Parameters of cusum, in standard deviations; its target is the reference's mean, with the error it has."""
    size = len(request.values)
    climb = _climb(request, np.array([size, size + request.looks]), learns=False)
    return climb.promise(
        {
            "reference_value": climb.delta / climb.spread,
            "decision_interval": climb.level / climb.spread,
            "target": climb.mean,
            "scale": climb.spread,
            "direction": request.direction,
        }
        | ({"gate": climb.gate / climb.spread} if climb.gate else {}),
        "the reference's mean",
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Climb:
    """A level of the sum, in units of the values, and what it promises. `gate` times the root of how many values the
    sum has climbed over is the least climb that is more than a change of `delta` makes by chance; 0 where no change is
    too small to matter."""

    request: Request
    mean: float
    spread: float
    delta: float
    level: float
    gate: float
    expected: float
    at_most: float
    dependence: Dependence

    def promise(self, params: dict[str, Any], centre: str) -> Promise:
        binary = self.request.kind == "binary"
        order = self.dependence.order
        return Promise(
            params=params,
            method="bound",
            expected_per_30d=self.expected,
            at_most_per_30d=max(self.expected, self.at_most),
            assumes=(
                f"values like the reference's, at its rate, dependent like an autoregression of order {order}: a mean "
                f"varies {self.dependence.inflation:.3g} times as much as one of independent values"
                if self.dependence.inflation > 1.0
                else "independent values like the reference's, at its rate"
            )
            + "; Lundberg's bound with the moment generating function of "
            + ("a Bernoulli variable" if binary else "the reference, three standard errors up")
            + f", averaged over the error of {centre}",
            shift=3.0 * self.delta / (1.0 if binary else self.spread),
            within=ceil(max(self.level / (2.0 * self.delta), (self.gate / self.delta) ** 2 / 4.0)),
            inflation=self.dependence.inflation,
        )


def _climb(request: Request, starts: Float64Array, learns: bool = True) -> _Climb:
    """The level to which a healthy sum climbs as often as it may. `starts`: how many values the mean rests on, at the
    bounds of stretches of the 30 days."""
    values, binary = request.values, request.kind == "binary"
    size, mean = len(values), float(values.mean())
    dependence = request.dependence() if not binary or values.std() > 0.0 else None
    rate = request.busiest if request.busiest is not None else (mean * size + 0.5) / (size + 1.0)
    spread = sqrt(rate * (1.0 - rate)) if binary else float(values.std())
    if dependence is None:  # all values are 0 or all are 1
        dependence = Dependence(1.0, float(size), 0, values - mean, np.zeros(0))
    delta = request.min_effect if request.min_effect is not None else (0.05 if binary else 0.25 * spread)
    error = spread * sqrt(dependence.inflation / size)
    if delta < STANDARD_ERRORS * error:
        wanted = ceil((STANDARD_ERRORS * spread / delta) ** 2 * dependence.inflation)
        raise Uncalibrated(
            f"the allowance {delta:.4g} is smaller than five standard errors of the reference mean "
            f"({STANDARD_ERRORS * error:.4g}); a reference of about {wanted} values would do",
            wanted,
        )
    if request.min_effect is not None:  # what lies within the error of the mean is too small as well
        delta += SURELY * error
    if dependence.freedom < LEAST_FREEDOM:
        raise Uncalibrated(
            "the reference is too short to tell how far its values depend on each other",
            ceil(size * LEAST_FREEDOM / dependence.freedom),
        )
    lengths = np.diff(starts)
    errors = spread * np.sqrt(dependence.inflation / (starts[:-1] if learns else starts[:1]))[:, None] * _ERRORS
    weights = (lengths[:, None] * _CHANCES).ravel()
    parts = []
    for side in request.sides:
        solve = _bernoulli(rate, side, dependence) if binary else _lundberg(dependence.steps * side)
        theta = solve(delta, np.append(errors.ravel(), [0.0, 1.645 * error]))
        zeros = _starts(values, mean, side, delta, theta[-2], dependence.overhang) / size
        parts.append((theta, zeros))

    def expected(level: float) -> float:
        return float(
            sum(zeros * (weights * _average(theta[:-2] * level, dependence.freedom)).sum() for theta, zeros in parts)
        )

    low, high = 0.0, spread
    while expected(high) > request.share:
        low, high = high, 2.0 * high
        if high > 1e6 * spread:
            raise Uncalibrated("the tails of the reference are too heavy for the bound")
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if expected(middle) > request.share else (low, middle)
    sure = least_share(dependence.freedom)
    at_most = float(sum(zeros * lengths.sum() * np.exp(-theta[-1] * high * sure) for theta, zeros in parts))
    gate = 0.0 if request.min_effect is None else _gate(request, dependence, rate, spread, delta)
    return _Climb(request, mean, spread, delta, high, gate, expected(high), at_most, dependence)


def _gate(request: Request, dependence: Dependence, rate: float, spread: float, delta: float) -> float:
    """By how much, over the root of how many, the mean of values must exceed the allowance to be surely above it: as
    often as a healthy series may alarm, or less, one that has moved by the allowance and stays there does."""
    if request.kind == "binary":
        moved = [min(max(rate + side * delta, 0.0), 1.0) for side in request.sides]
        spread = max(spread, *(sqrt(each * (1.0 - each)) for each in moved))
    exponent = certain(log(max(request.looks / request.share, 1.0)), dependence.freedom)
    return spread * sqrt(2.0 * dependence.inflation * exponent)


def _average(exponents: Float64Array, freedom: float) -> Float64Array:
    """E exp(-exponent × chi²/f): a variance that the exponent is divided by is known with f degrees of freedom."""
    found: Float64Array = np.exp(-0.5 * freedom * np.log1p(2.0 * exponents / freedom))
    return found


Solve = Callable[[float, Float64Array], Float64Array]
"""For an allowance and errors of the mean (how much it lies below the true one, or above it for falls): the theta at
which E exp(theta (X + error - allowance)) = 1, or one a little smaller; 0 where there is none above 0."""


def _lundberg(steps: Float64Array) -> Solve:
    """For the increments themselves."""
    grid, moments = log_moments(steps)
    slope = np.maximum.accumulate(moments / grid)
    return lambda allowance, errors: np.interp(allowance - errors, slope, grid, left=0.0)


def log_moments(steps: Float64Array) -> tuple[Float64Array, Float64Array]:
    """(theta, log E exp(theta X), three standard errors up) of centred increments, which are taken as a histogram."""
    spread, largest = float(steps.std()), float(np.abs(steps).max())
    width = 2.0 * largest / _CELLS
    counts = np.bincount(np.minimum((steps + largest) / width, _CELLS - 1).astype(np.int64), minlength=_CELLS)
    there = np.flatnonzero(counts)
    share, centre = counts[there] / len(steps), (there + 0.5) * width - largest
    grid = np.geomspace(1e-3, 10.0, 100) / spread
    grid = grid[grid * largest < 300.0]
    powers = np.exp(grid[:, None] * centre)
    gaps = powers - grid[:, None] * centre
    guard = 3.0 * np.sqrt(np.maximum(((gaps - (gaps * share).sum(axis=1)[:, None]) ** 2 * share).sum(axis=1), 0.0))
    return grid, np.log((powers * share).sum(axis=1) + guard / sqrt(len(steps)))


def _bernoulli(rate: float, side: float, dependence: Dependence) -> Solve:
    """For 0/1 values of a rate; of dependent ones, theta is divided by the inflation."""
    grid = np.geomspace(1e-3, 1e3, 400)
    steps = np.expm1(side * np.minimum(grid, 500.0))

    def solve(allowance: float, errors: Float64Array) -> Float64Array:
        rates = np.clip(rate + side * errors, 1e-12, 1.0 - 1e-12)
        slope = np.log1p(rates[:, None] * steps) / grid - side * rate
        below = (slope <= allowance).sum(axis=1)
        theta: Float64Array = np.where(below > 0, grid[np.maximum(below, 1) - 1], 0.0)
        return theta / dependence.inflation

    return solve


@numba.njit(cache=True)
def _starts(
    values: Float64Array, mean: float, side: float, delta: float, theta: float, overhang: Float64Array
) -> float:
    """How many zeros of the sum over the values count, each by exp(theta × overhang) (1 - exp(-theta × undershoot))."""
    found, level, order = 1.0, 0.0, len(overhang)
    for i in range(len(values)):
        level += side * (values[i] - mean) - delta
        if level <= 0.0:
            over = 0.0
            for lag in range(min(order, i + 1)):
                over += overhang[lag] * side * (values[i - lag] - mean)
            found += np.exp(theta * over) * -np.expm1(theta * level)
            level = 0.0
    return found
