"""Two stages under one supervisor: whatever ends one of the three ends all, and the exit code tells why."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from streams.worker import Link
from streams.worker.http import Answers, HttpServer
from streams.worker.supervisor import ask
from tests.service import role, wait_until


@contextmanager
def family(*arguments: str, stderr: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.worker.family", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, bufsize=0, start_new_session=True) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):  # stages that outlived it too
                os.killpg(process.pid, signal.SIGKILL)


def said(process: subprocess.Popen[bytes], lines: int) -> set[str]:
    assert process.stdout is not None
    found = set()
    for _ in range(lines):
        assert select.select([process.stdout], [], [], 30)[0], f"silence for 30 s after {found}"
        found.add(process.stdout.readline().decode().strip())
    return found


@pytest.mark.parametrize(("how", "code"), [("exit:3", 3), ("exit:0", 0), ("kill", 1)])
def test_when_one_stage_ends_the_other_is_stopped_and_its_code_is_the_supervisors(how: str, code: int) -> None:
    with family(how) as process:
        text = process.communicate(timeout=60)[0].decode()
    assert process.returncode == code
    assert "gauge stopped in order" in text or "gauge began" not in text


def test_a_stage_that_was_killed_is_told_with_what_is_likely() -> None:
    with family("kill", stderr=subprocess.PIPE) as process:
        told = process.communicate(timeout=60)[1].decode()
    assert "killed by SIGKILL; most likely out of memory" in told


def test_a_stage_is_asked_without_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    server = HttpServer("127.0.0.1", 0, Answers(lambda: (True, "alive"), lambda: (True, "ready"), lambda: b"x 1\n"))
    try:
        assert ask(server.port, "/readyz") == (200, b"ready\n")
        assert ask(server.port, "/metrics") == (200, b"x 1\n")
    finally:
        server.close()
    with pytest.raises(ConnectionRefusedError):
        ask(server.port, "/livez")


def test_sigterm_stops_both_stages_in_order() -> None:
    with family("stay") as process:
        assert said(process, 2) == {"join began", "gauge began"}
        process.send_signal(signal.SIGTERM)
        assert said(process, 2) == {"join stopped in order", "gauge stopped in order"}
        assert process.wait(60) == 0


def test_stages_notice_that_their_supervisor_was_killed() -> None:
    with family("stay") as process:
        assert said(process, 2) == {"join began", "gauge began"}
        process.kill()
        assert said(process, 2) == {"join stopped in order", "gauge stopped in order"}


@pytest.mark.parametrize("when", ["before it may begin", "before it read the port", "before the port was said"])
def test_a_stage_sees_the_end_of_a_supervisor_that_left_words_unread(when: str) -> None:
    ours, theirs = socket.socketpair()
    stopped = threading.Event()
    with theirs:
        link = Link(theirs)
        if when == "before it may begin":
            theirs.sendall(b"unread")
            ours.close()
            assert not link.wait()
            return
        if when == "before the port was said":
            ours.close()
        link.announce(1, stopped.set)
        ours.close()
        assert stopped.wait(30)


def test_a_supervisor_that_finds_no_kafka_takes_its_stages_with_it() -> None:
    with family("stay", "never") as process:
        text = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 7
    assert "began" not in text.replace("never began", "")


def test_a_process_list_tells_the_stages_apart() -> None:
    with family("stay") as process:
        assert said(process, 2) == {"join began", "gauge began"}
        root = psutil.Process(process.pid)
        assert role(root) == "parent"
        assert {role(child) for child in root.children()} == {"join", "gauge"}
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: process.poll() is not None, 60, "it ends")
