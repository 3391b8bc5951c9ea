"""Threshold rules: verdicts on windows, `for`, revisions, and limits that come from history."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from alerts_world import DAY, HOUR, START, World, fired, rule, window, world
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.alerts import AlertSettings, Limit, Resolution, SettingsError, Status
from streams.alerts.thresholds import _quantile


def statuses(it: World) -> list[str]:
    return [event.status.value for event in it.events]


def test_a_breached_window_fires_at_once_without_for() -> None:
    (alert,) = (it := world()).judge(window(0, 0.872))
    assert (alert.status, alert.kind, alert.rule, alert.subject) == (
        Status.FIRING,
        "threshold",
        "low_accuracy",
        "accuracy",
    )
    assert (alert.statistic, alert.threshold, alert.direction) == (0.872, 0.9, "down")
    assert (alert.change_at, alert.observations_since_change, alert.cause) == (START, 500, None)
    assert alert.summary == "fraud: accuracy was 87.2 % over 1 h, below 90.0 %"
    assert alert.detector is None
    assert it.judge(window(1, 0.85)) == []


def test_the_limit_itself_is_no_breach() -> None:
    assert world().judge(window(0, 0.9)) == []
    above = world(rules=(rule(metric="log_loss", side="above", limit=Limit("static", 0.5)),))
    assert above.judge(window(0, None, metrics={"log_loss": 0.5})) == []
    assert len(above.judge(window(0, None, metrics={"log_loss": 0.51}))) == 1


@pytest.mark.parametrize(
    ("value", "limit", "said"),
    [
        (0.8996, 0.9, "accuracy was 89.96 % over 1 h, below 90.00 %"),
        (0.89999999, 0.9, "accuracy was 89.999999 % over 1 h, below 90.000000 %"),
        (0.00041, 0.000411, "accuracy was 0.041 % over 1 h, below 0.0411 %"),
    ],
)
def test_a_value_next_to_its_limit_is_told_apart_from_it(value: float, limit: float, said: str) -> None:
    (alert,) = world(rules=(rule(limit=Limit("static", limit)),)).judge(window(0, value))
    assert alert.summary == f"fraud: {said}"


def test_large_values_next_to_a_limit_are_told_apart_too() -> None:
    it = world(rules=(rule(metric="mse", side="above", limit=Limit("static", 12_345.0)),))
    (alert,) = it.judge(window(0, None, metrics={"mse": 12_345.25}))
    assert alert.summary == "fraud: mse was 12,345.2 over 1 h, above 12,345.0"


def test_open_and_immature_windows_are_not_judged_and_final_ones_always() -> None:
    it = world()
    assert it.judge(window(0, 0.5, state="open")) == []
    assert it.judge(window(0, 0.5, mature=False)) == []
    assert len(it.judge(window(0, 0.5, mature=False, state="final"))) == 1


def test_an_alert_is_pending_until_the_run_of_breaches_covers_for() -> None:
    it = world(rules=(rule(hold=3 * HOUR),))
    it.judge(window(0, 0.8), window(1, 0.8))
    assert statuses(it) == ["pending"]
    assert it.events[0].started_at is None
    assert it.events[0].summary == "fraud: accuracy was 80.0 % over 1 h, below 90.0 % (not long enough to fire yet)"
    it.clock += HOUR
    (alert,) = it.judge(window(2, 0.7))
    assert (alert.status, alert.started_at, alert.detected_at) == (Status.FIRING, it.clock, START)
    assert alert.episode_id == it.events[0].episode_id
    assert alert.observations_since_change == 1500
    assert alert.summary.endswith("below 90.0 %, for 3 h since 2026-11-22 08:00 UTC")


def test_a_good_window_ends_a_pending_alert_and_starts_for_anew() -> None:
    it = world(rules=(rule(hold=2 * HOUR),))
    it.judge(window(0, 0.8), window(1, 0.95), window(2, 0.8))
    assert statuses(it) == ["pending", "resolved", "pending"]
    assert it.events[1].resolution is Resolution.RECOVERED
    assert it.events[1].summary == "fraud: accuracy recovered before it fired: 95.0 % over 1 h, no longer below 90.0 %"
    assert it.events[2].episode_id != it.events[0].episode_id


def test_a_good_window_resolves_a_firing_alert() -> None:
    it = world()
    it.judge(window(0, 0.8))
    it.clock += 2 * HOUR
    (alert,) = it.judge(window(1, 0.93))
    assert (alert.status, alert.resolution, alert.statistic) == (Status.RESOLVED, Resolution.RECOVERED, 0.93)
    assert alert.change_at == START
    assert alert.summary == "fraud: accuracy recovered after 2 h: 93.0 % over 1 h, no longer below 90.0 %"


@pytest.mark.parametrize(
    "unknown",
    [window(1, 0.5, outcomes=99), window(1, None), window(1, 0.99, outcomes=3), window(1, float("nan"))],
    ids=["breached, few", "undefined", "good, few", "not a number"],
)
def test_an_unknown_window_neither_fires_nor_resolves_nor_resets_for(unknown: object) -> None:
    it = world(rules=(rule(hold=2 * HOUR),))
    it.judge(window(0, 0.8), unknown)  # type: ignore[arg-type]
    assert statuses(it) == ["pending"]
    it.judge(window(2, 0.8))
    assert statuses(it) == ["pending", "firing"]
    it.judge(window(3, 0.99, outcomes=99))
    assert statuses(it) == ["pending", "firing"]


def test_hours_without_any_outcome_do_not_reset_for() -> None:
    it = world(rules=(rule(hold=2 * HOUR),))
    it.judge(window(0, 0.8), window(5, 0.8))
    assert statuses(it) == ["pending", "firing"]


def test_a_revision_that_is_good_resolves_what_its_window_had_fired() -> None:
    it = world()
    it.judge(window(0, 0.8), window(0, 0.92))
    assert statuses(it) == ["firing", "resolved"]


def test_a_revision_that_is_bad_fires() -> None:
    it = world()
    it.judge(window(0, 0.92), window(0, 0.8))
    assert statuses(it) == ["firing"]


def test_a_revision_of_an_earlier_window_does_not_resolve_what_a_later_one_holds() -> None:
    it = world()
    it.judge(window(0, 0.8), window(1, 0.8), window(0, 0.95))
    assert statuses(it) == ["firing"]


def test_a_revision_in_the_middle_of_a_run_never_takes_firing_back_to_pending() -> None:
    it = world(rules=(rule(hold=3 * HOUR),))
    it.judge(window(0, 0.8), window(1, 0.8), window(2, 0.8), window(1, 0.95), window(3, 0.8))
    assert statuses(it) == ["pending", "firing"]


def test_windows_may_become_mature_out_of_order() -> None:
    it = world(rules=(rule(hold=3 * HOUR),))
    it.judge(window(2, 0.8), window(0, 0.8), window(1, 0.8))
    assert statuses(it) == ["pending", "firing"]


def test_a_breach_that_is_known_only_after_a_later_good_window_is_told_and_resolved() -> None:
    it = world()
    it.judge(window(1, 0.95))
    assert [each.status for each in it.judge(window(0, 0.2))] == [Status.FIRING, Status.RESOLVED]
    assert it.events[0].statistic == 0.2 and it.events[1].resolution is Resolution.RECOVERED
    again = world()
    again.alerts.restore(it.alerts.snapshot())
    for each in (it, again):
        assert each.judge(window(0, 0.25), window(1, 0.94)) == [], "a revision of what was told is no news"


def test_a_late_run_fires_only_once_it_covers_for_and_leaves_an_alert_that_fires_alone() -> None:
    it = world(rules=(rule(hold=2 * HOUR),))
    it.judge(window(5, 0.95), window(3, 0.2))
    assert it.events == []
    it.judge(window(2, 0.2))
    assert statuses(it) == ["firing", "resolved"]
    it.judge(window(6, 0.2), window(7, 0.2), window(0, 0.2), window(1, 0.95), window(-1, 0.2))
    assert statuses(it) == ["firing", "resolved", "pending", "firing"]


def test_a_limit_that_changes_under_its_name_is_that_of_the_windows_before_too() -> None:
    before = world(rules=(rule(hold=3 * HOUR),))
    before.judge(window(0, 0.85), window(1, 0.85))
    after = world(rules=(rule(hold=3 * HOUR, limit=Limit("static", 0.8)),))
    after.alerts.restore(before.alerts.snapshot())
    assert after.judge(window(2, 0.75)) == [], "one hour below it: pending, as it was"
    assert [each.status for each in after.judge(window(3, 0.75), window(4, 0.75))] == [Status.FIRING]


def test_an_alert_of_the_whole_model_expires_when_its_rule_becomes_one_of_segments() -> None:
    before = world()
    before.judge(window(0, 0.2))
    after = world(rules=(rule(segment="region"),))
    after.alerts.restore(before.alerts.snapshot())
    assert [each.resolution for each in after.tick()] == [Resolution.EXPIRED]


def test_a_late_run_waits_while_another_alert_of_its_rule_is_open() -> None:
    it = world(rules=(rule(hold=2 * HOUR),))
    it.judge(window(8, 0.95), window(12, 0.95), window(13, 0.5), window(10, 0.5), window(11, 0.5))
    assert statuses(it) == ["pending"]
    after = world(rules=(rule(hold=2 * HOUR),))
    after.alerts.restore(it.alerts.snapshot())
    for each in (it, after):
        assert [one.status.value for one in each.judge(window(14, 0.95))] == ["resolved", "firing", "resolved"]
        assert each.judge(window(10, 0.5), window(15, 0.95)) == []


def test_a_late_run_waits_for_room() -> None:
    it = world(open_limit=1)
    it.drift(fired())
    it.judge(window(1, 0.95), window(0, 0.2))
    assert "low_accuracy" not in {each.rule for each in it.events}
    it.drift(fired(kind="recovered"))
    it.tick(2 * HOUR)
    assert [each.status.value for each in it.judge(window(2, 0.95))] == ["firing", "resolved"]


def test_a_tighter_limit_alarms_about_no_window_of_before() -> None:
    before = world(rules=(rule(hold=2 * HOUR),))
    before.judge(*(window(hour, 0.93) for hour in range(6)), *(window(hour, 0.99) for hour in range(6, 9)))
    after = world(rules=(rule(hold=2 * HOUR, limit=Limit("static", 0.95)),))
    after.alerts.restore(before.alerts.snapshot())
    assert after.judge(window(3, 0.93), window(9, 0.99)) == []


def test_rules_judge_the_whole_model_unless_they_name_a_segment() -> None:
    by_region = rule(name="by_region", segment="region")
    it = world(rules=(rule(), by_region))
    (eu,) = it.judge(window(0, 0.8, segment={"region": "eu"}))
    (whole,) = it.judge(window(0, 0.8))
    assert it.judge(window(0, 0.8, segment={"country": "DE"})) == []
    assert (eu.rule, eu.segment, whole.rule, whole.segment) == ("by_region", {"region": "eu"}, "low_accuracy", {})
    assert eu.alert_id != whole.alert_id


def test_windows_of_another_size_are_left_alone() -> None:
    assert world().judge(window(0, 0.1, size=DAY)) == []


def history_world(kind: str, value: float, over: int, side: str = "below") -> World:
    return world(rules=(rule(limit=Limit(kind, value, over), side=side),))  # type: ignore[arg-type]


def test_a_history_rule_judges_nothing_before_ten_windows() -> None:
    it = history_world("sigmas", 3, 7 * DAY)
    it.judge(*(window(i, 0.95 + 0.001 * (i % 2)) for i in range(9)), window(9, 0.2))
    assert it.events == []
    it.judge(window(10, 0.9))
    assert it.events == []  # ten windows now, the 0.2 among them
    it.judge(window(11, -2.0))
    assert statuses(it) == ["firing"]


def test_mean_and_sigmas_are_those_of_the_windows_before() -> None:
    it = history_world("sigmas", 3, 7 * DAY)
    values = [0.90 + 0.01 * (i % 5) for i in range(24)]
    it.judge(*(window(i, value) for i, value in enumerate(values)))
    assert it.events == []
    (alert,) = it.judge(window(24, 0.5))
    assert alert.threshold == pytest.approx(np.mean(values) - 3 * np.std(values, ddof=1), abs=1e-12)
    assert alert.before is not None
    assert (alert.before.mean, alert.before.count) == (pytest.approx(np.mean(values)), 24)
    assert "(3 standard deviations from the mean of 24 windows)" in alert.summary


def test_above_is_the_mean_plus_sigmas() -> None:
    it = history_world("sigmas", 2, 7 * DAY, side="above")
    values = [0.90 + 0.01 * (i % 5) for i in range(24)]
    it.judge(*(window(i, value) for i, value in enumerate(values)))
    (alert,) = it.judge(window(24, 0.99))
    assert alert.threshold == pytest.approx(np.mean(values) + 2 * np.std(values, ddof=1), abs=1e-12)
    assert alert.direction == "up"


def test_history_reaches_back_as_far_as_over() -> None:
    it = history_world("sigmas", 3, 12 * HOUR)
    it.judge(*(window(i, 0.1 if i < 12 else 0.95 + 0.001 * (i % 2)) for i in range(24)))
    (alert,) = it.judge(window(24, 0.5))
    assert alert.before is not None
    assert alert.before.count == 12
    assert alert.before.mean == pytest.approx(0.9505)


def test_a_constant_history_gives_exactly_its_value() -> None:
    it = history_world("sigmas", 3, 7 * DAY)
    it.judge(*(window(i, 0.1) for i in range(30)))
    assert it.events == []
    (alert,) = it.judge(window(30, 0.0999))
    assert alert.threshold == 0.1


def test_a_bad_state_does_not_become_the_history_it_is_judged_by() -> None:
    it = history_world("sigmas", 3, 2 * DAY)
    it.judge(*(window(i, 0.95 + 0.001 * (i % 2)) for i in range(48)))
    it.judge(*(window(i, 0.7) for i in range(48, 80)))
    assert statuses(it) == ["firing"]


def test_an_alert_whose_history_has_run_out_expires() -> None:
    it = history_world("sigmas", 3, 2 * DAY)
    it.judge(*(window(i, 0.95 + 0.001 * (i % 2)) for i in range(48)))
    it.judge(*(window(i, 0.7) for i in range(48, 100)))
    assert [(event.status.value, event.resolution) for event in it.events] == [
        ("firing", None),
        ("resolved", Resolution.EXPIRED),
    ]
    assert it.events[-1].summary.startswith("fraud: there is nothing to judge accuracy by any more")


def test_a_late_revision_of_an_old_window_is_judged_by_its_own_history() -> None:
    it = history_world("sigmas", 3, 2 * DAY)
    it.judge(*(window(i, 0.95 + 0.001 * (i % 2)) for i in range(48)), window(48, 0.5))
    assert statuses(it) == ["firing"]
    it.judge(*(window(i, 0.95 + 0.001 * (i % 2)) for i in range(60, 200)))
    assert statuses(it) == ["firing", "resolved"]
    it.judge(window(48, 0.4), window(48, 0.95))
    assert statuses(it) == ["firing", "resolved"]


def test_a_quantile_rule_waits_until_its_tail_can_hold_a_window() -> None:
    it = history_world("quantile", 0.05, 30 * DAY)
    values = [0.90 + 0.001 * (i % 11) for i in range(20)]
    it.judge(*(window(i, value) for i, value in enumerate(values[:19])), window(19, 0.2))
    assert it.events == []
    it.judge(window(19, values[19]))
    (alert,) = it.judge(window(20, 0.85))
    assert alert.threshold == pytest.approx(np.quantile(values, 0.05), abs=1e-12)
    assert "(quantile 0.05 of 20 windows)" in alert.summary


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0, 1))
def test_the_quantile_is_numpys(values: list[float], q: float) -> None:
    assert _quantile(sorted(values), q) == pytest.approx(float(np.quantile(values, q)), rel=1e-9, abs=1e-6)


def test_a_rule_whose_history_can_hold_no_three_windows_is_refused() -> None:
    with pytest.raises(SettingsError, match="make `over` longer or `window` shorter"):
        rule(limit=Limit("sigmas", 3, 2 * HOUR))


def test_an_alert_whose_rule_is_gone_expires() -> None:
    it = world()
    it.judge(window(0, 0.8))
    tree = it.alerts.snapshot()
    after = World(AlertSettings())
    after.alerts.restore(tree)
    (alert,) = after.tick()
    assert (alert.resolution, alert.sequence) == (Resolution.EXPIRED, 2)


def test_a_new_severity_of_a_rule_is_published_at_the_next_judgement() -> None:
    it = world()
    it.judge(window(0, 0.8))
    after = world(rules=(rule(severity="critical"),))
    after.alerts.restore(it.alerts.snapshot())
    (alert,) = after.judge(window(1, 0.8))
    assert (alert.status, alert.severity, alert.sequence) == (Status.FIRING, "critical", 2)


def test_tracks_that_cannot_matter_any_more_are_let_go() -> None:
    it = world()
    it.judge(window(0, 0.95))
    it.tick(8 * DAY)
    assert it.alerts.snapshot()["rules"]["tracks"] != []
    it.tick(DAY)
    assert it.alerts.snapshot()["rules"]["tracks"] == []


def test_a_rule_on_long_windows_does_not_expire_between_two_of_them() -> None:
    it = world(rules=(rule(window=30 * DAY),))
    it.judge(window(0, 0.8, size=30 * DAY))
    it.tick(30 * DAY)
    assert {event.status for event in it.events} == {Status.FIRING}
    it.tick(7 * DAY)
    assert it.events[-1].resolution is Resolution.EXPIRED


def test_windows_that_cannot_be_judged_are_no_news_of_an_alert() -> None:
    it = world()
    it.judge(window(0, 0.8))
    for hour in range(1, 7 * 24 + 1):
        it.judge(window(hour, 0.8, outcomes=3))
        it.tick(HOUR)
    assert it.events[-1].status is Status.FIRING
    it.tick(HOUR)
    assert it.events[-1].resolution is Resolution.EXPIRED


def test_the_history_of_a_window_is_kept_as_long_as_it_may_be_revised() -> None:
    it = history_world("sigmas", 3, 2 * DAY)
    it.judge(*(window(i, 0.95 + 0.001 * (i % 2)) for i in range(48)), window(48, 0.5))
    it.judge(*(window(i, None) for i in range(49, 48 + 8 * 24)))
    assert statuses(it) == ["firing"]
    it.judge(window(48, 0.95))
    assert it.events[-1].resolution is Resolution.RECOVERED


def test_a_history_of_numbers_whose_squares_are_beyond_floats_has_a_deviation() -> None:
    sigmas = replace(rule(), limit=Limit("sigmas", 3.0, 7 * DAY), metric="mse", side="above", min_count=1)
    it = world(rules=(sigmas,))
    for hour in range(40):
        it.judge(window(hour, None, metrics={"mse": 1e180 if hour == 0 else 1.0 + hour % 2}))
        it.tick(HOUR)
    assert statuses(it) == []


def test_a_pending_alert_that_is_closed_otherwise_does_not_say_that_it_recovered() -> None:
    it = world(rules=(rule(hold=3 * HOUR),))
    it.judge(window(0, 0.5))
    it.tick()
    it.tick(8 * DAY)
    assert (
        it.events[-1].summary
        == "fraud: there is nothing to judge accuracy by any more; the alert is closed before it fired"
    )


def test_a_value_whose_square_has_no_end_is_not_known() -> None:
    it = world(rules=(rule(metric="r2", limit=Limit("sigmas", 3, 24 * HOUR)),))
    for hour in range(30):
        it.judge(window(hour, None, metrics={"r2": -5e307 if hour % 2 else 0.9}))
    assert it.judge(window(30, None, metrics={"r2": 0.1})) or it.events, "the others are judged"
