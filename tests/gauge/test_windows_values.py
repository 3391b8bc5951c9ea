"""The windows' values against scikit-learn on the rows that are left, and the contract's rules one by one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk
from windows_world import START, Row, generated, rolled, rows_of, standing

from schemas import MetricEvent
from streams.gauge.windows import ModelWindows, WindowSettings, WindowView, metric_event
from streams.outcomes import Counter, Kind

HOUR = 3_600_000
SETTINGS = WindowSettings(
    task="binary", segments=("region",), tumbling=(HOUR, 2 * HOUR), rolling=(50, 300), horizon=HOUR, grace=HOUR
)


def fold(log: list[Row], settings: WindowSettings, cut: int = 200) -> ModelWindows:
    windows = ModelWindows("m", settings)
    for start in range(0, len(log), cut):
        windows.apply(rows_of(log[start : start + cut]))
    return windows


def members(view: WindowView, log: list[Row]) -> list[Row]:
    """The outcomes a window holds, by the contract."""

    def inside(row: Row) -> bool:
        same = row.version == view.version and row.variant == view.variant
        return same and (not view.segment or row.region == view.segment["region"])

    scoped = [row for row in log if inside(row)]
    if view.kind == "rolling":
        assert view.size is not None
        return rolled(scoped, view.size)
    rows = standing(scoped)
    if view.kind == "cumulative":
        return rows
    assert view.start is not None and view.end is not None
    return [row for row in rows if view.start <= row.timestamp < view.end]


def close(found: float | None, expected: float, scale: float = 1.0) -> bool:
    if math.isnan(expected):
        return found is None
    return found is not None and abs(found - expected) <= 1e-9 * max(scale, 1e-300)


def check_binary(view: WindowView, rows: list[Row]) -> None:
    y, p = np.array([r.label for r in rows], float), np.array([r.prediction for r in rows], float)
    w = np.array([r.weight for r in rows])
    assert close(view.value("accuracy"), sk.accuracy_score(y, p, sample_weight=w))
    for name in ("precision", "recall"):
        score = getattr(sk, f"{name}_score")(y, p, sample_weight=w, zero_division=np.nan)
        assert close(view.value(name), score), name
    assert close(view.value("f1"), sk.f1_score(y, p, sample_weight=w, zero_division=np.nan))
    table = sk.confusion_matrix(y, p, labels=[0, 1], sample_weight=w)
    assert np.allclose(view.metrics["confusion_matrix"]["value"], table, rtol=1e-12)
    if len(set(y)) == 2 and len(set(p)) == 2:
        assert close(view.value("balanced_accuracy"), sk.balanced_accuracy_score(y, p, sample_weight=w))
        assert close(view.value("matthews_corrcoef"), sk.matthews_corrcoef(y, p, sample_weight=w))
    scored = [i for i, r in enumerate(rows) if r.score is not None]
    if not scored:
        assert view.value("log_loss") is None
        return
    s = np.array([rows[i].score for i in scored], float)
    y, w = y[scored], w[scored]
    loss = sk.log_loss(y, np.column_stack([1 - s, s]), labels=[0, 1], sample_weight=w)
    assert close(view.value("log_loss"), loss, loss)
    assert close(view.value("brier_score"), float(np.average((y - s) ** 2, weights=w)))
    if len(set(y)) == 2:
        assert close(view.value("roc_auc"), sk.roc_auc_score(y, s, sample_weight=w))
    else:
        assert view.value("roc_auc") is None
    if y.any():
        assert close(view.value("average_precision"), sk.average_precision_score(y, s, sample_weight=w))
    else:
        assert view.value("average_precision") is None
    of = np.minimum((15 * s).astype(int), 14)
    gaps = np.abs(np.bincount(of, w * (s - y))) / w.sum()
    assert close(view.value("expected_calibration_error"), math.fsum(gaps))


def check_regression(view: WindowView, rows: list[Row]) -> None:
    y, p = np.array([r.label for r in rows], float), np.array([r.prediction for r in rows], float)
    w = np.array([r.weight for r in rows])
    for name, oracle in {
        "mse": sk.mean_squared_error, "rmse": sk.root_mean_squared_error, "mae": sk.mean_absolute_error,
        "mape": sk.mean_absolute_percentage_error,
    }.items():  # fmt: skip
        expected = float(oracle(y, p, sample_weight=w))
        assert close(view.value(name), expected, expected), name
    # In whole numbers: where half of the weight is reached exactly, it must not be for rounding to say.
    expected = float(sk.median_absolute_error(y, p, sample_weight=np.rint(20 * w)))
    assert close(view.value("median_absolute_error"), expected, expected)
    total = math.fsum(w)
    bias = math.fsum(w * (p - y)) / total
    assert close(view.value("bias"), bias, float(np.abs(p - y).mean()))
    assert close(
        view.value("error_variance"), math.fsum(w * ((p - y) - bias) ** 2) / total, float(np.mean((p - y) ** 2))
    )
    if len(set(y)) > 1:
        expected = float(sk.r2_score(y, p, sample_weight=w))
        assert close(view.value("r2"), expected, abs(expected) + 1)
    scale = np.abs(p) + np.abs(y)
    assert close(view.value("smape"), math.fsum(w * 2 * np.abs(p - y) / np.where(scale == 0, 1, scale)) / total)


def check_multiclass(view: WindowView, rows: list[Row]) -> None:
    def text(value: Any) -> str:
        return str(int(value)) if isinstance(value, float) else value

    y, p = np.array([text(r.label) for r in rows]), np.array([text(r.prediction) for r in rows])
    w = np.array([r.weight for r in rows])
    assert close(view.value("accuracy"), sk.accuracy_score(y, p, sample_weight=w))
    for name in ("precision", "recall", "f1"):
        for average in ("macro", "micro", "weighted"):
            score = getattr(sk, f"{name}_score")(y, p, average=average, sample_weight=w, zero_division=np.nan)
            assert close(view.value(f"{name}_{average}"), score), (name, average)
    labels = sorted(set(y) | set(p))
    table = sk.confusion_matrix(y, p, labels=labels, sample_weight=w)
    assert view.metrics["confusion_matrix"]["value"]["labels"] == labels
    assert np.allclose(view.metrics["confusion_matrix"]["value"]["matrix"], table, rtol=1e-12)
    names = ["3", "ant", "bee", "cat"]
    shares = np.array([[r.scores[name] for name in names] for r in rows])
    loss = sk.log_loss(y, shares, labels=names, sample_weight=w)
    assert close(view.value("log_loss"), loss, loss)


CHECKS: dict[str, Callable[[WindowView, list[Row]], None]] = {
    "binary": check_binary, "regression": check_regression, "multiclass": check_multiclass
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*:sklearn.exceptions.UndefinedMetricWarning", "ignore:.*labels.*:UserWarning")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("task", ["binary", "regression", "multiclass"])
def test_every_window_equals_scikit_learn_on_the_rows_it_holds(task: Any, weighted: bool) -> None:
    log = generated(7, task, 600, weighted=weighted)
    views = fold(log, replace(SETTINGS, task=task)).tick(10_000, START + HOUR, 10_000)
    compared = 0
    for view in views:
        rows = members(view, log)
        assert view.counts["outcomes"] == len(rows)
        if rows:
            CHECKS[task](view, rows)
            compared += 1
    assert compared > 60
    assert {view.kind for view in views} == {"tumbling", "rolling", "cumulative"}


def test_counts_of_a_window_are_those_of_its_rows() -> None:
    log = generated(3, "binary", 500)
    for view in fold(log, SETTINGS).tick(10_000, START, 10_000):
        if view.kind == "rolling":
            continue

        def inside(row: Row, view: WindowView = view) -> bool:
            same = (row.version, row.variant) == (view.version, view.variant)
            timely = view.start is None or view.end is None or view.start <= row.timestamp < view.end
            return same and timely and (not view.segment or view.segment["region"] == row.region)

        rows = [row for row in log if inside(row)]
        predicted = [row for row in rows if row.kind == Kind.PREDICTED]
        assert view.counts["predictions"] == len(predicted)
        assert view.counts["errors"] == sum(row.failed for row in predicted)
        assert view.counts["unlabelled"] == sum(row.kind == Kind.UNLABELLED for row in rows)
        corrected = [r for r in rows if r.kind == Kind.COUNT and r.counter == Counter.CORRECTED_LABELS]
        assert view.counts["corrected_labels"] == len(corrected)
        if view.segment:
            assert view.inputs == {}
        elif predicted:
            amounts = [float(row.features["amount"]) for row in predicted]  # type: ignore[arg-type]
            amount = view.inputs["amount"]
            assert amount["count"] == len(predicted) and amount["missing"] == 0
            assert amount["mean"] == pytest.approx(np.mean(amounts), rel=1e-12)
            assert amount["std"] == pytest.approx(np.std(amounts), rel=1e-9)
            assert view.inputs["age"] == {"count": len(predicted), "missing": len(predicted)}
            assert view.inputs["country"]["missing"] == sum(r.features["country"] is None for r in predicted)
            delays = sorted(r.latency for r in predicted if r.latency is not None)
            median = delays[math.ceil(len(delays) / 2) - 1]
            assert view.service["latency_ms"]["p50"] == pytest.approx(median, rel=0.03)


def test_every_event_is_valid_by_the_contract() -> None:
    for task in CHECKS:
        log = generated(5, task, 200)
        settings = replace(SETTINGS, task=task)
        for view in fold(log, settings).tick(10_000, START + 2 * HOUR, 10_000):
            MetricEvent.model_validate(metric_event(view, "m", "app"))


def test_late_lost_and_orphan_labels_are_in_the_cumulative_windows_alone() -> None:
    windows = ModelWindows("m", SETTINGS)
    windows.apply(
        rows_of([Row(Kind.COUNT, counter=Counter.LOST_LABELS, amount=3), Row(Kind.PREDICTED, prediction=1.0)])
    )
    views = windows.tick(0, None, 100)
    assert {view.kind: view.counts.get("lost_labels") for view in views} == {"tumbling": None, "cumulative": 3}


def test_a_prediction_that_failed_is_an_error_and_no_outcome_of_it_is_judged() -> None:
    windows = ModelWindows("m", SETTINGS)
    failed = Row(Kind.PREDICTED, failed=1)
    windows.apply(rows_of([failed, replace(failed, kind=Kind.OUTCOME, label=1.0)]))
    view = next(view for view in windows.tick(0, None, 100) if view.kind == "cumulative")
    assert view.counts["errors"] == 1 and view.counts["outcomes"] == 1
    assert view.value("accuracy") is None and view.service["error_rate"] == 1.0


def test_without_rows_a_denominator_of_zero_gives_none_and_never_nan() -> None:
    for task in CHECKS:
        windows = ModelWindows("m", replace(SETTINGS, task=task))
        windows.apply(rows_of([Row(Kind.PREDICTED, prediction=1.0)]))
        for view in windows.tick(0, None, 100):
            event = metric_event(view, "m", "app")
            assert "NaN" not in repr(event) and "nan" not in repr(event["metrics"])
            assert all(view.value(name) is None for name in view.metrics)
