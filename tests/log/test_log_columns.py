"""Messages to columns: whatever the mixture, the columns hold what the messages held, partition by partition."""

from __future__ import annotations

from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_NOT_AVAILABLE, KafkaError, Message
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.log.kafka.columns import batches, split_events
from streams.log.kafka.consumer import KafkaConsumer
from streams.log.kafka.settings import Settings
from streams.records import TopicPartition

_NEW_RECORD = st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 2), st.integers(1, 3), st.booleans())


def messages_of(plan: list[tuple[str, int, int, bool]]) -> list[Message]:
    """A message for each step: of a partition, so many offsets after its last one, with a time stamp or without."""
    ends: dict[tuple[str, int], int] = {}
    made = []
    for topic, partition, step, stamped in plan:
        offset = ends.get((topic, partition), -1) + step
        ends[topic, partition] = offset
        stamp = (TIMESTAMP_CREATE_TIME, 1000 + offset) if stamped else (TIMESTAMP_NOT_AVAILABLE, -1)
        text = b"%s-%d-%d" % (topic.encode(), partition, offset)
        made.append(
            Message(
                topic=topic, partition=partition, offset=offset, key=b"k" + text, value=b"v" + text, timestamp=stamp
            )
        )
    return made


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(_NEW_RECORD, min_size=1, max_size=30))
def test_columns_hold_what_the_messages_held(plan: list[tuple[str, int, int, bool]]) -> None:
    messages = messages_of(plan)
    records, stamps, events = split_events(messages)
    assert events == []
    found = batches(records, stamps)
    assert len({batch.source for batch in found}) == len(found)
    for batch in found:
        mine = [m for m in messages if TopicPartition(m.topic(), m.partition()) == batch.source]
        assert batch.offsets.tolist() == [m.offset() for m in mine]
        assert batch.timestamps.tolist() == [m.timestamp()[1] for m in mine]
        assert list(batch.values) == [m.value() for m in mine]
        assert [batch.key(i) for i in range(len(batch))] == [m.key() for m in mine]
    assert sum(map(len, found)) == len(messages)


def test_a_gap_filled_by_another_partitions_record_does_not_look_dense() -> None:
    messages = messages_of([("a", 0, 1, True), ("b", 0, 1, True), ("a", 0, 2, True)])
    records, stamps, _ = split_events(messages)
    found = {batch.source: batch.offsets.tolist() for batch in batches(records, stamps)}
    assert found == {TopicPartition("a", 0): [0, 2], TopicPartition("b", 0): [0]}


def test_events_of_the_client_are_told_from_records_without_a_time_stamp() -> None:
    end = Message(
        topic="a",
        partition=0,
        offset=9,
        error=KafkaError(KafkaError._PARTITION_EOF),
        timestamp=(TIMESTAMP_NOT_AVAILABLE, -1),
    )
    messages = [*messages_of([("a", 0, 1, True), ("a", 0, 1, False)]), end]
    records, stamps, events = split_events(messages)
    assert ([m.offset() for m in records], stamps.tolist(), events) == ([0, 1], [1000, -1], [end])
    nothing, none, events = split_events([end])
    assert (list(nothing), len(none), events) == ([], 0, [end])


def test_records_that_the_client_hands_out_again_are_left_out() -> None:
    consumer = KafkaConsumer(Settings("127.0.0.1:1", {}), "group", None)
    place = TopicPartition("a", 0)
    consumer._positions[place] = 0
    plan = [("a", 0, 1, True)] * 6
    (first,) = consumer._columns(messages_of(plan)[:4])
    (second,) = consumer._columns(messages_of(plan)[2:])
    assert (first.offsets.tolist(), second.offsets.tolist()) == ([0, 1, 2, 3], [4, 5])
    assert [second.key(i) for i in range(2)] == [b"ka-0-4", b"ka-0-5"]
    assert consumer._columns(messages_of(plan)[3:]) == []
    assert consumer.position(place) == 6
    consumer.close()
