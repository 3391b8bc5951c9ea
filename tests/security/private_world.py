"""An application over the in-memory log whose traffic is full of canaries, and every byte that it wrote."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from schemas import Config
from streams.log import MemoryLog
from streams.worker import StageName, Telemetry, Worker, WorkerSettings, prepare
from streams.worker.process import gauge_stage, join_stage

NOW = 1_795_300_000_000
KEY = "canary-hash-key"
DROPPED_TEXT = "canary-social-security-number"
DROPPED_NUMBER = 987654.3210987
HASHED_TEXT = "canary-iban"
HASHED_NUMBER = 54321.0123456
ATTRIBUTION = 0.1234567890123
RARE, COMMON = "canary-rare-category", "canary-common-category"
PAYLOAD = "canary-payload"
PRIVACY: dict[str, Any] = {
    "drop_features": ["ssn", "wealth"], "hash_features": ["iban", "salary"], "hash_key": KEY,
}  # fmt: skip


class LogClock:
    """The log's time is the workers'."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def now(self) -> int:
        return self._log.clock

    def steady(self) -> float:
        return self._log.clock / 1000

    def wait(self, seconds: float) -> None:
        self._log.advance(max(1, int(seconds * 1000)))


class PrivateWorld:
    """A worker of each stage, started anew in the middle."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.log = MemoryLog(clock=NOW)
        for topic in (config.topics.predictions, config.topics.labels):
            self.log.create_topic(topic, 1)
        self._layout = prepare(config, self.log.admin())
        self._clock = LogClock(self.log)
        self.expositions = b""

    def send(self, topic: str, key: str, value: Mapping[str, Any] | bytes) -> None:
        """A record of a user's."""
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.log.append(topic, data, key=key.encode(), partition=0, timestamp=self.log.clock)

    def run(self, turns: int) -> None:
        """Both stages for so many turns, then stopped in order, with what they write as they go."""
        workers = [self._worker("join"), self._worker("gauge")]
        for worker in workers:
            worker.start()
        for _ in range(turns):
            for worker in workers:
                worker.turn()
        for worker in workers:
            worker.last_turn()
            worker.close()
            self.expositions += worker.telemetry.exposition()

    def _worker(self, name: StageName) -> Worker:
        config = self.config
        stage = join_stage(config, self._layout, "earliest") if name == "join" else gauge_stage(config)
        telemetry = Telemetry(name, config.topics.dead_letters, config.topics.alerts)
        settings = WorkerSettings(config.kafka.application_id, None, f"{name}-{self.log.clock}")
        return Worker(stage, self.log, settings, self._clock, telemetry)

    def written(self) -> dict[str, bytes]:
        """By topic, all keys, values and headers of what is not the users' own; and the metadata of all offsets."""
        theirs = {self.config.topics.predictions, self.config.topics.labels, self.config.topics.control}
        found = {name: b"\n".join(self._bytes(name)) for name in self.log._topics if name not in theirs}
        groups = (self.config.join_group, self.config.gauge_group)
        metadata = [str(place).encode() for group in groups for place in self.log.group(group).offsets.items()]
        return {**found, "offsets": b"\n".join(metadata), "/metrics": self.expositions}

    def _bytes(self, topic: str) -> Iterator[bytes]:
        for partition in self.log._topics[topic]:
            for entry in partition.entries:
                yield entry.key or b""
                yield entry.value or b""
                for name, text in entry.headers:
                    yield name.encode() + b"=" + text


def traffic(world: PrivateWorld, first: int, count: int) -> None:
    """Predictions and labels whose private features, errors, unknown fields and bad records hold canaries."""
    topics = world.config.topics
    for i in range(first, first + count):
        key = f"id-{i}"
        features = {
            "ssn": DROPPED_TEXT, "wealth": DROPPED_NUMBER, "iban": f"{HASHED_TEXT}-{i % 3}", "salary": HASHED_NUMBER,
            "country": RARE if i % 40 == 0 and i < 200 else COMMON, "amount": 10.0 + i % 7, "consent": i % 2 == 0,
        }  # fmt: skip
        event = {
            "prediction_id": key, "model": "m", "version": "1", "timestamp": world.log.clock, "prediction": i % 2,
            "score": 0.25 + 0.5 * (i % 2), "features": features, "attributions": {"ssn": ATTRIBUTION, "amount": 0.5},
            "note": PAYLOAD,
        }  # fmt: skip
        if i % 50 == 7:
            event |= {"prediction": None, "error": f"cannot read {DROPPED_TEXT}"}
        world.send(topics.predictions, key, event)
        world.send(topics.labels, key, {"prediction_id": key, "label": (i + (i > 300)) % 2, "note": PAYLOAD})
        world.log.advance(100)
    world.send(topics.predictions, PAYLOAD, f'{{"prediction_id": "{PAYLOAD}"'.encode())
    world.send(topics.predictions, PAYLOAD, {"prediction_id": PAYLOAD, "model": "m", "timestamp": PAYLOAD})
    bad = {"prediction_id": PAYLOAD, "model": "m", "timestamp": world.log.clock, "prediction": 1}
    world.send(topics.predictions, PAYLOAD, {**bad, "features": {"ssn": {"is": DROPPED_TEXT}}})
    world.send(topics.predictions, PAYLOAD, {**bad, "features": {"wealth": 1e200}})
    world.send(topics.labels, PAYLOAD, {"prediction_id": [PAYLOAD], "label": 1})
    world.send(topics.control, f"baseline/m/{PAYLOAD}/too/many", {"profile": {}})
    profile = {
        "features.ssn": {"counts": {DROPPED_TEXT: 9}}, "features.wealth": {"values": [DROPPED_NUMBER] * 9},
        "features.iban": {"counts": {f"{HASHED_TEXT}-1": 9}}, "features.salary": {"values": [HASHED_NUMBER] * 9},
        "attributions.ssn": {"values": [ATTRIBUTION] * 9}, "score": {"values": [0.25, 0.75] * 20},
    }  # fmt: skip
    world.send(topics.control, "baseline/m/1", {"profile": profile, "note": PAYLOAD})


def traces(value: str | float) -> list[bytes]:
    """How a value could have been written: as text, or as a double of either byte order."""
    if isinstance(value, str):
        return [value.encode(), value.encode("utf-16-le")]
    return [repr(value).encode(), struct.pack("<d", value), struct.pack(">d", value), struct.pack("<f", value)]
