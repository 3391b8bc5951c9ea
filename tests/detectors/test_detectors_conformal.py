"""The conformal detector: its p-values by definition, that they are uniform and independent, and its promise."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import detectors
from detectors.distribution.conformal import Conformal, ConformalParams, betting_table

Array = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Array]
RUN_LENGTH = 500.0

KINDS: dict[str, Draw] = {
    "normal": lambda rng, size: rng.normal(size=size),
    "cauchy": lambda rng, size: rng.standard_cauchy(size),
    "errors": lambda rng, size: (rng.random(size) < 0.1).astype(np.float64),
    "constant": lambda rng, size: np.full(size, 7.0),
    "rounded": lambda rng, size: np.round(rng.gamma(2.0, size=size)),
    "one of two levels": lambda rng, size: rng.normal(rng.choice([-9.0, 9.0]), size=size),
}
"""Exchangeable values; those of the last kind are not independent."""


def make(**params: Any) -> Conformal:
    return Conformal(ConformalParams(**params))


class Splitmix:
    """splitmix64 on Python's own integers."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def draw(self) -> float:
        word = 2**64 - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & word
        mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & word
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & word
        return ((mixed ^ (mixed >> 31)) >> 11) / 2**53


def by_definition(values: Array, params: ConformalParams) -> list[tuple[float, float, int]]:
    """(p-value, statistic, mean age or 0) after each value, up to the first alarm."""
    drawn, history, table = Splitmix(params.seed), list[float](), betting_table()
    wealth, age, out = np.zeros(table.shape[1] + 1), np.zeros(table.shape[1] + 1), []
    seen = list[float]()  # p-values, for the learnt bet
    for value in values.tolist():
        bag = sorted([*history, value])
        p = (sum(x > value for x in bag) + drawn.draw() * bag.count(value)) / len(bag)
        if len(bag) > params.history:
            del bag[int(drawn.draw() * len(bag))]
        history = bag
        weights = 0.995 ** np.arange(len(seen))[::-1]
        like = weights[[int(16 * other) == int(16 * p) for other in seen]].sum()
        learnt = (like + 1) / (weights.sum() / 16 + 1)
        seen.append(p)
        factor = np.append(table[int(p * 128)], learnt)
        wealth, age = factor * (wealth + 1), factor * (age + wealth + 1)
        alarm = bool(wealth.mean() > params.threshold)
        out.append((p, float(wealth.mean()), round(age.sum() / wealth.sum()) if alarm else 0))
        if alarm:
            break
    return out


@given(
    seed=st.integers(0, 2**63 - 1),
    history=st.integers(20, 60),
    kind=st.sampled_from(sorted(KINDS)),
    threshold=st.sampled_from([20.0, 1e12]),
)
@settings(derandomize=True, deadline=None, max_examples=40)
def test_p_values_and_statistic_are_those_of_the_definition(
    seed: int, history: int, kind: str, threshold: float
) -> None:
    params = ConformalParams(history=history, seed=seed, threshold=threshold)
    values = np.concatenate([KINDS[kind](np.random.default_rng(seed), 100), np.full(30, 100.0)])
    detector = Conformal(params)
    expected = by_definition(values, params)
    for value, (p, statistic, since) in zip(values, expected, strict=False):
        assert detector.update(value) == (since > 0)
        assert detector.p_value == p
        assert detector.statistic == pytest.approx(statistic, rel=1e-12)
        assert detector.since_change == since


def p_values(values: Array, history: int) -> Array:
    detector, out = make(history=history, threshold=1e12), np.zeros(len(values))
    for i, value in enumerate(values.tolist()):
        detector.update(value)
        out[i] = detector.p_value
    return out


def uniform_and_independent(found: Array, lag: int) -> float:
    """p-value of a chi-squared test that pairs of p-values at this distance fill the unit square evenly."""
    table = np.histogram2d(found[:-lag], found[lag:], bins=8, range=[[0, 1], [0, 1]])[0]
    return float(stats.chisquare(table.ravel()).pvalue)


@pytest.mark.parametrize("kind", KINDS)
def test_p_values_of_exchangeable_values_are_uniform_and_independent(kind: str) -> None:
    """With a history of 20, where the ranks among the last or the first 20 values would depend most on each other."""
    found = p_values(KINDS[kind](np.random.default_rng(11), 30_000), 20)
    assert stats.kstest(found, "uniform").pvalue > 1e-3
    for lag in (1, 2, 5, 20):
        assert uniform_and_independent(found, lag) > 1e-3


@pytest.mark.parametrize("kept", ["first", "last"])
def test_ranks_among_the_first_or_the_last_values_would_not_be(kept: str) -> None:
    """Why the history drops at random: the same tests refuse both simpler histories."""
    values = np.random.default_rng(11).normal(size=30_000)
    within = np.lib.stride_tricks.sliding_window_view(values, 21)
    others = values[:20] if kept == "first" else within[:, :20]
    found = ((others > values[20:, None]).sum(axis=1) + np.random.default_rng(1).random(len(values) - 20)) / 21
    assert min(uniform_and_independent(found, lag) for lag in (1, 2, 5, 20)) < 1e-6


