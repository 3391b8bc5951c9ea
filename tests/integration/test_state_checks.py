"""That offsets, journal and snapshots do not agree is told, wherever it lies; without a Kafka."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest

from schemas import Config
from tests.integration.rows import Violation
from tests.integration.state_checks import state_agrees
from tests.kafka_client import Kafka

CONFIG = Config.model_validate({"kafka": {"bootstrap_servers": "localhost:1", "application_id": "app"}})
SOURCE = ("predictions", 0)


@dataclass
class Message:
    """What is asked of a message."""

    magic: bytes
    tree: dict[str, Any]

    def partition(self) -> int:
        return 0

    def key(self) -> bytes:
        return b"head"

    def value(self) -> bytes:
        body = msgspec.msgpack.encode(self.tree)
        return struct.pack(">4sHI", self.magic, 1, zlib.crc32(body)) + body


@dataclass
class Stopped:
    """In the place of a cluster: what an application that has stopped left there."""

    said: tuple[int, str] = (7, '{"commit":3}')
    cut: int = 5
    join: dict[tuple[str, int], tuple[int, str]] = field(default_factory=lambda: {SOURCE: (7, '{"commit":3}')})

    def open_transactions(self, _: object) -> int:
        return 0

    def offsets(self, group: str, *_: str) -> dict[tuple[str, int], tuple[int, str]]:
        return self.join if group == CONFIG.join_group else {(CONFIG.outcomes_topic, 0): (5, "")}

    def read(self, topic: str) -> list[Message]:
        if topic == CONFIG.journal_topic:
            return [Message(b"SGJE", {"sources": [[*SOURCE, *self.said]]})]
        return [Message(b"SGHD", {"offset": self.cut})]


def judged(stopped: Stopped) -> int:
    return state_agrees(cast(Kafka, stopped), CONFIG, "predictions")


def test_what_is_of_one_commit_agrees() -> None:
    assert judged(Stopped()) == 2


@pytest.mark.parametrize(
    ("stopped", "told"),
    [
        (Stopped(said=(6, '{"commit":3}')), "the journal"),
        (Stopped(said=(7, '{"commit":2}')), "the journal"),
        (Stopped(join={}), "no offset of it"),
        (Stopped(cut=6), "the snapshot is of 6"),
    ],
    ids=["another offset", "another commit", "no offset", "a snapshot of what is not read"],
)
def test_what_is_of_different_commits_is_told(stopped: Stopped, told: str) -> None:
    with pytest.raises(Violation, match=told):
        judged(stopped)
