"""`run` of both stages: two processes forked from this one, one HTTP port for both.

Most of a start is imports, so they are made once: the stages are forked when all that both need is there, and before
this process has a thread, a client or a socket of Kafka. Each holds one end of a socket pair. Over it the parent says
that the stage may begin, once it knows that Kafka is as it should be; the child says which loopback port it serves on;
and when the parent dies the child sees the end of it, and stops in order. Signals are passed on; when one child ends,
the other is stopped, and its code is the parent's.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from types import TracebackType

import structlog

from streams.worker.errors import Exit
from streams.worker.exposition import merge_expositions
from streams.worker.http import Answers, HttpServer
from streams.worker.interpreter import keep_what_is_there, name_process
from streams.worker.process import stopping_on_signals

_STOP_WITHIN = 45.0
_ASK_WITHIN = 5.0
_BEGIN = b"!"
_UNBEGUN = frozenset({-signal.SIGTERM, -signal.SIGINT, 128 + signal.SIGINT})
_log = structlog.get_logger("streamgauge.supervisor")


@dataclass(slots=True)
class _Child:
    stage: str
    process: ForkProcess
    link: socket.socket
    port: int | None = None
    reader: threading.Thread | None = field(default=None, repr=False)

    def begin(self) -> None:
        """Let it begin, and learn its port; on a thread, so that a child that never says it holds nobody up."""

        def read() -> None:
            with contextlib.suppress(ConnectionResetError):  # it died before it read that it may begin
                said = self.link.makefile("r").readline().strip()
                self.port = int(said) if said else None

        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has died already, which its end tells
            self.link.sendall(_BEGIN)
        self.reader = threading.Thread(target=read, name=f"link-{self.stage}", daemon=True)
        self.reader.start()

    def ask(self, path: str) -> tuple[int, bytes]:
        """(status, body) of the child's HTTP; 503 while it does not answer."""
        if self.port is None:
            return 503, f"{self.stage}: starting".encode()
        try:
            return ask(self.port, path)
        except (OSError, HTTPException) as problem:
            return 503, f"{self.stage}: does not answer ({problem})".encode()


def ask(port: int, path: str) -> tuple[int, bytes]:
    """(status, body) of a port on loopback. Not by urllib.request, which asks a proxy where the environment has one."""
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=_ASK_WITHIN)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


class Children:
    """A process for each stage, forked at once and waiting. As a context: none of them outlives it.

    `body(stage, link)` runs in the child once it may begin; SystemExit of it is the child's exit code.
    """

    def __init__(self, stages: Sequence[str], body: Callable[[str, Link], None]) -> None:
        keep_what_is_there()
        pairs = [socket.socketpair() for _ in stages]
        forks = multiprocessing.get_context("fork")
        self._children: list[_Child] = []
        for stage, (ours, theirs) in zip(stages, pairs, strict=True):
            others = [end for pair in pairs for end in pair if end is not theirs]
            process = forks.Process(target=_live, args=(stage, theirs, others, body), name=stage, daemon=True)
            process.start()
            self._children.append(_Child(stage, process, ours))
        for _, theirs in pairs:
            theirs.close()

    def __enter__(self) -> Children:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _problem: object, _trace: TracebackType | None) -> None:
        for child in self._children:
            child.process.kill()
            child.process.join()
            child.link.close()

    def supervise(self, http: tuple[str, int]) -> int:
        """Let them begin; until one of them ends or we are told to stop. Returns the exit code."""
        told = threading.Event()
        server = HttpServer(*http, _answers(self._children))
        try:
            with stopping_on_signals(told.set):
                for child in self._children:
                    child.begin()
                _log.info("running", stages=[child.stage for child in self._children], http_port=server.port)
                return _wait(self._children, told)
        finally:
            server.close()


def _live(stage: str, link: socket.socket, others: Sequence[socket.socket], body: Callable[[str, Link], None]) -> None:
    """In the child. An end of another's pair that stayed open here would hide the parent's death from that other."""
    for end in others:
        end.close()
    name_process(f"stage-{stage}")
    body(stage, Link(link))


def _wait(children: Sequence[_Child], told: threading.Event) -> int:
    sentinels = [child.process.sentinel for child in children]
    ended: Sequence[object] = ()
    while not told.is_set() and not ended:
        ended = wait(sentinels, 0.1)
    first = next((child for child in children if child.process.sentinel in ended), None)
    if first is not None:
        first.process.join(_STOP_WITHIN)  # its sentinel ends a moment before it can be waited for
    killed_by = -(first.process.exitcode or 0) if first is not None else 0
    if first is not None and killed_by > 0 and not told.is_set():
        name = signal.Signals(killed_by).name if killed_by in set(signal.Signals) else f"signal {killed_by}"
        likely = "; most likely out of memory: give it more, or lower state.memory" if name == "SIGKILL" else ""
        _log.error("killed", stage=first.stage, reason=f"killed by {name}{likely}")
    for child in children:
        child.process.terminate()
    for child in children:
        child.process.join(_STOP_WITHIN)
        if child.process.is_alive():
            _log.error("killed", stage=child.stage, reason=f"did not stop within {_STOP_WITHIN:.0f} s")
            child.process.kill()
            child.process.join()
    ordered = [first, *children] if first is not None else list(children)
    codes = [_code(child.process.exitcode or 0, stopped=told.is_set() or child is not first) for child in ordered]
    return next((code for code in codes if code), Exit.DONE)


def _code(returncode: int, *, stopped: bool) -> int:
    """A child that was killed by a signal has no code of its own. One that was told to stop before it had begun to
    listen for signals has stopped in order: it had joined nothing yet."""
    if stopped and returncode in _UNBEGUN:
        return Exit.DONE
    return returncode if returncode >= 0 else Exit.BUG


def _answers(children: Sequence[_Child]) -> Answers:
    def all_of(path: str) -> tuple[bool, str]:
        answers = [child.ask(path) for child in children]
        text = "\n".join(body.decode().strip() for _, body in answers)
        return bool(answers) and all(status == 200 for status, _ in answers), text or "starting"

    def live() -> tuple[bool, str]:
        # A child that is still importing has no port yet, and is alive; one that has died ends us.
        answers = [child.ask("/livez") for child in children if child.port is not None]
        text = "\n".join(body.decode().strip() for _, body in answers)
        return all(status == 200 for status, _ in answers), text or "starting"

    def metrics() -> bytes | None:
        texts = [body.decode() for status, body in (child.ask("/metrics") for child in children) if status == 200]
        return merge_expositions(texts).encode() if texts else None

    return Answers(live, lambda: all_of("/readyz"), metrics)


class Link:
    """The child's end of the socket pair. A parent that died without having read what was said to it resets the pair,
    rather than ending it; either is its end."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def wait(self) -> bool:
        """Whether the stage may begin; False when the parent has ended instead."""
        return self._heard() == _BEGIN

    def announce(self, port: int, stop: Callable[[], None]) -> None:
        """Say the port; call `stop` when the supervisor is gone."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # its end, which `watch` sees
            self._socket.sendall(f"{port}\n".encode())

        def watch() -> None:
            if not self._heard():
                stop()

        threading.Thread(target=watch, name="supervisor-link", daemon=True).start()

    def _heard(self) -> bytes:
        try:
            return self._socket.recv(1)
        except ConnectionResetError:
            return b""
