"""What must hold after each commit, checked from the contract alone on what the log holds then.

Checkers: `outcomes_less_retractions` (0 or 1 for each prediction; what is taken back is what was said; nothing after
the end), `rows_numbered_once`, `watermarks_never_fall`, `control_copied_once` (each control record once in every
partition, in their order), `offsets_journal_and_snapshots_agree`.
"""

from __future__ import annotations

import base64
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from streams.records import TopicPartition
from tests.integration.traffic import HORIZON, MINUTE
from tests.simulation.slots import Violation
from tests.simulation.topics import (
    CONTROL,
    COUNT,
    OUTCOME,
    PREDICTED,
    RETRACTED,
    TICK,
    UNLABELLED,
    Message,
    Row,
    committed,
    newest_committed,
    places,
    read_message,
    read_state,
)
from tests.simulation.world import World

LONGEST_STEP = 5_000
"""How far the clock of the ticks goes in one of them at most, ms."""
MOST_METADATA = 255
"""Bytes of the metadata of an offset."""
SHORTLY = 10 * MINUTE
"""Before expiry: event time, of which a second of the log's has minutes."""
_DUPLICATE_LABELS = 1


@dataclass(frozen=True, slots=True)
class Copied:
    """A control record where a partition of the outcomes has it; `clock` is that of the ticks before it."""

    key: str
    value: bytes | None
    offset: int
    clock: int | None


class Watch:
    """Reads on from where it was, after each commit. `seen` counts what coverage.py wants to have occurred."""

    def __init__(self) -> None:
        self.messages: dict[TopicPartition, list[tuple[int, int, bytes]]] = defaultdict(list)
        self.rows: dict[TopicPartition, list[tuple[int, Row]]] = defaultdict(list)
        self.checks: Counter[str] = Counter()
        self._read: dict[TopicPartition, int] = {}
        self._standing: dict[tuple[int, int], Row | None] = {}
        self._ended: set[tuple[int, int]] = set()
        self._numbers: dict[tuple[int, int], set[TopicPartition]] = {}
        self._told: set[tuple[int, int]] = set()
        self._commits: dict[tuple[int, TopicPartition], int] = {}
        self._ticks: dict[tuple[int, TopicPartition], tuple[int | None, int]] = {}
        self._watermarks: dict[TopicPartition, int] = {}
        self.copied: dict[TopicPartition, list[Copied]] = defaultdict(list)
        self.seen: Counter[str] = Counter()
        self._clocks: dict[TopicPartition, int] = {}
        self._floors: dict[int, int] = {}
        self._arrived: dict[tuple[int, int], int] = {}
        self._said: dict[tuple[int, int], int] = {}
        self._died = self._hold = 0

    def __call__(self, world: World) -> None:
        """Everything that can be checked now."""
        self._died, self._hold = world.notes.died["join"], HORIZON + world.plan.grace
        for place in places(world.log, world.config.outcomes_topic):
            start = self._read.get(place, 0)
            for entry in committed(world.log, place, start):
                assert entry.value is not None
                message = read_message(entry.value)
                self.messages[place].append((entry.offset, entry.timestamp, entry.value))
                self.rows[place] += [(message.task, row) for row in message.rows]
                self._take(place, message)
                self._read[place] = entry.offset + 1
        if not world.log.transactions.ending:  # some of a transaction shows before the rest
            self._agree(world)

    def _take(self, place: TopicPartition, message: Message) -> None:
        before = self._commits.get((message.task, place), 0)
        if message.commit < before:
            raise Violation("rows_numbered_once", f"task {message.task}: commit {message.commit} after {before}")
        self.seen["several messages of one commit in one partition"] += message.commit == before
        self._commits[message.task, place] = message.commit
        self._note(place, message)
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
        before, clock_before = self._ticks.get((task, place), (None, clock))
        falls = before is not None and (watermark is None or watermark < before)
        if falls or not clock_before <= clock <= clock_before + LONGEST_STEP:
            raise Violation(
                "watermarks_never_fall", f"task {task}: {watermark}, {clock} after {before}, {clock_before}"
            )
        self._ticks[task, place] = watermark, clock
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

    def _note(self, place: TopicPartition, message: Message) -> None:
        """What occurs, for coverage.py: which late word on which prediction."""
        replaced = {row.prediction_offset for row in message.rows if row.kind == OUTCOME}
        watermark, _ = self._ticks.get((message.task, place), (None, 0))
        for row in message.rows:
            name, what = (message.task, row.prediction_offset), ""
            if row.kind == PREDICTED:
                self._arrived[name] = message.commit
            elif row.kind == OUTCOME:
                self._said[name] = self._died
            elif row.kind == UNLABELLED:
                self.seen["predictions that expire"] += 1
            elif row.kind == RETRACTED:
                what = "a correction" if row.prediction_offset in replaced else "a withdrawal"
                self.seen[f"{what} across a death"] += self._said.get(name, self._died) < self._died
                floor = self._floors.get(message.task)
                self.seen[f"{what} of what the floor's block holds"] += self._arrived.get(name) == floor
            elif row.kind == COUNT and row.counter == _DUPLICATE_LABELS:
                what = "a duplicate"
            if what and watermark is not None and row.timestamp + self._hold - watermark < SHORTLY:
                self.seen[f"{what} shortly before expiry"] += 1

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

    # -- offsets, journal and snapshots --------------------------------------------------------------------------

    def _agree(self, world: World) -> None:
        group = world.log.group(world.config.join_group).offsets
        for place in places(world.log, world.config.journal_topic):
            entry = newest_committed(world.log, place)
            if entry is None:
                continue
            assert entry.value is not None
            said: Any = read_state(b"SGJE", entry.value)
            self.checks["offsets_journal_and_snapshots_agree"] += 1
            self._floors[place.partition] = said["floor"]
            for topic, number, offset, metadata in said["sources"]:
                source = TopicPartition(topic, number)
                held = group.get(source)
                if held is not None and (held.offset, held.metadata) != (offset, metadata):
                    raise Violation(
                        "offsets_journal_and_snapshots_agree",
                        f"{source}: the group has {held}, the journal {offset} {metadata}",
                    )
                self._metadata(source, metadata, said["commit"])
        offsets = world.log.group(world.config.gauge_group).offsets
        for place in places(world.log, world.config.snapshots_topic):
            entry = newest_committed(world.log, place, b"head")
            source = TopicPartition(world.config.outcomes_topic, place.partition)
            if entry is None or entry.value is None or source not in offsets:
                continue
            cut = read_state(b"SGHD", entry.value)["offset"]
            if cut > offsets[source].offset:
                raise Violation(
                    "offsets_journal_and_snapshots_agree",
                    f"{source}: the snapshot is of {cut}, the group has {offsets[source].offset}",
                )

    def _metadata(self, source: TopicPartition, metadata: str, commit: int) -> None:
        told = json.loads(metadata)
        if told["commit"] != commit or len(metadata) > MOST_METADATA:
            raise Violation("offsets_journal_and_snapshots_agree", f"{source}: commit {commit} says {metadata}")
        watermark = told.get("watermark")
        before = self._watermarks.get(source)
        if before is not None and (watermark is None or watermark < before):
            raise Violation("watermarks_never_fall", f"{source}: {watermark} after {before}")
        if watermark is not None:
            self._watermarks[source] = watermark
