"""One transaction for each commit: outputs, journal, snapshots and offsets, together or not at all.

    1. begin; produce everything; add the offsets of all partitions owned, with their metadata; commit
    2. retriable            the same call again, with back-off
       abortable            abort until done, then the same outputs and offsets again
       unknown outcome,     a new producer; init_transactions completes or aborts what was open; then a stable read of
       fatal, unreachable,  the committed offsets: ours, so it was applied; those before, so it was not: send again;
       producer fenced      others, so somebody else went on in our place: the offsets once more, for the coordinator
                            to say as what we are lost
       membership lost      abort, and let the loop drop the tasks and rejoin
       fenced, refused      the end of this worker
    3. the same transaction failed five times, and quickly: the end of this worker too. What failed slowly was waiting
       for Kafka (a partition without a leader, too few replicas in sync), and goes on waiting

What was committed is recognised by offsets and metadata: a commit number in the metadata makes each of them unique.

Of two workers of one name the group decides, and it alone: who joined last is the newer, and so is one that had lost
its place (its session had ended) and joins again. The transactional id follows.
A worker takes it once it has been assigned something, and takes it again whenever it is fenced from it: by a time-out,
by a newer one, or by an older one that does not know yet. Each transaction carries offsets, so whoever the coordinator
has replaced is told by it (FENCED_INSTANCE_ID) before anything can be committed, and is the only one to end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import structlog

from streams.log import (
    Abortable,
    GroupMetadata,
    Log,
    LogError,
    MembershipLost,
    Producer,
    ProducerFatal,
    ProducerFenced,
    Refused,
    Retriable,
    UnknownOutcome,
    Unreachable,
)
from streams.records import OutputRecord
from streams.worker.clock import Clock
from streams.worker.errors import RepeatedlyAborted
from streams.worker.stage import JournalBlock, MaybeOffsets, Offsets
from streams.worker.stop_at import StopAt

_T = TypeVar("_T")
_log = structlog.get_logger("streamgauge.commit")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long calls may take, seconds."""

    call: float = 10.0
    stable_read: float = 30.0  # longer than the broker needs to end a dead producer's transaction
    first_pause: float = 0.05
    longest_pause: float = 5.0
    failures: int = 5
    quick: float = 4.0  # a failure that took longer was a wait for Kafka: what is produced has 8 s to be delivered
    markers: float = 15.0  # how long one partition of a transaction may show later than another: more than the 9 s for
    # which brokers take a dead one for alive, since until then it holds the journal's high watermark back


@dataclass(frozen=True, slots=True)
class Transaction:
    """Everything of one commit. `before` is what is committed now for the partitions of `offsets`; `records` is the
    number of input records it stands for."""

    outputs: Sequence[OutputRecord]
    journal: Sequence[tuple[JournalBlock, Callable[[int], None]]]
    offsets: Offsets
    before: MaybeOffsets
    group: GroupMetadata
    records: int


class Fate(Enum):
    """What became of a transaction, as its offsets tell."""

    APPLIED = "applied"
    NOT_APPLIED = "not applied"
    OVERTAKEN = "others have committed since"


@dataclass(slots=True)
class CommitCounts:
    """What happened to transactions so far, for telemetry."""

    committed: int = 0
    aborted: int = 0
    unknown: int = 0
    producers: int = 0


