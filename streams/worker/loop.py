"""The worker's one loop. State is touched here alone: not from callbacks, not from threads.

0. on assign   a task runs only when all its partitions are owned. Group metadata is taken once, and the transactional
               id, where it is not ours yet: who has joined may take it. Committed offsets are read stably. Tasks
               suspended by the last revoke that are still in step with the log resume; the others are restored with
               a second consumer, while the main one polls, paused
1. consume     up to N records within the commit interval; no transaction is open while waiting
2. apply       every task that has records or is due
3. commit      one transaction of all that came of it, with the offsets of all partitions owned
4. errors      commit.py; membership lost: drop the tasks, a new consumer, rejoin
5. on revoke   the batch in hand is complete: suspend the tasks and let go
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from streams.log import (
    Admin,
    Consumer,
    GroupMetadata,
    Log,
    MembershipLost,
    Reader,
    Retriable,
    Unreachable,
)
from streams.records import Moment, RecordBatch, TopicPartition
from streams.worker.assignment import Held, RebalanceNotes, complete_tasks
from streams.worker.batches import join_batches
from streams.worker.clock import Clock
from streams.worker.commit import Committer, PauseIterator, Transaction
from streams.worker.errors import KafkaRefuses, StateLost
from streams.worker.settings import WorkerSettings
from streams.worker.stage import Library, MaybeOffsets, Stage, Turn
from streams.worker.stop_at import StopAt
from streams.worker.telemetry import Telemetry
from streams.worker.upkeep import Upkeep

_log = structlog.get_logger("streamgauge.worker")
_STOP_GRACE = 20.0
_GATHER = 0.05
_STALL = 30.0  # a leader that moves, a broker that is restarted: over before that


class RestorePointless(Exception):
    """The assignment changed, or the worker was told to stop, in the middle of a restore."""


class Worker:
    """One member of one stage's group."""

    def __init__(
        self,
        stage: Stage,
        log: Log,
        settings: WorkerSettings,
        clock: Clock,
        telemetry: Telemetry,
        *,
        beat: Callable[[], None] = lambda: None,
        warmed_up: Callable[[], None] = lambda: None,
        give_back: Callable[[], None] = lambda: None,
        stop_at: StopAt | None = None,
    ) -> None:
        self.stage = stage
        self._log = log
        self._settings = settings
        self._clock = clock
        self.telemetry = telemetry
        self._watchdog = beat
        self._warmed_up = warmed_up
        self._stopping: float | None = None
        self._notes = RebalanceNotes()
        self._running: dict[int, Held] = {}
        self._suspended: dict[int, Held] = {}
        self._group: GroupMetadata | None = None
        self._consumer: Consumer | None = None
        self._reader: Reader | None = None
        self._admin: Admin | None = None
        self._gathered_at = clock.steady()
        self._stalled = 0.0  # for how long Kafka did not let us commit, seconds, until a commit has told it
        name = settings.instance or settings.member
        self._committer = Committer(
            log,
            f"{settings.application_id}-{stage.name}-{name}",
            clock=clock,
            beat=self._beat,
            patience=settings.patience,
            stop_at=stop_at or StopAt(stage=stage.name),
        )
        self._upkeep = Upkeep(settings, clock, telemetry, give_back)

    def stop(self) -> None:
        """Ask the loop to finish its batch, commit, and leave. Safe to call from a signal handler."""
        if self._stopping is None:
            self._stopping = self._clock.steady()

    @property
    def tasks(self) -> tuple[int, ...]:
        """The tasks that run here now."""
        return tuple(self._running)

    def run(self) -> None:
        """Loop until told to stop. Raises what ends a worker; the group is left in order in any case."""
        try:
            self.start()
            while self._stopping is None:
                self.turn()
            self.last_turn()
        finally:
            self.close()

    def start(self) -> None:
        """Make the clients and join the group."""
        self._reader, self._admin = self._log.reader(), self._log.admin()
        self._join_group()

    def close(self) -> None:
        """Let go of everything. A static member keeps its place in the group."""
        self.telemetry.ready(False)
        self._committer.close()
        for client in (self._reader, self._admin):
            if client is not None:
                client.close()
        if self._consumer is not None:
            self._consumer.close(leave=self._settings.instance is None)
        self._reader = self._admin = self._consumer = None

    def turn(self) -> None:
        """Once around the loop."""
        self._beat()
        try:
            batches = self._consume()
            if self._notes.changed:
                self._reassign()  # what was read before the change is read again, from the tasks' positions
                return
            self._apply_and_commit(batches)
        except MembershipLost as problem:
            _log.warning("membership_lost", stage=self.stage.name, problem=str(problem), code=problem.code)
            self.telemetry.membership_lost()
            self._rejoin()

    # 0. on assign -----------------------------------------------------------------------------------------------

    def _join_group(self) -> None:
        self._notes = RebalanceNotes()
        self._consumer = self._log.consumer(self.stage.group_id, self._settings.instance)
        self._consumer.subscribe(self.stage.topics, self._notes)

    def _rejoin(self) -> None:
        """Drop every task: what they hold may be ahead of the log. Then join anew."""
        self.telemetry.ready(False)
        self._running.clear()
        self._suspended.clear()
        self._group = None
        self.consumer.close(leave=self._settings.instance is None)
        self._pause_once()
        self._join_group()

    def _reassign(self) -> None:
        """Bring the tasks in line with what is owned, until nothing changes while doing so."""
        self.telemetry.ready(False)
        while self._notes.changed and self._stopping is None:
            self._notes.changed = False
            self._suspended |= self._running
            self._running = {}
            self._upkeep.reassigned()
            if not self._notes.owned:
                _log.info("nothing_assigned", stage=self.stage.name)
                if self._notes.assigned:  # more workers than partitions: there is nothing to restore
                    self.telemetry.assigned((), 0.0)
                return
            try:
                self._take(self._notes.owned)
            except RestorePointless:
                _log.info("restore_cut_short", stage=self.stage.name)
        if self._stopping is not None:
            self._running.clear()

    def _take(self, owned: frozenset[TopicPartition]) -> None:
        consumer = self.consumer
        self._group = consumer.group_metadata()
        consumer.pause(sorted(owned))
        started = self._clock.steady()
        numbers = complete_tasks(self.stage, owned)
        partitions = [each for number in numbers for each in self.stage.partitions_of(number)]
        self._committer.open()
        committed = self._ask(partitions) if partitions else {}
        resumed = 0
        for number in numbers:
            suspended = self._suspended.pop(number, None)
            if suspended is not None and suspended.in_step(committed):
                self._running[number] = suspended
                resumed += 1
            else:
                self._running[number] = self._restore(number, committed)
        self._suspended.clear()
        for held in self._running.values():
            for partition, position in held.task.positions.items():
                consumer.seek(partition, position)
        consumer.resume(partitions)
        seconds = self._clock.steady() - started
        self.telemetry.assigned(self._running.keys(), seconds)
        _log.info(
            "assigned", stage=self.stage.name, tasks=numbers, resumed=resumed, seconds=round(seconds, 3),
            incomplete=sorted({each.partition for each in owned} - {each.partition for each in partitions}),
        )  # fmt: skip

    def _restore(self, number: int, committed: MaybeOffsets) -> Held:
        assert self._reader is not None and self._admin is not None, "restore before start"
        ours = {partition: committed.get(partition) for partition in self.stage.partitions_of(number)}
        library = Library(self._reader, self._admin, self._breathe)
        misfit_since: float | None = None
        for pause in self._pauses():
            try:
                return Held(self.stage.open(number, ours, library), ours)
            except StateLost as problem:
                # The markers of one transaction reach its partitions one after the other (KIP-98): the group's offsets
                # may be of a commit whose journal or snapshot cannot be seen yet.
                now = self._clock.steady()
                misfit_since = now if misfit_since is None else misfit_since
                if now - misfit_since >= self._settings.patience.markers:
                    raise
                _log.info("state_does_not_fit_yet", task=number, problem=str(problem))
                pause()
                self._breathe()
            except (Retriable, Unreachable) as problem:
                _log.warning("restore_interrupted", task=number, problem=str(problem), code=problem.code)
                misfit_since = None
                pause()
                self._breathe()
        raise AssertionError("pauses never end")

    def _breathe(self) -> None:
        """Between batches of a restore: keep the membership alive; everything is paused, so nothing is read."""
        self._beat()
        self._poll(1, 0.0)
        if self._notes.changed or self._stopping is not None:
            raise RestorePointless

    def _ask(self, partitions: Sequence[TopicPartition]) -> MaybeOffsets:
        """What is committed now, read stably."""
        for pause in self._pauses():
            try:
                return self.consumer.committed(partitions, self._settings.patience.stable_read)
            except (Retriable, Unreachable) as problem:
                _log.warning("committed_not_known_yet", problem=str(problem), code=problem.code)
                pause()
        raise AssertionError("pauses never end")

    # 1. consume -------------------------------------------------------------------------------------------------

    def _consume(self) -> list[RecordBatch]:
        """Up to N records within the commit interval, one batch a partition. Behind, it takes what is there at once;
        at the end it lets records gather, since every transaction has a price."""
        parts: list[RecordBatch] = []
        room = self.stage.max_records
        interval = self._settings.commit_interval
        while True:
            left = self._gathered_at + interval - self._clock.steady()
            got = self._poll(room, max(left, 0.0))
            if left <= 0 and not parts and not got:
                # Nothing there and no haste: wait for the first record, alone, since a poll gathers for its whole
                # time-out where it is not given all it asked for.
                got = self._poll(1, interval)
            parts += got
            room -= sum(map(len, got))
            left = self._gathered_at + interval - self._clock.steady()
            if self._notes.changed or room <= 0 or left <= 0 or self._stopping is not None:
                # From here, not from the commit: applying is part of the interval.
                self._gathered_at = self._clock.steady()
                return join_batches(parts)
            if not got or self._all_at_end():
                self._clock.wait(min(left, _GATHER))

    def _poll(self, room: int, timeout: float) -> list[RecordBatch]:
        try:
            return self.consumer.poll(room, timeout)
        except (Retriable, Unreachable) as problem:
            _log.warning("poll_failed", stage=self.stage.name, problem=str(problem), code=problem.code)
            self._pause_once()
            return []

    # 2. and 3. apply and commit ---------------------------------------------------------------------------------

    def _apply_and_commit(self, batches: Sequence[RecordBatch]) -> None:
        by_task: dict[int, list[RecordBatch]] = {}
        for batch in batches:
            if len(batch):
                by_task.setdefault(self.stage.task_of(batch.source), []).append(batch)
        clock, began = self._clock.now(), self._clock.steady()
        at_end = frozenset(self._at_end())
        turns: dict[int, Turn] = {}
        for number, held in self._running.items():
            mine = by_task.get(number, [])
            ends = self._ends(held, mine)
            if mine or held.task.due(clock, ends):
                moment = Moment(clock, at_end.intersection(held.task.partitions), int(1000 * self._stalled))
                turns[number] = held.task.turn(mine, ends, moment)
        applied = self._clock.steady()
        if turns:
            self._commit(turns, batches)
        assert self._admin is not None
        after = self._clock.steady()
        self._upkeep.after_turn(self._running, self.consumer, self._admin, at_end)
        if turns:
            self.telemetry.turned(applied - began, self._clock.steady() - after)

    def _commit(self, turns: dict[int, Turn], batches: Sequence[RecordBatch]) -> None:
        assert self._group is not None, "commit before an assignment"
        before = {partition: ours for held in self._running.values() for partition, ours in held.committed.items()}
        # All partitions owned, always: what has not moved is committed again, and kept from expiring.
        offsets = {partition: ours for partition, ours in before.items() if ours is not None}
        for turn in turns.values():
            offsets |= turn.offsets
        transaction = Transaction(
            outputs=[
                *(record for turn in turns.values() for record in turn.outputs),
                *(record for turn in turns.values() for record in turn.closing),
            ],
            journal=[
                (block, _landing(self._running[number], block.commit))
                for number, turn in turns.items()
                for block in turn.journal
            ],
            offsets=offsets,
            before=before,
            group=self._group,
            records=sum(map(len, batches)),
        )
        started = self._clock.steady()
        try:
            self._committer.commit(transaction, lambda: self._ask(sorted(offsets)))
        except MembershipLost:  # an outage that outlasts the session ends so; what was stalled is told after it
            self._stalled = max(self._stalled, self._stall_since(started))
            raise
        self._stalled = self._stall_since(started)
        for number, turn in turns.items():
            self._running[number].committed.update(turn.offsets)
        if batches:
            self._warmed_up()
        took = self._clock.steady() - started
        self.telemetry.committed(turns, batches, took, self._committer.counts, self._clock.now())

    def _stall_since(self, started: float) -> float:
        took = self._clock.steady() - started
        return took if took >= _STALL else 0.0

    def last_turn(self) -> None:
        """What tasks write before they go, each in one more transaction: together they may be too much for one."""
        if self._group is None or self._notes.changed:
            return
        clock = self._clock.now()
        try:
            for number, held in self._running.items():
                turn = held.task.last_turn(clock, self._ends(held, ()))
                if turn is not None:
                    self._commit({number: turn}, [])
        except MembershipLost as problem:  # nothing of it is visible: the successor restores without it
            _log.warning("membership_lost", stage=self.stage.name, problem=str(problem), code=problem.code)

    # between turns ----------------------------------------------------------------------------------------------

    def _at_end(self) -> list[TopicPartition]:
        consumer = self.consumer
        return [each for held in self._running.values() for each in held.task.partitions if consumer.at_end(each)]

    def _all_at_end(self) -> bool:
        return len(self._at_end()) == sum(len(held.task.partitions) for held in self._running.values())

    def _ends(self, held: Held, batches: Sequence[RecordBatch]) -> dict[TopicPartition, int]:
        """Up to where all that a task was given goes: past its last records, and past the transaction markers and
        aborted records behind them, also those that came alone. What is not committed past would look unread once
        retention has deleted it."""
        ends: dict[TopicPartition, int] = {}
        for partition, known in held.task.positions.items():
            position = self.consumer.position(partition)
            if position is not None and position > known:
                ends[partition] = position
        for batch in batches:
            ends[batch.source] = max(int(batch.offsets[-1]) + 1, ends.get(batch.source, 0))
        return ends

    def _beat(self) -> None:
        """Tell the watchdog that we are alive; give up where a stop cannot be finished for want of Kafka."""
        self._watchdog()
        if self._stopping is not None and self._clock.steady() - self._stopping > _STOP_GRACE:
            raise KafkaRefuses(
                f"told to stop, but Kafka did not let the last batch be committed within {_STOP_GRACE:.0f} s; "
                "nothing is lost: it is read again at the next start"
            )

    def _pauses(self) -> PauseIterator:
        return PauseIterator(self._clock, self._beat, self._settings.patience)

    def _pause_once(self) -> None:
        next(self._pauses())()

    @property
    def consumer(self) -> Consumer:
        """The member of the group, from start to close."""
        assert self._consumer is not None, "used before start"
        return self._consumer


def _landing(held: Held, commit: int) -> Callable[[int], None]:
    return lambda offset: held.task.landed(commit, offset)
