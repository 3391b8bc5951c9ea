"""How much the values of a healthy sample depend on their neighbours."""

from __future__ import annotations

import numpy as np

from detectors.calibration.result import Kind
from detectors.detector import Values, as_values


def lag_one_autocorrelation(values: Values, kind: Kind = "numeric") -> float:
    """Of consecutive values; of categories, how much more often than by chance neighbours agree."""
    array = as_values(values)
    array = array[np.isfinite(array)]
    if len(array) < 3:
        return 0.0
    if kind == "categories":
        _, counts = np.unique(array, return_counts=True)
        chance = float(((counts / len(array)) ** 2).sum())
        return (float((array[1:] == array[:-1]).mean()) - chance) / (1.0 - chance) if chance < 1.0 else 0.0
    gaps = array - array.mean()
    spread = float(gaps @ gaps)
    return float(gaps[1:] @ gaps[:-1]) / spread if spread > 0 else 0.0
