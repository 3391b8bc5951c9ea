"""A place for a worker of the simulation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from streams.log.memory.group import Group
from streams.worker import Worker
from tests.simulation.plan import Member, Trouble


@dataclass(slots=True)
class Slot:
    """A place for a worker, and who is there now. `until` is when it goes on, on the log's clock; None: never."""

    member: Member
    run: Any = None  # the greenlet; None where nobody is
    worker: Worker | None = None
    until: int | None = None
    armed: list[tuple[Trouble, int]] = field(default_factory=list)
    returns: int | None = None
    lives: int = 0
    asleep: bool = False
    step: str = ""  # of the log, that it came to last

    def is_member(self, group: Group) -> bool:
        """Whether the group still counts its consumer in."""
        consumer: Any = None if self.worker is None else self.worker._consumer
        return consumer is not None and consumer._member_id in group.members

    def consumer(self, what: str) -> None:
        """`suspend` or `wake` its consumer, where it has one."""
        if self.worker is not None and self.worker._consumer is not None:
            getattr(self.worker._consumer, what)()
