"""The group consumer of the in-memory log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from streams.log.base import (
    Committed,
    Fenced,
    GroupMetadata,
    LogError,
    MembershipLost,
    OffsetOutOfRange,
    RebalanceListener,
    Retriable,
    TopicMissing,
)
from streams.log.memory.group import Group, GroupState
from streams.records import RecordBatch, TopicPartition

if TYPE_CHECKING:
    from streams.log.memory.log import MemoryLog


class MemoryConsumer:
    """A member of a group. As with the real client its heartbeats go on by themselves between calls, until it is
    closed or `suspend`ed: a suspended client is a stopped process, and a dead one is a suspended one that never wakes.
    """

    def __init__(self, log: MemoryLog, group_id: str, instance_id: str | None) -> None:
        self._log = log
        self._group: Group = log.group(group_id)
        self._instance_id = instance_id
        self._member_id: str | None = None
        self._generation = -1
        self._assignment: tuple[TopicPartition, ...] = ()
        self._topics: tuple[str, ...] = ()
        self._listener: RebalanceListener | None = None
        self._positions: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._turn = 0
        self._closed = False
        self._fenced: Fenced | None = None

    def subscribe(self, topics: Sequence[str], listener: RebalanceListener) -> None:
        self._topics = tuple(sorted(set(topics)))
        self._listener = listener

    def poll(self, max_records: int, timeout: float) -> list[RecordBatch]:
        self._require_open()
        with self._log.faults.around("poll"):
            for topic in self._topics:
                if not self._log.has_topic(topic):
                    raise TopicMissing(f"the topic {topic} does not exist", "UNKNOWN_TOPIC_OR_PART")
            if self._listener is not None and self._turn_protocol(self._listener):
                return []
            return self._fetch(max_records)

    def assignment(self) -> list[TopicPartition]:
        return list(self._assignment)

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        self._paused.update(partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        self._paused.difference_update(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition not in self._assignment:
            raise LogError(f"{partition.topic}/{partition.partition} is not assigned", "_STATE")
        self._positions[partition] = offset
        self._ends.pop(partition, None)

    def position(self, partition: TopicPartition) -> int | None:
        return self._positions.get(partition)

    def at_end(self, partition: TopicPartition) -> bool:
        position, end = self._positions.get(partition), self._ends.get(partition)
        return position is not None and end is not None and position >= end

    def lag(self, partition: TopicPartition) -> int | None:
        position, end = self._positions.get(partition), self._ends.get(partition)
        return None if position is None or end is None else max(end - position, 0)

    def committed(self, partitions: Sequence[TopicPartition], timeout: float) -> dict[TopicPartition, Committed | None]:
        """Waiting is time that passes: until the open transaction's time-out, as `MemoryLog.wait` has it."""
        self._require_open()
        with self._log.faults.around("committed"):
            wait = self._log.transactions.unstable_for(self._group.group_id, partitions)
            if wait:
                self._log.wait(min(wait, int(timeout * 1000)))
                if self._log.transactions.unstable_for(self._group.group_id, partitions):
                    raise Retriable("a transaction with offsets of these partitions is open", "UNSTABLE_OFFSET_COMMIT")
            return {partition: self._group.offsets.get(partition) for partition in partitions}

    def group_metadata(self) -> GroupMetadata:
        if self._member_id is None or self._generation < 0:
            raise MembershipLost(f"this consumer has not joined {self._group.group_id}", "UNKNOWN_MEMBER_ID")
        return GroupMetadata(
            self._group.group_id,
            self._member_id,
            self._generation,
            self._instance_id,
            frozenset(self._assignment),
        )

    def close(self, *, leave: bool = True) -> None:
        if self._closed:
            return
        self._closed = True
        if self._member_id is None:
            return
        if self._instance_id is None:
            self._group.leave(self._member_id)
        else:
            self.suspend()

    def suspend(self) -> None:
        """The process stands still or is dead: no more heartbeats."""
        member = self._group.members.get(self._member_id or "")
        if member is not None and member.silent_since is None:
            member.silent_since = self._log.clock

    def wake(self) -> None:
        """The stopped process goes on; it does not know what it has missed."""
        member = self._group.members.get(self._member_id or "")
        if member is not None:
            member.silent_since = None

    def _turn_protocol(self, listener: RebalanceListener) -> bool:
        """One step of the group's protocol; whether the listener was called."""
        if self._member_id is None:
            self._member_id = self._group.join(self._instance_id, self._topics)
            return self._take_assignment(listener)
        try:
            member = self._group.verify(self._member_id, self._instance_id)
        except Fenced as error:
            self._fenced = error
            raise
        except MembershipLost:
            self._member_id = None
            return self._give_back("lose", listener.on_lost)
        if self._group.state is GroupState.PREPARING and not member.rejoined:
            called = self._give_back("revoke", listener.on_revoked)
            self._group.rejoin(self._member_id)
            return called
        return self._take_assignment(listener)

    def _take_assignment(self, listener: RebalanceListener) -> bool:
        if self._group.state is not GroupState.STABLE or self._generation == self._group.generation:
            return False
        assert self._member_id is not None
        self._generation = self._group.generation
        self._assignment = tuple(sorted(self._group.members[self._member_id].assigned))
        listener.on_assigned(list(self._assignment))
        return True

    def _give_back(self, step: str, tell: Callable[[Sequence[TopicPartition]], None]) -> bool:
        had = self._assignment
        try:
            if had:
                self._log.faults.pass_by(step)
                tell(list(had))
        finally:
            self._assignment = ()
            self._generation = -1
            self._positions.clear()
            self._ends.clear()
            self._paused.clear()
        return bool(had)

    def _fetch(self, max_records: int) -> list[RecordBatch]:
        """Partitions take turns at being first, so that a busy one starves no other."""
        batches: list[RecordBatch] = []
        room = max_records
        faults, at = self._log.faults, self._turn % max(len(self._assignment), 1)
        turns = self._assignment[at:] + self._assignment[:at]
        answers = [(each, room) for each in turns] if faults.fetch is None else faults.fetch(turns)
        for partition, most in answers:
            if room <= 0:
                break
            if partition in self._paused or partition not in self._positions or partition in faults.down:
                continue
            stored = self._log.partition(partition)
            start = self._positions[partition]
            if not stored.low <= start <= stored.end:
                raise OffsetOutOfRange(
                    f"{partition.topic}/{partition.partition} has no offset {start}: it holds "
                    f"{stored.low} to {stored.end}",
                    "_AUTO_OFFSET_RESET",
                )
            entries, self._positions[partition] = stored.readable(start, stored.end, min(room, most))
            self._ends[partition] = stored.stable_end
            if entries:
                batches.append(stored.batch(entries))
                room -= len(entries)
        self._turn += 1
        return batches

    def _require_open(self) -> None:
        if self._closed:
            raise LogError("the consumer is closed", "_STATE")
        if self._fenced is not None:
            raise self._fenced
