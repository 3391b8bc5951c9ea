"""What must come out, computed in one pass over what was sent: the join rules by brute force, metrics by scikit-learn.

Written from the public contract alone; nothing of the code under test is imported.
"""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np
from sklearn import metrics as sk

from tests.integration.traffic import HORIZON, SENTINEL, TASKS, Bad, Label, Logged, Prediction

UNKNOWN = "__unknown__"
COUNTS = (
    "predictions",
    "outcomes",
    "unlabelled",
    "duplicate_predictions",
    "duplicate_labels",
    "corrected_labels",
    "withdrawn_labels",
    "late_labels",
    "errors",
)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a metric event is about, but for its window. `segment` is None for the whole model, else (key, value)."""

    model: str
    version: str | None
    variant: str | None
    segment: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Window:
    """A window of a scope; `start` is None for the cumulative one."""

    scope: Scope
    size: int | None
    start: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """An outcome that stands: a prediction and the label that counts for it."""

    prediction: Prediction
    label: str | float
    weight: float


@dataclass(slots=True)
class Figures:
    """What the last event of a window must say."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Value:
    """A metric's value (None: undefined) and the mean magnitude of the terms it is made of, which bounds its error."""

    value: Any
    magnitude: float = 1.0


@dataclass(frozen=True, slots=True)
class Expected:
    """All that must be found: figures and metrics by window, dead letters by source, labels that met no prediction, by
    model."""

    windows: dict[Window, Figures]
    values: dict[Window, dict[str, Value]]
    dead_letters: dict[tuple[str, int, int], str]
    unmet_labels: dict[str, int]


def expect(log: Sequence[Logged], sizes: Sequence[int], *, valued: int | None = None, turn: int = 0) -> Expected:
    """The oracle: tumbling windows of `sizes` (ms) and the cumulative one, once everything is final. `valued`: metrics
    of so many windows alone (counts are of all): the one with the most outcomes of each task, size and of whole models
    or of segments in turn, from the `turn`-th of these on."""
    dead: dict[tuple[str, int, int], str] = {}
    predictions: dict[str, list[tuple[Logged, Prediction]]] = defaultdict(list)
    labels: dict[str, list[tuple[Logged, Label]]] = defaultdict(list)
    for logged in log:
        meaning = logged.record.meaning
        if isinstance(meaning, Bad):
            dead[logged.record.topic, logged.partition, logged.offset] = meaning.code
        elif isinstance(meaning, Prediction):
            predictions[meaning.label_key].append((logged, meaning))
        elif isinstance(meaning, Label):
            labels[meaning.label_key].append((logged, meaning))
    windows: dict[Window, Figures] = defaultdict(Figures)
    unmet: dict[str, int] = defaultdict(int)
    for key in predictions.keys() | labels.keys():
        held = _first_records(predictions[key], windows, sizes)
        said = [label for _, label in sorted(labels[key], key=lambda pair: pair[0].offset)]
        for prediction in held:
            _settle(prediction, said, windows, sizes)
        for label in said:
            if not any(label.model in (None, prediction.model) for prediction in held):
                unmet[label.model or UNKNOWN] += 1
    kept = {window: figures for window, figures in windows.items() if window.scope.model != SENTINEL}
    values = {window: metrics_of(window.scope.model, kept[window].rows) for window in _in_turn(kept, turn)[:valued]}
    return Expected(kept, values, dead, {model: count for model, count in unmet.items() if model != SENTINEL})


def _in_turn(windows: Mapping[Window, Figures], turn: int) -> list[Window]:
    """All windows: the largest of each sort, then the second of each, and so on."""
    sorts: dict[tuple[str, int, bool], list[Window]] = defaultdict(list)
    for window in sorted(windows, key=lambda window: -len(windows[window].rows)):
        sorts[TASKS[window.scope.model], window.size or 0, window.scope.segment is None].append(window)
    several = [sorts[sort] for sort in sorted(sorts)]
    first = turn % len(several) if several else 0
    ranks = zip_longest(*several[first:], *several[:first])
    return [window for rank in ranks for window in rank if window is not None]