@pytest.mark.parametrize("history", [20, 200])
@pytest.mark.parametrize("kind", KINDS)
def test_the_average_run_length_is_at_least_the_threshold(kind: str, history: int) -> None:
    """With 99 % confidence (one-sided), within the 5 % that so many streams can tell; cut off at 4,000 values."""
    found = []
    for seed in range(1000):
        detector = make(threshold=RUN_LENGTH, history=history, seed=seed)
        at = detector.feed(KINDS[kind](np.random.default_rng(seed), 4000))
        found.append(at + 1 if at >= 0 else 4000)
    assert np.mean(found) - 2.33 * np.std(found) / sqrt(len(found)) >= 0.95 * RUN_LENGTH


def test_over_a_fixed_time_the_alarms_are_at_most_the_values_over_the_threshold() -> None:
    """Fresh starts included: an alarm takes the history with it."""
    found = []
    for seed in range(1000):
        detector = make(threshold=100.0, history=50, seed=seed)
        found.append(len(detector.update_many(np.random.default_rng(seed).normal(size=1000))))
    assert np.mean(found) + 2.33 * np.std(found) / sqrt(len(found)) <= 10.0


def test_the_promise_is_not_for_values_that_depend_on_their_past() -> None:
    level, found = 0.0, 0
    values = np.random.default_rng(1).normal(size=20_000)
    for i in range(len(values)):
        level = values[i] = 0.9 * level + values[i]
    found = len(make(threshold=1e4).update_many(values))
    assert found > 20  # 2 are promised of exchangeable ones


CHANGES: dict[str, tuple[Draw, Draw]] = {
    "up": (lambda rng, n: rng.normal(size=n), lambda rng, n: rng.normal(1.0, size=n)),
    "down": (lambda rng, n: rng.normal(size=n), lambda rng, n: rng.normal(-1.0, size=n)),
    "wider": (lambda rng, n: rng.normal(size=n), lambda rng, n: rng.normal(0.0, 2.0, size=n)),
    "narrower": (lambda rng, n: rng.normal(size=n), lambda rng, n: rng.normal(0.0, 0.5, size=n)),
    "more errors": (KINDS["errors"], lambda rng, n: (rng.random(n) < 0.4).astype(np.float64)),
    "heavier tails": (lambda rng, n: rng.normal(size=n), lambda rng, n: rng.standard_t(1.0, size=n)),
    "categories": (lambda rng, n: rng.integers(4, size=n) * 1.0, lambda rng, n: rng.choice([0.0, 2.0], n)),
    "two humps": (lambda rng, n: rng.normal(size=n), lambda rng, n: rng.choice([-1.0, 1.0], n) + rng.normal(0, 0.2, n)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_any_kind_is_found_and_dated(change: str) -> None:
    before, after = CHANGES[change]
    delays, errors = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        detector = make(threshold=1e5)
        if len(detector.update_many(before(rng, 3000))):
            continue  # the history is too short yet to tell a change by
        at = detector.feed(after(rng, 500))
        assert at >= 0
        delays.append(at + 1)
        errors.append(at + 1 - detector.since_change)
    assert len(delays) >= 17
    assert np.mean(delays) < 80
    assert abs(np.median(errors)) <= 25


def test_a_primed_detector_needs_no_values_to_compare_with() -> None:
    rng = np.random.default_rng(3)
    detector = make(threshold=1e4, history=500)
    detector.prime(np.concatenate([np.full(300, 1e6), [np.nan], rng.normal(size=500)]))
    assert detector.seen == 0
    assert 0 <= detector.feed(rng.normal(2.0, size=50)) < 30


@pytest.mark.parametrize("change", [np.exp, lambda x: 5.0 * x - 1e9, np.arctan], ids=["exp", "units", "arctan"])
def test_only_the_order_of_the_values_matters(change: Callable[[Array], Array]) -> None:
    values = np.random.default_rng(6).normal(np.repeat([0.0, 1.0], 1000))
    one, two = make(threshold=200.0), make(threshold=200.0)
    assert one.update_many(values).tolist() == two.update_many(change(values)).tolist() != []
    assert one.p_value == two.p_value


def test_another_seed_breaks_other_ties() -> None:
    values = np.zeros(1000)
    one, same, other = make(seed=1), make(seed=1), make(seed=2)
    for detector in (one, same, other):
        detector.update_many(values)
    assert one.statistic == same.statistic != other.statistic


def test_what_broke_a_tie_before_an_alarm_is_not_drawn_again_after_it() -> None:
    detector = make(threshold=10.0, history=20)
    values = np.concatenate([np.zeros(100), np.ones(30)])
    assert detector.feed(values) >= 0
    before = int(detector.counts[6])
    detector.update(0.0)
    assert detector.counts[6] == before + 1


def test_every_bet_is_fair() -> None:
    """Each column is a density: not below 0, and its mean over the uniform p-values is 1."""
    table = betting_table()
    assert table.min() >= 0
    assert table.mean(axis=0) == pytest.approx(1.0, abs=1e-15)
    rise = table[:, 0]
    assert (np.diff(rise) < 0).all()  # the first bets on large values: small p-values


def test_a_state_out_of_bounds_is_refused() -> None:
    detector = make(history=20)
    detector.update_many(np.arange(30.0))
    for name, place, wrong in (("counts", 5, 21), ("counts", 5, -1), ("counts", 6, -1), ("held", 0, -1.0)):
        state = {key: array.copy() for key, array in detector.state().items()}
        state[name].reshape(-1)[place] = wrong
        with pytest.raises(detectors.SnapshotError, match="out of bounds"):
            detector.load(state)
