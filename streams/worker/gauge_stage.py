"""The gauge stage for the loop: a task per partition of the outcomes topic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import msgspec
import structlog

from streams.log import Committed
from streams.records import Moment, OutputRecord, RecordBatch, TopicPartition
from streams.worker.births import birth_record, read_birth
from streams.worker.errors import Misfit, StateLost
from streams.worker.restore import bounds, keyed_records, newest, read_range, readable_state, require_readable
from streams.worker.stage import Figures, GaugeCore, Library, MaybeOffsets, StageTask, Turn

_log = structlog.get_logger("streamgauge.worker")
_MAX_RECORDS = 128
"""Messages hold up to 512 KiB of rows each."""
PAST_EVERY = 10_000
"""Offsets go past transaction markers and aborted records that came alone every so many ms: once retention has deleted
those, they would look like records that were never read."""
GONE = 10_000
"""A task that has not asked again for its snapshot for so many ms is with another worker by now."""
_PUBLISHED = b"published"
"""Key of the records, on the snapshots topic, that say up to which offset of the outcomes events were published. Each
commit that publishes writes one, so that a group whose offset has expired does not say again what it said after the
snapshot."""


@dataclass(frozen=True, slots=True)
class GaugeTopics:
    """The topics of the gauge stage; outcomes and snapshots have `partitions` each."""

    outcomes: str
    snapshots: str
    partitions: int


class _Mark(msgspec.Struct, frozen=True):
    """The metadata of a gauge partition's offset."""

    commit: int
    watermark: int | None = None


@dataclass(slots=True)
class Cuts:
    """Of all tasks of a worker one at most writes a snapshot into a transaction, in the order in which they ask: they
    are due together, and a transaction that holds all of them could outgrow its time-out."""

    asked: dict[int, int] = field(default_factory=dict)  # by whom, in the order of their first asking; when last
    granted: int | None = None

    def grant(self, task: int, clock: int) -> bool:
        """Whether a task may write its snapshot in the turn of this wall clock, ms."""
        self.asked[task] = clock
        first = next(each for each, at in self.asked.items() if 0 <= clock - at < GONE)
        if self.granted == clock or first != task:
            return False
        del self.asked[task]
        self.granted = clock
        return True


class GaugeStage:
    """Task p owns outcomes partition p."""

    name = "gauge"
    max_records = _MAX_RECORDS

    def __init__(self, topics: GaugeTopics, group_id: str, make: Callable[[int], GaugeCore]) -> None:
        self._topics = topics
        self._make = make
        self._cuts = Cuts()
        self.group_id = group_id
        self.topics: Sequence[str] = (topics.outcomes,)

    def task_of(self, partition: TopicPartition) -> int:
        """The task that owns a partition."""
        if partition.partition >= self._topics.partitions:
            raise Misfit(
                f"{partition.topic} has been given more partitions than the {self._topics.partitions} it was born "
                "with: models would move; start anew under another kafka.application_id"
            )
        return partition.partition

    def partitions_of(self, task: int) -> tuple[TopicPartition, ...]:
        """The partition that a task owns."""
        return (TopicPartition(self._topics.outcomes, task),)

    def open(self, task: int, committed: MaybeOffsets, library: Library) -> StageTask:
        """Restore a task: the newest snapshot, then the outcomes after it, silently, up to what was committed."""
        (source,) = self.partitions_of(task)
        place = TopicPartition(self._topics.snapshots, task)
        said = committed[source]
        core = self._make(task)
        what = f"the snapshot on {place.topic}/{place.partition}"
        with readable_state(what), closing(keyed_records(place, library)) as records:
            cut = core.restore(records)
        low, _ = bounds(source, library)
        if cut is None:
            birth = read_birth(place, self.name, task, library)
            if birth is None and said is None:
                record = birth_record(place, self.name, task, self._topics.partitions, {source: low})
                return GaugeStageTask(task, core, source, low, place, self._cuts, commit=0, birth=record)
            if birth is None or said is None:
                raise StateLost(
                    f"gauge task {task} has run before, but neither a snapshot on {place.topic}/{place.partition} nor "
                    "the group's offset says how far: restore the topic, or start anew under another "
                    "kafka.application_id"
                )
            cut = birth.start[f"{source.topic}/{source.partition}"]
        offset = max(cut, _published(place, library)) if said is None else said.offset
        if offset < cut:
            raise StateLost(
                f"the group's offset of {source.topic}/{source.partition} is {offset}, before the snapshot's {cut}: "
                f"events would be published twice; reset it to {cut} or later"
            )
        require_readable(source, offset, library)
        if cut < low:
            cut = _past_what_is_gone(source, cut, low, offset, by_hand=said is not None and not said.metadata)
        with closing(read_range(source, cut, offset, library)) as batches:
            for batch in batches:
                core.apply(batch)
        mark = msgspec.json.decode(said.metadata, type=_Mark) if said is not None and said.metadata else _Mark(0)
        return GaugeStageTask(task, core, source, offset, place, self._cuts, commit=mark.commit + 1, birth=None)


