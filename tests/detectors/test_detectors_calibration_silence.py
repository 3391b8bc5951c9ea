"""A statistic that never moves on a reference gives no threshold, and says so."""

from __future__ import annotations

import numpy as np
import pytest

import detectors


def test_a_detector_that_cannot_alarm_on_such_values_is_uncalibrated() -> None:
    coins = (np.random.default_rng(1).random(5_000) < 0.5).astype(float)  # each one standard deviation from the mean
    with pytest.raises(detectors.Uncalibrated, match="no threshold gives an alarm"):
        detectors.calibrate("variance", coins, rate=1 / 60, per=60.0 * 5_000, kind="binary", direction="up")
