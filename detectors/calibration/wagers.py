"""The detectors whose alarm level is a promise by itself: a run length (shiryaev_roberts, conformal), or the
significance of a test of which there is one a value (kswin). None of them stands on values that depend on each other.
"""

from __future__ import annotations

from math import ceil, log, sqrt
from typing import Any

from detectors.calibration.request import Request
from detectors.calibration.result import Promise, Uncalibrated
from detectors.calibration.windows import indicator_inflation

STANDARD_ERRORS = 5.0
"""The change that matters must be at least this many standard errors of the reference mean."""
NEARLY = 1.15
"""An inflation up to which values count as independent."""
LONGEST = 1e12
"""Values of the longest run length that can be asked for."""


def shiryaev_roberts(request: Request) -> Promise:
    """Parameters of shiryaev_roberts: healthy is a conditional mean within min_effect of the reference's."""
    values, binary = request.values, request.kind == "binary"
    size, mean, spread = len(values), float(values.mean()), float(values.std())
    if spread > 0 and request.dependence().inflation > NEARLY:
        raise _dependent("what comes next is more or less than the mean by what came before")
    effect = request.min_effect if request.min_effect is not None else (0.05 if binary else 0.25 * spread)
    error = max(spread, sqrt(0.5 / size)) / sqrt(size)
    if effect < STANDARD_ERRORS * error:
        raise Uncalibrated(
            f"the change that matters, {effect:.4g}, is smaller than five standard errors of the reference mean",
            ceil((STANDARD_ERRORS * error / effect) ** 2 * size),
        )
    low, high = (0.0, 1.0) if binary and request.parameters == 0.0 else request.limits
    top, bottom = mean + effect, mean - effect
    if (request.direction != "down" and top >= high) or (request.direction != "up" and bottom <= low):
        raise Uncalibrated("the mean of the reference lies too close to the end of the range of its values")
    length = max(request.looks / request.share, 1.0)
    if length > LONGEST:
        raise Uncalibrated(f"a run length of {length:.3g} values is more than can be asked for")
    params: dict[str, Any] = {"bound": bottom if request.direction == "down" else top, "low": low, "high": high}
    params |= {"threshold": length, "direction": request.direction}
    if request.direction == "both":
        params["lower"] = bottom
    return Promise(
        params=params,
        method="bound",
        expected_per_30d=request.looks / length,
        assumes="that the mean, given all that came before, stays within the change that matters; no more",
        shift=3.0 * effect / (1.0 if binary else spread),
        within=ceil(log(length) * 2.0 * spread**2 / (2.0 * effect) ** 2) + 1,
    )


def conformal(request: Request) -> Promise:
    """Parameters of conformal."""
    length = min(max(request.looks / request.share, 1.0), LONGEST)
    if request.parameters > 0.0:
        raise Uncalibrated("the reference has a season: its values are not exchangeable")
    if indicator_inflation(request)[0] > NEARLY:
        raise _dependent("its values are not exchangeable")
    return Promise(
        params={"threshold": length},
        method="bound",
        expected_per_30d=request.looks / length,
        assumes="exchangeable values: independent ones of one distribution, whichever it is",
        shift=1.0,
        within=ceil(4.0 * log(length)),
    )


def kswin(request: Request) -> Promise:
    """Parameters of kswin: a test a value, none of which errs more often than it says."""
    if indicator_inflation(request)[0] > NEARLY:
        raise _dependent("its test is for independent values")
    size = request.window or 100
    alpha = min(request.share / request.looks, 0.5)
    return Promise(
        params={"alpha": alpha, "window_size": size, "stat_size": max(size * 3 // 10, 1)},
        method="bound",
        expected_per_30d=alpha * request.looks,
        assumes="independent values of one distribution, whichever it is; the significance of a test, at each value",
        shift=2.0,
        within=size,
    )


def _dependent(why: str) -> Uncalibrated:
    return Uncalibrated(f"neighbouring values of the reference depend on each other: {why}")