def _first_records(
    sent: Iterable[tuple[Logged, Prediction]], windows: dict[Window, Figures], sizes: Sequence[int]
) -> list[Prediction]:
    """Rule 1: the first record of a prediction wins; another within the horizon is a duplicate of it."""
    held: list[Prediction] = []
    for _, event in sorted(sent, key=lambda pair: pair[0].offset):
        same = [other for other in held if _identity(other) == _identity(event)]
        first = next((other for other in same if abs(other.timestamp - event.timestamp) <= HORIZON), None)
        if first is None:
            held.append(event)
            _count(windows, event, sizes, "predictions")
            if event.failed:
                _count(windows, event, sizes, "errors")
        else:
            _count(windows, first, sizes, "duplicate_predictions")
    return held


def _identity(event: Prediction) -> tuple[str, str, str, str, str | None]:
    return event.label_key, event.prediction_id, event.model, event.version, event.variant


def _settle(
    prediction: Prediction, labels: Iterable[Label], windows: dict[Window, Figures], sizes: Sequence[int]
) -> None:
    """Rules 2, 3 and 6 for one prediction: its labels in offset order, then its end."""
    standing: tuple[str | float, float] | None = None
    for label in labels:
        if label.model not in (None, prediction.model):
            continue
        if abs(label.timestamp - prediction.timestamp) > HORIZON:
            _count(windows, prediction, sizes, "late_labels")
        elif label.value is None:
            if standing is not None:
                _count(windows, prediction, sizes, "withdrawn_labels")
            standing = None
        else:
            said = (label.value, prediction.weight if label.weight is None else label.weight)
            if standing == said:
                _count(windows, prediction, sizes, "duplicate_labels")
            elif standing is not None:
                _count(windows, prediction, sizes, "corrected_labels")
            standing = said
    if standing is not None:
        _count(windows, prediction, sizes, "outcomes")
        for window in _windows_of(prediction, sizes):
            windows[window].rows.append(Row(prediction, *standing))
    elif not prediction.failed:
        _count(windows, prediction, sizes, "unlabelled")


