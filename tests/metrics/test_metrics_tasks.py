"""Any sequence of outcomes added, taken back and merged equals scikit-learn on the rows that are left."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from metrics import average_precision, binary, median_absolute_error, multiclass, regression, roc_auc, sums

QUICK = settings(derandomize=True, deadline=None, max_examples=60)
WEIGHTS = st.sampled_from([1.0, 1.0, 0.1, 2.5])
BINARY_ROW = st.tuples(st.booleans(), st.booleans(), st.sampled_from([0.0, 0.3, 0.5, 0.50001, 1.0]), WEIGHTS)
VALUES = st.floats(-1e6, 1e6) | st.just(0.0) | st.just(7.0)
REGRESSION_ROW = st.tuples(VALUES, VALUES, WEIGHTS)
HUGE = (1e9, 0.0, 1.0)


def worked(columns: int, add: Any, kept: list[Any], taken: list[Any]) -> np.ndarray:
    """Two panes: what is taken goes in first and out in the end; half of what is kept is in the other pane."""
    panes = np.zeros((2, columns, 2))
    for row in taken:
        add(panes[0], row, 1.0)
    for i, row in enumerate(kept):
        add(panes[i % 2], row, 1.0)
    for row in taken:
        add(panes[0], row, -1.0)
    sums.merge(panes[0], panes[1])
    return panes[0]


def same(found: Any, expected: float, scale: float = 1.0) -> bool:
    if math.isnan(expected):
        return found is None
    return found is not None and abs(found - expected) <= 1e-9 * scale


def _add_binary(pane: np.ndarray, row: Any, sign: float) -> None:
    binary.add_outcome(pane, *row, sign)


@given(st.lists(BINARY_ROW, min_size=1, max_size=25), st.lists(BINARY_ROW, max_size=10))
@QUICK
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_binary_metrics_are_scikit_learns(kept: list[Any], taken: list[Any]) -> None:
    found = {
        name: metric["value"]
        for name, metric in binary.values(worked(binary.COLUMNS, _add_binary, kept, taken)).items()
    }
    p, y, s, w = (np.array(column) for column in zip(*kept, strict=True))
    assert same(found["accuracy"], sk.accuracy_score(y, p, sample_weight=w))
    for name in ("precision", "recall", "f1"):
        assert same(found[name], getattr(sk, f"{name}_score")(y, p, sample_weight=w, zero_division=np.nan))
    loss = sk.log_loss(y, np.column_stack([1 - s, s]), labels=[False, True], sample_weight=w)
    assert same(found["log_loss"], loss, max(loss, 1e-3))
    assert same(found["brier_score"], float(np.average((y - s) ** 2, weights=w)))
    assert same(found["expected_calibration_error"], calibration_error(y, s, w))
    if len({*y}) == 2 and len({*p}) == 2:
        assert same(found["matthews_corrcoef"], sk.matthews_corrcoef(y, p, sample_weight=w))
        assert same(found["balanced_accuracy"], sk.balanced_accuracy_score(y, p, sample_weight=w))
    else:
        assert found["matthews_corrcoef"] is None or {*y} == {*p}


def calibration_error(y: np.ndarray, s: np.ndarray, w: np.ndarray) -> float:
    """By the definition: over bins, the weight's share times |mean label - mean score|."""
    of = np.minimum((s * 15).astype(int), 14)
    gaps = []
    for b in {*of}:
        at = of == b
        gap = np.average(y[at], weights=w[at]) - np.average(s[at], weights=w[at])
        gaps.append(w[at].sum() / w.sum() * abs(gap))
    return math.fsum(gaps)


@pytest.mark.parametrize(("score", "gap"), [(0.7, 0.0), (0.9, 0.2), (0.5, 0.2)])
def test_the_calibration_error_is_the_distance_between_what_is_said_and_what_happens(score: float, gap: float) -> None:
    rows = [(True, i < 7, score, 1.0) for i in range(10)]
    found = binary.values(worked(binary.COLUMNS, _add_binary, rows, []))
    assert same(found["expected_calibration_error"]["value"], gap)


def _add_regression(pane: np.ndarray, row: Any, sign: float) -> None:
    regression.add_outcome(pane, *row, sign)


