"""What lies in the topics after a run: the records that really are there, and all of it in files where it is wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.integration.application import Topics
from tests.integration.traffic import Logged
from tests.kafka_client import Kafka


def as_it_lies(kafka: Kafka, topics: Topics, log: Sequence[Logged]) -> list[Logged]:
    """What was sent, as the inputs hold it: a producer's own copy of a record is one more record, of which the system
    must tell the duplicate. AssertionError where the cluster has lost what it acknowledged, or holds what nobody sent.
    """
    there = {
        (topic, message.partition(), message.offset()): message
        for topic in topics.inputs.values()
        for message in kafka.read(topic)
    }
    sent = {(topics[logged.record.topic], logged.partition, logged.offset): logged for logged in log}
    lost = sent.keys() - there.keys()
    assert not lost, f"the cluster has lost {len(lost)} records that it acknowledged, such as {min(lost)}"
    by_bytes = {(place[0], logged.record.key, logged.record.value): logged for place, logged in sent.items()}
    copies = []
    for place in sorted(there.keys() - sent.keys()):
        twin = by_bytes.get((place[0], there[place].key(), there[place].value()))
        assert twin is not None, f"nobody sent what lies at {place}"
        copies.append(Logged(twin.record, *place[1:]))
    return [*log, *copies]


def keep(kafka: Kafka, topics: Topics, folder: Path) -> Path:
    """All committed records of all topics, a file a topic, a line a record."""
    for topic in [*topics.inputs.values(), *topics.outputs]:
        with (folder / f"{topic}.jsonl").open("w") as out:
            for message in kafka.read(topic):
                out.write(json.dumps(_plain(message)) + "\n")
    return folder


def _plain(message: Any) -> dict[str, Any]:
    def text(data: bytes | None) -> str | None:
        return None if data is None else base64.b64encode(data).decode()

    return {
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp()[1],
        "key": text(message.key()),
        "value": text(message.value()),
        "headers": {name: value.decode() for name, value in message.headers() or []},
    }
