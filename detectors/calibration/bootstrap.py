"""Thresholds by simulation: the detector runs over streams made of the reference, and the tail is drawn on.

Independent values are drawn one by one; dependent ones in blocks of random length, so that neighbours stay neighbours
(Politis, Romano: The stationary bootstrap. JASA 89, 1994, 1303-1313). Alarms are counted at two levels that are
exceeded often enough to be counted, and become rarer by a constant factor for each step of the level to some power:
that is drawn on to the level that is wanted, with the slope one standard error flatter than found, and the exponent
stretched for how well the reference knows its own long-run variance. The draws are seeded from the reference itself:
the same arguments give the same threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import ceil, exp, log, sqrt
from typing import Any
from zlib import crc32

import numba
import numpy as np

from detectors.calibration.dependence import LEAST_FREEDOM, certain
from detectors.calibration.request import Request
from detectors.calibration.result import Promise, Uncalibrated
from detectors.catalogue import build
from detectors.detector import Float64Array, Int64Array

LENGTH = 1 << 17
"""Values of a simulated stream."""
OFTEN, SELDOM = 400, 16
"""Alarms on it at the first level at the most, and how many times fewer at the second, about."""
_STEPS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Knob:
    """A detector whose alarms one level decides: `params` of the level; `power` of the level in the exponent of the
    tail; `first`: a level to begin the search at; `held`: the reference that it takes, if it does; `finds`: (shift,
    within) at a level; `memory`: how many values it looks back on, for the error of the
    reference itself; `gate`: parameters that hold back alarms that do not matter, left out of the simulation."""

    params: Callable[[float], dict[str, Any]]
    power: float
    first: float
    held: Float64Array | None
    finds: Callable[[float], tuple[float, int]]
    memory: int = 0
    gate: dict[str, Any] = field(default_factory=dict)


def by_simulation(request: Request, knob: Knob, inflation: float, freedom: float) -> Promise:
    """The level at which a stream like the reference raises as many alarms as it may. Raises Uncalibrated."""
    if freedom < LEAST_FREEDOM:
        raise Uncalibrated(
            "the reference is too short to tell how far its values depend on each other",
            ceil(len(request.values) * LEAST_FREEDOM / freedom),
        )
    length = 1.0 if inflation == 1.0 else max(20.0, 20.0 * inflation)
    if length * LEAST_FREEDOM > len(request.values):
        raise Uncalibrated("the reference is too short for a bootstrap of blocks", ceil(length * LEAST_FREEDOM))
    stream = resampled(request.values, length)

    def alarms(level: float) -> int:
        held = {} if knob.held is None else {"reference": knob.held}
        detector = build(request.name, **knob.params(level), **held)
        detector.prime(request.values)
        return len(detector.update_many(stream))

    free = LENGTH / max(knob.memory, 1)
    low, many = _level(alarms, knob, free, min(OFTEN, free / 4.0))
    if not many:
        raise Uncalibrated("no threshold gives an alarm on a stream like the reference")
    high, few = _level(alarms, replace(knob, first=low), free, many / SELDOM)
    target = request.share / request.looks * len(stream)
    if few <= target:
        level, sure = high, (few + 2.0 * sqrt(few)) / len(stream)
    elif not (high > low and many > few >= 2):
        raise Uncalibrated("the alarms on streams like the reference do not become rarer with the threshold")
    else:
        run = high**knob.power - low**knob.power
        slope = log(many / few) / run
        error = sqrt(1.0 / many + 1.0 / few) / run
        exponent = log(many / target)
        stretch = certain(exponent, freedom) / exponent * (1.0 + knob.memory / len(request.values))
        stretch *= 1.0 + request.parameters
        level = (low**knob.power + exponent * stretch / max(slope - error, slope / 2.0)) ** (1.0 / knob.power)
        sure = exp(-(level**knob.power - low**knob.power) * max(slope - 2.0 * error, slope / 3.0)) * many / len(stream)
    shift, within = knob.finds(level)
    return Promise(
        params=knob.params(level) | knob.gate,
        method="simulation" if inflation == 1.0 else "block bootstrap",
        expected_per_30d=request.share,
        at_most_per_30d=max(request.share, min(sure, 1.0) * request.looks),
        assumes=(
            "independent values like the reference's"
            if inflation == 1.0
            else f"values like the reference's, in blocks of {length:.0f}"
        )
        + f"; {len(stream)} simulated values, their tail drawn on by a factor of {max(few / target, 1.0):.3g}",
        shift=shift,
        within=within,
        inflation=inflation,
        reference=knob.held,
    )


def resampled(values: Float64Array, length: float) -> Float64Array:
    """A stream of LENGTH values out of blocks of the sample, of this mean length, geometric; seeded by the sample."""
    rng = np.random.default_rng([len(values), crc32(np.ascontiguousarray(values).tobytes())])
    places = rng.integers(len(values), size=LENGTH)
    if length > 1.0:
        _join(places, rng.random(LENGTH) >= 1.0 / length, len(values))
    found: Float64Array = values[places]
    return found


@numba.njit(cache=True)
def _join(places: Int64Array, joined: np.ndarray, size: int) -> None:
    """Where a place is joined it follows the one before it, around the end."""
    for i in range(1, len(places)):
        if joined[i]:
            places[i] = (places[i - 1] + 1) % size


def _level(alarms: Callable[[float], int], knob: Knob, free: float, wanted: float) -> tuple[float, int]:
    """A level with about so many alarms, and how many there are. `free`: alarms where the level is nothing."""
    level, best = knob.first, (knob.first, 0)
    low, high = 0.0, float("inf")
    for _ in range(_STEPS):
        found = alarms(level)
        if found and (not best[1] or abs(log(found / wanted)) < abs(log(best[1] / wanted))):
            best = (level, found)
        if abs(log(max(best[1], 0.1) / wanted)) < 0.4 or high - low < 1e-4 * high:
            break
        low, high = (level, high) if found > wanted else (low, level)
        guess = level * (log(free / wanted) / max(log(free / max(found, 0.5)), 0.1)) ** (1.0 / knob.power)
        level = guess if low < guess < high else (2.0 * low if high == float("inf") else (low + high) / 2.0)
    return best
