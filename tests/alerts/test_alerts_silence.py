"""Silence of a stream: armed by a week, judged by the longest pause, blind to our own downtime."""

from __future__ import annotations

import pytest
from alerts_world import DAY, HOUR, MINUTE, START, World, condition, world

from streams.alerts import Alert, AlertSettings, QuietSettings, Resolution, Status


def stream(it: World, span: int, *, every: int = MINUTE, predictions: int = 10, outcomes: int = 0) -> list[Alert]:
    """Ticks for `span`, with arrivals before each."""
    events: list[Alert] = []
    for _ in range(span // every):
        if predictions or outcomes:
            it.alerts.seen("v1", "champion", predictions, outcomes, it.clock)
        events += it.tick(every)
    return events


def quiet(it: World, span: int, every: int = MINUTE) -> list[Alert]:
    return stream(it, span, every=every, predictions=0)


def test_a_stream_that_stops_after_a_week_is_silent_after_five_minutes() -> None:
    it = world()
    assert stream(it, 7 * DAY) == []
    last = it.clock - MINUTE
    assert quiet(it, 5 * MINUTE) == []
    (alert,) = quiet(it, MINUTE)
    assert (alert.kind, alert.rule, alert.subject) == ("silence_of_stream", "silence/predictions", "predictions")
    assert (alert.version, alert.variant, alert.segment) == (None, None, {})
    assert alert.change_at == last
    assert alert.summary == "fraud: no predictions for 6 min, where at most 5 min was to be expected"
    assert quiet(it, HOUR) == []


def test_predictions_that_come_again_end_the_silence() -> None:
    it = world()
    stream(it, 7 * DAY)
    quiet(it, HOUR)
    (alert,) = stream(it, MINUTE)
    assert (alert.status, alert.resolution) == (Status.RESOLVED, Resolution.RECOVERED)
    assert alert.summary == "fraud: the stream of predictions recovered after 55 min"


def test_a_stream_of_less_than_a_week_is_not_missed() -> None:
    it = world()
    stream(it, 7 * DAY - 2 * HOUR)
    assert quiet(it, HOUR) == []


def test_a_model_of_few_predictions_is_not_missed() -> None:
    it = world()
    stream(it, 8 * DAY, every=HOUR, predictions=1)
    assert quiet(it, DAY) == []


def test_a_stream_that_pauses_every_night_is_missed_after_two_nights_only() -> None:
    it = world()
    for _ in range(8):
        stream(it, 14 * HOUR, predictions=5)
        assert quiet(it, 10 * HOUR) == []
    assert quiet(it, 10 * HOUR - 5 * MINUTE) == []
    assert len(quiet(it, 10 * MINUTE)) == 1


def test_one_outage_makes_nobody_deaf_to_the_next() -> None:
    it = world()
    stream(it, 7 * DAY)
    first, repeated = quiet(it, 6 * HOUR)
    assert first.episode_id == repeated.episode_id
    stream(it, DAY)
    assert (
        quiet(it, 10 * MINUTE)[0].summary == "fraud: no predictions for 6 min, where at most 5 min was to be expected"
    )


@pytest.mark.parametrize("hours", [6, 7])
def test_a_pause_that_has_alarmed_on_two_days_does_not_alarm_a_third_time_but_a_longer_one_does(hours: int) -> None:
    it = world()
    stream(it, 7 * DAY)
    for before in (6, 9):
        assert quiet(it, before * HOUR)
        stream(it, DAY)
    told = [alert.summary for alert in quiet(it, hours * HOUR)][:1]
    assert told == ["fraud: no predictions for 6 h 1 min, where at most 6 h was to be expected"][: hours - 6]


def test_pauses_that_have_alarmed_are_forgotten_after_four_weeks() -> None:
    it = world()
    stream(it, 7 * DAY)
    for _ in range(2):
        quiet(it, 6 * HOUR)
        stream(it, DAY)
    stream(it, 28 * DAY)
    assert len(quiet(it, 10 * MINUTE)) == 1


def test_pauses_of_before_a_restart_count_after_it() -> None:
    it = world()
    stream(it, 7 * DAY)
    quiet(it, 6 * HOUR)
    stream(it, DAY)
    it.restart()
    quiet(it, 9 * HOUR)
    stream(it, DAY)
    it.restart()
    assert quiet(it, 6 * HOUR) == []
    assert len(quiet(it, 5 * MINUTE)) == 1


def test_downtime_of_ours_is_not_silence() -> None:
    it = world()
    stream(it, 7 * DAY)
    for _ in range(120):
        assert it.tick(MINUTE, caught_up=False) == []
    assert it.tick(HOUR, caught_up=True) == []
    assert quiet(it, 5 * MINUTE) == []


def test_labels_that_stall_are_missed_while_predictions_go_on() -> None:
    it = world()
    stream(it, 8 * DAY, outcomes=5)
    assert stream(it, HOUR) == []
    (alert,) = stream(it, MINUTE)
    assert (alert.rule, alert.subject, alert.kind) == ("silence/labels", "labels", "silence_of_stream")
    assert alert.summary == "fraud: no labels for 1 h 1 min, where at most 1 h was to be expected"
    (end,) = stream(it, MINUTE, outcomes=1)
    assert end.resolution is Resolution.RECOVERED


def test_labels_are_not_missed_while_predictions_are() -> None:
    it = world()
    stream(it, 8 * DAY, outcomes=5)
    assert [alert.subject for alert in quiet(it, 3 * HOUR)] == ["predictions"]


def test_a_model_that_never_had_labels_is_not_asked_for_them() -> None:
    it = world()
    assert stream(it, 20 * DAY, every=HOUR, predictions=100) == []


def test_how_arrivals_are_told_in_parts_does_not_matter() -> None:
    one, two = world(), world()
    one.alerts.seen("v1", None, 3, 2, START)
    for latest in (START - 5, START, START - 9):
        two.alerts.seen("v1", None, 1, 0, latest)
    two.alerts.seen("v1", None, 0, 2, 0)
    assert one.alerts.snapshot() == two.alerts.snapshot()


def test_a_silence_that_finds_no_room_is_raised_once_there_is_some() -> None:
    it = world(open_limit=2)
    stream(it, 8 * DAY)
    for rule in ("limits/versions", "limits/features"):
        it.condition(condition(rule=rule))
    assert [alert.rule for alert in quiet(it, HOUR)] == ["limits/open_alerts"]
    it.condition(condition(False, rule="limits/versions"))
    assert "silence/predictions" in [alert.rule for alert in quiet(it, MINUTE)]


def test_labels_that_stay_away_while_predictions_go_on_are_missed_until_they_come() -> None:
    it = World(AlertSettings(quiet=QuietSettings(history=2 * DAY)))

    def pass_by(days: int, labels: int) -> None:
        for _ in range(days * 24 * 4):
            it.alerts.seen("v1", "champion", 100, labels, it.clock)
            it.tick(15 * MINUTE)

    pass_by(3, 50)
    pass_by(20, 0)
    assert {(each.status, each.subject) for each in it.events} == {(Status.FIRING, "labels")}
    pass_by(1, 50)
    assert (it.events[-1].status, it.events[-1].resolution) == (Status.RESOLVED, Resolution.RECOVERED)
