"""The gauge stage once more: one pass over the outcomes topic by fresh tasks that nothing stops."""

from __future__ import annotations

from collections import Counter

import numpy as np

from schemas import Config
from streams.gauge import GaugeSettings, GaugeTask
from streams.records import OutputRecord, RecordBatch, TopicPartition
from tests.integration.checkers import Published
from tests.kafka_client import Kafka

Said = tuple[bytes | None, bytes | None, str]


def pass_again(kafka: Kafka, config: Config) -> list[OutputRecord]:
    """What the gauge makes of the outcomes topic as it is, each partition in one batch."""
    settings = GaugeSettings.from_config(config)
    waiting: dict[int, list[tuple[int, int, bytes]]] = {}
    for message in kafka.read(config.outcomes_topic):
        place = (message.offset(), message.timestamp()[1], message.value())
        waiting.setdefault(message.partition(), []).append(place)
    made: list[OutputRecord] = []
    for partition, messages in sorted(waiting.items()):
        offsets, timestamps, values = zip(*sorted(messages), strict=True)
        source = TopicPartition(config.outcomes_topic, partition)
        batch = RecordBatch(source, np.array(offsets, np.int64), np.array(timestamps, np.int64), list(values))
        made += GaugeTask(settings, partition).apply(batch).outputs
    return made


def said(records: list[OutputRecord], topic: str) -> Counter[Said]:
    """Key, value and id of what goes to a topic."""
    return Counter(
        (record.key, record.value, dict(record.headers)["ce_id"].decode())
        for record in records
        if record.topic == topic
    )


def was_said(records: list[Published]) -> Counter[Said]:
    """The same of what was published on it."""
    return Counter((record.key, record.value, record.headers["ce_id"]) for record in records)
