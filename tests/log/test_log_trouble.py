"""What the in-memory log does of its own when it is told to: markers one by one, lingering producers, lost leaders,
compaction, fetches in any order."""

from __future__ import annotations

import pytest
from log_cluster import PATIENCE, TRANSACTION_MS, Member, MemoryCluster, at

from streams.log import Abortable, Unreachable
from streams.records import OutputRecord, TopicPartition

FIRST, SECOND = TopicPartition("t", 0), TopicPartition("t", 1)


def joined(cluster: MemoryCluster) -> Member:
    cluster.topic("t", 2)
    member = cluster.member("g", ["t"])
    cluster.until(lambda: bool(member.owns()), member)
    return member


def values(cluster: MemoryCluster, place: TopicPartition) -> list[bytes | None]:
    """What can be read of a partition now."""
    stored = cluster.log.partition(place)
    return [entry.value for entry in stored.readable(stored.low, stored.end, stored.end)[0]]


@pytest.mark.parametrize("offsets_first", [True, False])
def test_the_markers_of_a_transaction_appear_one_after_the_other(offsets_first: bool) -> None:
    cluster = MemoryCluster()
    member, producer = joined(cluster), cluster.producer("x")
    cluster.log.faults.offsets_first = offsets_first
    seen: list[tuple[bool, bool, bool]] = []

    def look(step: str, _when: str) -> None:
        if step == "marker":
            committed = cluster.log.group("g").offsets.get(FIRST) is not None
            seen.append((bool(values(cluster, FIRST)), bool(values(cluster, SECOND)), committed))

    cluster.log.faults.hook = look
    producer.begin()
    for partition in range(2):
        producer.produce(OutputRecord("t", None, b"v", partition))
    producer.send_offsets({FIRST: at(1, "1")}, member.consumer.group_metadata(), PATIENCE)
    producer.commit(PATIENCE)
    assert seen == (
        [(False, False, True), (True, False, True)] if offsets_first else [(True, False, False), (True, True, False)]
    )
    assert values(cluster, FIRST) == values(cluster, SECOND) == [b"v"]
    assert not cluster.log.transactions.ending


def test_a_marker_that_comes_late_leaves_committed_offsets_whose_records_cannot_be_seen() -> None:
    cluster = MemoryCluster()
    member, producer = joined(cluster), cluster.producer("x")
    cluster.log.faults.late.add(FIRST)
    producer.begin()
    for partition in range(2):
        producer.produce(OutputRecord("t", None, b"v", partition))
    producer.send_offsets({FIRST: at(1, "1")}, member.consumer.group_metadata(), PATIENCE)
    producer.commit(PATIENCE)
    cluster.append("t", b"behind it", partition=0)
    assert cluster.log.group("g").offsets[FIRST] == at(1, "1")
    assert (values(cluster, FIRST), values(cluster, SECOND)) == ([], [b"v"])
    cluster.log.faults.late.clear()
    cluster.log.advance(1)
    assert values(cluster, FIRST) == [b"v", b"behind it"]


def test_what_a_users_transaction_writes_is_seen_once_it_is_committed_and_never_if_it_is_aborted() -> None:
    cluster = MemoryCluster()
    cluster.topic("t", 2)
    transactions = cluster.log.transactions
    for committed in (False, True):
        epoch = transactions.init("service")
        opened = transactions.open("service", epoch)
        transactions.add(opened, FIRST)
        cluster.log.append("t", b"%d" % committed, partition=0, transaction=opened.serial)
        cluster.append("t", b"plain", partition=0)
        assert values(cluster, FIRST) == [b"plain"] * committed
        transactions.end("service", epoch, committed=committed)
    assert values(cluster, FIRST) == [b"plain", b"1", b"plain"]


class Death(BaseException):
    """The process dies."""


