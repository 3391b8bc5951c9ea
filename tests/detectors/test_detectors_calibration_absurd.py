"""Absurd values in a reference: they neither stop a calibration nor make its limits, and ordinary ones do not count as
such."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import detectors
from detectors.calibration.calibrate import _METHODS
from detectors.calibration.season import season_of

NUMERIC = sorted(name for name in _METHODS if name != "chi_squared")
STAMPS = 1_790_000_000_000 + np.arange(1000) * 900_000  # over ten days
SKEWED = {
    "normal": lambda rng: rng.normal(size=4000),
    "exponential": lambda rng: rng.exponential(size=4000),
    "log-normal": lambda rng: rng.lognormal(0.0, 1.5, 4000),
    "student": lambda rng: rng.standard_t(3, 4000),
    "pareto": lambda rng: rng.pareto(2.5, 4000),
    "0/1": lambda rng: (rng.random(4000) < 0.1).astype(np.float64),
    "rare": lambda rng: np.where(rng.random(4000) < 0.003, 1000.0, 0.0),
    "counts": lambda rng: rng.poisson(0.2, 4000).astype(np.float64),
}


@pytest.mark.parametrize("big", [1e80, 1e100])
@pytest.mark.parametrize("name", NUMERIC)
def test_absurd_values_leave_numbers_or_a_reason(name: str, big: float) -> None:
    values = np.random.default_rng(5).normal(size=1000)
    one = values.copy()
    one[333] = big
    for reference in (one, values / np.abs(values).max() * big):
        try:
            found = detectors.calibrate(name, reference, rate=10.0, false_alarms=0.1, timestamps=STAMPS)
        except detectors.Uncalibrated:
            continue
        detector = found.detector(reference, STAMPS)
        detector.feed(found.transform(reference, STAMPS))
        assert np.isfinite([detector.threshold, found.expected_per_30d, found.shift]).all()


@pytest.mark.parametrize("name", ["adwin", "cusum", "page_hinkley", "z_score"])
def test_an_absurd_value_counts_like_one_at_the_limit(name: str) -> None:
    absurd = np.random.default_rng(5).normal(size=3000)
    absurd[500] = 1e6
    fine = np.delete(absurd, 500)
    limited = absurd.copy()
    limited[500] = fine.mean() + 6.0 * fine.std()
    calibrations = [detectors.calibrate(name, each, rate=0.01) for each in (absurd, limited)]
    found, wanted = calibrations
    for key, value in wanted.params.items():
        assert found.params[key] == (pytest.approx(value, rel=0.05, abs=0.05) if isinstance(value, float) else value)
    shifted = fine[1000:] + 1.0
    alarms = [each.detector(fine).feed(each.transform(shifted)) for each in calibrations]
    assert 0 <= alarms[0] <= alarms[1] * 1.1 + 2


@pytest.mark.parametrize("shape", SKEWED)
@pytest.mark.parametrize("seed", range(5))
def test_limits_of_ordinary_and_skewed_references_are_six_deviations_of_all_their_values(shape: str, seed: int) -> None:
    values = SKEWED[shape](np.random.default_rng(seed))
    assert detectors.plausible(values).all()
    mean, reach = values.mean(), 6.0 * values.std()
    assert detectors.limits_of(values) == (mean - reach, mean + reach)


def test_what_lies_far_beyond_all_others_is_absurd() -> None:
    values = np.random.default_rng(6).normal(size=1000)
    values[[3, 400]] = 9999.0, -1e30
    assert np.flatnonzero(~detectors.plausible(values)).tolist() == [3, 400]
    low, high = detectors.limits_of(values) or (0.0, 0.0)
    assert (low, high) == (pytest.approx(-6.0, abs=0.5), pytest.approx(6.0, abs=0.5))
    assert detectors.limits_of(np.ones(100)) is None


def test_a_season_is_the_same_in_any_unit() -> None:
    hours = np.arange(24 * 21)
    stamps = hours * 3_600_000
    values = np.sin(hours * np.pi / 12.0) + 0.3 * np.random.default_rng(7).normal(size=len(hours))
    season, scaled = season_of(values, stamps), season_of(np.ldexp(values, 300), stamps)
    assert season is not None
    assert scaled is not None
    assert scaled.parameters == season.parameters
    assert np.ldexp(scaled.profile, -300).tolist() == season.profile.tolist()


@pytest.mark.parametrize("problem", [OverflowError("too large"), np.linalg.LinAlgError("singular"), ValueError("NaN")])
def test_arithmetic_that_fails_is_a_reason_to_promise_nothing(
    problem: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise problem

    monkeypatch.setitem(_METHODS, "cusum", fails)
    with pytest.raises(detectors.Uncalibrated, match=str(problem)):
        detectors.calibrate("cusum", np.random.default_rng(1).normal(size=1000), rate=1.0)


def test_a_calibration_that_ends_in_no_number_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    method = _METHODS["cusum"]
    monkeypatch.setitem(_METHODS, "cusum", lambda request: replace(method(request), shift=float("nan")))
    with pytest.raises(detectors.Uncalibrated, match="no number"):
        detectors.calibrate("cusum", np.random.default_rng(1).normal(size=1000), rate=1.0)
