"""We were down for days: what came meanwhile is read as if we had been there, and our absence is not theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from join_world import LABELS, PREDICTIONS, World, batch_of, label, prediction, settings

from streams.join import JoinTask, ModelJoin
from streams.join.clock import Ticker
from streams.records import Moment, RecordBatch, TopicPartition

HOUR, DAY = 3_600_000, 86_400_000
BOTH = frozenset({PREDICTIONS, LABELS})
Turn = tuple[list[RecordBatch], int, frozenset[TopicPartition]]


class History:
    """A prediction an hour; labels a day later, in one batch a night, so that their partition is idle all day."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self._predictions = self._labels = 0

    def hour(self, number: int) -> list[RecordBatch]:
        """What comes in an hour."""
        at = number * HOUR
        found = [batch_of(PREDICTIONS, self._predictions, [prediction(f"p{number}", at)])]
        self._predictions += 1
        if number % 24 == 23 and number >= 47:
            values = [label(1, at, f"p{each}") for each in range(number - 47, number - 23)]
            found.append(batch_of(LABELS, self._labels, values))
            self._labels += len(values)
        return found

    def live(self, hours: Sequence[int]) -> None:
        """We are there: every hour is read as it comes, and the end of both partitions is seen."""
        for number in hours:
            at = number * HOUR
            self.turns.append((self.hour(number), at, BOTH))
            self.turns += [([], at + pause, BOTH) for pause in (1_000, 40_000)]

    def backlog(self, hours: Sequence[int], order: Sequence[TopicPartition]) -> None:
        """We come back: one partition after the other."""
        batches = [batch for number in hours for batch in self.hour(number)]
        now = hours[-1] * HOUR
        for n, source in enumerate(order):
            mine = [batch for batch in batches if batch.source == source]
            self.turns.append((mine, now + 300 * n, frozenset({source})))
        self.turns += [([], now + pause, BOTH) for pause in (2_000, 40_000, 80_000)]


def counted(turns: Sequence[Turn], stop_after: int | None) -> Counter[str]:
    """Rows by kind; after so many turns the task is restored from its journal."""
    terms = settings(default=ModelJoin(3 * DAY, DAY), idle_after=30_000)
    task, journal, found = JoinTask(terms, 0, 2), [], Counter[str]()
    for number, (batches, clock, ends) in enumerate(turns):
        step = task.apply(batches, Moment(clock, ends))
        journal += step.journal
        found.update(step.counters)
        if number == stop_after:
            task = JoinTask(terms, 0, 2)
            task.restore(journal, {PREDICTIONS: step.metadata, LABELS: step.metadata})
    return found


@pytest.mark.parametrize("order", [(PREDICTIONS, LABELS), (LABELS, PREDICTIONS)])
def test_a_partition_that_was_idle_as_we_went_does_not_let_event_time_run_ahead_of_its_backlog(
    order: tuple[TopicPartition, ...],
) -> None:
    there, away = History(), History()
    there.live(range(240))
    away.live(range(90))
    stopped = len(away.turns) - 1
    away.backlog(range(90, 240), order)
    never_down = counted(there.turns, None)
    assert never_down["outcome"] > 150
    assert counted(away.turns, stopped) == never_down


def test_while_the_clock_of_the_ticks_makes_up_for_our_absence_nothing_is_caught_up() -> None:
    ticker = Ticker((PREDICTIONS, LABELS))
    assert ticker.tick(Moment(0, BOTH)) == (0, True)
    ticks = [ticker.tick(Moment(60_000 + 1_000 * second, BOTH)) for second in range(30)]
    assert ticks[:14] == [(5_000 * (second + 1), False) for second in range(14)]
    assert ticks[14:] == [(60_000 + 1_000 * second, True) for second in range(14, 30)]


@pytest.mark.parametrize("restarts", [1, 2, 4])
def test_after_a_shorter_horizon_each_restart_lets_go_what_was_let_go_no_more(restarts: int) -> None:
    before, after = ModelJoin(1000, 500, 0.0), ModelJoin(100, 100, 0.0)
    world = World.of(default=before)
    world.read([prediction("a", 0)], [label(1, 0, "zz")])
    rows = []
    for number in range(restarts):
        world = world.restored(default=after)
        at = 500 + number
        rows += world.read([prediction(f"b{number}", at)], [label(1, at, f"b{number}")])
    assert [(row.prediction_offset, row.label) for row in rows if row.kind == "outcome" and row.label == 0] == [(0, 0)]
    assert [row.kind for row in rows].count("orphan_labels") == 1


@pytest.mark.parametrize("restarts", [1, 2, 4])
def test_after_a_longer_horizon_no_restart_forgets_what_is_held(restarts: int) -> None:
    world = World.of(default=ModelJoin(1000, 500))
    world.read([prediction("a", 0)], [label(1, 0, "zz")])
    world.read([prediction("gone", 10)], [label(1, 10, "gone")])
    for number in range(restarts):
        world = world.restored(default=ModelJoin(5000, 500))
        at = 1600 + number
        world.read([prediction(f"b{number}", at)], [label(1, at, f"b{number}")])
    rows = world.read([], [label(1, 1700, "a")])
    assert [(row.kind, row.prediction_offset) for row in rows] == [("outcome", 0)]
    assert '"since"' in world.steps[-1].metadata
    for at in (9_000, 9_001):
        world.read([prediction(f"c{at}", at)], [label(1, at, f"c{at}")])
    assert '"since"' not in world.steps[-1].metadata, "all that was held under the other terms has been let go"
