"""`streamgauge demo`: the whole pipeline alive in two minutes, on a real Kafka, with a change that is planted.

A model service produces predictions and, late, labels; streamgauge watches it as it would in production; half way the
world changes. The exit code is 0 when the alert came, and came after the change. Where no Kafka can be had, the demo
says so in its first line and shows the same on the in-memory log.
"""

from __future__ import annotations

import importlib.util
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from rich.console import Console
from rich.live import Live

from streams.commands.demo_kafka import kafka_pipeline
from streams.commands.demo_memory import memory_pipeline
from streams.commands.demo_pipeline import DemoFailed, Names, Pipeline
from streams.commands.demo_screen import Watcher, alert_lines, drift_alerts, judge, report, screen
from streams.commands.demo_service import Service, World
from streams.devkafka import DevKafkaUnavailable, dev_kafka

_ALERT_WITHIN = 45.0
_AFTERGLOW = 8.0


def demo(*, keep: bool = False, seed: int | None = None, world: World | None = None) -> int:
    """Run the demo and return its exit code. `keep` leaves Kafka and the topics there until Enter is pressed."""
    console = Console()
    if importlib.util.find_spec("sklearn") is None:
        console.print("The demo needs scikit-learn: pip install 'streamgauge[demo]'.")
        return 2
    names = Names(f"streamgauge-demo-{secrets.token_hex(3)}")
    try:
        with _pipeline(console, names) as pipeline:
            console.print("streamgauge is running; the model service starts.")
            code = _watch(
                console, pipeline, names, world or World(), secrets.randbelow(2**31) if seed is None else seed
            )
            if keep and pipeline.to_look_at:
                console.print("\n".join(pipeline.to_look_at))
                console.input("Press Enter to end the demo and clean up. ")
        console.print("\n".join(pipeline.farewell))
        return code
    except DemoFailed as problem:
        console.print(f"[red]{problem}[/red]")
        return 1


@contextmanager
def _pipeline(console: Console, names: Names) -> Iterator[Pipeline]:
    """On the first Kafka that can be had, else on the in-memory log; says which, before all else."""
    with ExitStack() as stack:
        try:
            with console.status("Looking for a Kafka (the first time, Apache Kafka is fetched from Maven Central) …"):
                kafka = stack.enter_context(dev_kafka())
        except DevKafkaUnavailable as problem:
            text = f"No Kafka could be had, so this demo runs on the in-memory log instead: {problem}"
            console.print(text, soft_wrap=True, markup=False, highlight=False)
            pipeline: Pipeline = stack.enter_context(memory_pipeline(names))
        else:
            bootstrap = kafka.bootstrap_servers
            topics = f"{names.application_id}.predictions, .labels, …"
            console.print(f"Using {kafka.description} at {bootstrap}; topics {topics}")
            pipeline = stack.enter_context(kafka_pipeline(bootstrap, names))
        yield pipeline


def _watch(console: Console, pipeline: Pipeline, names: Names, world: World, seed: int) -> int:
    service = Service(pipeline.sender(), names.topics, world, seed)
    diagnosis = service.diagnosis
    console.print(
        f"A logistic regression learned breast cancer diagnoses from {diagnosis.trained_on} real samples; it serves "
        f"draws from the other {diagnosis.served_from} (accuracy {diagnosis.accuracy:.1%}). Seed {seed}."
    )
    console.print(f"What will be planted after {world.change_after:.0f} s: {world.story}.")
    service.start()
    try:
        _until_told(console, service, Watcher(names.topics["alerts"]), world, pipeline)
    finally:
        service.stop()
    if not pipeline.alive():
        return 1  # leaving the pipeline says why
    if service.problem is not None:
        raise DemoFailed(f"The model service failed: {service.problem}.") from service.problem
    if service.changed_at is None:
        raise DemoFailed("The demo ended before the change was planted.")
    verdict = judge(drift_alerts(pipeline, names.topics["alerts"]), service.changed_at, world.feature)
    console.print(report(verdict, world, service.changed_at))
    if verdict.error is not None:
        console.print("\n".join(alert_lines(verdict.error.alert)))
    return 0 if verdict.good else 1


def _until_told(console: Console, service: Service, watcher: Watcher, world: World, pipeline: Pipeline) -> None:
    """Show what happens until the error alert has been there for a while, or for too long has not."""
    began = time.monotonic()
    told: float | None = None
    with Live(console=console, refresh_per_second=4, transient=not console.is_terminal) as live:
        while service.problem is None and pipeline.alive():
            elapsed = time.monotonic() - began
            for alert in watcher.take(pipeline.poll(0.25)):
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
