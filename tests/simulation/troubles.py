"""What goes wrong beside deaths, stalls and errors at a step: one function for each kind of trouble of a plan."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from streams.gauge import snapshots
from streams.records import TopicPartition
from tests.integration.state_checks import read_state
from tests.integration.traffic import HOUR, Order, Record
from tests.simulation.application import TOPICS
from tests.simulation.plan import SECOND, Trouble
from tests.simulation.slots import Slot
from tests.simulation.topics import newest_committed, places, published

if TYPE_CHECKING:
    from tests.simulation.world import World


def _hire(world: World, trouble: Trouble) -> None:
    slot = world.slots[trouble.who]
    if slot.run is None:
        slot.returns = None
        world.start(slot)


def _retire(world: World, trouble: Trouble) -> None:
    slot = world.slots[trouble.who]
    if slot.worker is not None and slot.run is not None:
        world.retired.add(trouble.who)
        slot.worker.stop()


def _flaky(world: World, trouble: Trouble) -> None:
    """Every third request of anybody is refused for a while."""
    world.flaky_until = world.log.clock + trouble.lasting


def _rebalance(world: World, trouble: Trouble) -> None:
    """The group starts anew although nobody came or went."""
    world.log.group(_group(world, trouble.who)).topics_changed()


def _late_produce(world: World, trouble: Trouble) -> None:
    world.log.faults.linger = True
    world.later(trouble.lasting, lambda: setattr(world.log.faults, "linger", False))


def _outage(world: World, trouble: Trouble) -> None:
    world.seen["an outage longer than sessions and transactions"] += trouble.lasting >= 20 * SECOND
    _befall(world, trouble, world.log.faults.down)


def _late_markers(world: World, trouble: Trouble) -> None:
    """The coordinator does not reach a partition: offsets are committed whose records cannot be seen yet."""
    _befall(world, trouble, world.log.faults.late)


def _befall(world: World, trouble: Trouble, stricken: set[TopicPartition]) -> None:
    """The trouble's partition is among the stricken for a while."""
    assert trouble.place is not None
    name, number = trouble.place
    own = {"outcomes": world.config.outcomes_topic, "journal": world.config.journal_topic,
           "snapshots": world.config.snapshots_topic}  # fmt: skip
    topic = own[name] if name in own else TOPICS[name]
    place = TopicPartition(topic, number % world.log.partition_count(topic))
    stricken.add(place)
    world.later(trouble.lasting, lambda: stricken.discard(place))


def _twin(world: World, trouble: Trouble) -> None:
    """A newer worker of the same name starts while the older one is alive."""
    slot = world.slots[trouble.who]
    if slot.member.instance is None or slot.run is None:
        return
    name = f"{trouble.who}+{slot.lives}"
    world.seen["two workers of one name"] += 1
    world.twins |= {each for each, other in world.slots.items() if other.member.instance == slot.member.instance}
    world.twins.add(name)
    world.slots[name] = Slot(replace(slot.member, name=name, skew=-slot.member.skew))
    world.start(world.slots[name])


def _swap(world: World, trouble: Trouble) -> None:
    """Another takes over, commits, and leaves, while the first one stands still, too short to lose its place."""
    first = next((slot for slot in world.slots.values() if slot.run is not None
                  and slot.member.stage == world.slots[trouble.who].member.stage), None)  # fmt: skip
    second = world.slots[trouble.who]
    if first is None or first is second or second.run is not None:
        return
    world.seen["overtaken and back while a worker stands still"] += 1
    world.start(second)
    stall = Trouble(trouble.at, "stall", first.member.name, "poll", "before", lasting=trouble.lasting + 5 * SECOND)
    first.armed.append((stall, 2))
    world.later(trouble.lasting, lambda: _retire(world, trouble))


def _downtime(world: World, trouble: Trouble) -> None:
    """Everybody dies at once, and is back after a while; with luck the groups' offsets have expired by then."""
    world.seen["hours of downtime"] += trouble.lasting >= HOUR
    for slot in world.slots.values():
        if slot.run is not None:
            world.die(slot, trouble.lasting)
    if trouble.error:
        world.later(trouble.lasting - SECOND, lambda: _expire_offsets(world))


def _expire_offsets(world: World) -> None:
    heads = [newest_committed(world.log, place, b"head") for place in places(world.log, world.config.snapshots_topic)]
    for group in (world.config.join_group, world.config.gauge_group):
        if group == world.config.gauge_group and None in heads:
            continue  # begun, and no snapshot yet: refused, by contract
        if not world.log.group(group).members and not world.log.transactions.ending:
            world.log.expire_offsets(group)
            world.seen["a group's offsets expire"] += 1


