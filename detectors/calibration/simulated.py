"""The detectors whose thresholds are simulated, or known in closed form where their values are independent and normal.

Each says which level decides its alarms, what its other parameters are, and what it finds at a level; the rest is
`bootstrap`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil, log, sqrt
from typing import Any

import numpy as np

from detectors.calibration.bootstrap import Knob, by_simulation
from detectors.calibration.bound import of_categories
from detectors.calibration.excursions import SURELY
from detectors.calibration.request import Request
from detectors.calibration.result import Promise, Uncalibrated
from detectors.calibration.run_length import ewma_limit, focus_threshold
from detectors.calibration.windows import indicator_inflation, thinned
from detectors.detector import demand

SMOOTHING = 0.05
"""Weight of the newest value for ewma: it looks back over some 40 values."""
STREAM = 1 << 15
"""Values of a simulated stream for focus, at least: it looks back as far as it has run."""
RATIO = 1.5
"""The factor on the standard deviation that `variance` finds soonest."""
OTHERS = 100
"""The values beside the commonest that a reference must hold, where a distance counts how far values move: the
reference that is kept is a tenth of it, in which rare errors may be none."""
ALLOWANCE = 0.25
"""The least change of a mean that matters, in standard deviations, where none is given."""


def ewma(request: Request) -> Promise:
    """Parameters of ewma, with fixed limits; a least effect, and the error of the mean, make them wider."""
    mean, spread, inflation, freedom = _level(request)
    deviation = sqrt(SMOOTHING / (2.0 - SMOOTHING))

    def params(limit: float) -> dict[str, Any]:
        return {"smoothing": SMOOTHING, "limit": limit, "target": mean, "scale": spread, "direction": request.direction}

    def finds(limit: float) -> tuple[float, int]:
        return 1.5 * limit * deviation, ceil(2.0 / SMOOTHING)

    def wider(found: Promise) -> Promise:
        if request.min_effect is None:
            return found
        error = SURELY * sqrt(inflation / len(request.values))
        limit = found.params["limit"] + (request.min_effect / spread + error) / deviation
        return replace(found, params=params(limit), shift=finds(limit)[0])

    knob = Knob(params, 2.0, 3.0 * sqrt(inflation), None, finds)
    if inflation == 1.0 and _normal(request):
        limit = ewma_limit(SMOOTHING, request.looks / request.share, 2 if request.direction == "both" else 1)
        return wider(_closed(request, knob, limit * sqrt(1.0 + 2.0 / SMOOTHING / len(request.values))))
    return wider(by_simulation(request, knob, inflation, freedom))


def focus(request: Request) -> Promise:
    """Parameters of focus, its target unknown: it takes the reference as values before any change."""
    _, spread, inflation, freedom = _level(request)
    gate = {} if request.min_effect is None else {"least_change": request.min_effect}
    family = "bernoulli" if request.kind == "binary" and request.parameters == 0.0 else "gaussian"

    def params(threshold: float) -> dict[str, Any]:
        return {"threshold": threshold, "family": family, "scale": spread, "direction": request.direction}

    def finds(threshold: float) -> tuple[float, int]:
        effect = _effect(request, spread)
        return 2.0 * effect * (spread if request.kind == "binary" else 1.0), ceil(threshold / (2.0 * effect**2))

    knob = Knob(params, 1.0, 8.0 * inflation, None, finds, size=STREAM)
    if inflation == 1.0 and family == "gaussian" and _normal(request):
        sides = 2 if request.direction == "both" else 1
        found = _closed(request, knob, focus_threshold(request.looks / request.share, sides))
    else:
        found = by_simulation(request, knob, inflation, freedom)
    return replace(found, params=found.params | gate)


def variance(request: Request) -> Promise:
    """Parameters of variance: its sums are of squares, which depend on each other in their own way."""
    mean, spread, _, _ = _level(request)
    found = request.dependence((request.values - mean) ** 2)

    def params(threshold: float) -> dict[str, Any]:
        return {
            "ratio": RATIO, "threshold": threshold, "target": mean, "scale": spread, "direction": request.direction
        }  # fmt: skip

    def finds(threshold: float) -> tuple[float, int]:
        return RATIO - 1.0, ceil(threshold / ((RATIO**2 - 1.0) / 2.0 - log(RATIO)))

    return by_simulation(request, Knob(params, 1.0, 6.0, None, finds), found.inflation, found.freedom)


def hddm_w(request: Request) -> Promise:
    """Parameters of hddm_w."""
    return _binary(request, 1.0, 5.0, lambda level: _confidence(request, level))


def cramer_von_mises(request: Request) -> Promise:
    """Parameters of cramer_von_mises."""
    return _distance(request, 1.0, lambda window: 0.6, grows=True)


def wasserstein(request: Request) -> Promise:
    """Parameters of wasserstein, in the reference's standard deviations."""
    _, times = np.unique(request.values, return_counts=True)
    others = len(request.values) - int(times.max(initial=0))
    if others < OTHERS:
        raise Uncalibrated(
            f"all but {others} values of the reference are one; it takes {OTHERS} others to tell how far they move",
            ceil(OTHERS * len(request.values) / others) if others else None,
        )
    return _distance(request, 2.0, lambda window: 2.0 / sqrt(window), grows=False, moves=True)


def psi(request: Request) -> Promise:
    """Parameters of psi, on linear bins or on categories."""
    return _distance(request, 1.0, lambda window: 25.0 / window, grows=False, cells=True)


