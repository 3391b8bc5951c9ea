"""What every room's tests may ask for: a real Kafka, and names nobody else uses."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from streams.devkafka import dev_kafka, locked


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--base-seed", type=int, default=20261122, help="what the seeds of statistical tests derive from")


@pytest.fixture(scope="session")
def base_seed(pytestconfig: pytest.Config) -> int:
    """What the seeds of statistical tests derive from."""
    return int(pytestconfig.getoption("--base-seed"))


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[str]:
    """Bootstrap servers of a real Apache Kafka, one for all the processes of a test run. That there is none to be had
    is a failure, never a skip.

    The first process to ask starts it and stops it, after the others have let go of their shared lock.
    """
    own = tmp_path_factory.getbasetemp()
    shared = (own if worker_id == "master" else own.parent) / "dev-kafka"
    shared.mkdir(exist_ok=True)
    address, users, gate = shared / "address", shared / "users.lock", shared / "gate.lock"
    with ExitStack() as use:
        with locked(gate):
            if address.exists():
                use.enter_context(locked(users, shared=True))
                servers, starter = address.read_text(), False
            else:
                servers, starter = use.enter_context(dev_kafka()).bootstrap_servers, True
                address.write_text(servers)
        yield servers
        if starter:
            _let_others_finish(gate, address, users)


def _let_others_finish(gate: Path, address: Path, users: Path) -> None:
    with locked(gate):
        address.unlink()
    with locked(users):
        pass


@pytest.fixture
def unique() -> Callable[[str], str]:
    """unique("topic") is a name that no other test has: for topics, groups and transactional ids."""
    tag = uuid.uuid4().hex[:10]
    return lambda name: f"{name}-{tag}"
