"""The join stage for the loop: a task per pair of input partitions, and one for the control topic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import structlog

from schemas import format_duration
from streams.log import Committed
from streams.records import Moment, OutputRecord, RecordBatch, TopicPartition
from streams.worker.births import birth_record, read_birth
from streams.worker.errors import Misfit, StateLost
from streams.worker.journal import Envelope, Ledger, Terms, envelope_record, newest_envelope
from streams.worker.restore import first_offset, readable_state, require_readable
from streams.worker.stage import Figures, JoinCore, Library, MaybeOffsets, StageTask, Turn

TICK_EVERY = 1000
_MAX_RECORDS = 32_768
_log = structlog.get_logger("streamgauge.join")


@dataclass(frozen=True, slots=True)
class JoinTopics:
    """The topics of the join stage. `partitions` is the count of predictions and of labels; `births` that of the
    snapshots topic, where births are recorded. `start` is kafka.start. `terms` are those of the configuration; others
    than those of the journal are refused, unless `new_terms` says that they are to hold from now on."""

    predictions: str
    labels: str
    control: str
    journal: str
    snapshots: str
    partitions: int
    births: int
    start: str = "earliest"
    terms: Terms | None = None
    new_terms: bool = False


class JoinStage:
    """Tasks 0 to P-1 own the pairs; task P owns the control topic."""

    name = "join"
    max_records = _MAX_RECORDS

    def __init__(self, topics: JoinTopics, group_id: str, make: Callable[[int], JoinCore]) -> None:
        self._topics = topics
        self._make = make
        self.group_id = group_id
        self.topics: Sequence[str] = (topics.predictions, topics.labels, topics.control)

    def task_of(self, partition: TopicPartition) -> int:
        """The task that owns a partition."""
        count = 1 if partition.topic == self._topics.control else self._topics.partitions
        if partition.partition >= count:
            raise Misfit(
                f"{partition.topic} has been given more partitions than the {count} this application was started "
                "with: keys move when partitions are added, so start anew under another kafka.application_id"
            )
        return self._topics.partitions if partition.topic == self._topics.control else partition.partition

    def partitions_of(self, task: int) -> tuple[TopicPartition, ...]:
        """The partitions that a task owns."""
        if task == self._topics.partitions:
            return (TopicPartition(self._topics.control, 0),)
        return TopicPartition(self._topics.labels, task), TopicPartition(self._topics.predictions, task)

    def open(self, task: int, committed: MaybeOffsets, library: Library) -> StageTask:
        """Restore a task from its journal, or start it for the first time."""
        place = TopicPartition(self._topics.journal, task)
        with readable_state(f"the journal {place.topic}/{place.partition}"):
            newest = newest_envelope(place, library)
        if newest is None:
            return self._begin(task, committed, library)
        self._refuse_other_terms(newest.terms, place)
        sources = _sources(newest, committed, place)
        for partition, each in sources.items():
            require_readable(partition, each.offset, library)
        ledger = Ledger(place)
        core = self._make(task)
        metadata = {partition: each.metadata for partition, each in newest.sources.items()}
        what = f"the journal {place.topic}/{place.partition}"
        with readable_state(what), closing(ledger.read(newest.floor, library)) as blocks:
            core.restore(blocks, metadata)
        return JoinStageTask(task, core, sources, ledger, self._topics.terms, birth=None)

    def _refuse_other_terms(self, before: Terms | None, place: TopicPartition) -> None:
        now = self._topics.terms
        if before is None or now is None or before == now:
            return
        if self._topics.new_terms:
            _log.warning("new_terms_from_now_on", journal=f"{place.topic}/{place.partition}")
            return
        said = [
            f"horizon {format_duration(each.horizon)}, grace {format_duration(each.grace)}" for each in (before, now)
        ]
        what = f"{said[0]}, now it is {said[1]}" if said[0] != said[1] else "other join settings of some model"
        raise Misfit(
            f"what the journal {place.topic}/{place.partition} holds was joined with {what}: which labels count would "
            "change in the middle; set it back, or say `run --from-now` once to have the new one from now on"
        )

    def _begin(self, task: int, committed: MaybeOffsets, library: Library) -> StageTask:
        place = TopicPartition(self._topics.journal, task)
        births = TopicPartition(self._topics.snapshots, task % self._topics.births)
        if any(each is not None for each in committed.values()) or read_birth(births, self.name, task, library):
            raise StateLost(
                f"join task {task} has run before, but its journal {place.topic}/{place.partition} is empty: restore "
                "the topic, or start anew under another kafka.application_id"
            )
        control = task == self._topics.partitions
        # Silences and baselines published before the first start hold all the same.
        start = "earliest" if control else self._topics.start
        offsets = {each: first_offset(each, start, library) for each in self.partitions_of(task)}
        sources = {partition: Committed(offset, "") for partition, offset in offsets.items()}
        birth = birth_record(births, self.name, task, self._topics.partitions + 1, offsets)
        return JoinStageTask(task, self._make(task), sources, Ledger(place), self._topics.terms, birth)


def _sources(newest: Envelope, committed: MaybeOffsets, place: TopicPartition) -> dict[TopicPartition, Committed]:
    """Where to go on reading. The journal and the group were committed together; where they differ, offsets have
    expired (the journal says them), or somebody has moved them on (metadata gone): then that is followed."""
    sources = dict(newest.sources)
    for partition, said in committed.items():
        ours = newest.sources.get(partition)
        if ours is None:
            raise StateLost(f"the journal {place.topic}/{place.partition} does not know {partition.topic}")
        if said is None or said == ours:
            continue
        if said.metadata or said.offset < ours.offset:
            raise StateLost(
                f"the group's offset of {partition.topic}/{partition.partition} is {said.offset}, but the journal "
                f"{place.topic}/{place.partition} has {ours.offset}: what lies between would count twice or not at "
                f"all; reset the group's offset to {ours.offset}, or later if records are to be skipped"
            )
        if said.offset > ours.offset:
            _log.warning("records_skipped_by_hand", topic=partition.topic, partition=partition.partition,
                         records=said.offset - ours.offset)  # fmt: skip
        sources[partition] = Committed(said.offset, ours.metadata)
    return sources


class JoinStageTask:
    """A join task of the core with its offsets and its journal."""

    def __init__(
        self,
        number: int,
        core: JoinCore,
        sources: Mapping[TopicPartition, Committed],
        ledger: Ledger,
        terms: Terms | None,
        birth: OutputRecord | None,
    ) -> None:
        self.number = number
        self.partitions = tuple(sorted(sources))
        self._core = core
        self._ledger = ledger
        self._terms = terms
        self._birth = birth
        self._positions = {partition: each.offset for partition, each in sources.items()}
        self._event_times: Mapping[TopicPartition, int] = {}
        self._floor = 0
        self._turned = -TICK_EVERY

    @property
    def positions(self) -> Mapping[TopicPartition, int]:
        """The next offset to read of every partition."""
        return self._positions

    def due(self, clock: int, ends: Mapping[TopicPartition, int]) -> bool:
        """About once a second, so that ticks come also when nothing else does."""
        return self._birth is not None or clock - self._turned >= TICK_EVERY or clock < self._turned

    def turn(self, batches: Sequence[RecordBatch], ends: Mapping[TopicPartition, int], moment: Moment) -> Turn:
        """Apply what was read and wrap up what came of it."""
        step = self._core.apply(batches, moment)
        self._turned = moment.clock
        self._positions.update(ends)
        self._event_times = step.positions
        # The newest commit always stays in the journal: it says the offsets.
        self._floor = min(step.floor, step.commit)
        offsets = {partition: Committed(self._positions[partition], step.metadata) for partition in self.partitions}
        blocks: Sequence[bytes | None] = step.journal or (None,)
        journal = [
            envelope_record(self._ledger.place, Envelope(step.commit, self._floor, offsets, block, self._terms))
            for block in blocks
        ]
        outputs = list(step.rows)
        if self._birth is not None:
            outputs.append(self._birth)
            self._birth = None
        read = {partition.topic for partition in self.partitions}  # told by the loop, for all stages alike
        counters = {name: amount for name, amount in step.counters.items() if name not in read}
        return Turn(outputs, journal, offsets, Figures(step.watermark, step.held, counters), closing=step.ticks)

    def last_turn(self, clock: int, ends: Mapping[TopicPartition, int]) -> Turn | None:
        """Nothing: every commit leaves the journal complete."""
        return None

    def landed(self, commit: int, offset: int) -> None:
        """An envelope of `commit` landed at `offset`."""
        self._ledger.landed(commit, offset)

    def trim(self) -> tuple[TopicPartition, int] | None:
        """The journal below the floor."""
        return self._ledger.trim(self._floor)

    def event_times(self) -> Mapping[TopicPartition, int]:
        """The largest event time read of each partition."""
        return self._event_times
