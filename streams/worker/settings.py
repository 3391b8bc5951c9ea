"""How a worker takes part in its stage's group."""

from __future__ import annotations

from dataclasses import dataclass, field

from streams.worker.commit import Patience


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """`instance` names a static member; `member` makes a dynamic one's transactional id its own. `commit_interval` in
    seconds, `max_skew` in milliseconds of event time."""

    application_id: str
    instance: str | None
    member: str
    commit_interval: float = 0.2
    max_skew: int = 3_600_000
    patience: Patience = field(default_factory=Patience)
