"""A call of librdkafka that does not come back must not take the worker with it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from streams.log import Committed, GroupMetadata, ProducerFatal
from streams.log.kafka import producer as module
from streams.log.kafka.producer import KafkaProducer
from streams.log.kafka.settings import Settings
from streams.records import TopicPartition

SOURCE = TopicPartition("t", 0)
GROUP = GroupMetadata("g", "m", 1, None, frozenset({SOURCE}))


class Stuck:
    """A client whose send_offsets_to_transaction comes back when it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.calls = 0

    def send_offsets_to_transaction(self, *_: Any) -> None:
        self.calls += 1
        self.let_go.wait()


def producer_with(client: object) -> KafkaProducer:
    made = KafkaProducer(Settings("127.0.0.1:1", {}), "x")
    made._client = client  # type: ignore[assignment]
    return made


def test_a_producer_whose_client_does_not_come_back_is_of_no_more_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GRACE", 0.0)
    client = Stuck()
    producer = producer_with(client)
    with pytest.raises(ProducerFatal, match="no word from the client"):
        producer.send_offsets({SOURCE: Committed(1, "")}, GROUP, 0.05)
    with pytest.raises(ProducerFatal, match="of no more use"):
        producer.begin()
    producer.close()  # without a word to the client, which would wait for its own call
    assert client.calls == 1
    client.let_go.set()


def test_what_the_client_raises_is_raised_as_if_there_were_no_thread() -> None:
    class Broken:
        def send_offsets_to_transaction(self, *_: Any) -> None:
            raise ZeroDivisionError("a bug of ours")

    with pytest.raises(ZeroDivisionError):
        producer_with(Broken()).send_offsets({SOURCE: Committed(1, "")}, GROUP, 1.0)
