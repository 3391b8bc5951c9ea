"""`streamgauge run` as a process group of its own, for tests and benchmarks that look at it from outside."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import yaml


def wait_until(condition: Callable[[], bool], timeout: float, what: str) -> None:
    """Poll `condition` until it holds; an AssertionError names `what` when it never did."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"after {timeout:.0f} s still not: {what}"
        pause.wait(0.05)


def role(process: psutil.Process) -> str:
    """Which of ours a process of `run` is: "join" or "gauge", or "parent" of both."""
    return process.name().removeprefix("stage-") if process.name().startswith("stage-") else "parent"


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Service:
    """One run of `streamgauge run`. As a context it is killed at the end, if it still lives."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        *,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="streamgauge-test-")
        config = Path(self._folder.name, "streamgauge.yaml")
        config.write_text(yaml.safe_dump({**settings, "http": {"port": self.port}}))
        self._log = Path(self._folder.name, "run.log")
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streams.commands", "run", "--config", str(config), *arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    def __enter__(self) -> Service:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: object, trace: TracebackType | None) -> None:
        if kind is not None:
            sys.stderr.write(f"\n--- the end of streamgauge's log ---\n{self.log()[-6000:]}\n")
        self.kill()
        self._folder.cleanup()

    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text(errors="replace")

    @property
    def ended(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.poll()

    def wait_for_log(self, text: str, timeout: float) -> None:
        """Wait until its log holds `text`; that it ends instead is an error."""

        def there() -> bool:
            if text in self.log():
                return True
            assert self.ended is None, f"streamgauge ended with code {self.ended}:\n{self.log()[-3000:]}"
            return False

        wait_until(there, timeout, f"{text!r} in the log")

    def wait_ready(self, timeout: float = 90) -> None:
        """Wait until /readyz says that all assigned state is restored."""

        def ready() -> bool:
            assert self.ended is None, f"streamgauge ended with code {self.ended}:\n{self.log()[-3000:]}"
            return self.get("/readyz") is not None

        wait_until(ready, timeout, "ready")

    def get(self, path: str) -> str | None:
        """The body of an HTTP reply, None where there is none or it is not 200."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as reply:
                body: str = reply.read().decode()
                return body
        except (urllib.error.URLError, OSError):
            return None

    def kill(self) -> None:
        """SIGKILL to the whole process group: nothing of it gets to clean up."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def signal(self, number: int) -> None:
        """A signal to the whole process group."""
        os.killpg(self._process.pid, number)

    def terminate(self, timeout: float = 60) -> int:
        """SIGTERM, as an orchestrator would; its exit code."""
        self._process.terminate()
        return self._process.wait(timeout)

    def processes(self) -> list[psutil.Process]:
        """The process and all that descend from it."""
        root = psutil.Process(self._process.pid)
        return [root, *root.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """CPU time of all threads of all its processes, and of their children that have ended."""
        total = 0.0
        for process in self.processes():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system + times.children_user + times.children_system
        return total

    def resident_bytes(self) -> int:
        """Resident memory of all its processes."""
        return sum(process.memory_info().rss for process in self.processes())
