"""The demo's pipeline on a real Kafka: `streamgauge run` as a process of its own, clients as a user's would be."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson
import yaml
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.commands.demo_pipeline import INPUTS, PARTITIONS, DemoFailed, Event, Names, settings

_READY_WITHIN = 90.0


class KafkaSender:
    """The model service's producer."""

    def __init__(self, bootstrap: str) -> None:
        # Java's partitioner: predictions and labels of one key must meet on the same partition.
        self._producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "linger.ms": 5})

    def send(self, topic: str, key: bytes, value: bytes) -> None:
        self._producer.produce(topic, value, key)
        self._producer.poll(0)

    def flush(self) -> None:
        self._producer.flush(10)


class KafkaPipeline:
    """See demo_pipeline.Pipeline. `screen` follows the metrics and alerts topics."""

    def __init__(
        self, bootstrap: str, names: Names, config: Path, process: subprocess.Popen[bytes], screen: Consumer
    ) -> None:
        self._bootstrap = bootstrap
        self._names = names
        self._config = config
        self._process = process
        self._screen = screen
        screen.subscribe([names.topics["metrics"], names.topics["alerts"]])

    @property
    def to_look_at(self) -> list[str]:
        return [
            f"Kafka is at {self._bootstrap}; topics: {', '.join(sorted(self._names.topics.values()))}.",
            f"Try: streamgauge doctor --config {self._config}",
        ]

    @property
    def farewell(self) -> list[str]:
        return [
            f"The topics were {', '.join(self._names.topics.values())} at {self._bootstrap}; they are deleted.",
            "Next: `streamgauge demo --keep` leaves them there to look at while it runs.",
            "Your own Kafka: KAFKA_BOOTSTRAP_SERVERS=host:9092 streamgauge demo; then the README's quick start.",
        ]

    def sender(self) -> KafkaSender:
        return KafkaSender(self._bootstrap)

    def alive(self) -> bool:
        return self._process.poll() is None

    def poll(self, timeout: float) -> list[tuple[str, Event]]:
        return [
            (message.topic(), orjson.loads(message.value()))
            for message in self._screen.consume(500, timeout)
            if message.error() is None and message.value() is not None
        ]

    def read(self, topic: str) -> list[Event]:
        return read_all(self._bootstrap, topic)

    def produced_at(self, cause: Mapping[str, Any]) -> int:
        with closing(read_committed(self._bootstrap, "streamgauge-demo-reader")) as consumer:
            consumer.assign([TopicPartition(cause["topic"], cause["partition"], cause["offset"])])
            message = consumer.poll(20)
            if message is None or message.error() is not None:
                raise LookupError(f"the cause of an alert cannot be read: {dict(cause)}")
            return int(message.timestamp()[1])


@contextmanager
def kafka_pipeline(bootstrap: str, names: Names) -> Iterator[KafkaPipeline]:
    """streamgauge on this Kafka, from ready until SIGTERM; at the end all topics of the demo are deleted."""
    with tempfile.TemporaryDirectory(prefix="streamgauge-demo-") as folder, _input_topics(bootstrap, names):
        port = _free_port()
        config = Path(folder, "streamgauge.yaml")
        config.write_text(configuration(bootstrap, names, port))
        with (
            running(config, port, Path(folder, "run.log")) as process,
            closing(read_committed(bootstrap, "streamgauge-demo-screen")) as screen,
        ):
            yield KafkaPipeline(bootstrap, names, config, process, screen)


def configuration(bootstrap: str, names: Names, port: int) -> str:
    """The configuration file."""
    said = settings(names)
    said["kafka"]["bootstrap_servers"] = bootstrap
    return yaml.safe_dump(said | {"http": {"port": port}}, sort_keys=False)


def read_committed(bootstrap: str, group: str) -> Consumer:
    """A reader to whom only committed records are visible. Java clients must set isolation.level themselves."""
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )


def read_all(bootstrap: str, topic: str, timeout: float = 20.0) -> list[Event]:
    """All committed events of a topic, from its beginning to its end as of now."""
    with closing(read_committed(bootstrap, "streamgauge-demo-reader")) as consumer:
        partitions = consumer.list_topics(topic, timeout).topics[topic].partitions
        places = [TopicPartition(topic, partition, 0) for partition in partitions]
        ends = {place.partition: consumer.get_watermark_offsets(place, timeout)[1] for place in places}
        consumer.assign(places)
        found: list[Event] = []
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                found.append(orjson.loads(message.value()))
            if message is None and all(
                place.offset >= ends[place.partition] or ends[place.partition] == 0
                for place in consumer.position(places)
            ):
                break
        return found


@contextmanager
def _input_topics(bootstrap: str, names: Names) -> Iterator[None]:
    """The input topics, which belong to the service; at the end all topics of the demo are deleted."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = [NewTopic(names.topics[name], PARTITIONS) for name in INPUTS]
    try:
        for future in admin.create_topics(new, operation_timeout=30).values():
            future.result()
        yield
    except KafkaException as problem:
        raise DemoFailed(f"Kafka does not let the demo make its topics: {problem.args[0].str()}.") from problem
    finally:
        mine = [name for name in admin.list_topics(timeout=15).topics if name.startswith(names.application_id)]
        for future in admin.delete_topics(mine, operation_timeout=30).values() if mine else ():
            future.exception()  # the Kafka may be gone already, and the topics with it


@contextmanager
def running(config: Path, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`streamgauge run` with this configuration, from ready until SIGTERM. A DemoFailed tells the end of its log."""
    with log.open("wb") as out:
        command = [sys.executable, "-m", "streams.commands", "run", "--config", str(config)]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            if not _ready(process, port):
                raise DemoFailed(f"streamgauge did not get ready. The end of its log:\n{_end_of(log)}")
            yield process
            if process.poll() is not None:
                raise DemoFailed(f"streamgauge ended with code {process.returncode}. Its log:\n{_end_of(log)}")
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ready(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + _READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    return False


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
