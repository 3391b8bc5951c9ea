"""What a series tells: the change, its cause, its suspects; what it keeps to itself; and when it is over."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import detectors
from streams.alerts import DriftFinding
from streams.gauge.series import HELD, Finding, ModelSeries, MonitorChange, SeriesSettings, WatchSettings
from streams.outcomes import AGAIN, Kind, Listed, Rows
from streams.state import pack, unpack

sys.path.insert(0, str(Path(__file__).parent))
from series_world import LABEL_BASE, rows_of, traffic

PAGE_HINKLEY = WatchSettings("error", "page_hinkley", "critical")
FEATURES = WatchSettings("features", "windowed_ks", "info")
FIRST = 6 / np.pi**2
"""The share of the budget of what is known when the first series is armed; the rest is held back for later ones."""
SCORE = WatchSettings("score", "windowed_ks")


def model_of(*watches: WatchSettings, task: str | None = "binary", **more: object) -> ModelSeries:
    model = ModelSeries("m", SeriesSettings(watches=watches, **more))  # type: ignore[arg-type]
    if task is not None:
        model.decide(task)  # type: ignore[arg-type]
    return model


def states(model: ModelSeries) -> dict[str, MonitorChange]:
    """The newest told state of each subject, by subject/detector."""
    told = [each for each in model.tick(0, None) if isinstance(each, MonitorChange)]
    return {f"{each.subject}/{each.detector}": each for each in told}


def fired(found: list[Finding], subject: str) -> list[Finding]:
    return [each for each in found if each.drift.subject == subject and each.drift.kind == "fired"]


def test_an_error_alarm_tells_the_change_and_the_record_that_tipped_it() -> None:
    rows = traffic(1, 6000, change=4000, delay=50)
    model = model_of(PAGE_HINKLEY)
    (found,) = fired(model.apply(rows, 2), "error")
    drift = found.drift
    assert 4050 <= found.row // 2 < 4350
    assert rows.kind[found.row] == Kind.OUTCOME
    assert drift.cause is not None
    assert (drift.cause.topic, drift.cause.partition, drift.cause.offset) == ("labels", 2, rows.label_offset[found.row])
    assert (drift.rule, drift.severity, drift.direction) == ("error/page_hinkley", "critical", "up")
    assert drift.before is not None
    assert drift.after is not None
    assert drift.before.mean == pytest.approx(0.1, abs=0.02)
    assert drift.after.mean == pytest.approx(0.3, abs=0.1)
    assert drift.statistic is not None
    assert drift.threshold is not None
    assert drift.statistic > drift.threshold
    assert drift.change_at == pytest.approx(400_000, abs=10_000)  # event time of the prediction, not of the label
    assert drift.observations_since_change == drift.after.count
    assert abs(drift.after.count - (found.row // 2 - 4050)) < 100
    assert drift.calibration == {"method": "bound", "expected_per_30d": pytest.approx(FIRST, rel=0.01)}


def test_the_prediction_is_the_cause_where_the_label_was_there_first() -> None:
    rows = traffic(1, 6000, change=4000)
    rows.early[rows.kind == Kind.OUTCOME] = 1
    (found,) = fired(model_of(PAGE_HINKLEY).apply(rows, 2), "error")
    assert found.drift.cause is not None
    assert found.drift.cause.topic == "predictions"
    assert found.drift.cause.offset == rows.prediction_offset[found.row]


def test_the_prediction_is_the_cause_of_a_feature_alarm() -> None:
    rows = traffic(1, 6000, change=4000, changed_error=0.1, shift=1.0, moved=1)
    (found,) = model_of(FEATURES).apply(rows, 2)
    assert found.drift.subject == "features.f1"
    assert found.drift.direction == "up"
    assert 4000 <= found.row // 2 < 4400
    assert found.drift.cause is not None
    assert (found.drift.cause.topic, found.drift.cause.offset) == ("predictions", found.row // 2)
    assert found.drift.change_at == pytest.approx(400_000, abs=5_000)


def test_the_planted_feature_is_the_first_suspect_in_nine_of_ten() -> None:
    right = 0
    for seed in range(20):
        rows = traffic(seed, 5000, change=3500, shift=1.0, moved=seed % 6, features=6, categories=2, delay=30)
        (alarm,) = fired(model_of(PAGE_HINKLEY, FEATURES).apply(rows, 0), "error")
        suspects = alarm.drift.suspects
        right += bool(suspects) and suspects[0].feature == f"f{seed % 6}" and suspects[0].direction == "up"
        assert len(suspects) <= 5
    assert right >= 18


def test_a_category_can_be_the_suspect() -> None:
    rng = np.random.default_rng(4)
    after = np.arange(5000) >= 3500
    wrong = rng.random(5000) < np.where(after, 0.3, 0.1)
    texts = rng.integers(4, size=(5000, 2))
    texts[after, 0] = rng.integers(2, size=int(after.sum()))
    rows = rows_of(wrong, rng.normal(size=5000), rng.normal(size=(5000, 3)), texts.astype(np.int32))
    found = model_of(PAGE_HINKLEY, FEATURES).apply(rows, 0)
    (alarm,) = fired(found, "error")
    assert alarm.drift.suspects[0].feature == "c0"
    assert alarm.drift.suspects[0].detector == "chi_squared"
    (category,) = fired(found, "features.c0")
    assert category.drift.detector == "chi_squared"
    assert category.drift.rule == "features/chi_squared"
    assert category.drift.direction is None
    assert category.drift.before is not None
    assert category.drift.before.mean is None
    assert category.drift.change_at == pytest.approx(350_000, abs=10_000)


def test_suspects_are_judged_at_the_row_of_the_alarm_and_not_beyond() -> None:
    rows = traffic(1, 9000, change=4000)  # the error alone
    late = traffic(2, 9000, change=5000, changed_error=0.1, shift=3.0)
    rows.features = late.features
    (alarm,) = fired(model_of(PAGE_HINKLEY, FEATURES).apply(rows, 0), "error")
    assert alarm.row // 2 < 5000
    assert alarm.drift.suspects == ()


@pytest.mark.parametrize("refers_to", [5, AGAIN])
def test_corrections_relabels_and_retractions_do_not_reach_detectors(refers_to: int) -> None:
    rows = traffic(1, 6000, change=4000)
    rows.refers_to[rows.kind == Kind.OUTCOME] = refers_to
    assert model_of(PAGE_HINKLEY).apply(rows, 0) == []
    rows.refers_to[:] = -1
    rows.kind[1::2] = Kind.RETRACTED
    assert model_of(PAGE_HINKLEY).apply(rows, 0) == []


def test_missing_and_infinite_values_neither_kill_nor_blind() -> None:
    rows = traffic(1, 6000, change=4000, shift=1.0, moved=0)
    rng = np.random.default_rng(0)
    rows.features.values[rng.random(len(rows.features.values)) < 0.1] = np.inf
    rows.score[rng.random(len(rows)) < 0.3] = np.nan
    rows.label[(rng.random(len(rows)) < 0.1) & (rows.kind == Kind.OUTCOME)] = np.nan
    found = model_of(PAGE_HINKLEY, FEATURES, SCORE).apply(rows, 0)
    assert len(fired(found, "error")) == 1
    assert len(fired(found, "features.f0")) == 1


def test_a_feature_that_is_missing_more_often_is_told_as_null_or_as_absent() -> None:
    rng = np.random.default_rng(0)
    nulls, absent = traffic(1, 4000), traffic(1, 4000)
    nulls.features.values[(nulls.features.names == 1) & (np.arange(4 * 4000) >= 4 * 2000)] = np.nan
    left = (absent.features.names != 1) | (np.arange(4 * 4000) < 4 * 2000)
    lengths = np.diff(absent.features.offsets)
    lengths[2 * 2000 :: 2] = 3
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    listed = absent.features
    absent.features = Listed(offsets, listed.names[left], listed.values[left], listed.texts[left])
    for rows in (nulls, absent):
        (found,) = model_of(WatchSettings("missing", "page_hinkley")).apply(rows, 0)
        assert (found.drift.subject, found.drift.rule) == ("missing.f1", "missing/page_hinkley")
        assert 2000 <= found.row // 2 < 2010
        assert found.drift.direction == "up"
        assert found.drift.cause is not None
        assert found.drift.cause.offset == found.row // 2
    failed = nulls
    failed.failed[4000::2] = 1  # a prediction that failed says nothing of its features
    assert model_of(WatchSettings("missing", "page_hinkley")).apply(failed, 0) == []
    some = traffic(1, 4000)
    some.features.values[rng.random(4 * 4000) < np.where(np.arange(4 * 4000) < 4 * 2000, 0.05, 0.3)] = np.nan
    found = model_of(WatchSettings("missing.f1", "page_hinkley")).apply(some, 0)
    assert [each.drift.subject for each in found] == ["missing.f1"]


def test_what_goes_wrong_in_one_segment_is_told_of_that_segment() -> None:
    rng = np.random.default_rng(2)
    rows = traffic(1, 20_000, delay=3)
    rows.strings = [*rows.strings, "eu", "us"]
    rows.segment_keys = ("region",)
    eu = np.repeat(rng.random(20_000) < 0.3, 2)
    eu[1 + 2 * 3 :: 2] = eu[: -2 * 3 : 2]  # an outcome is of its prediction's region
    rows.segments = np.where(eu, len(rows.strings) - 2, len(rows.strings) - 1)[None, :].astype(np.int32)
    late = np.arange(40_000) >= 30_000
    rows.label[(rows.kind == Kind.OUTCOME) & eu & late & (rng.random(40_000) < 0.25)] = 0.0
    rows.score[eu & late] += 1.5
    watches = [
        WatchSettings(on, use, segment=key)
        for on, use in (("error", "page_hinkley"), ("score", "windowed_ks"))
        for key in (None, "region")
    ]
    model = model_of(*watches)
    found = model.apply(rows, 0)
    for subject in ("error", "score"):
        told = [dict(each.drift.segment) for each in fired(found, subject)]
        assert {"region": "eu"} in told
        assert {"region": "us"} not in told
    monitored = [each for each in model.tick(0, None) if isinstance(each, MonitorChange)]
    segments = [{}, {"region": "eu"}, {"region": "us"}]
    assert all(sum(each.segment == segment for each in monitored) == 2 for segment in segments)
    assert {each.state for each in monitored} == {"armed"}


def test_a_category_that_was_never_seen_is_found_soon() -> None:
    rng = np.random.default_rng(2)
    texts = rng.integers(6, size=(6000, 1))
    texts[(rng.random((6000, 1)) < 0.1) & (np.arange(6000) >= 4000)[:, None]] = 17
    rows = rows_of(np.zeros(6000, bool), rng.normal(size=6000), np.zeros((6000, 0)), texts.astype(np.int32))
    (found,) = model_of(FEATURES, recover_for=10**9).apply(rows, 0)
    assert found.drift.subject == "features.c0"
    assert 4000 <= found.row // 2 < 4300


def test_an_alert_does_not_end_by_values_from_before_it() -> None:
    rng = np.random.default_rng(2)
    texts = rng.integers(6, size=(9000, 1))
    texts[(rng.random((9000, 1)) < 0.2) & (np.arange(9000) >= 4000)[:, None]] = 17
    rows = rows_of(np.zeros(9000, bool), rng.normal(size=9000), np.zeros((9000, 0)), texts.astype(np.int32))
    found = model_of(FEATURES, recover_for=1000).apply(rows, 0)
    assert [each.drift.kind for each in found] == ["fired"]


def test_a_significant_change_that_does_not_matter_is_no_alarm() -> None:
    small = traffic(1, 60_000, change=10_000, changed_error=0.13)
    adwin = WatchSettings("error", "adwin")
    assert model_of(adwin).apply(small, 0) == []
    assert len(model_of(replace(adwin, min_effect=0.001)).apply(small, 0)) == 1


def test_an_error_that_falls_is_no_alarm_unless_asked_for() -> None:
    better = traffic(1, 20_000, change=10_000, error=0.2, changed_error=0.02)
    adwin = WatchSettings("error", "adwin")
    assert model_of(adwin).apply(better, 0) == []
    (found,) = model_of(replace(adwin, direction="both")).apply(better, 0)
    assert found.drift.direction == "down"


def test_a_firing_series_is_not_fed_and_keeps_its_before() -> None:
    rows = traffic(1, 20_000, change=4000, changed_error=0.3)
    rows.label[30_000::2] = 1.0  # and worse does not come into it
    found = model_of(PAGE_HINKLEY).apply(rows, 0)
    assert [each.drift.kind for each in found] == ["fired"]


def test_a_series_recovers_when_it_has_been_back_for_long_enough_and_can_fire_again() -> None:
    parts = [(0.1, 4000), (0.3, 2000), (0.1, 4000), (0.3, 2000)]
    error = np.concatenate([np.full(n, p) for p, n in parts])
    rng = np.random.default_rng(3)
    rows = rows_of(rng.random(12_000) < error, rng.normal(size=12_000), rng.normal(size=(12_000, 1)))
    found = model_of(PAGE_HINKLEY, recover_for=60_000).apply(rows, 0)
    assert [each.drift.kind for each in found] == ["fired", "recovered", "fired"]
    first, back, again = (each.row // 2 for each in found)
    assert 4000 < first < 4400
    assert 6000 + 600 <= back < 6000 + 600 + 900  # a minute is 600 events; then the last 500 must be clean
    assert 10_000 < again < 10_400
    assert found[2].drift.before is not None
    assert found[2].drift.before.mean == pytest.approx(0.1, abs=0.02)
    slow = model_of(PAGE_HINKLEY, recover_for=3_600_000).apply(rows, 0)
    assert [each.drift.kind for each in slow] == ["fired"]


@pytest.mark.parametrize("moved", ["number", "category"])
def test_windowed_series_recover_too(moved: str) -> None:
    rng = np.random.default_rng(3)
    n = 9000
    bad = (np.arange(n) >= 4000) & (np.arange(n) < 6000)
    numbers = rng.normal(size=(n, 1)) + (1.0 * bad[:, None] if moved == "number" else 0.0)
    texts = np.where(bad & (moved == "category"), rng.integers(2, size=n), rng.integers(4, size=n))
    rows = rows_of(np.zeros(n, bool), rng.normal(size=n), numbers, texts[:, None].astype(np.int32))
    found = model_of(FEATURES, recover_for=60_000).apply(rows, 0)
    assert [each.drift.kind for each in found] == ["fired", "recovered"]
    assert found[1].row // 2 > 6000


def test_autocorrelated_values_leave_a_series_uncalibrated() -> None:
    rng = np.random.default_rng(3)
    rows = traffic(1, 6000, change=3000, changed_error=0.1)
    walk = np.zeros(6000)
    for i in range(1, 6000):
        walk[i] = 0.9 * walk[i - 1] + rng.normal()
    rows.score[0::2] = walk
    model = model_of(SCORE)
    assert model.apply(rows, 0) == []
    told = states(model)["score/windowed_ks"]
    assert told.state == "uncalibrated"
    assert told.reason is not None
    assert "dependence" in told.reason
    assert told.detectable is None


def test_page_hinkley_waits_for_a_reference_that_its_allowance_needs() -> None:
    rows = traffic(5, 6000, error=0.3, change=5000, changed_error=0.6)
    model = model_of(PAGE_HINKLEY)
    first = rows.take(np.arange(0, 2 * 1500))
    assert model.apply(first, 0) == []
    told = states(model)["error/page_hinkley"]
    assert told.state == "uncalibrated"
    assert told.reason is not None
    assert "five standard errors" in told.reason
    (found,) = model.apply(rows.take(np.arange(2 * 1500, len(rows))), 0)
    assert states(model)["error/page_hinkley"].state == "armed"
    assert found.row // 2 + 1500 in range(5000, 5400)


def test_outcomes_before_the_task_is_known_are_not_lost() -> None:
    rows = traffic(1, 6000, change=4000)
    known = model_of(PAGE_HINKLEY).apply(rows, 0)
    model = model_of(PAGE_HINKLEY, task=None)
    assert model.apply(rows.take(np.arange(3000)), 0) == []
    model = restored(model)
    model.decide("binary")
    late = model.apply(rows.take(np.arange(3000, len(rows))), 0)
    assert [replace(each, row=each.row + 3000) for each in late] == known


def restored(model: ModelSeries) -> ModelSeries:
    again = ModelSeries(model.model, model._settings)
    again.restore(unpack(b"TEST", 1, pack(b"TEST", 1, model.snapshot())))
    return again


def test_what_waiting_outcomes_lead_to_is_told_at_the_next_tick() -> None:
    model = model_of(PAGE_HINKLEY, task=None)
    rows = traffic(1, 6000, change=4000)
    model.apply(rows, 0)
    model.decide("binary")
    model = restored(model)
    (found,) = [each for each in model.tick(0, None) if isinstance(each, Finding)]
    assert found.row == -1
    assert found.drift.cause is not None
    assert found.drift.cause.offset >= LABEL_BASE + 4000
    assert not any(isinstance(each, Finding) for each in model.tick(0, None))


def test_the_errors_of_a_regression_are_absolute_and_its_residuals_signed() -> None:
    rng = np.random.default_rng(2)
    n = 6000
    rows = traffic(1, n)
    rows.prediction[1::2] = 100.0
    rows.label[1::2] = 100.0 - rng.normal(0.0, 5.0, n) - np.where(np.arange(n) >= 4000, 8.0, 0.0)
    watches = [WatchSettings(on, use) for on in ("error", "residual") for use in ("page_hinkley", "windowed_ks")]
    watches.append(WatchSettings("residual", "adwin"))
    found = model_of(*watches, task="regression").apply(rows, 0)
    assert {each.drift.rule for each in found} == {
        "error/page_hinkley", "error/windowed_ks", "residual/page_hinkley", "residual/windowed_ks", "residual/adwin",
    }  # fmt: skip
    for each in found:
        assert 4000 <= each.row // 2 < 4500
        assert each.drift.before is not None
        assert each.drift.after is not None
        assert each.drift.before.mean is not None
        assert each.drift.after.mean is not None
        assert each.drift.direction == "up"
        assert each.drift.after.mean > each.drift.before.mean
    residual = fired(found, "residual")[0].drift
    assert residual.before is not None
    assert residual.before.mean == pytest.approx(0.0, abs=0.5)


def test_texts_are_classes() -> None:
    rows = traffic(1, 6000, change=4000)
    wrong = rows.label == 0.0
    codes = {"cat": len(rows.strings), "dog": len(rows.strings) + 1}
    rows.strings = [*rows.strings, *codes]
    rows.prediction[:], rows.label[:] = np.nan, np.nan
    rows.prediction_text[:] = codes["cat"]
    rows.label_text[:] = np.where(wrong, codes["dog"], codes["cat"])
    (found,) = model_of(PAGE_HINKLEY, task="multiclass").apply(rows, 0)
    assert found.row // 2 >= 4000


def test_own_parameters_are_taken_as_they_are_from_the_first_value_on() -> None:
    params = {"min_instances": 30, "delta": 0.005, "threshold": 10.0, "alpha": 0.9999, "mode": "up"}
    rows = traffic(1, 3000, change=800, changed_error=0.4)
    model = model_of(WatchSettings("error", "page_hinkley", params=params))
    found = model.apply(rows, 0)
    wrong = (rows.label[1::2] == 0.0).astype(float)
    assert found[0].row // 2 == detectors.build("page_hinkley", **params).feed(wrong)
    assert found[0].drift.calibration is None
    assert found[0].drift.params == params
    assert states(model)["error/page_hinkley"].state == "armed"


def test_what_a_detector_cannot_watch_is_told() -> None:
    model = model_of(WatchSettings("features", "page_hinkley"), WatchSettings("features.f0", "chi_squared"))
    model.apply(traffic(1, 100), 0)
    told = states(model)
    assert told["features.c0/page_hinkley"].state == "unarmed"
    assert told["features.f0/chi_squared"].state == "unarmed"
    assert told["features.f0/page_hinkley"].state == "warming"


def test_service_latency_and_attributions_are_watched_like_features() -> None:
    rng = np.random.default_rng(2)
    rows = traffic(1, 6000)
    moved = np.where(np.arange(6000) >= 4000, 1.0, 0.0)
    rows.latency[0::2] = np.exp(rng.normal(3.0, 0.3, 6000) + moved)
    rows.attributions = traffic(2, 6000, change=4000, shift=-1.5, moved=1).features
    watches = [WatchSettings(on, "windowed_ks") for on in ("service.latency", "attributions")]
    found = model_of(*watches).apply(rows, 0)
    assert {(each.drift.subject, each.drift.direction) for each in found} == {
        ("service.latency", "up"), ("attributions.f1", "down"),
    }  # fmt: skip


def test_the_budget_is_shared_among_all_that_is_watched() -> None:
    alone, shared = model_of(SCORE), model_of(SCORE, PAGE_HINKLEY, FEATURES)
    rows = traffic(1, 6000, change=6000)
    rows.score[6000::2] += 1.5
    (one,), (two,) = fired(alone.apply(rows, 0), "score"), fired(shared.apply(rows, 0), "score")
    assert one.drift.calibration is not None
    assert two.drift.calibration is not None
    assert one.drift.calibration["expected_per_30d"] == pytest.approx(FIRST)
    assert two.drift.calibration["expected_per_30d"] == pytest.approx(FIRST / 6)


def test_what_comes_later_moves_no_threshold_and_all_shares_together_stay_in_the_budget() -> None:
    model = model_of(SCORE, FEATURES)
    model.apply(traffic(1, 3000), 0)
    model.tick(0, None)
    for k in range(4):
        model.apply(traffic(2, 1000, version=f"v{2 + k}", start=3000 + 1000 * k), 0)
    model.tick(0, None)
    rows = traffic(3, 1000, start=7000)
    rows.score[0::2] += 1.5
    (found,) = fired(model.apply(rows, 0), "score")
    assert found.drift.version == "v1"
    assert found.drift.calibration is not None
    assert found.drift.calibration["expected_per_30d"] == pytest.approx(FIRST / 5)
    promised: dict[str | None, float] = {}
    for group in model._groups.values():
        calibrations = [watch.calibration for series in group.series() for watch in series.watches]
        promised[group.version] = sum(each.expected_per_30d for each in calibrations if each is not None)
    expected = {f"v{k}": pytest.approx(FIRST / k**2) for k in range(1, 6)}
    assert promised == expected


def test_a_share_that_was_given_early_is_settled_when_all_are_known() -> None:
    model = model_of(SCORE, FEATURES)
    rng = np.random.default_rng(3)
    model.baseline("v1", {"score": {"values": rng.normal(size=1000).tolist(), "rate": 10.0}})
    model.apply(traffic(1, 200), 0)
    model.tick(0, None)
    series = next(iter(model._groups.values())).subjects["score"]
    assert series.watches[0].state == "armed"
    model.apply(traffic(2, 2000, start=200), 0)
    model.tick(0, None)
    found = series.watches[0].calibration
    assert found is not None
    assert found.expected_per_30d == pytest.approx(FIRST / 5)


def test_limits_bound_what_is_kept_and_say_so() -> None:
    model = model_of(SCORE, FEATURES, versions=2, features=3, categories=3)
    for k in range(5):
        model.apply(traffic(k, 1200, version=f"v{k}", start=1200 * k), 0)
    told = states(model)
    assert len({each for each in told if each.startswith("features.")}) == 3
    assert {version for version, _ in model._groups} == {"v0", "v1", "__other__"}
    assert model.overflow()["features"] > 0
    assert model.overflow()["categories"] == 0
    wide = model_of(FEATURES, categories=3)
    wide.apply(traffic(1, 1200), 0)
    assert wide.overflow()["categories"] > 0


def test_a_new_version_is_compared_with_the_previous_one() -> None:
    model = model_of(SCORE, FEATURES)
    assert model.apply(traffic(1, 3000), 0) == []
    rows = traffic(2, 700, version="v2", change=0, shift=1.0, moved=2, start=3000)
    (found,) = model.apply(rows, 0)
    assert (found.drift.subject, found.drift.version) == ("features.f2", "v2")
    assert found.row // 2 < found.drift.params["window"]  # within its very first window
    told = [each for each in model.tick(0, None) if isinstance(each, MonitorChange)]
    assert {each.reference for each in told if each.version == "v2"} == {"previous_version"}
    assert {each.reference for each in told if each.version == "v1"} == {"self"}


def test_a_baseline_is_preferred_to_the_previous_version() -> None:
    rng = np.random.default_rng(3)
    model = model_of(SCORE, FEATURES)
    model.apply(traffic(1, 3000), 0)
    profile = {
        "features.f2": {"values": rng.normal(1.0, 1.0, 1000).tolist(), "rate": 10.0},
        "features.c0": {"counts": {f"k{k}": 250 for k in range(4)}},
    }
    model.baseline("v2", profile)
    rows = traffic(2, 2000, version="v2", change=0, changed_error=0.1, shift=1.0, moved=2, start=3000)
    assert model.apply(rows, 0) == []
    told = [each for each in model.tick(0, None) if isinstance(each, MonitorChange) and each.version == "v2"]
    by_subject = {each.subject: each.reference for each in told}
    assert by_subject["features.f2"] == by_subject["features.c0"] == "baseline"
    assert by_subject["features.f0"] == "previous_version"


def test_a_rebaseline_ends_the_alert_and_learns_the_new_state() -> None:
    rows = traffic(1, 20_000, change=4000, shift=1.0)
    model = model_of(PAGE_HINKLEY, FEATURES)
    bounds = [0, 12_000, len(rows)]
    first, second = (rows.take(np.arange(start, stop)) for start, stop in pairwise(bounds))
    assert {each.drift.subject for each in model.apply(first, 0)} == {"error", "features.f0"}
    (ended,) = model.rebaseline("v1", "features")
    assert (ended.drift.kind, ended.drift.subject) == ("rebaselined", "features.f0")
    assert ended.drift.rule == "features/windowed_ks"
    assert states(model)["features.f0/windowed_ks"].state == "warming"
    assert model.apply(second, 0) == []
    assert states(model)["features.f0/windowed_ks"].state == "armed"


def test_a_rebaseline_can_wait_for_its_time() -> None:
    rows = traffic(1, 6000)
    model = model_of(SCORE)
    model.apply(rows.take(np.arange(4000)), 0)
    model.rebaseline("v1", "score", since=450_000)
    model.apply(rows.take(np.arange(4000, 10_998)), 0)  # events 2000 to 5498; 450 s is event 4500
    assert states(model)["score/windowed_ks"].state == "warming"
    model.apply(rows.take(np.arange(10_998, len(rows))), 0)
    assert states(model)["score/windowed_ks"].state == "armed"


def test_the_warm_up_waits_for_its_span_with_a_bounded_sample() -> None:
    model = model_of(SCORE, span=600_000)
    rows = traffic(1, 9000)
    model.apply(rows.take(np.arange(2 * 6000)), 0)  # 599.9 s
    assert states(model)["score/windowed_ks"].state == "warming"
    model.apply(rows.take(np.arange(2 * 6000, len(rows))), 0)
    assert states(model)["score/windowed_ks"].state == "armed"
    sample = next(iter(model._groups.values())).subjects["score"].sample
    assert sample is not None
    assert len(sample.values) == HELD
    assert sample.rate == pytest.approx(10.0, rel=0.01)


def test_a_changed_configuration_keeps_what_is_unchanged_and_starts_what_is_new() -> None:
    rows = traffic(1, 6000, change=4000)
    model = model_of(PAGE_HINKLEY)
    model.apply(rows.take(np.arange(6000)), 0)
    tree = unpack(b"TEST", 1, pack(b"TEST", 1, model.snapshot()))
    changed = ModelSeries("m", SeriesSettings(watches=(PAGE_HINKLEY, WatchSettings("error", "adwin"))))
    changed.restore(tree)
    found = changed.apply(rows.take(np.arange(6000, len(rows))), 0)
    assert {each.drift.rule for each in found} == {"error/page_hinkley", "error/adwin"}
    expected = model.apply(rows.take(np.arange(6000, len(rows))), 0)
    assert [each for each in found if each.drift.rule == "error/page_hinkley"] == expected
    gone = ModelSeries("m", SeriesSettings(watches=(SCORE,)))
    gone.restore(tree)
    assert fired(gone.apply(rows.take(np.arange(6000, len(rows))), 0), "error") == []


def test_an_alarm_is_told_once_for_a_row_and_in_the_order_of_rows() -> None:
    rows: Rows = traffic(1, 8000, change=4000, shift=1.0)
    found = model_of(PAGE_HINKLEY, FEATURES, SCORE).apply(rows, 0)
    places = [each.row for each in found]
    assert places == sorted(places)
    assert len({(each.row, each.drift.subject, each.drift.rule) for each in found}) == len(found)


@pytest.mark.parametrize(
    ("past", "since"),
    [
        ([(20_000, 0.4), (1000, 0.1)], [(2000, 0.1), (20_000, 0.3)]),
        ([(20_000, 0.1), (3000, 0.4)], [(3000, 0.4), (3000, 0.6), (30_000, 0.4)]),
    ],
)
def test_after_a_rebaseline_what_was_before_it_counts_no_more(
    past: list[tuple[int, float]], since: list[tuple[int, float]]
) -> None:
    def told(model: ModelSeries, spells: list[tuple[int, float]], at: int) -> tuple[list[DriftFinding], int]:
        rng, found = np.random.default_rng(at + 1), []
        for count, share in spells:
            wrong = rng.random(count) < share
            rows = rows_of(wrong, np.zeros(count), np.zeros((count, 1)), start=at, rate=1.0)
            found += [each.drift for each in model.apply(rows, 0)]
            model.tick(1, 1)
            at += count
        return found, at

    watches = [WatchSettings("error", use, "critical") for use in ("adwin", "page_hinkley")]
    model = model_of(*watches, warm_up=1000)
    _, at = told(model, past, 0)
    model.rebaseline("v1", "error")
    found, _ = told(model, since, at)
    fired = {each.detector: each for each in found if each.kind == "fired"}
    assert set(fired) == {"adwin", "page_hinkley"}
    assert all(each.before is not None and each.before.mean == pytest.approx(since[0][1], abs=0.03)
               for each in fired.values())  # fmt: skip
    recovered = {each.detector for each in found if each.kind == "recovered"}
    assert recovered == (set(fired) if len(since) == 3 else set())


def test_a_rebaselined_detector_of_ones_own_parameters_starts_anew() -> None:
    own = WatchSettings("error", "page_hinkley", "critical", {"min_instances": 30, "threshold": 30.0})
    model = model_of(own)
    rng = np.random.default_rng(3)
    for at, share in ((0, 0.1), (20_000, 0.4)):
        rows = rows_of(rng.random(20_000) < share, np.zeros(20_000), np.zeros((20_000, 1)), start=at, rate=1.0)
        fired = [each.drift for each in model.apply(rows, 0)]
    assert [each.kind for each in fired] == ["fired"]
    model.rebaseline("v1", "error")
    rows = rows_of(rng.random(5000) < 0.4, np.zeros(5000), np.zeros((5000, 1)), start=40_000, rate=1.0)
    assert model.apply(rows, 0) == []
    rows = rows_of(rng.random(5000) < 0.7, np.zeros(5000), np.zeros((5000, 1)), start=45_000, rate=1.0)
    (again,) = model.apply(rows, 0)
    assert again.drift.before is not None
    assert again.drift.before.mean == pytest.approx(0.4, abs=0.03)


def test_a_series_that_did_not_vary_recovers_when_it_is_back() -> None:
    own = WatchSettings("score", "page_hinkley", "warning", {"min_instances": 30, "threshold": 30.0})
    model = model_of(own)
    kinds = []
    for at, count, value in ((0, 2000, 0.25), (2000, 500, 5.0), (2500, 10_000, 0.25)):
        wrong, numbers = np.zeros(count, bool), np.zeros((count, 1))
        rows = rows_of(wrong, np.full(count, value), numbers, start=at, rate=1.0)
        kinds += [each.drift.kind for each in model.apply(rows, 0)]
    assert kinds == ["fired", "recovered"]


def test_of_baselines_for_versions_to_come_the_newest_are_kept_and_those_in_use() -> None:
    model = model_of(SCORE)
    model.baseline("v1", {"score": {"values": [0.5] * 50}})
    model.apply(traffic(1, 20), 0)  # of v1
    for i in range(300):
        model.baseline(f"new {i}", {"score": {"values": [float(i)] * 50}})
    model.baseline("new 250", {"score": {"values": [0.5] * 50}})  # published again: the newest
    kept = list(model.snapshot()["baselines"])
    assert kept == ["v1", *(f"new {i}" for i in range(200, 300) if i != 250), "new 250"]
    model.baseline("large", {"score": {"values": [0.5] * 2_000_000}})
    assert list(model.snapshot()["baselines"]) == ["v1", "large"]
