"""Binary classification: accuracy, precision, recall, f1, balanced accuracy, Matthews, log loss, Brier score, ECE.

The expected calibration error (ECE) is that of C. Guo et al., "On Calibration of Modern Neural Networks" (2017): scores
of the positive class in CALIBRATION_BINS equal bins [lower, upper), the last one closed; the mean over the rows of the
distance between their bin's mean score and its share of positives. A bin's weight times that distance is
|sum w (score - y)|, so one sum a bin is enough.

Sufficient statistics are COLUMNS weighted sums (metrics.sums). Values are scikit-learn's, except that a zero
denominator gives None where scikit-learn gives 0 or warns.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from metrics.sums import Float64Array, add, add_product, value
from metrics.wilson import wilson_interval

TP, FP, FN, TN, WEIGHT_SQUARED, SCORED, LOG_LOSS, BRIER, CALIBRATION = range(9)
CALIBRATION_BINS = 15
COLUMNS = CALIBRATION + CALIBRATION_BINS
EPSILON = float(np.finfo(np.float64).eps)  # scikit-learn's log_loss clips probabilities to [eps, 1 - eps]

Metric = dict[str, object]


@numba.njit(cache=True)
def log_term(probability: float) -> float:
    """-log of the probability given to what happened, clipped as scikit-learn clips."""
    return -math.log(min(max(probability, EPSILON), 1.0 - EPSILON))


@numba.njit(cache=True)
def add_outcome(sums: Float64Array, predicted: bool, actual: bool, score: float, weight: float, sign: float) -> None:
    """Add an outcome (sign 1) or take it back (sign -1). A score that is no probability (NaN) is left out."""
    signed = sign * weight
    if predicted:
        add(sums, TP if actual else FP, signed)
    else:
        add(sums, FN if actual else TN, signed)
    add(sums, WEIGHT_SQUARED, signed * weight)
    if score >= 0.0 and score <= 1.0:
        add(sums, SCORED, signed)
        add(sums, LOG_LOSS, signed * log_term(score if actual else 1.0 - score))
        gap = (score - 1.0) if actual else score
        add(sums, BRIER, signed * (gap * gap))
        add_product(sums, CALIBRATION + min(int(score * CALIBRATION_BINS), CALIBRATION_BINS - 1), signed, gap, 1.0)


def ratio(numerator: float, denominator: float) -> float | None:
    """numerator / denominator; None where the denominator is not above zero."""
    return numerator / denominator if denominator > 0.0 else None


def proportion(numerator: float, denominator: float, per_weight: float, level: float) -> Metric:
    """A proportion with its Wilson interval; `per_weight` trials stand behind a weight of 1."""
    found = ratio(numerator, denominator)
    if found is None:
        return {"value": None}
    interval = wilson_interval(min(max(found, 0.0), 1.0), denominator * per_weight, level)
    return {"value": found} if interval is None else {"value": found, "ci": list(interval), "level": level}


def calibration_error(sums: Float64Array) -> float | None:
    """Expected calibration error; None without scores, or where the sums are older than its columns (NaN)."""
    gaps = [abs(value(sums, CALIBRATION + place)) for place in range(CALIBRATION_BINS)]
    found = ratio(math.fsum(gaps), value(sums, SCORED))
    return None if found is None or math.isnan(found) else found


def matthews(tp: float, fp: float, fn: float, tn: float) -> float | None:
    """Matthews correlation coefficient; None where a row or a column of the table is empty."""
    # The square roots are taken one by one: the product of four large sums would overflow for large weights.
    scale = math.sqrt(tp + fp) * math.sqrt(tp + fn) * math.sqrt(tn + fp) * math.sqrt(tn + fn)
    return (tp * tn - fp * fn) / scale if scale > 0.0 else None


def values(sums: Float64Array, level: float = 0.95) -> dict[str, Metric]:
    """All metrics of the sums, each {"value", and where it is a proportion "ci" and "level"}.

    Intervals of weighted rows use Kish's effective number of trials (L. Kish, Survey Sampling, 1965).
    """
    tp, fp, fn, tn = (max(value(sums, column), 0.0) for column in (TP, FP, FN, TN))
    total = tp + fp + fn + tn
    squared = value(sums, WEIGHT_SQUARED)
    per_weight = total / squared if squared > 0.0 else 0.0
    recall, specificity = ratio(tp, tp + fn), ratio(tn, tn + fp)
    balanced = None if recall is None or specificity is None else (recall + specificity) / 2.0
    scored = value(sums, SCORED)
    return {
        "accuracy": proportion(tp + tn, total, per_weight, level),
        "precision": proportion(tp, tp + fp, per_weight, level),
        "recall": proportion(tp, tp + fn, per_weight, level),
        "f1": {"value": ratio(2.0 * tp, 2.0 * tp + fp + fn)},
        "balanced_accuracy": {"value": balanced},
        "matthews_corrcoef": {"value": matthews(tp, fp, fn, tn)},
        "log_loss": {"value": ratio(max(value(sums, LOG_LOSS), 0.0), scored)},
        "brier_score": {"value": ratio(max(value(sums, BRIER), 0.0), scored)},
        "expected_calibration_error": {"value": calibration_error(sums)},
        "confusion_matrix": {"value": [[tn, fp], [fn, tp]]},
    }
