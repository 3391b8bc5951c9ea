"""The commands against a real Apache Kafka."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner, Result

from streams.commands import app
from streams.log import KafkaLog

runner = CliRunner()
pytestmark = pytest.mark.kafka


class Application:
    """An application id of its own on a shared cluster, with its configuration file."""

    def __init__(self, kafka: str, name: str, folder: Path) -> None:
        self.name = name
        self.bootstrap = kafka
        self.admin = KafkaLog(kafka).admin()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        topics = {
            key: f"{name}-{key}" for key in ("predictions", "labels", "metrics", "alerts", "dead_letters", "control")
        }
        self.topics = topics
        self.path = folder / "streamgauge.yaml"
        self.path.write_text(
            yaml.safe_dump(
                {
                    "kafka": {"bootstrap_servers": kafka, "application_id": name},
                    "topics": topics,
                    "http": {"port": self.port},
                }
            )
        )

    def inputs(self, predictions: int = 2, labels: int = 2) -> None:
        self.admin.create(self.topics["predictions"], predictions, {}, 1, 30)
        self.admin.create(self.topics["labels"], labels, {}, 1, 30)

    def invoke(self, *command: str) -> Result:
        return runner.invoke(app, [*command, "--config", str(self.path)])


@pytest.fixture
def application(kafka: str, unique: Callable[[str], str], tmp_path: Path) -> Iterator[Application]:
    made = Application(kafka, unique("commands"), tmp_path)
    yield made
    made.admin.close()


def test_topics_are_checked_created_and_deleted(application: Application) -> None:
    missing = application.invoke("topics", "check")
    assert missing.exit_code == 3
    assert f"the input topic {application.topics['predictions']} does not exist" in missing.output
    application.inputs()
    refused = application.invoke("topics", "create", "--replication-factor", "3")  # of one broker
    assert (refused.exit_code, refused.stderr.count("\n")) == (3, 1)
    assert "INVALID_REPLICATION_FACTOR" in refused.stderr
    created = application.invoke("topics", "create", "--replication-factor", "1")
    assert created.exit_code == 0
    assert created.output.count("created ") == 7
    assert application.invoke("topics", "create").output == "every topic is there\n"
    checked = application.invoke("topics", "check")
    assert (checked.exit_code, checked.output) == (0, "the topics fit\n")
    described = application.admin.describe([f"{application.name}-snapshots"], 30)
    info = described[f"{application.name}-snapshots"]
    assert info is not None and (info.partitions, info.config["cleanup.policy"]) == (8, "compact")
    deleted = application.invoke("topics", "delete", "--yes", "--outputs")
    assert deleted.exit_code == 0


def test_run_refuses_missing_and_uneven_inputs_with_a_sentence(application: Application) -> None:
    missing = application.invoke("run")
    assert (missing.exit_code, missing.stderr.count("\n")) == (3, 1)
    application.inputs(2, 3)
    uneven = application.invoke("run")
    assert uneven.exit_code == 2
    assert "--partitions 3" in uneven.stderr


def test_doctor_finds_a_healthy_application_healthy(application: Application) -> None:
    application.inputs()
    assert application.invoke("topics", "create").exit_code == 0
    result = application.invoke("doctor")
    assert result.exit_code == 0, result.output
    assert "BAD" not in result.output
    for part in ("Kafka answers", "the topics fit", "is allowed", "transactional ids of ours may be used"):
        assert part in result.output


@contextmanager
def running(application: Application, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "streams.commands", "run", "--config", str(application.path), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def fetch(application: Application, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{application.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()
    except OSError as problem:
        return 0, str(problem)


def wait_ready(application: Application, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    waiting = threading.Event()
    while fetch(application, "/readyz")[0] != 200:
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline, "not ready within two minutes"
        waiting.wait(0.2)


def test_both_stages_run_behind_one_port_and_stop_in_order(application: Application) -> None:
    application.inputs()
    with running(application) as process:
        wait_ready(application, process)
        assert fetch(application, "/livez") == (200, "alive\nalive\n")
        metrics = fetch(application, "/metrics")[1]
        assert metrics.count("# TYPE streamgauge_input_records_total counter") == 1
        assert 'streamgauge_tasks{stage="join"} 3.0' in metrics
        assert 'streamgauge_tasks{stage="gauge"} 8.0' in metrics
        refused = application.invoke("topics", "delete", "--yes")
        assert refused.exit_code == 2 and "stop every instance" in refused.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert application.invoke("topics", "delete", "--yes").exit_code == 0
    with running(application) as anew:
        wait_ready(application, anew)


def give_any_port(application: Application) -> None:
    """The next one to start must not meet the port of the one that runs."""
    text = application.path.read_text()
    application.path.write_text(text[: text.index("http:")] + "http: {port: 0}\n" + text[text.index("kafka:") :])


def members(application: Application, instance: str) -> set[str]:
    """The member ids under which an instance is in the join's group."""
    client = AdminClient({"bootstrap.servers": application.bootstrap})
    groups = client.describe_consumer_groups([f"{application.name}-join"], request_timeout=30)
    found = next(iter(groups.values())).result().members
    return {each.member_id for each in found if each.group_instance_id == instance}


def wait_replaced(application: Application, before: set[str], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    waiting = threading.Event()
    while members(application, "a") in (before, set()):
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline, "nobody has replaced it within two minutes"
        waiting.wait(0.2)


@pytest.mark.parametrize("asleep", [False, True], ids=["awake", "asleep"])
def test_one_stage_alone_runs_under_a_name_and_a_newer_one_of_that_name_ends_it_with_exit_4(
    application: Application, asleep: bool
) -> None:
    application.inputs()
    with running(application, "--stage", "join", "--instance", "a") as older:
        wait_ready(application, older)
        before = members(application, "a")
        if asleep:
            older.send_signal(signal.SIGSTOP)
        give_any_port(application)
        with running(application, "--stage", "join", "--instance", "a") as newer:
            wait_replaced(application, before, newer)
            older.send_signal(signal.SIGCONT)
            assert older.wait(90) == 4
            after = members(application, "a")
            assert newer.poll() is None
            assert len(after) == 1 and after != before
            newer.send_signal(signal.SIGTERM)
            assert newer.wait(60) == 0
