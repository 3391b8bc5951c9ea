"""Simulated thresholds keep their budget on average over references, and references that wander are seen through."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson

import detectors


def test_simulated_thresholds_keep_the_budget_over_many_references_of_rare_errors(base_seed: int) -> None:
    size, every, references, alarms = 80_000, 20_000, 6, 0
    for seed in range(references):
        rng = np.random.default_rng([base_seed, 50, seed])
        healthy = (rng.random(5_000) < 0.01).astype(float)
        found = detectors.calibrate("focus", healthy, rate=1 / 60, per=60.0 * every, kind="binary", direction="up")
        detector = found.detector(healthy)
        values, at = (rng.random(size) < 0.01).astype(float), 0
        while (place := detector.feed(values[at:])) >= 0:
            alarms += 1
            at += place + 1
            detector = found.detector(healthy)
    assert alarms <= poisson.ppf(0.999, references * size / every)


def brief(seed: int, wave: float) -> tuple[np.ndarray, np.ndarray]:
    """(values, timestamps) of two thirds of a day, on a daily wave of this height."""
    rng = np.random.default_rng([51, seed])
    stamps = 60_000 * (np.arange(1_000) + int(rng.integers(1_440)))
    return rng.normal(size=1_000) + wave * np.sin(2.0 * np.pi * stamps / 86_400_000), stamps


@pytest.mark.parametrize("name", ["page_hinkley", "windowed_ks"])
def test_a_reference_too_short_for_its_season_is_refused_and_one_without_is_not(name: str) -> None:
    def refused(wave: float) -> int:
        found = 0
        for seed in range(12):
            values, stamps = brief(seed, wave)
            try:
                detectors.calibrate(name, values, rate=1 / 60, timestamps=stamps)
            except detectors.Uncalibrated:
                found += 1
        return found

    assert refused(0.0) == 0
    assert refused(0.5) == 12


def test_what_a_short_reference_cannot_show_is_said() -> None:
    values, stamps = brief(1, 0.0)
    found = detectors.calibrate("windowed_ks", values, rate=1 / 60, timestamps=stamps)
    assert "no season of a day or slower, but for what shows in 0.694 days" in found.assumes


def test_a_distance_is_not_promised_from_a_handful_of_errors() -> None:
    # 20 errors in 20,000: the thinned reference would hold two of them, or none
    errors = np.random.default_rng(7).permutation(np.repeat([0.0, 1.0], [19_980, 20]))
    with pytest.raises(detectors.Uncalibrated, match="all but 20 values") as refused:
        detectors.calibrate("wasserstein", errors, rate=1 / 60, kind="binary")
    assert refused.value.needed == 100_000
