"""The twins of river's detectors, alarm for alarm, at any parameters and on any values."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import drift
from scipy import stats

import detectors

CONFIDENCES = [1e-9, 0.001, 0.05, 0.5, 1.0]
TWINS: dict[str, tuple[Any, dict[str, st.SearchStrategy[Any]]]] = {
    "ddm": (
        drift.binary.DDM,
        {
            "warm_start": st.sampled_from([0, 1, 30, 200]),
            "warning_threshold": st.sampled_from([0.0, 1.0, 2.0]),
            "drift_threshold": st.sampled_from([0.0, 0.5, 2.0, 3.0, 4.5]),
        },
    ),
    "eddm": (
        drift.binary.EDDM,
        {
            "warm_start": st.sampled_from([0, 1, 30, 100]),
            "alpha": st.sampled_from([0.96, 0.99, 1.0]),
            "beta": st.sampled_from([0.3, 0.8, 0.9, 0.96]),
        },
    ),
    "hddm_a": (
        drift.binary.HDDMA,
        {
            "drift_confidence": st.sampled_from(CONFIDENCES),
            "warning_confidence": st.sampled_from(CONFIDENCES),
            "two_sided_test": st.booleans(),
        },
    ),
    "hddm_w": (
        drift.binary.HDDMW,
        {
            "drift_confidence": st.sampled_from(CONFIDENCES),
            "warning_confidence": st.sampled_from(CONFIDENCES),
            "lambda_val": st.sampled_from([0.0, 0.01, 0.05, 0.3, 1.0]),
            "two_sided_test": st.booleans(),
        },
    ),
}
SHAPES = ("errors", "rare", "periodic", "losses", "zeros", "ones")
WIDE = ("normal", "huge", "steps")
"""Shapes beyond 0 to 1, where DDM raises."""


def values_of(shape: str, seed: int, size: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    parts = np.sort(rng.integers(0, size, 3))
    level = np.searchsorted(parts, np.arange(size))
    match shape:
        case "errors":
            return (rng.random(size) < np.array([0.2, 0.5, 0.1, 0.9])[level]).astype(float)
        case "rare":
            return (rng.random(size) < np.array([0.005, 0.05, 0.002, 0.02])[level]).astype(float)
        case "periodic":
            return (np.arange(size) % np.array([4, 2, 5, 1])[level] == 0).astype(float)
        case "losses":
            return rng.beta(np.array([1, 3, 1, 9])[level], 3)
        case "normal":
            return rng.normal(np.array([0.0, 1.0, -1.0, 0.2])[level])
        case "huge":
            return rng.normal(np.array([1e9, 2e9, 0.0, 1e9])[level], 1e3)
        case "steps":
            return np.round(rng.normal(size=4) * 5)[level]
    return np.full(size, float(shape == "ones"))


def river_says(detector: Any, values: np.ndarray) -> tuple[list[int], list[bool]]:
    """Its alarms, and after each value its warning, where it has one."""
    alarms, warned = [], []
    for i, value in enumerate(values.tolist()):
        detector.update(value)
        if detector.drift_detected:
            alarms.append(i)
        warned.append(getattr(detector, "warning_detected", False))
    return alarms, warned


@pytest.mark.parametrize("name", TWINS)
@given(data=st.data(), shape=st.sampled_from(SHAPES + WIDE), seed=st.integers(0, 2**32))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_alarms_are_rivers_at_any_parameters(name: str, data: st.DataObject, shape: str, seed: int) -> None:
    theirs, choices = TWINS[name]
    params = {key: data.draw(choice, key) for key, choice in choices.items()}
    if name == "ddm" and shape in WIDE:
        shape = "losses"
    values = values_of(shape, seed, 800)
    ours = detectors.build(name, **params)
    assert ours.update_many(values).tolist() == river_says(theirs(**params), values)[0]


@pytest.mark.parametrize("name", TWINS)
def test_alarms_are_rivers_over_a_long_stream_with_the_defaults(name: str) -> None:
    values = np.concatenate([values_of("rare", 5, 20_000), values_of("errors", 6, 20_000)])
    alarms = detectors.build(name).update_many(values).tolist()
    assert alarms == river_says(TWINS[name][0](), values)[0]
    assert alarms


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("seed", range(3))
def test_warnings_are_rivers_wherever_there_is_no_alarm(name: str, seed: int) -> None:
    values = values_of("errors", seed, 1500)
    for two_sided in (False, True):
        params = {"two_sided_test": two_sided} if name.startswith("hddm") else {}
        ours = detectors.build(name, **params)
        _, expected = river_says(TWINS[name][0](**params), values)
        assert any(expected)
        for i, value in enumerate(values):
            if not ours.update(value):
                assert ours.warning_detected == expected[i]


@given(
    alpha=st.sampled_from([0.0, 1e-4, 0.005, 0.2, 1.0]),
    sizes=st.sampled_from([(2, 1), (10, 5), (12, 5), (100, 30), (330, 30), (120, 4), (90, 45)]),
    seed=st.integers(0, 2**70),
    shape=st.sampled_from(["normal", "errors", "steps", "huge", "zeros", "losses"]),
)
@settings(derandomize=True, deadline=None, max_examples=16)
def test_kswin_alarms_are_rivers_its_draws_included(
    alpha: float, sizes: tuple[int, int], seed: int, shape: str
) -> None:
    params = {"alpha": alpha, "window_size": sizes[0], "stat_size": sizes[1], "seed": seed}
    values = values_of(shape, seed % 2**32, sizes[0] + 300)
    if shape == "normal":
        values = np.round(values, 1)
    ours = detectors.build("kswin", **params)
    assert ours.update_many(values).tolist() == river_says(drift.KSWIN(**params), values)[0]


def test_kswin_draws_as_python_does() -> None:
    """More words than the generator makes at a time, by a pool and by a set, until the alarm that starts it anew."""
    for window, r in ((100, 30), (2000, 9)):
        values = np.random.default_rng(1).normal(size=window + 200)
        ours = detectors.build("kswin", window_size=window, stat_size=r, alpha=0.0, seed=5)
        draws = random.Random(5)
        for i, value in enumerate(values):
            ours.update(value)
            if i + 1 >= window:
                last = values[i + 1 - window : i + 1]
                drawn = last[draws.sample(range(window - r), r)]
                assert ours.statistic == pytest.approx(stats.ks_2samp(drawn, last[-r:]).statistic, abs=1e-12)
        assert tuple(ours.state()["words"].tolist()) == draws.getstate()[1][:-1]


@pytest.mark.parametrize("r", [1, 2, 5, 30, 97])
def test_kswin_alarms_at_the_distance_at_which_the_p_value_passes_alpha(r: int) -> None:
    distances = np.arange(1, r + 1) / r
    with warnings.catch_warnings():  # where its exact value rounds above 1 scipy takes another, and says so
        warnings.simplefilter("ignore", RuntimeWarning)
        p_values = [stats.ks_2samp(np.arange(r), np.arange(r) + h).pvalue for h in range(1, r + 1)]
    for alpha in (1e-12, 0.001, 0.05, 0.5, 1.0, *p_values[:5]):
        alarming = distances[(np.array(p_values) <= alpha) & (distances > 0.1)]
        ours = detectors.build("kswin", alpha=alpha, window_size=2 * r, stat_size=r)
        assert np.array_equal(distances[distances > ours.threshold], alarming)


def test_a_twin_recovers_from_values_that_overflow_its_mean() -> None:
    """River's means become infinite, then not a number, for good."""
    values = np.concatenate([np.resize([1.7e308, -1.7e308], 50), values_of("zeros", 0, 300), np.ones(300)])
    for name in ("ddm", "hddm_a", "hddm_w", "page_hinkley"):
        params = {"threshold": 20.0} if name == "page_hinkley" else {}
        found = detectors.build(name, **params).update_many(values)
        assert len(found)
        assert found[-1] >= 350


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e-9, 1e8, 1e100, 1e140])
@given(seed=st.integers(0, 2**32), offset=st.sampled_from([0.0, 1.0, 1e6, 1e12]), clock=st.sampled_from([1, 32, 200]))
@settings(derandomize=True, deadline=None, max_examples=8)
def test_adwin_keeps_rivers_window_at_any_scale(scale: float, seed: int, offset: float, clock: int) -> None:
    values = scale * (offset + values_of("normal", seed, 1500))
    ours, theirs = detectors.build("adwin", delta=0.05, clock=clock), drift.ADWIN(delta=0.05, clock=clock)
    for start in range(0, 1500, 100):
        part = values[start : start + 100]
        assert ours.update_many(part).tolist() == river_says(theirs, part)[0]
        assert ours.width == theirs.width
        assert ours.estimation == theirs.estimation


