"""A change too small to matter never fires, however long it lasts; one three times as large does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import detectors

SIZE, LONG = 64_000, 2_000_000
OPTIONS: dict[str, dict[str, Any]] = {
    "adwin": {"min_effect": 0.5},
    "chi_squared": {"min_effect": 0.3, "kind": "categories", "window": 8_000},
    "cramer_von_mises": {"min_effect": 0.15, "window": 2_000},
    "cusum": {"min_effect": 0.5},
    "ewma": {"min_effect": 0.5},
    "focus": {"min_effect": 0.5},
    "jensen_shannon": {"min_effect": 0.3, "kind": "categories", "window": 8_000},
    "page_hinkley": {"min_effect": 0.5},
    "psi": {"min_effect": 0.3, "kind": "categories", "window": 8_000},
    "shiryaev_roberts": {"min_effect": 0.5},
    "wasserstein": {"min_effect": 0.5, "window": 2_000},
    "welch_t": {"min_effect": 0.5, "window": 500},
    "windowed_ks": {"min_effect": 0.3, "window": 8_000},
    "z_score": {"min_effect": 0.5, "window": 500},
}
"""In units of the detector. Where it is the effect in the window that counts, windows are so long that their own chance
is small beside a tenth of it."""


def shifted(name: str, rng: np.random.Generator, effect: float, size: int) -> np.ndarray:
    """Normal or uniform values, or two categories, moved by so much in the units of the detector."""
    if "kind" in OPTIONS[name]:
        return (rng.random(size) < 0.05 + effect).astype(float)
    if name in ("windowed_ks", "cramer_von_mises"):  # distribution functions that far apart, but for the ends
        return rng.random(size) + effect
    return rng.normal(effect, 1.0, size)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_change_of_nine_tenths_of_what_matters_never_fires_and_one_of_three_times_does(
    base_seed: int, name: str
) -> None:
    options, rng = OPTIONS[name], np.random.default_rng([base_seed, 40])
    effect = options["min_effect"]
    healthy = shifted(name, rng, 0.0, SIZE)
    found = detectors.calibrate(name, healthy, rate=1 / 60, false_alarms=0.1, **options)
    detector = found.detector(healthy)
    assert detector.feed(found.transform(shifted(name, rng, 0.9 * effect, LONG))) == -1
    detector = found.detector(healthy)
    assert 0 <= detector.feed(found.transform(shifted(name, rng, 3.0 * effect, 9_000))) < 8_000


@pytest.mark.parametrize("name", ["conformal", "ddm", "hddm_w", "kswin", "variance"])
def test_a_detector_that_cannot_tell_the_size_of_a_change_refuses_a_least_one(name: str) -> None:
    healthy = np.random.default_rng(7).random(4_000)
    with pytest.raises(detectors.ParameterError, match="does not know how large a change is"):
        detectors.calibrate(name, healthy, rate=1 / 60, min_effect=0.1)


@pytest.mark.parametrize("family", ["gaussian", "bernoulli", "poisson", "gamma"])
@pytest.mark.parametrize("target", [None, 0.4])
def test_focus_wants_more_of_a_change_the_larger_the_least_one_is(family: str, target: float | None) -> None:
    rng = np.random.default_rng(8)
    draw = {
        "gaussian": lambda mean: rng.normal(mean, 1.0, 3_000),
        "bernoulli": lambda mean: (rng.random(3_000) < mean).astype(float),
        "poisson": lambda mean: rng.poisson(mean, 3_000).astype(float),
        "gamma": lambda mean: rng.exponential(mean, 3_000),
    }[family]
    values = np.concatenate([draw(0.4), draw(0.8)])
    places = []
    for least in (0.0, 0.1, 0.2, 0.25, 0.6):
        detector = detectors.build("focus", family=family, target=target, threshold=12.0, least_change=least)
        places.append(detector.feed(values))
    assert places[0] >= 3_000 and places[-1] == -1
    found = [place for place in places if place >= 0]
    assert len(found) >= 4 and found == sorted(found)


@pytest.mark.parametrize("name", ["page_hinkley", "cusum"])
def test_without_its_gate_an_allowance_alone_lets_small_changes_through(base_seed: int, name: str) -> None:
    rng = np.random.default_rng([base_seed, 41])
    healthy = rng.normal(size=SIZE)
    found = detectors.calibrate(name, healthy, rate=1 / 60, false_alarms=0.1, min_effect=0.5)
    bare = detectors.build(name, **(found.params | {"gate": 0.0}))
    bare.prime(healthy)
    assert bare.feed(rng.normal(0.45, 1.0, 20_000)) >= 0
    by_default = detectors.calibrate(name, healthy, rate=1 / 60, false_alarms=0.1)
    assert "gate" not in by_default.params


def test_a_gate_keeps_back_a_climb_until_it_is_steep_enough() -> None:
    slow, steep = [0.6] * 1_000, [1.0] * 1_000
    gated = detectors.build("cusum", reference_value=0.5, decision_interval=5.0, gate=4.0)
    assert detectors.build("cusum", reference_value=0.5, decision_interval=5.0).feed(slow) in (49, 50)  # .1 × 50
    assert gated.feed(slow) == -1  # .1 × n is under 4 √n up to 1,600
    gated.reset()
    assert gated.feed(steep) == 63 and gated.since_change == 64  # .5 × 64 = 4 × √64
    climb = detectors.build("page_hinkley", delta=0.0, threshold=5.0, alpha=1.0, mode="up", gate=4.0)
    climb.prime([0.0] * 1_000_000)
    assert climb.feed([1.0] * 100) == 17  # 16 after the first, and the mean has moved a little