@pytest.mark.parametrize("successor", [True, False])
def test_what_had_begun_to_commit_is_committed_to_the_end_whoever_dies(successor: bool) -> None:
    cluster = MemoryCluster()
    member, producer = joined(cluster), cluster.producer("x")

    def die(step: str, _when: str) -> None:
        if step == "marker":
            raise Death

    producer.begin()
    producer.produce(OutputRecord("t", None, b"v", 1))
    producer.send_offsets({FIRST: at(1, "1")}, member.consumer.group_metadata(), PATIENCE)
    cluster.log.faults.hook = die
    with pytest.raises(Death):
        producer.commit(PATIENCE)
    cluster.log.faults.hook = None
    assert cluster.log.transactions.ending and FIRST not in cluster.log.group("g").offsets
    if successor:
        cluster.producer("x")
    else:
        cluster.log.advance(1)
    assert not cluster.log.transactions.ending
    assert cluster.log.group("g").offsets[FIRST] == at(1, "1")
    assert values(cluster, SECOND) == [b"v"]


def test_records_of_a_lingering_producer_reach_the_log_when_it_commits() -> None:
    cluster = MemoryCluster()
    joined(cluster)
    producer = cluster.producer("x")
    cluster.log.faults.linger = True
    producer.begin()
    producer.produce(OutputRecord("t", None, b"v", 0))
    assert cluster.log.partition(FIRST).end == 0
    producer.commit(PATIENCE)
    assert values(cluster, FIRST) == [b"v"]
    producer.begin()
    producer.produce(OutputRecord("t", None, b"never sent", 0))
    producer.abort(PATIENCE)
    producer.begin()
    producer.commit(PATIENCE)
    assert values(cluster, FIRST) == [b"v"]


def test_a_partition_without_a_leader_is_neither_read_nor_written() -> None:
    cluster = MemoryCluster()
    member, producer = joined(cluster), cluster.producer("x")
    for partition in range(2):
        cluster.append("t", b"before", partition=partition)
    cluster.log.faults.down.add(FIRST)
    cluster.until(lambda: member.values() == [b"before"], member)
    member.poll()
    assert member.values() == [b"before"]
    with pytest.raises(Unreachable):
        cluster.log.reader().bounds(FIRST, 1.0)
    cluster.log.delivery_timeout = TRANSACTION_MS // 2
    producer.begin()
    producer.produce(OutputRecord("t", None, b"v", 0))
    with pytest.raises(Abortable, match="no leader"):
        producer.commit(PATIENCE)
    cluster.log.faults.down.clear()
    producer.abort(PATIENCE)
    cluster.until(lambda: member.values() == [b"before", b"before"], member)


def test_compaction_keeps_the_newest_committed_record_of_each_key_and_every_offset() -> None:
    cluster = MemoryCluster()
    cluster.topic("t", 2)
    producer = cluster.producer("x")
    producer.begin()
    producer.produce(OutputRecord("t", b"a", b"aborted", 0))
    producer.abort(PATIENCE)
    for key, value in ((b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"b", None), (b"c", b"1"), (b"a", b"3")):
        cluster.append("t", value, key=key)
    end = cluster.log.partition(FIRST).end
    cluster.log.compact(FIRST, end - 1)
    stored = cluster.log.partition(FIRST)
    found = [(entry.offset, entry.key, entry.value) for entry in stored.readable(0, end, end)[0]]
    assert found == [(4, b"a", b"2"), (6, b"c", b"1"), (7, b"a", b"3")]
    assert stored.end == end


def test_partitions_may_answer_in_any_order_and_with_as_much_as_they_like() -> None:
    cluster = MemoryCluster()
    member = joined(cluster)
    for i in range(4):
        cluster.append("t", b"%d" % i, partition=i % 2)
    cluster.log.faults.fetch = lambda turns: [(SECOND, 1)]
    for _ in range(3):
        member.poll()
    assert member.values() == [b"1", b"3"]
    cluster.log.faults.fetch = None
    cluster.until(lambda: len(member.values()) == 4, member)
