"""FOCuS against the definition: every earlier value tried as a change point."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import xlogy

import detectors
from detectors.mean.focus import Focus, FocusParams

Array = npt.NDArray[np.float64]
FAMILIES = ("gaussian", "bernoulli", "poisson", "gamma")
TARGETS = {"gaussian": 0.3, "bernoulli": 0.2, "poisson": 2.5, "gamma": 1.5}


def log_likelihood(family: str, total: Array, count: Array, mean: Array) -> Array:
    """Of values with this sum, as far as it depends on the mean; standard deviation and shape are 1."""
    match family:
        case "gaussian":
            return mean * total - count * mean**2 / 2
        case "bernoulli":
            return xlogy(total, mean) + xlogy(count - total, 1 - mean)
        case "poisson":
            return xlogy(total, mean) - count * mean
    return -count * np.log(mean) - total / mean


def ratios(family: str, values: Array, target: float | None, direction: str) -> Array:
    """The log-likelihood ratio of a change before each of the values, at the last."""
    size = len(values)
    sums = np.concatenate(([0.0], np.cumsum(values)))[:-1]
    count = np.arange(size, dtype=float)
    total = float(values.sum())
    after = (total - sums) / (size - count)
    if target is not None:
        before = np.full(size, target)
        base = log_likelihood(family, total - sums, size - count, before)
    else:
        before = np.divide(sums, count, out=after.copy(), where=count > 0)
        whole = np.full(size, total / size)
        base = log_likelihood(family, np.full(size, total), np.full(size, float(size)), whole)
        base = base - log_likelihood(family, sums, count, before)
    found = log_likelihood(family, total - sums, size - count, after) - base
    watched = {"up": after > before, "down": after < before, "both": np.full(size, True)}[direction]
    return np.where(watched, np.maximum(found, 0.0), 0.0)


def drawn(family: str, rng: np.random.Generator, size: int, ties: bool) -> Array:
    """Values whose mean changes twice."""
    at = np.sort(rng.integers(0, size, 2))
    level = np.repeat(rng.uniform(0.1, 0.9, 3), np.diff([0, *at, size]))
    match family:
        case "gaussian":
            values = rng.normal(4 * level)
        case "bernoulli":
            return (rng.random(size) < level).astype(float) if ties else rng.beta(10 * level, 10 - 10 * level)
        case "poisson":
            return rng.poisson(6 * level).astype(float)
        case _:
            values = rng.exponential(3 * level) + 0.01
    return np.ceil(2 * values) / 2 if ties else values


def streams(**more: Any) -> Any:
    """A decorator: seeds, directions, targets and ties."""
    return lambda test: settings(derandomize=True, deadline=None, max_examples=25)(
        given(
            seed=st.integers(0, 2**32),
            direction=st.sampled_from(["up", "down", "both"]),
            known=st.booleans(),
            ties=st.booleans(),
            **more,
        )(test)
    )


@pytest.mark.parametrize("family", FAMILIES)
@streams()
def test_the_statistic_is_the_largest_ratio_over_all_change_points(
    family: str, seed: int, direction: str, known: bool, ties: bool
) -> None:
    values = drawn(family, np.random.default_rng(seed), 100, ties)
    target = TARGETS[family] if known else None
    detector = detectors.build("focus", threshold=1e6, family=family, target=target, direction=direction)
    for n in range(1, len(values) + 1):
        assert not detector.update(values[n - 1])
        expected = ratios(family, values[:n], target, direction).max()
        assert detector.statistic == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
@streams(threshold=st.floats(1.0, 12.0))
def test_alarms_and_change_points_are_those_of_the_definition(
    family: str, seed: int, direction: str, known: bool, ties: bool, threshold: float
) -> None:
    values = drawn(family, np.random.default_rng(seed), 150, ties)
    target = TARGETS[family] if known else None
    detector = detectors.build("focus", threshold=threshold, family=family, target=target, direction=direction)
    start = 0
    for n in range(1, len(values) + 1):
        found = ratios(family, values[start:n], target, direction)
        assert abs(found.max() - threshold) > 1e-9
        alarmed = detector.update(values[n - 1])
        assert alarmed == (found.max() > threshold)
        if alarmed:
            assert found[n - start - detector.since_change] == pytest.approx(found.max(), rel=1e-9)
            start = n


@pytest.mark.parametrize("known", [True, False])
def test_standard_deviation_and_shape_are_units(known: bool) -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(7.0, 3.0, 500)
    scaled = detectors.build("focus", threshold=1e6, target=7.0 if known else None, scale=3.0)
    plain = detectors.build("focus", threshold=1e6, target=0.0 if known else None)
    scaled.update_many(values)
    plain.update_many((values - 7.0) / 3.0)
    assert scaled.statistic == pytest.approx(plain.statistic, rel=1e-9)
    one = detectors.build("focus", threshold=1e6, family="gamma", target=2.0 if known else None)
    four = detectors.build("focus", threshold=1e6, family="gamma", target=2.0 if known else None, shape=4.0)
    one.update_many(np.abs(values))
    four.update_many(np.abs(values))
    assert four.statistic == pytest.approx(4.0 * one.statistic, rel=1e-12)


def kept(values: Array, **params: Any) -> tuple[int, int]:
    detector = Focus(FocusParams(threshold=1e6, **params))
    detector.update_many(values)
    return detector.pieces


def test_about_the_logarithm_of_the_values_is_kept() -> None:
    """A random walk of n steps has 1 + 1/2 + … + 1/n sides to its convex minorant (Andersen 1954)."""
    rng = np.random.default_rng(2)
    for size in (1_000, 100_000):
        counts = [sum(kept(rng.normal(size=size))) / 2 - 1 for _ in range(30)]
        assert np.mean(counts) == pytest.approx(log(size) + 0.577, abs=5 * (2 * log(size) / 60) ** 0.5)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_values_that_climb_without_end_stay_within_the_memory(direction: str) -> None:
    """Every cumulative sum is a corner; with some of them dropped the ratio is a little smaller, never larger."""
    size = 3000
    values = np.linspace(0.0, 1.0, size) ** 2 * (1.0 if direction == "up" else -1.0)
    for target in (None, -0.1 if direction == "up" else 0.1):
        detector = Focus(FocusParams(threshold=1e6, direction=direction, target=target))  # type: ignore[arg-type]
        for at in range(0, size, 250):
            detector.update_many(values[at : at + 250])
            exact = ratios("gaussian", values[: at + 250] - (target or 0.0), None if target is None else 0.0, direction)
            assert 0.98 * exact.max() <= detector.statistic <= exact.max() * (1 + 1e-9)
        assert max(detector.pieces) == 128
        assert len(detector.snapshot()) < detector.memory


def test_a_capped_detector_still_finds_a_step() -> None:
    values = np.concatenate((np.linspace(0.0, 0.5, 5000), np.full(40, 3.0)))
    detector = Focus(FocusParams(threshold=20.0, direction="up", target=0.0, scale=10.0))
    first = detector.feed(values[:5000])
    assert first == -1
    detector = Focus(FocusParams(threshold=30.0, direction="up"))
    found = [int(at) for at in detector.update_many(values)]
    assert found[-1] > 5000
    assert detector.since_change <= 41


@pytest.mark.parametrize("family", FAMILIES)
def test_values_the_family_does_not_have_count_as_missing(family: str) -> None:
    values = drawn(family, np.random.default_rng(3), 200, ties=True)
    outside = {"gaussian": [np.nan], "bernoulli": [-0.1, 1.5], "poisson": [-1.0], "gamma": [0.0, -2.0]}[family]
    clean, dirty = (Focus(FocusParams(threshold=1e6, family=family)) for _ in range(2))  # type: ignore[arg-type]
    clean.update_many(values)
    for value in values:
        dirty.update_many([*outside, value])
    assert dirty.statistic == clean.statistic
    assert dirty.ignored == len(values) * len(outside)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_healthy_sample_stands_for_the_time_before(family: str) -> None:
    rng = np.random.default_rng(4)
    reference, values = drawn(family, rng, 300, ties=False), drawn(family, rng, 80, ties=False)
    detector = detectors.build("focus", threshold=1e6, family=family)
    detector.prime(reference)
    assert detector.seen == 0
    assert detector.statistic == 0.0
    detector.update_many(values)
    expected = ratios(family, np.concatenate((reference, values)), None, "both")[300:].max()
    assert detector.statistic == pytest.approx(expected, rel=1e-9)


def test_a_primed_detector_with_a_target_is_fresh() -> None:
    detector, fresh = (detectors.build("focus", target=0.0) for _ in range(2))
    detector.prime(np.arange(50.0))
    assert detector.snapshot() == fresh.snapshot()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("known", [True, False])
def test_shares_and_counts_of_nothing_are_no_change(family: str, known: bool) -> None:
    for value in (1e-320, 1.0, 1.0 - 2**-53):
        detector = detectors.build("focus", threshold=1e6, family=family, target=0.5 if known else None)
        detector.update_many([value] * 2000)
        assert np.isfinite(detector.statistic)
        assert known or detector.statistic < 1e-9


def test_a_large_level_does_not_drown_a_change() -> None:
    """Sums are taken from the first value on: the level of the values costs no digits."""
    rng = np.random.default_rng(6)
    noise = rng.normal(np.repeat([0.0, 1.0], 200))
    low, high = (detectors.build("focus", threshold=1e6) for _ in range(2))
    low.update_many(noise)
    high.update_many(noise + 2.0**30)
    assert high.statistic == pytest.approx(low.statistic, rel=1e-6)


@pytest.mark.parametrize("known", [True, False])
def test_the_gamma_family_tests_the_variance_of_normal_values(known: bool) -> None:
    rng = np.random.default_rng(7)
    values = rng.normal(0.0, np.repeat([1.0, 2.0], 60))
    detector = detectors.build("focus", threshold=1e6, family="gamma", shape=0.5, target=1.0 if known else None)
    detector.update_many(values**2)

    def fitted(part: Array, variance: float | None = None) -> float:
        variance = float(np.mean(part**2)) if variance is None else variance
        return float(stats.norm.logpdf(part, scale=variance**0.5).sum())

    base = fitted(values, 1.0) if known else fitted(values)
    splits = [fitted(values[:at], 1.0 if known else None) + fitted(values[at:]) for at in range(1, len(values))]
    assert detector.statistic == pytest.approx(max([*splits, fitted(values)]) - base, rel=1e-9)


def test_an_absurd_value_is_an_alarm_where_both_directions_are_watched() -> None:
    rng = np.random.default_rng(8)
    for huge in (1.7e308, -1.7e308):
        detector = detectors.build("focus")
        assert detector.update_many([huge, 0.0]).tolist() == [1]
        assert detector.update_many(rng.normal(size=500)).tolist() == []
        assert len(detector.update_many(rng.normal(3.0, 1.0, 20))) >= 1


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_lost_over_a_long_stream(family: str, known: bool) -> None:
    rng, size = np.random.default_rng(9), 300_000
    level = np.repeat([1.0, 1.004, 1.0], size // 3)
    values, target = {
        "gaussian": (rng.normal(level), 1.0),
        "bernoulli": ((rng.random(size) < 0.01 * level).astype(float), 0.01),
        "poisson": (rng.poisson(1000.0 * level).astype(float), 1000.0),
        "gamma": (rng.exponential(50.0 * level), 50.0),
    }[family]
    detector = detectors.build("focus", threshold=1e9, family=family, target=target if known else None)
    detector.update_many(values)
    # against the target or the mean of all, so that the definition itself loses no digits
    mean = target if known else float(values.mean())
    after = np.cumsum(values[::-1])[::-1]
    count = np.arange(size, 0, -1.0)
    found = against(family, after, count, mean)
    if not known:
        found[1:] += against(family, values.sum() - after[1:], size - count[1:], mean)
        found = found[1:]
    assert detector.statistic == pytest.approx(found.max(), rel=1e-7)


def against(family: str, total: Array, count: Array, mean: float) -> Array:
    """Log-likelihood of a sum at its own mean, less that at another."""
    own = total / count
    match family:
        case "gaussian":
            return count * (own - mean) ** 2 / 2
        case "bernoulli":
            return count * (xlogy(own, own / mean) + xlogy(1 - own, (1 - own) / (1 - mean)))
        case "poisson":
            return count * (xlogy(own, own / mean) - own + mean)
    return count * (own / mean - 1 - np.log(own / mean))
