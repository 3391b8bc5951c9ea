"""What must hold after each commit, checked from the contract alone on what the log holds then."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

from streams.records import TopicPartition
from tests.simulation.slots import Violation
from tests.simulation.topics import (
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


class Watch:
    """Reads on from where it was, after each commit.

    Checkers: `outcomes_less_retractions` (0 or 1 for each prediction; what is taken back is what was said; nothing
    after the end), `rows_numbered_once`, `watermarks_never_fall`, `offsets_journal_and_snapshots_agree`.
    """

    def __init__(self) -> None:
        self.messages: dict[TopicPartition, list[tuple[int, int, bytes]]] = defaultdict(list)
        self.rows: dict[TopicPartition, list[tuple[int, Row]]] = defaultdict(list)
        self.checks: Counter[str] = Counter()
        self._read: dict[TopicPartition, int] = {}
        self._standing: dict[tuple[int, int], Row | None] = {}
        self._ended: set[tuple[int, int]] = set()
        self._numbers: set[tuple[int, int]] = set()
        self._commits: dict[tuple[int, TopicPartition], int] = {}
        self._ticks: dict[tuple[int, TopicPartition], tuple[int | None, int]] = {}
        self._watermarks: dict[TopicPartition, int] = {}

    def __call__(self, world: World) -> None:
        """Everything that can be checked now."""
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
        self._commits[message.task, place] = message.commit
        for row in message.rows:
            if (message.task, row.number) in self._numbers:
                raise Violation("rows_numbered_once", f"task {message.task}: row {row.number} twice")
            self._numbers.add((message.task, row.number))
            if row.kind == TICK:
                self._tick(place, message.task, row)
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
        if told["commit"] != commit:
            raise Violation("offsets_journal_and_snapshots_agree", f"{source}: commit {commit} says {metadata}")
        watermark = told.get("watermark")
        before = self._watermarks.get(source)
        if before is not None and (watermark is None or watermark < before):
            raise Violation("watermarks_never_fall", f"{source}: {watermark} after {before}")
        if watermark is not None:
            self._watermarks[source] = watermark