def jensen_shannon(request: Request) -> Promise:
    """Parameters of jensen_shannon, on linear bins or on categories."""
    return _distance(request, 2.0, lambda window: 1.5 / sqrt(window), grows=False, cells=True)


def _distance(
    request: Request, power: float, first: Callable[[int], float], grows: bool, cells: bool = False, moves: bool = False
) -> Promise:
    """Of a distribution's distance from the reference, over a window. Of dependent values, a window counts as fewer
    independent ones, which are simulated; `grows`: whether the statistic grows with the window's length; `moves`:
    whether it grows with how far values move, so that a mean's dependence counts too."""
    fixed: dict[str, Any] = {}
    if request.kind == "categories":
        demand(cells, f"{request.name} is for numbers; the values are categories")
        (inflation, freedom), held = of_categories(request)[0], request.values
        fixed["cells"] = "categories"
    else:
        (inflation, freedom), held = indicator_inflation(request), thinned(request.values)
        if moves and request.values.std() > 0.0:
            mean = request.dependence()
            inflation, freedom = max((inflation, freedom), (mean.inflation, mean.freedom))
    window = _window(request, inflation)
    worth = max(round(window / inflation), 10)

    def params(threshold: float) -> dict[str, Any]:
        return fixed | {"window": worth, "threshold": threshold}

    def finds(threshold: float) -> tuple[float, int]:
        return min(1.0, 4.5 / sqrt(worth)), ceil(window / 1.5)

    least = request.min_effect
    gate = {} if least is None or not cells else {"min_effect": least}
    start = request.values[-window:][np.linspace(0, window - 1, worth).astype(np.int64)]
    known = freedom if inflation > 1.0 else float("inf")
    found = by_simulation(
        replace(request, looks=request.looks / inflation),
        Knob(params, power, first(worth), held, finds, start, gate, known),
        1.0,
        float(len(request.values)) / inflation,
    )
    threshold = found.params["threshold"] * (inflation if grows else 1.0)
    if least is not None and not cells:  # of a metric: a healthy sample's distance and the effect's, at the most
        held_ones = len(request.values) if held is None else len(held)
        size = window * held_ones / (window + held_ones) if grows else 1.0
        threshold = size * (sqrt(threshold / size) + least) ** 2 if grows else threshold + least
    return replace(
        found, params=fixed | gate | {"window": window, "threshold": threshold}, inflation=inflation,
        assumes=found.assumes + (f", each of which stands for {inflation:.3g}" if inflation > 1.0 else ""),
    )  # fmt: skip


def _binary(request: Request, power: float, first: float, params: Callable[[float], dict[str, Any]]) -> Promise:
    """Of errors: 0 or 1, or values between."""
    values = request.values
    if values.min() < -0.5 or values.max() > 1.5:
        raise Uncalibrated(f"{request.name} is for values from 0 to 1")
    _, spread, inflation, freedom = _level(request)
    rate = float(values.mean())

    def finds(level: float) -> tuple[float, int]:
        return max(rate, 0.1), ceil(10.0 * max(spread, 0.1) ** 2 * inflation * 14.0 / max(rate, 0.1) ** 2)

    return by_simulation(request, Knob(params, power, first, None, finds), inflation, freedom)


def _confidence(request: Request, level: float) -> dict[str, Any]:
    drift = float(np.exp(-level))
    return {
        "drift_confidence": drift,
        "warning_confidence": min(5.0 * drift, 1.0),
        "two_sided_test": request.direction != "up",
    }


def _level(request: Request) -> tuple[float, float, float, float]:
    """(mean, standard deviation, inflation, freedom) of the values."""
    found = request.dependence()
    return float(request.values.mean()), float(request.values.std()), found.inflation, found.freedom


def _effect(request: Request, spread: float) -> float:
    """The least change of a mean that matters, in standard deviations."""
    if request.min_effect is not None:
        return request.min_effect / spread
    return 0.05 / spread if request.kind == "binary" else ALLOWANCE


def _window(request: Request, inflation: float) -> int:
    """The window that is asked for, or one worth 250 independent values; an eighth of the reference at the most."""
    longest = len(request.values) // 8
    window = request.window or min(max(300, ceil(250.0 * inflation)), longest)
    if window > longest or window < 20.0 * inflation or window < 30:
        raise Uncalibrated(
            f"a reference of {len(request.values)} values and a window of {window} are too small"
            + (f", where {inflation:.3g} values count as one for their dependence" if inflation > 1.0 else ""),
            ceil(8.0 * max(window, 250.0 * inflation)),
        )
    return window


def _normal(request: Request) -> bool:
    """Whether skewness and kurtosis are those of normal values, to three standard errors."""
    size = len(request.values)
    gaps = (request.values - request.values.mean()) / request.values.std()
    skewness, kurtosis = float((gaps**3).mean()), float((gaps**4).mean()) - 3.0
    return (
        request.kind == "numeric" and abs(skewness) < 3.0 * sqrt(6.0 / size) and abs(kurtosis) < 3.0 * sqrt(24.0 / size)
    )


def _closed(request: Request, knob: Knob, level: float) -> Promise:
    shift, within = knob.finds(level)
    return Promise(
        params=knob.params(level),
        method="closed form",
        expected_per_30d=request.share,
        assumes="independent normal values, as the reference's are by their skewness and kurtosis; the run length of "
        + request.name,
        shift=shift,
        within=within,
    )
