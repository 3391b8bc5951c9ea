"""The command line as people meet it: sentences, exit codes, and nothing that is not built."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml
from typer.testing import CliRunner

from streams.commands import app
from streams.commands.errors import ending
from streams.devkafka import DevKafkaUnavailable
from streams.log import Fenced, Unreachable
from streams.state import StateError
from streams.worker import Exit, StateLost
from tests.service import wait_until

runner = CliRunner()
NOWHERE = "127.0.0.1:1"


def config(folder: Path, **sections: object) -> str:
    path = folder / "streamgauge.yaml"
    path.write_text(yaml.safe_dump(sections))
    return str(path)


def test_help_names_what_is_built_and_nothing_else() -> None:
    text = runner.invoke(app, ["--help"]).output
    for command in ("run", "demo", "doctor", "topics", "config", "schemas", "dev-kafka"):
        assert command in text
    for command in ("baseline", "replay", "notify", "dashboard"):
        assert runner.invoke(app, [command]).exit_code == 2


def test_version_is_said() -> None:
    result = runner.invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, "streamgauge 0.1.0\n")


@pytest.mark.parametrize("command", [["run"], ["doctor"], ["topics", "check"], ["config", "check"], ["config", "show"]])
def test_a_wrong_configuration_is_exit_2_and_names_file_line_and_key(command: list[str], tmp_path: Path) -> None:
    path = config(tmp_path, kafka={"bootstrap_server": NOWHERE})
    result = runner.invoke(app, [*command, "--config", path])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"streamgauge: {path}, line 2: kafka.bootstrap_server is not a known key")
    assert "did you mean bootstrap_servers?" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_configuration_that_is_not_there_is_exit_2() -> None:
    result = runner.invoke(app, ["config", "check", "--config", "/nowhere.yaml"])
    assert (result.exit_code, result.stderr) == (
        2, "streamgauge: /nowhere.yaml: cannot be read: No such file or directory\n",
    )  # fmt: skip


@pytest.mark.parametrize("command", [["topics", "check"], ["topics", "create"], ["run", "--stage", "join"]])
def test_an_unreachable_broker_is_exit_3_in_one_sentence(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("run", "topics"):
        monkeypatch.setattr(f"streams.commands.{module}.CHECK_WITHIN", 1.0)
    path = config(tmp_path, kafka={"bootstrap_servers": NOWHERE})
    result = runner.invoke(app, [*command, "--config", path])
    assert result.exit_code == 3
    assert f"no Kafka broker answers at {NOWHERE}" in result.stderr
    assert "set kafka.bootstrap_servers" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_client_property_that_kafka_s_client_does_not_know_is_exit_2(tmp_path: Path) -> None:
    path = config(tmp_path, kafka={"bootstrap_servers": NOWHERE, "client": {"no.such": 1}})
    result = runner.invoke(app, ["run", "--config", path])
    assert result.exit_code == 2
    assert 'streamgauge: kafka.client: No such configuration property: "no.such"' in result.stderr


def test_verbose_gives_the_traceback_too(tmp_path: Path) -> None:
    path = config(tmp_path, kafka={"bootstrap_server": NOWHERE})
    result = runner.invoke(app, ["--verbose", "config", "check", "--config", path])
    assert result.exit_code == 2
    assert "Traceback" in result.stderr


def test_an_unknown_stage_is_exit_2() -> None:
    assert runner.invoke(app, ["run", "--stage", "both"]).exit_code == 2


def test_config_show_masks_secrets_and_config_check_is_content(tmp_path: Path) -> None:
    path = config(tmp_path, kafka={"client": {"sasl.password": "hunter2"}})
    result = runner.invoke(app, ["config", "show", "--config", path])
    assert result.exit_code == 0
    assert "hunter2" not in result.output
    assert yaml.safe_load(result.output)["http"] == {"host": "127.0.0.1", "port": 9464}
    assert runner.invoke(app, ["config", "check", "--config", path]).exit_code == 0


def test_config_schema_is_json_schema() -> None:
    result = runner.invoke(app, ["config", "schema"])
    assert json.loads(result.output)["properties"]["kafka"]


def test_an_environment_variable_stands_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMGAUGE_HTTP__PORT", "1234")
    result = runner.invoke(app, ["config", "show", "--config", config(tmp_path, http={"port": 99})])
    assert yaml.safe_load(result.output)["http"]["port"] == 1234


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (Unreachable("gone"), Exit.KAFKA),
        (DevKafkaUnavailable("no Java"), Exit.KAFKA),
        (Fenced("newer"), Exit.FENCED),
        (StateLost("journal"), Exit.STATE_LOST),
        (StateError("newer version"), Exit.STATE_LOST),
        (ZeroDivisionError("oops"), Exit.BUG),
    ],
)
def test_every_ending_has_its_exit_code(problem: Exception, code: Exit) -> None:
    assert ending(problem)[0] is code
    assert str(problem) in ending(problem)[1]


@pytest.mark.parametrize("name", ["pod ü", "a/b", "x" * 201])
def test_an_instance_name_that_kafka_does_not_take_is_exit_2(name: str, tmp_path: Path) -> None:
    path = config(tmp_path, kafka={"bootstrap_servers": NOWHERE})
    result = runner.invoke(app, ["run", "--instance", name, "--config", path])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "--instance takes up to 200 letters" in result.stderr


def test_sigterm_while_kafka_is_looked_for_is_exit_0(tmp_path: Path) -> None:
    path = config(tmp_path, kafka={"bootstrap_servers": NOWHERE})
    command = [sys.executable, "-m", "streams.commands", "run", "--config", path]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        wait_until(lambda: len(psutil.Process(process.pid).children()) == 2, 60, "the stages are forked")
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=60)[1]
    assert (process.returncode, told) == (0, b"")


def test_a_reader_that_has_had_enough_is_no_bug() -> None:
    command = [sys.executable, "-m", "streams.commands", "config", "show"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        told = process.stderr.read()
    assert (process.returncode, told) == (0, b"")


def test_doctor_says_exit_2_where_a_client_property_is_wrong(tmp_path: Path) -> None:
    path = config(tmp_path, kafka={"bootstrap_servers": NOWHERE, "client": {"no.such": 1}})
    result = runner.invoke(app, ["doctor", "--config", path])
    assert result.exit_code == 2
    assert 'No such configuration property: "no.such"' in result.output


def test_deleting_topics_where_nobody_can_be_asked_is_exit_2() -> None:
    result = runner.invoke(app, ["topics", "delete"], input="")
    assert result.exit_code == 2
    assert "nothing was deleted: say yes, or give --yes" in result.stderr


def test_deleting_topics_asks_first() -> None:
    result = runner.invoke(app, ["topics", "delete"], input="n\n")
    assert result.exit_code == 2
    assert "nothing was deleted" in result.stderr
