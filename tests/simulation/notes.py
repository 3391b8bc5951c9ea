"""Notes what happens in a world, for the table of what has occurred (occurred.py). It changes and draws nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from streams.log import LogError
from streams.log.memory.group import Group
from streams.records import TopicPartition
from tests.simulation.plan import Trouble
from tests.simulation.slots import Slot

if TYPE_CHECKING:
    from tests.simulation.world import World

_REFUSALS = {
    "ILLEGAL_GENERATION": "fenced: an old generation",
    "UNKNOWN_MEMBER_ID": "fenced: no member any more",
    "FENCED_INSTANCE_ID": "fenced: a newer worker of that name",
    "_FENCED": "fenced: a newer producer, or the time-out",
}
_BETWEEN = {("send_offsets", "after"), ("commit", "before")}


class Notes:
    """What has happened so far goes to `world.seen`; the rest is what a judge of the whole history needs."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.died: Counter[str] = Counter()
        self.crews: dict[str, list[int]] = defaultdict(list)
        self.revoked: list[tuple[int, str]] = []
        self._asleep: dict[str, tuple[Trouble, dict[TopicPartition, object], tuple[TopicPartition, ...]]] = {}
        self._unanswered: set[str] = set()
        self._zombies: set[str] = set()  # between send_offsets and EndTxn, thrown out of their group while they stood

    def reached(self, slot: Slot, step: str, when: str) -> None:
        """A worker is at a step of the log."""
        seen = self._world.seen
        if step == "marker":
            seen["markers of one transaction shown one after the other"] += 1
        elif step == "marker waits":
            seen["a marker waits for the leader of its partition"] += 1
        elif step == "revoke":
            seen["a rebalance inside a poll: everything revoked"] += 1
            self.revoked.append((self._world.log.clock, slot.member.stage))
        elif step == "lose":
            seen["a membership lost inside a poll"] += 1
        elif step == "produce" and when == "before" and self._world.log.faults.linger:
            seen["a record that lingers in its producer"] += 1
        elif step == "read" and when == "before":
            seen["a restore while offsets are committed whose records cannot be seen yet"] += self._hidden()
        elif (step, when) == ("commit", "after"):
            self._unanswered.discard(slot.member.name)
            seen["a zombie's commit is applied, its session has ended"] += slot.member.name in self._zombies
            self._zombies.discard(slot.member.name)

    def waits(self, slot: Slot) -> None:
        """A call of the log takes time."""
        what = (
            "offsets unstable: who reads them waits"
            if slot.step == "committed"
            else "an outage: a call waits for the leader"
        )
        self._world.seen[what] += 1

    def refused(self, slot: Slot | None, step: str, problem: LogError) -> None:
        """A call of the log has failed."""
        if slot is not None:
            self._zombies.discard(slot.member.name)
        if slot is not None and problem.code in _REFUSALS:
            self._world.seen[_REFUSALS[problem.code]] += 1

    def strikes(self, slot: Slot, trouble: Trouble) -> None:
        """A worker is killed, stands still, or is given an error."""
        seen, name = self._world.seen, slot.member.name
        if trouble.kind == "kill":
            seen[f"killed at {trouble.step}"] += 1
            if (trouble.step, trouble.when) == ("commit", "after") or name in self._unanswered:
                seen["EndTxn applied, its reply lost, then death"] += 1
        elif trouble.kind == "stall":
            consumer = slot.worker.consumer if slot.worker is not None else None
            places = () if consumer is None else tuple(consumer.assignment())
            self._asleep[name] = trouble, self._offsets(slot), places
        elif trouble.error.startswith("UnknownOutcome"):
            applied = trouble.when == "after"
            seen["a reply to a commit lost, " + ("applied" if applied else "not applied")] += 1
            if applied:
                self._unanswered.add(name)
        else:
            seen[f"{trouble.error.split()[0]} from {trouble.step}"] += 1

    def woke(self, slot: Slot) -> None:
        """A worker that stood still goes on."""
        noted = self._asleep.pop(slot.member.name, None)
        if noted is None:
            return
        trouble, before, places = noted
        if (trouble.step, trouble.when) in _BETWEEN and not slot.is_member(self._group(slot)):
            self._zombies.add(slot.member.name)
        now = self._offsets(slot)
        if not any(before.get(place) != now.get(place) for place in places):
            return
        where = "elsewhere"
        if (trouble.step, trouble.when) in _BETWEEN:
            where = "between send_offsets and EndTxn"
        elif trouble.step == "send_offsets":
            where = "before send_offsets"
        self._world.seen[f"a zombie wakes {where}, its successor has committed"] += 1

    def started(self, slot: Slot) -> None:
        """A worker begins to live."""
        member, seen = slot.member, self._world.seen
        seen["a worker whose clock is off"] += member.skew != 0
        seen["a worker whose clock goes at another rate"] += member.rate != 1
        if slot.lives > 1 and member.instance in self._group(slot).static:
            seen["a static member is back before its session ends"] += 1
        self.crew(member.stage)

    def ended(self, slot: Slot) -> None:
        """A worker has ended by itself."""
        if slot.member.instance in self._group(slot).static:
            self._world.seen["a static member that does not leave as its worker ends"] += 1
        self.crew(slot.member.stage)

    def crew(self, stage: str) -> None:
        """Workers of this stage have come or gone."""
        alive = sum(each.run is not None for each in self._world.slots.values() if each.member.stage == stage)
        if self.crews[stage][-1:] != [alive]:
            self.crews[stage].append(alive)

    def died_of(self, slot: Slot) -> None:
        """A worker was killed."""
        self.died[slot.member.stage] += 1
        self._asleep.pop(slot.member.name, None)
        self._zombies.discard(slot.member.name)
        self._unanswered.discard(slot.member.name)
        self.crew(slot.member.stage)

    def _hidden(self) -> bool:
        log = self._world.log
        return log.transactions.ending and any(
            log.partition(place).stable_end < log.partition(place).end for place in log.faults.late
        )

    def _group(self, slot: Slot) -> Group:
        config = self._world.config
        return self._world.log.group(config.join_group if slot.member.stage == "join" else config.gauge_group)

    def _offsets(self, slot: Slot) -> dict[TopicPartition, object]:
        return dict(self._group(slot).offsets)