def test_adwin_recovers_from_values_whose_squares_overflow() -> None:
    """River's variance becomes infinite, then not a number, for good."""
    rng = np.random.default_rng(3)
    values = np.concatenate([np.resize([1.7e308, -1e200], 100), rng.normal(size=500), rng.normal(2.0, size=200)])
    found = detectors.build("adwin").update_many(values)
    assert len(found)
    assert 600 <= found[-1] < 700


@pytest.mark.parametrize("clock", [1, 2, 32, 1000])
def test_adwin_shows_each_single_value_at_once(clock: int) -> None:
    """Though `update` lets values wait for the next check, nothing that can be seen of the detector does."""
    values = values_of("errors", 4, 1200)
    values[::97] = np.nan
    single, batch = (detectors.build("adwin", clock=clock, delta=0.1) for _ in range(2))
    looks = [
        lambda d: d.width,
        lambda d: d.estimation,
        lambda d: d.statistic,
        lambda d: (d.seen, d.ignored, d.alarmed, d.since_change),
        lambda d: d.snapshot(),
        lambda d: d.update_many([0.0, 1.0]).tolist(),
    ]
    for i, value in enumerate(values):
        assert single.update(value) == (len(batch.update_many([value])) > 0)
        look = looks[i % 7 % 6] if i % 5 == 0 else looks[0] if i % 11 == 0 else None
        if look:
            assert look(single) == look(batch)
    assert single.snapshot() == batch.snapshot()
    single.update(1.0)
    single.reset()
    assert (single.width, single.seen) == (0, batch.seen + 1)


