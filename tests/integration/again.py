"""The gauge stage once more: one pass over the outcomes topic by fresh tasks that nothing stops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from schemas import Config
from streams.gauge import GaugeSettings, GaugeTask
from streams.records import OutputRecord, RecordBatch, TopicPartition
from tests.integration.checkers import Published
from tests.kafka_client import Kafka

Said = tuple[bytes | None, bytes | None, tuple[tuple[str, str], ...]]
Message = tuple[int, int, bytes]
"""Offset, timestamp, value."""


def outcomes_of(kafka: Kafka, topic: str) -> dict[TopicPartition, list[Message]]:
    """The outcomes topic as it is."""
    found: dict[TopicPartition, list[Message]] = {}
    for message in kafka.read(topic):
        place = (message.offset(), message.timestamp()[1], message.value())
        found.setdefault(TopicPartition(topic, message.partition()), []).append(place)
    return found


def pass_again(outcomes: Mapping[TopicPartition, Sequence[Message]], config: Config) -> list[OutputRecord]:
    """What the gauge makes of these messages, each partition in one batch."""
    settings = GaugeSettings.from_config(config)
    made: list[OutputRecord] = []
    for source, messages in sorted(outcomes.items()):
        if not messages:
            continue
        offsets, timestamps, values = zip(*sorted(messages), strict=True)
        batch = RecordBatch(source, np.array(offsets, np.int64), np.array(timestamps, np.int64), list(values))
        made += GaugeTask(settings, source.partition).apply(batch).outputs
    return made


def said(records: list[OutputRecord], topic: str) -> Counter[Said]:
    """Key, value and headers of what goes to a topic."""
    return Counter(
        (record.key, record.value, tuple((name, value.decode()) for name, value in record.headers))
        for record in records
        if record.topic == topic
    )


def was_said(records: list[Published]) -> Counter[Said]:
    """The same of what was published on it."""
    return Counter((record.key, record.value, tuple(record.headers.items())) for record in records)
