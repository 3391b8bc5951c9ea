"""Drift alerts: one episode from the change to its resolution, and what each event says."""

from __future__ import annotations

import json

from alerts_world import DAY, HOUR, MINUTE, START, World, fired, window, world

from streams.alerts import DriftFinding, Level, Resolution, Status, Suspect


def back(kind: str = "recovered", **changes: object) -> DriftFinding:
    return fired(kind=kind, **changes)


def test_a_change_fires_at_once_and_carries_all_that_was_found() -> None:
    (alert,) = world().drift(fired())
    event = json.loads(alert.to_json())
    assert event["status"] == "firing"
    assert event["sequence"] == 1
    assert event["detector"] == {"name": "adwin", "params": {"delta": 0.0001}}
    assert event["before"] == {"mean": 0.1, "count": 4800}
    assert event["after"] == {"mean": 0.31, "count": 220}
    assert event["cause"] == {"topic": "labels", "partition": 2, "offset": 88123, "traceparent": None}
    assert event["suspects"][0]["feature"] == "amount"
    assert event["calibration"] == {"method": "bound", "expected_per_30d": 0.08}
    assert event["detected_at"] == event["started_at"] == "2026-11-22T08:00:00.000Z"
    assert event["change_at"] == "2026-11-22T07:00:00.000Z"
    assert event["config_hash"] == "c0ffee"
    assert event["summary"] == "fraud: error rate rose from 10.0 % to 31.0 % about 220 outcomes ago"


def test_the_same_alert_has_the_same_id_and_each_firing_an_episode_of_its_own() -> None:
    it = world()
    (first,) = it.drift(fired())
    (last,) = it.drift(back())
    it.clock += HOUR
    (again,) = it.drift(fired())
    assert first.alert_id == last.alert_id == again.alert_id
    assert first.episode_id == last.episode_id != again.episode_id
    assert [event.sequence for event in it.events] == [1, 2, 3]
    assert (again.status, again.resolution, again.resolved_at) == (Status.FIRING, None, None)


def test_another_version_variant_segment_rule_or_subject_is_another_alert() -> None:
    it = world()
    it.drift(fired())
    it.drift(fired(version="2026-11-09"))
    it.drift(fired(variant="challenger"))
    it.drift(fired(segment={"region": "eu"}))
    it.drift(fired(rule="error/page_hinkley"))
    it.drift(fired(subject="residual"))
    assert len({event.alert_id for event in it.events}) == 6


def test_a_firing_alert_is_not_repeated() -> None:
    it = world()
    it.drift(fired())
    assert it.drift(fired()) == []
    assert it.tick() == []


def test_a_firing_alert_is_updated_every_repeat_and_says_for_how_long() -> None:
    it = world()
    it.drift(fired())
    assert it.tick(4 * HOUR - 1) == []
    (update,) = it.tick(1)
    assert (update.status, update.sequence) == (Status.FIRING, 2)
    assert update.summary == "fraud: error rate rose from 10.0 % to 31.0 %, firing for 4 h"
    assert it.tick(HOUR) == []
    assert len(it.tick(3 * HOUR)) == 1


def test_a_firing_alert_is_updated_when_its_severity_changes() -> None:
    it = world()
    it.drift(fired(severity="warning"))
    (update,) = it.drift(fired(severity="critical"))
    assert (update.status, update.severity, update.sequence) == (Status.FIRING, "critical", 2)
    assert update.episode_id == it.events[0].episode_id


def test_a_drift_alert_resolves_as_recovered_when_its_series_is_back() -> None:
    it = world()
    it.drift(fired())
    it.clock += 3 * HOUR + 20 * 60_000
    (alert,) = it.drift(back())
    assert (alert.status, alert.resolution, alert.resolved_at) == (Status.RESOLVED, Resolution.RECOVERED, it.clock)
    assert alert.summary == "fraud: error rate recovered after 3 h 20 min: back near 10.0 %"


