"""Secrets of the configuration are said nowhere: a canary in each of them, every way of going wrong, --verbose too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from typer.testing import CliRunner, Result

from schemas import Config, config_hash, load_config, show_config
from streams.commands import app
from streams.decode import Privacy
from tests.service import wait_until

runner = CliRunner()
CANARY = "canary-secret-1a2b3c"
NOWHERE = "127.0.0.1:1"
CLIENT_SECRETS = (
    "sasl.password",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.kerberos.kinit.cmd",
)


def write(folder: Path, text: str | dict[str, Any]) -> str:
    path = folder / "streamgauge.yaml"
    path.write_text(text if isinstance(text, str) else yaml.safe_dump(text))
    return str(path)


def silent(result: Result) -> bool:
    """Whether the canary is in nothing that was said."""
    return CANARY not in result.output and CANARY not in str(result.exception)


def test_config_show_masks_every_secret(tmp_path: Path) -> None:
    secret = {
        "kafka": {"client": dict.fromkeys(CLIENT_SECRETS, CANARY)},
        "privacy": {"hash_features": ["iban"], "hash_key": CANARY},
    }
    path = write(tmp_path, secret)
    result = runner.invoke(app, ["config", "show", "--config", path])
    assert result.exit_code == 0
    assert silent(result)
    shown = yaml.safe_load(result.stdout)
    assert set(shown["kafka"]["client"].values()) == {"********"}
    assert shown["privacy"]["hash_key"] == "********"


def test_no_text_of_a_configuration_holds_a_secret() -> None:
    secret = {
        "kafka": {"client": {"sasl.password": CANARY}},
        "privacy": {"hash_features": ["iban"], "hash_key": CANARY},
    }
    config = Config.model_validate(secret)
    assert CANARY not in repr(config.privacy) + show_config(config)
    assert CANARY not in repr(Privacy.from_config(config))
    changed = Config.model_validate({**secret, "privacy": {"hash_features": ["iban"], "hash_key": "another"}})
    assert config_hash(config) == config_hash(changed)  # published with every event: nothing to try keys against


@pytest.mark.parametrize("secret", CLIENT_SECRETS)
@pytest.mark.parametrize("command", [["topics", "check"], ["doctor"]])
def test_a_command_that_fails_says_no_secret(
    secret: str, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("streams.commands.topics.CHECK_WITHIN", 0.5)
    monkeypatch.setattr("streams.commands.doctor.TIMEOUT", 0.5)
    client = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": "u", "sasl.password": "p"}
    path = write(tmp_path, {"kafka": {"bootstrap_servers": NOWHERE, "client": {**client, secret: CANARY}}})
    result = runner.invoke(app, ["--verbose", *command, "--config", path])
    assert result.exit_code in {2, 3}
    assert silent(result)
    assert CANARY not in "".join(capfd.readouterr())


def test_what_the_client_quotes_of_a_secret_is_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("streams.commands.topics.CHECK_WITHIN", 0.5)
    client = {
        "security.protocol": "sasl_plaintext", "sasl.mechanism": "OAUTHBEARER",
        "enable.sasl.oauthbearer.unsecure.jwt": "true", "sasl.oauthbearer.config": f"principal=a {CANARY}",
    }  # fmt: skip
    path = write(tmp_path, {"kafka": {"bootstrap_servers": NOWHERE, "client": client}})
    result = runner.invoke(app, ["--verbose", "topics", "check", "--config", path])
    assert result.exit_code == 3
    assert "Unrecognized sasl.oauthbearer.config beginning at: ********" in result.stderr
    assert silent(result)
    assert CANARY not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "text",
    [
        f"kafka: {{client: {{sasl.password: !!bool {CANARY}}}}}",
        f"privacy: {{hash_features: [a], hash_key: {CANARY * 5}}}",  # too long
        f"privacy: {{hash_features: [a], hash_key: [{CANARY}]}}",
        f"privacy: {{hash_keys: {CANARY}}}",
        f"privacy: {CANARY}",
        f"kafka: {{client: {{sasl.password: [{CANARY}]}}}}",
        f"kafka: {{client: {{sasl.password: {{a: {CANARY}}}}}}}",
        f"kafka: {{client: {CANARY}}}",
        f"kafka: {{client: {{group.id: g, sasl.password: {CANARY}}}}}",
        f"kafka: {{client: {{sasl.password: {CANARY}}}, bootstrap_server: x}}",
        f"kafka:\n  client:\n    sasl.password: {CANARY}: x",
        f"kafka:\n  client:\n    sasl.password: '{CANARY}\n  start: latest",
        f"kafka:\n  client:\n    sasl.password: {CANARY}\n   start: latest",
        f"kafka:\n  client:\n    sasl.password: *{CANARY}",
        f"kafka:\n  client:\n    sasl.password: !{CANARY} x",
    ],
)
def test_an_error_in_the_configuration_says_no_secret(text: str, tmp_path: Path) -> None:
    for options in ([], ["--verbose"]):
        result = runner.invoke(app, [*options, "config", "check", "--config", write(tmp_path, text)])
        assert result.exit_code == 2, result.output
        assert silent(result), result.output


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STREAMGAUGE_PRIVACY__HASH_KEY", CANARY * 5),
        ("STREAMGAUGE_KAFKA__CLIENT", CANARY),
        ("STREAMGAUGE_KAFKA__CLIENT", f"{{sasl.password: {CANARY}"),
        ("STREAMGAUGE_PRIVACY", f"{{hash_key: [{CANARY}]}}"),
    ],
)
def test_an_error_in_an_environment_variable_names_it_and_not_its_value(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    for options in ([], ["--verbose"]):
        result = runner.invoke(app, [*options, "config", "check"])
        assert result.exit_code == 2
        assert silent(result), result.output
        assert name in result.stderr


@pytest.mark.parametrize("password", ["{" + CANARY, "[" + CANARY + "]", "*a", "'quoted", "null"])
def test_a_password_from_the_environment_is_taken_as_it_is(password: str) -> None:
    environment = {"STREAMGAUGE_KAFKA__CLIENT__SASL_PASSWORD": password, "STREAMGAUGE_PRIVACY__HASH_KEY": password}
    config = load_config(None, environment)
    assert config.kafka.client["sasl.password"] == password
    assert config.privacy.hash_key is not None
    assert config.privacy.hash_key.get_secret_value() == password


def test_no_process_of_run_has_a_secret_on_its_command_line(tmp_path: Path) -> None:
    """A command line can be read by every user of the machine; ours says the file's name."""
    client = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "u"}
    path = write(
        tmp_path, {"kafka": {"bootstrap_servers": NOWHERE, "client": {**client, "sasl.password": CANARY}}}
    )  # fmt: skip
    command = [sys.executable, "-m", "streams.commands", "run", "--config", path]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            root = psutil.Process(process.pid)
            wait_until(lambda: len(root.children()) == 2, 60, "both stages are there")
            lines = [" ".join(each.cmdline()) for each in (root, *root.children())]
        finally:
            process.kill()
    assert len(lines) == 3
    assert all(path in line and CANARY not in line for line in lines)
