"""A gauge keeps no more of a model than the limits allow, says so once, and makes room where that is possible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import orjson
import pytest

from schemas import Config
from streams.gauge import GaugeSettings, GaugeTask
from streams.gauge.controls import Controls
from streams.gauge.windows import ModelWindows, WindowSettings, metric_event
from streams.gauge.windows.figures import MOST_CLASSES
from streams.outcomes import Control, Kind
from tests.gauge.windows_world import START, Row, rows_of

HOUR, DAY = 3_600_000, 86_400_000
SETTINGS = WindowSettings(task="binary", tumbling=(HOUR,), rolling=(10,), horizon=HOUR, grace=0, versions=2)


def _fold(windows: ModelWindows, rows: list[Row]) -> list[tuple[str, str]]:
    """Fold as a gauge does; who made room for whom."""
    changes, columns = [], rows_of(rows)
    start = 0
    while start < len(rows):
        rest = columns.take(np.arange(start, len(rows)))
        taken, change = windows.admit(rest)
        windows.apply(rest.take(np.arange(taken)))
        start += taken
        if change is not None:
            windows.replace(*change)
            changes.append(change)
    return changes


def _outcome(version: str, at: int, number: int) -> list[Row]:
    made = Row(Kind.PREDICTED, number=number, timestamp=at, prediction=1.0, score=0.5, version=version)
    return [made, replace(made, kind=Kind.OUTCOME, number=number + 1, label=1.0, label_timestamp=at + 1)]


def _lasting(windows: ModelWindows, clock: int, watermark: int) -> dict[tuple[str | None, str], tuple[int, int]]:
    return {
        (view.version, view.kind): (view.revision, view.counts["outcomes"])
        for view in windows.tick(clock, watermark, 1_000)
        if view.kind != "tumbling"
    }


@pytest.mark.parametrize("together", [True, False])
def test_a_settled_version_makes_room_for_a_new_one(together: bool) -> None:
    windows = ModelWindows("m", SETTINGS)
    assert _fold(windows, [*_outcome("old", START, 0), *_outcome("kept", START + 2 * DAY, 2)]) == []
    assert _lasting(windows, 0, START + 2 * DAY) != {}
    _lasting(windows, 10**6, START + 2 * DAY)
    batch = [*_outcome("kept", START + 2 * DAY + 1, 4), *_outcome("new", START + 2 * DAY + 2, 6)]
    changes = _fold(windows, batch) if together else [each for row in batch for each in _fold(windows, [row])]
    assert changes == [("old", "new")]
    found = _lasting(windows, 10**8, START + 2 * DAY + 3)
    assert found["kept", "cumulative"][1] == 2
    assert found["new", "cumulative"][1] == found["new", "rolling"][1] == 1
    assert not any(version == "old" for version, _ in found)
    assert windows.overflow()["versions"] == 0


def test_a_version_that_comes_back_goes_on_above_its_revisions() -> None:
    windows = ModelWindows("m", SETTINGS)
    told: list[tuple[str | None, str, int]] = []
    for k in range(9):
        at = START + 2 * DAY * k
        _fold(windows, [replace(row, region=f"r{k % 2}") for row in _outcome(f"v{k % 3}", at, 2 * k)])
        for clock in range(3):
            found = _lasting(windows, 10**7 * (3 * k + clock), at + clock)
            told += [(version, kind, revision) for (version, kind), (revision, _) in found.items()]
    assert len(told) == len(set(told))
    assert {version for version, _, _ in told} == {"v0", "v1", "v2"}


def test_a_version_that_may_still_change_makes_no_room() -> None:
    windows = ModelWindows("m", SETTINGS)
    _fold(windows, [*_outcome("a", START, 0), *_outcome("b", START + DAY // 2, 2)])
    _lasting(windows, 0, START + DAY // 2)
    assert _fold(windows, _outcome("c", START + DAY // 2 + 1, 4)) == []
    assert windows.overflow()["versions"] == 1
    assert ("__other__", "cumulative") in _lasting(windows, 10**8, START + DAY // 2 + 1)


def test_a_pane_that_was_refused_is_not_opened_by_what_is_taken_back() -> None:
    windows = ModelWindows("m", replace(SETTINGS, segments=("region",), rolling=(), open_windows=6))
    late = START + 10 * HOUR
    made = [replace(row, region="r") for k in range(20) for row in _outcome("v", START + k % 11 * HOUR, 2 * k)]
    windows.apply(rows_of(made))
    windows.tick(0, START + 8 * HOUR, 1_000)  # makes room: the first hours are final
    back = [replace(row, kind=Kind.RETRACTED, refers_to=row.number) for row in made if row.kind == Kind.OUTCOME]
    windows.apply(rows_of([row for row in back if row.timestamp >= late - 2 * HOUR]))
    views = windows.tick(10**8, START + 8 * HOUR, 1_000)
    assert all(view.counts["outcomes"] >= 0 for view in views)


def test_an_event_of_a_thousand_classes_fits_into_a_message() -> None:
    windows = ModelWindows("m", replace(SETTINGS, task="multiclass", rolling=(10_000,)))
    rows = []
    for i in range(1_500):
        made = Row(Kind.PREDICTED, number=2 * i, prediction=f"{i % 1_200:0450}", version="v")
        label = f"{(i + i % 2) % 1_200:0450}"
        rows += [made, replace(made, kind=Kind.OUTCOME, number=2 * i + 1, label=label, label_timestamp=START)]
    windows.apply(rows_of(rows))
    for view in windows.tick(0, START, 100):
        assert len(orjson.dumps(metric_event(view, "m", "a"))) < 900_000
        told = view.metrics["confusion_matrix"]["value"]
        assert len(told["labels"]) == MOST_CLASSES and told["labels"][-1] == "__other__"
        assert np.sum(told["matrix"]) == 1_500
    assert windows.overflow()["classes"] > 0


def test_names_that_no_event_could_carry_are_other() -> None:
    windows = ModelWindows("m", SETTINGS)
    _fold(windows, _outcome("v" * 5_000, START, 0))
    assert ("__other__", "cumulative") in _lasting(windows, 0, START)


def test_of_control_records_those_are_kept_that_may_still_matter() -> None:
    controls = Controls()
    silence = b'{"matchers":{"model":"m"},"starts_at":0,"ends_at":%d}'
    for i in range(3_000):
        controls.put(Control(f"silence/{i}", silence % (10 + i), i), 5)
    controls.put(Control("ack/1", b'{"by":"me"}', 3_000), 5)
    big = b'{"profile":{"features.f":{"counts":{"%s":1}}}}' % (b"x" * 600_000)
    for i in range(30):
        controls.put(Control(f"baseline/m/{i}", big, 4_000 + i), 5)
    kept = list(controls)
    assert [each.key for each in kept[:1_000]] == [f"silence/{i}" for i in range(2_000, 3_000)]
    assert [each.key for each in kept[1_000:]] == [f"baseline/m/{i}" for i in range(3, 30)]
    again = Controls()
    again.restore(controls.snapshot(), 5)
    assert list(again) == kept
    again.tick(10 + 2_999)
    assert len(list(again)) == 27


def test_control_records_of_any_number_fit_into_the_records_of_a_snapshot() -> None:
    config = Config()
    gauge = GaugeTask(GaugeSettings.from_config(config), 0)
    big = b'{"profile":{"features.f":{"counts":{"%s":1}}}}' % (b"x" * 600_000)
    for i in range(3):
        gauge._controls.put(Control(f"baseline/m/{i}", big, i), 0)
    records = gauge.snapshot(0)
    assert max(len(record.value or b"") for record in records) < 600_000
    again = GaugeTask(GaugeSettings.from_config(config), 0)
    assert again.restore((record.key, record.value) for record in records) == 0
    assert [each.key for each in again._controls] == ["baseline/m/0", "baseline/m/1", "baseline/m/2"]
    assert list(again._controls) == list(gauge._controls)
