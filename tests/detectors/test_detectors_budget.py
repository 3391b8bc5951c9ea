"""Thresholds from a budget keep their promise on healthy streams, still find a shift, and refuse what they cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import detectors

Sampler = Callable[[np.random.Generator, int], np.ndarray]
LOOKS = 20_000
RATE = LOOKS / (30 * 86_400)
STREAMS = 60
BUDGET = 0.5
CASES: list[tuple[str, str, dict[str, Any], Sampler, Sampler]] = [
    ("page_hinkley", "rare errors", {"kind": "binary", "direction": "up"},
     lambda rng, n: (rng.random(n) < 0.02).astype(float), lambda rng, n: (rng.random(n) < 0.2).astype(float)),
    ("page_hinkley", "errors", {"kind": "binary", "direction": "up"},
     lambda rng, n: (rng.random(n) < 0.1).astype(float), lambda rng, n: (rng.random(n) < 0.3).astype(float)),
    ("page_hinkley", "normal", {}, lambda rng, n: rng.normal(size=n), lambda rng, n: rng.normal(-1.0, 1.0, n)),
    ("page_hinkley", "exponential", {"direction": "up"},
     lambda rng, n: rng.exponential(size=n), lambda rng, n: rng.exponential(2.0, size=n)),
    ("adwin", "errors", {"kind": "binary"},
     lambda rng, n: (rng.random(n) < 0.1).astype(float), lambda rng, n: (rng.random(n) < 0.3).astype(float)),
    ("windowed_ks", "normal", {}, lambda rng, n: rng.normal(size=n), lambda rng, n: rng.normal(1.0, 1.0, n)),
    ("windowed_ks", "ties", {}, lambda rng, n: rng.integers(5, size=n).astype(float),
     lambda rng, n: rng.integers(3, size=n).astype(float)),
    ("chi_squared", "four", {"kind": "categories"}, lambda rng, n: rng.integers(4, size=n).astype(float),
     lambda rng, n: rng.integers(2, size=n).astype(float)),
    ("chi_squared", "rare", {"kind": "categories"}, lambda rng, n: rng.geometric(0.4, n).astype(float),
     lambda rng, n: rng.geometric(0.1, n).astype(float)),
]  # fmt: skip


def calibrated(name: str, reference: np.ndarray, options: dict[str, Any]) -> detectors.Detector:
    found = detectors.calibrate(name, reference, rate=RATE, false_alarms=BUDGET, **options)
    assert found.expected_per_30d <= BUDGET * 1.000001
    assert "values" in found.assumes
    return found.detector(reference)


@pytest.mark.parametrize(
    ("name", "options", "healthy", "changed"), [pytest.param(n, o, h, c, id=f"{n}-{i}") for n, i, o, h, c in CASES]
)
def test_false_alarms_stay_within_the_budget_and_a_change_is_found(
    base_seed: int, name: str, options: dict[str, Any], healthy: Sampler, changed: Sampler
) -> None:
    alarms = found = calibrations = 0
    for seed in np.random.SeedSequence([base_seed, len(name)]).spawn(STREAMS):
        rng = np.random.default_rng(seed)
        try:
            detector = calibrated(name, healthy(rng, 1000), options)
        except detectors.Uncalibrated:  # an unlucky reference; the rest keep the promise
            continue
        calibrations += 1
        alarms += len(detector.update_many(healthy(rng, LOOKS)))
        found += len(detector.update_many(changed(rng, 600))) > 0
    assert calibrations >= 0.8 * STREAMS
    # the sum over the streams is close to Poisson at most: three deviations of room
    assert alarms <= BUDGET * calibrations + 3 * (BUDGET * calibrations) ** 0.5
    assert found >= 0.95 * calibrations


def test_a_smaller_share_asks_for_a_higher_threshold() -> None:
    reference = np.random.default_rng(1).normal(size=1000)
    for name in ("page_hinkley", "windowed_ks"):
        thresholds = [
            detectors.calibrate(name, reference, rate=10.0, series=n).params["threshold"] for n in (1, 10, 100)
        ]
        assert thresholds == sorted(set(thresholds))
    deltas = [detectors.calibrate("adwin", reference, rate=10.0, series=n).params["delta"] for n in (1, 10, 100)]
    assert deltas == sorted(set(deltas), reverse=True)


def test_the_lag_one_autocorrelation_is_that_of_the_textbook() -> None:
    values = np.random.default_rng(2).normal(size=500).cumsum()
    gaps = values - values.mean()
    expected = (gaps[1:] * gaps[:-1]).sum() / (gaps**2).sum()
    assert detectors.lag_one_autocorrelation(values) == pytest.approx(expected)
    assert detectors.lag_one_autocorrelation(np.ones(50)) == 0.0
    assert detectors.lag_one_autocorrelation([1.0, 1.0, 2.0, 2.0], "categories") == pytest.approx((2 / 3 - 0.5) / 0.5)


def test_an_allowance_below_five_standard_errors_is_refused_and_the_size_that_would_do_is_told() -> None:
    rng = np.random.default_rng(1)
    wrong = (rng.random(1000) < 0.3).astype(float)
    with pytest.raises(detectors.Uncalibrated, match="five standard errors") as caught:
        detectors.calibrate("page_hinkley", wrong, rate=10.0, kind="binary", direction="up")
    assert caught.value.needed is not None
    longer = np.resize(rng.permutation(wrong), caught.value.needed + 100)
    detectors.calibrate("page_hinkley", longer, rate=10.0, kind="binary", direction="up", lag_one=0.0)


@pytest.mark.parametrize(
    ("name", "reference", "options", "sentence"),
    [
        ("page_hinkley", np.ones(1000), {}, "does not vary"),
        ("page_hinkley", np.arange(10.0), {}, "at least 30"),
        ("windowed_ks", np.arange(10.0), {}, "at least 30"),
        ("windowed_ks", np.random.default_rng(1).normal(size=30), {"window": 10}, "too small for the budget"),
        ("chi_squared", np.arange(30.0), {"kind": "categories"}, "categories are too many for a window of 500"),
    ],
)
def test_what_a_bound_cannot_stand_on_gets_a_reason(
    name: str, reference: np.ndarray, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(detectors.Uncalibrated, match=sentence):
        detectors.calibrate(name, reference, rate=10.0, **{"lag_one": 0.0, **options})


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(detectors.ParameterError, match="above 0"):
        detectors.calibrate("adwin", np.ones(100), rate=0.0)
    with pytest.raises(detectors.ParameterError, match="no detector is called 'nothing'"):
        detectors.calibrate("nothing", np.random.default_rng(0).normal(size=100), rate=1.0, lag_one=0.0)