def test_what_was_not_firing_cannot_recover() -> None:
    assert world().drift(back()) == []


def test_a_series_that_is_gone_expires_its_alert() -> None:
    it = world()
    it.drift(fired())
    (alert,) = it.drift(back("expired"))
    assert alert.resolution is Resolution.EXPIRED


def test_a_moved_reference_closes_the_drift_alerts_of_its_subject_alone() -> None:
    it = world()
    it.drift(fired())
    it.drift(fired(rule="error/page_hinkley"))
    it.drift(fired(subject="score", rule="score/windowed_ks"))
    it.drift(fired(version="2026-11-09"))
    closed = it.take(it.alerts.rebaseline("2026-11-02", "error", it.clock))
    assert [(alert.rule, alert.resolution) for alert in closed] == [
        ("error/adwin", Resolution.REBASELINED),
        ("error/page_hinkley", Resolution.REBASELINED),
    ]
    assert closed[0].summary == "fraud: error rate has a new baseline; the alert is closed after 0 s"


def test_features_stands_for_every_feature_in_a_rebaseline() -> None:
    it = world()
    it.drift(fired(subject="features.amount", rule="features/windowed_ks"))
    it.drift(fired(subject="features.country", rule="features/chi_squared"))
    assert len(it.alerts.rebaseline("2026-11-02", "features", it.clock)) == 2


def test_a_version_that_another_has_replaced_for_a_day_is_retired() -> None:
    it = world()
    it.alerts.seen("2026-11-02", "champion", 10, 0, START)
    it.drift(fired())
    it.alerts.seen("2026-11-09", "champion", 10, 0, START + DAY)
    assert it.tick(DAY) == [it.events[-1]]  # the repeat; a minute of event time is missing
    assert it.events[-1].status is Status.FIRING
    (alert,) = it.tick(60_000)
    assert alert.resolution is Resolution.VERSION_RETIRED
    assert "version 2026-11-02 is no longer in use" in alert.summary


def test_versions_that_stop_together_have_not_replaced_each_other() -> None:
    it = world()
    for version, last in (("v1", START), ("v2", START + 1)):
        it.alerts.seen(version, "champion", 1000, 0, last)
    it.tick()
    it.tick(DAY + 2 * MINUTE)
    assert [each.status for each in it.judge(window(0, 0.2, version="v1", state="final"))] == [Status.FIRING]


def test_a_version_is_not_retired_by_another_variant_or_by_silence() -> None:
    it = world()
    it.alerts.seen("2026-11-02", "champion", 10, 0, START)
    it.alerts.seen("2026-11-09", "shadow", 10, 0, START + HOUR)
    it.drift(fired())
    assert [alert.status for alert in it.tick(2 * DAY)] == [Status.FIRING]


def test_late_labels_of_a_retired_version_open_no_alert() -> None:
    it = world()
    it.alerts.seen("2026-11-02", "champion", 10, 0, START)
    it.alerts.seen("2026-11-09", "champion", 10, 0, START + DAY)
    it.tick(2 * DAY)
    assert it.drift(fired()) == []


def test_a_change_of_a_retired_version_is_raised_when_the_version_comes_back() -> None:
    it = world()
    it.alerts.seen("2026-11-02", "champion", 10, 0, START)
    it.drift(fired())
    it.alerts.seen("2026-11-09", "champion", 10, 0, START + DAY)
    it.tick(2 * DAY)
    assert it.events[-1].resolution is Resolution.VERSION_RETIRED
    it.alerts.seen("2026-11-02", "champion", 10, 0, START + 2 * DAY)
    (again,) = it.tick()
    assert (again.status, again.subject) == (Status.FIRING, "error")
    assert again.episode_id != it.events[0].episode_id


