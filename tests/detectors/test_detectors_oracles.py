"""The detectors against river and scipy, alarm for alarm and bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import drift
from scipy import stats

import detectors
from detectors.distribution.categories import cells
from detectors.distribution.chi_squared import ChiSquared, ChiSquaredParams

SHAPES = ("bernoulli", "normal", "lognormal", "constant", "steps", "huge")


def values_of(shape: str, seed: int, size: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    match shape:
        case "bernoulli":
            return (rng.random(size) < np.repeat([0.1, 0.35], [size // 2, size - size // 2])).astype(float)
        case "normal":
            return rng.normal(np.repeat([0.0, 0.8], [size // 2, size - size // 2]))
        case "lognormal":
            return rng.lognormal(sigma=2.0, size=size)
        case "constant":
            return np.full(size, 3.25)
        case "steps":
            return np.repeat(rng.normal(size=size // 50 + 1) * 5, 50)[:size]
    return rng.normal(1e9, 1e-3, size=size)


def river_alarms(detector: drift.ADWIN | drift.PageHinkley, values: np.ndarray) -> list[int]:
    found = []
    for i, value in enumerate(values.tolist()):
        detector.update(value)
        if detector.drift_detected:
            found.append(i)
    return found


@pytest.mark.parametrize("shape", SHAPES)
@given(
    seed=st.integers(0, 2**32),
    delta=st.sampled_from([1e-9, 0.002, 0.05, 0.5]),
    clock=st.sampled_from([1, 3, 32]),
    max_buckets=st.sampled_from([2, 5, 9]),
    least=st.sampled_from([1, 5, 20]),
    grace=st.sampled_from([0, 10, 100]),
)
@settings(derandomize=True, deadline=None, max_examples=12)
def test_adwin_alarms_are_rivers(
    shape: str, seed: int, delta: float, clock: int, max_buckets: int, least: int, grace: int
) -> None:
    params = {
        "delta": delta, "clock": clock, "max_buckets": max_buckets, "min_window_length": least, "grace_period": grace,
    }  # fmt: skip
    values = values_of(shape, seed, 2000)
    assert detectors.build("adwin", **params).update_many(values).tolist() == river_alarms(
        drift.ADWIN(**params), values
    )


def test_adwin_keeps_rivers_window_over_a_long_stream() -> None:
    values = values_of("bernoulli", 11, 60_000)
    ours, theirs = detectors.build("adwin", delta=1e-6), drift.ADWIN(delta=1e-6)
    assert ours.update_many(values).tolist() == river_alarms(theirs, values)
    assert ours.width == theirs.width
    assert ours.estimation == theirs.estimation


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["up", "down", "both"])
@given(
    seed=st.integers(0, 2**32),
    least=st.sampled_from([1, 30]),
    delta=st.sampled_from([0.0, 0.005, 0.05]),
    threshold=st.sampled_from([0.5, 5.0, 50.0]),
    alpha=st.sampled_from([0.9, 0.9999, 1.0]),
)
@settings(derandomize=True, deadline=None, max_examples=10)
def test_page_hinkley_alarms_are_rivers(
    shape: str, mode: str, seed: int, least: int, delta: float, threshold: float, alpha: float
) -> None:
    params = {"min_instances": least, "delta": delta, "threshold": threshold, "alpha": alpha, "mode": mode}
    values = values_of(shape, seed, 1000)
    ours = detectors.build("page_hinkley", **params).update_many(values).tolist()
    assert ours == river_alarms(drift.PageHinkley(**params), values)


@given(
    seed=st.integers(0, 2**32),
    size=st.integers(30, 150),
    window=st.integers(10, 80),
    decimals=st.sampled_from([0, 1, 8]),
    shift=st.floats(-3, 3),
)
@settings(derandomize=True, deadline=None, max_examples=25)
def test_the_ks_statistic_is_scipys_ties_included(
    seed: int, size: int, window: int, decimals: int, shift: float
) -> None:
    rng = np.random.default_rng(seed)
    reference = np.round(rng.normal(size=size), decimals)
    values = np.round(rng.normal(shift, 1.3, size=window + 60), decimals)
    detector = detectors.build("windowed_ks", reference=reference, window=window, threshold=1.0)
    for i, value in enumerate(values):
        detector.update(value)
        if i + 1 < window:
            assert detector.statistic == 0.0
        elif i % 7 == 0:
            expected = stats.ks_2samp(values[i + 1 - window : i + 1], reference).statistic
            assert detector.statistic == expected


@given(seed=st.integers(0, 2**32), one=st.integers(1, 60), two=st.integers(1, 60), decimals=st.sampled_from([0, 1, 8]))
@settings(derandomize=True, deadline=None, max_examples=50)
def test_the_ks_distance_of_two_samples_is_scipys(seed: int, one: int, two: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = np.round(rng.normal(size=one), decimals), np.round(rng.normal(0.3, size=two), decimals)
    found = detectors.ks_distance(first, second)
    result = stats.ks_2samp(first, second)
    assert found == pytest.approx(result.statistic, abs=1e-12)
    assert detectors.ks_bound(found, one, two) >= result.pvalue - 1e-9


@given(seed=st.integers(0, 2**32), categories=st.integers(1, 12), window=st.integers(20, 100))
@settings(derandomize=True, deadline=None, max_examples=25)
def test_the_chi_squared_statistic_is_scipys(seed: int, categories: int, window: int) -> None:
    rng = np.random.default_rng(seed)
    reference = rng.integers(categories, size=300).astype(float)
    values = rng.integers(categories + 2, size=window + 150).astype(float)  # two that the reference never showed
    detector = ChiSquared(ChiSquaredParams(reference=reference, window=window, threshold=1e12, surprise=1e12))
    for i, value in enumerate(values):
        detector.update(value)
        if i + 1 >= window and i % 7 == 0:
            last = values[i + 1 - window : i + 1]
            counts = np.array([np.count_nonzero(last == c) for c in detector.categories])
            expected = 0.0
            if counts.sum():
                expected = stats.chisquare(counts, detector.proportions * counts.sum()).statistic
            assert detector.pearson == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(seed=st.integers(0, 2**32), categories=st.integers(1, 12), window=st.integers(20, 100))
@settings(derandomize=True, deadline=None, max_examples=25)
def test_pearsons_statistic_of_two_samples_is_scipys_what_is_rare_in_one_cell(
    seed: int, categories: int, window: int
) -> None:
    rng = np.random.default_rng(seed)
    reference, values = rng.integers(categories, size=300), rng.integers(categories + 2, size=window)
    named, proportions = cells(reference.astype(float), window, 10.0)
    assert proportions.sum() == pytest.approx(1.0)
    counts = [np.count_nonzero(values == c) for c in named]
    counts.append(window - sum(counts))
    found, freedom = detectors.pearson(values, reference)
    assert found == pytest.approx(stats.chisquare(counts, proportions * window).statistic, rel=1e-9, abs=1e-9)
    assert freedom == len(counts) - 1


def test_total_variation_is_half_the_difference_of_proportions() -> None:
    assert detectors.total_variation([0, 0, 1, 2], [0, 1, 1, 3]) == pytest.approx(0.5)
    assert detectors.total_variation([1, 1], [1, 1, 1]) == 0.0


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_page_hinkley_dates_the_change(direction: float) -> None:
    rng = np.random.default_rng(2)
    values = direction * np.concatenate([rng.normal(size=3000), rng.normal(1.0, size=500)])
    detector = detectors.build("page_hinkley", delta=0.25, threshold=40.0, alpha=1.0)
    at = detector.feed(values)
    assert at >= 3000
    assert abs(at + 1 - detector.since_change - 3000) < 80


def test_windowed_detectors_date_the_change_within_their_window() -> None:
    rng = np.random.default_rng(2)
    ks = detectors.build("windowed_ks", reference=rng.normal(size=1000), threshold=0.17)
    at = ks.feed(np.concatenate([rng.normal(size=3000), rng.normal(1.0, size=500)]))
    assert abs(at + 1 - ks.since_change - 3000) < 25
    chi = detectors.build("chi_squared", reference=rng.integers(4, size=1000).astype(float), threshold=60.0)
    at = chi.feed(np.concatenate([rng.integers(4, size=3000), rng.integers(2, size=500)]).astype(float))
    assert abs(at + 1 - chi.since_change - 3000) < 25
