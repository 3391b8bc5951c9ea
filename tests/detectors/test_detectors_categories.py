"""chi_squared: named categories by Pearson's statistic, rare and new ones each by an exact bound."""

from __future__ import annotations

from collections import Counter
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import detectors
from detectors.distribution.categories import counted, surprise

SEEDS = st.integers(0, 2**32)


def divergence(inside: int, before: int, window: int, size: int) -> float:
    """t KL(inside / t, window / (window + size)), where more came than that."""
    both, chance = inside + before, window / (window + size)
    if inside <= both * chance:
        return 0.0
    return sum(k * log(k / both / q) for k, q in ((inside, chance), (before, 1 - chance)) if k)


@given(window=st.integers(10, 2000), size=st.integers(30, 20_000), before=st.integers(0, 60), inside=st.integers(0, 60))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_surprise_bounds_the_exact_chance(window: int, size: int, before: int, inside: int) -> None:
    inside, before = min(inside, window), min(before, size)
    nats = surprise(inside, before, window, size)
    assert nats == pytest.approx(divergence(inside, before, window, size), rel=1e-9, abs=1e-9)
    exact = stats.hypergeom.sf(inside - 1, window + size, inside + before, window)
    assert exact <= np.exp(-nats) * (1 + 1e-9)


def draws(rng: np.random.Generator, rates: np.ndarray, size: int, window: int, looks: int) -> tuple[np.ndarray, ...]:
    """(counts in references, counts in windows), a row a look."""
    return rng.multinomial(size, rates, looks), rng.multinomial(window, rates, looks)


@pytest.mark.parametrize("chance", [1e-2, 1e-3])
@pytest.mark.parametrize("rates", ["some at .2 %", "many", "each once"])
def test_the_tail_of_surprise_is_what_it_says_where_pearsons_is_not(rates: str, chance: float) -> None:
    p = {
        "some at .2 %": np.array([0.494, 0.494, *[0.002] * 6]),
        "many": 1 / np.arange(1, 301) / (1 / np.arange(1, 301)).sum(),
        "each once": np.full(3000, 1 / 3000),
    }[rates]
    size, window, looks = 3000, 500, 20_000 if len(p) < 1000 else 4000
    level, alarms, pearsons = log(np.count_nonzero(p) / chance), 0, 0
    rng = np.random.default_rng(3)
    for _ in range(0, looks, 1000):
        before, inside = draws(rng, p, size, window, 1000)
        both, part = before + inside, window / (window + size)
        with np.errstate(divide="ignore", invalid="ignore"):
            nats = np.where(inside > 0, inside * np.log(inside / both / part), 0.0)
            nats += np.where(before > 0, before * np.log(before / both / (1 - part)), 0.0)
            single = (inside - window * p) ** 2 / (window * p * (1 - p))
        alarms += np.count_nonzero(((nats > level) & (inside > both * part)).any(axis=1))
        pearsons += np.count_nonzero((single > stats.chi2.isf(chance / len(p), 1)).any(axis=1))
    assert alarms <= stats.poisson.isf(1e-3, chance * looks)
    assert pearsons > 2 * chance * looks, "else there was no need of it"


def plain_alarms(values: list[float], reference: list[float], window: int, levels: dict[str, float]) -> list[int]:
    """What chi_squared promises, from its definition, one window after the other."""
    before, size = Counter(reference), len(reference)
    named = {each for each, times in before.items() if times * window >= levels["least"] * size}
    total = sum(before[each] for each in named)
    alarms, last = [], []
    for at, value in enumerate(values):
        last = [*last[-(window - 1) :], value]
        if len(last) < window:
            continue
        inside = Counter(last)
        theirs = sum(inside[each] for each in named)
        pearson = sum(inside[each] ** 2 * total / before[each] for each in named) / theirs - theirs if theirs else 0.0
        gaps = [abs(inside[each] / window - before[each] / size) for each in named]
        variation = (sum(gaps) + abs(theirs / window - total / size)) / 2
        rare = [(inside[each], before[each]) for each in inside if each not in named]
        nats = [divergence(c, b, window, size) for c, b in rare if c / window - b / size >= levels["min_share"]]
        few = [e for e in inside | before if inside[e] + before[e] < levels["least"] * (1 + size / window)]
        c, b = sum(inside[e] for e in few), sum(before[e] for e in few)
        if c / window - b / size >= max(levels["min_share"], levels["min_effect"]):
            nats.append(divergence(c, b, window, size))
        if (pearson > levels["threshold"] and variation >= levels["min_effect"]) or max(nats, default=0.0) > levels[
            "surprise"
        ]:
            alarms.append(at)
            last = []
    return alarms


