"""What must hold of the rows of the outcomes topic, checked from the contract alone, wherever the topic lies.

Checkers: `outcomes_less_retractions` (0 or 1 for each prediction; what is taken back is what was said; nothing after
the end), `rows_numbered_once`, `watermarks_never_fall`, `control_copied_once` (in their order; that each is there is
asked at the end), `rows_are_as_sent` (names, times, values, and what an outcome replaces), `rolling_equals_one_pass`.
"""

from __future__ import annotations

import base64
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streams.records import TopicPartition
from tests.integration import oracle
from tests.integration.rows import (
    CONTROL,
    OUTCOME,
    PREDICTED,
    RETRACTED,
    TICK,
    UNLABELLED,
    Message,
    Row,
    Violation,
)
from tests.integration.traffic import HORIZON, SENTINEL, TASKS, Label, Logged, Meaning, Prediction

LONGEST_STEP = 5_000
"""How far the clock of the ticks goes in one of them at most, ms."""
FIRST, AGAIN = -1, -2
"""What an outcome says that it replaces: nothing, its prediction never had one; or nothing, the last was withdrawn."""

Rows = Mapping[TopicPartition, Sequence[tuple[int, Row]]]
"""The rows of each partition with their join tasks, in the order of the topic."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A control record where a partition of the outcomes has it; `clock` is that of the ticks before it."""

    key: str
    value: bytes | None
    offset: int
    clock: int | None


class RowChecks:
    """Takes the messages of each partition in their order. `checks` counts what was compared."""

    def __init__(self) -> None:
        self.rows: dict[TopicPartition, list[tuple[int, Row]]] = defaultdict(list)
        self.copied: dict[TopicPartition, list[Copied]] = defaultdict(list)
        self.checks: Counter[str] = Counter()
        self.commits: dict[tuple[int, TopicPartition], int] = {}
        self.ticks: dict[tuple[int, TopicPartition], tuple[int | None, int]] = {}
        self._standing: dict[tuple[int, int], Row | None] = {}
        self._ended: set[tuple[int, int]] = set()
        self._numbers: dict[tuple[int, int], set[TopicPartition]] = {}
        self._told: set[tuple[int, int]] = set()
        self._clocks: dict[TopicPartition, int] = {}

    def take(self, place: TopicPartition, message: Message) -> None:
        """The next message of a partition. Raises Violation."""
        self.rows[place] += [(message.task, row) for row in message.rows]
        before = self.commits.get((message.task, place), 0)
        if message.commit < before:
            raise Violation("rows_numbered_once", f"task {message.task}: commit {message.commit} after {before}")
        self.commits[message.task, place] = message.commit
        for row in message.rows:
            # A tick is one row, and in every partition.
            number = (message.task, row.number)
            seen = self._numbers.setdefault(number, set())
            if place in seen or (seen and not (row.kind == TICK and number in self._told)):
                raise Violation("rows_numbered_once", f"task {message.task}: row {row.number} twice")
            seen.add(place)
            if row.kind == TICK:
                self._told.add(number)
                self._tick(place, message.task, row)
            elif row.kind == CONTROL:
                self._copy(place, row)
            elif row.kind in {PREDICTED, OUTCOME, RETRACTED, UNLABELLED}:
                self._fold(message.task, row)

    def _tick(self, place: TopicPartition, task: int, row: Row) -> None:
        assert row.payload is not None
        self.checks["watermarks_never_fall"] += 1
        watermark, clock = row.payload["watermark"], row.payload["clock"]
        before, clock_before = self.ticks.get((task, place), (None, clock))
        falls = before is not None and (watermark is None or watermark < before)
        if falls or not clock_before <= clock <= clock_before + LONGEST_STEP:
            raise Violation(
                "watermarks_never_fall", f"task {task}: {watermark}, {clock} after {before}, {clock_before}"
            )
        self.ticks[task, place] = watermark, clock
        self._clocks[place] = max(clock, self._clocks.get(place, clock))

    def _copy(self, place: TopicPartition, row: Row) -> None:
        assert row.payload is not None
        self.checks["control_copied_once"] += 1
        value, offset = row.payload["value"], row.payload["offset"]
        before = self.copied[place][-1].offset if self.copied[place] else -1
        if offset <= before:
            raise Violation("control_copied_once", f"{place}: the control record {offset} after {before}")
        told = None if value is None else base64.b64decode(value)
        self.copied[place].append(Copied(row.payload["key"], told, offset, self._clocks.get(place)))

    def _fold(self, task: int, row: Row) -> None:
        """Outcomes less retractions of each prediction are 0 or 1; what ends has arrived, and ends once."""
        self.checks["outcomes_less_retractions"] += 1
        name = task, row.prediction_offset

        def wrong(text: str) -> Violation:
            return Violation("outcomes_less_retractions", f"prediction {name} of {row.model}: {text}: {row}")

        if row.kind == PREDICTED:
            if name in self._standing:
                raise wrong("arrives twice")
            self._standing[name] = None
            return
        if name not in self._standing or name in self._ended:
            raise wrong("has ended, or never arrived")
        stands = self._standing[name]
        if row.kind == UNLABELLED:
            self._ended.add(name)
            if stands is not None:
                raise wrong("unlabelled, and has an outcome")
        elif row.kind == OUTCOME:
            if stands is not None:
                raise wrong("a second outcome")
            self._standing[name] = row
        else:
            if stands is None or row.refers_to != stands.number:
                raise wrong(f"takes back row {row.refers_to}, and {stands} stands")
            if (row.prediction, row.label, row.weight) != (stands.prediction, stands.label, stands.weight):
                raise wrong(f"takes back other values than those of {stands}")
            self._standing[name] = None


