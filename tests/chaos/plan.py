"""What is done to the cluster and its workers, and where in the commit protocol: one deed after the other."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

STATIC = ("one", "two")
"""Workers with an instance name."""
DYNAMIC = "guest"
SLOTS = (*STATIC, DYNAMIC)


class Kind(Enum):
    """What can be done while a worker stands at a step with its transaction open."""

    KILLED_AND_BACK = "worker killed, the same name comes back"
    KILLED_FOR_GOOD = "worker killed, the others take over"
    STAGE_KILLED = "one of its two processes killed"
    STOPPED = "worker stopped past its session, wakes up"
    REPLACED = "worker stopped, another of its name, wakes up"
    TRANSACTION_COORDINATOR = "broker killed: it coordinates the transaction"
    GROUP_COORDINATOR = "broker killed: it coordinates the group"
    LEADER = "broker killed: it leads a partition written to"
    COORDINATOR_MOVED = "broker stopped: the coordinator moves"


@dataclass(frozen=True, slots=True)
class Deed:
    """One of them, to the worker in `slot`, at the `nth` time its stage reaches a step of the commit protocol."""

    kind: Kind
    slot: str
    stage: str
    step: str
    nth: int

    @property
    def place(self) -> str:
        """The step's name."""
        return f"{self.stage}.{self.step}"

    @property
    def in_flight(self) -> bool:
        """Whether the transaction is sure to be open on the broker: it is made known there by its first record or by
        its offsets, and has ended after the commit."""
        return self.place not in {"join.begin", "gauge.begin", "gauge.produced"} and self.step != "after_commit"

    def __str__(self) -> str:
        return f"{self.kind.value} ({self.slot} at {self.place})"


IN_FLIGHT = ("join.produced", "join.offsets_sent", "join.before_commit", "gauge.offsets_sent", "gauge.before_commit")
_TIMES = {
    Kind.KILLED_AND_BACK: 6,
    Kind.KILLED_FOR_GOOD: 4,
    Kind.STAGE_KILLED: 2,
    Kind.STOPPED: 5,
    Kind.REPLACED: 3,
    Kind.TRANSACTION_COORDINATOR: 4,
    Kind.GROUP_COORDINATOR: 2,
    Kind.LEADER: 2,
    Kind.COORDINATOR_MOVED: 2,
}
_AT_THE_EDGES = ("join.begin", "join.after_commit", "gauge.begin", "gauge.after_commit")


def thirty(seed: int) -> list[Deed]:
    """Thirty deeds with a transaction in flight, at each of the steps in turn, in an order drawn from the seed; and
    four kills where none is: before the broker knows of it, and after its commit."""
    draw = random.Random(seed)
    deeds = [
        _deed(kind, IN_FLIGHT[number % len(IN_FLIGHT)], draw)
        for number, kind in enumerate(kind for kind, times in _TIMES.items() for _ in range(times))
    ]
    deeds += [_deed(Kind.KILLED_AND_BACK, place, draw) for place in _AT_THE_EDGES]
    draw.shuffle(deeds)
    return deeds


def _deed(kind: Kind, place: str, draw: random.Random) -> Deed:
    slots: Sequence[str] = STATIC if kind in {Kind.KILLED_AND_BACK, Kind.REPLACED} else SLOTS
    stage, step = place.split(".")
    return Deed(kind, draw.choice(slots), stage, step, draw.randint(2, 6))


THREE = (
    Deed(Kind.KILLED_AND_BACK, "one", "join", "before_commit", 2),
    Deed(Kind.TRANSACTION_COORDINATOR, "two", "join", "offsets_sent", 2),
    Deed(Kind.STOPPED, "guest", "gauge", "before_commit", 2),
)
"""For every day."""
