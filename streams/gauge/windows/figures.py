"""From a window's sums to the figures of its event: metrics by name, coverage by class, delays, service."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from metrics import average_precision, binary, histogram, median_absolute_error, multiclass, regression, roc_auc, sums
from schemas import class_number
from streams.gauge.windows.gather import Merged
from streams.gauge.windows.settings import TaskType
from streams.gauge.windows.store import (
    CLASSED,
    ERRORS,
    LATENCY_UNITS,
    OUT_CLASSED,
    OUT_POSITIVES,
    OUTCOMES,
    OUTCOMES_AS,
    POSITIVES,
    PREDICTED_AS,
    PREDICTIONS,
    SCORED,
    UNLABELLED,
)
from streams.outcomes import Counter
from streams.records import Float64Array, Int64Array

ClassText = Callable[[int], str]

OTHER = "__other__"
MOST_CLASSES = 100
"""Classes told one by one in an event, which must fit into a Kafka message; of more, those with the most weight."""

_EVERYWHERE = [counter for counter in Counter if counter < Counter.LATE_PREDICTIONS]
_EVER_ONLY = [counter for counter in Counter if counter >= Counter.LATE_PREDICTIONS]


def counts(ints: list[int], *, ever: bool, final: bool) -> dict[str, int]:
    """The `counts` of an event; those that only cumulative windows have where `ever`.

    In a `final` window whatever has no outcome is unlabelled. A join task that has fallen silent does not hold event
    time back (contract, join rule 5), and lets go of what it holds only when it speaks again: that row comes too late
    for the window. A prediction that failed waits for no label.
    """
    unlabelled = ints[UNLABELLED]
    if final:
        unlabelled = max(unlabelled, ints[PREDICTIONS] - ints[ERRORS] - ints[OUTCOMES])
    found = {
        "predictions": ints[PREDICTIONS],
        "outcomes": ints[OUTCOMES],
        "unlabelled": unlabelled,
        "errors": ints[ERRORS],
    }
    for counter in Counter if ever else _EVERYWHERE:
        found[counter.name.lower()] = ints[counter]
    return found


def label_delay(delay: Int64Array) -> dict[str, float] | None:
    """Quantiles of the label delay in milliseconds; None without a label."""
    found = histogram.quantiles(delay, (0.5, 0.9, 0.99))
    return None if found is None else dict(zip(("p50", "p90", "p99"), found, strict=True))


def service(merged: Merged, ints: list[int], seconds: float | None, *, classes: bool) -> dict[str, Any]:
    """The service's own health. `seconds` is the event time covered; `classes`: the task has a positive class."""
    latency = histogram.quantiles(merged.latency, (0.5, 0.99))
    predictions = ints[PREDICTIONS]
    return {
        "prediction_rate": predictions / seconds if seconds else None,
        "positive_rate": binary.ratio(ints[POSITIVES], ints[CLASSED]) if classes else None,
        "score_mean": binary.ratio(sums.value(merged.score, 0), ints[SCORED]),
        "error_rate": binary.ratio(ints[ERRORS], predictions),
        "latency_ms": None
        if latency is None
        else {"p50": latency[0] / LATENCY_UNITS, "p99": latency[1] / LATENCY_UNITS},
    }


def _table(merged: Merged) -> tuple[Int64Array, Float64Array]:
    """The pairs once each, sorted, with their weights added in the order they came."""
    if len(merged.pairs) == 0:
        return merged.pairs, merged.pair_weights
    wide = (merged.pairs[:, 0] << 32) + merged.pairs[:, 1]
    keys, places = np.unique(wide, return_inverse=True)
    weights = np.bincount(places, merged.pair_weights, len(keys))
    return np.stack([keys >> 32, keys & 0xFFFFFFFF], axis=1).astype(np.int64), weights.astype(np.float64)


