"""Who is tried, and how each detector of the catalogue is set: by its defaults, by calibration, by simulation.

Settings by simulation turn one knob of each detector until it gives the wanted number of false alarms; what else it
takes is fixed here, in the same spirit for all: looking for half a standard deviation, two-sided but for errors, where
only a rise matters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

import detectors
from detectors.catalogue import find
from detectors.detector import Detector, Float64Array, Int64Array
from detectors.evaluation.measure import Trial
from detectors.evaluation.series import Family, Kind

NUMBERS: frozenset[Kind] = frozenset(("binary", "unit", "numeric"))
SHARES: frozenset[Kind] = frozenset(("binary", "unit"))
BINARY: frozenset[Kind] = frozenset(("binary",))
VARIED: frozenset[Kind] = frozenset(("unit", "numeric"))
CATEGORIES: frozenset[Kind] = frozenset(("binary", "categories"))
ALL: frozenset[Kind] = NUMBERS | CATEGORIES
ROWS: frozenset[Kind] = frozenset(("rows",))
"""Kinds of values that a detector is for."""

MINUTE = 60
"""Seconds between two values of a series."""

Fit = Callable[[Float64Array, Family], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Contender:
    """A detector of the catalogue. `knob`: (parameter, loosest, strictest), turned in equal ratios. `scaled`: the
    knob is in units of the values. `told`: what a user must say beside what is in the reference. `fixed`: parameters
    beside the knob. `window`: another one than it comes with. `fitted`: whether it holds a model of the reference, and
    finds its own threshold for a run length. `river`: whether it is the twin of river's. `weight`: by how much less it
    is tried, for it is slow."""

    name: str
    takes: frozenset[Kind]
    knob: tuple[str, float, float]
    scaled: bool = False
    told: Fit = field(default=lambda reference, family: {})
    fixed: Fit = field(default=lambda reference, family: {})
    window: int | None = None
    fitted: bool = False
    river: bool = False
    weight: int = 1

    @property
    def label(self) -> str:
        """What outcomes and pages call it."""
        return self.name if self.window is None else f"{self.name}, window {self.window}"

    def is_for(self, family: Family) -> bool:
        """Whether it takes such values."""
        return family.kind in self.takes


def _spread(reference: Float64Array) -> float:
    return max(float(reference.std()), 1e-12)


def _bounded(reference: Float64Array, family: Family) -> dict[str, Any]:
    """The healthy mean and the range of the values."""
    range_of = {} if family.kind in SHARES else {"low": float(reference.min()), "high": float(reference.max())}
    return {"bound": float(reference.mean())} | range_of


def _bounded_with_room(reference: Float64Array, family: Family) -> dict[str, Any]:
    """The mean may be an eighth of a standard deviation away and still be healthy."""
    mean, room = float(reference.mean()), 0.125 * _spread(reference)
    return {"bound": mean + room} | ({} if family.role == "error" else {"lower": mean - room})


def _cells(reference: Float64Array, family: Family) -> dict[str, Any]:
    """What is counted: categories, or values in bins."""
    return {"cells": "categories"} if family.kind in CATEGORIES else {}


def _exponential(reference: Float64Array, family: Family) -> dict[str, Any]:
    """The family of distributions that the values are of."""
    return {"family": "bernoulli" if family.kind == "binary" else "gaussian"}


CONTENDERS: tuple[Contender, ...] = (
    Contender("adwin", NUMBERS, ("delta", 0.9, 1e-30), river=True),
    Contender("chi_squared", CATEGORIES, ("threshold", 1.0, 1e4)),
    Contender("chi_squared", CATEGORIES, ("threshold", 1.0, 1e4), window=150),
    Contender("conformal", NUMBERS, ("threshold", 10.0, 1e12), weight=2),
    Contender("cramer_von_mises", VARIED, ("threshold", 0.03, 300.0), weight=2),
    Contender(
        "cusum", NUMBERS, ("decision_interval", 0.5, 1e3), fixed=lambda reference, family: {"reference_value": 0.25}
    ),
    Contender(
        "ddm", BINARY, ("drift_threshold", 0.3, 100.0), river=True,
        fixed=lambda reference, family: {"warning_threshold": 0.1},
    ),
    Contender("eddm", BINARY, ("beta", 0.999, 0.01), river=True, fixed=lambda reference, family: {"alpha": 1.0}),
    Contender("domain_classifier", ROWS, ("threshold", 10.0, 1e12), fitted=True, weight=2),
    Contender("ewma", NUMBERS, ("limit", 0.5, 100.0), fixed=lambda reference, family: {"smoothing": 0.05}),
    Contender("focus", NUMBERS, ("threshold", 0.5, 1e4), told=_exponential),
    Contender("half_space_trees", ROWS, ("threshold", 0.11, 0.999), fitted=True, weight=2),
    Contender(
        "hddm_a", SHARES, ("drift_confidence", 0.9, 1e-30), river=True,
        fixed=lambda reference, family: {"warning_confidence": 1.0},
    ),
    Contender(
        "hddm_w", SHARES, ("drift_confidence", 0.9, 1e-30), river=True,
        fixed=lambda reference, family: {"warning_confidence": 1.0},
    ),
    Contender("isolation_forest", ROWS, ("threshold", 0.11, 0.999), fitted=True, weight=2),
    Contender("jensen_shannon", ALL, ("threshold", 0.01, 0.999), told=_cells),
    Contender("kswin", NUMBERS, ("alpha", 0.5, 1e-15), river=True, weight=4),
    Contender("mmd", ROWS, ("threshold", 0.02, 1.999), fitted=True, weight=2),
    Contender("one_class_svm", ROWS, ("threshold", 0.11, 0.999), fitted=True, weight=2),
    Contender(
        "page_hinkley", NUMBERS, ("threshold", 0.5, 1e4), scaled=True, river=True,
        fixed=lambda reference, family: {"delta": 0.25 * _spread(reference), "alpha": 1.0},
    ),
    Contender("psi", ALL, ("threshold", 1e-3, 30.0), told=_cells),
    Contender("river:FHDDM", BINARY, ("confidence_level", 0.9, 1e-30), weight=8),
    Contender("shiryaev_roberts", NUMBERS, ("threshold", 10.0, 1e12), told=_bounded, fixed=_bounded_with_room),
    Contender("variance", NUMBERS, ("threshold", 0.5, 1e4)),
    Contender("wasserstein", NUMBERS, ("threshold", 0.01, 30.0), weight=4),
    Contender("welch_t", NUMBERS, ("threshold", 0.5, 100.0)),
    Contender("windowed_ks", NUMBERS, ("threshold", 0.01, 1.0)),
    Contender("windowed_ks", NUMBERS, ("threshold", 0.01, 1.0), window=150),
    Contender("z_score", NUMBERS, ("threshold", 0.5, 100.0)),
)  # fmt: skip


def entrants(family: Family) -> list[Contender]:
    """Those that are for the values of a family."""
    return [contender for contender in CONTENDERS if contender.is_for(family)]


def told(contender: Contender, family: Family, reference: Float64Array) -> dict[str, Any]:
    """What a user has to tell the detector about the healthy series, from the reference."""
    known = {"reference": reference, "target": float(reference.mean()), "scale": _spread(reference)}
    wanted = _parameters(contender)
    window = {} if contender.window is None else {"window": contender.window}
    return {key: value for key, value in known.items() if key in wanted} | contender.told(reference, family) | window


def _parameters(contender: Contender) -> set[str]:
    return {f.name for f in fields(find(contender.name).parameters)}


def _sides(contender: Contender, family: Family) -> dict[str, Any]:
    """Of errors, only a rise matters; else both sides, however a detector calls that."""
    up = family.role == "error"
    ways = {"direction": "up" if up else "both", "mode": "up" if up else "both", "two_sided_test": not up}
    return {key: value for key, value in ways.items() if key in _parameters(contender)}


def with_defaults(contender: Contender, family: Family, reference: Float64Array) -> Trial:
    """As it comes, told what it must be told."""
    return Trial(detectors.build(contender.name, **told(contender, family, reference)), primed=False)


def with_knob(
    contender: Contender, family: Family, reference: Float64Array, turn: float, fitted: Detector | None = None
) -> Trial:
    """With its knob at `turn`, between 0 (loosest) and 1 (strictest), primed with the reference. `fitted`: one that has
    been fitted to this reference before."""
    knob, loosest, strictest = contender.knob
    value = loosest * (strictest / loosest) ** turn * (_spread(reference) if contender.scaled else 1.0)
    if fitted is not None:
        return Trial(fitted.retuned(**{knob: value}), primed=True)
    params = told(contender, family, reference) | contender.fixed(reference, family) | _sides(contender, family)
    detector = detectors.build(contender.name, **(params | {knob: value}))
    detector.prime(reference)
    return Trial(detector, primed=True)


def _kind(contender: Contender, family: Family) -> detectors.Kind:
    """What the values are to the detector: 0 and 1 are categories to those that count them."""
    if family.kind in CATEGORIES and contender.takes >= CATEGORIES:
        return "categories"
    return "binary" if family.kind == "binary" else "numeric"


def with_calibration(contender: Contender, family: Family, reference: Float64Array, every: int) -> Trial:
    """From a budget of one false alarm in `every` values, a value a minute. Raises Uncalibrated where the promise
    cannot be kept, ParameterError where there is no calibration."""
    if contender.fitted:
        kind: Any = find(contender.name)
        return Trial(
            detectors.build(contender.name, reference=reference, threshold=kind.threshold_for(reference, float(every))),
            primed=True,
        )
    found = detectors.calibrate(
        contender.name,
        reference,
        rate=1.0 / MINUTE,
        per=float(MINUTE * every),
        kind=_kind(contender, family),
        timestamps=stamps(0, len(reference)),
        direction="up" if family.role == "error" else "both",
        window=contender.window,
    )

    def transform(values: Float64Array, first: int) -> Float64Array:
        return found.transform(values, stamps(first, len(values)))

    return Trial(found.detector(reference, stamps(0, len(reference))), primed=True, transform=transform)


def stamps(first: int, size: int) -> Int64Array:
    """Epoch milliseconds of values a minute apart."""
    return (first + np.arange(size)) * (1000 * MINUTE)
