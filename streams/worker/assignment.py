"""Which tasks this worker has, and in which state.

    owned, all partitions ──open──► running ──revoked──► suspended ──owned again, nobody committed since──► running
                              ▲                              │
                              └──────── restored ◄───────────┴── somebody did, or not owned: dropped

The group's callbacks only note what they were told; the loop acts on it when `poll` has returned, because state is
touched by the loop alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streams.log import Committed
from streams.records import TopicPartition
from streams.worker.stage import MaybeOffsets, Stage, StageTask


class RebalanceNotes:
    """The rebalance listener: remembers that something changed, what is owned now, and whether the group has said so
    (it may be nothing) or something was only taken away."""

    def __init__(self) -> None:
        self.changed = False
        self.assigned = False
        self.owned: frozenset[TopicPartition] = frozenset()

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """This is all that we own now."""
        self.changed = self.assigned = True
        self.owned = frozenset(partitions)

    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Partitions were taken from us; the batch in hand is complete, since we are in poll."""
        self.changed, self.assigned = True, False
        self.owned -= frozenset(partitions)

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Partitions are somebody else's already."""
        self.on_revoked(partitions)


@dataclass(slots=True)
class Held:
    """A task in memory and what was committed for its partitions when it last was in step with the log."""

    task: StageTask
    committed: dict[TopicPartition, Committed | None]

    def in_step(self, committed: MaybeOffsets) -> bool:
        """Whether nobody has committed since: then the state in memory is the one the log holds."""
        return all(committed.get(partition) == ours for partition, ours in self.committed.items())


def complete_tasks(stage: Stage, owned: frozenset[TopicPartition]) -> list[int]:
    """The tasks all of whose partitions are owned, in order; others cannot run."""
    numbers = {stage.task_of(partition) for partition in owned}
    return sorted(number for number in numbers if owned.issuperset(stage.partitions_of(number)))
