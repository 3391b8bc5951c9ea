"""Run lengths over independent normal values: how long, on average, from a fresh start to an alarm.

The statistic of a CUSUM or an EWMA is a Markov chain on an interval that it leaves at the alarm, so the expected steps
L solve

    L(x) = 1 + P(to the lower end | x) L(lower end) + ∫ L(y) p(y | x) dy

(Brook, Evans: An approach to the probability distribution of cusum run length. Biometrika 59, 1972, 539-549. Crowder:
A simple method for studying run-length distributions of EWMA charts. Technometrics 29, 1987, 401-407). The integral
is taken by Gauss-Legendre panels, and the system is solved without a subtraction (Grassmann, Taksar, Heyman:
Regenerative analysis and steady state distributions for Markov chains. Oper. Res. 33, 1985, 1107-1116), so that a run
length of 10^15 is as sure as one of 10: to about nine digits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import ceil, erfc, exp, isfinite, log, pi, sqrt
from typing import Literal

import numba
import numpy as np

from detectors.detector import Float64Array, demand

Sides = Literal[1, 2]

_PANEL, _NODES = 4.0, 12  # standard deviations of a step to a panel, and its nodes
_WIDEST = 400.0  # standard deviations of a step: beyond, the system takes seconds
_OVERSHOOT = 0.83664682895  # the integral of x nu(x)² from 0 on, nu as in Siegmund and Venkatraman
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(_NODES)


@lru_cache(maxsize=4096)
def cusum_run_length(reference_value: float, decision_interval: float, sides: Sides = 2, shift: float = 0.0) -> float:
    """Average run length, in values, of a CUSUM that starts at zero, of independent normal values.

    All in standard deviations: `shift` is the mean's distance from the target (upwards, the side that one side
    watches). For two sides 1/L = 1/L_up + 1/L_down holds exactly (Kemp 1961). Raises ParameterError.
    """
    demand(isfinite(reference_value) and reference_value >= 0, "reference_value must be a number of at least 0")
    demand(isfinite(decision_interval) and decision_interval > 0, "decision_interval must be a number above 0")
    _demand_sides_and_shift(sides, shift)
    rates = 0.0
    for mean in (shift, -shift)[:sides]:
        rates += 1.0 / _steps(0.0, decision_interval, 1.0, mean - reference_value, 1.0, 0.0, reflects=True)
    return 1.0 / rates


@lru_cache(maxsize=4096)
def ewma_run_length(smoothing: float, limit: float, sides: Sides = 2, shift: float = 0.0) -> float:
    """Average run length, in values, of an EWMA with fixed limits that starts at its target, of independent normal
    values.

    `limit` is in standard deviations of the EWMA in the long run, `shift` in standard deviations of the values. With
    one side the EWMA is held at its limit on the other. Raises ParameterError, also where smoothing is too small for
    the system (below about .0005).
    """
    demand(isfinite(smoothing) and 0 < smoothing <= 1, "smoothing must lie above 0 and be at most 1")
    demand(isfinite(limit) and limit > 0, "limit must be a number above 0")
    _demand_sides_and_shift(sides, shift)
    deviation = sqrt(smoothing / (2.0 - smoothing))
    high = limit * deviation
    return _steps(-high, high, 1.0 - smoothing, smoothing * shift, smoothing, 0.0, reflects=sides == 1)


@lru_cache(maxsize=1024)
def cusum_interval(reference_value: float, run_length: float, sides: Sides = 2) -> float:
    """The decision interval, in standard deviations, at which the in-control run length is the one given."""
    demand(isfinite(run_length) and run_length > 1, "run_length must be a number above 1")
    return _inverse(lambda interval: cusum_run_length(reference_value, interval, sides), run_length)


@lru_cache(maxsize=1024)
def ewma_limit(smoothing: float, run_length: float, sides: Sides = 2) -> float:
    """The limit, in standard deviations of the EWMA, at which the in-control run length is the one given."""
    demand(isfinite(run_length) and run_length > 1, "run_length must be a number above 1")
    return _inverse(lambda limit: ewma_run_length(smoothing, limit, sides), run_length)


def focus_run_length(threshold: float, sides: Sides = 2) -> float:
    """About the average run length, in values, of FOCuS over independent gaussian values, target known or not.

    From the large thresholds' limit (Siegmund, Venkatraman: Using the generalized likelihood ratio statistic for
    sequential detection of a change-point. Ann. Statist. 23, 1995, 255-271), which comes from below: runs are longer,
    by a third at a threshold of 6, a sixth at 10. Raises ParameterError.
    """
    demand(isfinite(threshold) and 0.5 < threshold < 700, "threshold must lie between 0.5 and 700")
    demand(sides in {1, 2}, "sides must be 1 or 2")
    return (3 - sides) * sqrt(pi / threshold) * exp(threshold) / _OVERSHOOT


@lru_cache(maxsize=1024)
def focus_threshold(run_length: float, sides: Sides = 2) -> float:
    """The log-likelihood ratio at which FOCuS over gaussian values has at least about this run length."""
    demand(isfinite(run_length) and 10 <= run_length <= 1e300, "run_length must lie between 10 and 1e300")
    level = 1.0
    for _ in range(100):  # a contraction: the logarithm of the run length is nearly the threshold
        level = max(1.0, log(run_length * _OVERSHOOT / (3 - sides)) + log(level / pi) / 2.0)
    return level


def focus_alarms(threshold: float, values: float, sides: Sides = 2) -> float:
    """At most so many alarms of FOCuS are expected in `values` independent healthy values of any of its families, or,
    for bernoulli, of any values between 0 and 1 of that mean; the target must be known.

    From the self-normalized deviation bound e ceil(h log n) exp(-h) for the excess over h at one value, with n values
    before it (Garivier, Cappé: The KL-UCB algorithm for bounded stochastic bandits and beyond. COLT 2011, theorem 10),
    read backwards in time. It holds always, and is generous: by two to three orders of magnitude for gaussian values.
    """
    demand(isfinite(threshold) and threshold > 1, "threshold must be a number above 1")
    demand(isfinite(values) and values >= 1, "values must be a number of at least 1")
    demand(sides in {1, 2}, "sides must be 1 or 2")
    return sides * values * exp(1.0 - threshold) * ceil(threshold * max(log(values), 1.0))


def _demand_sides_and_shift(sides: int, shift: float) -> None:
    demand(sides in {1, 2}, "sides must be 1 or 2")
    demand(isfinite(shift), "shift must be a number")


def _steps(
    low: float, high: float, slope: float, drift: float, deviation: float, start: float, *, reflects: bool
) -> float:
    """Expected steps of y = slope x + drift + deviation N(0, 1) from `start` until it is above `high`, or, unless it
    stops at `low` there, below `low`."""
    width = (high - low) / deviation
    demand(width <= _WIDEST, f"an interval of {width:.0f} standard deviations of a step is too wide to be solved")
    panels = int(np.ceil(width / _PANEL))
    edges = np.linspace(low, high, panels + 1)
    half = np.diff(edges)[:, None] / 2.0
    nodes = (edges[:-1, None] + half * (1.0 + _POINTS)).ravel()
    weights = (half * _WEIGHTS).ravel() / deviation
    states = np.concatenate(([start], [low] if reflects else [], nodes))
    means = slope * states + drift
    first = len(states) - len(nodes)
    moves = np.zeros((len(states), len(states)))
    gaps = (nodes - means[:, None]) / deviation
    moves[:, first:] = np.exp(-gaps * gaps / 2.0) * (weights / sqrt(2.0 * pi))
    leaves = _above((high - means) / deviation)
    below = _above((means - low) / deviation)
    if reflects:
        moves[:, 1] = below
    else:
        leaves += below
    return float(_expected_steps(moves, leaves))


def _above(x: Float64Array) -> Float64Array:
    """The upper tail of the normal distribution."""
    return np.array([erfc(each / sqrt(2.0)) / 2.0 for each in x.tolist()])


@numba.njit(cache=True)
def _expected_steps(moves: Float64Array, leaves: Float64Array) -> float:
    """Expected steps from state 0 until the chain leaves, by taking out one state after the other; nothing is
    subtracted, so nothing cancels. Overwrites both."""
    steps = np.ones(len(leaves))
    for s in range(len(leaves) - 1, 0, -1):
        away = leaves[s]
        for j in range(s):
            away += moves[s, j]
        for i in range(s):
            share = moves[i, s] / away
            for j in range(s):
                moves[i, j] += share * moves[s, j]
            leaves[i] += share * leaves[s]
            steps[i] += share * steps[s]
    return steps[0] / leaves[0]  # type: ignore[no-any-return]


def _inverse(run_length: Callable[[float], float], wanted: float) -> float:
    """Where an increasing run length is the wanted one: false position (its Illinois variant) on the logarithm, which
    is nearly straight."""
    goal = log(wanted)
    low, high = 1e-6, 1.0
    below, above = log(run_length(low)) - goal, log(run_length(high)) - goal
    if below >= 0:  # even a limit of nothing leaves longer runs
        return low
    while above < 0:
        low, below = high, above
        high *= 1.5
        above = log(run_length(high)) - goal
    last = 0
    while high - low > 1e-12 * high:
        middle = (low * above - high * below) / (above - below)
        gap = log(run_length(middle)) - goal
        if abs(gap) < 1e-11 or not low < middle < high:
            return middle
        side = 1 if gap > 0 else -1
        if gap > 0:
            high, above, below = middle, gap, below / 2.0 if last == side else below
        else:
            low, below, above = middle, gap, above / 2.0 if last == side else above
        last = side
    return high
