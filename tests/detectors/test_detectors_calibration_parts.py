"""What calibration stands on: the division of a budget, the season, the dependence, the rates of clumps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.special import kolmogorov
from scipy.stats import norm

import detectors
from detectors.calibration.bootstrap import resampled
from detectors.calibration.dependence import certain, dependence_of
from detectors.calibration.excursions import log_moments
from detectors.calibration.season import season_of
from detectors.calibration.windows import thinned

MINUTES = 1_767_225_600_000 + 60_000 * np.arange(40_320)
TURN = 2.0 * np.pi * MINUTES / 86_400_000


def autoregressive(phi: float, size: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=size + 2000)
    return lfilter([1.0], [1.0, -phi], drawn)[2000:] * np.sqrt(1.0 - phi * phi)


# The division of a budget --------------------------------------------------------------------------------------------

events = st.lists(st.tuples(st.sampled_from(["take", "free"]), st.integers(0, 30)), max_size=80)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(known=st.integers(1, 30), log=events)
def test_shares_never_add_up_to_more_than_the_budget_and_never_move(known: int, log: list[tuple[str, int]]) -> None:
    division = detectors.Division(known)
    held: dict[int, float] = {}
    for verb, series in log:
        if verb == "take":
            share = division.take(str(series))
            assert share == held.setdefault(series, share) > 0.0
        else:
            division.free(str(series))
            held.pop(series, None)
        assert division.total == pytest.approx(sum(held.values())) and division.total <= 1.0
        division = detectors.Division.of(division.tree())


def test_the_series_known_at_arming_share_evenly_in_any_order_and_leave_a_reserve() -> None:
    names = [f"features.f{i}" for i in range(26)]
    shares = {}
    for order in (names, names[::-1]):
        division = detectors.Division(26)
        shares[tuple(order)] = {name: division.take(name) for name in order}
    first, second = shares.values()
    assert first == second and len(set(first.values())) == 1
    assert division.total == pytest.approx(6 / np.pi**2)
    assert sum(detectors.share(place, 26) for place in range(26 * 4000)) == pytest.approx(1.0, abs=2e-4)


# The season ----------------------------------------------------------------------------------------------------------


def test_a_season_is_what_the_hours_of_the_week_differ_by() -> None:
    truth = 0.5 * np.sin(TURN) - 0.4 * (MINUTES // 86_400_000 % 7 == 2)
    found = season_of(truth + autoregressive(0.5, len(MINUTES), 1), MINUTES)
    assert found is not None
    hour = MINUTES // 3_600_000 % 168
    expected = np.bincount(hour, truth, minlength=168) / np.bincount(hour, minlength=168)
    gap = found.profile - (expected - truth.mean())
    assert np.sqrt((gap**2).mean()) < 0.07  # a week's hour is known to .11 by its own values alone
    assert 0.0 < found.parameters < 0.5


def test_dependence_is_not_taken_for_a_season() -> None:
    found = [
        season_of(autoregressive(phi, len(MINUTES), seed), MINUTES) for phi in (0.0, 0.9, 0.999) for seed in range(15)
    ]
    assert sum(each is not None for each in found) <= 1


def test_hours_without_values_and_single_days_do_no_harm() -> None:
    values = np.sin(TURN) + autoregressive(0.3, len(MINUTES), 2)
    open_hours = MINUTES // 3_600_000 % 24 >= 8
    found = season_of(values[open_hours], MINUTES[open_hours])
    assert found is not None and np.isfinite(found.profile).all()
    assert season_of(values[:2000], MINUTES[:2000]) is None
    assert season_of(values[:1], MINUTES[:1]) is None
    assert season_of(np.ones(len(MINUTES)), MINUTES) is None


def test_a_profile_keeps_the_mean_and_evens_out_levels_and_spreads() -> None:
    values = np.exp(0.5 * np.sin(TURN)) * (4.0 + autoregressive(0.3, len(MINUTES), 3))
    found = detectors.calibrate("page_hinkley", values, rate=1 / 60, timestamps=MINUTES)
    assert found.profile is not None and found.profile.seasonal and "profile taken off" in found.assumes
    even = found.transform(values, MINUTES)
    assert even.mean() == pytest.approx(values.mean(), rel=0.02)
    by_hour = [even[hour == MINUTES // 3_600_000 % 24] for hour in range(24)]
    assert np.ptp([each.mean() for each in by_hour]) < 0.15
    assert max(each.std() for each in by_hour) < 1.25 * min(each.std() for each in by_hour)
    with pytest.raises(detectors.ParameterError, match="timestamps"):
        found.transform(values)


def test_a_profile_that_cannot_be_is_refused() -> None:
    for location, scale, low, high in (
        (np.zeros(3), np.ones(1), -1.0, 1.0),
        (np.zeros(1), np.zeros(1), -1.0, 1.0),
        (np.array([np.nan]), np.ones(1), -1.0, 1.0),
        (np.zeros(1), np.ones(1), 1.0, -1.0),
    ):
        with pytest.raises(detectors.ParameterError):
            detectors.Profile(location, scale, low, high)


@pytest.mark.parametrize("value", [1e308, -1e308, 5e-324, 0.0])
def test_a_transform_holds_huge_values_within_its_limits_and_passes_missing_ones(value: float) -> None:
    profile = detectors.Profile(np.array([-1e300]), np.array([1e-300]), -6.0, 6.0)
    assert -6.0 <= profile.apply([value])[0] <= 6.0
    assert np.isnan(profile.apply([np.nan, np.inf])).all()


# Dependence ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_the_inflation_of_a_mean_is_that_of_the_autoregression(phi: float) -> None:
    found = [dependence_of(autoregressive(phi, 40_000, seed)) for seed in range(12)]
    expected = (1 + phi) / (1 - phi)
    assert np.median([each.inflation for each in found]) == pytest.approx(expected, rel=0.04)
    spread = np.std([each.inflation for each in found]) / expected
    promised = np.sqrt(2 / np.median([each.freedom for each in found]))
    assert spread < 2 * promised + 0.05
    means = [autoregressive(phi, 4000, seed).mean() for seed in range(300)]
    assert np.var(means) * 4000 == pytest.approx(expected, rel=0.35)


def test_moving_averages_and_slow_undertones_are_seen() -> None:
    noise = np.random.default_rng(4).normal(size=40_000)
    moving = np.convolve(noise, np.ones(5), "valid")
    assert dependence_of(moving).inflation == pytest.approx(5.0, rel=0.15)
    slow = noise + 0.4 * autoregressive(0.99, 40_000, 5)
    assert dependence_of(slow).inflation == pytest.approx((1 + 0.16 * 199) / 1.16, rel=0.5)
    assert dependence_of(np.diff(noise)).inflation == 1.0  # what swings back is taken as independent, to be safe


def test_the_steps_sum_to_the_values_but_for_what_hangs_over() -> None:
    values = autoregressive(0.8, 5000, 6)
    found = dependence_of(values)
    assert found.order == 1 and found.wander == 1.0
    gaps = values - values.mean()
    over = found.overhang[0] * gaps
    sums, steps = np.cumsum(gaps[1:]), np.cumsum(found.steps)
    np.testing.assert_allclose(sums, steps - (over[1:] - over[0]), atol=0.05 * np.abs(sums).max())


def test_an_exponent_is_stretched_for_a_variance_that_is_hardly_known() -> None:
    drawn = np.random.default_rng(7).chisquare(30.0, 2_000_000) / 30.0
    asked = certain(8.0, 30.0)
    assert np.exp(-asked * drawn).mean() == pytest.approx(np.exp(-8.0), rel=0.05)
    assert certain(8.0, float("inf")) == 8.0


def test_log_moments_are_those_of_the_distribution() -> None:
    theta, found = log_moments(np.random.default_rng(8).normal(size=200_000))
    few = theta < 1.0
    np.testing.assert_allclose(found[few], theta[few] ** 2 / 2, rtol=0.05, atol=1e-5)
    assert (found >= theta**2 / 2 * 0.97)[theta < 2.0].all()


# Windows and bootstrap -----------------------------------------------------------------------------------------------


def test_a_thinned_reference_has_the_same_distribution_function() -> None:
    values = np.random.default_rng(9).lognormal(size=40_320)
    held = thinned(values)
    assert len(held) == 2000
    assert detectors.ks_distance(held, values) <= 0.5 / 2000 + 1e-12
    np.testing.assert_array_equal(thinned(values[:500]), np.sort(values[:500]))


def test_a_windows_threshold_is_far_beyond_that_of_one_look_and_below_that_of_all() -> None:
    reference = np.random.default_rng(11).normal(size=REFERENCE)
    found = detectors.calibrate("windowed_ks", reference, rate=1 / 60, false_alarms=0.02, window=500)
    scaled = found.params["threshold"] * np.sqrt(500 * REFERENCE / (500 + REFERENCE))
    one, all_of_them = kolmogorov(scaled), 0.02 / 43_200
    assert all_of_them < one < 100 * all_of_them


REFERENCE = 40_320


def test_the_z_scores_threshold_is_that_of_clumps_of_a_brownian_motion() -> None:
    reference = np.random.default_rng(11).normal(size=REFERENCE)
    found = detectors.calibrate("z_score", reference, rate=1 / 60, false_alarms=0.05, window=400, min_effect=0.0)
    level = found.params["threshold"]
    rate = 2 * level * norm.pdf(level) / 400
    assert 0.3 < rate * 43_200 / 0.05 <= 1.0


def test_a_bootstrap_keeps_the_values_and_as_much_of_their_order_as_it_is_asked_to() -> None:
    values = autoregressive(0.9, 20_000, 12)
    draws = np.random.default_rng(13)
    loose, blocks = resampled(values, 1.0, 100_000, draws), resampled(values, 200.0, 100_000, draws)
    assert set(loose) <= set(values) and set(blocks) <= set(values)
    assert abs(detectors.lag_one_autocorrelation(loose)) < 0.02
    assert detectors.lag_one_autocorrelation(blocks) == pytest.approx(0.9, abs=0.02)
