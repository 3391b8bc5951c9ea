"""The development Kafka: where it comes from, and that it is gone when nobody needs it any more."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streams.devkafka import DevKafkaUnavailable, dev_kafka, local_kafka
from streams.log import KafkaLog

_START = """
import sys
from streams.devkafka import local_kafka
with local_kafka() as servers:
    print(servers, flush=True)
    sys.stdin.readline()
"""


def listens(servers: str) -> bool:
    """Whether somebody listens there."""
    host, port = servers.split(":")
    with socket.socket() as one:
        return one.connect_ex((host, int(port))) == 0


@pytest.mark.kafka
def test_the_environment_names_the_kafka_to_use(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka)
    with dev_kafka() as found:
        assert (found.bootstrap_servers, found.how) == (kafka, "environment")
        KafkaLog(found.bootstrap_servers).check(10.0)


def test_an_environment_that_names_a_dead_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.devkafka.provide._GIVEN_TIMEOUT", 0.3)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with pytest.raises(DevKafkaUnavailable, match="no Kafka answers there"), dev_kafka():
        pass


def test_a_machine_without_java_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DevKafkaUnavailable, match=r"no Java|no Maven"), local_kafka():
        pass


@pytest.mark.kafka
def test_the_broker_ends_with_the_process_that_started_it_even_when_that_is_killed(tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", _START],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert starter.stdout is not None
    assert starter.stdin is not None
    servers = starter.stdout.readline().strip()
    assert listens(servers)
    assert len(list(tmp_path.iterdir())) == 1
    os.kill(starter.pid, signal.SIGKILL)
    starter.stdin.close()
    starter.stdout.close()
    starter.wait(60)
    deadline = time.monotonic() + 60
    while listens(servers) or any(tmp_path.iterdir()):
        assert time.monotonic() < deadline, "the broker or its data is still there"
        os.sched_yield()
