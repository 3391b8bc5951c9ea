"""Creates, describes and trims topics over Apache Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType

from streams.log.base import TopicInfo, Unreachable
from streams.log.kafka.errors import TRANSIENT, error_in, translate
from streams.log.kafka.settings import Settings, build
from streams.records import TopicPartition

Answer = TypeVar("Answer")

_PAUSE = 0.1
_MISSING = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})
_DENIED_GROUP = frozenset({KafkaError.GROUP_AUTHORIZATION_FAILED})
_NO_GROUP = frozenset({KafkaError.GROUP_ID_NOT_FOUND})


class KafkaAdmin:
    """Every request is tried again while the cluster is busy finding its leaders, until its time-out."""

    def __init__(self, settings: Settings) -> None:
        self._client = build(AdminClient, settings.admin(lambda _: None))

    def describe(self, topics: Sequence[str], timeout: float) -> dict[str, TopicInfo | None]:
        if not topics:
            return {}
        deadline = time.monotonic() + timeout
        found = {topic: self._layout(topic, deadline) for topic in topics}
        present = [topic for topic, layout in found.items() if layout is not None]
        configs = self._configs(present, deadline)
        return {
            topic: None if layout is None else TopicInfo(topic, layout[0], layout[1], configs[topic])
            for topic, layout in found.items()
        }

    def allowed(self, topics: Sequence[str], timeout: float) -> dict[str, frozenset[str]]:
        deadline = time.monotonic() + timeout
        answers = {topic: self._describe(topic, deadline, operations=True) for topic in topics}
        return {
            topic: frozenset(operation.name for operation in answer.authorized_operations or ())
            for topic, answer in answers.items()
            if answer is not None
        }

    def allowed_groups(self, groups: Sequence[str], timeout: float) -> dict[str, frozenset[str]]:
        deadline = time.monotonic() + timeout
        answers = {group: self._describe_group(group, deadline) for group in groups}
        return {
            group: frozenset(operation.name for operation in (answer.authorized_operations if answer else None) or ())
            for group, answer in answers.items()
        }

    def create(
        self, name: str, partitions: int, config: Mapping[str, str], replication_factor: int | None, timeout: float
    ) -> None:
        deadline = time.monotonic() + timeout
        topic = NewTopic(name, partitions, replication_factor or -1, config=dict(config))
        self._ask(
            lambda left: self._client.create_topics([topic], request_timeout=left)[name],
            deadline,
            f"{name} (Create)",
            accept=frozenset({KafkaError.TOPIC_ALREADY_EXISTS}),
        )
        while self._layout(name, deadline) is None:  # made, but not yet known to every broker
            if time.monotonic() > deadline:
                raise Unreachable(f"the topic {name} was created but does not appear", "_TIMED_OUT")
            time.sleep(_PAUSE)

    def delete_topics(self, topics: Sequence[str], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        for topic in topics:
            self._ask(
                lambda left, topic=topic: self._client.delete_topics([topic], request_timeout=left)[topic],  # type: ignore[misc]
                deadline,
                f"{topic} (Delete)",
                accept=_MISSING,
            )

    def delete_groups(self, groups: Sequence[str], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        for group in groups:
            self._ask(
                lambda left, group=group: self._client.delete_consumer_groups([group], request_timeout=left)[group],  # type: ignore[misc]
                deadline,
                f"{group} (Delete)",
                accept=_NO_GROUP,
            )

    def delete_records_before(self, partition: TopicPartition, offset: int, timeout: float) -> None:
        wanted = confluent_kafka.TopicPartition(*partition, offset)
        self._ask(
            lambda left: next(iter(self._client.delete_records([wanted], request_timeout=left).values())),
            time.monotonic() + timeout,
            f"{partition.topic} (Delete)",
        )

    def offset_for_time(self, partition: TopicPartition, timestamp: int, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        found = self._offset(partition, OffsetSpec.for_timestamp(timestamp), deadline)
        return found if found >= 0 else self._offset(partition, OffsetSpec.latest(), deadline)

    def close(self) -> None:
        """The client has nothing to hand back."""

    def _layout(self, topic: str, deadline: float) -> tuple[int, int] | None:
        """Partitions and replication factor."""
        answer = self._describe(topic, deadline, operations=False)
        if answer is None or not answer.partitions:
            return None
        return len(answer.partitions), len(answer.partitions[0].replicas)

    def _describe(self, topic: str, deadline: float, *, operations: bool) -> Any:
        return self._ask(
            lambda left: self._client.describe_topics(
                TopicCollection([topic]), include_authorized_operations=operations, request_timeout=left
            )[topic],
            deadline,
            f"{topic} (Describe)",
            accept=_MISSING,
        )

    def _describe_group(self, group: str, deadline: float) -> Any:
        """None where we may not even look."""
        return self._ask(
            lambda left: self._client.describe_consumer_groups(
                [group], include_authorized_operations=True, request_timeout=left
            )[group],
            deadline,
            f"{group} (Describe)",
            accept=_DENIED_GROUP,
        )

    def _configs(self, topics: Sequence[str], deadline: float) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for topic in topics:
            resource = ConfigResource(ResourceType.TOPIC, topic)
            entries = self._ask(
                lambda left, resource=resource: next(  # type: ignore[misc]
                    iter(self._client.describe_configs([resource], request_timeout=left).values())
                ),
                deadline,
                f"{topic} (DescribeConfigs)",
            )
            found[topic] = {name: entry.value for name, entry in (entries or {}).items() if entry.value is not None}
        return found

    def _offset(self, partition: TopicPartition, spec: Any, deadline: float) -> int:
        asked = {confluent_kafka.TopicPartition(*partition): spec}
        level = confluent_kafka.IsolationLevel.READ_COMMITTED
        answer = self._ask(
            lambda left: next(
                iter(self._client.list_offsets(asked, isolation_level=level, request_timeout=left).values())
            ),
            deadline,
            f"{partition.topic} (Describe)",
        )
        return int(answer.offset)

    def _ask(
        self,
        request: Callable[[float], Future[Any]],
        deadline: float,
        subject: str,
        accept: frozenset[int] = frozenset(),
    ) -> Any:
        """The request's answer; None where its error is one of `accept`. `subject` is the topic or group that it is
        about, and the operation that it needs."""
        named = {KafkaError.TOPIC_AUTHORIZATION_FAILED: subject, KafkaError.GROUP_AUTHORIZATION_FAILED: subject}
        while True:
            left = max(deadline - time.monotonic(), 0.1)
            try:
                return request(left).result(left + 1.0)
            except KafkaException as exception:
                error = error_in(exception)
                if error is None:
                    raise
                if error.code() in accept:
                    return None
                if error.code() not in TRANSIENT:
                    raise translate(error, "request", named) from exception
                if time.monotonic() + _PAUSE > deadline:
                    raise Unreachable(f"no broker answers: {error.str()}", error.name()) from exception
            except TimeoutError as exception:
                raise Unreachable("no broker answers in time", "_TIMED_OUT") from exception
            time.sleep(_PAUSE)
