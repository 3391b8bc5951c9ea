"""One history: workers of both stages over the in-memory log, stepped by a seeded scheduler on one thread.

Every worker is a coroutine (a greenlet) that gives way at each step of the log, before and after it takes effect, and
wherever it waits. So any interleaving at that grain can happen, a worker can be dead or stand still at any of these
instructions, and nothing but the seed decides. The log's clock is the world's; each worker has a clock of its own that
is off, and goes at a pace of its own.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

import greenlet
import structlog

import streams.join.plan as join_plan
import streams.worker.upkeep as upkeep
from schemas import Config
from streams.gauge import GaugeSettings, GaugeTask
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
from streams.records import TopicPartition
from streams.worker import GaugeStage, GaugeTopics, Telemetry, Worker, WorkerSettings, prepare
from streams.worker.process import join_stage
from streams.worker.stop_at import StopAt
from tests.integration.application import RULE, Topics, settings
from tests.integration.traffic import HOUR, SPAN, Logged, Record, Traffic
from tests.simulation.plan import POISON, SECOND, START, Member, Plan, Stage, Trouble
from tests.simulation.topics import newest_committed, places, read_state

TOPICS = Topics("sim")
SIZES = (HOUR,)
ROLLING = 20
LONGEST = 240 * SECOND
"""How long after the last trouble everything may take."""
ERRORS: dict[str, type[LogError]] = {
    each.__name__: each for each in (Abortable, ProducerFatal, Retriable, UnknownOutcome, Unreachable)
}


class Violation(AssertionError):
    """What must hold does not. `checker` names what found it."""

    def __init__(self, checker: str, text: str) -> None:
        super().__init__(f"{checker}: {text}")
        self.checker = checker


def configuration(plan: Plan) -> Config:
    """The application of a plan: small windows, quick emissions, thresholds and detectors that do fire."""
    options: dict[str, Any] = settings("localhost:1", TOPICS)
    options["outcomes_partitions"] = plan.outcomes_partitions
    options["max_skew"] = f"{plan.max_skew}ms"
    defaults = options["defaults"]
    defaults["join"] |= {"grace": f"{plan.grace}ms", "idle_after": f"{plan.idle_after}ms"}
    defaults["windows"] = {"tumbling": [f"{size}ms" for size in SIZES], "rolling": [ROLLING], "emit_every": "2s"}
    defaults["reference"] = {"warm_up": 30}
    defaults["rules"] = [RULE | {"window": f"{SIZES[0]}ms", "min_count": 3}]
    defaults["detectors"] = [
        {"on": "error", "use": "page_hinkley", "severity": "critical", "min_instances": 4, "threshold": 1.0},
        {"on": "score", "use": "page_hinkley", "severity": "warning", "min_instances": 4, "threshold": 1.0},
    ]
    return Config.model_validate(options)


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
    twin: bool = False


class SlotClock:
    """A worker's own time: off by its skew, at its own rate; waiting gives way to the others."""

    def __init__(self, world: World, member: Member) -> None:
        self._world, self._member = world, member

    def now(self) -> int:
        log = self._world.log
        return int(log.clock + self._member.skew + (log.clock - self._world.origin) * (self._member.rate - 1))

    def steady(self) -> float:
        return self._world.log.clock / 1000 * self._member.rate

    def wait(self, seconds: float) -> None:
        self._world.give_way(max(1, int(seconds * 1000 * self._member.slow)))