class Committer:
    """Owns the producer. Everything here runs on the loop's thread."""

    def __init__(
        self,
        log: Log,
        transactional_id: str,
        *,
        clock: Clock,
        beat: Callable[[], None],
        patience: Patience,
        stop_at: StopAt,
    ) -> None:
        self._log = log
        self._transactional_id = transactional_id
        self._clock = clock
        self._beat = beat
        self._patience = patience
        self._stop_at = stop_at
        self._producer: Producer | None = None
        self.counts = CommitCounts()

    def open(self) -> None:
        """Have a producer. Only a member of the group may ask: the transactional id is taken from whoever has it."""
        if self._producer is None:
            self._renew()

    def _renew(self) -> None:
        """A new producer, initialised: what its predecessor left open is completed or aborted by the broker."""
        for pause in self._pauses():
            self.close()
            try:
                self._producer = self._log.producer(self._transactional_id)
                self._producer.init_transactions(self._patience.stable_read)
            except (Retriable, Abortable, Unreachable, UnknownOutcome, ProducerFatal, ProducerFenced) as problem:
                _log.warning("producer_not_ready", problem=str(problem), code=problem.code)
                pause()
            else:
                self.counts.producers += 1
                return

    def close(self) -> None:
        """Close the producer, if there is one; an open transaction is left to its successor or its timeout."""
        if self._producer is not None:
            with suppress(LogError):
                self._producer.close()
            self._producer = None

    def commit(self, transaction: Transaction, ask: Callable[[], MaybeOffsets]) -> None:
        """Commit, whatever it takes; `ask` is a stable read of the offsets committed for the transaction's partitions.

        Raises MembershipLost, Fenced, Refused or RepeatedlyAborted; nothing of the transaction is visible then.
        """
        pauses = self._pauses()
        failure, overtaken, began = 0, False, self._clock.steady()
        while (problem := self._attempt(transaction, overtaken)) is not None:
            failure += self._clock.steady() - began < self._patience.quick
            _log.warning("transaction_failed", failure=failure, kind=type(problem).__name__, problem=str(problem))
            if not (isinstance(problem, Abortable) and self._abort()):
                self._renew()
                fate = self._fate(transaction, ask)
                if fate is Fate.APPLIED:
                    self.counts.committed += 1
                    return
                overtaken = overtaken or fate is Fate.OVERTAKEN
            if failure == self._patience.failures:
                code = f" [{problem.code}]" if problem.code else ""
                raise RepeatedlyAborted(
                    f"the same transaction was aborted {failure} times, last with: {problem}{code}; look at the "
                    "brokers' logs for this time, then start again"
                ) from problem
            next(pauses)()
            began = self._clock.steady()

    def _attempt(self, transaction: Transaction, overtaken: bool) -> LogError | None:
        """One try. Returns the problem that another try may get over; raises what none can."""
        try:
            self._let_the_group_judge(transaction) if overtaken else self._send(transaction)
        except (MembershipLost, Refused):
            if not self._abort():
                self.close()  # not a new one yet: its id may be somebody else's by now
            raise
        except UnknownOutcome as problem:
            self.counts.unknown += 1
            return problem
        except (Abortable, ProducerFatal, ProducerFenced, Unreachable) as problem:
            return problem
        self.counts.committed += 1
        return None

    def _send(self, transaction: Transaction) -> None:
        assert self._producer is not None, "commit before open"
        producer, patience = self._producer, self._patience
        self._again(producer.begin)
        self._reached("begin", transaction)
        for record in transaction.outputs:
            self._produce(producer, record, None)
        for block, landed in transaction.journal:
            self._produce(producer, block.record, landed)
        self._reached("produced", transaction)
        self._again(lambda: producer.send_offsets(transaction.offsets, transaction.group, patience.call))
        self._reached("offsets_sent", transaction)
        self._reached("before_commit", transaction)
        self._again(lambda: producer.commit(patience.call))
        self._reached("after_commit", transaction)

    def _let_the_group_judge(self, transaction: Transaction) -> None:
        """Others have committed for our partitions. Raises Fenced where it was a newer one of our name."""
        assert self._producer is not None
        producer = self._producer
        self._again(producer.begin)
        self._again(lambda: producer.send_offsets(transaction.offsets, transaction.group, self._patience.call))
        raise MembershipLost("others have committed for our partitions")

    def _produce(self, producer: Producer, record: OutputRecord, landed: Callable[[int], None] | None) -> None:
        try:
            producer.produce(record, landed)
        except Retriable:  # the queue is full: rare, so the closure is made only now
            self._again(lambda: producer.produce(record, landed))

    def _reached(self, step: str, transaction: Transaction) -> None:
        if transaction.records:
            self._stop_at.reached(step)

    def _again(self, call: Callable[[], _T]) -> _T:
        """The call, again and again while it is retriable."""
        for pause in self._pauses():
            try:
                return call()
            except Retriable as problem:
                _log.info("retrying", problem=str(problem), code=problem.code)
                pause()
        raise AssertionError("pauses never end")

    def _abort(self) -> bool:
        """Abort until done. Returns False where that cannot be: only a new producer ends the transaction."""
        self.counts.aborted += 1
        assert self._producer is not None
        producer = self._producer
        try:
            self._again(lambda: producer.abort(self._patience.call))
        except LogError as problem:
            _log.warning("abort_failed", problem=str(problem), code=problem.code)
            return False
        return True

    def _fate(self, transaction: Transaction, ask: Callable[[], MaybeOffsets]) -> Fate:
        committed = ask()
        told = {
            partition: ours
            for partition, ours in transaction.offsets.items()
            if transaction.before.get(partition) != ours
        }
        assert told, "a transaction that changes no offset and no metadata cannot be asked for"
        if all(committed.get(partition) == ours for partition, ours in told.items()):
            return Fate.APPLIED
        if all(committed.get(partition) == transaction.before.get(partition) for partition in told):
            return Fate.NOT_APPLIED
        return Fate.OVERTAKEN

    def _pauses(self) -> PauseIterator:
        return PauseIterator(self._clock, self._beat, self._patience)


class PauseIterator:
    """Yields pauses that grow; each keeps the watchdog quiet, since waiting on purpose is not hanging."""

    def __init__(self, clock: Clock, beat: Callable[[], None], patience: Patience) -> None:
        self._clock = clock
        self._beat = beat
        self._next = patience.first_pause
        self._longest = patience.longest_pause

    def __iter__(self) -> PauseIterator:
        return self

    def __next__(self) -> Callable[[], None]:
        return self._pause

    def _pause(self) -> None:
        self._beat()
        self._clock.wait(self._next)
        self._beat()
        self._next = min(self._next * 2, self._longest)
