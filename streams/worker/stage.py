"""What the loop asks of a stage, and what the adapters ask of the tasks in the core.

The loop knows neither joins nor gauges: it drives a `Stage`, which opens `StageTask`s. A stage task owns partitions,
turns batches into a `Turn` (outputs and offsets of one commit), and is restored from what earlier turns wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from streams.log import Admin, Committed, Reader
from streams.records import Moment, OutputRecord, RecordBatch, TopicPartition

Offsets = Mapping[TopicPartition, Committed]
MaybeOffsets = Mapping[TopicPartition, Committed | None]


@dataclass(frozen=True, slots=True)
class JournalBlock:
    """A block of the journal and the commit that wrote it; the log says at which offset it landed."""

    record: OutputRecord
    commit: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What a turn has to say to telemetry. Times are epoch milliseconds of event time."""

    watermark: int | None = None
    held: int | None = None
    counters: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one task contributes to one commit. `closing` comes after the outputs of all tasks.

    `offsets` are those of all partitions of the task; they differ from those of every earlier turn, by the commit
    number in their metadata.
    """

    outputs: Sequence[OutputRecord]
    journal: Sequence[JournalBlock]
    offsets: Offsets
    figures: Figures
    closing: Sequence[OutputRecord] = ()


class StageTask(Protocol):
    """A restored task."""

    @property
    def number(self) -> int: ...

    @property
    def partitions(self) -> tuple[TopicPartition, ...]: ...

    @property
    def positions(self) -> Mapping[TopicPartition, int]:
        """The next offset to read of every partition."""
        ...

    def due(self, clock: int, ends: Mapping[TopicPartition, int]) -> bool:
        """Whether a turn is due although nothing was read. `clock` is the wall clock in epoch milliseconds; `ends` says
        up to which offset there is nothing to be read, where that is beyond what is known."""
        ...

    def turn(self, batches: Sequence[RecordBatch], ends: Mapping[TopicPartition, int], moment: Moment) -> Turn:
        """Apply what was read, one batch a partition; `ends` says up to which offset each of them goes. An exception
        leaves the task unusable."""
        ...

    def last_turn(self, clock: int, ends: Mapping[TopicPartition, int]) -> Turn | None:
        """What a task that is let go of in order writes before it goes, if anything."""
        ...

    def landed(self, commit: int, offset: int) -> None:
        """A journal block of `commit` was committed at `offset`."""
        ...

    def trim(self) -> tuple[TopicPartition, int] | None:
        """The partition of ours and the offset below which nothing is needed any more, where that has moved."""
        ...

    def event_times(self) -> Mapping[TopicPartition, int]:
        """The largest event time read of each partition, where one is known: what skew is measured by."""
        ...


class Stage(Protocol):
    """A stage: which topics it reads, which task owns which partitions, and how a task is opened."""

    @property
    def name(self) -> str: ...

    @property
    def group_id(self) -> str: ...

    @property
    def topics(self) -> Sequence[str]: ...

    @property
    def max_records(self) -> int:
        """The most records to take in one turn."""
        ...

    def task_of(self, partition: TopicPartition) -> int: ...

    def partitions_of(self, task: int) -> tuple[TopicPartition, ...]: ...

    def open(self, task: int, committed: MaybeOffsets, library: Library) -> StageTask:
        """Restore a task, or start it for the first time. Raises StateLost where neither is possible."""
        ...


@dataclass(frozen=True, slots=True)
class Library:
    """What a task is restored with: a reader and an admin outside the group, and `breathe`, to be called between
    batches, which keeps the membership alive and raises where the restore has become pointless."""

    reader: Reader
    admin: Admin
    breathe: Callable[[], None]


class JoinStepLike(Protocol):
    """What the join core yields for one commit; `floor` is the oldest commit whose block is still needed."""

    @property
    def rows(self) -> Sequence[OutputRecord]: ...
    @property
    def ticks(self) -> Sequence[OutputRecord]: ...
    @property
    def journal(self) -> Sequence[bytes]: ...
    @property
    def commit(self) -> int: ...
    @property
    def floor(self) -> int: ...
    @property
    def metadata(self) -> str: ...
    @property
    def counters(self) -> Mapping[str, int]: ...
    @property
    def watermark(self) -> int | None: ...
    @property
    def positions(self) -> Mapping[TopicPartition, int]:
        """The largest event time of each source, epoch milliseconds."""
        ...

    @property
    def held(self) -> int: ...


class JoinCore(Protocol):
    """A join task (or the control task) of streams/join."""

    def apply(self, batches: Sequence[RecordBatch], moment: Moment) -> JoinStepLike: ...

    def restore(self, blocks: Iterable[bytes], metadata: Mapping[TopicPartition, str]) -> None: ...


class GaugeStepLike(Protocol):
    """What the gauge core yields for one batch."""

    @property
    def outputs(self) -> Sequence[OutputRecord]: ...
    @property
    def counters(self) -> Mapping[str, int]: ...
    @property
    def watermark(self) -> int | None: ...


class GaugeCore(Protocol):
    """A gauge task of streams/gauge."""

    def apply(self, batch: RecordBatch) -> GaugeStepLike: ...

    def snapshot_due(self) -> bool: ...

    def snapshot(self, next_offset: int) -> list[OutputRecord]: ...

    def restore(self, records: Iterable[tuple[bytes | None, bytes | None]]) -> int | None:
        """Take the newest snapshot; returns the offset from which to replay silently, None where there is none."""
        ...
