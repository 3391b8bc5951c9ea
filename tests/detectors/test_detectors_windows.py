"""The detectors that compare windows, against scipy and brute force: every look, ties included."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

import detectors
from detectors.distribution.binned import points_of

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


def counted(values: np.ndarray, reference: np.ndarray, cells: str, bins: int) -> np.ndarray:
    """How many values each cell holds, by numpy alone."""
    if cells == "categories":
        known = np.unique(reference)
        counts = [np.count_nonzero(values == each) for each in known]
        return np.array([*counts, len(values) - sum(counts)], float)
    low, high = reference.min(), reference.max()
    parts = np.arange(bins + 1) / bins
    inner = (
        low * (1 - parts) + high * parts if cells == "linear" else np.quantile(reference, parts, method="inverted_cdf")
    )
    edges = np.unique(np.concatenate(([np.nextafter(low, -np.inf)], inner[1:-1], [high])))
    return np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1).astype(float)


@given(
    seed=SEEDS,
    size=st.integers(30, 150),
    window=st.integers(10, 80),
    decimals=DECIMALS,
    cells=st.sampled_from(["linear", "quantile", "categories"]),
    bins=st.integers(2, 20),
    smoothing=st.sampled_from([0.01, 0.5, 2.0]),
)
@settings(derandomize=True, deadline=None, max_examples=40)
def test_psi_and_jensen_shannon_are_what_scipy_makes_of_the_counts(
    seed: int, size: int, window: int, decimals: int, cells: str, bins: int, smoothing: float
) -> None:
    reference = np.round(np.random.default_rng(seed).normal(size=size), decimals)
    values = drifting(seed, window + 90, decimals)
    common = {"reference": reference, "window": window, "cells": cells, "bins": bins}
    psi = detectors.build("psi", **common, threshold=1e9, smoothing=smoothing)
    jensen = detectors.build("jensen_shannon", **common, threshold=0.9999999)
    theirs = counted(reference, reference, cells, bins)
    for i, value in enumerate(values):
        psi.update(value)
        if i + 1 < window:
            assert psi.statistic == 0.0
        elif i % 5 == 0:
            last = values[i + 1 - window : i + 1]
            jensen.reset()
            jensen.update_many(last)
            ours = counted(last, reference, cells, bins)
            assert jensen.statistic == pytest.approx(distance.jensenshannon(ours, theirs, 2), abs=1e-8)
            p, q = (each + smoothing for each in (ours, theirs))
            both = stats.entropy(p, q) + stats.entropy(q, p)
            assert psi.statistic == pytest.approx(both, rel=1e-9, abs=1e-12)
            assert psi.effect == pytest.approx(np.abs(ours / window - theirs / size).sum() / 2, abs=1e-12)


@pytest.mark.parametrize("name", ["psi", "jensen_shannon"])
def test_an_effect_too_small_to_matter_never_fires_and_a_larger_one_does(name: str) -> None:
    rng = np.random.default_rng(4)
    reference = rng.integers(4, size=20_000).astype(float)
    small, large = (rng.choice(4, 30_000, p=[0.25 - d, 0.25, 0.25, 0.25 + d]).astype(float) for d in (0.03, 0.12))
    low = {"psi": 0.005, "jensen_shannon": 0.02}[name]
    common = {"reference": reference, "window": 5000, "threshold": low, "cells": "categories"}
    assert len(detectors.build(name, **common).update_many(small)) > 0
    gated = detectors.build(name, **common, min_effect=0.08)
    assert len(gated.update_many(small)) == 0
    assert gated.statistic > gated.threshold
    assert gated.feed(large) >= 0
    assert gated.effect >= 0.08


def test_bins_hold_the_reference_whatever_its_values() -> None:
    rng = np.random.default_rng(6)
    for reference in (
        rng.normal(size=500),
        np.full(50, 3.25),
        np.array([-1.7e308, 1.7e308] * 20),
        np.array([5e-324, 0.0, -5e-324] * 20),
        rng.integers(3, size=90).astype(float),
    ):
        for cells in ("linear", "quantile"):
            points = points_of(reference, cells, 10)
            places = np.searchsorted(points, reference)
            assert places.min() >= 1, "the lower outer bin is empty"
            assert places.max() <= len(points) - 1, "the upper outer bin is empty"
            assert (points[1:] > points[:-1]).all()
