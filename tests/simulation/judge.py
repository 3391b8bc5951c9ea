"""What must hold at the end of a history: what was published against what was sent, and against one pass."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from streams.log import Fenced
from streams.worker import KafkaRefuses
from tests.integration import checkers, oracle
from tests.integration.again import pass_again, said, was_said
from tests.integration.traffic import SENTINEL, TASKS, Order
from tests.simulation.application import ROLLING, SIZES, TOPICS
from tests.simulation.judge_alerts import alarms_are_rivers, silences_mute
from tests.simulation.slots import Violation
from tests.simulation.topics import OUTCOME, RETRACTED, Row, places, published
from tests.simulation.watch import Watch
from tests.simulation.world import World

_VALUED = 4
"""Of how many windows the metrics are computed by scikit-learn; the counts of all windows are compared."""


def judge(world: World, watch: Watch) -> Counter[str]:
    """Raises Violation with the checker's name. Returns how many things each checker has compared."""
    watch(world)
    done = Counter(watch.checks)
    _workers_live(world)
    events = published(world.log, TOPICS["metrics"])
    alerts = published(world.log, TOPICS["alerts"])
    letters = published(world.log, TOPICS["dead-letters"])
    metrics = checkers.metric_events(events)
    checks: dict[str, Callable[[], int]] = {
        "nothing_said_twice": lambda: _nothing_twice(events, alerts, letters, metrics),
        "one_dead_letter_for_each_bad_record": lambda: _dead_letters(world, letters),
        "windows_equal_the_batch": lambda: _windows(world, metrics),
        "rolling_equals_one_pass": lambda: _rolling(watch, metrics),
        "gauge_equals_one_pass": lambda: _one_pass(world, watch, events, alerts),
        "nothing_after_final": lambda: _final(metrics),
        "alerts_are_legal": lambda: checkers.alerts_legal([each.event() for each in alerts]).total(),
        "control_copied_once": lambda: _copied(world, watch),
        "silences_mute": lambda: silences_mute(watch, alerts),
        "detectors_alarm_where_river_does": lambda: alarms_are_rivers(watch, alerts),
    }
    for name, check in checks.items():
        with _named(name):
            done[name] += check()
    return done


@contextmanager
def _named(checker: str) -> Iterator[None]:
    try:
        yield
    except Violation:
        raise
    except AssertionError as problem:
        raise Violation(checker, str(problem)) from problem


def _workers_live(world: World) -> None:
    """A worker ends when it is told to, in time or not, or when a newer one has taken its name; nothing else does."""
    for name, problem in world.deaths:
        fenced = isinstance(problem, Fenced) and name in world.twins
        impatient = isinstance(problem, KafkaRefuses) and name in world.retired
        if not (fenced or impatient):
            raise Violation("workers_live", f"{name} ended with {type(problem).__name__}: {problem}") from problem


def _nothing_twice(*published: Any) -> int:
    events, alerts, letters, metrics = published
    checkers.no_revision_twice(metrics)
    return sum(checkers.no_id_twice(each) for each in (events, alerts, letters))


def _dead_letters(world: World, letters: list[checkers.Published]) -> int:
    topics = TOPICS.inputs | {"control": TOPICS["control"]}
    problems, compared = checkers.dead_letters_differ(_expected(world, 0), letters, topics)
    assert not problems, problems[:5]
    return compared


def _copied(world: World, watch: Watch) -> int:
    """Every valid control record is in every partition of the outcomes, as it was sent."""
    good = [each for each in world.sent if isinstance(each.record.meaning, Order)]
    sent = sorted((each.offset, each.record.key.decode(), each.record.value) for each in good)
    for place in places(world.log, world.config.outcomes_topic):
        found = [(each.offset, each.key, each.value) for each in watch.copied[place]]
        assert found == sent, f"{place}: {set(sent) ^ set(found)}"
    return len(sent)


def _windows(world: World, metrics: list[dict[str, Any]]) -> int:
    problems, compared = checkers.differences(_expected(world, _VALUED), metrics)
    assert not problems, f"{len(problems)} differences: {problems[:5]}"
    return compared.counts + compared.values


