"""The same door for detectors of errors that compare with their best, and for detectors over rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import poisson

import detectors

ROWS = ("domain_classifier", "half_space_trees", "isolation_forest", "mmd", "one_class_svm")


@pytest.mark.parametrize("name", ["ddm", "eddm"])
@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_detectors_that_compare_with_their_best_keep_a_budget_and_find_three_times_the_errors(
    base_seed: int, name: str, rate: float
) -> None:
    month, budget, alarms, seen = 43_200, 2.0, 0, []
    for seed in range(3):
        rng = np.random.default_rng([base_seed, 30, seed])
        healthy = (rng.random(5_000) < rate).astype(float)
        found = detectors.calibrate(name, healthy, rate=1 / 60, false_alarms=budget, kind="binary", direction="up")
        for _ in range(4):
            alarms += len(found.detector(healthy).update_many((rng.random(month) < rate).astype(float)))
        detector = found.detector(healthy)
        if detector.feed(healthy) < 0:  # one that has just alarmed has no best to compare with
            seen.append(detector.feed((rng.random(20_000) < min(3 * rate, 0.9)).astype(float)) >= 0)
    assert alarms <= poisson.ppf(0.999, 12 * budget)
    assert seen and all(seen)


@pytest.mark.parametrize("name", ["ddm", "eddm"])
def test_errors_that_come_in_clusters_or_hardly_ever_are_refused(name: str) -> None:
    rng = np.random.default_rng(31)
    clusters = np.repeat(rng.random(1_000) < 0.1, 5).astype(float)
    with pytest.raises(detectors.Uncalibrated, match="depend on each other"):
        detectors.calibrate(name, clusters, rate=1 / 60, kind="binary", direction="up")
    few = np.zeros(5_000)
    few[::500] = 1.0
    with pytest.raises(detectors.Uncalibrated, match="holds 10 errors") as refused:
        detectors.calibrate(name, few, rate=1 / 60, kind="binary", direction="up")
    assert refused.value.needed == 15_000


def drawn(rng: np.random.Generator, size: int, shift: float = 0.0) -> np.ndarray:
    """Rows of four features that go together."""
    return rng.normal(size=(size, 4)) + rng.normal(size=(size, 1)) + shift


@pytest.mark.parametrize("name", ROWS)
def test_rows_are_calibrated_through_the_same_door(base_seed: int, name: str) -> None:
    rng = np.random.default_rng([base_seed, 32])
    healthy, every = drawn(rng, 2_000), 2_000
    stamps = 60_000 * np.arange(len(healthy))
    found = detectors.calibrate(name, healthy, rate=1 / 60, per=60.0 * every, timestamps=stamps)
    assert found.expected_per_30d == pytest.approx(43_200 / every) and found.assumes
    again = detectors.Calibration.of(found.tree())
    detector, other = found.detector(healthy), again.detector(healthy)
    fresh = drawn(rng, 8_000)
    alarms = detector.update_many(found.transform(fresh))
    assert len(alarms) <= poisson.ppf(0.999, len(fresh) / every)
    assert alarms.tolist() == other.update_many(again.transform(fresh)).tolist()
    assert 0 <= found.detector(healthy).feed(drawn(rng, 3_000, 2.0)) < 1_000


@pytest.mark.parametrize("name", ROWS)
def test_rows_that_depend_on_each_other_are_refused_or_paid_for(name: str) -> None:
    rng = np.random.default_rng(33)
    wandering = lfilter([1.0], [1.0, -0.8], rng.normal(size=(6_000, 3)), axis=0)
    if name == "mmd":
        free = detectors.calibrate(name, rng.permutation(wandering), rate=1 / 60)
        paid = detectors.calibrate(name, wandering, rate=1 / 60)
        assert paid.method == "block bootstrap" and paid.params["threshold"] > 1.5 * free.params["threshold"]
    else:
        with pytest.raises(detectors.Uncalibrated, match="depend on each other"):
            detectors.calibrate(name, wandering, rate=1 / 60)


def test_rows_with_a_season_and_rows_that_are_too_few_are_refused() -> None:
    rng = np.random.default_rng(34)
    stamps = 600_000 * np.arange(1_440)
    daily = drawn(rng, len(stamps)) + 2.0 * np.sin(2.0 * np.pi * stamps / 86_400_000)[:, None]
    with pytest.raises(detectors.Uncalibrated, match="season"):
        detectors.calibrate("mmd", daily, rate=1 / 600, timestamps=stamps)
    with pytest.raises(detectors.Uncalibrated, match="needs at least 100"):
        detectors.calibrate("mmd", daily[:50], rate=1 / 600)
