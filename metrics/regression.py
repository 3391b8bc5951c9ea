"""Regression: mse, rmse, mae, mape, smape, r2, bias and error variance, from weighted sums.

Squares are added without rounding error, so that variances survive a large mean. Values are scikit-learn's; bias is
mean(prediction - label), error_variance its population variance, smape mean(2|p - y| / (|p| + |y|)) with 0/0 = 0.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from metrics.sums import Float64Array, add, add_product, centred, value

WEIGHT, ERROR, SQUARED, ABSOLUTE, RELATIVE, RELATIVE_TO_ZERO, SYMMETRIC, LABEL, LABEL_SQUARED = range(9)
COLUMNS = 9
EPSILON = float(np.finfo(np.float64).eps)  # scikit-learn's mape divides by max(|label|, eps)


@numba.njit(cache=True)
def add_outcome(sums: Float64Array, prediction: float, label: float, weight: float, sign: float) -> None:
    """Add an outcome (sign 1) or take it back (sign -1)."""
    signed = sign * weight
    error = prediction - label
    distance = abs(error)
    add(sums, WEIGHT, signed)
    # Products by weight without rounding, as in the squares: else constants would seem to vary.
    add_product(sums, ERROR, signed, error, 1.0)
    add_product(sums, SQUARED, signed, error, error)
    add(sums, ABSOLUTE, signed * distance)
    # Kept apart, and divided at the end: one label of 0 would else drown every other term's digits for good.
    if abs(label) < EPSILON:
        add(sums, RELATIVE_TO_ZERO, signed * distance)
    else:
        add(sums, RELATIVE, signed * (distance / abs(label)))
    scale = abs(prediction) + abs(label)
    if scale > 0.0:
        add(sums, SYMMETRIC, signed * (2.0 * distance / scale))
    add_product(sums, LABEL, signed, label, 1.0)
    add_product(sums, LABEL_SQUARED, signed, label, label)


def values(sums: Float64Array) -> dict[str, dict[str, object]]:
    """All metrics of the sums, each {"value": …}; r2 is None where the labels are constant."""
    weight = value(sums, WEIGHT)
    if not weight > 0.0:
        names = ("mse", "rmse", "mae", "mape", "smape", "r2", "bias", "error_variance")
        return {name: {"value": None} for name in names}
    mse = max(value(sums, SQUARED), 0.0) / weight
    spread = centred(sums, LABEL_SQUARED, LABEL, WEIGHT)
    # What is left of the spread of constant labels is below the last digits of the sum of squares.
    constant = spread <= 1e-28 * max(value(sums, LABEL_SQUARED), 0.0)
    relative = max(value(sums, RELATIVE), 0.0) + max(value(sums, RELATIVE_TO_ZERO), 0.0) / EPSILON
    return {
        "mse": {"value": mse},
        "rmse": {"value": math.sqrt(mse)},
        "mae": {"value": max(value(sums, ABSOLUTE), 0.0) / weight},
        "mape": {"value": relative / weight},
        "smape": {"value": max(value(sums, SYMMETRIC), 0.0) / weight},
        "r2": {"value": None if constant else 1.0 - mse * weight / spread},
        "bias": {"value": value(sums, ERROR) / weight},
        "error_variance": {"value": centred(sums, SQUARED, ERROR, WEIGHT) / weight},
    }
