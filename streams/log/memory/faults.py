"""Faults on demand: a named step of the in-memory log fails the next time it is reached.

Steps: init_transactions, begin, produce, send_offsets, commit, abort, poll, committed, read, admin. Where nothing can
fail: `marker`, between the markers that one transaction writes to its partitions and groups; `revoke` and `lose`, when
a consumer gives back what it has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from streams.log.base import LogError
from streams.records import TopicPartition

When = Literal["before", "after"]
STEPS = frozenset(
    {
        "init_transactions",
        "begin",
        "produce",
        "send_offsets",
        "commit",
        "abort",
        "poll",
        "committed",
        "read",
        "admin",
    }
)


@dataclass(slots=True)
class _Fault:
    error: BaseException | type[BaseException]
    applied: bool
    skip: int

    def make(self, step: str) -> BaseException:
        if isinstance(self.error, BaseException):
            return self.error
        return self.error(f"planned fault at {step}")


Fetch = Callable[[Sequence[TopicPartition]], Iterable[tuple[TopicPartition, int]]]


class Faults:
    """What is planned to go wrong. `hook`, where set, is called at each step, before and after it takes effect,
    and may raise: a crash at a named instruction. `told`, where set, hears of every error that a step raises, planned
    or not.

    `fetch`, where set, says which of a consumer's partitions answer a poll, in which order, and with at most how many
    records. `down` are partitions without a leader: nothing is read from them or written to them. To those in `late`
    the coordinator cannot write markers at present, although all else goes on: what was committed there is not to be
    seen yet, its offsets are. While `linger` is set, records stay in their producer until it commits; with the producer
    they are lost. A transaction's offsets are committed after its markers, or before them (`offsets_first`).
    """

    def __init__(self) -> None:
        self._planned: dict[str, list[_Fault]] = defaultdict(list)
        self.hook: Callable[[str, When], None] | None = None
        self.told: Callable[[str, LogError], None] | None = None
        self.fetch: Fetch | None = None
        self.down: set[TopicPartition] = set()
        self.late: set[TopicPartition] = set()
        self.linger = False
        self.offsets_first = False

    def fail_next(
        self, step: str, error: BaseException | type[BaseException], *, applied: bool = False, skip: int = 0
    ) -> None:
        """After `skip` more good passes, `step` raises `error`; applied=True lets it take effect first."""
        if step not in STEPS:
            raise ValueError(f"no such step: {step}")
        self._planned[step].append(_Fault(error, applied, skip))

    def pending(self, step: str | None = None) -> int:
        """How many planned faults have not happened yet."""
        steps = [step] if step is not None else list(self._planned)
        return sum(len(self._planned[name]) for name in steps)

    @contextmanager
    def around(self, step: str) -> Iterator[None]:
        """Run the body as `step`: the fault strikes before it, or after it where it was to be applied."""
        try:
            with self._stricken(step):
                yield
        except LogError as problem:
            if self.told is not None:
                self.told(step, problem)
            raise

    @contextmanager
    def _stricken(self, step: str) -> Iterator[None]:
        fault = self._due(step)
        if self.hook is not None:
            self.hook(step, "before")
        if fault is not None and not fault.applied:
            raise fault.make(step)
        yield
        if self.hook is not None:
            self.hook(step, "after")
        if fault is not None:
            raise fault.make(step)

    def pass_by(self, step: str) -> None:
        """A step at which nothing can fail."""
        if self.hook is not None:
            self.hook(step, "before")

    def _due(self, step: str) -> _Fault | None:
        planned = self._planned[step]
        if not planned:
            return None
        if planned[0].skip > 0:
            planned[0].skip -= 1
            return None
        return planned.pop(0)
