"""Long references arm their detectors at ticks, some at a time; short ones at the row that completes them."""

from __future__ import annotations

import sys
from pathlib import Path

from streams.gauge.series import HELD, ModelSeries, MonitorChange, SeriesSettings, WatchSettings
from streams.state import pack, unpack

sys.path.insert(0, str(Path(__file__).parent))
from series_world import traffic

LONG = HELD + 1000
SETTINGS = SeriesSettings(
    watches=(WatchSettings("error", "page_hinkley"), WatchSettings("features", "windowed_ks")), warm_up=LONG
)


def armed(model: ModelSeries, work: int) -> list[str]:
    """What a tick with so much work says is armed now."""
    told = [each for each in model.tick(0, None, work) if isinstance(each, MonitorChange)]
    return [each.subject for each in told if each.state == "armed"]


def model_after(events: int, settings: SeriesSettings) -> ModelSeries:
    model = ModelSeries("m", settings)
    model.decide("binary")
    model.apply(traffic(3, events, categories=0), 0)
    return model


def test_each_tick_arms_as_much_as_it_may_and_no_series_is_forgotten() -> None:
    model = model_after(LONG + 10, SETTINGS)
    said = [armed(model, work=1) for _ in range(4)]
    assert sorted(subject for subjects in said for subject in subjects) == [
        "error", "features.f0", "features.f1", "features.f2",
    ]  # fmt: skip
    assert all(len(subjects) == 1 for subjects in said)
    assert model.tick(0, None, 1) == []
    assert model.worked == 0


def test_a_tick_that_may_do_no_work_arms_nothing() -> None:
    model = model_after(LONG + 10, SETTINGS)
    assert armed(model, work=0) == []
    assert len(armed(model, work=LONG * 3)) == 3


def test_what_waits_to_be_armed_waits_on_after_a_restart_and_finds_what_then_changes() -> None:
    model = model_after(LONG + 10, SETTINGS)
    assert len(armed(model, work=1)) == 1
    saved = pack(b"TEST", 1, model.snapshot())
    model = ModelSeries("m", SETTINGS)
    model.restore(unpack(b"TEST", 1, saved))
    assert len(armed(model, work=10**9)) == 3
    found = model.apply(traffic(4, 2000, change=1000, shift=1.0, categories=0, start=LONG + 10), 0)
    assert {each.drift.subject for each in found} == {"error", "features.f0"}
    assert all(each.row >= 2000 for each in found)


def test_values_that_come_before_the_tick_are_no_part_of_what_was_before() -> None:
    model = ModelSeries("m", SETTINGS)
    model.decide("binary")
    model.apply(traffic(3, LONG, error=0.1, categories=0), 0)
    model.apply(traffic(5, 500, error=0.5, categories=0, start=LONG), 0)
    assert "error" in armed(model, work=10**9)
    (alarm,) = (
        each
        for each in model.apply(traffic(6, 400, error=0.5, categories=0, start=LONG + 500), 0)
        if each.drift.subject == "error"
    )
    assert alarm.drift.before is not None and alarm.drift.before.mean is not None
    assert abs(alarm.drift.before.mean - 0.1) < 0.02


def test_short_references_wait_for_no_tick() -> None:
    model = model_after(1500, SeriesSettings(watches=SETTINGS.watches, warm_up=1000))
    assert len(armed(model, work=0)) == 4
