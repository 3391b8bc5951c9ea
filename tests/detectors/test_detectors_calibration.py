"""A budget of false alarms is kept on the reference's own kind of data, dependent, seasonal, heavy-tailed or discrete,
and the check can fail: with the season, the dependence or half of a threshold left out it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import poisson

import detectors

Array = np.ndarray
World = Callable[[np.random.Generator, Array], Array]
REFERENCE = 40_320  # four weeks, one value a minute
DAY = 86_400_000


def minutes(size: int) -> Array:
    """Timestamps, one a minute."""
    return 1_767_225_600_000 + 60_000 * np.arange(size)


def autoregressive(
    phi: float, noise: Callable[[np.random.Generator, int], Array] = np.random.Generator.normal
) -> World:
    def make(rng: np.random.Generator, stamps: Array) -> Array:
        drawn = noise(rng, size=len(stamps) + 300)
        return lfilter([1.0], [1.0, -phi], drawn)[300:] * np.sqrt(1.0 - phi * phi)

    return make


def season(stamps: Array) -> Array:
    """Of the day, and of the weekend."""
    turn = 2.0 * np.pi * stamps / DAY
    return 0.8 * np.sin(turn) + 0.4 * np.sin(2.0 * turn + 1.0) - 0.3 * (stamps // DAY % 7 < 2)


def errors(rate: float) -> World:
    return lambda rng, stamps: (rng.random(len(stamps)) < rate).astype(float)


WORLDS: dict[str, World] = {
    "normal": lambda rng, stamps: rng.normal(size=len(stamps)),
    "ar(.5)": autoregressive(0.5),
    "ar(.9)": autoregressive(0.9),
    "seasonal": lambda rng, stamps: season(stamps) + rng.normal(size=len(stamps)),
    "seasonal ar(.8)": lambda rng, stamps: season(stamps) + autoregressive(0.8)(rng, stamps),
    "loud at noon": lambda rng, stamps: np.exp(0.6 * season(stamps)) * (5.0 + autoregressive(0.5)(rng, stamps)),
    "lognormal": lambda rng, stamps: rng.lognormal(size=len(stamps)),
    "t(3) ar(.6)": autoregressive(0.6, lambda rng, size: rng.standard_t(3, size)),
    "poisson": lambda rng, stamps: rng.poisson(0.3, len(stamps)).astype(float),
    "zero-inflated": lambda rng, stamps: np.where(
        rng.random(len(stamps)) < 0.6 + 0.3 * np.sin(2 * np.pi * stamps / DAY), 0.0, rng.lognormal(size=len(stamps))
    ),
    "errors .001": errors(0.001),
    "errors .1": errors(0.1),
    "errors .5": errors(0.5),
    "errors by day": lambda rng, stamps: (
        rng.random(len(stamps)) < 0.1 + 0.05 * np.sin(2 * np.pi * stamps / DAY)
    ).astype(float),
}


def alarms(
    name: str, world: World, seed: list[int], *, every: float, size: int, references: int = 2,
    change: Callable[[detectors.Calibration], detectors.Calibration] = lambda found: found, **options: Any,
) -> tuple[int, float]:  # fmt: skip
    """(false alarms that there were, that were promised) at one in `every` values, over streams of `size` values."""
    count = 0
    for each in np.random.SeedSequence(seed).spawn(references):
        stamps = minutes(REFERENCE + size)
        values = world(np.random.default_rng(each), stamps)
        known = {"timestamps": stamps[:REFERENCE]} | options
        found = change(detectors.calibrate(name, values[:REFERENCE], rate=1 / 60, false_alarms=43_200 / every, **known))
        assert found.expected_per_30d <= 43_200 / every * 1.000001
        detector = found.detector(values[:REFERENCE], stamps[:REFERENCE])
        count += len(detector.update_many(found.transform(values[REFERENCE:], stamps[REFERENCE:])))
    return count, references * size / every


def most(promised: float) -> int:
    """What a Poisson number with this mean exceeds in one of 1,000 cases."""
    return int(poisson.ppf(0.999, promised))


def kind(world: str) -> dict[str, Any]:
    return {"kind": "binary"} if world.startswith("errors") else {}


@pytest.mark.parametrize("world", WORLDS)
def test_page_hinkley_keeps_its_budget_on_data_of_every_kind(base_seed: int, world: str) -> None:
    count, promised = alarms("page_hinkley", WORLDS[world], [base_seed, 1], every=20_000, size=1_000_000, **kind(world))
    assert count <= most(promised)


@pytest.mark.parametrize("world", ["normal", "ar(.9)", "seasonal ar(.8)", "lognormal", "loud at noon", "zero-inflated"])
def test_windowed_ks_keeps_its_budget_on_data_of_every_kind(base_seed: int, world: str) -> None:
    count, promised = alarms("windowed_ks", WORLDS[world], [base_seed, 2], every=20_000, size=400_000)
    assert count <= most(promised)


@pytest.mark.parametrize("world", ["normal", "seasonal ar(.8)", "errors .1"])
def test_cusum_and_adwin_keep_their_budgets(base_seed: int, world: str) -> None:
    for name in ("cusum", "adwin"):
        count, promised = alarms(name, WORLDS[world], [base_seed, 3], every=20_000, size=300_000, **kind(world))
        assert count <= most(promised)


@pytest.mark.parametrize("world", ["normal", "ar(.9)", "errors .1"])
def test_a_budget_ten_times_smaller_gives_ten_times_fewer_alarms(base_seed: int, world: str) -> None:
    count, promised = alarms(
        "page_hinkley", WORLDS[world], [base_seed, 4], every=200_000, size=6_000_000, references=1, **kind(world)
    )
    assert 0.1 * promised < count <= most(promised)  # it is a bound, and not an idle one


def test_the_check_fails_where_the_season_is_left_in(base_seed: int) -> None:
    world = lambda rng, stamps: 0.5 * season(stamps) + rng.normal(size=len(stamps))  # noqa: E731
    for name in ("page_hinkley", "windowed_ks"):
        count, promised = alarms(name, world, [base_seed, 5], every=20_000, size=300_000, timestamps=None, lag_one=0.0)
        assert count > most(promised)


@pytest.mark.parametrize("name", ["page_hinkley", "windowed_ks", "cusum"])
def test_the_check_fails_where_dependence_is_left_out(base_seed: int, name: str) -> None:
    for world in ("ar(.5)", "ar(.9)"):
        count, promised = alarms(name, WORLDS[world], [base_seed, 6], every=20_000, size=100_000, lag_one=0.0)
        assert count > 2 * most(promised)


@pytest.mark.parametrize("world", ["normal", "ar(.9)", "lognormal", "errors .1"])
def test_the_check_fails_where_thresholds_are_cut_by_half(base_seed: int, world: str) -> None:
    def halved(found: detectors.Calibration) -> detectors.Calibration:
        return replace(found, params=found.params | {"threshold": found.params["threshold"] / 2})

    options = kind(world)
    count, promised = alarms(
        "page_hinkley", WORLDS[world], [base_seed, 7], every=20_000, size=300_000, change=halved, **options
    )
    assert count > most(promised)


SIMULATED = ("cramer_von_mises", "ewma", "focus", "jensen_shannon", "psi", "variance", "welch_t", "z_score")


@pytest.mark.parametrize(
    "name", [*SIMULATED, "wasserstein", "hddm_w", "shiryaev_roberts", "conformal", "kswin", "hddm_a"]
)
def test_every_detector_with_a_method_keeps_its_budget(base_seed: int, name: str) -> None:
    binary = name in ("hddm_a", "hddm_w", "shiryaev_roberts")
    slow = name in ("kswin", "wasserstein", "conformal")
    count, promised = alarms(
        name, WORLDS["errors .1" if binary else "normal"], [base_seed, 8], every=5_000,
        size=20_000 if slow else 100_000, references=1, kind="binary" if binary else "numeric",
    )  # fmt: skip
    assert count <= poisson.ppf(0.9999, promised * 1.25)  # where it is no bound, a quarter of error is granted


@pytest.mark.parametrize("name", ["ewma", "focus", "variance", "cramer_von_mises"])
def test_a_bootstrap_of_blocks_keeps_the_budget_on_dependent_values(base_seed: int, name: str) -> None:
    count, promised = alarms(name, WORLDS["ar(.5)"], [base_seed, 9], every=5_000, size=150_000, references=1)
    assert count <= poisson.ppf(0.9999, promised * 1.25)


def test_whatever_is_in_the_catalogue_is_calibrated_or_says_why_not() -> None:
    values = (np.random.default_rng(1).random(2000) < 0.3).astype(float)
    for name in detectors.catalog():
        try:
            found = detectors.calibrate(
                name, values, rate=1.0, false_alarms=100.0, kind="categories" if name == "chi_squared" else "binary"
            )
        except detectors.ParameterError as problem:
            assert f"there is no calibration for {name}" in str(problem)
        except detectors.Uncalibrated as problem:
            assert len(str(problem)) > 20
        else:
            assert found.method in ("closed form", "bound", "simulation", "block bootstrap")
            assert found.assumes and found.within >= 1 and found.at_most_per_30d >= found.expected_per_30d > 0


def test_categories_that_stick_together_or_have_a_season_keep_the_budget_and_a_new_one_is_found(base_seed: int) -> None:
    def sticky(rng: np.random.Generator, stamps: Array) -> Array:
        drawn = rng.choice(7, len(stamps), p=[0.4, 0.3, 0.2, 0.07, 0.02, 0.007, 0.003])
        return drawn[np.maximum.accumulate(np.where(rng.random(len(stamps)) < 0.5, 0, np.arange(len(stamps))))] * 1.0

    def daily(rng: np.random.Generator, stamps: Array) -> Array:
        first = 0.4 + 0.2 * np.sin(2 * np.pi * stamps / DAY)
        drawn = rng.random(len(stamps))
        return np.where(drawn < first, 0.0, np.where(drawn < first + 0.3, 1.0, 2.0))

    for world in (sticky, daily):
        count, promised = alarms(
            "chi_squared", world, [base_seed, 10], every=20_000, size=300_000, references=1, kind="categories"
        )
        assert count <= most(promised)
        stamps = minutes(REFERENCE + 3000)
        rng = np.random.default_rng([base_seed, 11])
        values = world(rng, stamps)
        found = detectors.calibrate("chi_squared", values[:REFERENCE], rate=1 / 60, series=40, kind="categories")
        later = np.where(rng.random(3000) < 0.1, 99.0, values[REFERENCE:])
        assert 0 <= found.detector(values[:REFERENCE]).feed(later) < 3000


# What is found -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "shift"), [("page_hinkley", 0.5), ("cusum", 0.5), ("windowed_ks", 0.5)])
def test_half_a_deviation_is_found_within_three_times_the_least_possible(
    base_seed: int, name: str, shift: float
) -> None:
    phi, every, delays = 0.8, 40 * 43_200, []
    for each in np.random.SeedSequence([base_seed, 12]).spawn(12):
        stamps = minutes(REFERENCE + 10_000)
        values = WORLDS["seasonal ar(.8)"](np.random.default_rng(each), stamps)
        found = detectors.calibrate(
            name, values[:REFERENCE], rate=1 / 60, false_alarms=43_200 / every, timestamps=stamps[:REFERENCE]
        )
        detector = found.detector(values[:REFERENCE], stamps[:REFERENCE])
        delays.append(detector.feed(found.transform(values[REFERENCE:] + shift, stamps[REFERENCE:])))
    assert min(delays) >= 0
    information = shift**2 * (1 - phi) / (1 + phi) / 2  # of the innovations, a value
    assert np.median(delays) <= 3 * np.log(every) / information


@pytest.mark.parametrize("name", ["windowed_ks", "z_score", "welch_t", "chi_squared"])
def test_an_effect_too_small_to_matter_never_fires_however_many_values_there_are(base_seed: int, name: str) -> None:
    rng = np.random.default_rng([base_seed, 13])
    if name == "chi_squared":
        reference, small = (
            rng.integers(4, size=REFERENCE) * 1.0,
            rng.choice([0.0, 1.0, 2.0, 3.0], 400_000, p=[0.3, 0.3, 0.2, 0.2]),
        )
        options: dict[str, Any] = {"min_effect": 0.2, "kind": "categories"}
    else:
        reference, small = rng.normal(size=REFERENCE), rng.normal(0.25, 1.0, 400_000)
        options = {"min_effect": 0.2 if name == "windowed_ks" else 0.5}
    options["window"] = 2000
    held_back = detectors.calibrate(name, reference, rate=1.0, **options)
    assert held_back.detector(reference).feed(held_back.transform(small)) == -1
    free = detectors.calibrate(name, reference, rate=1.0, **(options | {"min_effect": 0.0}))
    assert free.detector(reference).feed(free.transform(small)) >= 0


@pytest.mark.parametrize("name", ["windowed_ks", "welch_t", "z_score", "psi"])
def test_a_window_looks_from_the_first_value_on(name: str) -> None:
    rng = np.random.default_rng(23)
    reference = rng.normal(size=10_000)
    found = detectors.calibrate(name, reference, rate=1.0)
    assert found.detector(reference).feed(rng.normal(2.0, 1.0, 5000)) < found.params["window"] - 1


@pytest.mark.parametrize("name", ["page_hinkley", "cusum", "ewma", "focus", "welch_t", "z_score"])
def test_only_changes_in_the_direction_asked_for_fire(name: str) -> None:
    rng = np.random.default_rng(14)
    reference = rng.normal(size=10_000)
    found = detectors.calibrate(name, reference, rate=1.0, direction="up")
    assert found.detector(reference).feed(found.transform(rng.normal(-3.0, 1.0, 3000))) == -1
    assert found.detector(reference).feed(found.transform(rng.normal(3.0, 1.0, 3000))) >= 0


def test_a_glitch_is_no_change_of_level() -> None:
    rng = np.random.default_rng(15)
    reference = rng.normal(size=10_000)
    for name in ("page_hinkley", "cusum", "adwin", "ewma", "z_score"):
        found = detectors.calibrate(name, reference, rate=1.0)
        values = rng.normal(size=5000)
        values[[1000, 3000]] = 1e300, -1e300
        values[2000], values[2001] = np.nan, np.inf
        detector = found.detector(reference)
        assert detector.feed(found.transform(values)) == -1
        assert detector.ignored == 2


# What is refused -----------------------------------------------------------------------------------------------------


def test_a_reference_too_short_for_its_dependence_is_refused_and_the_size_that_would_do_is_told(base_seed: int) -> None:
    world = autoregressive(0.9)
    values = world(np.random.default_rng([base_seed, 16]), minutes(60_000))
    for name, size in (("page_hinkley", 3000), ("windowed_ks", 1200), ("cusum", 3000)):
        with pytest.raises(detectors.Uncalibrated) as caught:
            detectors.calibrate(name, values[:size], rate=1 / 60, series=30)
        assert caught.value.needed is not None and size < caught.value.needed <= 40_000
        detectors.calibrate(name, values[: int(caught.value.needed * 1.3)], rate=1 / 60, series=30)


def test_a_mean_that_is_not_known_well_enough_is_refused() -> None:
    rng = np.random.default_rng(17)
    wrong = (rng.random(1000) < 0.3).astype(float)
    for name in ("page_hinkley", "cusum", "shiryaev_roberts"):
        with pytest.raises(detectors.Uncalibrated, match="five standard errors") as caught:
            detectors.calibrate(name, wrong, rate=10.0, kind="binary", direction="up")
        assert caught.value.needed is not None
        longer = (rng.random(caught.value.needed + 200) < 0.3).astype(float)
        detectors.calibrate(name, longer, rate=10.0, kind="binary", direction="up")


def test_a_reference_that_changes_within_itself_or_wanders_is_refused() -> None:
    rng = np.random.default_rng(18)
    broken = np.concatenate([rng.normal(size=20_000), rng.normal(2.0, 1.0, 20_000)])
    for name in ("page_hinkley", "windowed_ks", "cusum", "adwin"):
        with pytest.raises(detectors.Uncalibrated):
            detectors.calibrate(name, broken, rate=1 / 60, series=30)
    with pytest.raises(detectors.Uncalibrated, match="wander"):
        detectors.calibrate("page_hinkley", rng.normal(size=20_000).cumsum(), rate=1 / 60)


def test_bets_on_independence_are_refused_where_there_is_none() -> None:
    values = autoregressive(0.9)(np.random.default_rng(19), minutes(20_000))
    for name in ("shiryaev_roberts", "conformal", "kswin"):
        with pytest.raises(detectors.Uncalibrated, match="depend on each other"):
            detectors.calibrate(name, values, rate=1 / 60)


ODD: dict[str, Array] = {
    "huge": np.random.default_rng(1).normal(size=500) * 1e307,
    "denormal": np.random.default_rng(2).integers(5, size=500) * 5e-324,
    "constant": np.full(500, 3.7),
    "spike": np.concatenate([[1e6], np.zeros(499)]),
    "trend": np.arange(500.0),
    "alternating": np.tile([0.0, 1.0], 250),
    "holes": np.where(np.random.default_rng(3).random(500) < 0.5, np.nan, np.random.default_rng(4).normal(size=500)),
    "offset": 1e9 + np.random.default_rng(5).normal(size=500) * 1e-3,
    "few": np.arange(20.0),
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_references_give_a_promise_or_a_reason(odd: str) -> None:
    slow = {*SIMULATED, "wasserstein", "kswin"} if odd not in ("holes", "spike") else set()
    for name in sorted(set(detectors.catalog()) - slow):
        try:
            kind = "categories" if name == "chi_squared" else "numeric"
            found = detectors.calibrate(name, ODD[odd], rate=1 / 600, timestamps=minutes(500) * 10, kind=kind)
            assert np.isfinite([found.expected_per_30d, found.at_most_per_30d, found.shift]).all()
        except detectors.Uncalibrated as problem:
            assert len(str(problem)) > 20
        except detectors.ParameterError as problem:
            assert "there is no calibration for" in str(problem)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rate": 0.0}, "rate must be"),
        ({"false_alarms": -1.0}, "above 0"),
        ({"series": 0}, "above 0"),
        ({"per": "30 days"}, "per must be"),
        ({"per": 0.0}, "per must be"),
        ({"kind": "categories"}, "is for numbers"),
        ({"timestamps": [1, 2, 3]}, "as many as the values"),
    ],
)
def test_arguments_that_cannot_be_are_refused(options: dict[str, Any], sentence: str) -> None:
    values = np.random.default_rng(20).normal(size=1000)
    with pytest.raises(detectors.ParameterError, match=sentence):
        detectors.calibrate("page_hinkley", values, **({"rate": 1.0} | options))


# The same arguments, the same answer ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["page_hinkley", "windowed_ks", "focus", "psi"])
def test_a_calibration_is_the_same_each_time_and_a_budget_is_one_in_any_unit_of_time(name: str) -> None:
    stamps = minutes(10_000)
    values = WORLDS["seasonal"](np.random.default_rng(21), stamps)
    found, again, other = (
        detectors.calibrate(name, values.copy(), rate=1 / 60, timestamps=stamps, **budget)
        for budget in ({}, {}, {"false_alarms": 2.0, "per": 5_184_000.0})
    )
    assert found.params == again.params == other.params
    assert found.expected_per_30d == other.expected_per_30d


def test_a_calibration_survives_its_tree_and_a_transform_any_cut() -> None:
    stamps = minutes(REFERENCE + 5000)
    values = WORLDS["loud at noon"](np.random.default_rng(22), stamps)
    values[REFERENCE + 7 :: 100] = np.nan
    for name in ("page_hinkley", "windowed_ks", "adwin"):
        found = detectors.calibrate(name, values[:REFERENCE], rate=1 / 60, timestamps=stamps[:REFERENCE])
        again = detectors.Calibration.of(found.tree())
        whole = found.transform(values[REFERENCE:], stamps[REFERENCE:])
        cuts = [0, 1, 2, 77, 1000, 5000]
        parts = [
            again.transform(values[REFERENCE + a : REFERENCE + b], stamps[REFERENCE + a : REFERENCE + b])
            for a, b in pairwise(cuts)
        ]
        assert np.concatenate(parts).tobytes() == whole.tobytes()
        assert again.params == found.params
        assert (
            again.detector(values[:REFERENCE], stamps[:REFERENCE]).snapshot()
            == found.detector(values[:REFERENCE], stamps[:REFERENCE]).snapshot()
        )
