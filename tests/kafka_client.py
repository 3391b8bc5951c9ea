"""Plain Kafka clients for tests and benchmarks, as a user would write them: nothing of streamgauge's own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec


class Kafka:
    """Questions one asks a cluster: topics, ends, committed offsets, everything on a topic."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap})

    def create(self, partitions: Mapping[str, int], config: Mapping[str, str] | None = None) -> None:
        """Topics, by name, with so many partitions each."""
        new = [NewTopic(name, count, config=dict(config or {})) for name, count in partitions.items()]
        for future in self._admin.create_topics(new, operation_timeout=30).values():
            future.result()

    def delete(self, prefix: str) -> None:
        """All topics whose names begin with `prefix`."""
        names = [name for name in self._admin.list_topics(timeout=15).topics if name.startswith(prefix)]
        for future in self._admin.delete_topics(names, operation_timeout=30).values() if names else ():
            future.result()

    def partitions(self, topic: str) -> list[int]:
        """The topic's partitions; none where there is no such topic."""
        found = self._admin.list_topics(timeout=15).topics.get(topic)
        return sorted(found.partitions) if found is not None else []

    def ends(self, topic: str, *, committed: bool = True) -> dict[int, int]:
        """The end of each partition: the last stable offset, or (committed=False) the high watermark."""
        level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        asked = {TopicPartition(topic, number): OffsetSpec.latest() for number in self.partitions(topic)}
        replies = self._admin.list_offsets(asked, isolation_level=level) if asked else {}
        return {place.partition: future.result().offset for place, future in replies.items()}

    def open_transactions(self, topics: Iterable[str]) -> int:
        """Records of transactions that are neither committed nor aborted, over these topics."""
        found = 0
        for topic in topics:
            high, stable = self.ends(topic, committed=False), self.ends(topic)
            found += sum(high[number] - stable[number] for number in high)
        return found

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        """The committed offsets of a group, by topic and partition."""
        asked = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
        places = asked[group].result().topic_partitions
        return {(place.topic, place.partition): place.offset for place in places if place.offset >= 0}

    def consumed(self, group: str, ends: Mapping[tuple[str, int], int]) -> bool:
        """Whether the group has committed up to `ends`."""
        offsets = self.committed(group)
        return all(offsets.get(place, 0) >= end for place, end in ends.items())

    def read(self, topic: str, timeout: float = 60) -> list[Any]:
        """All committed messages of a topic, up to its end as of now."""
        ends = {number: end for number, end in self.ends(topic).items() if end > 0}
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "reader",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
            }
        )
        found: list[Any] = []
        try:
            places = [TopicPartition(topic, number, 0) for number in ends]
            consumer.assign(places)
            deadline = time.monotonic() + timeout
            while places and any(place.offset < ends[place.partition] for place in consumer.position(places)):
                assert time.monotonic() < deadline, f"{topic} could not be read to its end within {timeout} s"
                for message in consumer.consume(1000, 0.2):
                    assert message.error() is None, message.error()
                    found.append(message)
        finally:
            consumer.close()
        return found


def input_ends(kafka: Kafka, *topics: str) -> dict[tuple[str, int], int]:
    """The ends of topics as `Kafka.consumed` wants them."""
    return {(topic, number): end for topic in topics for number, end in kafka.ends(topic).items()}
