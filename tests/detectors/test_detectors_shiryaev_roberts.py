"""The Shiryaev-Roberts e-detector: its statistic by definition, and its promise on streams of every kind."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from math import log, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import detectors
from detectors.mean.shiryaev_roberts import ShiryaevRoberts, ShiryaevRobertsParams

Array = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Array]
RUN_LENGTH = 500.0
STREAMS = 2000


def make(**params: Any) -> ShiryaevRoberts:
    return ShiryaevRoberts(ShiryaevRobertsParams(**params))


def bets(params: ShiryaevRobertsParams, bound: float) -> list[float]:
    """The row of bets, from the docstring: from what pays within the run length up to 1."""
    if params.bets == 1:
        return [0.5]
    least = min(0.5, sqrt(2 * log(params.threshold) / params.threshold * bound / (1 - bound)))
    return [least * (1 / least) ** (k / (params.bets - 1)) for k in range(params.bets)]


def by_definition(params: ShiryaevRobertsParams, values: Array) -> tuple[float, float]:
    """(statistic, mean age of what is held), to 50 digits: over all starts, the products of the factors since."""
    games = []
    if params.direction != "down":
        games.append(([params.share(x) for x in values], params.share(params.bound)))
    if params.direction != "up":
        least = params.bound if params.lower is None else params.lower
        games.append(([1 - params.share(x) for x in values], 1 - params.share(least)))
    total, ages, count = Decimal(0), Decimal(0), 0
    with localcontext(prec=50):
        for shares, bound in games:
            for bet in bets(params, bound):
                count += 1
                product = Decimal(1)
                for age, share in enumerate(reversed(shares), start=1):
                    product *= 1 + Decimal(bet) * (Decimal(share) / Decimal(bound) - 1)
                    total += product
                    ages += age * product
        return float(total / count), float(ages / total) if total else 1.0


@given(
    seed=st.integers(0, 2**32),
    size=st.integers(1, 40),
    direction=st.sampled_from(["up", "down", "both"]),
    count=st.sampled_from([1, 2, 7]),
    bound=st.floats(-1.9, 4.9),
)
@settings(derandomize=True, deadline=None, max_examples=40)
def test_the_statistic_is_the_mixture_of_sums_of_products(
    seed: int, size: int, direction: Any, count: int, bound: float
) -> None:
    params = ShiryaevRobertsParams(bound=bound, low=-2.0, high=5.0, threshold=1e12, direction=direction, bets=count)
    values = np.random.default_rng(seed).uniform(-2.0, 5.0, size)
    detector = ShiryaevRoberts(params)
    at = detector.feed(values)
    fed = size if at < 0 else at + 1
    held, age = by_definition(params, values[:fed])
    assert detector.statistic == pytest.approx(held, rel=1e-9)
    if detector.alarmed:
        assert detector.since_change == pytest.approx(age, abs=0.501)


def test_rounding_does_not_add_up_over_a_thousand_values() -> None:
    params = ShiryaevRobertsParams(bound=0.3, threshold=1e12, bets=3)
    values = np.random.default_rng(2).beta(3.0, 7.0, 1000)
    detector = ShiryaevRoberts(params)
    assert detector.feed(values) == -1
    assert detector.statistic == pytest.approx(by_definition(params, values)[0], rel=1e-11)


def bernoulli(rate: float) -> Draw:
    return lambda rng, size: (rng.random(size) < rate).astype(np.float64)


def clumped(rng: np.random.Generator, size: int) -> Array:
    """Calm and wild spells that last; the mean is .2 whatever came before: dependent, and no independence needed."""
    wild = np.cumsum(rng.random(size) < 0.05) % 2 == 0
    return np.where(wild, (rng.random(size) < 0.2).astype(np.float64), 0.2 + 0.1 * rng.choice([-1.0, 1.0], size))


def autoregressive(rng: np.random.Generator, size: int) -> Array:
    """Errors whose rate follows the ones before, AR(.9) on [0, 1], and reaches .2 only at its highest."""
    errors = np.zeros(size)
    level, draws = 0.5, rng.random(size)
    for i in range(size):
        errors[i] = draws[i] < 0.2 * level
        level = 0.9 * level + 0.1 * (1.0 if errors[i] else 0.8)
    return errors


def doubling(rng: np.random.Generator, size: int) -> Array:
    """One who knows the bets: quiet at the bound, then all or nothing, sized by the losses since the last win."""
    values = np.full(size, 0.2)
    draws = rng.random(size)
    losses = 0
    for i in range(size):
        top = min(1.0, 0.2 * 2.0 ** (losses % 4)) if i % 3 else 0.2
        if top > 0.2:
            values[i] = top if draws[i] < 0.2 / top else 0.0
        losses = losses + 1 if values[i] == 0.0 else 0
    return values


def run_lengths(draw: Draw, streams: int, longest: int, **params: Any) -> Array:
    """Values up to the first alarm, at most `longest`: what is cut off can only make the mean smaller."""
    detector = make(threshold=RUN_LENGTH, **params)
    found = np.zeros(streams)
    for seed in range(streams):
        detector.reset()
        at = detector.feed(draw(np.random.default_rng(seed), longest))
        found[seed] = at + 1 if at >= 0 else longest
    return found


def assured(sample: Array) -> float:
    """What the mean exceeds with 99 % confidence (one-sided), within the 5 % that so many streams can tell."""
    return float(sample.mean() - 2.33 * sample.std(ddof=1) / sqrt(len(sample))) / 0.95


@pytest.mark.parametrize("draw", [bernoulli(0.2), clumped], ids=["independent", "clumped"])
@pytest.mark.parametrize(
    "params",
    [{"bound": 0.2}, {"bound": 0.2, "direction": "down"}, {"bound": 0.2, "direction": "both"}],
    ids=["up", "down", "both"],
)
def test_the_average_run_length_is_at_least_the_threshold(draw: Draw, params: dict[str, Any]) -> None:
    assert assured(run_lengths(draw, STREAMS, 4000, **params)) >= RUN_LENGTH


@pytest.mark.parametrize("draw", [autoregressive, doubling])
def test_the_promise_holds_whatever_the_past_does_to_the_next_value(draw: Draw) -> None:
    assert assured(run_lengths(draw, 300, 2500, bound=0.2)) >= RUN_LENGTH


def test_the_promise_holds_against_one_who_watches_the_statistic() -> None:
    """Each value is all or nothing around the bound, wilder the closer the alarm is, to jump over the threshold."""
    found = []
    for seed in range(150):
        draws = np.random.default_rng(seed).random(2500)
        detector = make(threshold=RUN_LENGTH, bound=0.2)
        for draw in draws.tolist():
            near = detector.statistic > 0.2 * RUN_LENGTH
            value = (1.0 if draw < 0.2 else 0.0) if near else 0.2
            if detector.update(value):
                break
        found.append(float(detector.seen))
    assert assured(np.array(found)) >= RUN_LENGTH


def test_both_directions_promise_the_run_length_for_every_mean_between_the_bounds() -> None:
    for rate in (0.1, 0.15, 0.2):
        found = run_lengths(bernoulli(rate), 500, 4000, bound=0.2, lower=0.1, direction="both")
        assert assured(found) >= RUN_LENGTH


def test_over_a_fixed_time_the_alarms_are_at_most_the_values_over_the_threshold() -> None:
    detector, alarms = make(threshold=RUN_LENGTH, bound=0.2), []
    for seed in range(STREAMS):
        detector.reset()
        alarms.append(len(detector.update_many(bernoulli(0.2)(np.random.default_rng(seed), 1000))))
    sample = np.array(alarms, np.float64)
    assert sample.mean() + 2.33 * sample.std() / sqrt(STREAMS) <= 1000 / RUN_LENGTH


def test_a_series_that_sits_on_its_bound_alarms_just_after_the_promised_values() -> None:
    """The promise cannot be better: a mean at the bound, without noise, neither wins nor loses."""
    detector = make(threshold=RUN_LENGTH, bound=0.25)
    assert detector.update_many(np.full(1600, 0.25)).tolist() == [500, 1001, 1502]


def test_above_the_bound_there_is_no_promise_and_under_it_there_is_more() -> None:
    assert run_lengths(bernoulli(0.3), 200, 2000, bound=0.2).mean() < RUN_LENGTH / 4
    assert run_lengths(bernoulli(0.15), 200, 20_000, bound=0.2).mean() > 5 * RUN_LENGTH


def test_a_mean_that_wanders_above_the_bound_breaks_the_condition() -> None:
    """AR(.9) around the bound: the average is at the bound, the conditional mean is above it half of the time."""

    def wandering(rng: np.random.Generator, size: int) -> Array:
        noise, level, out = rng.normal(0.0, 0.05, size), 0.0, np.zeros(size)
        for i in range(size):
            level = 0.9 * level + noise[i]
            out[i] = 0.5 + level
        return out

    assert run_lengths(wandering, 100, 2000, bound=0.5).mean() < RUN_LENGTH / 2


@pytest.mark.parametrize(("before", "after"), [(0.1, 0.15), (0.1, 0.2), (0.01, 0.02), (0.4, 0.5), (0.2, 0.7)])
def test_the_delay_is_near_the_least_there_can_be(before: float, after: float) -> None:
    """ln(run length) / KL, Lorden's bound for one who knows both rates."""
    information = after * log(after / before) + (1 - after) * log((1 - after) / (1 - before))
    delays = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        detector = make(bound=before, threshold=1e5)
        detector.feed(bernoulli(before)(rng, 3000))
        if detector.alarmed:
            continue
        delays.append(detector.feed(bernoulli(after)(rng, 20_000)) + 1)
    assert min(delays) > 0
    assert np.mean(delays) < 1.25 * log(1e5) / information