def _past_what_is_gone(source: TopicPartition, cut: int, low: int, offset: int, *, by_hand: bool) -> int:
    """Where to go on from a snapshot that retention has overtaken: at what is left, where somebody has set the group's
    offset, which says that this is wanted."""
    name = f"{source.topic}/{source.partition}"
    if not by_hand:
        raise StateLost(
            f"{name} begins at offset {low}, after the snapshot's {cut}: {low - cut} records between them were "
            "deleted, which the state lacks; to go on without them, set the group's offset of this partition to "
            f"{offset} (kafka-consumer-groups --reset-offsets --to-offset {offset}), else restore the topic"
        )
    _log.warning("records_skipped_by_hand", source=name, records=low - cut)
    return low


def _published(place: TopicPartition, library: Library) -> int:
    """Up to which offset events were published, for a group whose offsets have expired; 0 where none were."""
    told = newest(place, _PUBLISHED, library)
    return 0 if told is None else int(msgspec.json.decode(told, type=int))


class GaugeStageTask:
    """A gauge task of the core with its offset."""

    def __init__(
        self,
        number: int,
        core: GaugeCore,
        source: TopicPartition,
        position: int,
        place: TopicPartition,
        cuts: Cuts,
        *,
        commit: int,
        birth: OutputRecord | None,
    ) -> None:
        self.number = number
        self.partitions = (source,)
        self._core = core
        self._source = source
        self._position = position
        self._place = place
        self._cuts = cuts
        self._commit = commit
        self._turned = 0
        self._birth = birth
        self._watermark: int | None = None
        self._unsaved = birth is not None

    @property
    def positions(self) -> Mapping[TopicPartition, int]:
        """The next offset to read."""
        return {self._source: self._position}

    def due(self, clock: int, ends: Mapping[TopicPartition, int]) -> bool:
        """To be born, and to go past what nobody sees; what time decides comes with the ticks in the log."""
        return self._birth is not None or (bool(ends) and not 0 <= clock - self._turned < PAST_EVERY)

    def turn(self, batches: Sequence[RecordBatch], ends: Mapping[TopicPartition, int], moment: Moment) -> Turn:
        """Fold what was read; a snapshot where one is due."""
        outputs: list[OutputRecord] = []
        counters: dict[str, int] = {}
        if self._birth is not None:
            outputs.append(self._birth)
            self._birth = None
        for batch in batches:
            step = self._core.apply(batch)
            outputs += step.outputs
            for name, amount in step.counters.items():
                counters[name] = counters.get(name, 0) + amount
            self._watermark = step.watermark
        self._position, self._turned = ends.get(self._source, self._position), moment.clock
        self._unsaved |= bool(ends)
        if any(record.topic != self._place.topic for record in outputs):
            told = msgspec.json.encode(self._position)
            outputs.append(OutputRecord(self._place.topic, _PUBLISHED, told, self._place.partition))
        if self._core.snapshot_due() and self._cuts.grant(self.number, moment.clock):
            outputs += self._snapshot()
        return self._turn(outputs, counters)

    def last_turn(self, clock: int, ends: Mapping[TopicPartition, int]) -> Turn | None:
        """A snapshot, so that the next start has nothing to replay and needs no offset of the group."""
        self._unsaved |= bool(ends)
        self._position = ends.get(self._source, self._position)
        return self._turn(self._snapshot(), {}) if self._unsaved else None

    def _snapshot(self) -> list[OutputRecord]:
        self._unsaved = False
        return self._core.snapshot(self._position)

    def _turn(self, outputs: Sequence[OutputRecord], counters: Mapping[str, int]) -> Turn:
        metadata = msgspec.json.encode(_Mark(self._commit, self._watermark)).decode()
        self._commit += 1
        offsets = {self._source: Committed(self._position, metadata)}
        return Turn(outputs, (), offsets, Figures(self._watermark, None, counters))

    def landed(self, commit: int, offset: int) -> None:
        """A gauge has no journal."""

    def trim(self) -> tuple[TopicPartition, int] | None:
        """Outcomes are deleted by their topic's retention, snapshots by compaction."""
        return None

    def event_times(self) -> Mapping[TopicPartition, int]:
        """One partition is never ahead of itself."""
        return {}