# -- against what was sent -----------------------------------------------------------------------------------------


def rows_are_as_sent(rows: Rows, log: Sequence[Logged]) -> int:
    """Every row says what the prediction and the label that it names have said, and an outcome what it replaces."""
    sent = {(each.record.topic, each.partition, each.offset): each.record.meaning for each in log}
    last: dict[tuple[int, int], Row] = {}
    compared = 0
    for place in rows.values():
        for task, row in place:
            if row.kind not in {PREDICTED, OUTCOME, RETRACTED, UNLABELLED}:
                continue
            compared += 1
            prediction = sent.get(("predictions", task, row.prediction_offset))
            if not isinstance(prediction, Prediction):
                raise Violation("rows_are_as_sent", f"no prediction was sent at {task}, {row.prediction_offset}: {row}")
            _alike(row, prediction)
            if row.kind in {OUTCOME, RETRACTED}:
                _labelled(row, prediction, sent.get(("labels", task, row.label_offset)))
                _in_place(row, last.get((task, row.prediction_offset)))
                last[task, row.prediction_offset] = row
    return compared


def _alike(row: Row, prediction: Prediction) -> None:
    names = ("model", "version", "variant", "region", "timestamp")
    wanted, found = [[getattr(each, name) for name in names] for each in (prediction, row)]
    if row.kind != UNLABELLED:
        wanted += [_class(prediction.prediction), prediction.score]
        found += [_class(row.prediction), _number(row.score)]
    if row.kind in {PREDICTED, UNLABELLED}:
        wanted.append(prediction.weight)
        found.append(row.weight)
    if wanted != found:
        raise Violation("rows_are_as_sent", f"{row} is of {prediction}")


def _labelled(row: Row, prediction: Prediction, label: Meaning | None) -> None:
    if not isinstance(label, Label):
        raise Violation("rows_are_as_sent", f"no label was sent at {row.label_offset}: {row}")
    weight = prediction.weight if label.weight is None else label.weight
    meets = label.label_key == prediction.label_key and label.model in (None, prediction.model)
    in_time = abs(label.timestamp - prediction.timestamp) <= HORIZON
    if not (meets and in_time and (_class(label.value), weight) == (_class(row.label), row.weight)):
        raise Violation("rows_are_as_sent", f"{row} is of {prediction} and {label}")


def _in_place(row: Row, before: Row | None) -> None:
    """Outcomes and retractions of a prediction take turns, which `outcomes_less_retractions` sees to. A correction
    is an outcome right behind its retraction."""
    if row.kind != OUTCOME:
        return
    if before is None:
        wanted = FIRST
    else:
        wanted = before.refers_to if row.number == before.number + 1 else AGAIN
    if row.refers_to != wanted:
        raise Violation("rows_are_as_sent", f"replaces {row.refers_to}, not {wanted}: {row} after {before}")


def _class(value: float | str | None) -> float | str | None:
    """One spelling of a class, or the number."""
    try:
        return None if value is None or math.isnan(float(value)) else float(value)
    except ValueError:
        return value


def _number(score: Any) -> Any:
    return None if isinstance(score, float) and math.isnan(score) else score


# -- rolling windows -----------------------------------------------------------------------------------------------


def rolling_equals_one_pass(rows: Rows, size: int, metrics: Sequence[dict[str, Any]]) -> int:
    """The last rolling event of each scope against the last outcomes in the order of the topic: a correction replaces
    in place, a withdrawal leaves a hole."""
    wanted: dict[oracle.Scope, list[list[Any]]] = {}
    for place in rows.values():
        rings: dict[oracle.Scope, list[list[Any]]] = defaultdict(list)
        for task, row in place:
            for scope in _scopes(row) if row.kind in {OUTCOME, RETRACTED} else ():
                _roll(rings[scope], size, task, row)
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
        _compare(scope, [row for _, _, row in wanted.get(scope, [])[-size:] if row is not None], event)
    return len(latest)


def _scopes(row: Row) -> Iterator[oracle.Scope]:
    assert row.model is not None
    for segment in [None] if row.region is None else [None, ("region", row.region)]:
        yield oracle.Scope(row.model, row.version, row.variant, segment)


def _roll(ring: list[list[Any]], size: int, task: int, row: Row) -> None:
    if row.kind == OUTCOME and row.refers_to < 0:
        ring.append([task, row.number, row])
        return
    place = next((each for each in ring[-size:] if each[:2] == [task, row.refers_to]), None)
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