@given(
    seed=SEEDS,
    window=st.integers(10, 60),
    size=st.integers(30, 300),
    kinds=st.integers(1, 40),
    least=st.sampled_from([0.0, 1.0, 5.0]),
    threshold=st.sampled_from([5.0, 20.0, 1e9]),
    nats=st.sampled_from([1.5, 4.0, 9.0]),
    min_effect=st.sampled_from([0.0, 0.2]),
    min_share=st.sampled_from([0.0, 0.11]),
)
@settings(derandomize=True, deadline=None, max_examples=60)
def test_alarms_are_those_of_the_definition(
    seed: int, window: int, size: int, kinds: int, least: float, threshold: float, nats: float, min_effect: float,
    min_share: float,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    reference = rng.zipf(1.5, size) % kinds
    values = (rng.zipf(1.5, 400) % (kinds + rng.integers(0, 20))).astype(float)
    levels = {
        "threshold": threshold,
        "surprise": nats,
        "min_effect": min_effect,
        "min_share": min_share,
        "least": least,
    }
    detector = detectors.build("chi_squared", reference=reference, window=window, **levels)
    expected = plain_alarms(values.tolist(), reference.tolist(), window, levels)
    assert detector.update_many(values).tolist() == expected


def four(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.integers(4, size=size).astype(float)


def test_a_new_category_that_takes_one_value_in_a_hundred_is_found_quickly() -> None:
    delays = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        reference, healthy, changed = four(rng, 40_000), four(rng, 3000), four(rng, 3000)
        changed[rng.random(len(changed)) < 0.01] = 9.0
        found = detectors.calibrate("chi_squared", reference, rate=1 / 60, series=26, kind="categories", window=500)
        detector = found.detector(reference)
        assert detector.feed(healthy) == -1
        at = detector.feed(changed)
        assert at >= 0
        assert detector.statistic > detector.threshold == found.params["surprise"]
        delays.append(at + 1)
    assert np.median(delays) < 700
    assert max(delays) < 2000


def test_stray_values_do_not_cry_wolf_however_many_kinds_of_them_there_are() -> None:
    rng = np.random.default_rng(8)
    reference, values = four(rng, 40_000), four(rng, 100_000)
    strays = rng.random(len(values)) < 0.002
    values[strays] = 1000 + np.arange(np.count_nonzero(strays))
    detector = detectors.build("chi_squared", reference=reference)
    assert detector.update_many(values).tolist() == []
    assert detector.surprise < 10.0


def test_a_flood_of_values_that_are_new_each_time_is_found() -> None:
    rng = np.random.default_rng(9)
    values = four(rng, 4000)
    flood = np.flatnonzero(rng.random(2000) < 0.1) + 2000
    values[flood] = 1000 + np.arange(len(flood))
    detector = detectors.build("chi_squared", reference=four(rng, 5000), min_effect=0.05)
    at = detector.feed(values)
    assert 2000 <= at < 2500
    assert detector.statistic == detector.surprise > 25.0
    assert abs(at + 1 - detector.since_change - 2000) < 100


def test_values_that_hardly_come_twice_are_no_flood_where_they_were_so_before() -> None:
    rng = np.random.default_rng(10)
    reference, values = rng.integers(2000, size=1500).astype(float), rng.integers(2000, size=50_000).astype(float)
    detector = detectors.build("chi_squared", reference=reference, surprise=12.0, min_share=0.0)
    assert detector.update_many(values).tolist() == []


def test_a_category_that_has_grown_too_little_to_matter_never_alarms() -> None:
    rng = np.random.default_rng(11)
    values = four(rng, 30_000)
    values[rng.random(len(values)) < 0.006] = 9.0
    reference = four(rng, 40_000)
    common = {"reference": reference, "window": 5000, "threshold": 1e9}
    assert detectors.build("chi_squared", **common, min_share=0.01).feed(values) == -1
    assert detectors.build("chi_squared", **common, min_share=0.003).feed(values) >= 0


def test_a_lower_level_is_held_against_what_the_window_holds_already() -> None:
    rng = np.random.default_rng(12)
    values = four(rng, 1000)
    values[600:606] = 9.0
    detector = detectors.build("chi_squared", reference=four(rng, 5000), surprise=50.0)
    assert detector.feed(values) == -1
    assert detector.retuned(surprise=12.0).update(1.0)


def test_a_reference_may_be_counted_already() -> None:
    rng = np.random.default_rng(13)
    reference, values = rng.zipf(2.0, 3000).astype(float), rng.zipf(1.4, 3000).astype(float)
    rows = counted(reference)
    sample = detectors.build("chi_squared", reference=reference, window=200, threshold=40.0)
    table = detectors.build("chi_squared", reference=rows, window=200, threshold=40.0)
    assert sample.update_many(values).tolist() == table.update_many(values).tolist() != []
    assert sample.snapshot() == table.snapshot()
    assert len(sample.snapshot()) < 8 * len(reference)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([[1.0, 40.0], [1.0, 5.0]], "each category once, ascending"),
        ([[1.0, 40.5], [2.0, 5.0]], "how often each category came"),
        ([[1.0, 40.0], [2.0, 0.0]], "how often each category came"),
        ([[1.0, 5.0], [2.0, 5.0]], "at least 30 finite values"),
        ([[1.0, 5.0, 3.0]], "values, or rows of two"),
        ([[np.nan, 50.0]], "each category once"),
    ],
)
def test_a_counted_reference_that_cannot_be_is_refused(rows: list[list[float]], sentence: str) -> None:
    with pytest.raises(detectors.ParameterError, match=sentence):
        detectors.build("chi_squared", reference=rows)


@pytest.mark.parametrize("rates", [[0.494, 0.494, *[0.002] * 6], [*(1 / k for k in range(1, 200))], [1.0] * 3000])
def test_false_alarms_on_rare_categories_stay_within_the_budget(rates: list[float]) -> None:
    """Ten references, 200,000 values after each, a budget of one false alarm in 20,000."""
    p = np.array(rates) / sum(rates)
    alarms = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        reference = rng.choice(len(p), 5000, p=p).astype(float)
        found = detectors.calibrate(
            "chi_squared", reference, rate=1.0, per=2e4, kind="categories", window=500, min_effect=0.0
        )
        levels = {**found.params, "min_share": 0.0}
        detector = detectors.build("chi_squared", reference=reference, **levels)
        alarms += len(detector.update_many(rng.choice(len(p), 200_000, p=p).astype(float)))
    assert alarms <= stats.poisson.isf(1e-3, 100)