@given(st.lists(REGRESSION_ROW, min_size=1, max_size=25), st.lists(REGRESSION_ROW, max_size=10))
@QUICK
def test_regression_metrics_are_scikit_learns_even_after_a_retracted_error_of_1e9(
    kept: list[Any], taken: list[Any]
) -> None:
    pane = worked(9, _add_regression, kept, [*taken, HUGE])
    found = {name: metric["value"] for name, metric in regression.values(pane).items()}
    p, y, w = (np.array(column, float) for column in zip(*kept, strict=True))
    d, total = p - y, math.fsum(w)
    residue = 1e-3 / total  # 2**-106 of the 1e18 that came and went, in units of the tolerance
    for name, oracle in {
        "mse": sk.mean_squared_error, "mae": sk.mean_absolute_error, "mape": sk.mean_absolute_percentage_error
    }.items():  # fmt: skip
        expected = float(oracle(y, p, sample_weight=w))
        assert same(found[name], expected, max(expected, residue)), name
    assert same(found["bias"], math.fsum(w * d) / total, max(float(np.abs(d).mean()), residue))
    bias = math.fsum(w * d) / total
    variance = math.fsum(w * (d - bias) ** 2) / total
    assert same(found["error_variance"], variance, max(variance, float(np.mean(d * d)) * 1e-6, residue))
    if len({*y}) == 1:
        assert found["r2"] is None or taken  # of larger labels taken back a last digit may stay
    elif float(np.var(y)) > 1e-9:
        expected = float(sk.r2_score(y, p, sample_weight=w))
        assert same(found["r2"], expected, 1 + abs(expected))


def test_nothing_gives_none_for_every_metric_of_every_task() -> None:
    nothing = np.empty(0, np.int64)
    tables = [
        binary.values(np.zeros((binary.COLUMNS, 2))),
        regression.values(np.zeros((9, 2))),
        multiclass.values(np.zeros((4, 2)), [], nothing, nothing, np.empty(0)),
    ]
    for table in tables:
        for name, metric in table.items():
            if name not in ("confusion_matrix", "per_class"):
                assert metric == {"value": None}, name


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), WEIGHTS), min_size=1, max_size=25))
@QUICK
def test_multiclass_metrics_are_scikit_learns(rows: list[Any]) -> None:
    pane = np.zeros((4, 2))
    for _, _, weight in rows:
        multiclass.add_outcome(pane, 0.25, weight, 1.0)
    y, p, w = (np.array(column) for column in zip(*rows, strict=True))
    found = multiclass.values(pane, ["a", "b", "c", "d"], y, p, w)
    assert same(found["accuracy"]["value"], sk.accuracy_score(y, p, sample_weight=w))
    assert same(found["log_loss"]["value"], math.log(4))
    for name in ("precision", "recall", "f1"):
        for average in ("macro", "micro", "weighted"):
            expected = getattr(sk, f"{name}_score")(y, p, average=average, sample_weight=w, zero_division=np.nan)
            if name == "precision" and average == "weighted" and not {*y} & {*p}:
                expected = math.nan  # no class of the labels was predicted: the weights sum to zero
            assert same(found[f"{name}_{average}"]["value"], expected)
    if len({*y}) > 1 and len({*p}) > 1:
        assert same(found["matthews_corrcoef"]["value"], sk.matthews_corrcoef(y, p, sample_weight=w))
    if {*p} <= {*y} and len({*y}) > 1:
        assert same(found["balanced_accuracy"]["value"], sk.balanced_accuracy_score(y, p, sample_weight=w))


SCORED = st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.7, 1.0]) | st.floats(0, 1), st.booleans(), WEIGHTS)


def binned(log: list[tuple[float, bool, float]], part: int) -> roc_auc.Bins:
    """The scores with their signed weights, so many at a time."""
    bins = roc_auc.no_bins()
    for start in range(0, len(log), part):
        entries = np.array([roc_auc.entry(s, y) for s, y, _ in log[start : start + part]])
        bins = roc_auc.consolidate(bins, entries, np.array([w for *_, w in log[start : start + part]]))
    return bins


