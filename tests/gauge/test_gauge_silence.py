"""Labels that stop are missed, whatever becomes of predictions that expire."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from schemas import Config
from streams.gauge import GaugeSettings
from streams.gauge.clock import Now
from streams.gauge.model import ModelGauge

sys.path.insert(0, str(Path(__file__).parent))
from gauge_traffic import START, Traffic

DAY, TICK = 86_400_000, 600_000


@pytest.mark.parametrize("expires_with_a_label", [False, True])
def test_outcomes_that_expiry_makes_are_no_labels(expires_with_a_label: bool) -> None:
    config = Config.model_validate({"defaults": {"task": "binary", "positive_label": 1, "detectors": []}})
    model, traffic, fired = ModelGauge("fraud", GaugeSettings.from_config(config)), Traffic(1), {}
    for number in range(10 * DAY // TICK):
        clock = START + number * TICK
        predicted = traffic.predicted(4)
        predicted.model[:] = 0
        model.apply(predicted, np.zeros(4, np.int64), clock)
        outcomes = traffic.outcomes(predicted)
        if clock >= START + 8 * DAY:
            outcomes.label_offset[:] = -1
        if clock < START + 8 * DAY or expires_with_a_label:
            model.apply(outcomes, np.zeros(4, np.int64), clock)
        for record in model.tick(Now(clock, clock - DAY, True), 1000, 0):
            if (
                record.topic == "alerts"
                and b'"silence/labels"' in (record.value or b"")
                and b"firing" in (record.value or b"")
            ):
                fired.setdefault("labels", clock)
    assert START + 8 * DAY < fired["labels"] < START + 8 * DAY + DAY // 4