def by_class(text: str) -> tuple[float, str]:
    """Sorts classes: numbers by value, then names."""
    number = class_number(text)
    return (math.inf, text) if math.isnan(number) else (number, "")


def coverage_by_prediction(
    task: TaskType | None, merged: Merged, ints: list[int], text: ClassText, two: tuple[str, str | None]
) -> dict[str, float | None]:
    """Share of the predictions of each class that have an outcome. `two`: the positive and the negative class."""
    if task == "binary":
        found = {two[0]: binary.ratio(ints[OUT_POSITIVES], ints[POSITIVES])}
        predictions, outcomes = ints[CLASSED] - ints[POSITIVES], ints[OUT_CLASSED] - ints[OUT_POSITIVES]
        if two[1] is not None:
            found[two[1]] = binary.ratio(outcomes, predictions)
        return dict(sorted(found.items(), key=lambda each: by_class(each[0])))
    if task != "multiclass":
        return {}
    pairs, weights = _table(merged)
    of = {(int(a), int(b)): float(w) for (a, b), w in zip(pairs, weights, strict=True) if a < 0}
    given = sorted((b for a, b in of if a == PREDICTED_AS), key=lambda b: (-of[PREDICTED_AS, b], b))[:MOST_CLASSES]
    shares = {
        text(b): binary.ratio(of.get((OUTCOMES_AS, b), 0.0), predictions)
        for b, predictions in ((b, of[PREDICTED_AS, b]) for b in given)
    }
    return dict(sorted(shares.items(), key=lambda each: by_class(each[0])))


def metrics(
    task: TaskType | None, merged: Merged, bins: roc_auc.Bins | None, text: ClassText, level: float
) -> dict[str, dict[str, Any]]:
    """The task's metrics by name; none until it is decided."""
    if task == "binary":
        found = binary.values(merged.sums, level)
        found["roc_auc"] = {"value": None} if bins is None else roc_auc.value(bins)
        found["average_precision"] = {"value": None} if bins is None else average_precision.value(bins)
        return found
    if task == "regression":
        found = regression.values(merged.sums)
        weight = sums.value(merged.sums, regression.WEIGHT)
        median = {"value": None} if bins is None else median_absolute_error.value(bins, weight)
        return found | {"median_absolute_error": median}
    if task == "multiclass":
        pairs, weights = _table(merged)
        real = (pairs[:, 0] >= 0) & (weights > 0.0)
        pairs, weights = pairs[real], weights[real]
        codes = np.unique(pairs)
        order = sorted(codes.tolist(), key=lambda code: by_class(text(code)))
        place = {code: i for i, code in enumerate(order)}
        actual = np.array([place[code] for code in pairs[:, 0].tolist()], np.int64)
        predicted = np.array([place[code] for code in pairs[:, 1].tolist()], np.int64)
        found = multiclass.values(merged.sums, [text(code) for code in order], actual, predicted, weights, level)
        return _shortened(found) if len(order) > MOST_CLASSES else found
    return {}


def _shortened(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The classes with the most weight one by one; the others are `__other__` together in the confusion matrix."""
    told = found["confusion_matrix"]["value"]
    labels, table = told["labels"], np.array(told["matrix"])
    weight = table.sum(axis=0) + table.sum(axis=1)
    ranked = [i for i in np.argsort(-weight, kind="stable").tolist() if labels[i] != OTHER]
    kept = np.sort(ranked[: MOST_CLASSES - 1])
    group = np.full(len(labels), len(kept))
    group[kept] = np.arange(len(kept))
    matrix = np.zeros((len(kept) + 1, len(kept) + 1))
    np.add.at(matrix, (group[:, None], group[None, :]), table)
    names = [labels[i] for i in kept]
    per_class = {name: each for name, each in found["per_class"]["value"].items() if name in set(names)}
    return found | {
        "confusion_matrix": {"value": {"labels": [*names, OTHER], "matrix": matrix.tolist()}},
        "per_class": {"value": per_class},
    }