@given(st.lists(SCORED, min_size=1, max_size=30), st.lists(SCORED, max_size=10), st.integers(1, 7))
@QUICK
def test_average_precision_is_scikit_learns_with_ties_weights_and_scores_taken_back(
    kept: list[Any], taken: list[Any], part: int
) -> None:
    found = average_precision.value(binned([*taken, *kept, *((s, y, -w) for s, y, w in taken)], part))
    s, y, w = (np.array(column) for column in zip(*kept, strict=True))
    if y.any():
        assert "bound" not in found
        assert same(found["value"], sk.average_precision_score(y, s, sample_weight=w))
    else:
        assert found["value"] is None


DISTANCES = st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.5]) | st.floats(0, 1e6), st.sampled_from([1.0, 0.25, 2.0])))


@given(DISTANCES.filter(bool), DISTANCES, st.integers(1, 7))
@QUICK
def test_the_median_absolute_error_is_scikit_learns_with_weights_and_distances_taken_back(
    kept: list[Any], taken: list[Any], part: int
) -> None:
    log = [(d, True, w) for d, w in [*taken, *kept]] + [(d, True, -w) for d, w in taken]
    d, w = (np.array(column) for column in zip(*kept, strict=True))
    found = median_absolute_error.value(binned(log, part), float(w.sum()))
    assert found == {"value": pytest.approx(sk.median_absolute_error(d, np.zeros(len(d)), sample_weight=w), rel=1e-12)}


def test_a_median_of_bins_that_do_not_hold_every_outcome_is_none() -> None:
    assert median_absolute_error.value(binned([(1.0, True, 1.0)], 1), 2.0) == {"value": None}


@given(st.lists(SCORED, min_size=1, max_size=30), st.lists(SCORED, max_size=10), st.integers(1, 7))
@QUICK
def test_the_area_is_scikit_learns_with_ties_weights_and_scores_taken_back(
    kept: list[Any], taken: list[Any], part: int
) -> None:
    log = [(s, y, w) for s, y, w in [*taken, *kept]] + [(s, y, -w) for s, y, w in taken]
    bins = binned(log, part)
    s, y, w = (np.array(column) for column in zip(*kept, strict=True))
    found = roc_auc.value(bins)
    if len({*y}) == 1:
        assert found["value"] is None
    else:
        assert "bound" not in found
        assert same(found["value"], sk.roc_auc_score(y, s, sample_weight=w))


LIGHT = [(0.5, True, 1.0), (0.2, False, 1.0), (0.7, False, 1.0), (0.9, True, 1.0)]


@pytest.mark.parametrize("weight", [1e9, 1e17, 1e30])
@pytest.mark.parametrize("score", [0.5, 0.6, 0.7])
def test_a_heavy_row_that_was_taken_back_leaves_the_light_ones_as_they_were(weight: float, score: float) -> None:
    bins = binned([(score, True, weight), *LIGHT, (score, True, -weight)], 2)
    s, y, w = (np.array(column) for column in zip(*LIGHT, strict=True))
    assert roc_auc.value(bins) == {"value": sk.roc_auc_score(y, s, sample_weight=w)}
    assert same(average_precision.value(bins)["value"], sk.average_precision_score(y, s, sample_weight=w))
    distances = [(1.0, True, 1.0), (2.0, True, 2.0), (score, True, weight), (3.0, True, 0.5), (score, True, -weight)]
    assert median_absolute_error.value(binned(distances, 2), 3.5) == {"value": 2.0}


def test_of_many_weighted_rows_that_were_all_taken_back_nothing_stays_whichever_bins_held_them() -> None:
    rng = np.random.default_rng(12)
    scores, weights = rng.random(20_000), rng.uniform(1e-3, 1e3, 20_000)
    y = rng.random(20_000) < 0.5
    entries = np.where(y, scores, -scores)
    back = rng.permutation(20_000)
    left = ~y[back]  # the positives are all taken back, of the negatives none
    entries, weights = np.concatenate([entries, entries[back][~left]]), np.concatenate([weights, -weights[back][~left]])
    bins = coarse(entries, weights=weights)
    assert bins.negative.any() and not bins.positive.any()
    assert roc_auc.value(bins) == average_precision.value(bins) == {"value": None}


def coarse(entries: np.ndarray, distances: bool = False, weights: np.ndarray | None = None) -> roc_auc.Bins:
    """Many scores, or distances, as a window keeps them."""
    bins = roc_auc.no_bins()
    for start in range(0, len(entries), roc_auc.EXACT_ROWS):
        part = slice(start, start + roc_auc.EXACT_ROWS)
        weight = np.ones(len(entries[part])) if weights is None else weights[part]
        bins = roc_auc.consolidate(bins, entries[part], weight)
        if len(bins.low) > roc_auc.EXACT_ROWS:
            bins = roc_auc.coarsen(bins, distances)
            assert len(bins.low) <= roc_auc.ROOM
    return roc_auc.coarsen(bins, distances)


