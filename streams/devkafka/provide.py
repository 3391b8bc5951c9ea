"""dev_kafka(): the one way to a real Kafka for development, whatever this machine has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from streams.devkafka.docker import docker_kafka, docker_runs
from streams.devkafka.jars import VERSION, DevKafkaUnavailable
from streams.devkafka.local import local_kafka
from streams.devkafka.probe import answers

VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
_GIVEN_TIMEOUT = 15.0


@dataclass(frozen=True, slots=True)
class DevKafka:
    """A Kafka to work with, and where it came from."""

    bootstrap_servers: str
    how: Literal["environment", "docker", "local"]

    @property
    def description(self) -> str:
        """Where it came from, for people."""
        return {
            "environment": f"the Kafka that {VARIABLE} names",
            "docker": f"Apache Kafka {VERSION} in Docker",
            "local": f"Apache Kafka {VERSION} on the local Java",
        }[self.how]


@contextmanager
def dev_kafka(brokers: int = 1) -> Iterator[DevKafka]:
    """A Kafka for as long as the context lasts, from the first of these that can be had: the environment variable
    KAFKA_BOOTSTRAP_SERVERS; Docker through testcontainers (one broker); Apache Kafka from Maven Central on the local
    Java. Raises DevKafkaUnavailable, in a sentence that says what is missing."""
    given = os.environ.get(VARIABLE)
    if given:
        if not answers(given, 1, _GIVEN_TIMEOUT):
            raise DevKafkaUnavailable(f"{VARIABLE} names {given}, but no Kafka answers there")
        yield DevKafka(given, "environment")
    elif brokers == 1 and docker_runs():
        with docker_kafka() as servers:
            yield DevKafka(servers, "docker")
    else:
        with local_kafka(brokers) as servers:
            yield DevKafka(servers, "local")
