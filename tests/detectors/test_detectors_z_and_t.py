"""Welch's t and z of a sliding window: scipy's and fsum's values, gates, and false alarms within the closed form."""

from __future__ import annotations

from math import fsum, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import detectors
from detectors.distribution.welch_t import WelchT, WelchTParams
from detectors.distribution.z_score import ZScore, ZScoreParams

Array = npt.NDArray[np.float64]
REFERENCE = np.random.default_rng(7).normal(size=300)


def welch(**params: Any) -> WelchT:
    return WelchT(WelchTParams(**({"reference": REFERENCE} | params)))


def z_score(**params: Any) -> ZScore:
    return ZScore(ZScoreParams(**({"target": 0.0, "scale": 1.0} | params)))


def shaped(shape: str, rng: np.random.Generator, size: int) -> Array:
    match shape:
        case "normal":
            return rng.normal(size=size)
        case "offset":
            return rng.normal(1e6, 1.0, size)
        case "lognormal":
            return rng.lognormal(sigma=2.0, size=size)
        case "errors":
            return (rng.random(size) < 0.2).astype(np.float64)
    return rng.normal(size=size) * 1e-200


SHAPES = st.sampled_from(["normal", "offset", "lognormal", "errors", "tiny"])


@pytest.mark.filterwarnings("ignore:Precision loss occurred")
@given(
    seed=st.integers(0, 2**32),
    shape=SHAPES,
    size=st.integers(30, 200),
    window=st.integers(2, 60),
    shift=st.sampled_from([0.0, 0.5, 30.0]),
)
@settings(derandomize=True, deadline=None, max_examples=60)
def test_t_is_scipys(seed: int, shape: str, size: int, window: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    reference = shaped(shape, rng, size)
    if shape == "errors":
        reference[:2] = 0.0, 1.0  # at least one of each
    unit = 1e-200 if shape == "tiny" else 1.0  # scipy's squares of 1e-200 would be 0
    values = shaped(shape, rng, 3 * window + 5) + shift * (reference / unit).std() * unit
    detector = welch(reference=reference, window=window, threshold=1e300)
    for i, value in enumerate(values.tolist()):
        detector.update(value)
        if i + 1 < window:
            assert detector.statistic == 0.0
        elif i % 7 == 0:
            last = values[i + 1 - window : i + 1]
            expected = abs(stats.ttest_ind(last / unit, reference / unit, equal_var=False).statistic)
            assert detector.statistic == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(seed=st.integers(0, 2**32), shape=SHAPES, window=st.integers(1, 60), target=st.floats(-10, 10))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_z_is_the_windows_mean_in_standard_errors(seed: int, shape: str, window: int, target: float) -> None:
    values = shaped(shape, np.random.default_rng(seed), 3 * window + 5)
    scale = float(values.std()) or 1.0
    target *= scale
    detector = z_score(target=target, scale=scale, window=window, threshold=1e300)
    for i, value in enumerate(values.tolist()):
        detector.update(value)
        if i + 1 < window:
            assert detector.statistic == 0.0
        else:
            last = [(x - target) / scale for x in values[i + 1 - window : i + 1].tolist()]
            size = fsum(abs(x) for x in last) / sqrt(window)
            assert detector.statistic == pytest.approx(abs(fsum(last)) / sqrt(window), abs=1e-13 * size + 1e-300)


@pytest.mark.parametrize("name", ["welch_t", "z_score"])
@pytest.mark.parametrize("direction", ["up", "down", "both"])
def test_alarms_are_those_of_a_plain_loop(name: str, direction: str) -> None:
    window, threshold, effect = 15, 2.0, 0.4
    values = np.random.default_rng(3).normal(np.repeat([0.0, 0.8, -0.8], 400))
    own = {"reference": REFERENCE} if name == "welch_t" else {"target": 0.0, "scale": 1.0}
    detector = detectors.build(
        name, **own, window=window, threshold=threshold, direction=direction, min_effect=effect
    )  # fmt: skip
    expected, inside = [], list[float]()
    for i, value in enumerate(values.tolist()):
        inside = [*inside, value][-window:]
        if len(inside) < window:
            continue
        if name == "welch_t":
            t = stats.ttest_ind(inside, REFERENCE, equal_var=False).statistic
            gap = (np.mean(inside) - REFERENCE.mean()) / REFERENCE.std(ddof=1)
        else:
            gap = np.mean(inside)
            t = gap * sqrt(window)
        signed = {"up": t, "down": -t, "both": abs(t)}[direction]
        if signed > threshold and abs(gap) >= effect:
            expected.append(i)
            inside = []
    assert detector.update_many(values).tolist() == expected
    assert len(expected) > 5


@pytest.mark.parametrize("odd", [1e9, 1e60, -1.7e308])
@pytest.mark.parametrize("name", ["welch_t", "z_score"])
def test_a_huge_value_leaves_no_trace_once_it_is_out_of_the_window(name: str, odd: float) -> None:
    """A sum that adds and subtracts would keep its rounding for good."""
    values = np.random.default_rng(5).normal(size=400)
    own = {"reference": REFERENCE} if name == "welch_t" else {"target": 0.0, "scale": 1.0}
    hurt, clean = (detectors.build(name, **own, window=50, threshold=1e300) for _ in range(2))
    shaken = values.copy()
    shaken[[60, 130, 149]] = odd
    for i, (one, two) in enumerate(zip(shaken.tolist(), values.tolist(), strict=True)):
        hurt.update(one)
        clean.update(two)
        assert np.isfinite(hurt.statistic)
        if i >= 199:
            assert hurt.statistic == clean.statistic


def test_an_effect_too_small_to_matter_never_fires_however_many_values_there_are() -> None:
    values = np.random.default_rng(6).normal(0.1, size=60_000)
    reference = np.random.default_rng(7).normal(size=20_000)
    for effect, alarms in ((0.0, True), (0.3, False)):
        t = welch(reference=reference, window=5000, threshold=5.0, min_effect=effect)
        z = z_score(window=5000, threshold=5.0, min_effect=effect)
        assert (len(t.update_many(values)) > 0) == alarms
        assert (len(z.update_many(values)) > 0) == alarms
        if not alarms:
            assert t.statistic > t.threshold
            assert abs(t.effect) < 0.3
            assert t.effect == pytest.approx(values[-5000:].mean(), abs=0.05)
            assert z.effect == pytest.approx(values[-5000:].mean())


@pytest.mark.parametrize("name", ["welch_t", "z_score"])
def test_the_change_is_dated_within_the_window(name: str) -> None:
    rng = np.random.default_rng(2)
    own = {"reference": REFERENCE} if name == "welch_t" else {"target": 0.0, "scale": 1.0}
    detector = detectors.build(name, **own, window=200, threshold=7.0)
    at = detector.feed(np.concatenate([rng.normal(size=3000), rng.normal(1.0, size=500)]))
    assert abs(at + 1 - detector.since_change - 3000) < 15


def test_a_single_value_far_out_is_an_alarm_with_a_window_of_one() -> None:
    detector = z_score(target=10.0, scale=2.0, window=1, threshold=3.0, direction="down")
    assert detector.update_many([10.0, 16.5, 4.5, 3.9, 10.0, 3.0]).tolist() == [3, 5]
    assert detector.since_change == 1
    assert detector.statistic == 3.5


@pytest.mark.parametrize("direction", ["up", "both"])
@pytest.mark.parametrize("window", [1, 10])
def test_false_alarms_of_z_stay_within_the_closed_form(window: int, direction: Any) -> None:
    """n × tail for independent normal values, with equality for a window of 1 (four standard errors either way)."""
    count, threshold = 400_000, 3.0
    found = len(
        z_score(window=window, threshold=threshold, direction=direction).update_many(
            np.random.default_rng(8).normal(size=count)
        )
    )
    bound = count * stats.norm.sf(threshold) * (2 if direction == "both" else 1)
    assert found <= bound + 4 * sqrt(bound)
    if window == 1:
        assert found >= bound - 4 * sqrt(bound)


@pytest.mark.parametrize("size", [30, 200])
def test_false_alarms_of_t_stay_within_the_closed_form_its_reference_included(size: int) -> None:
    """Averaged over references: a short one has fewer degrees of freedom, and its error is in the statistic."""
    window, threshold, count, rng = 20, 4.0, 2000, np.random.default_rng(9)
    found = []
    for _ in range(300):
        detector = welch(reference=rng.normal(size=size), window=window, threshold=threshold)
        found.append(len(detector.update_many(rng.normal(size=count))))
    bound = count * 2 * stats.t.sf(threshold, min(window, size) - 1)
    assert np.mean(found) + 2.33 * np.std(found) / sqrt(len(found)) <= bound


def test_a_reference_of_huge_or_tiny_values_is_taken() -> None:
    for unit in (1e-310, 1e-200, 1e300):
        detector = welch(reference=REFERENCE * unit, window=20, threshold=1e300)
        detector.update_many(np.random.default_rng(1).normal(0.5, size=30) * unit)
        plain = welch(window=20, threshold=1e300)
        plain.update_many(np.random.default_rng(1).normal(0.5, size=30))
        assert detector.statistic == pytest.approx(plain.statistic, rel=1e-9 if unit > 1e-300 else 1e-6)
    mixed = welch(reference=[1.7e308, -1.7e308] * 20)
    assert mixed.update_many(np.random.default_rng(1).normal(size=500)).tolist() == []


@pytest.mark.parametrize("wrong", [1e200, float("nan")])
@pytest.mark.parametrize("name", ["welch_t", "z_score"])
def test_a_state_out_of_bounds_is_refused(name: str, wrong: float) -> None:
    own = {"reference": REFERENCE} if name == "welch_t" else {"target": 0.0, "scale": 1.0}
    detector = detectors.build(name, **own, window=5)
    state = {key: array.copy() for key, array in detector.state().items()}
    state["counts"][5] = 5
    with pytest.raises(detectors.SnapshotError, match="out of bounds"):
        detector.load(state)
