"""cusum, ewma, variance: against plain loops, and their promises of a run length against what they do."""

from __future__ import annotations

from math import exp, log, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

import detectors
from detectors.calibration import (
    cusum_interval,
    cusum_run_length,
    ewma_limit,
    ewma_run_length,
    focus_alarms,
    focus_run_length,
    focus_threshold,
)

Array = npt.NDArray[np.float64]
SEEDS = {
    "seed": st.integers(0, 2**32),
    "direction": st.sampled_from(["up", "down", "both"]),
    "target": st.sampled_from([0.0, 0.25, -3.0]),
    "scale": st.sampled_from([1.0, 0.5, 7.0]),
}


def drawn(seed: int, target: float, scale: float) -> Array:
    """Values whose level and spread change; some are equal to the target."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.choice([0.0, 1.0, -1.0, 2.0], 4), 100)
    values = rng.normal(level, np.repeat(rng.choice([1.0, 1.0, 3.0, 0.1], 4), 100))
    values[rng.random(400) < 0.1] = 0.0
    return target + scale * values


def cusum(values: Array, k: float, h: float, direction: str) -> list[tuple[int, float, int]]:
    """(position, sum, values since it was zero) of the alarms; the values are standardized."""
    found, sums, runs = [], {"up": 0.0, "down": 0.0}, {"up": 0, "down": 0}
    for i, value in enumerate(values.tolist()):
        for side in ("up", "down"):
            if direction in (side, "both"):
                sums[side] = max(0.0, sums[side] + (value if side == "up" else -value) - k)
                runs[side] = runs[side] + 1 if sums[side] > 0 else 0
        largest = max(sums, key=lambda side: sums[side])
        if sums[largest] > h:
            found.append((i, sums[largest], runs[largest]))
            sums, runs = {"up": 0.0, "down": 0.0}, {"up": 0, "down": 0}
    return found


def alarms(detector: detectors.Detector, values: Array) -> list[tuple[int, float, int]]:
    return [(i, detector.statistic, detector.since_change) for i, v in enumerate(values) if detector.update(v)]


@given(k=st.sampled_from([0.0, 0.25, 0.5, 2.0]), h=st.sampled_from([0.5, 4.0, 20.0]), **SEEDS)
@settings(derandomize=True, deadline=None, max_examples=60)
def test_cusum_is_pages_recursion(k: float, h: float, seed: int, direction: str, target: float, scale: float) -> None:
    values = drawn(seed, target, scale)
    detector = detectors.build(
        "cusum", reference_value=k, decision_interval=h, target=target, scale=scale, direction=direction
    )
    assert alarms(detector, values) == cusum((values - target) / scale, k, h, direction)


@given(smoothing=st.sampled_from([0.02, 0.1, 0.5, 1.0]), limit=st.sampled_from([1.0, 2.5, 4.0]), **SEEDS)
@settings(derandomize=True, deadline=None, max_examples=30)
def test_ewma_is_roberts_recursion(
    smoothing: float, limit: float, seed: int, direction: str, target: float, scale: float
) -> None:
    values = drawn(seed, target, scale)
    detector = detectors.build(
        "ewma", smoothing=smoothing, limit=limit, target=target, scale=scale, direction=direction
    )
    mean, start = target, 0
    deviation = scale * sqrt(smoothing / (2 - smoothing))
    for i, value in enumerate(values):
        mean = (1 - smoothing) * mean + smoothing * value
        if direction == "up":
            mean = max(mean, target - limit * deviation)
        if direction == "down":
            mean = min(mean, target + limit * deviation)
        distance = {"up": mean - target, "down": target - mean, "both": abs(mean - target)}[direction] / deviation
        alarmed = detector.update(value)
        assert detector.statistic == pytest.approx(distance, rel=1e-9, abs=1e-9)
        assert detector.mean == pytest.approx(mean, rel=1e-9, abs=1e-9)  # type: ignore[attr-defined]
        assert alarmed == (distance > limit)
        if alarmed:
            assert 1 <= detector.since_change <= i - start + 1
            mean, start = target, i + 1


def test_the_change_an_ewma_finds_began_where_it_crossed_the_target() -> None:
    detector = detectors.build("ewma", smoothing=0.2, limit=4.0)
    detector.update_many([0.5, -0.5] * 50)
    assert detector.feed([-4.0] + [3.0] * 20) == 4
    assert detector.since_change == 3  # -4 weighs more than the first 3


@given(ratio=st.sampled_from([1.2, 2.0, 5.0]), threshold=st.sampled_from([1.0, 5.0, 12.0]), **SEEDS)
@settings(derandomize=True, deadline=None, max_examples=60)
def test_variance_sums_log_likelihood_ratios(
    ratio: float, threshold: float, seed: int, direction: str, target: float, scale: float
) -> None:
    values = drawn(seed, target, scale)
    detector = detectors.build(
        "variance", ratio=ratio, threshold=threshold, target=target, scale=scale, direction=direction
    )
    z = (values - target) / scale
    up = norm.logpdf(z, scale=ratio) - norm.logpdf(z)
    down = norm.logpdf(z, scale=1 / ratio) - norm.logpdf(z)
    rise = fall = 0.0
    for i, value in enumerate(values):
        rise, fall = max(0.0, rise + up[i]), max(0.0, fall + down[i])
        largest = {"up": rise, "down": fall, "both": max(rise, fall)}[direction]
        alarmed = detector.update(value)
        assert detector.statistic == pytest.approx(largest, rel=1e-9, abs=1e-9)
        assert alarmed == (detector.statistic > threshold)
        if alarmed:
            rise = fall = 0.0


@pytest.mark.parametrize("name", ["cusum", "ewma", "variance", "focus"])
def test_one_infinite_looking_value_is_an_alarm_at_most_and_no_end(name: str) -> None:
    """In the watched direction it alarms; in the other it is good news, and forgotten soon."""
    rng = np.random.default_rng(1)
    after = np.concatenate((rng.normal(size=100), rng.normal(0.0, 30.0, 200) + 10.0))
    known: dict[str, Any] = {"target": 0.0} if name == "focus" else {}
    for huge, alarm in ((1.7e308, 0), (-1.7e308, 0 if name == "variance" else -1)):
        detector = detectors.build(name, direction="up", **known)
        assert detector.feed([huge]) == alarm
        assert len(detector.update_many(after)) >= 1


def measured(name: str, size: int = 2_000_000, values: Array | None = None, **params: Any) -> tuple[float, int]:
    """(average run length, runs) of a detector over normal values."""
    values = np.random.default_rng(7).normal(size=size) if values is None else values
    found = detectors.build(name, **params).update_many(values)
    return (found[-1] + 1) / len(found), len(found)


@pytest.mark.parametrize("direction", ["up", "down", "both"])
@pytest.mark.parametrize(("k", "h"), [(0.5, 4.0), (0.25, 6.0), (1.0, 2.0)])
def test_a_cusum_runs_as_long_as_was_computed(k: float, h: float, direction: str) -> None:
    length, runs = measured("cusum", reference_value=k, decision_interval=h, direction=direction)
    promised = cusum_run_length(k, h, 2 if direction == "both" else 1)
    assert length == pytest.approx(promised, rel=4 / sqrt(runs))


@pytest.mark.parametrize("direction", ["up", "down", "both"])
@pytest.mark.parametrize(("smoothing", "limit"), [(0.1, 2.7), (0.02, 2.0), (0.7, 3.0)])
def test_an_ewma_runs_as_long_as_was_computed(smoothing: float, limit: float, direction: str) -> None:
    length, runs = measured("ewma", smoothing=smoothing, limit=limit, direction=direction)
    promised = ewma_run_length(smoothing, limit, 2 if direction == "both" else 1)
    assert length == pytest.approx(promised, rel=4 / sqrt(runs))


@pytest.mark.parametrize(("name", "params"), [("cusum", {"decision_interval": 5.0}), ("ewma", {"limit": 2.8})])
def test_a_shift_is_found_after_the_computed_run(name: str, params: dict[str, float]) -> None:
    values = np.random.default_rng(8).normal(0.5, 1.0, 500_000)
    length, runs = measured(name, values=values, **params)
    promised = cusum_run_length(0.5, 5.0, 2, 0.5) if name == "cusum" else ewma_run_length(0.1, 2.8, 2, 0.5)
    assert length == pytest.approx(promised, rel=4 / sqrt(runs))


def test_the_defaults_leave_a_million_normal_values_between_alarms() -> None:
    assert cusum_interval(0.5, 1e6) == pytest.approx(12.66, abs=0.005)
    assert ewma_limit(0.1, 1e6) == pytest.approx(4.824, abs=0.001)
    assert focus_threshold(1e6) == pytest.approx(14.4, abs=0.01)
    assert detectors.build("cusum").threshold == 12.66
    assert detectors.build("ewma").threshold == 4.824
    assert detectors.build("focus").threshold == 14.4


def test_so_does_the_default_of_the_variance() -> None:
    rng = np.random.default_rng(11)
    detector = detectors.build("variance")
    found = sum(len(detector.update_many(rng.normal(size=1_000_000))) for _ in range(20))
    assert 10 <= found <= 33  # 20 expected, three standard deviations


@pytest.mark.parametrize("ratio", [1.2, 1.5, 3.0])
@pytest.mark.parametrize(("direction", "sides"), [("up", 1), ("down", 1), ("both", 2)])
def test_lordens_bound_on_the_run_length_of_the_variance_holds(ratio: float, direction: str, sides: int) -> None:
    length, runs = measured("variance", size=500_000, ratio=ratio, threshold=5.0, direction=direction)
    assert runs > 50
    assert length * (1 + 3 / sqrt(runs)) > exp(5.0) / sides


def test_the_variance_finds_its_ratio_as_soon_as_information_allows() -> None:
    """The delay is about threshold over the information of one value (Lorden 1971)."""
    for ratio, direction in ((2.0, "up"), (0.5, "down")):
        values = np.random.default_rng(9).normal(0.0, ratio, 200_000)
        length, _ = measured("variance", values=values, ratio=2.0, threshold=20.0, direction=direction)
        information = (ratio**2 - 1) / 2 - log(ratio)
        assert 20.0 / information < length < 1.3 * 20.0 / information + 3.0


@pytest.mark.parametrize("target", [0.0, None])
@pytest.mark.parametrize(("direction", "sides"), [("up", 1), ("both", 2)])
def test_focus_runs_a_little_longer_than_its_limit_says(target: float | None, direction: str, sides: int) -> None:
    for threshold in (6.0, 8.0):
        length, runs = measured("focus", threshold=threshold, target=target, direction=direction)
        promised = focus_run_length(threshold, sides)  # type: ignore[arg-type]
        assert 1.0 - 3 / sqrt(runs) < length / promised < 1.4 + 3 / sqrt(runs)


def test_the_limit_of_focus_is_the_published_integral() -> None:
    def nu(x: float) -> float:
        return (2 / x) * (norm.cdf(x / 2) - 0.5) / (x / 2 * norm.cdf(x / 2) + norm.pdf(x / 2))

    integral = quad(lambda x: x * nu(x) ** 2, 0, np.inf)[0]
    threshold = 9.0
    published = sqrt(2 * np.pi) * exp(threshold) / (sqrt(2 * threshold) * integral)
    assert focus_run_length(threshold) == pytest.approx(published, rel=1e-6)
    for run_length in (100.0, 1e6, 1e12):
        assert focus_run_length(focus_threshold(run_length)) == pytest.approx(run_length, rel=1e-9)
        assert focus_run_length(focus_threshold(run_length, 1), 1) == pytest.approx(run_length, rel=1e-9)


@pytest.mark.parametrize("family", ["gaussian", "bernoulli", "poisson", "gamma", "shares"])
def test_the_bound_on_the_alarms_of_focus_holds_for_every_family(family: str) -> None:
    rng, size = np.random.default_rng(10), 300_000
    values, target = {
        "gaussian": (rng.normal(size=size), 0.0),
        "bernoulli": ((rng.random(size) < 0.02).astype(float), 0.02),
        "poisson": (rng.poisson(0.5, size).astype(float), 0.5),
        "gamma": (rng.exponential(size=size), 1.0),
        "shares": (rng.beta(0.1, 0.9, size), 0.1),
    }[family]
    kind = "bernoulli" if family == "shares" else family
    found = detectors.build("focus", threshold=9.0, family=kind, target=target).update_many(values)
    assert len(found) <= focus_alarms(9.0, size)
    assert len(found) > 0 or family == "shares"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: focus_run_length(0.1), "threshold must lie between"),
        (lambda: focus_run_length(9.0, 3), "sides must be 1 or 2"),  # type: ignore[arg-type]
        (lambda: focus_threshold(1.0), "run_length must lie between"),
        (lambda: focus_alarms(1.0, 100.0), "threshold must be a number above 1"),
        (lambda: focus_alarms(9.0, 0.0), "values must be a number of at least 1"),
    ],
)
def test_what_cannot_be_gets_a_sentence(call: Any, sentence: str) -> None:
    with pytest.raises(detectors.ParameterError, match=sentence):
        call()