@pytest.mark.parametrize(("shift", "positives"), [(0.0, 0.5), (1.0, 0.5), (2.0, 0.02), (0.2, 0.02), (3.0, 0.001)])
def test_coarse_bins_hold_the_exact_average_precision_within_their_bound(shift: float, positives: float) -> None:
    rng = np.random.default_rng(3)
    y = rng.random(200_000) < positives
    s = 1 / (1 + np.exp(-(rng.normal(0, 1, len(y)) + shift * y)))
    bins = coarse(np.where(y, s, -s))
    low, high = average_precision.bounds(bins)
    assert low <= sk.average_precision_score(y, s) <= high
    assert high - low <= 0.002


def test_coarse_bins_hold_the_exact_median_between_two_near_quantiles() -> None:
    distances = np.abs(np.random.default_rng(4).normal(0, 3, 100_000))
    found: dict[str, Any] = median_absolute_error.value(coarse(distances, True), len(distances))
    low, high = found["bound"]
    assert np.quantile(distances, 0.497) <= low <= np.median(distances) <= high <= np.quantile(distances, 0.503)


@pytest.mark.parametrize("powers", [0.5, 10.0, 300.0])
def test_a_median_is_near_after_errors_have_moved_to_where_few_had_been(powers: float) -> None:
    rng = np.random.default_rng(8)
    before, after = np.abs(rng.normal(0, 1, 12_000)), 50 + 5 * np.abs(rng.normal(0, 1, 60_000))
    before[::60] = 10 ** np.sort(rng.uniform(-powers, powers, 200))
    distances = np.concatenate([before, after])
    found: dict[str, Any] = median_absolute_error.value(coarse(distances, True), len(distances))
    low, high = found["bound"]
    assert low <= np.median(distances) <= high <= 1.01 * low


def test_distances_of_every_power_of_ten_stay_within_the_room_and_the_median_within_its_bound() -> None:
    distances = 10 ** np.random.default_rng(9).uniform(-300, 300, 100_000)
    distances[::1000] = 0.0
    low, high = median_absolute_error.bounds(coarse(distances, True))
    assert low <= np.median(distances) <= high
    assert np.quantile(distances, 0.497) <= low and high <= np.quantile(distances, 0.503)


def test_coarse_bins_hold_the_exact_area_within_their_bound() -> None:
    rng = np.random.default_rng(3)
    for shift, positives in ((0.0, 0.5), (0.2, 0.02), (1.0, 0.5)):
        y = rng.random(30_000) < positives
        s = 1 / (1 + np.exp(-(rng.normal(0, 1, len(y)) + shift * y)))
        bins = coarse(np.where(y, s, -s))
        found: dict[str, Any] = roc_auc.value(bins)
        low, high = found["bound"]
        assert low <= sk.roc_auc_score(y, s) <= high
        assert high - low <= 0.002


@pytest.mark.parametrize(("centre", "spread"), [(0.45, 0.08), (0.3, 0.05), (0.02, 0.005), (0.99, 0.002)])
def test_the_bounds_of_area_and_precision_stay_narrow_after_scores_have_moved_to_where_few_had_been(
    centre: float, spread: float
) -> None:
    rng = np.random.default_rng(10)
    y = rng.random(72_000) < 0.4
    s = np.where(rng.random(len(y)) < 0.05 + 0.9 * y, rng.uniform(0.85, 0.95, len(y)), rng.uniform(0.05, 0.15, len(y)))
    s[:8000:100] = np.sort(rng.uniform(0, 1, 80))
    s[12_000:] = np.clip(rng.normal(centre + spread * y[12_000:], spread), 0, 1)
    bins = coarse(np.where(y, s, -s))
    for low, high, exact in (
        (*roc_auc.area(bins)[1:], sk.roc_auc_score(y, s)),
        (*average_precision.bounds(bins), sk.average_precision_score(y, s)),
    ):
        assert low <= exact <= high
        assert high - low <= 0.002
