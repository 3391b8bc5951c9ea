"""Against a real Apache Kafka with SASL_SSL, SCRAM and ACLs: least privilege is enough, and one permission less is one
sentence and exit 3. What is granted is what `doctor` prints, parsed as Kafka's own tool would."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import Producer
from secured_kafka import PASSWORD, Acl, SecuredKafka, secured_kafka
from typer.testing import CliRunner, Result

from streams.commands import app
from tests.kafka_client import Kafka, input_ends
from tests.service import Service, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("secured_kafka")]
Unique = Callable[[str], str]
_TOO_LONG = 30.0
runner = CliRunner()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """The broker, for this file alone."""
    with secured_kafka(tmp_path_factory.mktemp("secured")) as made:
        yield made


class Application:
    """An application of its own, as one user of the cluster."""

    def __init__(self, kafka: SecuredKafka, name: str, folder: Path, user: str) -> None:
        self.kafka, self.name, self.user = kafka, name, user
        self._path = folder / "streamgauge.yaml"
        topics = {
            key: f"{name}.{key}" for key in ("predictions", "labels", "metrics", "alerts", "dead_letters", "control")
        }
        self.topics = topics
        self.settings: dict[str, Any] = {
            "kafka": {"bootstrap_servers": kafka.secured, "application_id": name, "client": kafka.client(user)},
            "topics": self.topics,
            "outcomes_partitions": 2,
        }

    def invoke(self, *command: str, client: dict[str, Any] | None = None) -> Result:
        """A command in this process; one that should end and does not is told to stop."""
        kafka = {**self.settings["kafka"], "client": {**self.settings["kafka"]["client"], **(client or {})}}
        self._path.write_text(yaml.safe_dump({**self.settings, "kafka": kafka, "http": {"port": 0}}))
        with _told_to_stop_after(_TOO_LONG):
            return runner.invoke(app, [*command, "--config", str(self._path)])

    def create_inputs(self) -> None:
        kafka = Kafka(self.kafka.plain)
        kafka.create(
            {self.topics["predictions"]: 2, self.topics["labels"]: 2}, {"message.timestamp.after.max.ms": "3600000"}
        )
        kafka.close()

    def permissions(self, command: str) -> list[Acl]:
        """What doctor prints for a command."""
        printed = self.invoke("doctor", "--acls", f"User:{self.user}")
        assert printed.exit_code == 0, printed.output
        found: list[Acl] = []
        asked = False
        for line in printed.stdout.splitlines():
            if line.startswith("#"):
                asked = line == f"# streamgauge {command}"
            elif asked and line:
                found += granted(line)
        assert found, f"doctor knows no command {command}"
        return found


@contextmanager
def _told_to_stop_after(seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def granted(line: str) -> list[Acl]:
    """The permissions that a kafka-acls command line grants."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--bootstrap-server", required=True)
    parser.add_argument("--add", action="store_true", required=True)
    parser.add_argument("--allow-principal", required=True)
    parser.add_argument("--operation", action="append", required=True)
    parser.add_argument("--resource-pattern-type", choices=["literal", "prefixed"], default="literal")
    for kind in ("topic", "group", "transactional-id"):
        parser.add_argument(f"--{kind}", action="append", default=[])
    tool, *words = shlex.split(line)
    assert tool == "kafka-acls.sh"
    given = parser.parse_args(words)
    user = given.allow_principal.removeprefix("User:")
    prefixed = given.resource_pattern_type == "prefixed"
    return [
        Acl(user, kind, name, prefixed, operation)
        for kind in ("topic", "group", "transactional-id")
        for name in getattr(given, kind.replace("-", "_"))
        for operation in given.operation
    ]


@pytest.fixture
def application(secured: SecuredKafka, unique: Unique, tmp_path: Path) -> Application:
    return Application(secured, unique("secured"), tmp_path, "app")


def complaints(result: Result) -> list[str]:
    """What was said to a person: what stderr holds beside the log."""
    return [line for line in result.stderr.splitlines() if not line.startswith("{")]


def produce(application: Application, count: int) -> None:
    """Predictions and their labels, and one record that is neither."""
    producer = Producer({"bootstrap.servers": application.kafka.plain, "partitioner": "murmur2_random", "log_level": 0})
    now = time.time_ns() // 1_000_000
    for i in range(count):
        key = f"id-{i}"
        event = {"prediction_id": key, "model": "m", "timestamp": now, "prediction": i % 2}
        producer.produce(application.topics["predictions"], json.dumps(event), key)
        producer.produce(application.topics["labels"], json.dumps({"prediction_id": key, "label": 1}), key)
    producer.produce(application.topics["labels"], b"no label", "x")
    assert producer.flush(30) == 0