class World:
    """Runs a plan. `committed` is called after each commit, inside it."""

    def __init__(self, plan: Plan, committed: Callable[[World], None] = lambda _: None) -> None:
        self.plan = plan
        self.origin = START + plan.ahead
        self.log = MemoryLog(clock=self.origin)
        self.config = configuration(plan)
        self.sent: list[Logged] = []
        self.deaths: list[tuple[str, BaseException]] = []
        self.steps: list[str] = []
        self.twins: set[str] = set()
        self._committed = committed
        self._draw = random.Random(f"world {plan.seed}")
        self._topics = {name: TOPICS[name] for name in ("predictions", "labels")}
        for topic in self._topics.values():
            self.log.create_topic(topic, plan.partitions)
        self._layout = prepare(self.config, self.log.admin())
        self._slots = {member.name: Slot(member) for member in plan.crew}
        self._waiting = sorted(plan.troubles, key=lambda each: -each.at)
        self._traffic = sorted(plan.sent, key=lambda each: -each.at)
        self._now: Slot | None = None
        self._flaky_until = self._requests = 0
        self._dead: list[Any] = []
        self._promised: list[tuple[int, Callable[[], None]]] = []
        self._hub = greenlet.getcurrent()
        self.log.faults.hook = self._step
        self.log.faults.fetch = self._fetch
        self.log.wait = self._wait_in_log

    # -- the whole history ---------------------------------------------------------------------------------------

    def run(self) -> None:
        """From the start until all is said. Raises Violation where it does not get there."""
        for slot in self._slots.values():
            if slot.member.from_start:
                self._start(slot)
        try:
            with _poison():
                self._until(lambda: not self._traffic and not self._waiting and not self._promised)
                self._settle()
                self._wake()
                self._send_sentinels(24 * HOUR)
                self._settle()
                # The clock of the ticks waits for the slowest of the clocks that it came from.
                slowest = max(abs(member.skew) for member in self.plan.crew)
                self._until_time(self.log.clock + 4 * SECOND + 2 * slowest)
                self._settle()
        finally:
            self._end()

    def _wake(self) -> None:
        """Everybody speaks, and has said so, when time makes its last leap: who is left out for silence then would be
        overtaken by it."""
        for again in range(5):
            began = self.log.clock
            self._send_sentinels(SPAN + HOUR + again)
            self._settle()
            self._until_time(self.log.clock + 2 * SECOND)
            self._settle()
            if self.log.clock - began < self.plan.idle_after - SECOND:
                return
        raise Violation("all_is_read", f"not within {self.plan.idle_after} ms, again and again")

    def _send_sentinels(self, later: int) -> None:
        for record in Traffic(0, 0, START + later - 24 * HOUR).sentinels():
            self._append(record)

    def _settle(self) -> None:
        """Everybody is back, nothing goes wrong any more: until all that is there has been read and committed."""
        for slot in self._slots.values():
            slot.armed.clear()
            if slot.returns is not None:
                slot.returns = min(slot.returns, self.log.clock + SECOND)
        for stage in ("join", "gauge"):
            mine = [slot for slot in self._slots.values() if slot.member.stage == stage]
            if not any(slot.run is not None or slot.returns is not None for slot in mine):
                self._start(mine[0])
        limit = self.log.clock + LONGEST
        inputs = [TopicPartition(topic, number) for topic in self._topics.values()
                  for number in range(self.plan.partitions)]  # fmt: skip
        self._flaky_until = 0
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

    def _append(self, record: Record) -> None:
        place, offset = self.log.append(
            self._topics[record.topic], record.value, key=record.key, timestamp=record.timestamp
        )
        self.sent.append(Logged(record, place.partition, offset))

    # -- the scheduler -------------------------------------------------------------------------------------------

    def _once(self) -> None:
        """Let one worker go on, chosen among those that can; where none can, time passes."""
        self._happen()
        clock = self.log.clock
        ready = [slot for slot in self._slots.values() if slot.until is not None and slot.until <= clock]
        if ready:
            self._go_on(self._draw.choice(ready))
            return
        times = [each for slot in self._slots.values() for each in (slot.until, slot.returns) if each is not None]
        times += [at for at, _ in self._promised]
        times += [self.origin + each[-1].at for each in (self._waiting, self._traffic) if each]
        self.log.advance(max(1, min(times, default=clock + SECOND) - clock))

    def _happen(self) -> None:
        clock = self.log.clock
        while self._traffic and self.origin + self._traffic[-1].at <= clock:
            self._append(self._traffic.pop().record)
        while self._waiting and self.origin + self._waiting[-1].at <= clock:
            self._trouble(self._waiting.pop())
        for promise in [each for each in self._promised if each[0] <= clock]:
            self._promised.remove(promise)
            promise[1]()
        for slot in list(self._slots.values()):
            if slot.returns is not None and slot.returns <= clock:
                slot.returns = None
                self._start(slot)

    def _go_on(self, slot: Slot) -> None:
        if slot.asleep:
            slot.asleep = False
            self._consumer(slot, "wake")
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
            self.give_way(ms)

    def _step(self, step: str, when: str) -> None:
        """The hook of the log: before and after each of its steps."""
        slot = self._now
        if slot is None:
            return
        if (step, when) == ("commit", "after"):
            self.steps.append(slot.member.name)
            self.log.faults.offsets_first = self._draw.random() < 0.5
            self._committed(self)
        if step != "produce" or self._draw.random() < 0.2:
            self.give_way(self._draw.choice((0, 0, 1, 3)))
        self._strike(slot, step, when)
        if when == "before" and self.log.clock < self._flaky_until and step not in {"begin", "poll"}:
            self._requests += 1
            if self._requests % 3 == 0:
                raise Retriable(f"the third request is refused: {step}", "NOT_COORDINATOR")

    def _strike(self, slot: Slot, step: str, when: str) -> None:
        for i, (trouble, left) in enumerate(slot.armed):
            if (trouble.step, trouble.when) != (step, when):
                continue
            slot.armed[i] = (trouble, left - 1)
            if left > 1:
                continue
            del slot.armed[i]
            if trouble.kind == "kill":
                self._die(slot, trouble.lasting)
                self._hub.switch()
            elif trouble.kind == "stall":
                slot.asleep = True
                self._consumer(slot, "suspend")
                self.give_way(trouble.lasting)
            else:
                kind = trouble.error.split()[0]
                raise ERRORS[kind](f"planned at {step}", "PLANNED")
            return

    # -- workers -------------------------------------------------------------------------------------------------

    def _start(self, slot: Slot) -> None:
        slot.lives += 1
        slot.worker = worker = self._make(slot)

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

        slot.run = greenlet.greenlet(live)
        slot.until = self.log.clock

    def _make(self, slot: Slot) -> Worker:
        member = slot.member
        stage = self._join() if member.stage == "join" else self._gauge()
        return Worker(
            stage,
            self.log,
            WorkerSettings(
                self.config.kafka.application_id, member.instance, f"{member.name}-{slot.lives}",
                commit_interval=self.plan.commit_interval / 1000, max_skew=self.plan.max_skew,
            ),
            SlotClock(self, member),
            Telemetry(stage.name, "dead-letters", "alerts"),
            stop_at=StopAt(""),
        )  # fmt: skip

    def _join(self) -> Any:
        return join_stage(self.config, self._layout, "earliest")

    def _gauge(self) -> GaugeStage:
        made = replace(GaugeSettings.from_config(self.config), snapshot_every=self.plan.snapshot_every)
        topics = GaugeTopics(self.config.outcomes_topic, self.config.snapshots_topic, self.plan.outcomes_partitions)
        return GaugeStage(topics, self.config.gauge_group, lambda partition: GaugeTask(made, partition))

    def _die(self, slot: Slot, down: int | None) -> None:
        """Gone in the middle of what it did: nothing is closed, nothing is said."""
        self._consumer(slot, "suspend")
        self._dead.append(slot.run)
        slot.run = slot.worker = slot.until = None
        slot.asleep = False
        slot.returns = None if down is None else self.log.clock + down

    def _consumer(self, slot: Slot, what: str) -> None:
        if slot.worker is not None and slot.worker._consumer is not None:
            getattr(slot.worker._consumer, what)()

    def _end(self) -> None:
        self.log.faults.hook = None
        self._now = None
        for run in [*self._dead, *(slot.run for slot in self._slots.values())]:
            if run is not None and not run.dead:
                run.throw(greenlet.GreenletExit)

    # -- troubles ------------------------------------------------------------------------------------------------

    def _trouble(self, trouble: Trouble) -> None:
        if trouble.kind in {"kill", "stall", "error"}:
            self._slots[trouble.who].armed.append((trouble, trouble.nth))
        else:
            getattr(self, "_" + trouble.kind.replace(" ", "_"))(trouble)

    def _hire(self, trouble: Trouble) -> None:
        slot = self._slots[trouble.who]
        if slot.run is None:
            slot.returns = None
            self._start(slot)

    def _retire(self, trouble: Trouble) -> None:
        slot = self._slots[trouble.who]
        if slot.worker is not None and slot.run is not None:
            slot.worker.stop()

    def _flaky(self, trouble: Trouble) -> None:
        """Every third request of anybody is refused for a while."""
        self._flaky_until = self.log.clock + trouble.lasting

    def _rebalance(self, trouble: Trouble) -> None:
        """The group starts anew although nobody came or went."""
        self.log.group(self._group(trouble.who)).topics_changed()

    def _late_produce(self, trouble: Trouble) -> None:
        self.log.faults.linger = True
        self._later(trouble.lasting, lambda: setattr(self.log.faults, "linger", False))

    def _outage(self, trouble: Trouble) -> None:
        assert trouble.place is not None
        topic, number = trouble.place
        own = {"outcomes": self.config.outcomes_topic, "journal": self.config.journal_topic,
               "snapshots": self.config.snapshots_topic}  # fmt: skip
        place = TopicPartition(
            own.get(topic, TOPICS[topic]), number % self.log.partition_count(own.get(topic, TOPICS[topic]))
        )
        self.log.faults.down.add(place)
        self._later(trouble.lasting, lambda: self.log.faults.down.discard(place))

    def _twin(self, trouble: Trouble) -> None:
        """A newer worker of the same name starts while the older one is alive."""
        slot = self._slots[trouble.who]
        if slot.member.instance is None or slot.run is None:
            return
        name = f"{trouble.who}+{slot.lives}"
        self.twins |= {each for each, other in self._slots.items() if other.member.instance == slot.member.instance}
        self.twins.add(name)
        self._slots[name] = Slot(replace(slot.member, name=name, skew=-slot.member.skew))
        self._start(self._slots[name])

    def _swap(self, trouble: Trouble) -> None:
        """Another takes over, commits, and leaves, while the first one stands still, too short to lose its place."""
        first = next((slot for slot in self._slots.values() if slot.run is not None
                      and slot.member.stage == self._slots[trouble.who].member.stage), None)  # fmt: skip
        second = self._slots[trouble.who]
        if first is None or first is second or second.run is not None:
            return
        self._start(second)
        stall = Trouble(trouble.at, "stall", first.member.name, "poll", "before", lasting=trouble.lasting + 5 * SECOND)
        first.armed.append((stall, 2))
        self._later(trouble.lasting, lambda: self._retire(trouble))

    def _downtime(self, trouble: Trouble) -> None:
        """Everybody dies at once, and is back after a while; with luck the groups' offsets have expired by then."""
        for slot in self._slots.values():
            if slot.run is not None:
                self._die(slot, trouble.lasting)
        if trouble.error:
            self._later(trouble.lasting - SECOND, self._expire_offsets)

    def _expire_offsets(self) -> None:
        heads = [newest_committed(self.log, place, b"head") for place in places(self.log, self.config.snapshots_topic)]
        for group in (self.config.join_group, self.config.gauge_group):
            if group == self.config.gauge_group and None in heads:
                continue  # begun, and no snapshot yet: refused, by contract
            if not self.log.group(group).members and not self.log.transactions.ending:
                self.log.expire_offsets(group)

    def _retention(self, trouble: Trouble) -> None:
        """What has been read of the inputs, and what snapshots cover of the outcomes, is deleted."""
        for place, committed in self.log.group(self.config.join_group).offsets.items():
            if place.topic in self._topics.values():
                self.log.expire_before(place, committed.offset)
        for place in places(self.log, self.config.snapshots_topic):
            head = newest_committed(self.log, place, b"head")
            if head is not None and head.value is not None:
                cut = read_state(b"SGHD", head.value)["offset"]
                self.log.expire_before(TopicPartition(self.config.outcomes_topic, place.partition), cut)

    def _compaction(self, trouble: Trouble) -> None:
        """The cleaner goes over the snapshots, the last few records aside."""
        for place in places(self.log, self.config.snapshots_topic):
            self.log.compact(place, self.log.partition(place).end - self._draw.choice((0, 1, 5)))

    def _later(self, ms: int, act: Callable[[], None]) -> None:
        self._promised.append((self.log.clock + ms, act))

    def _group(self, who: str) -> str:
        return self.config.join_group if who.startswith("join") else self.config.gauge_group

    def _fetch(self, turns: Sequence[TopicPartition]) -> list[tuple[TopicPartition, int]]:
        """Partitions answer in any order, not all of them, and with as much as they like."""
        found = [(each, self._draw.choice((1, 3, 20, 1_000))) for each in turns if self._draw.random() < 0.8]
        self._draw.shuffle(found)
        return found


@contextmanager
def _poison() -> Iterator[None]:
    """Records of the poisonous value raise in the plan of the join; journals are trimmed often; nobody writes a log."""
    whole = join_plan.words_of

    def raises(numbers: Any, texts: Any) -> Any:
        if (numbers == POISON).any():
            raise ArithmeticError("poison")
        return whole(numbers, texts)

    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        with mock.patch.object(join_plan, "words_of", raises), mock.patch.object(upkeep, "_TRIM_EVERY", 4.0):
            yield
    finally:
        structlog.configure(wrapper_class=before)


__all__ = ["ROLLING", "SIZES", "TOPICS", "Slot", "Stage", "Violation", "World", "configuration"]
