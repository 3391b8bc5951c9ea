"""Thresholds of a sliding window's mean (z_score, welch_t): how often it strays that far on healthy values.

The mean of w values exceeds x with probability exp(-w I(x)) but for a factor, I(x) = sup(theta x - log E exp(theta X))
(Cramér's theorem), and for a normal mean, I = x²/2σ². It is locally like Brownian motion, so alarms come in clumps, at
the rate sqrt(E / π) exp(-E) / w a value and side, E = w I (Pickands' constant is 1; see `windows`). Dependent values
are taken as their independent increments (see `dependence`), the error of the reference's mean as 1 + w / n.
"""

from __future__ import annotations

from math import ceil, exp, log, pi, sqrt
from typing import Any

import numpy as np

from detectors.calibration.dependence import LEAST_FREEDOM, certain, least_share
from detectors.calibration.excursions import log_moments
from detectors.calibration.request import Request
from detectors.calibration.result import Promise, Uncalibrated
from detectors.calibration.windows import thinned
from detectors.detector import Float64Array


def z_score(request: Request) -> Promise:
    """Parameters of z_score."""
    mean, spread = float(request.values.mean()), float(request.values.std())
    return _strays(request, {"target": mean, "scale": spread}, None)


def welch_t(request: Request) -> Promise:
    """Parameters of welch_t; its window's own variance errs, which Student's t pays for."""
    return _strays(request, {}, thinned(request.values))


def _strays(request: Request, fixed: dict[str, Any], held: Float64Array | None) -> Promise:
    values, size = request.values, len(request.values)
    found, spread = request.dependence(), float(values.std())
    if found.freedom < LEAST_FREEDOM:
        raise Uncalibrated("the reference is too short to tell how far its values depend on each other", 4 * size)
    least = (0.05 if request.kind == "binary" else 0.25 * spread) if request.min_effect is None else request.min_effect
    window = request.window or min(max(300, ceil(200.0 * found.inflation)), size // 8)
    if window < 20.0 * found.inflation or window > size // 4:
        raise Uncalibrated(
            f"a reference of {size} values and a window of {window} are too small"
            + (
                f", where {found.inflation:.3g} values count as one for their dependence" if found.inflation > 1 else ""
            ),
            ceil(8.0 * max(window, 200.0 * found.inflation)),
        )
    exponent = 2.0
    rate = request.share / request.looks / len(request.sides)
    for _ in range(60):
        exponent = max(log(sqrt(exponent / pi) / window / rate), 1.0)
    asked = certain(exponent, found.freedom) * (1.0 + window / size)
    if held is not None:  # a variance from so many values
        asked = certain(asked, window / found.inflation - 1.0)
    distance = max(_distance(found.steps * side, asked / window) for side in request.sides)
    if request.min_effect is not None:  # a mean that has moved by so much strays as seldom beyond as a healthy one
        distance += least
    error = sqrt(1.0 / window + 1.0 / len(held)) if held is not None else sqrt(1.0 / window)
    shift = 1.5 * max(distance, least) / spread
    return Promise(
        params=fixed
        | {"window": window, "threshold": distance / spread / error, "direction": request.direction}
        | {"min_effect": least / spread},
        method="closed form",
        expected_per_30d=request.share,
        at_most_per_30d=request.looks * rate * len(request.sides) * exp(exponent - asked * least_share(found.freedom)),
        assumes=(
            "independent values like the reference's, at its rate"
            if found.inflation == 1.0
            else f"values like the reference's, at its rate, {found.inflation:.3g} of which count as one in a mean"
        )
        + "; Cramér's theorem and the rate of clumps of Brownian motion",
        shift=shift,
        within=ceil(window / 1.5),
        inflation=found.inflation,
        reference=held,
    )


def _distance(steps: Float64Array, rate: float) -> float:
    """The least x at which sup(theta x - log E exp(theta X)) is the rate."""
    grid, moments = log_moments(steps)
    # theta x - moments(theta) >= rate first at the smallest (rate + moments) / theta
    return float(np.min((rate + moments) / grid))
