"""Silences, announced events, acknowledgements and rebaseline requests."""

from __future__ import annotations

import json

import pytest
from alerts_world import DAY, HOUR, START, fired, window, world

from schemas import InputError
from streams.alerts import Resolution, Status


def silence(starts_at: int = START, ends_at: int = START + DAY, **matchers: str) -> bytes:
    return json.dumps({"matchers": matchers, "starts_at": starts_at, "ends_at": ends_at, "by": "ann"}).encode()


def test_a_silenced_alert_is_still_published_and_says_by_what() -> None:
    it = world()
    it.control("silence/night", silence(model="fraud", subject="error"))
    (error,) = it.drift(fired())
    (score,) = it.drift(fired(subject="score", rule="score/windowed_ks"))
    assert (error.status, error.muted_by) == (Status.FIRING, "silence/night")
    assert score.muted_by is None


@pytest.mark.parametrize(
    ("matchers", "muted"),
    [
        ({"model": "fraud"}, True),
        ({"model": "churn"}, False),
        ({"kind": "drift", "severity": "critical", "version": "2026-11-02", "variant": "champion"}, True),
        ({"segment.region": "eu"}, True),
        ({"segment.region": "us"}, False),
        ({"segment.country": "DE"}, False),
    ],
    ids=str,
)
def test_every_matcher_must_fit(matchers: dict[str, str], muted: bool) -> None:
    it = world()
    it.control("silence/s", silence(**matchers))
    (alert,) = it.drift(fired(segment={"region": "eu"}))
    assert (alert.muted_by is not None) == muted


def test_a_silence_holds_from_its_start_to_its_end() -> None:
    it = world()
    it.control("silence/s", silence(START + HOUR, START + 2 * HOUR, model="fraud"))
    found = []
    for hour in range(4):
        it.clock = START + hour * HOUR
        it.alerts.tick(it.clock, None, True)
        found += [alert.muted_by for alert in it.drift(fired(subject=f"features.f{hour}"))]
    assert found == [None, "silence/s", None, None]
    assert it.alerts.snapshot()["mutes"] == []


def test_a_silence_is_over_at_its_end_without_waiting_for_a_tick() -> None:
    it = world()
    it.control("silence/s", silence(START, START + HOUR, model="fraud"))
    it.clock = START + HOUR
    assert it.drift(fired())[0].muted_by is None


def test_a_silence_can_be_changed_and_taken_away() -> None:
    it = world()
    it.control("silence/s", silence(model="churn"))
    it.control("silence/s", silence(model="fraud"))
    assert it.drift(fired())[0].muted_by == "silence/s"
    it.control("silence/s", None)
    assert it.drift(fired(kind="recovered"))[0].muted_by is None


def test_of_several_silences_the_one_that_ends_last_is_named() -> None:
    it = world()
    it.control("silence/long", silence(ends_at=START + 2 * DAY, model="fraud"))
    it.control("silence/short", silence(model="fraud"))
    assert it.drift(fired())[0].muted_by == "silence/long"


def test_an_announced_event_mutes_where_it_says_so() -> None:
    it = world()
    event = {"at": START, "until": START + HOUR, "kind": "release", "mute": True}
    it.control("calendar/release", json.dumps(event).encode())
    assert it.drift(fired())[0].muted_by == "calendar/release"
    it.control("calendar/release", json.dumps(event | {"mute": False}).encode())
    assert it.drift(fired(kind="recovered"))[0].muted_by is None


def test_an_acknowledgement_is_noted_and_never_resolves() -> None:
    it = world()
    (alert,) = it.drift(fired())
    assert it.control(f"ack/{alert.episode_id}", b'{"by": "ann", "comment": "looking"}') == []
    (repeat,) = it.tick(4 * HOUR)
    assert (repeat.status, repeat.acknowledged_by) == (Status.FIRING, "ann")
    it.control(f"ack/{alert.episode_id}", None)
    (end,) = it.drift(fired(kind="recovered"))
    assert end.acknowledged_by is None


def test_an_acknowledgement_is_of_one_episode() -> None:
    it = world()
    (alert,) = it.drift(fired())
    it.control(f"ack/{alert.episode_id}", b'{"by": "ann"}')
    assert it.drift(fired(kind="recovered"))[0].acknowledged_by == "ann"
    assert it.drift(fired())[0].acknowledged_by is None


def test_a_rebaseline_request_closes_the_drift_alerts_of_its_model_version_and_subject() -> None:
    it = world()
    it.drift(fired())
    it.judge(window(0, 0.8))
    assert it.control("rebaseline/churn/2026-11-02/error", b"{}") == []
    assert it.control("rebaseline/fraud/2026-11-09/error", b"{}") == []
    (closed,) = it.control("rebaseline/fraud/2026-11-02/error", b"{}")
    assert (closed.rule, closed.resolution) == ("error/adwin", Resolution.REBASELINED)


def test_records_that_concern_no_alert_change_nothing() -> None:
    it = world()
    before = it.alerts.snapshot()
    it.control("baseline/fraud/2026-11-02", b'{"profile": {}}')
    it.control("rebaseline/fraud/2026-11-02/error", None)
    it.control("ack/unknown", b'{"by": "ann"}')
    assert it.alerts.snapshot() == before


@pytest.mark.parametrize(("key", "value"), [("silence/s", b"{}"), ("silence/s", b"nonsense"), ("else/s", b"{}")])
def test_what_is_no_control_record_is_refused_and_changes_nothing(key: str, value: bytes) -> None:
    it = world()
    before = it.alerts.snapshot()
    with pytest.raises(InputError):
        it.control(key, value)
    assert it.alerts.snapshot() == before


def test_silences_are_bounded_and_the_ones_that_end_first_are_let_go() -> None:
    it = world()
    for i in range(1_010):
        it.control(f"silence/{i}", silence(ends_at=START + DAY + i, model="churn"))
    kept = {name for name, _, _, _ in it.alerts.snapshot()["mutes"]}
    assert len(kept) == 1_000
    assert kept == {f"silence/{i}" for i in range(10, 1_010)}