def test_the_change_is_dated() -> None:
    errors = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        detector = make(bound=0.1, threshold=1e6)
        detector.feed(bernoulli(0.1)(rng, 2000))
        at = detector.feed(bernoulli(0.25)(rng, 2000))
        errors.append(at + 1 - detector.since_change)
    assert abs(np.median(errors)) < 20
    assert np.quantile(np.abs(errors), 0.9) < 100


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_fall_is_a_rise_upside_down(direction: Any) -> None:
    values = np.random.default_rng(4).beta(2.0, 3.0, 5000)
    up = make(bound=0.375, threshold=100.0, direction="up")
    down = make(bound=-0.375, low=-1.0, high=0.0, threshold=100.0, direction="down")
    found = up.update_many(values).tolist()
    assert found
    assert down.update_many(-values).tolist() == found


def test_values_outside_the_range_are_taken_at_its_edge() -> None:
    values = np.random.default_rng(5).normal(0.2, 0.5, 3000)
    wide, cut = (make(bound=0.3, threshold=100.0) for _ in range(2))
    found = wide.update_many(values)
    assert found.size
    assert found.tolist() == cut.update_many(np.clip(values, 0.0, 1.0)).tolist()
    assert wide.snapshot() == cut.snapshot()


def test_a_long_run_neither_overflows_nor_forgets_to_count() -> None:
    """Near a run length of 1e12 the stake of a single value still arrives; a long losing run leaves it able to win."""
    detector = make(bound=0.25, threshold=1e12)
    state = {name: array.copy() for name, array in detector.state().items()}
    state["held"][0] = 9e11
    detector.load(state)
    assert detector.feed(np.full(1000, 0.25)) == -1
    assert detector.statistic == pytest.approx(9e11 + 1000, abs=0.5)
    detector.reset()
    assert detector.feed(np.zeros(100_000)) == -1
    assert 0 < detector.feed(np.ones(100)) < 40


def test_a_bound_at_the_very_edge_is_played_without_overflow() -> None:
    for bound in (1e-12, 1e-6, 1 - 1e-12):
        detector = make(bound=bound, threshold=1e6)
        assert detector.feed(np.zeros(100)) == -1
        detector.feed(np.ones(100))
        assert detector.statistic >= 0
        assert 0 <= detector.since_change <= 200
    with pytest.raises(detectors.ParameterError, match="bound must lie between low and high"):
        make(bound=1e-300)


def test_a_state_that_holds_less_than_nothing_is_refused() -> None:
    detector = make(bound=0.25)
    state = {name: array.copy() for name, array in detector.state().items()}
    for wrong in (-1.0, float("nan"), float("inf")):
        state["held"][1, 3] = wrong
        with pytest.raises(detectors.SnapshotError, match="less than nothing"):
            detector.load(state)
