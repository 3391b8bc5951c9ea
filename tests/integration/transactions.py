"""Which transactions the brokers know of, asked in Kafka's own protocol: the client has no call for it.

ListTransactions, version 0 (https://kafka.apache.org/protocol#The_Messages_ListTransactions, KIP-664). Each broker
tells of those it coordinates, so all of them are asked.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

_LIST_TRANSACTIONS, _VERSION, _CORRELATION = 66, 0, 1
_TIMEOUT = 10.0
_LOADING = 14
"""COORDINATOR_LOAD_IN_PROGRESS: the broker has just become coordinator, and knows of none yet."""


def transactions(brokers: Iterable[tuple[str, int]]) -> dict[str, str]:
    """The state of every transactional id: Empty, Ongoing, PrepareCommit, CompleteCommit, …"""
    found: dict[str, str] = {}
    for host, port in brokers:
        with socket.create_connection((host, port), _TIMEOUT) as connection:
            connection.sendall(_request())
            found |= _parse(_Answer(_answer(connection)))
    return found


def _request() -> bytes:
    client = b"test"
    header = struct.pack(">hhih", _LIST_TRANSACTIONS, _VERSION, _CORRELATION, len(client)) + client + b"\0"
    every_state, every_producer, no_tags = b"\1", b"\1", b"\0"  # compact arrays tell their length plus one
    message = header + every_state + every_producer + no_tags
    return struct.pack(">i", len(message)) + message


def _answer(connection: socket.socket) -> bytes:
    (size,) = struct.unpack(">i", _exactly(connection, 4))
    return _exactly(connection, size)


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        assert part, "the broker hung up: it does not know ListTransactions"
        parts += part
    return parts


@dataclass(slots=True)
class _Answer:
    """Reads an answer from front to back."""

    data: bytes
    at: int = 0

    def take(self, form: str) -> int:
        """A number of fixed size."""
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return int(value)

    def count(self) -> int:
        """An unsigned varint: how many; of compact types it is one more."""
        value = shift = 0
        while True:
            byte = self.take(">B")
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def text(self) -> str:
        """A compact string."""
        size = self.count() - 1
        self.at += size
        return self.data[self.at - size : self.at].decode()

    def skip_tags(self) -> None:
        """Tagged fields, of which we know none."""
        for _ in range(self.count()):
            self.count()
            self.at += self.count()


def _parse(answer: _Answer) -> dict[str, str]:
    assert answer.take(">i") == _CORRELATION
    answer.skip_tags()
    answer.take(">i")  # throttled for so many milliseconds
    error = answer.take(">h")
    if error == _LOADING:
        return {}
    assert error == 0, f"the broker answers ListTransactions with error {error}"
    for _ in range(answer.count() - 1):
        answer.text()  # states it was asked for and does not know
    found: dict[str, str] = {}
    for _ in range(answer.count() - 1):
        name = answer.text()
        answer.take(">q")  # the producer id
        found[name] = answer.text()
        answer.skip_tags()
    return found
