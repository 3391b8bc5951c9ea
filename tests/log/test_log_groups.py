"""What both logs promise of groups: assignment, rebalances, static members, and who is fenced by what."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace

import confluent_kafka
import pytest
from log_cluster import PATIENCE, SESSION_MS, AnyCluster, KafkaCluster, Member, MemoryCluster, at, flushed
from log_zombie import Zombie

from streams.log import Fenced, GroupMetadata, LogError, MembershipLost, MemoryLog
from streams.records import OutputRecord, TopicPartition

Unique = Callable[[str], str]


def both_own(first: Member, second: Member, each: int) -> Callable[[], bool]:
    """Whether the two have so many partitions each."""
    return lambda: len(first.owns()) == len(second.owns()) == each


def test_a_lone_member_is_assigned_everything(cluster: AnyCluster, unique: Unique) -> None:
    topic = cluster.topic(unique("t"), 3).topic
    member = cluster.member(unique("g"), [topic])
    cluster.until(lambda: bool(member.owns()), member)
    everything = [TopicPartition(topic, i) for i in range(3)]
    assert member.owns() == everything
    assert member.watch.events == [("assigned", everything)]
    assert member.consumer.group_metadata().owned == frozenset(everything)


def test_a_rebalance_takes_everything_back_and_then_shares_it(cluster: AnyCluster, unique: Unique) -> None:
    topic, group = cluster.topic(unique("t"), 4).topic, unique("g")
    first = cluster.member(group, [topic])
    cluster.until(lambda: len(first.owns()) == 4, first)
    generation = first.consumer.group_metadata().generation
    second = cluster.member(group, [topic])
    cluster.until(both_own(first, second, 2), first, second)
    everything = [TopicPartition(topic, i) for i in range(4)]
    assert first.watch.events == [("assigned", everything), ("revoked", everything), ("assigned", first.owns())]
    assert sorted(first.owns() + second.owns()) == everything
    assert first.consumer.group_metadata().generation > generation
    assert first.consumer.group_metadata().generation == second.consumer.group_metadata().generation


def test_range_keeps_the_partitions_of_co_partitioned_topics_together(cluster: AnyCluster, unique: Unique) -> None:
    left, right, group = unique("a"), unique("b"), unique("g")
    cluster.topic(left, 5)
    cluster.topic(right, 5)
    members = [cluster.member(group, [left, right]) for _ in range(2)]
    cluster.until(lambda: sorted(len(m.owns()) for m in members) == [4, 6], *members)
    for member in members:
        numbers = {topic: [p.partition for p in member.owns() if p.topic == topic] for topic in (left, right)}
        assert numbers[left] == numbers[right]
        assert numbers[left] == list(range(numbers[left][0], numbers[left][-1] + 1))


def test_positions_and_pauses_end_with_the_assignment(cluster: AnyCluster, unique: Unique) -> None:
    topic, group = cluster.topic(unique("t"), 2).topic, unique("g")
    first = cluster.member(group, [topic])
    cluster.until(lambda: len(first.owns()) == 2, first)
    first.consumer.pause(first.owns())
    second = cluster.member(group, [topic])
    cluster.until(both_own(first, second, 1), first, second)
    (kept,), (gone,) = first.owns(), second.owns()
    assert first.consumer.position(gone) is None
    cluster.append(topic, b"x", partition=kept.partition)
    cluster.until(lambda: first.values() == [b"x"], first)
    with pytest.raises(LogError, match="not assigned"):
        first.consumer.seek(gone, 0)


def test_a_dynamic_member_that_closes_leaves_at_once(cluster: AnyCluster, unique: Unique) -> None:
    topic, group = cluster.topic(unique("t"), 2).topic, unique("g")
    first, second = cluster.member(group, [topic]), cluster.member(group, [topic])
    cluster.until(both_own(first, second, 1), first, second)
    first.consumer.close()
    cluster.until(lambda: len(second.owns()) == 2, second)
    assert first.watch.names()[-1] == "assigned", "closing calls no listener"


def test_a_static_member_comes_back_to_its_place_without_a_rebalance(cluster: AnyCluster, unique: Unique) -> None:
    topic, group = cluster.topic(unique("t"), 2).topic, unique("g")
    first, second = cluster.member(group, [topic], "one"), cluster.member(group, [topic], "two")
    cluster.until(both_own(first, second, 1), first, second)
    owned, seen = first.owns(), len(second.watch.events)
    generation = second.consumer.group_metadata().generation
    first.consumer.close(leave=False)
    back = cluster.member(group, [topic], "one")
    cluster.until(lambda: bool(back.owns()), back, second)
    assert back.owns() == owned
    assert len(second.watch.events) == seen, "its peer was told nothing"
    assert second.consumer.group_metadata().generation == back.consumer.group_metadata().generation == generation


def test_the_peer_takes_over_from_a_static_member_whose_session_has_ended(cluster: AnyCluster, unique: Unique) -> None:
    topic, group = cluster.topic(unique("t"), 2).topic, unique("g")
    first, second = cluster.member(group, [topic], "one"), cluster.member(group, [topic], "two")
    cluster.until(both_own(first, second, 1), first, second)
    first.consumer.close()
    second.poll()
    assert len(second.owns()) == 1, "closing does not give a static member's partitions away"
    cluster.until(lambda: len(second.owns()) == 2, second)


def test_a_static_member_that_was_replaced_is_fenced(cluster: AnyCluster, unique: Unique) -> None:
    source, group = cluster.topic(unique("t")), unique("g")
    old = cluster.member(group, [source.topic], "one")
    cluster.until(lambda: bool(old.owns()), old)
    metadata = old.consumer.group_metadata()
    new = cluster.member(group, [source.topic], "one")
    cluster.until(lambda: bool(new.owns()), new)
    producer = cluster.producer(unique("x"))
    producer.begin()
    with pytest.raises(Fenced):
        producer.send_offsets({source: at(5)}, metadata, PATIENCE)
    with pytest.raises(Fenced):
        cluster.until(lambda: False, old)
    assert new.consumer.committed([source], PATIENCE) == {source: None}


def test_stale_metadata_of_a_live_member_is_refused_and_fresh_metadata_is_taken(
    cluster: AnyCluster, unique: Unique
) -> None:
    topic, group = cluster.topic(unique("t"), 2).topic, unique("g")
    first = cluster.member(group, [topic])
    cluster.until(lambda: len(first.owns()) == 2, first)
    stale = first.consumer.group_metadata()
    second = cluster.member(group, [topic])
    cluster.until(both_own(first, second, 1), first, second)
    (mine,) = first.owns()
    producer = cluster.producer(unique("x"))
    producer.begin()
    flushed(producer, topic, b"stale", mine.partition)
    with pytest.raises(MembershipLost) as lost:
        producer.send_offsets({mine: at(5)}, stale, PATIENCE)
    assert lost.value.code == "ILLEGAL_GENERATION"
    producer.abort(PATIENCE)
    producer.begin()
    flushed(producer, topic, b"fresh", mine.partition)
    producer.send_offsets({mine: at(6)}, first.consumer.group_metadata(), PATIENCE)
    producer.commit(PATIENCE)
    assert cluster.read(mine) == [b"fresh"]
    assert first.consumer.committed([mine], PATIENCE) == {mine: at(6)}


def test_a_member_that_left_is_refused(cluster: AnyCluster, unique: Unique) -> None:
    source, group = cluster.topic(unique("t")), unique("g")
    gone = cluster.member(group, [source.topic])
    cluster.until(lambda: bool(gone.owns()), gone)
    metadata = gone.consumer.group_metadata()
    gone.consumer.close()
    producer = cluster.producer(unique("x"))
    producer.begin()
    with pytest.raises(MembershipLost) as lost:
        producer.send_offsets({source: at(5)}, metadata, PATIENCE)
    assert lost.value.code == "UNKNOWN_MEMBER_ID"


def test_a_consumer_that_never_joined_has_no_metadata(cluster: AnyCluster, unique: Unique) -> None:
    source, group = cluster.topic(unique("t")), unique("g")
    stranger = cluster.kept(cluster.log.consumer(group, None))
    with pytest.raises(MembershipLost, match="has not joined"):
        stranger.group_metadata()
    producer = cluster.producer(unique("x"))
    producer.begin()
    with pytest.raises(MembershipLost, match="has not joined"):
        producer.send_offsets({source: at(1)}, GroupMetadata(group, "", -1, None, frozenset({source})), PATIENCE)


def test_the_broker_itself_would_take_metadata_of_a_consumer_that_never_joined(
    cluster: AnyCluster, unique: Unique
) -> None:
    """Why the refusal above is ours to make."""
    source, group = cluster.topic(unique("t")), unique("g")
    if isinstance(cluster, MemoryCluster):
        cluster.log.group(group).verify_offsets(GroupMetadata(group, "", -1, None))
        return
    producer = cluster.producer(unique("x"))
    stranger = cluster.kept(cluster.log.consumer(group, None))
    producer.begin()
    producer._client.send_offsets_to_transaction(
        [confluent_kafka.TopicPartition(*source, 3)], stranger._client.consumer_group_metadata(), PATIENCE
    )
    producer.commit(PATIENCE)
    assert stranger.committed([source], PATIENCE) == {source: at(3)}


def test_offsets_of_partitions_that_someone_else_owns_are_refused(cluster: AnyCluster, unique: Unique) -> None:
    topic, group = cluster.topic(unique("t"), 2).topic, unique("g")
    first, second = cluster.member(group, [topic]), cluster.member(group, [topic])
    cluster.until(both_own(first, second, 1), first, second)
    (theirs,) = second.owns()
    metadata = first.consumer.group_metadata()
    producer = cluster.producer(unique("x"))
    producer.begin()
    with pytest.raises(MembershipLost, match="not owned"):
        producer.send_offsets({theirs: at(5)}, metadata, PATIENCE)
    # The broker fences by member and generation, not by ownership: asked, it would have taken them.
    producer.send_offsets({theirs: at(5)}, replace(metadata, owned=frozenset({theirs})), PATIENCE)
    producer.commit(PATIENCE)
    assert second.consumer.committed([theirs], PATIENCE) == {theirs: at(5)}


def test_committed_offsets_survive_their_group_being_empty(cluster: AnyCluster, unique: Unique) -> None:
    source, group = cluster.topic(unique("t")), unique("g")
    member = cluster.member(group, [source.topic])
    cluster.until(lambda: bool(member.owns()), member)
    producer = cluster.producer(unique("x"))
    producer.begin()
    producer.send_offsets({source: at(4, "commit 1")}, member.consumer.group_metadata(), PATIENCE)
    producer.commit(PATIENCE)
    member.consumer.close()
    later = cluster.member(group, [source.topic])
    assert later.consumer.committed([source], PATIENCE) == {source: at(4, "commit 1")}


def test_an_error_of_the_listener_leaves_poll(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))

    def fails(_: TopicPartition) -> int | None:
        raise RuntimeError("from the listener")

    member = cluster.member(unique("g"), [source.topic], start=fails)
    with pytest.raises(RuntimeError, match="from the listener"):
        cluster.until(lambda: False, member)


def test_nothing_of_a_zombie_is_visible_when_it_wakes_up_in_memory() -> None:
    cluster = MemoryCluster()
    cluster.log = MemoryLog(session_timeout=SESSION_MS, transaction_timeout=60_000)
    source = cluster.topic("t")
    zombie, heir = cluster.member("g", ["t"]), cluster.member("g", ["t"])
    cluster.until(lambda: bool(zombie.owns()), zombie)
    metadata = zombie.consumer.group_metadata()
    producer = cluster.producer("zombie")
    producer.begin()
    producer.produce(OutputRecord("t", None, b"zombie", 0))
    zombie.consumer.suspend()
    cluster.until(lambda: bool(heir.owns()), heir)
    zombie.consumer.wake()
    with pytest.raises(MembershipLost) as lost:
        producer.send_offsets({source: at(99, "zombie")}, metadata, PATIENCE)
    assert lost.value.code == "UNKNOWN_MEMBER_ID"
    producer.abort(PATIENCE)
    zombie.poll()
    assert zombie.watch.names() == ["assigned", "lost"]
    assert cluster.read(source) == []
    assert heir.consumer.committed([source], PATIENCE) == {source: None}


@pytest.fixture
def kafka_cluster(kafka: str) -> Iterator[KafkaCluster]:
    """The real one alone."""
    made = KafkaCluster(kafka)
    yield made
    made.close()


@pytest.mark.kafka
@pytest.mark.parametrize("instance", [None, "one"])
def test_nothing_of_a_zombie_process_is_visible_when_it_wakes_up(
    kafka_cluster: KafkaCluster, unique: Unique, instance: str | None
) -> None:
    cluster = kafka_cluster
    source, group = cluster.topic(unique("t")), unique("g")
    zombie = cluster.kept(Zombie(cluster.bootstrap_servers, group, source.topic, instance, unique("x")))
    joined = zombie.heard()
    assert joined["said"] == "joined"
    os.kill(zombie.process.pid, signal.SIGSTOP)
    # Dynamic: its session has to end. Static: whoever comes with its name takes its place at once.
    heir = cluster.member(group, [source.topic], instance)
    cluster.until(lambda: bool(heir.owns()), heir)
    os.kill(zombie.process.pid, signal.SIGCONT)
    zombie.go_on()
    refused = zombie.heard()
    expected = ("MembershipLost", "UNKNOWN_MEMBER_ID") if instance is None else ("Fenced", "FENCED_INSTANCE_ID")
    assert (refused["said"], refused["code"]) == expected
    if instance is None:
        assert zombie.heard()["said"] == ["assigned", "lost"]
    zombie.close()
    cluster.producer(unique("other")).close()
    assert heir.consumer.committed([source], PATIENCE) == {source: None}
