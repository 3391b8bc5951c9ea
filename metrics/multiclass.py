"""Multiclass classification from a sparse confusion table of weights, and sums for the log loss.

Values are scikit-learn's with zero denominators as None: an average over classes that has an undefined member (a
class never predicted has no precision) is scikit-learn's with zero_division=nan, so it leaves that member out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numba
import numpy as np

from metrics.binary import Metric, log_term, proportion, ratio
from metrics.sums import Float64Array, Int64Array, add, value

WEIGHT, WEIGHT_SQUARED, SCORED, LOG_LOSS = range(4)
COLUMNS = 4


@numba.njit(cache=True)
def add_outcome(sums: Float64Array, probability: float, weight: float, sign: float) -> None:
    """Add an outcome's weight and the probability it gave to its label (NaN: it gave none), or take them back."""
    signed = sign * weight
    add(sums, WEIGHT, signed)
    add(sums, WEIGHT_SQUARED, signed * weight)
    if probability >= 0.0 and probability <= 1.0:
        add(sums, SCORED, signed)
        add(sums, LOG_LOSS, signed * log_term(probability))


def _mean(parts: Float64Array, weights: Float64Array) -> float | None:
    defined = ~np.isnan(parts)
    total = float(weights[defined].sum())
    return float((parts[defined] * weights[defined]).sum() / total) if total > 0.0 else None


def _divide(numerator: Float64Array, denominator: Float64Array) -> Float64Array:
    found = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=found, where=denominator > 0.0)
    return found


def _matthews(table: Float64Array) -> float | None:
    """Gorodkin's generalisation of the Matthews coefficient (2004), as scikit-learn computes it."""
    actual, predicted, total = table.sum(axis=1), table.sum(axis=0), table.sum()
    scale = math.sqrt(max(total**2 - predicted @ predicted, 0.0)) * math.sqrt(max(total**2 - actual @ actual, 0.0))
    return float((np.trace(table) * total - actual @ predicted) / scale) if scale > 0.0 else None


def values(
    sums: Float64Array,
    classes: Sequence[str],
    actual: Int64Array,
    predicted: Int64Array,
    weights: Float64Array,
    level: float = 0.95,
) -> dict[str, Metric]:
    """All metrics of a confusion table: entry i is `weights[i]` of rows of class `actual[i]` predicted `predicted[i]`,
    both positions in `classes`. `classes` are the labels and predictions seen, in the order to be shown."""
    table = np.zeros((len(classes), len(classes)))
    np.add.at(table, (actual, predicted), np.maximum(weights, 0.0))
    hits, support, given = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    total = float(table.sum())
    squared = value(sums, WEIGHT_SQUARED)
    per_weight = total / squared if squared > 0.0 else 0.0
    correct = proportion(float(hits.sum()), total, per_weight, level)
    kinds = {
        "precision": _divide(hits, given),
        "recall": _divide(hits, support),
        "f1": _divide(2.0 * hits, support + given),
    }
    seen = (support + given) > 0.0
    found: dict[str, Metric] = {
        "accuracy": correct,
        "balanced_accuracy": {"value": _mean(kinds["recall"], np.ones(len(classes)))},
        "matthews_corrcoef": {"value": _matthews(table)},
        "log_loss": {"value": ratio(max(value(sums, LOG_LOSS), 0.0), value(sums, SCORED))},
        "confusion_matrix": {"value": {"labels": list(classes), "matrix": table.tolist()}},
    }
    for name, parts in kinds.items():
        found[f"{name}_macro"] = {"value": _mean(parts, seen.astype(np.float64))}
        found[f"{name}_micro"] = correct  # a single-label problem: micro averages all equal accuracy
        found[f"{name}_weighted"] = {"value": _mean(parts, support)}
    found["per_class"] = {
        "value": {
            each: {
                **{name: None if math.isnan(parts[i]) else float(parts[i]) for name, parts in kinds.items()},
                "support": float(support[i]),
            }
            for i, each in enumerate(classes)
            if seen[i]
        }
    }
    return found
