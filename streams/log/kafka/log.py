"""KafkaLog: the transactional log over Apache Kafka, by confluent-kafka (librdkafka)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from streams.log.base import Refused, Unreachable
from streams.log.kafka.admin import KafkaAdmin
from streams.log.kafka.consumer import KafkaConsumer
from streams.log.kafka.producer import KafkaProducer
from streams.log.kafka.reader import KafkaReader
from streams.log.kafka.settings import Settings, build

_TURN = 1.0
_AUTHENTICATION = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})


class KafkaLog:
    """Makes clients of one cluster. `client` holds librdkafka properties of the user's (security, tuning); what
    correctness rests on cannot be overridden by them."""

    def __init__(self, bootstrap_servers: str, client: Mapping[str, Any] | None = None) -> None:
        self._settings = Settings(bootstrap_servers, client or {})

    def consumer(self, group_id: str, instance_id: str | None = None) -> KafkaConsumer:
        return KafkaConsumer(self._settings, group_id, instance_id)

    def producer(self, transactional_id: str) -> KafkaProducer:
        return KafkaProducer(self._settings, transactional_id)

    def reader(self) -> KafkaReader:
        return KafkaReader(self._settings)

    def admin(self) -> KafkaAdmin:
        return KafkaAdmin(self._settings)

    def check(self, timeout: float) -> None:
        """A refused client sees nothing but silence in its calls: the reason comes to error_cb alone."""
        heard: list[KafkaError] = []
        client = build(AdminClient, self._settings.admin(heard.append))
        deadline = time.monotonic() + timeout
        while True:
            try:
                client.list_topics(timeout=max(min(_TURN, deadline - time.monotonic()), 0.1))
                return
            except KafkaException as exception:
                client.poll(0)
                self._raise_refusal(heard)
                if time.monotonic() >= deadline:
                    raise Unreachable(self._silence(heard, exception.args[0], timeout), "_TRANSPORT") from exception

    def _raise_refusal(self, heard: list[KafkaError]) -> None:
        servers = self._settings.bootstrap_servers
        for error in heard:
            told = self._settings.masked(error.str())
            if error.code() in _AUTHENTICATION:
                raise Refused(
                    f"Kafka at {servers} refuses the user, password or mechanism (sasl.*): {told}", error.name()
                )
            if "certificate" in error.str().lower():
                raise Refused(
                    f"the certificate of Kafka at {servers} is not trusted (ssl.ca.location): {told}", error.name()
                )

    def _silence(self, heard: list[KafkaError], last: KafkaError, timeout: float) -> str:
        reasons = [error.str() for error in heard if error.code() != KafkaError._ALL_BROKERS_DOWN]
        reason = self._settings.masked(reasons[-1] if reasons else last.str())
        return (
            f"no Kafka broker answers at {self._settings.bootstrap_servers} within {timeout:g} s ({reason}): "
            "set kafka.bootstrap_servers to where Kafka is, or start it"
        )
