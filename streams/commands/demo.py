"""`streamgauge demo`: the whole pipeline alive in two minutes, on a real Kafka, with a change that is planted.

A model service produces predictions and, late, labels; `streamgauge run` watches it as it would in production; half
way the world changes. The exit code is 0 when the alert came, and came after the change.
"""

from __future__ import annotations

import importlib.util
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from rich.console import Console
from rich.live import Live

from streams.commands.demo_screen import Watcher, alert_lines, drift_alerts, judge, report, screen
from streams.commands.demo_service import Service, World
from streams.devkafka import DevKafka, DevKafkaUnavailable, dev_kafka

PARTITIONS = 4
_READY_WITHIN = 90.0
_ALERT_WITHIN = 45.0
_AFTERGLOW = 8.0


class DemoFailed(Exception):
    """The demo cannot go on; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class Names:
    """The demo's own application id and topics, so that it can run beside anything on a shared Kafka."""

    application_id: str

    @property
    def topics(self) -> dict[str, str]:
        """Topic names by their key in the configuration."""
        names = ("predictions", "labels", "metrics", "alerts", "dead_letters", "control")
        return {name: f"{self.application_id}.{name.replace('_', '-')}" for name in names}


def demo(*, keep: bool = False, seed: int | None = None) -> int:
    """Run the demo and return its exit code. `keep` leaves Kafka and the topics there until Enter is pressed."""
    console = Console()
    if importlib.util.find_spec("sklearn") is None:
        console.print("The demo needs scikit-learn: pip install 'streamgauge[demo]'.")
        return 2
    console.print("Looking for a Kafka (the first time, Apache Kafka is fetched from Maven Central) …")
    try:
        with dev_kafka() as kafka:
            return _on_kafka(console, kafka, keep=keep, seed=secrets.randbelow(2**31) if seed is None else seed)
    except DevKafkaUnavailable as problem:
        console.print(str(problem))
        return 3
    except DemoFailed as problem:
        console.print(f"[red]{problem}[/red]")
        return 1


def _on_kafka(console: Console, kafka: DevKafka, *, keep: bool, seed: int) -> int:
    names = Names(f"streamgauge-demo-{secrets.token_hex(3)}")
    bootstrap = kafka.bootstrap_servers
    console.print(f"Using {kafka.description} at {bootstrap}; topics {names.application_id}.predictions, .labels, …")
    with tempfile.TemporaryDirectory(prefix="streamgauge-demo-") as folder, _input_topics(bootstrap, names):
        port = _free_port()
        config = Path(folder, "streamgauge.yaml")
        config.write_text(configuration(bootstrap, names, port))
        with running(config, port, Path(folder, "run.log")) as process:
            console.print("streamgauge is running; the model service starts.")
            code = _watch(console, bootstrap, names, World(), seed, process)
            if keep:
                _explore(console, config, bootstrap, names)
    _farewell(console, kafka, names, keep=keep)
    return code


def configuration(bootstrap: str, names: Names, port: int) -> str:
    """The configuration file, which differs from the defaults in times alone: the demo has minutes, not weeks."""
    settings: dict[str, Any] = {
        "kafka": {"bootstrap_servers": bootstrap, "application_id": names.application_id},
        "topics": names.topics,
        "http": {"port": port},
        "defaults": {
            "task": "binary",
            "positive_label": "malignant",
            "join": {"horizon": "1m", "grace": "1m", "disorder": "2s", "idle_after": "5s"},
            "windows": {"tumbling": ["10s", "1m"], "rolling": [200], "emit_every": "1s"},
            "segments": ["site"],
        },
    }
    return yaml.safe_dump(settings, sort_keys=False)


