"""Plain Kafka clients for tests and benchmarks, as a user would write them: nothing of streamgauge's own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

_TIMEOUT = 30.0


class Kafka:
    """Questions one asks a cluster: topics, ends, committed offsets, everything on a topic. Close it when done."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
        self._stable = self._client("ends")
        self._all = self._client("ends", isolation="read_uncommitted")
        self._groups: dict[str, Consumer] = {}

    def close(self) -> None:
        """Let go of all clients."""
        for client in (self._stable, self._all, *self._groups.values()):
            client.close()

    def _client(self, group: str, isolation: str = "read_committed") -> Consumer:
        """A consumer that joins no group: it asks, and reads what it is assigned."""
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": group,
                "isolation.level": isolation,
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "log_level": 2,  # a broker that is gone is what some tests are about
            }
        )

    def create(self, partitions: Mapping[str, int], config: Mapping[str, str] | None = None) -> None:
        """Topics, by name, with so many partitions each, once they can be used."""
        new = [NewTopic(name, count, config=dict(config or {})) for name, count in partitions.items()]
        for future in self._admin.create_topics(new, operation_timeout=30).values():
            future.result()
        for name, count in partitions.items():
            deadline = time.monotonic() + _TIMEOUT
            while len(self.ends(name)) < count:
                assert time.monotonic() < deadline, f"{name} has been created, but cannot be used"

    def delete(self, prefix: str) -> None:
        """All topics whose names begin with `prefix`."""
        names = self.topics(prefix)
        for future in self._admin.delete_topics(names, operation_timeout=30).values() if names else ():
            future.result()

    def brokers(self) -> list[tuple[str, int]]:
        """Host and port of every broker."""
        found = self._admin.list_topics(timeout=_TIMEOUT).brokers.values()
        return [(broker.host, broker.port) for broker in found]

    def topics(self, prefix: str) -> list[str]:
        """The topics whose names begin with `prefix`."""
        return [name for name in self._admin.list_topics(timeout=_TIMEOUT).topics if name.startswith(prefix)]

    def partitions(self, topic: str) -> list[int]:
        """The topic's partitions; none where there is no such topic."""
        found = self._stable.list_topics(topic, timeout=_TIMEOUT).topics.get(topic)
        return [] if found is None or found.error is not None else sorted(found.partitions)

    def ends(self, topic: str, *, committed: bool = True) -> dict[int, int]:
        """The end of each partition: the last stable offset, or (committed=False) the high watermark."""
        return {
            number: end for number, (_, end) in self._bounds(topic, self._stable if committed else self._all).items()
        }

    def _bounds(self, topic: str, client: Consumer) -> dict[int, tuple[int, int]]:
        """Low watermark and end of each partition, as this client sees them."""
        found: dict[int, tuple[int, int]] = {}
        for number in self.partitions(topic):
            deadline = time.monotonic() + _TIMEOUT
            while number not in found:
                try:
                    found[number] = client.get_watermark_offsets(TopicPartition(topic, number), timeout=5)
                except KafkaException:  # a leader that has just been made does not know it yet
                    assert time.monotonic() < deadline, f"{topic}/{number} does not answer"
        return found

    def open_transactions(self, topics: Iterable[str]) -> int:
        """Records of transactions that are neither committed nor aborted, over these topics."""
        found = 0
        for topic in topics:
            high, stable = self.ends(topic, committed=False), self.ends(topic)
            found += sum(high[number] - stable[number] for number in high)
        return found

    def consumed(self, group: str, ends: Mapping[tuple[str, int], int]) -> bool:
        """Whether the group has committed up to `ends`; a coordinator that is moving counts as no."""
        if group not in self._groups:
            self._groups[group] = self._client(group)
        try:
            places = self._groups[group].committed([TopicPartition(*place) for place in ends], timeout=5)
        except KafkaException:
            return False
        return all(max(place.offset, 0) >= ends[place.topic, place.partition] for place in places)

    def offsets(self, group: str, *topics: str) -> dict[tuple[str, int], tuple[int, str]]:
        """What the group has committed of each partition of these topics: the offset and its metadata."""
        client = self._client(group)
        try:
            asked = [TopicPartition(topic, number) for topic in topics for number in self.partitions(topic)]
            found = client.committed(asked, timeout=_TIMEOUT)
        finally:
            client.close()
        return {(each.topic, each.partition): (each.offset, each.metadata or "") for each in found if each.offset >= 0}

    def read(self, topic: str, timeout: float = 60) -> list[Any]:
        """All committed messages that a topic still holds, up to its end as of now."""
        ends = {number: end for number, (low, end) in self._bounds(topic, self._stable).items() if end > low}
        consumer = self._client("reader")
        found: list[Any] = []
        try:
            consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in ends])
            deadline = time.monotonic() + timeout
            while any(place.offset < ends[place.partition] for place in consumer.position(_places(topic, ends))):
                assert time.monotonic() < deadline, f"{topic} could not be read to its end within {timeout} s"
                for message in consumer.consume(1000, 0.2):
                    assert message.error() is None, message.error()
                    found.append(message)
        finally:
            consumer.close()
        return found


def _places(topic: str, numbers: Iterable[int]) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in numbers]


def input_ends(kafka: Kafka, *topics: str) -> dict[tuple[str, int], int]:
    """The ends of topics as `Kafka.consumed` wants them."""
    return {(topic, number): end for topic in topics for number, end in kafka.ends(topic).items()}
