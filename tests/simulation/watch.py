"""What must hold after each commit, checked from the contract alone on what the log holds then: that of the rows of the
outcomes topic (tests/integration/row_checks.py), and `offsets_journal_and_snapshots_agree`.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict

from streams.records import TopicPartition
from tests.integration.row_checks import RowChecks
from tests.integration.rows import COUNT, OUTCOME, PREDICTED, RETRACTED, UNLABELLED, Message, Violation, read_message
from tests.integration.state_checks import Offsets, journal_agrees, snapshot_agrees
from tests.integration.traffic import HORIZON, MINUTE
from tests.simulation.topics import committed, newest_committed, places
from tests.simulation.world import World

MOST_METADATA = 255
"""Bytes of the metadata of an offset."""
SHORTLY = 10 * MINUTE
"""Before expiry: event time, of which a second of the log's has minutes."""
_DUPLICATE_LABELS = 1


class Watch(RowChecks):
    """Reads on from where it was, after each commit. `seen` counts what occurred.py wants to have occurred."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[TopicPartition, list[tuple[int, int, bytes]]] = defaultdict(list)
        self.seen: Counter[str] = Counter()
        self._read: dict[TopicPartition, int] = {}
        self._watermarks: dict[TopicPartition, int] = {}
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
                self._note(place, message)
                self.take(place, message)
                self._read[place] = entry.offset + 1
        if not world.log.transactions.ending:  # some of a transaction shows before the rest
            self._agree(world)

    def _note(self, place: TopicPartition, message: Message) -> None:
        """What occurs, for occurred.py: which late word on which prediction."""
        self.seen["several messages of one commit in one partition"] += message.commit == self.commits.get(
            (message.task, place), 0
        )
        replaced = {row.prediction_offset for row in message.rows if row.kind == OUTCOME}
        watermark, _ = self.ticks.get((message.task, place), (None, 0))
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

    # -- offsets, journal and snapshots --------------------------------------------------------------------------

    def _agree(self, world: World) -> None:
        group = _offsets(world, world.config.join_group)
        for place in places(world.log, world.config.journal_topic):
            entry = newest_committed(world.log, place)
            if entry is None:
                continue
            assert entry.value is not None
            said = journal_agrees(entry.value, group)
            self.checks["offsets_journal_and_snapshots_agree"] += len(said["sources"])
            self._floors[place.partition] = said["floor"]
            for topic, number, _, metadata in said["sources"]:
                self._metadata(TopicPartition(topic, number), metadata, said["commit"])
        offsets = _offsets(world, world.config.gauge_group)
        for place in places(world.log, world.config.snapshots_topic):
            entry = newest_committed(world.log, place, b"head")
            if entry is not None and entry.value is not None:
                snapshot_agrees(entry.value, TopicPartition(world.config.outcomes_topic, place.partition), offsets)

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


def _offsets(world: World, group: str) -> Offsets:
    return {place: (held.offset, held.metadata) for place, held in world.log.group(group).offsets.items()}
