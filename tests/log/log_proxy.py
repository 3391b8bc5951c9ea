"""A loopback proxy in front of a broker that can lose the requests or the replies of commits (EndTxn)."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Literal

_END_TXN = 26
_SIZE = struct.Struct(">i")
_HEAD = struct.Struct(">hhi")  # api key, api version, correlation id

Loses = Literal["nothing", "requests", "replies"]


class CommitLosingProxy:
    """Forwards `port` to `target`; `loses` says what it does to EndTxn, `lost` counts how often."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.loses: Loses = "nothing"
        self.lost = 0
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._closing = False
        self._run(self._accept)

    def close(self) -> None:
        self._closing = True
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(5)

    def _run(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
                broker = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._sockets += [client, broker]
            swallowed: set[int] = set()
            self._run(self._requests, client, broker, swallowed)
            self._run(self._replies, broker, client, swallowed)

    def _requests(self, client: socket.socket, broker: socket.socket, swallowed: set[int]) -> None:
        while (frame := _frame(client)) is not None:
            key, _, correlation = _HEAD.unpack_from(frame)
            if key == _END_TXN and self.loses != "nothing":
                self.lost += 1
                if self.loses == "requests":
                    continue
                swallowed.add(correlation)
            if not _send(broker, frame):
                return
        _end(broker)

    def _replies(self, broker: socket.socket, client: socket.socket, swallowed: set[int]) -> None:
        while (frame := _frame(broker)) is not None:
            if _SIZE.unpack_from(frame)[0] in swallowed:  # the correlation id
                continue
            if not _send(client, frame):
                return
        _end(client)


def _frame(source: socket.socket) -> bytes | None:
    head = _exactly(source, _SIZE.size)
    return None if head is None else _exactly(source, _SIZE.unpack(head)[0])


def _exactly(source: socket.socket, count: int) -> bytes | None:
    found = b""
    while len(found) < count:
        try:
            more = source.recv(count - len(found))
        except OSError:
            return None
        if not more:
            return None
        found += more
    return found


def _send(target: socket.socket, frame: bytes) -> bool:
    try:
        target.sendall(_SIZE.pack(len(frame)) + frame)
    except OSError:
        return False
    return True


def _end(target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
