"""Whether a Kafka answers."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

_PAUSE = 0.1


def answers(bootstrap_servers: str, brokers: int, timeout: float) -> bool:
    """Whether the client sees at least so many brokers within timeout seconds."""
    deadline = time.monotonic() + timeout
    client = AdminClient(
        {
            "bootstrap.servers": bootstrap_servers,
            "log_level": 0,
            "error_cb": lambda _: None,  # refused connections are what we are waiting out
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 200,
        }
    )
    while True:
        try:
            if len(client.list_topics(timeout=max(min(deadline - time.monotonic(), 2.0), 0.1)).brokers) >= brokers:
                return True
        except KafkaException:
            pass
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE)


def wait_until_ready(bootstrap_servers: str, brokers: int, timeout: float, *, alive: Callable[[], bool]) -> bool:
    """Wait until all listen and the client sees them; False where the time is over or one has died."""
    deadline = time.monotonic() + timeout
    waiting = bootstrap_servers.split(",")
    while waiting:
        if not alive() or time.monotonic() >= deadline:
            return False
        if _listens(waiting[0]):
            waiting.pop(0)
        else:
            time.sleep(_PAUSE)
    return alive() and answers(bootstrap_servers, brokers, deadline - time.monotonic())


def _listens(server: str) -> bool:
    host, _, port = server.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1.0):
            return True
    except OSError:
        return False
