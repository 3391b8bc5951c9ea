"""River's own detectors behind our interface: the same alarms, through a snapshot too, and a sentence without river."""

from __future__ import annotations

import inspect
import sys
from importlib import import_module

import numpy as np
import pytest

import detectors
from detectors.catalogue import find
from tests.detectors.cases_river import CASES

LISTED = [case for case in CASES if case.name.startswith("river:")]


def rivers(name: str) -> type:
    kind = find(name)
    return getattr(import_module(f"river.{kind.listed.module}"), name.removeprefix("river:"))  # type: ignore[attr-defined]


@pytest.mark.parametrize("case", LISTED, ids=[case.name for case in LISTED])
def test_alarms_are_rivers_through_a_snapshot_after_every_tenth_value(case) -> None:  # type: ignore[no-untyped-def]
    for params in case.params:
        seeded = {"seed": 0} if "seed" in find(case.name).listed.defaults else {}  # type: ignore[attr-defined]
        ours, theirs = detectors.build(case.name, **params), rivers(case.name)(**(seeded | params))
        rng = np.random.default_rng(8)
        values = np.concatenate([case.healthy(rng, 400), case.changed(rng, 400), case.healthy(rng, 400)])
        alarms = 0
        for i, value in enumerate(values.tolist()):
            theirs.update(value)
            assert ours.update(value) == theirs.drift_detected
            alarms += ours.alarmed
            if i % 10 == 0:
                ours = detectors.restore(ours.snapshot())
        assert alarms >= 1


@pytest.mark.parametrize("case", LISTED, ids=[case.name for case in LISTED])
def test_parameters_and_defaults_are_rivers_but_for_the_seed(case) -> None:  # type: ignore[no-untyped-def]
    theirs = {key: each.default for key, each in inspect.signature(rivers(case.name)).parameters.items()}
    theirs.pop("dynamic_cloning", None)
    if "seed" in theirs:
        theirs["seed"] = 0
    assert dict(find(case.name).listed.defaults) == theirs  # type: ignore[attr-defined]


def test_a_value_that_river_raises_at_is_skipped_and_does_not_blind() -> None:
    detector = detectors.build("river:DDM")
    assert detector.update_many([1e200, -7.0] * 20).tolist() == []
    assert detector.ignored == 40
    assert len(detector.update_many([0.0, 0.0, 0.0, 1.0] * 250 + [0.0, 1.0] * 100)) == 1


def test_without_river_the_catalogue_stands_and_building_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "river"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "river", None)
    assert "river:FHDDM" in detectors.catalog()
    with pytest.raises(detectors.ParameterError, match="river:FHDDM needs the package river, which is not installed"):
        detectors.build("river:FHDDM")
    assert detectors.build("ddm").update_many([0.0, 1.0]).tolist() == []


def test_a_generator_or_a_window_that_cannot_be_is_refused() -> None:
    dummy, fhddm = detectors.build("river:DummyDriftDetector"), detectors.build("river:FHDDM")
    for words in (np.full(625, 2**40), np.full(625, -1)):
        with pytest.raises(detectors.SnapshotError):
            dummy.load(dummy.state() | {"words": words})
    for window in (np.zeros(101), np.array([np.nan]), np.zeros((1, 1)), np.zeros(3, np.int64)):
        with pytest.raises(detectors.SnapshotError, match="window"):
            fhddm.load(fhddm.state() | {"window": window})
