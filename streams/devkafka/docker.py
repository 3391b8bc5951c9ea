"""Apache Kafka in a container, where a Docker engine runs."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from streams.devkafka.jars import VERSION, DevKafkaUnavailable
from streams.devkafka.local import free_ports
from streams.devkafka.probe import answers

_START_TIMEOUT = 120.0
_PROBE_TIMEOUT = 1.0


def docker_runs() -> bool:
    """Whether an engine answers and testcontainers is installed. A client without a daemon is not an engine."""
    if find_spec("testcontainers") is None:
        return False
    address = urlsplit(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    try:
        if address.scheme == "unix":
            if not Path(address.path).exists():
                return False
            with socket.socket(socket.AF_UNIX) as engine:
                engine.settimeout(_PROBE_TIMEOUT)
                engine.connect(address.path)
        else:
            socket.create_connection((address.hostname or "", address.port or 2375), timeout=_PROBE_TIMEOUT).close()
    except OSError:
        return False
    return True


@contextmanager
def docker_kafka() -> Iterator[str]:
    """Bootstrap servers of one broker from the apache/kafka image."""
    from testcontainers.core.container import DockerContainer

    (port,) = free_ports(1)
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "4",
        "KAFKA_TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS": "1000",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
    }
    container = DockerContainer(f"apache/kafka:{VERSION}").with_bind_ports(9092, port)
    for name, value in settings.items():
        container = container.with_env(name, value)
    with container:
        servers = f"127.0.0.1:{port}"
        if not answers(servers, 1, _START_TIMEOUT):
            raise DevKafkaUnavailable("the apache/kafka container does not answer; see `docker logs`")
        yield servers
