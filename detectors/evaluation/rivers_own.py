"""River itself on the same values as its twins: that what the pages say of the twins holds of river."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import detectors
from detectors.detector import Float64Array
from detectors.evaluation.contenders import CONTENDERS
from detectors.evaluation.run import Bench, Scale
from detectors.evaluation.series import Family

_VALUES = {"kswin": 1_000}
_USUAL = 5_000


@dataclass(frozen=True, slots=True)
class Agreement:
    """Alarms of river's own detector and of its twin, over so many values of several series."""

    detector: str
    values: int
    rivers: int
    twins: int
    same: bool


def agreements(families: Sequence[Family], seed: int, scale: Scale) -> list[Agreement]:
    """For each twin, with its defaults, on the first values of each family that it is for."""
    found = []
    for contender in (c for c in CONTENDERS if c.river):
        size = _VALUES.get(contender.name, _USUAL)
        rivers, twins = [], []
        for family in (f for f in families if contender.is_for(f)):
            values = Bench(family, contender, seed, scale).fresh(0)[:size]
            rivers.append(_alarms(_MAKE[contender.name], values))
            twins.append(detectors.build(contender.name).update_many(values).tolist())
        found.append(
            Agreement(contender.label, size * len(rivers), sum(map(len, rivers)), sum(map(len, twins)), rivers == twins)
        )
    return found


def _alarms(make: Callable[[], Any], values: Float64Array) -> list[int]:
    own = make()
    alarms = []
    for i, value in enumerate(np.asarray(values).tolist()):
        own.update(value)
        if own.drift_detected:
            alarms.append(i)
    return alarms


def _drift(name: str, **params: Any) -> Callable[[], Any]:
    def make() -> Any:
        from river import drift

        kind = getattr(drift, name) if hasattr(drift, name) else getattr(drift.binary, name)
        return kind(**params)

    return make


_MAKE: dict[str, Callable[[], Any]] = {
    "adwin": _drift("ADWIN"),
    "ddm": _drift("DDM"),
    "eddm": _drift("EDDM"),
    "hddm_a": _drift("HDDMA"),
    "hddm_w": _drift("HDDMW"),
    "kswin": _drift("KSWIN", seed=0),
    "page_hinkley": _drift("PageHinkley"),
}
"""By the names of their twins; KSWIN draws from the machine where it is given no seed."""
