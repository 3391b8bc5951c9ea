"""`run` of both stages: two child processes of the same command line, one HTTP port for both.

Each child gets one end of a socket pair (its descriptor in an environment variable). Over it the child says which
loopback port it serves on; when the parent dies the child sees the end of it, and stops in order. Signals are passed
on; when one child ends, the other is stopped, and its code is the parent's.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from streams.worker.errors import Exit
from streams.worker.exposition import merge_expositions
from streams.worker.http import Answers, HttpServer
from streams.worker.process import stopping_on_signals

LINK_VARIABLE = "STREAMGAUGE_SUPERVISOR_FD"
_STOP_WITHIN = 45.0
_ASK_WITHIN = 5.0
_UNBEGUN = frozenset({-signal.SIGTERM, -signal.SIGINT, 128 + signal.SIGINT})
_log = structlog.get_logger("streamgauge.supervisor")


@dataclass(slots=True)
class _Child:
    stage: str
    process: subprocess.Popen[bytes]
    link: socket.socket
    port: int | None = None
    reader: threading.Thread | None = field(default=None, repr=False)

    def listen(self) -> None:
        """Learn the child's port; on a thread, so that a child that never says it holds nobody up."""

        def read() -> None:
            said = self.link.makefile("r").readline().strip()
            self.port = int(said) if said else None

        self.reader = threading.Thread(target=read, name=f"link-{self.stage}", daemon=True)
        self.reader.start()

    def ask(self, path: str) -> tuple[int, bytes]:
        """(status, body) of the child's HTTP; 503 while it does not answer."""
        if self.port is None:
            return 503, f"{self.stage}: starting".encode()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=_ASK_WITHIN) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read()
        except OSError as problem:
            return 503, f"{self.stage}: does not answer ({problem})".encode()


def supervise(stages: Sequence[str], command: Callable[[str], list[str]], http: tuple[str, int]) -> int:
    """Run a child for each stage until one of them ends or we are told to stop. Returns the exit code.

    `command(stage)` is the command line of a stage's child, without the Python interpreter.
    """
    told = threading.Event()
    children: list[_Child] = []
    server = HttpServer(*http, _answers(children))
    try:
        with stopping_on_signals(told.set):
            children += [_spawn(stage, command(stage)) for stage in stages]
            _log.info("running", stages=list(stages), http_port=server.port)
            return _wait(children, told)
    finally:
        for child in children:
            if child.process.poll() is None:
                child.process.kill()
                child.process.wait()
            child.link.close()
        server.close()


def _spawn(stage: str, arguments: list[str]) -> _Child:
    ours, theirs = socket.socketpair()
    with theirs:
        environment = {**os.environ, LINK_VARIABLE: str(theirs.fileno())}
        process = subprocess.Popen([sys.executable, *arguments], env=environment, pass_fds=(theirs.fileno(),))
    child = _Child(stage, process, ours)
    child.listen()
    return child


def _wait(children: Sequence[_Child], told: threading.Event) -> int:
    while not told.wait(0.1) and all(child.process.poll() is None for child in children):
        pass
    first = next((child for child in children if child.process.poll() is not None), None)
    for child in children:
        if child.process.poll() is None:
            child.process.send_signal(signal.SIGTERM)
    for child in children:
        try:
            child.process.wait(_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            _log.error("killed", stage=child.stage, reason=f"did not stop within {_STOP_WITHIN:.0f} s")
            child.process.kill()
            child.process.wait()
    ordered = [first, *children] if first is not None else list(children)
    codes = [_code(child.process.returncode, stopped=told.is_set()) for child in ordered]
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

    def metrics() -> bytes:
        texts = [body.decode() for status, body in (child.ask("/metrics") for child in children) if status == 200]
        return merge_expositions(texts).encode()

    return Answers(live, lambda: all_of("/readyz"), metrics)


class Link:
    """The child's end of the socket pair. Without a supervisor there is none, and nothing happens."""

    def __init__(self) -> None:
        told = os.environ.pop(LINK_VARIABLE, None)
        self._socket = socket.socket(fileno=int(told)) if told else None

    @property
    def supervised(self) -> bool:
        """Whether a supervisor started this process."""
        return self._socket is not None

    def announce(self, port: int, stop: Callable[[], None]) -> None:
        """Say the port; call `stop` when the supervisor is gone."""
        if self._socket is None:
            return
        link = self._socket
        link.sendall(f"{port}\n".encode())

        def watch() -> None:
            if not link.recv(1):
                stop()

        threading.Thread(target=watch, name="supervisor-link", daemon=True).start()
