"""Every detector that the configuration can name watches a series: calibrated, or with its own parameters."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas import DETECTORS, Config, ModelConfig
from streams.gauge.series import Finding, ModelSeries, MonitorChange, SeriesSettings
from streams.state import pack, unpack

sys.path.insert(0, str(Path(__file__).parent))
from series_world import rows_of

ON_ERRORS = {"ddm", "eddm", "hddm_a", "hddm_w"}
BLIND_TO_LEVELS = {"variance", "chi_squared"}
OWN: dict[str, dict[str, Any]] = {
    "adwin": {"delta": 1e-6},
    "conformal": {"threshold": 1e6},
    "cramer_von_mises": {"threshold": 6.0},
    "cusum": {"decision_interval": 20.0},
    "ddm": {"drift_threshold": 4.0},
    "eddm": {"beta": 0.5},
    "ewma": {"limit": 6.0},
    "focus": {"threshold": 20.0},
    "hddm_a": {"drift_confidence": 1e-6},
    "hddm_w": {"drift_confidence": 1e-6},
    "jensen_shannon": {"threshold": 0.35},
    "kswin": {"alpha": 1e-6},
    "page_hinkley": {"delta": 0.25, "threshold": 30.0, "alpha": 1.0},
    "psi": {"threshold": 0.6},
    "shiryaev_roberts": {"bound": 0.2, "low": -6.0, "high": 6.0, "threshold": 1e7},
    "wasserstein": {"threshold": 0.6},
    "welch_t": {"threshold": 8.0},
    "windowed_ks": {"threshold": 0.3},
    "z_score": {"target": 0.0, "scale": 1.0, "threshold": 8.0},
}


def traffic(name: str, seed: int) -> Any:
    """6,000 events; from 4,000 on what the detector is for."""
    rng = np.random.default_rng(seed)
    after = np.arange(6000) >= 4000
    score = rng.normal(size=6000) * (np.where(after, 2.0, 1.0) if name == "variance" else 1.0)
    score += (4.0 if name == "kswin" else 1.5) * after * (name not in BLIND_TO_LEVELS)
    texts = np.where(after, rng.integers(2, size=6000), rng.integers(4, size=6000)).astype(np.int32)
    wrong = rng.random(6000) < np.where(after, 0.4, 0.1)
    return rows_of(wrong, score, np.zeros((6000, 0)), texts[:, None])


def run(name: str, **own: Any) -> tuple[list[Finding], MonitorChange]:
    """What it finds and how it stands, with a restart in the middle of what is new."""
    on = "error" if name in ON_ERRORS else "features" if name == "chi_squared" else "score"
    config = Config.model_validate({"defaults": {"task": "binary", "detectors": [{"on": on, "use": name, **own}]}})
    settings = SeriesSettings.of(config.model("m"), config.limits)
    model, rows = ModelSeries("m", settings), traffic(name, 3)
    model.decide("binary")
    found = model.apply(rows.take(np.arange(2 * 4010)), 0)
    (told,) = (each for each in model.tick(0, None) if isinstance(each, MonitorChange))
    again = ModelSeries("m", settings)
    again.restore(unpack(b"TEST", 1, pack(b"TEST", 1, model.snapshot())))
    rest = rows.take(np.arange(2 * 4010, len(rows)))
    late = again.apply(rest, 0)
    assert late == model.apply(rest, 0)
    return found + late, told


@pytest.mark.parametrize("name", DETECTORS)
def test_without_parameters_it_keeps_to_the_budget_or_says_why_it_does_not_look(name: str) -> None:
    found, told = run(name)
    if told.state == "armed":
        assert told.detectable is not None
        assert [each.drift.kind for each in found][:1] == ["fired"]
        assert found[0].drift.calibration is not None
        assert found[0].drift.calibration["expected_per_30d"] <= 1.0
        assert found[0].row > 2 * 4010 or found[0].drift.observations_since_change is not None
    else:
        assert told.state in ("uncalibrated", "unarmed")
        assert told.reason
        assert name in ("eddm", "ddm", "kswin", "conformal", "shiryaev_roberts")


@pytest.mark.parametrize("name", sorted(OWN))
def test_with_its_own_parameters_it_is_taken_as_it_is(name: str) -> None:
    found, told = run(name, **OWN[name])
    assert told.state == "armed"
    assert told.detectable is None
    assert [each.drift.kind for each in found][:1] == ["fired"]
    assert all(each.drift.calibration is None for each in found)
    assert found[0].drift.params.items() >= OWN[name].items()


def test_a_direction_reaches_a_detector_that_has_one() -> None:
    items = [{"on": "score", "use": "cusum", "target": 0.5, "direction": "down"}]
    config = Config.model_validate({"defaults": {"detectors": items}})
    assert isinstance(config.defaults, ModelConfig)
    (watch,) = SeriesSettings.of(config.defaults, config.limits).watches
    assert watch.params == {"target": 0.5, "direction": "down"}


def test_a_least_effect_holds_back_a_detector_that_cannot_tell_how_large_a_change_is() -> None:
    found, _ = run("variance", min_effect=0.1)  # twice the spread: distribution functions .16 apart
    assert [each.drift.kind for each in found][:1] == ["fired"]
    assert run("variance", min_effect=0.5)[0] == []
