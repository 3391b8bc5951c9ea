"""One history: workers of both stages over the in-memory log, stepped by a seeded scheduler on one thread.

Every worker is a coroutine (a greenlet) that gives way at each step of the log, before and after it takes effect, and
wherever it waits. So any interleaving at that grain can happen, a worker can be dead or stand still at any of these
instructions, and nothing but the seed decides. The log's clock is the world's; each worker has a clock of its own that
is off, and goes at a pace of its own.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import greenlet
import structlog

from streams.gauge import snapshots
from streams.join import plan as join_plan
from streams.log import (
    Abortable,
    Fenced,
    LogError,
    MemoryLog,
    ProducerFatal,
    Retriable,
    UnknownOutcome,
    Unreachable,
)
from streams.records import OutputRecord, TopicPartition
from streams.worker import upkeep
from tests.integration.rows import Violation
from tests.integration.traffic import HOUR, Logged, Record, Traffic
from tests.simulation.application import TOPICS, Application, MemberClock
from tests.simulation.notes import Notes
from tests.simulation.plan import POISON, SECOND, START, Plan, Trouble
from tests.simulation.services import Services
from tests.simulation.slots import Slot
from tests.simulation.troubles import KINDS

LONGEST = 240 * SECOND
"""How long after the last trouble everything may take."""
ERRORS: dict[str, type[LogError]] = {
    each.__name__: each for each in (Abortable, ProducerFatal, Retriable, UnknownOutcome, Unreachable)
}


class World:
    """Runs a plan. `committed` is called after each commit, inside it."""

    def __init__(self, plan: Plan, committed: Callable[[World], None] = lambda _: None) -> None:
        self.plan = plan
        self.origin = START + plan.ahead
        self.log = MemoryLog(clock=self.origin)
        self.log.transactions.scan = plan.scan
        self.sent: list[Logged] = []
        self.deaths: list[tuple[str, BaseException]] = []
        self.steps: list[str] = []
        self.twins: set[str] = set()
        self.retired: set[str] = set()
        self._committed = committed
        self.draw = random.Random(f"world {plan.seed}")
        self.seen: Counter[str] = Counter()
        self.topics = {name: TOPICS[name] for name in ("predictions", "labels")}
        for topic in self.topics.values():
            self.log.create_topic(topic, plan.partitions, {"message.timestamp.after.max.ms": str(HOUR)})
        self._application = Application(plan, self.log)
        self.config = self._application.config
        self.slots = {member.name: Slot(member) for member in plan.crew}
        self._waiting, self._traffic = plan.all_troubles[::-1], plan.all_sent[::-1]
        self._now: Slot | None = None
        self.flaky_until = self._requests = 0
        self._dead: list[Any] = []
        self._promised: list[tuple[int, Callable[[], None]]] = []
        self.notes = Notes(self)
        self.services = Services(self.log, self.seen)
        self._hub = greenlet.getcurrent()
        self.log.faults.hook, self.log.faults.told = self._step, self._refused
        self.log.faults.fetch = self._fetch
        self.log.wait = self._wait_in_log

    # -- the whole history ---------------------------------------------------------------------------------------

    def run(self) -> None:
        """From the start until all is said. Raises Violation where it does not get there."""
        for slot in self.slots.values():
            if slot.member.from_start:
                self.start(slot)
        try:
            with _poison():
                self._until(lambda: not self._traffic and not self._waiting and not self._promised)
                self._settle()
                self._send_sentinels()
                self._settle()
                # The clock of the ticks waits for the slowest of the clocks that it came from.
                slowest = max(abs(member.skew) for member in self.plan.crew)
                self._until_time(self.log.clock + 4 * SECOND + 2 * slowest)
                self._settle()
        finally:
            self._end()

    def _send_sentinels(self) -> None:
        """A day later everybody speaks. Whoever had fallen silent is overtaken by event time before that."""
        for record in Traffic(0, 0, START).sentinels():
            self.append(record)

    def _settle(self) -> None:
        """Everybody is back, nothing goes wrong any more: until all that is there has been read and committed."""
        for slot in self.slots.values():
            slot.armed.clear()
            if slot.returns is not None:
                slot.returns = min(slot.returns, self.log.clock + SECOND)
        for stage in ("join", "gauge"):
            mine = [slot for slot in self.slots.values() if slot.member.stage == stage]
            if not any(slot.run is not None or slot.returns is not None for slot in mine):
                self.start(mine[0])
        limit = self.log.clock + LONGEST
        inputs = [TopicPartition(topic, number) for topic in self.topics.values()
                  for number in range(self.plan.partitions)]  # fmt: skip
        inputs.append(TopicPartition(self.config.topics.control, 0))
        self.flaky_until = 0
        self._until(lambda: self._read(self.config.join_group, inputs), limit, "the inputs are committed")
        outcomes = [TopicPartition(self.config.outcomes_topic, n) for n in range(self.plan.outcomes_partitions)]
        ends = {each: self.log.partition(each).end for each in outcomes}
        self._until(lambda: self._read(self.config.gauge_group, outcomes, ends), limit, "the outcomes are committed")

    def _read(self, group: str, places: list[TopicPartition], ends: dict[TopicPartition, int] | None = None) -> bool:
        """Whether nothing of these is left to be read, up to `ends`."""
        offsets = self.log.group(group).offsets
        for place in places:
            stored = self.log.partition(place)
            start = offsets[place].offset if place in offsets else stored.low
            found, _ = stored.readable(max(start, stored.low), stored.end, 1)
            if found and (ends is None or found[0].offset < ends[place]):
                return False
            if ends is not None and stored.stable_end < ends[place]:
                return False
        return True

    def _until_time(self, at: int) -> None:
        self._until(lambda: self.log.clock >= at)

    def _until(self, done: Callable[[], bool], limit: int | None = None, what: str = "") -> None:
        while not done():
            if limit is not None and self.log.clock > limit:
                raise Violation("all_is_read", f"not within {LONGEST // 1000} s: {what}")
            self._once()

    def append(self, record: Record) -> None:
        """A record of a user's reaches the log."""
        written = OutputRecord(TOPICS[record.topic], record.key, record.value)
        place, offset = self.services.append(written, record.timestamp)
        self.sent.append(Logged(record, place.partition, offset))

    # -- the scheduler -------------------------------------------------------------------------------------------

    def _once(self) -> None:
        """Let one worker go on, chosen among those that can; where none can, time passes."""
        self._happen()
        clock = self.log.clock
        ready = [slot for slot in self.slots.values() if slot.until is not None and slot.until <= clock]
        if ready:
            self._go_on(self.draw.choice(ready))
            return
        times = [each for slot in self.slots.values() for each in (slot.until, slot.returns) if each is not None]
        times += [at for at, _ in self._promised]
        times += [self.origin + each[-1].at for each in (self._waiting, self._traffic) if each]
        self.log.advance(max(1, min(times, default=clock + SECOND) - clock))

    def _happen(self) -> None:
        clock = self.log.clock
        while self._traffic and self.origin + self._traffic[-1].at <= clock:
            self.append(self._traffic.pop().record)
        while self._waiting and self.origin + self._waiting[-1].at <= clock:
            self._trouble(self._waiting.pop())
        for promise in [each for each in self._promised if each[0] <= clock]:
            self._promised.remove(promise)
            promise[1]()
        for slot in list(self.slots.values()):
            if slot.returns is not None and slot.returns <= clock:
                slot.returns = None
                self.start(slot)

    def _go_on(self, slot: Slot) -> None:
        if slot.asleep:
            slot.asleep = False
            slot.consumer("wake")
            self.notes.woke(slot)
        self._now = slot
        slot.run.switch()
        self._now = None

    def give_way(self, ms: int) -> None:
        """The worker at hand waits for so long; others go on."""
        slot = self._now
        if slot is None:
            return
        slot.until = self.log.clock + ms
        self._hub.switch()

    def _wait_in_log(self, ms: int) -> None:
        if self._now is None:
            self.log.advance(ms)
        else:
            self.notes.waits(self._now)
            self.give_way(ms)

    def _step(self, step: str, when: str) -> None:
        """The hook of the log: before and after each of its steps."""
        slot = self._now
        if slot is None:
            return
        slot.step = step
        self.notes.reached(slot, step, when)
        if step in {"revoke", "lose", "marker waits"}:
            return
        if (step, when) == ("commit", "after"):
            self.steps.append(slot.member.name)
            self.log.faults.offsets_first = self.draw.random() < 0.5
            self._committed(self)
        if step != "produce" or self.draw.random() < 0.2:
            self.give_way(self.draw.choice((0, 0, 1, 3)))
        self._strike(slot, step, when)
        if when == "before" and self.log.clock < self.flaky_until and step not in {"begin", "poll"}:
            self._requests += 1
            if self._requests % 3 == 0:
                self.seen["a third request refused"] += 1
                raise Retriable(f"the third request is refused: {step}", "NOT_COORDINATOR")

    def _strike(self, slot: Slot, step: str, when: str) -> None:
        for i, (trouble, left) in enumerate(slot.armed):
            if (trouble.step, trouble.when) != (step, when):
                continue
            slot.armed[i] = (trouble, left - 1)
            if left > 1:
                continue
            del slot.armed[i]
            self.notes.strikes(slot, trouble)
            if trouble.kind == "kill":
                self.die(slot, trouble.lasting)
                self._hub.switch()
            elif trouble.kind == "stall":
                slot.asleep = True
                slot.consumer("suspend")
                self.give_way(trouble.lasting)
            else:
                kind = trouble.error.split()[0]
                raise ERRORS[kind](f"planned at {step}", "PLANNED")
            return

    # -- workers -------------------------------------------------------------------------------------------------

    def _refused(self, step: str, problem: LogError) -> None:
        self.notes.refused(self._now, step, problem)

    def start(self, slot: Slot) -> None:
        """A new life in this place."""
        slot.lives += 1
        clock = MemberClock(self.log, self.origin, slot.member, self.give_way)
        slot.worker = worker = self._application.worker(slot.member, slot.lives, clock)

        def live() -> None:
            try:
                worker.run()
            except greenlet.GreenletExit:
                return
            except Violation:
                raise  # the watch's, out of the middle of a commit
            except Exception as problem:  # noqa: BLE001  (whatever ends a worker is judged by a checker)
                self.deaths.append((slot.member.name, problem))
                slot.returns = self.log.clock + SECOND if not isinstance(problem, Fenced) else None
            slot.run = slot.until = None
            self.notes.ended(slot)

        slot.run = greenlet.greenlet(live)
        slot.until = self.log.clock
        self.notes.started(slot)

    def die(self, slot: Slot, down: int | None) -> None:
        """Gone in the middle of what it did: nothing is closed, nothing is said."""
        slot.consumer("suspend")
        self._dead.append(slot.run)
        slot.run = slot.worker = slot.until = None
        slot.asleep = False
        slot.returns = None if down is None else self.log.clock + down
        self.notes.died_of(slot)

    def _end(self) -> None:
        self.log.faults.hook = None
        self._now = None
        for run in [*self._dead, *(slot.run for slot in self.slots.values())]:
            if run is not None and not run.dead:
                run.throw(greenlet.GreenletExit)

    # -- troubles ------------------------------------------------------------------------------------------------

    def _trouble(self, trouble: Trouble) -> None:
        if trouble.kind in {"kill", "stall", "error"}:
            self.slots[trouble.who].armed.append((trouble, trouble.nth))
        else:
            KINDS[trouble.kind](self, trouble)

    def later(self, ms: int, act: Callable[[], None]) -> None:
        self._promised.append((self.log.clock + ms, act))

    def _fetch(self, turns: Sequence[TopicPartition]) -> list[tuple[TopicPartition, int]]:
        """Partitions answer in any order, not all of them, and with as much as they like."""
        if any(self.log.partition(each).stable_end < self.log.partition(each).end for each in turns):
            self.seen["the end of a log held back by an open transaction"] += 1
        if self.log.faults.down and not self.log.faults.down.isdisjoint(turns):
            self.seen["an outage: nothing fetched from a partition"] += 1
        found = [(each, self.draw.choice((1, 3, 20, 1_000))) for each in turns if self.draw.random() < 0.8]
        self.draw.shuffle(found)
        return found


@contextmanager
def _poison() -> Iterator[None]:
    """Records of the poisonous value raise in the plan of the join; journals are trimmed often; nobody writes a log."""
    whole = vars(join_plan)["words_of"]

    def raises(numbers: Any, texts: Any) -> Any:
        if (numbers == POISON).any():
            raise ArithmeticError("poison")
        return whole(numbers, texts)

    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        with (
            mock.patch.object(join_plan, "words_of", raises),
            mock.patch.object(upkeep, "_TRIM_EVERY", 4.0),
            mock.patch.object(snapshots, "CHUNK", snapshots.CHUNK),  # changed by "small chunks"
        ):
            yield
    finally:
        structlog.configure(wrapper_class=before)
