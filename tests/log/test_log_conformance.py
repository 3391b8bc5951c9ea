"""What both logs promise, as statements: records, transactions, offsets. Groups and fencing are in their own file."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from log_cluster import PATIENCE, TRANSACTION_MS, AnyCluster, at, flushed

from streams.log import (
    MESSAGE_LIMIT,
    METADATA_LIMIT,
    LogError,
    OffsetOutOfRange,
    ProducerFatal,
    ProducerFenced,
    Retriable,
    TopicMissing,
)
from streams.partitioner import partition_of
from streams.records import OutputRecord, TopicPartition

Unique = Callable[[str], str]


def test_records_come_in_order_with_their_offsets_keys_and_time_stamps(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    for i in range(5):
        cluster.append(source.topic, b"v%d" % i, key=b"k%d" % i, timestamp=1_700_000_000_000 + i)
    cluster.append(source.topic, None, key=b"gone", timestamp=1_700_000_000_005)
    member = cluster.member(unique("g"), [source.topic])
    cluster.until(lambda: len(member.values()) == 6, member)
    assert member.values() == [b"v0", b"v1", b"v2", b"v3", b"v4", None]
    assert member.offsets() == list(range(6))
    keys = [batch.key(i) for batch in member.batches for i in range(len(batch))]
    assert keys == [b"k0", b"k1", b"k2", b"k3", b"k4", b"gone"]
    stamps = [int(t) for batch in member.batches for t in batch.timestamps]
    assert stamps == [1_700_000_000_000 + i for i in range(6)]


def test_a_poll_hands_out_one_batch_a_partition_and_no_more_than_asked(cluster: AnyCluster, unique: Unique) -> None:
    topic = cluster.topic(unique("t"), 3).topic
    for i in range(30):
        cluster.append(topic, b"%d" % i, partition=i % 3)
    member = cluster.member(unique("g"), [topic])
    cluster.until(lambda: bool(member.owns()), member)
    seen = 0
    for _ in range(200):
        batches = member.consumer.poll(7, 0.1)
        sources = [batch.source for batch in batches]
        assert len(sources) == len(set(sources))
        assert sum(map(len, batches)) <= 7
        seen += sum(map(len, batches))
        if seen == 30:
            break
    assert seen == 30


def test_a_partition_hands_out_nothing_before_it_is_sought(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    cluster.append(source.topic, b"a")
    member = cluster.member(unique("g"), [source.topic], start=lambda _: None)
    cluster.until(lambda: bool(member.owns()), member)
    for _ in range(5):
        member.poll()
    assert member.values() == []
    assert member.consumer.position(source) is None
    member.consumer.seek(source, 0)
    assert member.consumer.position(source) == 0
    cluster.until(lambda: member.values() == [b"a"], member)


def test_a_seek_reads_again_from_there(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    for i in range(4):
        cluster.append(source.topic, b"%d" % i)
    member = cluster.member(unique("g"), [source.topic])
    cluster.until(lambda: len(member.values()) == 4, member)
    member.consumer.seek(source, 2)
    assert not member.consumer.at_end(source)
    cluster.until(lambda: len(member.values()) == 6, member)
    assert member.values()[4:] == [b"2", b"3"]
    assert member.consumer.position(source) == 4


def test_a_paused_partition_is_silent_until_resumed(cluster: AnyCluster, unique: Unique) -> None:
    topic = cluster.topic(unique("t"), 2).topic
    member = cluster.member(unique("g"), [topic])
    cluster.until(lambda: len(member.owns()) == 2, member)
    held, free = member.owns()
    member.consumer.pause([held])
    cluster.append(topic, b"held", partition=held.partition)
    cluster.append(topic, b"free", partition=free.partition)
    cluster.until(lambda: member.values() == [b"free"], member)
    for _ in range(3):
        member.poll()
    assert member.values(held) == []
    member.consumer.resume([held])
    cluster.until(lambda: member.values(held) == [b"held"], member)


def test_at_end_and_lag_say_how_far_a_reader_is(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    for i in range(10):
        cluster.append(source.topic, b"%d" % i)
    member = cluster.member(unique("g"), [source.topic])
    cluster.until(lambda: bool(member.owns()), member)
    assert not member.consumer.at_end(source)
    while not member.values():
        member.poll(4)
    assert member.consumer.lag(source) == 10 - len(member.values())
    cluster.until(lambda: member.consumer.at_end(source), member)
    assert (len(member.values()), member.consumer.lag(source)) == (10, 0)
    cluster.append(source.topic, b"more")
    cluster.until(lambda: len(member.values()) == 11 and member.consumer.at_end(source), member)
    assert member.consumer.position(source) == 11


def test_the_markers_of_transactions_take_offsets_that_nobody_sees(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    producer = cluster.producer(unique("x"))
    for value in (b"a", b"b"):
        producer.begin()
        producer.produce(OutputRecord(source.topic, None, value, 0))
        producer.commit(PATIENCE)
    cluster.settle(source)
    cluster.append(source.topic, b"c")
    member = cluster.member(unique("g"), [source.topic])
    cluster.until(lambda: len(member.values()) == 3, member)
    assert list(zip(member.offsets(), member.values(), strict=True)) == [(0, b"a"), (2, b"b"), (4, b"c")]


def test_the_position_passes_a_marker_at_the_end(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    producer = cluster.producer(unique("x"))
    producer.begin()
    producer.produce(OutputRecord(source.topic, None, b"a", 0))
    producer.commit(PATIENCE)
    member = cluster.member(unique("g"), [source.topic])
    cluster.until(lambda: bool(member.values()) and member.consumer.at_end(source), member)
    assert member.consumer.position(source) == 2
    assert cluster.kept(cluster.log.reader()).bounds(source, PATIENCE) == (0, 2)


def test_aborted_records_take_offsets_and_are_invisible(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    producer = cluster.producer(unique("x"))
    producer.begin()
    flushed(producer, source.topic, b"never")
    producer.abort(PATIENCE)
    producer.begin()
    producer.produce(OutputRecord(source.topic, None, b"seen", 0))
    producer.commit(PATIENCE)
    assert cluster.read(source) == [b"seen"]
    member = cluster.member(unique("g"), [source.topic])
    cluster.until(lambda: bool(member.values()), member)
    assert (member.values(), member.offsets()) == ([b"seen"], [2])


def test_a_reader_ends_behind_aborted_records_without_waiting(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    producer = cluster.producer(unique("x"))
    cluster.append(source.topic, b"first")
    producer.begin()
    flushed(producer, source.topic, b"never")
    producer.abort(PATIENCE)
    reader = cluster.kept(cluster.log.reader())
    assert reader.bounds(source, PATIENCE) == (0, 3)
    assert [v for b in reader.read(source, 0, 3, 5.0) for v in b.values] == [b"first"]
    assert list(reader.read(source, 1, 3, 5.0)) == []
    assert list(reader.read(source, 3, 3, 5.0)) == []


def test_a_reader_stops_at_the_end_it_was_given(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    for i in range(10):
        cluster.append(source.topic, b"%d" % i, key=b"k%d" % i)
    reader = cluster.kept(cluster.log.reader())
    batches = list(reader.read(source, 3, 7, PATIENCE))
    assert [v for b in batches for v in b.values] == [b"3", b"4", b"5", b"6"]
    assert [b.key(i) for b in batches for i in range(len(b))] == [b"k3", b"k4", b"k5", b"k6"]


def test_an_open_transaction_holds_readers_back_at_its_first_record(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    producer = cluster.producer(unique("x"))
    cluster.append(source.topic, b"before")
    producer.begin()
    flushed(producer, source.topic, b"inside")
    cluster.append(source.topic, b"behind")
    member = cluster.member(unique("g"), [source.topic])
    cluster.until(lambda: bool(member.values()) and member.consumer.at_end(source), member)
    assert member.values() == [b"before"]
    assert cluster.kept(cluster.log.reader()).bounds(source, PATIENCE) == (0, 1)
    producer.commit(PATIENCE)
    cluster.until(lambda: len(member.values()) == 3, member)
    assert member.values() == [b"before", b"inside", b"behind"]


def test_a_transaction_over_several_topics_is_visible_whole_or_not_at_all(cluster: AnyCluster, unique: Unique) -> None:
    first, second = cluster.topic(unique("a")), cluster.topic(unique("b"))
    producer = cluster.producer(unique("x"))
    for value, ends in ((b"1", producer.commit), (b"2", producer.abort), (b"3", producer.commit)):
        producer.begin()
        flushed(producer, first.topic, value)
        flushed(producer, second.topic, value)
        ends(PATIENCE)
    assert cluster.read(first) == cluster.read(second) == [b"1", b"3"]


def test_delivery_tells_the_offset_before_commit_returns(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    producer = cluster.producer(unique("x"))
    told: list[int] = []
    for _ in range(2):
        producer.begin()
        for value in (b"a", b"b"):
            producer.produce(OutputRecord(source.topic, None, value, 0), told.append)
        producer.commit(PATIENCE)
    assert told == [0, 1, 3, 4]


def test_a_record_without_a_partition_goes_where_javas_producer_would_send_it(
    cluster: AnyCluster, unique: Unique
) -> None:
    topic = cluster.topic(unique("t"), 5).topic
    producer = cluster.producer(unique("x"))
    keys = [b"order-%d" % i for i in range(20)]
    producer.begin()
    for key in keys:
        producer.produce(OutputRecord(topic, key, key))
    producer.commit(PATIENCE)
    for partition in range(5):
        expected = [key for key in keys if partition_of(key, 5) == partition]
        assert cluster.read(TopicPartition(topic, partition)) == expected


def test_offsets_count_only_with_their_transaction(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    member = cluster.member(unique("g"), [source.topic])
    cluster.until(lambda: bool(member.owns()), member)
    assert member.consumer.committed([source], PATIENCE) == {source: None}
    producer = cluster.producer(unique("x"))
    producer.begin()
    producer.send_offsets({source: at(7, "seven")}, member.consumer.group_metadata(), PATIENCE)
    producer.abort(PATIENCE)
    assert member.consumer.committed([source], PATIENCE) == {source: None}
    producer.begin()
    producer.send_offsets({source: at(8, "eight ☂")}, member.consumer.group_metadata(), PATIENCE)
    producer.commit(PATIENCE)
    assert member.consumer.committed([source], PATIENCE) == {source: at(8, "eight ☂")}


def test_offset_metadata_may_have_4095_bytes_and_no_more(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    member = cluster.member(unique("g"), [source.topic])
    cluster.until(lambda: bool(member.owns()), member)
    producer = cluster.producer(unique("x"))
    producer.begin()
    with pytest.raises(LogError, match="too large") as refused:
        producer.send_offsets({source: at(1, "m" * (METADATA_LIMIT + 1))}, member.consumer.group_metadata(), PATIENCE)
    assert refused.value.code == "OFFSET_METADATA_TOO_LARGE"
    # The transaction is unharmed: it was never asked.
    producer.send_offsets({source: at(1, "m" * METADATA_LIMIT)}, member.consumer.group_metadata(), PATIENCE)
    producer.commit(PATIENCE)
    assert member.consumer.committed([source], PATIENCE) == {source: at(1, "m" * METADATA_LIMIT)}


def test_a_stable_read_waits_for_an_open_transaction_instead_of_missing_its_offsets(
    cluster: AnyCluster, unique: Unique
) -> None:
    source = cluster.topic(unique("t"))
    member = cluster.member(unique("g"), [source.topic])
    cluster.until(lambda: bool(member.owns()), member)
    producer = cluster.producer(unique("x"))
    producer.begin()
    producer.send_offsets({source: at(1, "stable")}, member.consumer.group_metadata(), PATIENCE)
    producer.commit(PATIENCE)
    producer.begin()
    producer.send_offsets({source: at(2, "pending")}, member.consumer.group_metadata(), PATIENCE)
    with pytest.raises(Retriable):
        member.consumer.committed([source], 0.3)
    # The dead producer's transaction times out; only then is the answer known.
    assert member.consumer.committed([source], PATIENCE) == {source: at(1, "stable")}


def test_a_new_producer_of_the_same_name_ends_the_open_transaction_at_once(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    member = cluster.member(unique("g"), [source.topic])
    cluster.until(lambda: bool(member.owns()), member)
    name = unique("x")
    dead = cluster.producer(name)
    dead.begin()
    flushed(dead, source.topic, b"half done")
    dead.send_offsets({source: at(9)}, member.consumer.group_metadata(), PATIENCE)
    successor = cluster.producer(name)
    assert member.consumer.committed([source], 1.0) == {source: None}
    successor.begin()
    successor.produce(OutputRecord(source.topic, None, b"whole", 0))
    successor.commit(PATIENCE)
    assert cluster.read(source) == [b"whole"]


def test_a_producer_replaced_by_its_successor_is_fenced(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    name = unique("x")
    old = cluster.producer(name)
    old.begin()
    flushed(old, source.topic, b"zombie")
    cluster.producer(name)
    with pytest.raises(ProducerFenced):
        old.produce(OutputRecord(source.topic, None, b"zombie again", 0))
        old.commit(PATIENCE)
    with pytest.raises((ProducerFenced, ProducerFatal)):
        old.begin()
    assert cluster.read(source) == []


def test_a_transaction_over_its_time_out_is_aborted_and_its_producer_fenced(
    cluster: AnyCluster, unique: Unique
) -> None:
    source = cluster.topic(unique("t"))
    producer = cluster.producer(unique("x"))
    producer.begin()
    flushed(producer, source.topic, b"too slow")
    cluster.append(source.topic, b"behind")
    member = cluster.member(unique("g"), [source.topic])
    cluster.until(lambda: member.consumer.at_end(source), member)
    assert member.values() == []
    cluster.let_time_pass(TRANSACTION_MS)
    cluster.until(lambda: member.values() == [b"behind"], member)
    with pytest.raises(ProducerFenced):
        producer.commit(PATIENCE)
    assert cluster.read(source) == [b"behind"]


def test_a_record_that_is_too_large_is_refused_and_the_transaction_goes_on(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    producer = cluster.producer(unique("x"))
    producer.begin()
    with pytest.raises(LogError, match="too large") as refused:
        producer.produce(OutputRecord(source.topic, b"key", bytes(MESSAGE_LIMIT), 0))
    assert refused.value.code == "MSG_SIZE_TOO_LARGE"
    producer.produce(OutputRecord(source.topic, b"key", bytes(MESSAGE_LIMIT - 3), 0))
    producer.commit(PATIENCE)
    assert [len(value or b"") for value in cluster.read(source)] == [MESSAGE_LIMIT - 3]


def test_incompressible_records_of_the_greatest_size_pass_too(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    noise = b"".join(i.to_bytes(4, "big") for i in range(MESSAGE_LIMIT // 4))
    scrambled = bytes(a ^ b for a, b in zip(noise, noise[::-1], strict=True))
    producer = cluster.producer(unique("x"))
    producer.begin()
    for _ in range(3):
        producer.produce(OutputRecord(source.topic, None, scrambled, 0))
    producer.commit(PATIENCE)
    assert cluster.read(source) == [scrambled] * 3


def test_producing_to_a_topic_that_does_not_exist_says_so(cluster: AnyCluster, unique: Unique) -> None:
    producer = cluster.producer(unique("x"))
    producer.begin()
    with pytest.raises(TopicMissing):
        producer.produce(OutputRecord(unique("nowhere"), None, b"a", 0))
        producer.commit(PATIENCE)
    producer.abort(PATIENCE)


def test_subscribing_to_a_topic_that_does_not_exist_says_so(cluster: AnyCluster, unique: Unique) -> None:
    member = cluster.member(unique("g"), [unique("nowhere")])
    with pytest.raises(TopicMissing):
        cluster.until(lambda: False, member)


def test_deleted_records_raise_the_low_watermark_and_reading_below_it_is_loud(
    cluster: AnyCluster, unique: Unique
) -> None:
    source = cluster.topic(unique("t"))
    for i in range(6):
        cluster.append(source.topic, b"%d" % i)
    member = cluster.member(unique("g"), [source.topic])
    cluster.until(lambda: len(member.values()) == 6, member)
    cluster.kept(cluster.log.admin()).delete_records_before(source, 4, PATIENCE)
    reader = cluster.kept(cluster.log.reader())
    assert reader.bounds(source, PATIENCE) == (4, 6)
    assert cluster.read(source, 4) == [b"4", b"5"]
    with pytest.raises(OffsetOutOfRange):
        list(reader.read(source, 3, 6, PATIENCE))
    member.consumer.seek(source, 3)
    with pytest.raises(OffsetOutOfRange):
        cluster.until(lambda: len(member.values()) > 6, member)


def test_topics_are_created_once_described_and_deleted(cluster: AnyCluster, unique: Unique) -> None:
    admin = cluster.kept(cluster.log.admin())
    name, missing = unique("t"), unique("missing")
    admin.create(name, 3, {"cleanup.policy": "compact", "retention.ms": "-1"}, None, PATIENCE)
    admin.create(name, 5, {}, None, PATIENCE)
    found = admin.describe([name, missing], PATIENCE)
    assert found[missing] is None
    info = found[name]
    assert info is not None
    assert (info.name, info.partitions, info.replication_factor) == (name, 3, 1)
    assert (info.config["cleanup.policy"], info.config["retention.ms"]) == ("compact", "-1")
    admin.delete_topics([name, missing], PATIENCE)
    cluster.until(lambda: admin.describe([name], PATIENCE)[name] is None)


def test_a_group_is_deleted_with_its_offsets_once_it_has_no_members(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    group = unique("g")
    admin = cluster.kept(cluster.log.admin())
    member = cluster.member(group, [source.topic])
    cluster.until(lambda: bool(member.owns()), member)
    producer = cluster.producer(unique("x"))
    producer.begin()
    producer.send_offsets({source: at(7)}, member.consumer.group_metadata(), PATIENCE)
    producer.commit(PATIENCE)
    with pytest.raises(LogError) as refused:
        admin.delete_groups([group], PATIENCE)
    assert refused.value.code == "NON_EMPTY_GROUP"
    member.consumer.close()
    admin.delete_groups([group, unique("missing")], PATIENCE)
    again = cluster.kept(cluster.log.consumer(group, None))
    assert again.committed([source], PATIENCE)[source] is None


def test_an_offset_is_found_by_its_time(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    for i in range(3):
        cluster.append(source.topic, b"%d" % i, timestamp=1_700_000_000_000 + 1000 * i)
    admin = cluster.kept(cluster.log.admin())
    asked = [0, 1_700_000_000_001, 1_700_000_002_000, 1_700_000_002_001]
    assert [admin.offset_for_time(source, when, PATIENCE) for when in asked] == [0, 1, 2, 3]


def test_after_an_abort_the_same_outputs_and_offsets_can_be_sent_again(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    member = cluster.member(unique("g"), [source.topic])
    cluster.until(lambda: bool(member.owns()), member)
    producer = cluster.producer(unique("x"))
    for ends in (producer.abort, producer.abort, producer.commit):
        producer.begin()
        producer.produce(OutputRecord(source.topic, None, b"out", 0))
        producer.send_offsets({source: at(1, "c1")}, member.consumer.group_metadata(), PATIENCE)
        ends(PATIENCE)
    assert cluster.read(source) == [b"out"]
    assert member.consumer.committed([source], PATIENCE) == {source: at(1, "c1")}


def test_a_producer_that_closes_aborts_what_it_had_open(cluster: AnyCluster, unique: Unique) -> None:
    source = cluster.topic(unique("t"))
    producer = cluster.producer(unique("x"))
    producer.begin()
    flushed(producer, source.topic, b"half done")
    producer.close()
    cluster.append(source.topic, b"behind")
    assert cluster.kept(cluster.log.reader()).bounds(source, PATIENCE) == (0, 3)
    assert cluster.read(source) == [b"behind"]


def test_a_cluster_that_answers_passes_the_check(cluster: AnyCluster) -> None:
    cluster.log.check(PATIENCE)