def _retention(world: World, trouble: Trouble) -> None:
    """What has been read of the inputs, and what snapshots cover of the outcomes, is deleted."""
    for place, committed in world.log.group(world.config.join_group).offsets.items():
        if place.topic in world.topics.values():
            _delete(world, place, committed.offset)
    for place in places(world.log, world.config.snapshots_topic):
        head = newest_committed(world.log, place, b"head")
        if head is not None and head.value is not None:
            cut = read_state(b"SGHD", head.value)["offset"]
            _delete(world, TopicPartition(world.config.outcomes_topic, place.partition), cut)


def _delete(world: World, place: TopicPartition, before: int) -> None:
    low = world.log.partition(place).low
    world.log.expire_before(place, before)
    world.seen["retention: records that were read are deleted"] += world.log.partition(place).low - low


def _compaction(world: World, trouble: Trouble) -> None:
    """The cleaner goes over the snapshots, the last few records aside, and over what was read of the control topic."""
    ends = {place: world.log.partition(place).end - world.draw.choice((0, 1, 5))
            for place in places(world.log, world.config.snapshots_topic)}  # fmt: skip
    control = TopicPartition(world.config.topics.control, 0)
    read = world.log.group(world.config.join_group).offsets.get(control)
    for place, end in (ends | ({} if read is None else {control: read.offset})).items():
        before = _records(world, place)
        world.log.compact(place, end)
        world.seen["compaction: a record is gone"] += before - _records(world, place)


def _records(world: World, place: TopicPartition) -> int:
    return sum(not entry.marker for entry in world.log.partition(place).entries)


def _scale(world: World, trouble: Trouble) -> None:
    """One worker, then four, then two: those that go are told to."""
    slots = [slot for slot in world.slots.values() if slot.member.stage == world.slots[trouble.who].member.stage]
    retiring = [slot for slot in slots[1:] if slot.run is not None]
    for slot in retiring:
        _retire(world, replace(trouble, who=slot.member.name))
    alone = world.log.clock + 60 * SECOND

    def grow() -> None:
        if any(slot.run is not None for slot in slots[1:]) and world.log.clock < alone:
            world.later(SECOND, grow)
            return
        for slot in slots:
            _hire(world, replace(trouble, who=slot.member.name))
        world.later(trouble.lasting, shrink)

    def shrink() -> None:
        for slot in slots[2:]:
            _retire(world, replace(trouble, who=slot.member.name))

    world.later(SECOND if retiring else 0, grow)


def _transaction(world: World, trouble: Trouble) -> None:
    """The services write in a transaction for a while, or some of them what they take back."""
    world.later(trouble.lasting, world.services.begin(committed=trouble.error != "aborted"))


def _small_chunks(world: World, trouble: Trouble) -> None:
    """Snapshots are cut into chunks of a few hundred bytes from now on."""
    snapshots.CHUNK = 600


def _acknowledge(world: World, trouble: Trouble) -> None:
    """Somebody has seen the drift that was found last, and says a little later that this is normal from now on."""
    drifts = [each.event() for each in published(world.log, TOPICS["alerts"])]
    drifts = [each for each in drifts if each["kind"] == "drift" and not each["segment"]]
    if drifts:
        seen = drifts[-1]
        _order(world, f"ack/{seen['episode_id']}", {"by": "the one on duty", "comment": "seen"})
        name = f"rebaseline/{seen['model']}/{seen['version']}/{seen['subject']}"
        world.later(3 * SECOND, lambda: _order(world, name, {}))


def _order(world: World, key: str, body: dict[str, Any]) -> None:
    world.append(Record("control", key.encode(), json.dumps(body).encode(), world.log.clock, Order(key, body)))


def _group(world: World, who: str) -> str:
    return world.config.join_group if who.startswith("join") else world.config.gauge_group


KINDS: Mapping[str, Callable[[World, Trouble], None]] = {
    "hire": _hire,
    "retire": _retire,
    "flaky": _flaky,
    "rebalance": _rebalance,
    "late produce": _late_produce,
    "outage": _outage,
    "late markers": _late_markers,
    "twin": _twin,
    "swap": _swap,
    "downtime": _downtime,
    "retention": _retention,
    "compaction": _compaction,
    "scale": _scale,
    "small chunks": _small_chunks,
    "transaction": _transaction,
    "acknowledge": _acknowledge,
}
"""By their names in a plan."""
