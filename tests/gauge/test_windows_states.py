"""When a window is told: open, closed, final; how often; when it is mature; and what the limits do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from windows_world import START, Row, rows_of

from streams.gauge.windows import ModelWindows, WindowSettings, WindowView
from streams.gauge.windows.names import OTHER, Admitted
from streams.outcomes import Kind

HOUR = 3_600_000
SETTINGS = WindowSettings(task="binary", tumbling=(HOUR,), rolling=(3,), horizon=2 * HOUR, grace=HOUR)
PREDICTED = Row(Kind.PREDICTED, prediction=1.0, score=0.8)


def outcome(number: int, label: float = 1.0, **more: object) -> Row:
    return replace(
        PREDICTED, kind=Kind.OUTCOME, number=number, label=label, label_timestamp=START + 5000, **more  # type: ignore[arg-type]
    )  # fmt: skip


def tumbling(views: list[WindowView]) -> list[tuple[str, int]]:
    return [(view.state, view.revision) for view in views if view.kind == "tumbling"]


def test_an_open_window_is_told_at_most_once_per_emit_every_and_only_when_it_changed() -> None:
    windows = ModelWindows("m", SETTINGS)
    windows.apply(rows_of([PREDICTED]))
    assert tumbling(windows.tick(1000, START, 10)) == [("open", 1)]
    assert not windows.is_due(20_000, START)
    windows.apply(rows_of([PREDICTED]))
    assert not windows.is_due(10_999, START)
    assert tumbling(windows.tick(11_000, START, 10)) == [("open", 2)]


def test_a_change_of_state_is_told_at_once_and_a_closed_window_at_most_every_five_minutes() -> None:
    windows = ModelWindows("m", SETTINGS)
    windows.apply(rows_of([PREDICTED, PREDICTED]))
    assert tumbling(windows.tick(1000, START, 10)) == [("open", 1)]
    assert tumbling(windows.tick(2000, START + HOUR, 10)) == [("closed", 2)]
    windows.apply(rows_of([outcome(1)]))
    assert tumbling(windows.tick(301_999, START + HOUR, 10)) == []
    assert tumbling(windows.tick(302_000, START + HOUR, 10)) == [("closed", 3)]
    assert tumbling(windows.tick(303_000, START + 4 * HOUR, 10)) == [("final", 4)]


def test_a_final_window_is_never_told_again_even_if_a_row_still_came() -> None:
    windows = ModelWindows("m", SETTINGS)
    windows.apply(rows_of([PREDICTED]))
    assert tumbling(windows.tick(1000, START + 4 * HOUR, 10)) == [("final", 1)]
    windows.apply(rows_of([PREDICTED]))
    views = windows.tick(900_000, START + 4 * HOUR, 10)
    assert tumbling(views) == []
    assert [view.counts["predictions"] for view in views if view.kind == "cumulative"] == [2]


def test_what_has_no_outcome_is_unlabelled_once_the_window_is_final_though_its_partition_has_fallen_silent() -> None:
    windows = ModelWindows("m", SETTINGS)
    failed = replace(PREDICTED, prediction=None, score=None, failed=1)
    windows.apply(
        rows_of([PREDICTED, PREDICTED, PREDICTED, failed, outcome(1), replace(PREDICTED, kind=Kind.UNLABELLED)])
    )
    told = [
        windows.tick(clock, at, 10) for clock, at in ((1000, START), (2000, START + HOUR), (3000, START + 4 * HOUR))
    ]
    assert [view.counts["unlabelled"] for views in told for view in views if view.kind == "tumbling"] == [1, 1, 2]
    windows.apply(rows_of([replace(PREDICTED, kind=Kind.UNLABELLED)]))  # the silent one speaks again
    (ever,) = (view for view in windows.tick(900_000, START + 4 * HOUR, 10) if view.kind == "cumulative")
    assert ever.counts["unlabelled"] == 2


def test_predictions_that_failed_hold_no_window_back() -> None:
    windows = ModelWindows("m", SETTINGS)
    before = [replace(PREDICTED, number=i) for i in range(10)]
    labelled = [replace(outcome(100 + i), label_timestamp=START + 60_000) for i in range(8)]
    windows.apply(rows_of([*before, *labelled]))
    windows.tick(1_000_000, START + 4 * HOUR, 10)  # final: eight of ten get a label
    later = START + 5 * HOUR
    failed = replace(PREDICTED, prediction=None, score=None, failed=1)
    hour = [*[failed] * 30, *before, *labelled]
    windows.apply(rows_of([replace(row, timestamp=later, label_timestamp=later + 60_000) for row in hour]))
    (view,) = (
        each for each in windows.tick(2_000_000, later + HOUR, 10) if each.kind == "tumbling" and each.start == later
    )
    assert (view.state, view.counts["errors"], view.coverage, view.expected_coverage) == ("closed", 30, 0.8, 0.8)
    assert view.mature


def test_memory_of_final_windows_is_given_back() -> None:
    windows = ModelWindows("m", replace(SETTINGS, segments=("region",)))
    sizes = []
    for hour in range(60):
        at = START + hour * HOUR
        rows = [replace(PREDICTED, timestamp=at + i, region="eu", features={"x": 1.0}) for i in range(5)]
        rows += [replace(row, kind=Kind.OUTCOME, label=1.0, label_timestamp=at, number=i) for i, row in enumerate(rows)]
        windows.apply(rows_of(rows))
        windows.tick(hour * HOUR, at, 1000)
        tree = windows.snapshot()["store"]
        sizes.append([len(tree[name]["alive"]) for name in ("cells", "windows")] + [len(tree["block_ints"])])
    assert sizes[20] == sizes[59]
    windows.apply(rows_of([PREDICTED]))
    views = windows.tick(10**9, START + 60 * HOUR, 1000)
    whole = next(view for view in views if view.kind == "cumulative" and not view.segment)
    assert whole.counts["outcomes"] == 300 and whole.counts["predictions"] == 301


def test_a_correction_takes_the_old_outcome_back_out_and_a_rolling_window_replaces_it_in_place() -> None:
    windows = ModelWindows("m", SETTINGS)
    log = [outcome(number) for number in range(3)]
    log += [replace(log[1], kind=Kind.RETRACTED, refers_to=1, number=3), outcome(4, 0.0, refers_to=1)]
    windows.apply(rows_of(log))
    for view in windows.tick(0, START, 10):
        assert view.counts["outcomes"] == 3
        assert view.metrics["confusion_matrix"]["value"] == [[0.0, 1.0], [0.0, 2.0]]
    windows.apply(rows_of([outcome(5), outcome(6)]))  # rolls out rows 0 and the corrected 4
    windows.apply(rows_of([replace(outcome(7, 0.0), kind=Kind.RETRACTED, refers_to=4)]))
    rolling = next(view for view in windows.tick(10_000, START, 10) if view.kind == "rolling")
    assert rolling.metrics["confusion_matrix"]["value"] == [[0.0, 0.0], [0.0, 3.0]]


def test_a_withdrawal_leaves_a_hole_in_a_rolling_window() -> None:
    windows = ModelWindows("m", SETTINGS)
    log = [outcome(number) for number in range(3)]
    windows.apply(rows_of([*log, replace(log[2], kind=Kind.RETRACTED, refers_to=2, number=3)]))
    rolling = next(view for view in windows.tick(0, START, 10) if view.kind == "rolling")
    assert rolling.counts["outcomes"] == 2
    windows.apply(rows_of([outcome(4)]))  # rolls out row 0, not the hole
    rolling = next(view for view in windows.tick(10_000, START, 10) if view.kind == "rolling")
    assert rolling.counts["outcomes"] == 2


def test_rows_of_two_join_tasks_with_equal_numbers_are_kept_apart() -> None:
    windows = ModelWindows("m", SETTINGS)
    windows.apply(rows_of([outcome(1)]), 0)
    windows.apply(rows_of([outcome(1)]), 1)
    windows.apply(rows_of([replace(outcome(2), kind=Kind.RETRACTED, refers_to=1)]), 1)
    windows.apply(rows_of([replace(outcome(3), kind=Kind.RETRACTED, refers_to=1)]), 1)  # a hole already
    rolling = next(view for view in windows.tick(0, START, 10) if view.kind == "rolling")
    assert rolling.counts["outcomes"] == 1


def test_a_closed_window_matures_when_the_labels_that_earlier_ones_got_have_come() -> None:
    windows = ModelWindows("m", SETTINGS)
    first = [replace(PREDICTED, timestamp=START) for _ in range(10)]
    labelled = [replace(outcome(i), label_timestamp=START + 1000 * (i + 1)) for i in range(8)]
    windows.apply(rows_of([*first, *labelled]))
    windows.tick(0, START + 4 * HOUR, 10)  # the first window is final: 8 of 10 got a label within 8 s
    later = START + 3 * HOUR
    windows.apply(rows_of([replace(row, timestamp=later) for row in first]))
    for rows, coverage, mature in ((labelled[:5], 0.5, False), (labelled[5:], 0.8, True)):
        moved = [replace(r, timestamp=later, label_timestamp=r.label_timestamp + 3 * HOUR) for r in rows]
        windows.apply(rows_of(moved))
        view = next(v for v in windows.tick(int(coverage * 10**7), START + 4 * HOUR, 10) if v.kind == "tumbling")
        assert view.coverage == coverage and view.expected_coverage is not None
        assert abs(view.expected_coverage - 0.8) < 0.05
        assert view.mature is mature
        assert view.coverage_by_prediction == {"1": coverage}


def test_versions_and_segment_values_beyond_the_limit_go_to_other() -> None:
    windows = ModelWindows("m", replace(SETTINGS, segments=("region",), versions=2, segments_per_key=1, rolling=()))
    rows = [replace(PREDICTED, version=f"v{i}", region=f"r{i}") for i in range(4)]
    windows.apply(rows_of(rows))
    views = [view for view in windows.tick(0, START, 100) if view.kind == "cumulative"]
    assert {(v.version, v.counts["predictions"]) for v in views if not v.segment} == {
        ("v0", 1), ("v1", 1), ("__other__", 2)
    }  # fmt: skip
    assert {v.segment["region"] for v in views if v.segment} == {"r0", "__other__"}
    assert {name: count for name, count in windows.overflow().items() if count} == {
        "versions": 2, "segments_per_key": 3
    }  # fmt: skip


def test_beyond_open_windows_segments_get_no_more_panes_but_the_whole_model_does() -> None:
    windows = ModelWindows("m", replace(SETTINGS, segments=("region",), open_windows=6, rolling=()))
    rows = [replace(PREDICTED, region=f"r{i}", timestamp=START + i * HOUR) for i in range(6)]
    windows.apply(rows_of(rows))
    views = [view for view in windows.tick(0, START, 100) if view.kind == "tumbling"]
    assert sum(not view.segment for view in views) == 6
    assert sum(bool(view.segment) for view in views) < 6
    assert windows.overflow()["open_windows"] == 6 - sum(bool(view.segment) for view in views)


def test_two_scores_in_one_map_serve_the_positive_class() -> None:
    windows = ModelWindows("m", replace(SETTINGS, positive_label="spam"))
    row = replace(PREDICTED, prediction="spam", score=None, scores={"spam": 0.75, "ham": 0.25})
    windows.apply(rows_of([row, replace(row, kind=Kind.OUTCOME, label="ham", label_timestamp=START)]))
    view = next(view for view in windows.tick(0, START, 10) if view.kind == "cumulative")
    assert view.value("brier_score") == 0.5625
    assert view.service["score_mean"] == 0.75 and view.service["positive_rate"] == 1.0
    assert view.coverage_by_prediction == {"spam": 1.0, "ham": None}


@pytest.mark.parametrize(
    ("name", "fits"), [("n" * 500, True), ("n" * 501, False), ("é" * 251, False), ("\0" * 84, False)]
)
def test_a_name_is_as_long_as_it_is_in_an_event(name: str, fits: bool) -> None:
    admitted = Admitted(5)
    assert admitted.has_room(name) is fits
    assert admitted.names[admitted.code(name)] == (name if fits else OTHER)
