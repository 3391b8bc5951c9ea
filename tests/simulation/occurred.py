"""What has occurred in a history: the things that the histories are there for, counted, so that none is only believed
to be among them."""

from __future__ import annotations

from collections import Counter, defaultdict

from streams.records import TopicPartition
from tests.integration.traffic import HORIZON, Bad, Order, Tombstone
from tests.simulation.application import TOPICS
from tests.simulation.topics import places, published
from tests.simulation.watch import Watch
from tests.simulation.world import World

WANTED = (
    "markers of one transaction shown one after the other",
    "the end of a log held back by an open transaction",
    "fenced: no member any more",
    "fenced: a newer worker of that name",
    "fenced: a newer producer, or the time-out",
    "a reply to a commit lost, applied",
    "a reply to a commit lost, not applied",
    "a record that lingers in its producer",
    "a rebalance inside a poll: everything revoked",
    "a membership lost inside a poll",
    "a static member that does not leave as its worker ends",
    "a static member is back before its session ends",
    "retention: records that were read are deleted",
    "the journal cut at its floor",
    "compaction: a record is gone",
    "an input in a transaction of its service",
    "an input that is aborted",
    "a tombstone among the inputs",
    "a tombstone of a snapshot's chunk",
    "a record that is too large",
    "several messages of one commit in one partition",
    "a group's offsets expire",
    "an outage: nothing fetched from a partition",
    "an outage: a call waits for the leader",
    "an outage longer than sessions and transactions",
    "a worker whose clock is off",
    "a worker whose clock goes at another rate",
    "a third request refused",
    "EndTxn applied, its reply lost, then death",
    "offsets unstable: who reads them waits",
    "a marker waits for the leader of its partition",
    "a restore while offsets are committed whose records cannot be seen yet",
    "a zombie's commit is applied, its session has ended",
    "a zombie wakes before send_offsets, its successor has committed",
    "a zombie wakes between send_offsets and EndTxn, its successor has committed",
    "a correction shortly before expiry",
    "a withdrawal shortly before expiry",
    "a duplicate shortly before expiry",
    "a correction of what the floor's block holds",
    "a withdrawal of what the floor's block holds",
    "a correction across a death",
    "a withdrawal across a death",
    "predictions that expire",
    "an abort after a snapshot and outputs were appended",
    "labels stalled beyond the horizon, a rebalance meanwhile",
    "hours of downtime",
    "one worker, four, two",
    "two workers of one name",
    "overtaken and back while a worker stands still",
    "poison that raises as it is applied",
    "a control record, in every outcomes partition",
    "a control record that is deleted",
    "a control record that is refused",
    "an alert that is muted",
    "an alert that is acknowledged",
    "a re-baseline",
    "a change that a detector finds",
    "a threshold that fires",
    "a stream that falls silent",
    "a stream that is heard again",
)
"""What a thousand histories must not lack. Workers that keep the protocol never commit with an old generation: that
the log refuses it is shown in tests/log."""


def happened(world: World, watch: Watch) -> Counter[str]:
    """How often each thing occurred in a history that has ended."""
    seen = world.seen + watch.seen
    _of_the_records(world, seen)
    _of_the_log(world, seen)
    _of_alerts(world, seen)
    for sizes in world.notes.crews.values():
        seen["one worker, four, two"] += _in_order((1, 4, 2), sizes)
    stall = world.plan.pace.stall
    if stall is not None and stall.topic == "labels" and stall.event_time > HORIZON:
        begin, end = world.origin + stall.begin, world.origin + stall.end
        seen["labels stalled beyond the horizon, a rebalance meanwhile"] += any(
            stage == "join" and begin <= at <= end for at, stage in world.notes.revoked
        )
    return +seen


def _of_the_records(world: World, seen: Counter[str]) -> None:
    for logged in world.sent:
        match logged.record.meaning:
            case Tombstone():
                seen["a tombstone among the inputs"] += 1
            case Bad("too_large"):
                seen["a record that is too large"] += 1
            case Bad("unknown"):
                seen["poison that raises as it is applied"] += 1
            case Bad() if logged.record.topic == "control":
                seen["a control record that is refused"] += 1
            case Order(_, None):
                seen["a control record that is deleted"] += 1
            case Order(key, _):
                seen["a control record, in every outcomes partition"] += 1
                seen["a re-baseline"] += key.startswith("rebaseline/")


def _of_the_log(world: World, seen: Counter[str]) -> None:
    seen["the journal cut at its floor"] += sum(
        world.log.partition(place).low > 0 for place in places(world.log, world.config.journal_topic)
    )
    aborted: dict[str, set[int]] = defaultdict(set)
    for topic in (world.config.snapshots_topic, TOPICS["metrics"], TOPICS["alerts"]):
        for place in places(world.log, topic):
            aborted[topic] |= world.log.partition(place).aborted
    said = aborted[TOPICS["metrics"]] | aborted[TOPICS["alerts"]]
    snapshots = places(world.log, world.config.snapshots_topic)
    seen["an abort after a snapshot and outputs were appended"] += sum(
        any(_has_chunk(world, place, serial) for place in snapshots)
        for serial in aborted[world.config.snapshots_topic] & said
    )
    seen["a tombstone of a snapshot's chunk"] += sum(
        entry.value is None and entry.key is not None and not entry.marker
        for place in snapshots
        for entry in world.log.partition(place).entries
    )


def _has_chunk(world: World, place: TopicPartition, serial: int) -> bool:
    """Whether the transaction had a chunk of a model there. What the cleaner has been over is not known any more."""
    return any(
        entry.transaction == serial and (entry.key or b"").startswith(b"model/")
        for entry in world.log.partition(place).entries
    )


def _of_alerts(world: World, seen: Counter[str]) -> None:
    for record in published(world.log, TOPICS["alerts"]):
        event = record.event()
        seen["an alert that is muted"] += event.get("muted_by") is not None
        seen["an alert that is acknowledged"] += event.get("acknowledged_by") is not None
        missed = event["kind"] == "silence_of_stream"
        seen["a stream that is heard again"] += missed and event["status"] == "resolved"
        if event["status"] == "firing":
            seen["a stream that falls silent"] += missed
            seen["a change that a detector finds"] += event["kind"] == "drift"
            seen["a threshold that fires"] += event["kind"] == "threshold"


def _in_order(wanted: tuple[int, ...], found: list[int]) -> bool:
    left = iter(found)
    return all(each in left for each in wanted)


def table(seen: Counter[str], histories: Counter[str]) -> str:
    """Each thing, how often it occurred, and in how many histories; what is wanted first."""
    others = sorted(name for name in seen if name not in WANTED)
    return "\n".join(f"  {name:<80} {seen[name]:>9,} in {histories[name]:>5,}" for name in (*WANTED, *others))