def wolf(name: str, sample: Callable[[np.random.Generator], np.ndarray], streams: int = 40) -> float:
    """Alarms of the defaults on a stationary stream of 10,000 values, on average."""
    rngs = [np.random.default_rng(seed) for seed in range(streams)]
    return float(np.mean([len(detectors.build(name).update_many(sample(rng))) for rng in rngs]))


@pytest.mark.parametrize(
    ("name", "told"),
    [("ddm", (5.2, 0.9, 0.3)), ("eddm", (2.4, 19, 18)), ("hddm_a", (0, 0, 0.3)), ("hddm_w", (0, 0, 4.1))],
)
def test_the_defaults_cry_wolf_over_errors_as_often_as_is_told(name: str, told: tuple[float, ...]) -> None:
    for rate, expected in zip((0.01, 0.1, 0.3), told, strict=True):
        found = wolf(name, lambda rng, rate=rate: (rng.random(10_000) < rate).astype(float))  # type: ignore[misc]
        assert found == pytest.approx(expected, rel=0.05, abs=0.05)


def autoregressive(rng: np.random.Generator) -> np.ndarray:
    noise = rng.normal(size=10_000)
    for i in range(1, len(noise)):
        noise[i] += 0.9 * noise[i - 1]
    return noise


def test_the_defaults_cry_wolf_over_numbers_as_often_as_is_told() -> None:
    samples: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
        "normal": lambda rng: rng.normal(size=10_000),
        "lognormal": lambda rng: rng.lognormal(sigma=2.0, size=10_000),
        "autoregressive": autoregressive,
    }
    told = {
        "adwin": {"normal": 0, "lognormal": 5.6, "autoregressive": 86},
        "page_hinkley": {"normal": 6.4, "lognormal": 280, "autoregressive": 160},
        "kswin": {"normal": 14},
    }
    for name, kinds in told.items():
        for kind, expected in kinds.items():
            assert wolf(name, samples[kind], 20) == pytest.approx(expected, rel=0.05, abs=0.05)
