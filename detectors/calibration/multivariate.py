"""The detectors over rows: their own thresholds for a run length, where the rows are such as their proof is for.

Each looks once a row, so at most one alarm in looks / share rows keeps the budget. mmd is simulated on the reference
in blocks longer than any of its features depends on its past; the others stand on exchangeable rows, and rows that
depend on each other, in any feature, or have a season, are refused.
"""

from __future__ import annotations

from math import ceil, log
from typing import Any

import numpy as np

from detectors.calibration.dependence import dependence_of
from detectors.calibration.result import Promise, Uncalibrated
from detectors.calibration.season import season_of
from detectors.catalogue import find
from detectors.detector import Float64Array, Int64Array, ParameterError

WINDOW = 200
"""Rows, where none is asked for."""
INDEPENDENT = 1.15
"""An inflation up to which rows count as independent."""
FEWEST_BLOCKS = 30
SPARED = 2.0
"""Times as rare as asked for are the alarms of a simulation, for what it misses."""
LONGEST = 1e12
"""Rows of the longest run length that can be asked for."""

Options = dict[str, Any]


def over_rows(
    name: str, rows: Float64Array, stamps: Int64Array | None, looks: float, share: float, window: int | None
) -> Promise:
    """Parameters, from complete rows in the order in which they came. Raises Uncalibrated."""
    inflation = _inflation(rows, stamps)
    length = min(max(looks / share, 1.0), LONGEST)
    options: Options = {} if name == "domain_classifier" else {"window": window or WINDOW}
    kind: Any = find(name)
    if name == "mmd":
        return _mmd(kind, rows, inflation, length, looks, options)
    if inflation > INDEPENDENT:
        raise Uncalibrated(f"rows of the reference depend on each other, and {name} is for those that do not")
    try:
        threshold = kind.threshold_for(rows, length, **options)
    except ParameterError as problem:
        raise Uncalibrated(str(problem), 2 * len(rows)) from problem
    return Promise(
        params=options | {"threshold": threshold},
        method="bound",
        expected_per_30d=looks / length,
        assumes="exchangeable rows: independent ones of one distribution, whichever it is",
        shift=1.0,
        within=ceil(options["window"] * 1.5) if options else ceil(20.0 * log(length)),
        reference=rows,
    )


def _mmd(kind: Any, rows: Float64Array, inflation: float, length: float, looks: float, options: Options) -> Promise:
    """Twice as rare as asked for: an average run length over a thousand windows is known no better."""
    block = 1 if inflation == 1.0 else ceil(20.0 * inflation)
    if block * FEWEST_BLOCKS > len(rows):
        raise Uncalibrated("the reference is too short for a bootstrap of blocks", block * FEWEST_BLOCKS)
    try:
        threshold = kind.threshold_for(rows, SPARED * length, block=block, **options)
    except ParameterError as problem:
        raise Uncalibrated(str(problem)) from problem
    if not threshold < 2.0:
        raise Uncalibrated("no distance is far enough for so few false alarms from such a reference", 4 * len(rows))
    return Promise(
        params=options | {"threshold": threshold},
        method="simulation" if block == 1 else "block bootstrap",
        expected_per_30d=looks / length,
        assumes=("independent rows" if block == 1 else f"rows in blocks of {block}")
        + " like the reference's; the largest distances of a thousand windows, with an exponential tail",
        shift=1.0,
        within=ceil(options["window"] / 1.5),
        inflation=inflation,
        reference=rows,
    )


def _inflation(rows: Float64Array, stamps: Int64Array | None) -> float:
    """The largest of any feature and of its square. Raises Uncalibrated where one has a season."""
    worst = 1.0
    for feature in rows.T:
        if not feature.min() < feature.max():
            continue
        if stamps is not None and season_of(feature, stamps) is not None:
            raise Uncalibrated("a feature of the rows has a season: its rows are not alike at all hours")
        ranks = np.argsort(np.argsort(feature, kind="stable"), kind="stable").astype(np.float64)
        for values in (ranks, (ranks - ranks.mean()) ** 2):
            worst = max(worst, dependence_of(values).inflation)
    return worst
