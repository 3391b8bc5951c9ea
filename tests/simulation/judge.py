"""What must hold at the end of a history: what was published against what was sent, and against one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from streams.log import Fenced
from streams.records import TopicPartition
from streams.worker import KafkaRefuses
from tests.integration import checkers, oracle
from tests.integration.again import Message, pass_again, said, was_said
from tests.integration.alarm_checks import alarms_are_rivers
from tests.integration.control_checks import control_copied_once, silences_mute
from tests.integration.quiet_checks import streams_are_missed
from tests.integration.row_checks import rolling_equals_one_pass, rows_are_as_sent
from tests.integration.rows import Row, Violation, read_message
from tests.simulation.application import PAGE_HINKLEY, PATIENCE, ROLLING, SIZES, TOPICS
from tests.simulation.topics import places, published
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
        "rows_are_as_sent": lambda: rows_are_as_sent(watch.rows, world.sent),
        "rolling_equals_one_pass": lambda: rolling_equals_one_pass(watch.rows, ROLLING, metrics),
        "gauge_equals_one_pass": lambda: _one_pass(world, watch, events, alerts),
        "nothing_after_final": lambda: checkers.nothing_after_final(metrics),
        "alerts_are_legal": lambda: checkers.alerts_legal([each.event() for each in alerts]).total(),
        "control_copied_once": lambda: control_copied_once(
            watch.copied, world.sent, places(world.log, world.config.outcomes_topic)
        ),
        "silences_mute": lambda: silences_mute(watch.copied, alerts),
        "detectors_alarm_where_river_does": lambda: alarms_are_rivers(watch.rows, alerts, TOPICS, PAGE_HINKLEY),
        "streams_are_missed": lambda: streams_are_missed(_rows(_read(world, watch)), alerts, PATIENCE).total(),
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
    problems, compared = checkers.dead_letters_differ(_expected(world, 0), letters, TOPICS.sources)
    assert not problems, problems[:5]
    return compared


def _windows(world: World, metrics: list[dict[str, Any]]) -> int:
    problems, compared = checkers.differences(_expected(world, _VALUED), metrics)
    assert not problems, f"{len(problems)} differences: {problems[:5]}"
    return compared.counts + compared.values


def _expected(world: World, valued: int) -> oracle.Expected:
    return oracle.expect(world.sent, SIZES, valued=valued, turn=world.plan.seed)


def _one_pass(world: World, watch: Watch, events: list[checkers.Published], alerts: list[checkers.Published]) -> int:
    """What the gauges published, killed and restored as they were, is what one gauge says that nothing stops."""
    made = pass_again(_read(world, watch), world.config)
    for topic, records in ((TOPICS["metrics"], events), (TOPICS["alerts"], alerts)):
        more, less = said(made, topic) - was_said(records), was_said(records) - said(made, topic)
        assert not more, f"{topic}: one pass says {more.total()} more, such as {next(iter(more))}"
        assert not less, f"{topic}: one pass says {less.total()} less, such as {next(iter(less))}"
    return len(made)


def _read(world: World, watch: Watch) -> dict[TopicPartition, list[Message]]:
    """What the gauges have read, and committed, of the outcomes: the join ticks on until the end."""
    offsets = world.log.group(world.config.gauge_group).offsets
    return {
        place: [each for each in messages if each[0] < offsets[place].offset]
        for place, messages in watch.messages.items()
        if place in offsets
    }


def _rows(read: Mapping[TopicPartition, Sequence[Message]]) -> dict[TopicPartition, list[tuple[int, Row]]]:
    """The rows of these messages with their join tasks."""
    found: dict[TopicPartition, list[tuple[int, Row]]] = {}
    for place, messages in read.items():
        told = [read_message(value) for _, _, value in messages]
        found[place] = [(message.task, row) for message in told for row in message.rows]
    return found
