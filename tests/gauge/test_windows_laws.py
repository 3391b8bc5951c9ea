"""Laws of the windows: any cut of the rows, any restart, and any late decision of the task give the same bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from windows_world import START, Row, generated, rows_of

from streams.gauge.windows import ModelWindows, WindowSettings, metric_event
from streams.outcomes import Kind
from streams.state import pack, unpack

HOUR = 3_600_000
SETTINGS = WindowSettings(
    task="binary", segments=("region",), tumbling=(HOUR, 2 * HOUR), rolling=(20, 100), horizon=HOUR, grace=0,
    versions=1, open_windows=6, emit_every=1000,
)  # fmt: skip
TICK_EVERY = 60
LOGS = {task: generated(11, task, 300, weighted=True) for task in ("binary", "multiclass", "regression")}


def published(task: str, log: list[Row], cuts: set[int], stops: set[int], configured: bool = True) -> list[bytes]:
    """What is told when the log is cut and restarted at these places; ticks come at fixed places of the log."""
    chosen = replace(SETTINGS, task=task if configured else None)
    windows = ModelWindows("m", chosen)
    out: list[bytes] = []
    start = 0
    for place in range(1, len(log) + 1):
        tick = place % TICK_EVERY == 0 or place == len(log)
        if not (tick or place in cuts or place in stops):
            continue
        windows.apply(rows_of(log[start:place]))
        start = place
        if place in stops:
            tree = unpack(b"test", 1, pack(b"test", 1, windows.snapshot()))
            windows = ModelWindows("m", chosen)
            windows.restore(tree)
        if tick:
            if place >= 240:
                windows.decide(task)  # type: ignore[arg-type]
            views = windows.tick(place * 50, START + place * 20_000 - HOUR, 25)
            out += [orjson.dumps(metric_event(view, "m", "app")) for view in views]
    return out


PLACES = st.sets(st.integers(1, 900), max_size=8)


@given(st.sampled_from(sorted(LOGS)), PLACES, PLACES, st.booleans())
@settings(derandomize=True, deadline=None, max_examples=15)
def test_any_cut_and_any_restart_publish_the_same_bytes(
    task: str, cuts: set[int], stops: set[int], configured: bool
) -> None:
    expected = published(task, LOGS[task], set(), set(), configured)
    assert len(expected) > 50
    assert published(task, LOGS[task], cuts, stops, configured) == expected


def test_a_task_decided_late_gives_what_one_configured_from_the_start_gives() -> None:
    for task, log in LOGS.items():
        early, late = ModelWindows("m", replace(SETTINGS, task=task)), ModelWindows("m", replace(SETTINGS, task=None))  # type: ignore[arg-type]
        for windows in (early, late):
            windows.apply(rows_of(log[:400]))
        assert all(view.metrics == {} for view in late.tick(0, None, 0))
        late.decide(task)  # type: ignore[arg-type]
        for windows in (early, late):
            windows.apply(rows_of(log[400:]))
        views = [windows.tick(0, None, 10_000) for windows in (early, late)]
        assert [view.metrics for view in views[0]] == [view.metrics for view in views[1]]
        assert [view.counts for view in views[0]] == [view.counts for view in views[1]]
        if task == "multiclass":
            shares = [[view.coverage_by_prediction for view in each] for each in views]
            assert shares[0] == shares[1]


def test_no_event_id_and_no_revision_comes_twice_and_revisions_rise_by_one() -> None:
    events = [orjson.loads(each) for each in published("binary", LOGS["binary"], set(), {300})]
    assert len({event["event_id"] for event in events}) == len(events)
    last: dict[Any, int] = {}
    for event in events:
        key = orjson.dumps([event[name] for name in ("version", "variant", "segment", "window")])
        assert event["revision"] == last.get(key, 0) + 1
        last[key] = event["revision"]


def test_what_a_limit_of_events_holds_back_comes_at_the_next_ticks() -> None:
    windows = ModelWindows("m", SETTINGS)
    windows.apply(rows_of(LOGS["binary"]))
    at_once = windows.tick(0, START, 10_000)
    windows = ModelWindows("m", SETTINGS)
    windows.apply(rows_of(LOGS["binary"]))
    in_parts = []
    while windows.is_due(0, START):
        part = windows.tick(0, START, 7)
        assert 0 < len(part) <= 7
        in_parts += part
    assert in_parts == at_once


def test_many_scores_give_a_bound_that_holds_the_exact_area_and_is_narrow() -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(5)
    for scale in (1.0, 0.01):
        label = (rng.random(20_000) < 0.2).astype(float)
        score = np.clip(rng.normal(0.4 + 0.15 * label, 0.15), 0, 1) * scale + (1 - scale) / 2
        log = [
            Row(Kind.OUTCOME, i, prediction=1.0, label=label[i], score=score[i], label_timestamp=START)
            for i in range(len(label))
        ]
        windows = ModelWindows("m", replace(SETTINGS, segments=()))
        for start in range(0, len(log), 3000):
            windows.apply(rows_of(log[start : start + 3000]))
        back = [replace(row, kind=Kind.RETRACTED, refers_to=row.number) for row in log[:5000]]
        windows.apply(rows_of(back))
        area = roc_auc_score(label[5000:], score[5000:])
        precision = average_precision_score(label[5000:], score[5000:])
        for view in windows.tick(0, START, 100):
            if view.kind != "rolling":
                for name, exact in {"roc_auc": area, "average_precision": precision}.items():
                    low, high = view.metrics[name]["bound"]
                    assert low <= exact <= high and high - low <= 0.002, name


def test_many_distances_give_a_bound_that_holds_the_exact_median_and_is_narrow() -> None:
    rng = np.random.default_rng(6)
    error = rng.exponential(10, 20_000)
    log = [
        Row(Kind.OUTCOME, i, prediction=float(each), label=0.0, label_timestamp=START) for i, each in enumerate(error)
    ]
    windows = ModelWindows("m", replace(SETTINGS, segments=(), task="regression"))
    for start in range(0, len(log), 3000):
        windows.apply(rows_of(log[start : start + 3000]))
    windows.apply(rows_of([replace(row, kind=Kind.RETRACTED, refers_to=row.number) for row in log[:5000]]))
    left = error[5000:]
    for view in windows.tick(0, START, 100):
        if view.kind != "rolling":
            found = view.metrics["median_absolute_error"]
            low, high = found.get("bound", [found["value"]] * 2)  # a bin of one value is exact
            assert np.quantile(left, 0.497) <= low <= np.median(left) <= high <= np.quantile(left, 0.503)


def test_the_median_follows_errors_to_where_few_had_been() -> None:
    rng = np.random.default_rng(7)
    error = np.concatenate([np.abs(rng.normal(0, 1, 8200)), 50 + 5 * np.abs(rng.normal(0, 1, 10_000))])
    error[[100, 1600, 3100, 4600, 6100]] = [20, 30, 500, 2000, 40]
    log = [Row(Kind.OUTCOME, i, prediction=float(each), label=0.0) for i, each in enumerate(error)]
    windows = ModelWindows("m", replace(SETTINGS, segments=(), task="regression"))
    windows.apply(rows_of(log))
    for view in windows.tick(0, START, 100):
        if view.kind != "rolling":
            low, high = view.metrics["median_absolute_error"]["bound"]
            assert low <= np.median(error) <= high <= 1.01 * low


def test_a_heavy_outcome_that_is_withdrawn_after_a_restart_leaves_the_others_exact() -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(8)
    label, score = (rng.random(5000) < 0.3).astype(float), np.round(rng.random(5000), 2)
    log = [Row(Kind.OUTCOME, i, prediction=1.0, label=label[i], score=score[i], weight=0.7) for i in range(len(label))]
    log[0] = replace(log[0], weight=1e17)
    chosen = replace(SETTINGS, segments=(), rolling=())
    windows = ModelWindows("m", chosen)
    windows.apply(rows_of(log))
    tree = unpack(b"test", 1, pack(b"test", 1, windows.snapshot()))
    windows = ModelWindows("m", chosen)
    windows.restore(tree)
    windows.apply(rows_of([replace(log[0], kind=Kind.RETRACTED, refers_to=0)]))
    for view in windows.tick(0, START, 100):
        assert abs(view.value("roc_auc") - roc_auc_score(label[1:], score[1:])) < 1e-9
        assert abs(view.value("average_precision") - average_precision_score(label[1:], score[1:])) < 1e-9


@pytest.mark.parametrize("task", sorted(LOGS))
def test_counts_that_are_carried_out_of_histograms_change_nothing_that_is_told(task: str) -> None:
    expected = published(task, LOGS[task], {17, 100, 430}, {250, 555})
    with mock.patch("streams.gauge.windows.excess.FULL", 2):
        assert published(task, LOGS[task], {17, 100, 430}, {250, 555}) == expected


@pytest.mark.parametrize("count", [2**31 - 1, -(2**31)])
def test_times_of_a_cumulative_window_are_told_beyond_two_to_the_31_and_after_an_earlier_version_went_round(
    count: int,
) -> None:
    log = [
        Row(Kind.PREDICTED, prediction=1.0, latency=10.0),
        Row(Kind.OUTCOME, 1, prediction=1.0, label=1.0, label_timestamp=START + 60_000),
    ]
    chosen = replace(SETTINGS, rolling=(), tumbling=(), segments=())
    windows = ModelWindows("m", chosen)
    windows.apply(rows_of(log))
    tree = windows.snapshot()
    for name in ("delay", "latency"):
        tree["store"]["cells"][name][1][:] = count
    for stop in range(3):
        windows = ModelWindows("m", chosen)
        windows.restore(unpack(b"test", 1, pack(b"test", 1, tree)))
        windows.apply(rows_of(log))
        (view,) = windows.tick(stop * 10**9, None, 100)
        assert view.label_delay is not None and abs(view.label_delay["p50"] - 60_000) < 0.03 * 60_000
        assert abs(view.service["latency_ms"]["p99"] - 10) < 0.3
        tree = windows.snapshot()
        ((scope, excess),) = tree["excess"]
        held = [int(excess.sum()), *(tree["store"]["cells"][name][1].sum() for name in ("delay", "latency"))]
        assert scope == 0 and sum(held) == 2 * (count % 2**32 + stop + 1)


def test_what_an_older_snapshot_did_not_keep_is_unknown_and_the_rest_goes_on() -> None:
    for task, unknown in (("binary", "expected_calibration_error"), ("regression", "median_absolute_error")):
        settings = replace(SETTINGS, task=task)  # type: ignore[arg-type]
        log = LOGS[task]
        windows = ModelWindows("m", settings)
        windows.apply(rows_of(log[:400]))
        tree = windows.snapshot()
        cells, kept = tree["store"]["cells"], tree["store"]["windows"]
        cells["sums"] = cells["sums"][:, :9]
        if task == "regression":
            kept["fill"][:], kept["head"][:], kept["tail"][:], tree["bins"] = 0, -1, -1, []
        older = ModelWindows("m", settings)
        older.restore(tree)
        for each in (windows, older):
            each.apply(rows_of(log[400:]))
        now, then = windows.tick(0, START, 10_000), older.tick(0, START, 10_000)
        assert any(view.value(unknown) is None for view in then)
        for view, other in zip(now, then, strict=True):
            rest = {name: value for name, value in other.metrics.items() if name != unknown}
            assert rest == {name: value for name, value in view.metrics.items() if name != unknown}
            if view.kind == "rolling":
                assert other.metrics == view.metrics
            elif other.value(unknown) is not None:  # a window that began after it
                assert other.value(unknown) == view.value(unknown)


def test_other_segments_start_anew_with_revisions_above_the_old() -> None:
    windows = ModelWindows("m", SETTINGS)
    windows.apply(rows_of(LOGS["binary"]))
    seen = max(view.revision for view in windows.tick(0, START, 10_000))
    changed = ModelWindows("m", replace(SETTINGS, segments=()))
    changed.restore(windows.snapshot())
    changed.apply(rows_of(LOGS["binary"]))
    assert min(view.revision for view in changed.tick(0, START, 10_000)) > seen
