"""The detectors that compare windows, against scipy and brute force: every look, ties included."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import detectors

SEEDS = st.integers(0, 2**32)
DECIMALS = st.sampled_from([0, 1, 8])


def drifting(seed: int, size: int, decimals: int) -> np.ndarray:
    """Normal values whose mean and spread wander, rounded for ties."""
    rng = np.random.default_rng(seed)
    level = np.cumsum(rng.normal(0, 0.15, size))
    return np.round(rng.normal(level, rng.uniform(0.5, 2.0)), decimals)


def ks(newer: np.ndarray, older: np.ndarray) -> float:
    """The KS distance by counting, as a fraction whose denominator is the sizes' least common multiple."""
    pool = np.concatenate([newer, older])[:, None]
    steps = (newer <= pool).sum(axis=1) * len(older) - (older <= pool).sum(axis=1) * len(newer)
    common = math.lcm(len(newer), len(older))
    return int(np.abs(steps).max()) // (len(newer) * len(older) // common) / common


@given(seed=SEEDS, before=st.integers(10, 80), window=st.integers(10, 80), decimals=DECIMALS)
@settings(derandomize=True, deadline=None, max_examples=25)
def test_the_statistic_of_two_sliding_windows_is_scipys(seed: int, before: int, window: int, decimals: int) -> None:
    values = drifting(seed, before + window + 90, decimals)
    detector = detectors.build("windowed_ks", before=before, window=window, threshold=1.0)
    for i, value in enumerate(values):
        detector.update(value)
        done = i + 1
        if done < before + window:
            assert detector.statistic == 0.0
        elif i % 5 == 0:
            older, newer = values[done - window - before : done - window], values[done - window : done]
            assert detector.statistic == stats.ks_2samp(newer, older).statistic == ks(newer, older)


@given(
    seed=SEEDS,
    before=st.integers(10, 60),
    window=st.integers(10, 60),
    decimals=DECIMALS,
    threshold=st.floats(0.15, 0.7),
    fixed=st.booleans(),
)
@settings(derandomize=True, deadline=None, max_examples=40)
def test_no_look_that_would_alarm_is_left_out(
    seed: int, before: int, window: int, decimals: int, threshold: float, fixed: bool
) -> None:
    values = drifting(seed, 400, decimals)
    reference = np.round(np.random.default_rng(seed).normal(size=30 + before), decimals)
    expected = []
    start = 0
    for done in range(1, len(values) + 1):
        if done - start >= window + (0 if fixed else before):
            older = reference if fixed else values[done - window - before : done - window]
            if ks(values[done - window : done], older) > threshold:
                expected.append(done - 1)
                start = done
    against = {"reference": reference} if fixed else {"before": before}
    detector = detectors.build("windowed_ks", window=window, threshold=threshold, **against)
    assert detector.update_many(values).tolist() == expected


def test_two_sliding_windows_follow_a_slow_drift_and_date_a_jump() -> None:
    rng = np.random.default_rng(5)
    values = np.concatenate([rng.normal(np.linspace(0, 3, 20_000)), rng.normal(4.5, 1.0, 500)])
    detector = detectors.build("windowed_ks", window=400, threshold=0.25)
    at = detector.feed(values)
    assert at >= 20_000
    assert abs(at + 1 - detector.since_change - 20_000) < 30
    against_the_start = detectors.build("windowed_ks", reference=values[:1000], window=400, threshold=0.25)
    assert against_the_start.feed(values) < 20_000


@given(seed=SEEDS, size=st.integers(30, 150), window=st.integers(10, 80), decimals=DECIMALS)
@settings(derandomize=True, deadline=None, max_examples=25)
def test_the_cramer_von_mises_statistic_is_scipys_ties_included(
    seed: int, size: int, window: int, decimals: int
) -> None:
    reference = np.round(np.random.default_rng(seed).normal(size=size), decimals)
    values = drifting(seed, window + 90, decimals)
    detector = detectors.build("cramer_von_mises", reference=reference, window=window, threshold=1e9)
    for i, value in enumerate(values):
        detector.update(value)
        if i + 1 < window:
            assert detector.statistic == 0.0
        elif i % 5 == 0:
            expected = stats.cramervonmises_2samp(values[i + 1 - window : i + 1], reference, method="asymptotic")
            assert detector.statistic == expected.statistic


@pytest.mark.parametrize(("level", "chance"), [(0.4614, 0.05), (1.1679, 0.001)])
def test_the_levels_in_the_docstring_of_cramer_von_mises_are_those_of_its_limit(level: float, chance: float) -> None:
    assert 1 - stats._hypotests._cdf_cvm_inf(level) == pytest.approx(chance, rel=0.01)


@given(seed=SEEDS, size=st.integers(30, 150), window=st.integers(10, 80), decimals=DECIMALS)
@settings(derandomize=True, deadline=None, max_examples=25)
def test_the_wasserstein_distance_is_scipys(seed: int, size: int, window: int, decimals: int) -> None:
    reference = np.round(np.random.default_rng(seed).normal(3.0, size=size), decimals)
    values = drifting(seed, window + 90, decimals)
    plain = detectors.build("wasserstein", reference=reference, window=window, threshold=1e9, unit="value")
    scaled = detectors.build("wasserstein", reference=reference, window=window, threshold=1e9)
    for i, value in enumerate(values):
        plain.update(value)
        scaled.update(value)
        if i + 1 < window:
            assert plain.statistic == scaled.statistic == 0.0
        elif i % 5 == 0:
            expected = stats.wasserstein_distance(values[i + 1 - window : i + 1], reference)
            assert plain.statistic == pytest.approx(expected, rel=1e-9, abs=1e-15)
            assert scaled.statistic == pytest.approx(expected / reference.std(), rel=1e-9, abs=1e-15)


@given(seed=SEEDS, window=st.integers(10, 60), decimals=DECIMALS, threshold=st.floats(0.1, 1.5), heavy=st.booleans())
@settings(derandomize=True, deadline=None, max_examples=25)
def test_the_bound_on_wassersteins_growth_leaves_out_no_alarm(
    seed: int, window: int, decimals: int, threshold: float, heavy: bool
) -> None:
    rng = np.random.default_rng(seed)
    reference = np.round(rng.normal(size=60), decimals)
    values = np.round(rng.standard_t(1.5, 300), decimals) if heavy else drifting(seed, 300, decimals)
    expected, start = [], 0
    for done in range(1, len(values) + 1):
        if done - start >= window:
            found = stats.wasserstein_distance(values[done - window : done], reference) / reference.std()
            if found > threshold:
                expected.append(done - 1)
                start = done
    detector = detectors.build("wasserstein", reference=reference, window=window, threshold=threshold)
    assert detector.update_many(values).tolist() == expected
