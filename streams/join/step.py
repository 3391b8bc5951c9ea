"""What a join task yields for one commit, and what of a commit is committed with the offsets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from streams.join.clock import BEGINNING, EventTime, Ticker
from streams.records import OutputRecord, TopicPartition
from streams.state import Count, StateError, Time


@dataclass(frozen=True, slots=True)
class JoinStep:
    """What one call of `apply` yields, to be committed in one transaction, with the offsets of all that was read.

    `rows` are the messages of rows, and dead letters; `ticks` come after the rows of all tasks of the transaction, so
    that a gauge folds those at once.
    `floor` is the oldest commit whose journal blocks are still needed. `positions` is the largest event time of
    each source that is not idle, epoch milliseconds. `metadata` (JSON, under 256 bytes, key `commit`) goes with
    every offset. `counters` are totals of this step: records read by topic, rows by kind, counts by counter.
    """

    rows: list[OutputRecord]
    ticks: list[OutputRecord]
    journal: list[bytes]
    commit: int
    floor: int
    metadata: str
    counters: dict[str, int]
    watermark: int | None
    positions: dict[TopicPartition, int]
    held: int

    @property
    def outputs(self) -> list[OutputRecord]:
        """All of it, as a transaction of this step alone has it."""
        return [*self.rows, *self.ticks]


@dataclass(slots=True)
class Ledger:
    """What of a task is neither record nor table: its numbers and clocks. Journal heads and metadata tell it."""

    task: int
    tasks: int
    time: EventTime
    ticker: Ticker
    commit: int = 0
    row: int = 0
    since: tuple[int, int] | None = None
    """The last commit under other terms (horizon, grace), and the watermark then, while records of it may be held."""

    def head(self, floor: int) -> dict[str, Any]:
        """What every journal block of this commit begins with."""
        return {
            "commit": self.commit,
            "task": self.task,
            "tasks": self.tasks,
            "floor": floor,
            "row": self.row,
            "time": self.time.snapshot(),
            "ticker": self.ticker.snapshot(),
        }

    def metadata(self, floor: int) -> str:
        """What is committed with the offsets."""
        if self.since is not None and floor > self.since[0]:
            self.since = None
        terms = {} if self.since is None else {"since": self.since}
        told = {"commit": self.commit, "floor": floor, "row": self.row, **self.time.summary(), **terms}
        return msgspec.json.encode(told).decode()

    def restore(self, head: dict[str, Any] | None, said: Committed) -> None:
        """Take back what `head` gave. Raises StateError where it is another task's, or not that of the commit said."""
        if head is None:
            if said.commit is not None:
                raise StateError(f"the offsets are those of commit {said.commit}, but the journal is empty")
            return
        if (head["task"], head["tasks"]) != (self.task, self.tasks):
            theirs, ours = f"{head['task']} of {head['tasks']}", f"{self.task} of {self.tasks}"
            raise StateError(f"the journal is that of join task {theirs}, not of {ours}")
        if said.commit is not None and said.commit != head["commit"]:
            raise StateError(f"the offsets are those of commit {said.commit}, the journal ends at {head['commit']}")
        self.commit, self.row = head["commit"], head["row"]
        self.time.restore(head["time"])
        self.ticker.restore(head["ticker"])


class Committed(msgspec.Struct, frozen=True):
    """What of the offsets' metadata a restore needs; all None where there is none."""

    commit: Count | None = None
    watermark: Time | None = None
    since: tuple[Count, Annotated[int, msgspec.Meta(ge=BEGINNING, le=2**53)]] | None = None  # as Ledger.since


def committed_of(metadata: Mapping[TopicPartition, str]) -> Committed:
    """Raises StateError where it is not ours, or differs between a task's partitions."""
    found = {text for text in metadata.values() if text}
    if len(found) > 1:
        raise StateError("the offsets of a task's partitions were not committed together")
    try:
        return msgspec.json.decode(found.pop(), type=Committed) if found else Committed()
    except msgspec.MsgspecError as problem:
        raise StateError(f"the metadata of the offsets is not ours: {problem}") from problem
