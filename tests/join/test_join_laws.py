"""The law of the join: however the two logs are interleaved, cut into batches and interrupted, the outcomes are the
same, and they are those of a batch computation over the two topics."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from join_oracle import Event, Joined, join
from join_world import GRACE, HORIZON, LABELS, PREDICTIONS, Row, World, rows_of

from streams.records import TopicPartition

Draw = Callable[[st.SearchStrategy[Any]], Any]
_KEYS = st.sampled_from(["a", "b", "c"])
_QUICK = settings(derandomize=True, deadline=None, max_examples=40)


@st.composite
def predictions(draw: Draw) -> Event:
    """Predictions of few keys, models and variants, whose times lie within a few horizons."""
    key = draw(_KEYS)
    event = {"key": key, "model": draw(st.sampled_from(["m", "n"])), "timestamp": draw(st.integers(0, 4 * HORIZON))}
    event |= {"prediction": draw(st.sampled_from([0, 1, "x"]))}
    event |= draw(st.sampled_from([{}, {}, {"variant": "shadow"}, {"version": "2"}]))
    event |= draw(st.sampled_from([{}, {}, {"id": f"{key}/1"}, {"id": key}]))
    event |= draw(st.sampled_from([{}, {}, {"weight": 2.0}]))
    event |= draw(st.sampled_from([{}, {}, {"scores": {"x": 0.25, "y": 0.75}}]))
    return event | draw(st.sampled_from([{}, {}, {}, {}, {"error": "out", "prediction": None}]))


@st.composite
def labels(draw: Draw) -> Event:
    """Labels of the same keys; some withdraw, some name a model or a weight."""
    event = {"key": draw(_KEYS), "label": draw(st.sampled_from([0, 1, "x", None]))}
    event |= {"timestamp": draw(st.integers(0, 5 * HORIZON))}
    event |= draw(st.sampled_from([{}, {}, {"model": "m"}, {"model": "zz"}]))
    return event | draw(st.sampled_from([{}, {}, {"weight": 2.0}, {"weight": 1.0}]))


@st.composite
def logs(draw: Draw) -> tuple[list[Event], list[Event]]:
    """Two logs in which no event is read more than `grace` after its time: each is nearly sorted."""
    found = []
    for events in (draw(st.lists(predictions(), max_size=9)), draw(st.lists(labels(), max_size=9))):
        late = [event["timestamp"] + draw(st.integers(0, GRACE)) for event in events]
        found.append([event for _, event in sorted(zip(late, events, strict=True), key=lambda pair: pair[0])])
    return found[0], found[1]


def _fold(rows: list[Row]) -> Joined:
    """What stands once all rows are read."""
    standing: dict[int, Row] = {}
    found = Joined()
    for row in rows:
        if row.kind == "outcome":
            standing[row.number] = row
        elif row.kind == "retracted":
            old = standing.pop(row.refers_to)
            for name in ("prediction", "label", "weight", "score", "scores", "timestamp", "label_timestamp", "early"):
                assert getattr(row, name) == getattr(old, name)
            assert (row.prediction_offset, row.label_offset) == (old.prediction_offset, old.label_offset)
        elif row.kind == "unlabelled":
            found.unlabelled.add(row.prediction_offset)
        elif row.kind in ("orphan_labels", "lost_labels"):
            found.unmet[row.model or ""] += row.amount
        elif row.kind != "predicted":
            found.counts[row.kind, row.timestamp] += row.amount
    for row in standing.values():
        found.outcomes.add((row.prediction_offset, row.label, row.weight, row.label_offset))
    return found


def _by_time(expected: Joined, sent: list[Event]) -> Counter[tuple[str, int]]:
    """Counts by the prediction's timestamp, as windows see them."""
    found: Counter[tuple[str, int]] = Counter()
    for (name, offset), count in expected.counts.items():
        found[name, sent[offset]["timestamp"]] += count
    return found


def _feed(world: World, source: TopicPartition, events: list[Event]) -> list[Row]:
    values = [json.dumps(event).encode() for event in events]
    return world.read(values, []) if source == PREDICTIONS else world.read([], values)


