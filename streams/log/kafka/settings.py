"""What the clients are told: our tuning, over it the user's properties, over them what correctness needs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import structlog
from confluent_kafka import KafkaError, KafkaException

from schemas import MASK, SESSION_TIMEOUT_MS, TRANSACTION_TIMEOUT_MS, is_secret
from streams.log.base import MESSAGE_LIMIT, WrongProperty

SHORTEST_SECRET = 4
"""What is shorter is in any text."""

Client = TypeVar("Client")
_log = structlog.get_logger("streamgauge.kafka")


class _ClientLog(logging.Handler):
    """What the client says of itself. By default that is fatal errors alone, which the call that meets them raises
    too: worth a line with --verbose. More is said where the user's log_level or debug asks for it."""

    def emit(self, record: logging.LogRecord) -> None:
        say = _log.debug if record.levelno >= logging.CRITICAL else _log.info
        say("kafka_client", text=record.getMessage())


def _client_log() -> logging.Logger:
    """Without it the client writes to stderr by itself."""
    logger = logging.Logger("streamgauge.kafka")
    logger.addHandler(_ClientLog())
    return logger


_COMMON = {
    "client.id": "streamgauge",
    "log_level": 2,  # what matters arrives as an error of a call or in error_cb
    "socket.keepalive.enable": True,
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 1000,
}
_CONSUMER = {
    # With the defaults Python waits for librdkafka's queue most of the time.
    "queued.min.messages": 1_000_000,
    "fetch.queue.backoff.ms": 5,
    # An empty fetch is what says that the end is reached.
    "fetch.wait.max.ms": 100,
    "session.timeout.ms": SESSION_TIMEOUT_MS,
    "heartbeat.interval.ms": 3000,
}
_CONSUMER_FIXED = {
    "isolation.level": "read_committed",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "partition.assignment.strategy": "range",
}
_PRODUCER = {
    "compression.type": "lz4",
    "linger.ms": 5,
    # Governs back-to-back transactions: AddOffsetsToTxn is retried while the last markers are being written.
    "retry.backoff.ms": 5,
    "queue.buffering.max.messages": 1_000_000,
    "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
    # Less than the transaction's, so that a topic which does not exist is named instead of timing out.
    "topic.metadata.propagation.max.ms": 5000,
}
_PRODUCER_FIXED = {
    # Room for headers and framing; with a batch's overhead still under a broker's default of 1,048,588.
    "message.max.bytes": MESSAGE_LIMIT + 40_000,
    "partitioner": "murmur2_random",
    "enable.idempotence": True,
}


class Settings:
    """Builds the properties of each kind of client."""

    def __init__(self, bootstrap_servers: str, client: Mapping[str, Any]) -> None:
        self.bootstrap_servers = bootstrap_servers
        self._client = dict(client)

    def masked(self, text: str) -> str:
        """A text of the client's without what it quotes of secret properties."""
        for name, value in self._client.items():
            if is_secret(name):
                for part in sorted({str(value), *str(value).split()}, key=len, reverse=True):
                    text = text.replace(part, MASK) if len(part) >= SHORTEST_SECRET else text
        return text

    def consumer(self, group_id: str, instance_id: str | None, errors: Callable[[KafkaError], None]) -> dict[str, Any]:
        """Of a group member."""
        fixed: dict[str, Any] = {**_CONSUMER_FIXED, "group.id": group_id}
        if instance_id is not None:
            fixed["group.instance.id"] = instance_id
        return self._join(_CONSUMER, fixed, errors)

    def reader(self) -> dict[str, Any]:
        """Of a client that must name a group, but neither joins it nor commits anything."""
        properties = self.consumer("streamgauge-reader", None, lambda _: None)
        return {**properties, "fetch.wait.max.ms": 10}

    def producer(self, transactional_id: str, errors: Callable[[KafkaError], None]) -> dict[str, Any]:
        """Of a transactional producer."""
        return self._join(_PRODUCER, {**_PRODUCER_FIXED, "transactional.id": transactional_id}, errors)

    def admin(self, errors: Callable[[KafkaError], None]) -> dict[str, Any]:
        """Of an admin client."""
        return self._join({}, {}, errors)

    def _join(
        self, tuning: Mapping[str, Any], fixed: Mapping[str, Any], errors: Callable[[KafkaError], None]
    ) -> dict[str, Any]:
        servers = {"bootstrap.servers": self.bootstrap_servers, "error_cb": errors, "logger": _client_log()}
        return {**_COMMON, **tuning, **self._client, **fixed, **servers}


def build(kind: Callable[[dict[str, Any]], Client], properties: dict[str, Any]) -> Client:
    """The client; a property it does not know is an error in the configuration, in a sentence."""
    try:
        return kind(properties)
    except KafkaException as exception:
        error = exception.args[0]
        raise WrongProperty(f"kafka.client: {error.str()}", error.name()) from exception
