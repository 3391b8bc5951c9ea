"""Laws of any history: legal lifecycles only, and a restart that nobody notices. Histories are generated."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

from alerts_world import DAY, HOUR, MINUTE, World, condition, fired, rule, window, world
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.alerts import Alert, AlertSettings, Limit, ModelAlerts, QuietSettings
from streams.state import pack, unpack

RULES = (
    rule(hold=2 * HOUR),
    rule(name="sliding", limit=Limit("sigmas", 1, 4 * HOUR), severity="critical"),
    rule(name="by_region", limit=Limit("quantile", 0.2, 4 * HOUR), segment="region"),
)
SETTINGS = AlertSettings(
    RULES, keep=12 * HOUR, open_limit=6, retire_after=6 * HOUR, expire_after=DAY, quiet=QuietSettings(history=HOUR)
)


def history_of(seed: int, length: int = 150) -> list[Any]:
    """A day or two in the life of two versions, made of a seed: plain steps, so that they can be played twice."""
    draw = random.Random(seed)
    steps: list[Any] = []
    hour, bad = 0.0, False
    for _ in range(length):
        version = draw.choice(["v1", "v1", "v1", "v2"])
        bad = not bad if draw.random() < 0.1 else bad
        kind = draw.choices(list(CHANCES), list(CHANCES.values()))[0]
        match kind:
            case "drift":
                subject = draw.choice(["error", "score", "features.a", "features.b"])
                finding = draw.choice(["fired", "fired", "recovered", "rebaselined", "expired"])
                steps.append((kind, finding, version, subject, draw.choice(["warning", "critical"])))
            case "judge":
                segment = draw.choice([{}, {}, {"region": "eu"}])
                for back in range(draw.choice([1, 1, 5]), 0, -1):
                    accuracy = draw.choice([0.5, 0.7, None] if bad else [0.93, 0.94, 0.95, 0.96, 0.97])
                    outcomes = draw.choice([10, 500, 500, 500])
                    steps.append((kind, version, max(int(hour) - back, 0), accuracy, outcomes, segment))
            case "condition":
                steps.append((kind, draw.random() < 0.5, draw.choice(["versions", "segments"])))
            case "seen":
                steps.append((kind, version, draw.choice([0, 500, 900]), draw.choice([0, 100])))
            case "silence":
                steps.append((kind, draw.choice(["error", "score"]), draw.random() < 0.5))
            case "rebaseline":
                steps.append((kind, version, draw.choice(["error", "features"])))
            case "acknowledge":
                steps.append((kind, draw.randrange(100)))
            case "tick":
                advance = draw.choices([MINUTE, HOUR, 5 * HOUR, 30 * HOUR], [40, 40, 10, 1])[0]
                hour += advance / HOUR
                steps.append((kind, advance, draw.random() < 0.9))
    return steps


CHANCES = {
    "drift": 3, "judge": 8, "condition": 1, "seen": 3, "silence": 1, "rebaseline": 0.5, "acknowledge": 1, "tick": 6,
}  # fmt: skip
histories = st.integers(0, 2**32 - 1).map(history_of)


def play(it: World, step: Any) -> list[Alert]:
    """One step of a history."""
    match step:
        case ("drift", kind, version, subject, severity):
            on = subject.partition(".")[0]
            found = fired(kind=kind, version=version, subject=subject, rule=f"{on}/x", severity=severity)
            return it.drift(found)
        case ("judge", version, hour, accuracy, outcomes, segment):
            return it.judge(window(hour, accuracy, version=version, outcomes=outcomes, segment=segment))
        case ("condition", active, subject):
            return it.condition(condition(active, subject=subject))
        case ("seen", version, predictions, outcomes):
            it.alerts.seen(version, "champion", predictions, outcomes, it.clock)
            return []
        case ("silence", subject, there):
            body = b'{"matchers": {"subject": "%s"}, "starts_at": %d, "ends_at": %d}'
            value = body % (subject.encode(), it.clock, it.clock + DAY)
            return it.control(f"silence/{subject}", value if there else None)
        case ("rebaseline", version, subject):
            return it.control(f"rebaseline/fraud/{version}/{subject}", b"{}")
        case ("acknowledge", which):
            of = it.events[which % len(it.events)].episode_id if it.events else "none"
            return it.control(f"ack/{of}", b'{"by": "ann"}')
        case ("tick", advance, caught_up):
            return it.tick(advance, caught_up)
    raise AssertionError(step)


def whole(steps: list[Any]) -> World:
    it = World(SETTINGS)
    for step in steps:
        play(it, step)
    return it


def test_the_histories_know_every_way_an_alert_can_go() -> None:
    seen: Counter[tuple[str, str]] = Counter()
    for seed in range(100):
        for event in whole(history_of(seed)).events:
            seen[event.rule.partition("/")[0], str(event.resolution or event.status)] += 1
    for rule_, ways in {
        "error": "firing recovered rebaselined version_retired expired",
        "low_accuracy": "pending firing recovered version_retired expired",
        "sliding": "firing recovered expired",
        "by_region": "firing recovered",
        "limits": "firing recovered",
        "silence": "firing recovered",
    }.items():
        for way in ways.split():
            assert seen[rule_, way] >= 2, (rule_, way)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(histories)
def test_any_history_has_legal_lifecycles_only(history: list[Any]) -> None:
    it = whole(history)
    after = {None: {"pending", "firing"}, "pending": {"firing", "resolved"}, "firing": {"firing", "resolved"}}
    for alert_id in {event.alert_id for event in it.events}:
        events = [event for event in it.events if event.alert_id == alert_id]
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        status, episode, finished = None, None, set()
        for event in events:
            if status is None:
                assert event.episode_id not in finished
                episode = event.episode_id
            assert event.episode_id == episode  # one episode at a time
            assert event.status.value in after[status]
            assert (event.resolution is not None) == (event.resolved_at is not None) == (event.status == "resolved")
            assert event.status != "firing" or event.started_at is not None
            status = event.status.value
            if status == "resolved":
                finished.add(episode)
                status = None


@settings(derandomize=True, deadline=None, max_examples=40)
@given(histories)
def test_events_of_a_history_have_identities_of_their_own(history: list[Any]) -> None:
    it = whole(history)
    assert len({event.event_id for event in it.events}) == len(it.events)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(histories, st.lists(st.integers(0, 149), min_size=1, max_size=4))
def test_a_restart_anywhere_is_not_noticed(history: list[Any], restarts: list[int]) -> None:
    straight = whole(history)
    it = World(SETTINGS)
    for place, step in enumerate(history):
        if place in restarts:
            tree = unpack(b"SGAL", 1, pack(b"SGAL", 1, it.alerts.snapshot()))
            it.alerts = ModelAlerts("fraud", SETTINGS)
            it.alerts.restore(tree)
            assert it.alerts.snapshot() == tree
        play(it, step)
    assert [event.to_json() for event in it.events] == [event.to_json() for event in straight.events]
    assert it.alerts.snapshot() == straight.alerts.snapshot()


@settings(derandomize=True, deadline=None, max_examples=40)
@given(histories)
def test_an_incident_never_takes_in_an_alert_an_hour_after_its_last_has_resolved(history: list[Any]) -> None:
    it = whole(history)
    open_: dict[str, str] = {}
    fired_ends: dict[str, int] = {}
    for event in it.events:
        group = event.group_id
        if event.alert_id not in open_:
            standing = group in open_.values()
            assert standing or group not in fired_ends or event.detected_at - fired_ends[group] < HOUR
            assert len({*open_.values(), group}) == 1  # one incident at a time
            open_[event.alert_id] = group
        if event.status == "resolved":
            del open_[event.alert_id]
            if event.started_at is not None:
                assert event.resolved_at is not None
                fired_ends[group] = event.resolved_at


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 8), st.sampled_from([0.5, 0.95, None])), max_size=40))
def test_a_static_rule_stands_as_its_windows_say(revisions: list[tuple[int, float | None]]) -> None:
    """Against a plain reading of the contract: what fires is what a look at all windows at once says fires."""
    it = world(rules=(rule(hold=3 * HOUR),))
    latest: dict[int, float | None] = {}
    firing = False
    for hour, accuracy in revisions:
        it.judge(window(hour, accuracy))
        latest[hour] = accuracy
        if accuracy is not None:  # a revision that cannot be judged changes nothing by itself
            known = [latest[at] < 0.9 for at in sorted(latest) if latest[at] is not None]  # type: ignore[operator]
            run = next((i for i, breached in enumerate(reversed(known)) if not breached), len(known))
            firing = run >= 3 or (firing and run > 0)
        state = it.events[-1].status.value if it.events else "resolved"
        assert (state == "firing") == firing


def test_a_restart_with_another_limit_of_history_keeps_the_verdicts() -> None:
    it = World(replace(SETTINGS))
    it.judge(*(window(hour, 0.95 + 0.001 * (hour % 2)) for hour in range(12)))
    after = World(SETTINGS)
    after.alerts.restore(it.alerts.snapshot())
    assert [event.rule for event in after.judge(window(12, 0.91))] == ["sliding"]