def _windows_of(prediction: Prediction, sizes: Sequence[int]) -> Iterable[Window]:
    segments: list[tuple[str, str] | None] = [None]
    if prediction.region is not None:
        segments.append(("region", prediction.region))
    for segment in segments:
        scope = Scope(prediction.model, prediction.version, prediction.variant, segment)
        yield Window(scope, None, None)
        for size in sizes:
            yield Window(scope, size, prediction.timestamp // size * size)


def _count(windows: dict[Window, Figures], prediction: Prediction, sizes: Sequence[int], name: str) -> None:
    for window in _windows_of(prediction, sizes):
        windows[window].counts[name] += 1


def below(expected: Expected, metric: str, limit: float, size: int, min_count: int) -> set[Scope]:
    """The whole models whose last window of `size` with at least `min_count` outcomes has a metric below the limit:
    about these a threshold rule on it must fire at the end."""
    last: dict[Scope, tuple[int, bool]] = {}
    for window, figures in expected.windows.items():
        value = expected.values[window].get(metric)
        if window.size != size or window.scope.segment is not None or value is None or value.value is None:
            continue
        assert window.start is not None
        if len(figures.rows) >= min_count and last.get(window.scope, (-1, False))[0] < window.start:
            last[window.scope] = (window.start, value.value < limit)
    return {scope for scope, (_, breached) in last.items() if breached}


# -- metrics -------------------------------------------------------------------------------------------------------


def metrics_of(model: str, rows: Sequence[Row]) -> dict[str, Value]:
    """scikit-learn's metrics of the rows, by the contract's names; undefined ones are None."""
    if not rows:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        task = TASKS[model]
        weights = np.array([row.weight for row in rows])
        if task == "regression":
            return _regression(rows, weights)
        truth = np.array([row.label for row in rows])
        guess = np.array([row.prediction.prediction for row in rows])
        return _binary(rows, truth, guess, weights) if task == "binary" else _multiclass(rows, truth, guess, weights)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _binary(rows: Sequence[Row], truth: Any, guess: Any, weights: Any) -> dict[str, Value]:
    score = np.array([row.prediction.score for row in rows])
    positive = truth == "1"
    options: dict[str, Any] = {"sample_weight": weights, "pos_label": "1", "zero_division": np.nan}
    found = {
        "accuracy": float(sk.accuracy_score(truth, guess, sample_weight=weights)),
        "precision": _number(sk.precision_score(truth, guess, **options)),
        "recall": _number(sk.recall_score(truth, guess, **options)),
        "f1": _number(sk.f1_score(truth, guess, **options)),
        "log_loss": float(sk.log_loss(positive, score, labels=[False, True], sample_weight=weights)),
        "brier_score": float(np.average((score - positive) ** 2, weights=weights)),
        "expected_calibration_error": _calibration_error(score, positive, weights),
        "average_precision": None,
    }
    if positive.any():
        found["average_precision"] = float(sk.average_precision_score(positive, score, sample_weight=weights))
    if positive.any() and not positive.all():
        found["roc_auc"] = float(sk.roc_auc_score(positive, score, sample_weight=weights))
        found["balanced_accuracy"] = float(sk.balanced_accuracy_score(truth, guess, sample_weight=weights))
        if len(set(guess)) == 2:
            found["matthews_corrcoef"] = float(sk.matthews_corrcoef(truth, guess, sample_weight=weights))
    else:
        found["roc_auc"] = None
    if len(set(truth)) == 1 or len(set(guess)) == 1:
        found["matthews_corrcoef"] = None
    return {name: Value(value) for name, value in found.items()}


def _calibration_error(score: Any, positive: Any, weights: Any) -> float:
    of = np.minimum((15 * score).astype(int), 14)
    return float(np.abs(np.bincount(of, weights * (score - positive))).sum() / weights.sum())


def _multiclass(rows: Sequence[Row], truth: Any, guess: Any, weights: Any) -> dict[str, Value]:
    found: dict[str, float | None] = {
        "accuracy": float(sk.accuracy_score(truth, guess, sample_weight=weights)),
        "balanced_accuracy": float(sk.balanced_accuracy_score(truth, guess, sample_weight=weights)),
    }
    if set(truth) == set(guess) and len(set(truth)) > 2:  # no class without a denominator
        for average in ("macro", "micro", "weighted"):
            options: dict[str, Any] = {"average": average, "sample_weight": weights}
            found[f"precision_{average}"] = float(sk.precision_score(truth, guess, **options))
            found[f"recall_{average}"] = float(sk.recall_score(truth, guess, **options))
            found[f"f1_{average}"] = float(sk.f1_score(truth, guess, **options))
        classes = sorted(set(truth))
        scores = [row.prediction.score for row in rows]
        table = [[score[name] for name in classes] for score in scores if isinstance(score, dict)]
        found["log_loss"] = float(sk.log_loss(truth, table, labels=classes, sample_weight=weights))
    return {name: Value(value) for name, value in found.items()}


def _regression(rows: Sequence[Row], weights: Any) -> dict[str, Value]:
    truth = np.array([row.label for row in rows], dtype=float)
    guess = np.array([row.prediction.prediction for row in rows], dtype=float)
    error = guess - truth
    options: dict[str, Any] = {"sample_weight": weights}
    size, square = float(np.average(np.abs(error), weights=weights)), float(np.average(error**2, weights=weights))
    bias = float(np.average(error, weights=weights))
    mean = np.average(truth, weights=weights)
    constant = len(set(truth)) == 1
    spread = 0.0 if constant else float(np.average((truth - mean) ** 2, weights=weights))
    return {
        "mse": Value(float(sk.mean_squared_error(truth, guess, **options)), square),
        "rmse": Value(float(sk.root_mean_squared_error(truth, guess, **options)), math.sqrt(square)),
        "mae": Value(float(sk.mean_absolute_error(truth, guess, **options)), size),
        "smape": Value(float(np.average(2 * np.abs(error) / (np.abs(guess) + np.abs(truth)), weights=weights))),
        "median_absolute_error": Value(float(sk.median_absolute_error(truth, guess, **options)), size),
        "bias": Value(bias, size),
        "error_variance": Value(float(np.average((error - bias) ** 2, weights=weights)), square),
        "r2": Value(
            None if constant else float(sk.r2_score(truth, guess, **options)), max(1.0, square / (spread or 1))
        ),
    }