def _run(
    sent: list[Event], said: list[Event], order: list[bool], cuts: set[int], restarts: set[int]
) -> tuple[list[Row], World]:
    """Read both logs in the order drawn; a cut ends a batch, a restart goes on from the journal."""
    world = World.of()
    rows: list[Row] = []
    waiting: dict[TopicPartition, list[Event]] = {PREDICTIONS: [], LABELS: []}
    pending = {PREDICTIONS: list(sent), LABELS: list(said)}

    def flush() -> None:
        for source, events in waiting.items():
            if events:
                rows.extend(_feed(world, source, events))
                events.clear()

    for step in range(len(sent) + len(said)):
        source = PREDICTIONS if order[step % len(order)] else LABELS
        if not pending[source]:
            source = LABELS if source == PREDICTIONS else PREDICTIONS
        waiting[source].append(pending[source].pop(0))
        if step in cuts:
            flush()
        if step in restarts:
            flush()
            world = world.restored()
    flush()
    rows += world.read([_far("z")], [_far("y")])  # lets everything go
    return rows, world


def _far(key: str) -> bytes:
    return json.dumps({"key": key, "model": "end", "timestamp": 10**9, "prediction": 0, "label": 0}).encode()


@_QUICK
@given(
    logs(),
    st.lists(st.booleans(), min_size=1, max_size=18),
    st.sets(st.integers(0, 17)),
    st.sets(st.integers(0, 17), max_size=3),
)
def test_any_interleaving_batch_cut_and_restart_gives_the_outcomes_of_the_batch_oracle(
    both: tuple[list[Event], list[Event]], order: list[bool], cuts: set[int], restarts: set[int]
) -> None:
    sent, said = both
    expected = join(sent, said, HORIZON)
    rows, _ = _run(sent, said, order, cuts, restarts)
    found = _fold([row for row in rows if row.model != "end"])
    assert found.outcomes == expected.outcomes
    assert found.unlabelled == expected.unlabelled
    counts, unmet = _by_time(expected, sent), expected.unmet
    # Which of late, lost and orphan a label is can depend on the watermark; all else is exact.
    late = {key: count for key, count in found.counts.items() if key[0] == "late_labels"}
    assert {key: count for key, count in found.counts.items() if key not in late} == {
        key: count for key, count in counts.items() if key[0] != "late_labels"
    }
    assert all(count <= counts[key] for key, count in late.items())
    assert all(found.unmet[model] >= count for model, count in unmet.items())


@_QUICK
@given(logs(), st.lists(st.booleans(), min_size=1, max_size=18), st.sets(st.integers(0, 17)))
def test_late_lost_and_orphan_labels_are_exact_as_a_sum(
    both: tuple[list[Event], list[Event]], order: list[bool], cuts: set[int]
) -> None:
    sent = [event | {"key": str(i), "model": "m", "prediction": 1} for i, event in enumerate(both[0])]
    said = [event | {"key": str(i % 11), "model": None} for i, event in enumerate(both[1])]
    for event in sent:
        event.pop("error", None)
    expected = join(sent, said, HORIZON)
    found = _fold([row for row in _run(sent, said, order, cuts, set())[0] if row.model != "end"])
    assert found.outcomes == expected.outcomes
    assert _apart(found) == _apart(expected)


def _apart(joined: Joined) -> int:
    late = sum(count for (name, _), count in joined.counts.items() if name == "late_labels")
    return late + sum(joined.unmet.values())


@_QUICK
@given(
    logs(),
    st.lists(st.booleans(), min_size=1, max_size=18),
    st.sets(st.integers(0, 17)),
    st.integers(0, 17),
)
def test_a_restored_task_writes_the_same_rows_as_one_that_never_stopped(
    both: tuple[list[Event], list[Event]], order: list[bool], cuts: set[int], restart: int
) -> None:
    sent, said = both
    _, never = _run(sent, said, order, cuts | {restart}, set())
    _, again = _run(sent, said, order, cuts, {restart})
    assert [rows_of(step.outputs) for step in again.steps] == [rows_of(step.outputs) for step in never.steps]
    assert [step.metadata for step in again.steps] == [step.metadata for step in never.steps]
    assert [step.held for step in again.steps] == [step.held for step in never.steps]