def _expected(world: World, valued: int) -> oracle.Expected:
    return oracle.expect(world.sent, SIZES, valued=valued)


def _one_pass(world: World, watch: Watch, events: list[checkers.Published], alerts: list[checkers.Published]) -> int:
    """What the gauges published, killed and restored as they were, is what one gauge says that nothing stops."""
    offsets = world.log.group(world.config.gauge_group).offsets
    read = {
        place: [each for each in messages if each[0] < offsets[place].offset]
        for place, messages in watch.messages.items()
        if place in offsets
    }
    made = pass_again(read, world.config)
    for topic, records in ((TOPICS["metrics"], events), (TOPICS["alerts"], alerts)):
        more, less = said(made, topic) - was_said(records), was_said(records) - said(made, topic)
        assert not more, f"{topic}: one pass says {more.total()} more, such as {next(iter(more))}"
        assert not less, f"{topic}: one pass says {less.total()} less, such as {next(iter(less))}"
    return len(made)


def _final(metrics: list[dict[str, Any]]) -> int:
    final: set[oracle.Window] = set()
    for event in metrics:
        window = checkers.window_of(event)
        if window is None or window.start is None:
            continue
        assert window not in final, f"{window}: revision {event['revision']} after it was final"
        if event["state"] == "final":
            final.add(window)
    return len(final)


# -- rolling windows -----------------------------------------------------------------------------------------------


def _rolling(watch: Watch, metrics: list[dict[str, Any]]) -> int:
    """The last rolling event of each scope against the last outcomes in the order of the topic: a correction replaces
    in place, a withdrawal leaves a hole."""
    wanted: dict[oracle.Scope, list[list[Any]]] = {}
    for rows in watch.rows.values():
        rings: dict[oracle.Scope, list[list[Any]]] = defaultdict(list)
        for task, row in rows:
            for scope in _scopes(row) if row.kind in {OUTCOME, RETRACTED} else ():
                _roll(rings[scope], task, row)
        wanted |= rings
    latest: dict[oracle.Scope, dict[str, Any]] = {}
    for event in metrics:
        if event["window"]["kind"] == "rolling" and event["model"] != SENTINEL:
            segment = next(iter(event["segment"].items()), None)
            scope = oracle.Scope(event["model"], event["version"], event["variant"], segment)
            if scope not in latest or event["revision"] > latest[scope]["revision"]:
                latest[scope] = event
    missing = {scope for scope in wanted if scope.model != SENTINEL and scope not in latest}
    assert not missing, f"no rolling event of {missing}"
    for scope, event in latest.items():
        _compare(scope, [row for _, _, row in wanted.get(scope, [])[-ROLLING:] if row is not None], event)
    return len(latest)


def _scopes(row: Row) -> Iterator[oracle.Scope]:
    assert row.model is not None
    for segment in [None] if row.region is None else [None, ("region", row.region)]:
        yield oracle.Scope(row.model, row.version, row.variant, segment)


def _roll(ring: list[list[Any]], task: int, row: Row) -> None:
    if row.kind == OUTCOME and row.refers_to < 0:
        ring.append([task, row.number, row])
        return
    place = next((each for each in ring[-ROLLING:] if each[:2] == [task, row.refers_to]), None)
    if place is None:
        return
    place[2] = None
    if row.kind == OUTCOME:
        place[1:] = [row.number, row]


def _compare(scope: oracle.Scope, rows: list[Row], event: dict[str, Any]) -> None:
    assert event["counts"]["outcomes"] == len(rows), f"{scope}: {event['counts']['outcomes']} outcomes, not {len(rows)}"
    if not rows:
        return
    total = math.fsum(row.weight for row in rows)
    if TASKS[scope.model] == "regression":
        name = "mae"
        value = math.fsum(row.weight * abs(float(row.prediction or 0) - float(row.label or 0)) for row in rows) / total
    else:
        name = "accuracy"
        value = math.fsum(row.weight * (row.prediction == row.label) for row in rows) / total
    told = event["metrics"][name]["value"]
    assert told is not None and abs(told - value) <= 1e-9 * max(1.0, value), f"{scope}: {name} is {told}, not {value}"
