"""Incidents, conditions told by others, and the bound on open alerts."""

from __future__ import annotations

import pytest
from alerts_world import HOUR, START, condition, fired, rule, window, world

from streams.alerts import AlertSettings, ModelAlerts, Resolution, Status, book


def test_alerts_of_a_model_share_an_incident_until_an_hour_after_the_last_resolves() -> None:
    it = world()
    it.drift(fired())
    it.clock += 5 * HOUR
    it.judge(window(0, 0.8))
    it.drift(fired(kind="recovered"))
    it.clock += 5 * HOUR
    it.judge(window(1, 0.95))
    it.clock += HOUR - 1
    it.drift(fired())
    assert len({event.group_id for event in it.events}) == 1


def test_an_hour_after_the_last_alert_resolved_a_new_incident_begins() -> None:
    it = world()
    it.drift(fired())
    it.drift(fired(kind="recovered"))
    it.clock += HOUR
    (alert,) = it.drift(fired())
    assert alert.group_id != it.events[0].group_id


def test_an_alert_that_never_fired_does_not_prolong_an_incident() -> None:
    it = world(rules=(rule(hold=2 * HOUR),))
    it.judge(window(0, 0.8), window(1, 0.95))
    (alert,) = it.drift(fired())
    assert alert.group_id != it.events[0].group_id


def test_models_do_not_share_identities() -> None:
    (fraud,) = world().drift(fired())
    (other,) = ModelAlerts("churn", AlertSettings()).drift(fired(), START)
    assert fraud.alert_id != other.alert_id
    assert fraud.episode_id != other.episode_id
    assert fraud.group_id != other.group_id


def test_a_condition_fires_when_raised_and_resolves_when_cleared() -> None:
    it = world()
    (raised,) = it.condition(condition())
    assert (raised.kind, raised.status, raised.subject) == ("data_quality", Status.FIRING, "versions")
    assert raised.summary == "fraud: 50 versions were seen, the limit is 10"
    assert it.condition(condition()) == []
    it.clock += 2 * HOUR
    (cleared,) = it.condition(condition(False))
    assert (cleared.status, cleared.resolution) == (Status.RESOLVED, Resolution.RECOVERED)
    assert cleared.summary == "fraud: versions recovered after 2 h"
    assert it.condition(condition(False)) == []


def test_a_condition_is_over_when_its_owner_says_so_not_before() -> None:
    it = world()
    it.condition(condition())
    for _ in range(60):
        it.tick(12 * HOUR)
    assert {event.status for event in it.events} == {Status.FIRING}


def test_a_condition_may_change_its_severity() -> None:
    it = world()
    it.condition(condition(kind="service", rule="service/errors", subject="service.error_rate"))
    (worse,) = it.condition(
        condition(kind="service", rule="service/errors", subject="service.error_rate", severity="critical")
    )
    assert (worse.kind, worse.severity, worse.sequence) == ("service", "critical", 2)


def test_beyond_the_limit_one_alert_says_that_there_are_too_many() -> None:
    it = world(open_limit=3)
    for i in range(6):
        it.drift(fired(subject=f"features.f{i}", rule="features/windowed_ks"))
    assert [event.subject for event in it.events] == ["features.f0", "features.f1", "features.f2", "alerts"]
    overflow = it.events[-1]
    assert (overflow.kind, overflow.rule) == ("data_quality", "limits/open_alerts")
    assert overflow.summary == "fraud: more than 3 alerts are open at once; further ones wait until others are resolved"


def test_a_change_that_had_no_room_is_raised_when_there_is_room() -> None:
    it = world(open_limit=1)
    it.drift(fired())
    it.drift(fired(subject="score", rule="score/windowed_ks"))
    it.alerts.seen("2026-11-02", "champion", 1, 0, START)
    assert it.tick() == []
    it.drift(fired(kind="recovered"))
    it.alerts.seen("2026-11-02", "champion", 1, 0, START)
    (late,) = it.tick()
    assert (late.subject, late.status) == ("score", Status.FIRING)
    assert it.tick(HOUR - 1_000) == []
    it.drift(fired(kind="recovered", subject="score", rule="score/windowed_ks"))
    (end,) = it.tick()
    assert (end.rule, end.status) == ("limits/open_alerts", Status.RESOLVED)


def test_a_change_without_room_that_recovers_is_never_raised() -> None:
    it = world(open_limit=1)
    it.drift(fired())
    it.drift(fired(subject="score", rule="score/windowed_ks"))
    it.drift(fired(kind="recovered", subject="score", rule="score/windowed_ks"))
    it.drift(fired(kind="recovered"))
    it.alerts.seen("2026-11-02", "champion", 1, 0, START)
    assert it.tick() == []


def test_what_is_remembered_of_closed_alerts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "_REMEMBERED", 100)
    it = world()
    it.condition(condition(subject="open"))
    for i in range(500):
        it.alerts.condition(condition(subject=f"s{i}"), it.clock)
        it.alerts.condition(condition(False, subject=f"s{i}"), it.clock)
    assert len(it.alerts.snapshot()["book"]["sequences"]) <= 202
    (again,) = it.condition(condition(subject="s499"))
    assert again.sequence == 3
    (end,) = it.condition(condition(False, subject="open"))
    assert end.sequence == 2
