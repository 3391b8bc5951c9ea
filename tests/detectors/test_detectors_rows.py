"""Detectors over rows: what all of them share, and the two fitted by scikit-learn and river's trees as oracles."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from river.anomaly import HalfSpaceTrees as RiversTrees
from scipy.stats import betabinom, poisson
from sklearn.ensemble import IsolationForest
from sklearn.svm import OneClassSVM

import detectors
from detectors.multivariate import share_for
from detectors.multivariate.half_space_trees import HalfSpaceTreesParams, worth_of
from detectors.multivariate.isolation_forest import IsolationForestParams, arrays_of, path_length
from detectors.multivariate.one_class_svm import OneClassSVMParams

Array = np.ndarray[Any, np.dtype[np.float64]]
NAMES = ("domain_classifier", "half_space_trees", "isolation_forest", "mmd", "one_class_svm")
OUTLYING = ("half_space_trees", "isolation_forest", "one_class_svm")
REFERENCE = np.random.default_rng(5).normal(size=(400, 3))
SMALL = {"half_space_trees": {"trees": 5, "height": 4}, "isolation_forest": {"trees": 5}, "one_class_svm": {}}


def mixed(rng: np.random.Generator, size: int, features: int) -> Array:
    """Rows of continuous, discrete, heavy-tailed and constant features."""
    rows = rng.normal(size=(size, features))
    rows[:, 1::4] = rng.integers(3, size=rows[:, 1::4].shape)
    rows[:, 2::4] = rng.standard_t(2, size=rows[:, 2::4].shape)
    rows[:, 3::4] = 7.0
    return rows


def unscaled(features: int) -> dict[str, Any]:
    return {"center": np.zeros(features), "scale": np.ones(features), "held_out": np.arange(-20.0, 0.0)}


def wide(rows: Array) -> Array:
    """The rows, and some that lie far from all of them."""
    return np.concatenate([rows, 5.0 * rows, 1e5 * rows[:5]])


@pytest.mark.parametrize(("size", "sample", "trees", "features"), [(500, 256, 100, 4), (60, 60, 7, 1), (300, 2, 9, 30)])
def test_isolation_scores_are_scikit_learns(size: int, sample: int, trees: int, features: int) -> None:
    rows = mixed(np.random.default_rng(size), size, features)
    forest = IsolationForest(n_estimators=trees, max_samples=sample, random_state=3).fit(rows)
    arrays = arrays_of(forest)
    params = IsolationForestParams(trees=trees, longest=path_length(sample), **unscaled(features), **arrays)
    near = np.tile(arrays["cuts"][arrays["cuts"] != 0][:300, None], features)  # what float32 makes of it decides
    probes = np.concatenate([wide(rows), near, np.nextafter(near, np.inf), near * (1 + 1e-8), near * (1 - 1e-8)])
    found = detectors.find("isolation_forest")(params).scores(probes)  # type: ignore[attr-defined]
    np.testing.assert_allclose(found, forest.score_samples(probes), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("nu", "gamma", "features"), [(0.1, 0.25, 4), (0.5, 2.0, 1), (0.02, 1e-3, 30)])
def test_support_vector_scores_are_scikit_learns(nu: float, gamma: float, features: int) -> None:
    rows = mixed(np.random.default_rng(8), 300, features)
    machine = OneClassSVM(nu=nu, gamma=gamma).fit(rows)
    params = OneClassSVMParams(
        gamma=gamma, vectors=machine.support_vectors_, weights=machine.dual_coef_[0], **unscaled(features)
    )
    found = detectors.find("one_class_svm")(params).scores(wide(rows))  # type: ignore[attr-defined]
    np.testing.assert_allclose(found, machine.score_samples(wide(rows)), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("trees", "height"), [(10, 8), (3, 1), (5, 5)])
def test_half_space_scores_are_rivers_on_its_own_trees(trees: int, height: int) -> None:
    rows = np.random.default_rng(8).random((250, 4))
    theirs = RiversTrees(n_trees=trees, height=height, window_size=len(rows), seed=4)
    for row in rows:
        theirs.learn_one(dict(enumerate(row)))
    inner = 2**height - 1
    questions, cuts = np.zeros((trees, inner)), np.zeros((trees, inner))
    masses = np.zeros((trees, 2 * inner + 1))
    for t, root in enumerate(theirs.trees):
        level = [root]
        for at in range(2 * inner + 1):
            node = level.pop(0)
            masses[t, at] = node.r_mass
            if at < inner:
                questions[t, at], cuts[t, at] = node.feature, node.threshold
                level += node.children
    params = HalfSpaceTreesParams(
        trees=trees, height=height, questions=questions, cuts=cuts, worth=worth_of(masses), **unscaled(4)
    )
    probes = np.concatenate([rows, 3.0 * rows - 1.0])
    found = detectors.find("half_space_trees")(params).scores(probes)  # type: ignore[attr-defined]
    expected = [theirs.score_one(dict(enumerate(row))) for row in probes]
    np.testing.assert_allclose(1.0 - found / theirs._max_score, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", OUTLYING)
def test_the_statistic_is_the_share_of_the_window_that_scores_below_the_held_out_quantile(name: str) -> None:
    rng = np.random.default_rng(6)
    detector: Any = detectors.build(name, reference=REFERENCE, window=25, threshold=0.99, share=0.2, **SMALL[name])
    held_out = detector.params.held_out
    assert len(held_out) == 200
    level = np.sort(held_out)[int(0.2 * 201) - 1]
    rows = rng.normal(0.4, 1.2, (300, 3))
    beyond = detector.scores(rows) < level
    for i, row in enumerate(rows):
        detector.update(row)
        expected = beyond[i - 24 : i + 1].mean() if i >= 24 else 0.0
        assert detector.statistic == expected


@pytest.mark.parametrize("name", OUTLYING)
def test_the_model_is_not_fitted_on_the_rows_that_set_its_level(name: str) -> None:
    """The level of rows that were held out is met by new rows at the share that was asked for."""
    rng = np.random.default_rng(2)
    beyond = []
    for seed in range(30):
        detector: Any = detectors.build(
            name, reference=rng.normal(size=(400, 3)), share=0.1, seed=seed, **(SMALL[name] | {"window": 10})
        )
        beyond.append((detector.scores(rng.normal(size=(2000, 3))) < detector.params.level).mean())
    spread = np.sqrt(0.1 * 0.9 / 201 / 30)
    assert abs(np.mean(beyond) - 20 / 201) < 4 * spread


@pytest.mark.parametrize(("held_out", "window", "share"), [(1000, 200, 0.1), (150, 40, 0.05), (5000, 500, 0.01)])
def test_the_share_for_a_run_length_is_the_least_that_the_beta_binomial_allows(
    held_out: int, window: int, share: float
) -> None:
    rank = int(share * (held_out + 1))
    for run_length in (10.0, 1e4, 1e7):
        count = round(share_for(held_out, run_length, window=window, share=share) * window)
        assert betabinom.sf(count, window, rank, held_out + 1 - rank) <= 1 / run_length
        if count > 0:
            assert betabinom.sf(count - 1, window, rank, held_out + 1 - rank) > 1 / run_length


def test_a_promise_that_so_few_rows_cannot_keep_is_refused() -> None:
    with pytest.raises(detectors.ParameterError, match="150 held-out rows and a window of 10 cannot keep"):
        share_for(150, 1e12, window=10, share=0.5)
    with pytest.raises(detectors.ParameterError, match="less than one row"):
        share_for(100, 1e3, share=0.001)
    with pytest.raises(detectors.ParameterError, match="run_length must be"):
        share_for(100, float("nan"))


@pytest.mark.parametrize("name", OUTLYING)
def test_the_threshold_for_a_run_length_keeps_it(name: str) -> None:
    """Over many references, each followed by as many healthy rows; discrete features and heavy tails among them."""
    rng = np.random.default_rng(3)
    length, alarms, rows = 200.0, 0, 0
    for seed in range(60):
        kind: Any = detectors.find(name)
        reference = mixed(rng, 200, 5)
        threshold = kind.threshold_for(reference, length, window=20, share=0.2)
        detector = detectors.build(
            name, reference=reference, window=20, share=0.2, threshold=threshold, seed=seed, **SMALL[name]
        )
        alarms += len(detector.update_many(mixed(rng, 500, 5)))
        rows += 500
    assert 0 < alarms <= poisson.ppf(0.999, rows / length)


@pytest.mark.parametrize("name", OUTLYING)
def test_a_restored_model_needs_neither_the_library_nor_the_reference(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector: Any = detectors.build(name, reference=REFERENCE, **SMALL[name])
    assert detector.params.reference is None
    expected = detector.scores(REFERENCE).tolist()
    for module in [each for each in sys.modules if each.split(".")[0] == "sklearn"]:
        monkeypatch.setitem(sys.modules, module, None)
    restored: Any = detectors.restore(detector.snapshot())
    assert restored.scores(REFERENCE).tolist() == expected
    if name != "half_space_trees":
        with pytest.raises(detectors.ParameterError, match=f"{name} is fitted by scikit-learn, which is not installed"):
            detectors.build(name, reference=REFERENCE)


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_another_size_are_refused_with_a_sentence(name: str) -> None:
    detector: Any = detectors.build(name, reference=REFERENCE, **SMALL.get(name, {}))
    for wrong in (1.0, [1.0], [1.0, 2.0], [1.0] * 4, [[1.0, 2.0, 3.0]]):
        with pytest.raises(ValueError, match="a row must hold 3 features"):
            detector.update(wrong)
    for wrong in ([1.0, 2.0, 3.0], np.zeros((4, 2)), np.zeros((0, 2))):
        with pytest.raises(ValueError, match="an array of rows × 3 features"):
            detector.update_many(wrong)
    for wrong in ([[1.0], [1.0, 2.0, 3.0]], [["a", "b", "c"]]):
        with pytest.raises(ValueError, match="rows of equally many features, all numbers"):
            detector.update_many(wrong)
    assert detector.update_many([]).tolist() == []
    assert detector.update_many(np.zeros((0, 3))).tolist() == []
    assert detector.seen == detector.ignored == 0


@pytest.mark.parametrize("name", NAMES)
def test_units_and_the_order_in_memory_do_not_matter(name: str) -> None:
    rng = np.random.default_rng(4)
    units, zero = np.array([2.0**-40, 2.0**20, 1.0]), np.array([0.0, 0.0, 64.0])
    rows = np.concatenate([rng.normal(size=(200, 3)), rng.normal(2.0, size=(300, 3))])
    plain = detectors.build(name, reference=REFERENCE, **SMALL.get(name, {}))
    other = detectors.build(name, reference=REFERENCE * units + zero, **SMALL.get(name, {}))
    found = plain.update_many(rows).tolist()
    assert len(found) >= 1
    assert other.update_many(np.asfortranarray(rows * units + zero)).tolist() == found


@pytest.mark.parametrize("name", ["mmd", "domain_classifier"])
def test_a_heavy_tail_does_not_hide_a_shift_of_the_rest(name: str) -> None:
    rng = np.random.default_rng(3)
    reference = rng.standard_cauchy((2000, 3))
    kind: Any = detectors.find(name)
    detector = detectors.build(name, reference=reference, threshold=kind.threshold_for(reference, 1e5))
    assert detector.update_many(rng.standard_cauchy((1000, 3))).tolist() == []
    assert 0 <= detector.feed(rng.standard_cauchy((300, 3)) + 2.0) < 200


def test_a_feature_that_seldom_or_never_varies_has_a_scale_too() -> None:
    rng = np.random.default_rng(3)
    reference = np.stack([np.full(1000, 0.1), (rng.random(1000) < 0.005) * 1.0, rng.normal(size=1000)], axis=1)
    params: Any = detectors.find("mmd").parameters(reference=reference)
    assert params.scale[0] == 1.0
    assert params.scale[1] == pytest.approx(reference[:, 1].std())
    assert 0.9 < params.scale[2] < 1.1


@pytest.mark.parametrize("name", NAMES)
def test_the_change_is_dated(name: str) -> None:
    errors, trees = [], {"trees": 20} if "trees" in SMALL.get(name, {}) else {}
    for seed in range(20):
        rng = np.random.default_rng(seed)
        detector = detectors.build(name, reference=rng.normal(size=(1000, 3)), **trees)
        detector.update_many(rng.normal(size=(300, 3)))
        at = detector.feed(rng.normal(1.5, size=(500, 3)))
        errors.append(detector.since_change - (at + 1))
    assert at >= 0
    assert abs(np.median(errors)) <= (40 if name == "domain_classifier" else 10)


@pytest.mark.parametrize("name", NAMES)
def test_another_threshold_is_for_what_is_under_way(name: str) -> None:
    rng = np.random.default_rng(4)
    detector = detectors.build(name, reference=REFERENCE, **SMALL.get(name, {}))
    detector.update_many(rng.normal(size=(250, 3)))
    level = 1e7 if name == "domain_classifier" else 0.9
    higher = detector.retuned(threshold=level)
    assert higher.threshold == level
    assert higher.statistic == detector.statistic > 0
    assert higher.seen == 250


def changes(rng: np.random.Generator, size: int) -> dict[str, Array]:
    rows = rng.normal(size=(size, 5))
    return {
        "mean of all": rows + 0.5,
        "mean of one": rows + np.eye(5)[0],
        "wider": rows * 1.5,
        "narrower": rows * 0.7,
        "correlated": 0.6 * rows + 0.8 * rng.normal(size=(size, 1)),
    }


@pytest.mark.parametrize("name", ["domain_classifier", "mmd", "one_class_svm"])
def test_at_one_run_length_it_finds_what_it_is_for(name: str) -> None:
    kind: Any = detectors.find(name)
    delays: dict[str, list[float]] = {}
    for seed in range(5):
        rng = np.random.default_rng(seed)
        reference, healthy = rng.normal(size=(3000, 5)), rng.normal(size=(500, 5))
        threshold = kind.threshold_for(reference, 1e4)
        for change, rows in changes(rng, 800).items():
            detector = detectors.build(name, reference=reference, threshold=threshold)
            detector.update_many(healthy)
            at = detector.feed(rows)
            delays.setdefault(change, []).append(at if at >= 0 else np.inf)
    medians = {change: float(np.median(found)) for change, found in delays.items()}
    if name == "one_class_svm":
        assert medians["wider"] < 100
        assert medians["narrower"] == medians["correlated"] == np.inf
    else:
        assert max(medians.values()) < 200