@contextmanager
def _input_topics(bootstrap: str, names: Names) -> Iterator[None]:
    """The input topics, which belong to the service; at the end all topics of the demo are deleted."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = [NewTopic(names.topics[name], PARTITIONS) for name in ("predictions", "labels")]
    try:
        for future in admin.create_topics(new, operation_timeout=30).values():
            future.result()
        yield
    except KafkaException as problem:
        raise DemoFailed(f"Kafka does not let the demo make its topics: {problem.args[0].str()}.") from problem
    finally:
        mine = [name for name in admin.list_topics(timeout=15).topics if name.startswith(names.application_id)]
        for future in admin.delete_topics(mine, operation_timeout=30).values() if mine else ():
            future.exception()  # the Kafka may be gone already, and the topics with it


@contextmanager
def running(config: Path, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`streamgauge run` with this configuration, from ready until SIGTERM. A DemoFailed tells the end of its log."""
    with log.open("wb") as out:
        command = [sys.executable, "-m", "streams.commands", "run", "--config", str(config)]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            if not _ready(process, port):
                raise DemoFailed(f"streamgauge did not get ready. The end of its log:\n{_end_of(log)}")
            yield process
            if process.poll() is not None:
                raise DemoFailed(f"streamgauge ended with code {process.returncode}. Its log:\n{_end_of(log)}")
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ready(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + _READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    return False


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _watch(
    console: Console, bootstrap: str, names: Names, world: World, seed: int, process: subprocess.Popen[bytes]
) -> int:
    service = Service(bootstrap, names.topics, world, seed)
    watcher = Watcher(bootstrap, names.topics)
    diagnosis = service.diagnosis
    console.print(
        f"A logistic regression learned breast cancer diagnoses from {diagnosis.trained_on} real samples; it serves "
        f"draws from the other {diagnosis.served_from} (accuracy {diagnosis.accuracy:.1%}). Seed {seed}."
    )
    console.print(f"What will be planted after {world.change_after:.0f} s: {world.story}.")
    service.start()
    try:
        _until_told(console, service, watcher, world, process)
    finally:
        service.stop()
        watcher.close()
    if process.poll() is not None:
        return 1  # `running` says why
    if service.problem is not None:
        raise DemoFailed(f"The model service failed: {service.problem}.") from service.problem
    if service.changed_at is None:
        raise DemoFailed("The demo ended before the change was planted.")
    verdict = judge(drift_alerts(bootstrap, names.topics["alerts"]), service.changed_at, world.feature)
    console.print(report(verdict, world, service.changed_at))
    if verdict.error is not None:
        console.print("\n".join(alert_lines(verdict.error.alert)))
    return 0 if verdict.good else 1


def _until_told(
    console: Console, service: Service, watcher: Watcher, world: World, process: subprocess.Popen[bytes]
) -> None:
    """Show what happens until the error alert has been there for a while, or for too long has not."""
    began = time.monotonic()
    told: float | None = None
    with Live(console=console, refresh_per_second=4, transient=not console.is_terminal) as live:
        while service.problem is None and process.poll() is None:
            elapsed = time.monotonic() - began
            for alert in watcher.poll(0.25):
                if not console.is_terminal:
                    console.print("\n".join(alert_lines(alert)))
                if alert["subject"] == "error" and alert["status"] == "firing" and told is None:
                    told = elapsed
            if console.is_terminal:
                live.update(screen(service, watcher, world, elapsed))
            if told is not None and elapsed > max(told, world.change_after) + _AFTERGLOW:
                return
            if elapsed > world.change_after + _ALERT_WITHIN:
                return


def _explore(console: Console, config: Path, bootstrap: str, names: Names) -> None:
    console.print(f"Kafka is at {bootstrap}; topics: {', '.join(sorted(names.topics.values()))}.")
    console.print(f"Try: streamgauge doctor --config {config}")
    console.input("Press Enter to end the demo and clean up. ")


def _farewell(console: Console, kafka: DevKafka, names: Names, *, keep: bool) -> None:
    console.print(f"The topics were {', '.join(names.topics.values())} at {kafka.bootstrap_servers}; they are deleted.")
    if not keep:
        console.print("Next: `streamgauge demo --keep` leaves them there to look at while it runs.")
    console.print("Your own Kafka: KAFKA_BOOTSTRAP_SERVERS=host:9092 streamgauge demo; then the README's quick start.")
