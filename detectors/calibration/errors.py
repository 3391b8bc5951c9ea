"""The detectors of errors that compare with the best that they have seen (ddm, eddm): thresholds by simulation.

Their false alarms depend on how long they have run: most come early, when what is best is a matter of chance. So they
are counted from a fresh start on, over the first 30 days, or the first 131,072 values where a month is longer: there
are no more later. Before the first test they see enough errors for a best that is no accident: with river's thirty
values one that has seen none alarms at the first, whatever its threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil, exp
from typing import Any

from detectors.calibration.bootstrap import Knob, by_simulation
from detectors.calibration.request import Request
from detectors.calibration.result import Promise, Uncalibrated

FIRST = 60
"""Errors before the first test."""
LONGEST = 1 << 17
"""Values of a simulated stream, at most, but for a rate of errors so low that there is no test before."""
INDEPENDENT = 1.15
"""An inflation up to which errors count as independent."""


def ddm(request: Request) -> Promise:
    """Parameters of ddm."""
    rate = _rate(request)
    before = ceil(FIRST / rate)

    def params(level: float) -> dict[str, Any]:
        return {"warm_start": before, "drift_threshold": level, "warning_threshold": min(2.0, 0.7 * level)}

    def finds(level: float) -> tuple[float, int]:
        return min(rate, 0.5), ceil(level * before / 2.0)

    return _simulated(request, before, 3.0, params, finds)


def eddm(request: Request) -> Promise:
    """Parameters of eddm; its warm start is in errors, and in values."""
    rate = _rate(request)
    if rate > 0.75:
        raise Uncalibrated("of values that are mostly errors, the gaps between them say nothing")

    def params(level: float) -> dict[str, Any]:
        return {"warm_start": FIRST, "beta": exp(-level), "alpha": max(0.95, exp(-level))}

    def finds(level: float) -> tuple[float, int]:
        return min(2.0 * rate, 1.0 - rate), ceil(2.0 * FIRST / rate)

    return _simulated(request, ceil(FIRST / rate), 0.3, params, finds)


def _rate(request: Request) -> float:
    """Of errors. Raises Uncalibrated where they are none, or depend on each other."""
    values = request.values
    if not ((values == 0.0) | (values == 1.0)).all() or request.kind != "binary" or request.parameters > 0.0:
        raise Uncalibrated(f"{request.name} is for errors, 0 or 1, without a season")
    errors = int(values.sum())
    if errors < FIRST // 2:
        raise Uncalibrated(
            f"the reference holds {errors} errors; it takes {FIRST // 2} to tell how rare they are",
            ceil(FIRST / 2.0 * len(values) / max(errors, 1)),
        )
    if errors < len(values) and request.dependence().inflation > INDEPENDENT:
        raise Uncalibrated(
            f"errors of the reference depend on each other: {request.name} takes every cluster of them for a change"
        )
    return errors / len(values)


def _simulated(
    request: Request,
    before: int,
    first: float,
    params: Callable[[float], dict[str, Any]],
    finds: Callable[[float], tuple[float, int]],
) -> Promise:
    """Rates of alarms are those over the values of a stream that are tested."""
    size = min(max(ceil(request.looks), 2 * before), max(LONGEST, 4 * before))
    knob = Knob(params, 1.0, first, None, finds, size=size)
    tested = replace(request, looks=request.looks * size / (size - before))
    found = by_simulation(tested, knob, 1.0, float(len(request.values)))
    return replace(found, assumes=found.assumes + "; errors counted from a fresh start on")
