"""MMD against its definition, and the run length of its threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist
from scipy.stats import poisson

import detectors
from detectors.multivariate.mmd import MMD, MMDParams

Array = np.ndarray[Any, np.dtype[np.float64]]
REFERENCE = np.random.default_rng(5).normal(size=(400, 3)) * [1.0, 10.0, 1e-3] + [0.0, 5.0, 1.0]


def embedded(params: MMDParams, rows: Array) -> Array:
    """Cosines and sines of the rows, by numpy's."""
    turns = (rows - params.center) / params.scale @ np.asarray(params.frequencies)
    return np.concatenate([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)], axis=1)


def distance(params: MMDParams, window: Array) -> float:
    apart = embedded(params, window).mean(axis=0) - embedded(params, REFERENCE).mean(axis=0)
    return float(np.sqrt(np.square(apart).sum() / params.waves))


@given(seed=st.integers(0, 2**32), waves=st.integers(1, 70), factor=st.sampled_from([1.0, 30.0]))
@settings(derandomize=True, deadline=None, max_examples=30)
def test_the_statistic_is_the_distance_of_the_mean_waves(seed: int, waves: int, factor: float) -> None:
    rows = np.random.default_rng(seed).normal(size=(60, 3)) * factor
    params = MMDParams(reference=REFERENCE, window=20, threshold=2.0, waves=waves, seed=seed)
    detector = MMD(params)
    for i, row in enumerate(rows):
        detector.update(row)
        expected = distance(params, rows[i - 19 : i + 1]) if i >= 19 else 0.0
        assert detector.statistic == pytest.approx(expected, abs=1e-6)


def test_many_waves_are_the_gaussian_kernel() -> None:
    rng = np.random.default_rng(1)
    window = (REFERENCE[:100] - [0.0, 5.0, 1.0]) * 1.5 + [0.5, 5.0, 1.0]
    params = MMDParams(reference=REFERENCE, window=100, threshold=2.0, waves=4096)
    scaled, last = ((rows - params.center) / params.scale for rows in (REFERENCE, window))
    assert params.bandwidth == pytest.approx(np.median(pdist(scaled)))
    within, across, other = (
        np.exp(-cdist(a, b, "sqeuclidean") / (2 * params.bandwidth**2)).mean()
        for a, b in ((last, last), (last, scaled), (scaled, scaled))
    )
    detector = MMD(params)
    detector.update_many(window[rng.permutation(100)])
    assert detector.statistic**2 == pytest.approx(within - 2 * across + other, abs=5e-3)


def test_nothing_but_the_window_counts_however_long_ago_it_was() -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(30_000, 3)) * 10.0 ** rng.integers(-9, 9, (30_000, 1))
    params = MMDParams(reference=REFERENCE, window=50, threshold=2.0)
    long, fresh, turned = MMD(params), MMD(params), MMD(params)
    long.update_many(rows)
    fresh.update_many(rows[-50:])
    turned.update_many(rows[-50:][::-1])
    assert long.statistic == fresh.statistic == turned.statistic > 0


@given(seed=st.integers(0, 2**32), threshold=st.floats(0.1, 0.6), size=st.integers(10, 60))
@settings(derandomize=True, deadline=None, max_examples=30)
def test_no_look_that_could_alarm_is_left_out(seed: int, threshold: float, size: int) -> None:
    rng = np.random.default_rng(seed)
    rows = REFERENCE[rng.integers(400, size=400)] * np.repeat(rng.choice([1.0, 1.2, 2.0, 10.0], 8), 50)[:, None]
    params = MMDParams(reference=REFERENCE, window=size, threshold=threshold, waves=9)
    expected, start = [], 0
    for i in range(len(rows)):
        if i + 1 - start >= size and distance(params, rows[i + 1 - size : i + 1]) > threshold:
            expected.append(i)
            start = i + 1
    assert MMD(params).update_many(rows).tolist() == expected


WORLDS = {
    "normal": lambda rng, size: rng.normal(size=(size, 5)),
    "rare": lambda rng, size: (rng.random((size, 5)) < 0.02) * 1.0,
    "heavy": lambda rng, size: rng.standard_t(2, size=(size, 5)),
}


@pytest.mark.parametrize("world", WORLDS)
def test_the_threshold_for_a_run_length_keeps_it(world: str) -> None:
    rng, length = np.random.default_rng(3), 2e3
    alarms = rows = 0
    for seed in range(10):
        reference = WORLDS[world](rng, 1000)
        threshold = MMD.threshold_for(reference, length, window=50, waves=32, seed=seed)
        detector = MMD(MMDParams(reference=reference, threshold=threshold, window=50, waves=32, seed=seed))
        alarms += len(detector.update_many(WORLDS[world](rng, 10_000)))
        rows += 10_000
    assert 0 < alarms <= poisson.ppf(0.999, rows / length)


def autoregressive(rng: np.random.Generator, size: int, memory: float = 0.8) -> Array:
    rows = rng.normal(size=(size, 3)) * np.sqrt(1 - memory**2)
    for i in range(1, size):
        rows[i] += memory * rows[i - 1]
    return rows


def test_rows_that_depend_on_each_other_are_drawn_in_blocks() -> None:
    rng, length = np.random.default_rng(4), 2e3
    alarms = {1: 0, 100: 0}
    for seed in range(6):
        reference, live = autoregressive(rng, 4000), autoregressive(rng, 10_000)
        for block in alarms:
            threshold = MMD.threshold_for(reference, length, block=block, window=100, waves=32, seed=seed)
            detector = MMD(MMDParams(reference=reference, threshold=threshold, window=100, waves=32, seed=seed))
            alarms[block] += len(detector.update_many(live))
    promised = 60_000 / length
    assert alarms[100] <= poisson.ppf(0.999, promised)
    assert alarms[1] > 3 * promised


def test_thresholds_rise_with_the_run_length_and_wrong_arguments_get_a_sentence() -> None:
    found = [MMD.threshold_for(REFERENCE, length, window=40, waves=16) for length in (1e3, 1e5, 1e8)]
    assert 0.0 < found[0] < found[1] < found[2] <= 2.0
    assert found[0] == MMD.threshold_for(REFERENCE, 1e3, window=40, waves=16)
    with pytest.raises(detectors.ParameterError, match="run_length must be a number of at least 1"):
        MMD.threshold_for(REFERENCE, float("nan"))
    with pytest.raises(detectors.ParameterError, match="block must be 1 row up to the whole reference"):
        MMD.threshold_for(REFERENCE, 1e3, block=401)


@pytest.mark.parametrize("kind", ["mean", "spread", "correlation", "shape"])
def test_changes_of_any_kind_are_found_where_single_features_look_healthy_too(kind: str) -> None:
    rng = np.random.default_rng(6)
    reference = rng.normal(size=(1000, 2))
    changed = rng.normal(size=(600, 2))
    if kind == "mean":
        changed += 0.7
    elif kind == "spread":
        changed *= 0.5
    elif kind == "correlation":
        changed[:, 1] = 0.95 * changed[:, 0] + np.sqrt(1 - 0.95**2) * changed[:, 1]
    else:
        changed = rng.choice([-1.0, 1.0], (600, 2))
    width = 0.5 if kind == "shape" else 0.0  # finer than the median distance
    threshold = MMD.threshold_for(reference, 1e5, bandwidth=width)
    detector = MMD(MMDParams(reference=reference, threshold=threshold, bandwidth=width))
    assert detector.update_many(rng.normal(size=(3000, 2))).tolist() == []
    assert 0 <= detector.feed(changed) < 400
