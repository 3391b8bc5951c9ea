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
    """What was sent, as the inputs hold it. The broker does not say where a record lies that it has found to be a copy
    of one it had already (its offset is None): it is looked for. A copy that was written is one more record, of which
    the system must tell the duplicate. AssertionError where the cluster has lost what it acknowledged, or holds what
    nobody sent.
    """
    there = {
        (topic, message.partition(), message.offset()): message
        for topic in topics.sources.values()
        for message in kafka.read(topic)
    }
    found = [logged for logged in log if logged.offset is not None]
    claimed = {(topics[logged.record.topic], logged.partition, logged.offset) for logged in found}
    assert claimed <= there.keys(), f"the cluster has lost what it acknowledged: {sorted(claimed - there.keys())[:5]}"
    unplaced = [logged.record for logged in log if logged.offset is None]
    by_bytes = {(topics[logged.record.topic], logged.record.key, logged.record.value): logged.record for logged in log}
    for place in sorted(there.keys() - claimed):
        record = by_bytes.get((place[0], there[place].key(), there[place].value()))
        assert record is not None, f"nobody sent what lies at {place}"
        if record in unplaced:
            unplaced.remove(record)
        found.append(Logged(record, *place[1:]))
    assert not unplaced, f"the cluster has lost {len(unplaced)} records that it acknowledged, such as {unplaced[0]}"
    return found


def keep(kafka: Kafka, topics: Topics, folder: Path) -> Path:
    """All committed records of all topics, a file a topic, a line a record."""
    for topic in [*topics.sources.values(), *topics.outputs]:
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