def test_an_alert_that_nothing_was_heard_of_for_a_week_expires() -> None:
    it = world()
    it.drift(fired())
    it.alerts.seen("2026-11-02", "champion", 0, 1, START)
    it.tick(DAY)
    assert {alert.status for alert in it.tick(7 * DAY - 1)} == {Status.FIRING}
    assert [alert.resolution for alert in it.tick(1)] == [Resolution.EXPIRED]


def test_an_alert_goes_on_firing_while_its_version_speaks() -> None:
    it = world()
    it.drift(fired())
    for _ in range(30):
        it.alerts.seen("2026-11-02", "champion", 1, 1, it.clock)
        it.tick(DAY)
    assert {event.status for event in it.events} == {Status.FIRING}


def test_a_change_of_a_distribution_names_its_test() -> None:
    it = world()
    (alert,) = it.drift(
        fired(
            subject="features.country",
            rule="features/chi_squared",
            detector="chi_squared",
            before=Level(None, 1000),
            after=Level(None, 500),
            statistic=341.25,
            threshold=51.2,
            direction=None,
            observations_since_change=1,
            suspects=(Suspect("country", "chi_squared", 341.25, None, None),),
        )
    )
    assert alert.summary == (
        "fraud: the distribution of country changed (chi squared statistic 341.2, limit 51.2) about 1 prediction ago"
    )


def test_the_summary_speaks_the_units_of_its_subject() -> None:
    it = world()
    (amount,) = it.drift(fired(subject="features.amount", before=Level(88.1, 1000), after=Level(12345.6, 500)))
    (latency,) = it.drift(
        fired(subject="service.latency", variant="challenger", before=Level(11.2, 1000), after=Level(5.0, 1500))
    )
    it.alerts.decide("regression")
    (error,) = it.drift(fired(rule="error/page_hinkley", segment={"region": "eu"}, observations_since_change=None))
    assert amount.summary == "fraud: amount rose from 88.1 to 12,346 about 220 predictions ago"
    assert latency.summary == "fraud (challenger): latency fell from 11.2 to 5 about 220 predictions ago"
    assert error.summary == "fraud (region eu): mean absolute error rose from 0.1 to 0.31"
    assert (amount.kind, latency.kind) == ("drift", "service")


def test_what_comes_between_two_ticks_does_not_decide_whether_a_version_is_retired() -> None:
    def world_with_a_retired_version() -> World:
        it = world()
        it.alerts.seen("2026-11-02", "champion", 10, 0, START)
        it.alerts.seen("2026-11-09", "champion", 10, 0, START + DAY)
        it.tick(2 * DAY)
        return it

    before, after = world_with_a_retired_version(), world_with_a_retired_version()
    assert before.drift(fired()) == []
    before.alerts.seen("2026-11-02", "champion", 1, 0, START + 2 * DAY)
    after.alerts.seen("2026-11-02", "champion", 1, 0, START + 2 * DAY)
    assert after.drift(fired()) == []
    assert [alert.to_json() for alert in before.tick()] == [alert.to_json() for alert in after.tick()] != []


def test_versions_without_end_are_not_remembered_without_end() -> None:
    it = world()
    for i in range(3_000):
        it.alerts.seen(f"v{i}", "champion", 1, 0, START + i)
    it.tick()
    assert [version for version, _, _ in it.alerts.snapshot()["latest"]] == [f"v{i}" for i in range(2_999, 1_999, -1)]


def test_a_rebaseline_of_a_feature_is_not_one_of_a_feature_whose_name_begins_with_its_own() -> None:
    it = world()
    for subject in ("features.amount", "features.amount.log"):
        it.drift(fired(subject=subject, rule="features/windowed_ks"))
    ended = it.take(it.alerts.rebaseline("2026-11-02", "features.amount", it.clock))
    assert [alert.subject for alert in ended] == ["features.amount"]
    ended = it.take(it.alerts.rebaseline("2026-11-02", "features", it.clock))
    assert [alert.subject for alert in ended] == ["features.amount.log"]