def test_every_command_works_with_exactly_what_doctor_prints(application: Application) -> None:
    kafka = application.kafka
    application.create_inputs()

    def allowed(command: str) -> None:
        kafka.allow_only(application.user, application.permissions(command))

    allowed("topics create")
    created = application.invoke("topics", "create")
    assert created.exit_code == 0 and created.stdout.count("created ") == 7, created.output
    allowed("topics check")
    checked = application.invoke("topics", "check")
    assert checked.exit_code == 0, checked.output

    allowed("run")
    produce(application, 200)
    plain = Kafka(kafka.plain)
    ends = input_ends(plain, application.topics["predictions"], application.topics["labels"])
    with Service(application.settings) as service:
        wait_until(lambda: plain.consumed(f"{application.name}-join", ends), 120, "everything read")
        wait_until(lambda: bool(plain.read(application.topics["metrics"])), 60, "metrics")
        metrics = service.get("/metrics")
        assert metrics is not None and PASSWORD not in metrics
        assert service.terminate() == 0
        assert PASSWORD not in service.log()
    assert len(plain.read(application.topics["dead_letters"])) == 1
    plain.close()
    examined = application.invoke("doctor")
    assert examined.exit_code == 0 and "transactional ids of ours may be used" in examined.stdout

    allowed("run --stage join")
    with Service(application.settings, arguments=["--stage", "join"]) as again:
        again.wait_ready()  # it has restored what the first has written
        assert again.terminate() == 0

    allowed("doctor")
    examined = application.invoke("doctor")
    assert examined.exit_code == 3  # it may not do what `run` must
    assert "cannot be used" not in examined.stdout and "could not be asked" not in examined.stdout

    allowed("topics delete --outputs")
    deleted = application.invoke("topics", "delete", "--outputs", "--yes")
    assert deleted.exit_code == 0, deleted.output


@pytest.fixture(scope="module")
def denied(secured: SecuredKafka, tmp_path_factory: pytest.TempPathFactory) -> Application:
    """An application with all its topics, whose user is allowed nothing yet."""
    made = Application(secured, "denied-app", tmp_path_factory.mktemp("denied"), "denied")
    made.create_inputs()
    secured.allow_only("denied", made.permissions("topics create"))
    created = made.invoke("topics", "create")
    assert created.exit_code == 0, created.output
    return made


@pytest.mark.parametrize("stage", ["join", "gauge"])
def test_one_permission_less_than_doctor_prints_is_one_sentence_and_exit_3(denied: Application, stage: str) -> None:
    needed = denied.permissions(f"run --stage {stage}")
    told = "Describe", "DescribeConfigs"
    looked_at = {operation: next(acl for acl in needed if acl.operation == operation) for operation in told}
    missing = [acl for acl in needed if acl.operation not in told] + list(looked_at.values())
    assert {acl.kind for acl in missing} == {"topic", "group", "transactional-id"}
    for one in missing:
        denied.kafka.allow_only("denied", [acl for acl in needed if acl != one])
        result = denied.invoke("run", "--stage", stage)
        assert result.exit_code == 3, (one, result.output)
        (sentence,) = complaints(result)
        assert one.name in sentence and "doctor --acls" in sentence, (one, sentence)


def test_doctor_says_with_which_line_a_missing_permission_is_granted(denied: Application) -> None:
    needed = denied.permissions("run")
    metrics = denied.topics["metrics"]
    less = [acl for acl in needed if (acl.name, acl.operation) != (metrics, "Write") and acl.kind == "topic"]
    describe = Acl("denied", "topic", metrics, prefixed=False, operation="Describe")
    denied.kafka.allow_only("denied", [*less, describe])
    examined = denied.invoke("doctor")
    assert examined.exit_code == 3
    bad = [line for line in examined.stdout.splitlines() if line.startswith("BAD")]
    lines = [line[line.index("kafka-acls.sh") :] for line in bad]
    repaired = [acl for line in lines for acl in granted(line)]
    assert {(acl.kind, acl.operation) for acl in repaired} == {
        ("topic", "Write"), ("group", "Read"), ("transactional-id", "Write"),
    }  # fmt: skip
    denied.kafka.allow_only("denied", [*less, describe, *repaired])
    again = denied.invoke("doctor")
    assert again.exit_code == 0, again.stdout


@pytest.mark.parametrize("command", [["run"], ["topics", "check"]])
def test_a_wrong_password_or_a_certificate_nobody_trusts_is_one_sentence_and_exit_3(
    denied: Application, command: list[str]
) -> None:
    wrong = denied.invoke(*command, client={"sasl.password": "canary-wrong-0815"})
    assert wrong.exit_code == 3
    (sentence,) = complaints(wrong)
    assert "refuses the user, password or mechanism" in sentence
    assert "canary" not in wrong.output
    strange = denied.invoke(*command, client={"ssl.ca.location": str(denied.kafka.another_certificate)})
    assert strange.exit_code == 3
    (sentence,) = complaints(strange)
    assert "is not trusted (ssl.ca.location)" in sentence


def test_doctor_says_of_a_wrong_password_what_it_is(denied: Application) -> None:
    examined = denied.invoke("doctor", client={"sasl.password": "canary-wrong-0815"})
    assert examined.exit_code == 3
    assert "refuses the user, password or mechanism" in examined.stdout
    assert "canary" not in examined.output
