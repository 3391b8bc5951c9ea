"""`streamgauge doctor`: brokers, topics, permissions, clocks, partitioner, memory; a sentence and a remedy each."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import typer

from schemas import Config
from streams.commands.findings import (
    TIMEOUT,
    Finding,
    memory_finding,
    permission_findings,
    refusal,
    sample_findings,
    samples,
    topic_findings,
)
from streams.commands.main import ConfigPath, app, configuration, is_verbose, kafka_of, told_to_people
from streams.log import Log, LogError
from streams.records import TopicPartition
from streams.worker import Exit, describe

_MARKS = {"good": "ok  ", "note": "note", "bad": "BAD "}


@app.command()
def doctor(context: typer.Context, config: ConfigPath = None) -> None:
    """Look at everything that keeps people from being monitored, and say what to do about it."""
    with told_to_people(verbose=is_verbose(context)):
        loaded = configuration(config)
        worst = Exit.DONE
        for finding in examine(loaded, kafka_of(loaded), time.time_ns() // 1_000_000):
            typer.echo(f"{_MARKS[finding.level]}  {finding.text}")
            worst = max(worst, finding.exit)
        raise typer.Exit(int(worst))


def examine(config: Config, log: Log, now: int) -> Iterator[Finding]:
    """Every finding, in the order in which they matter. `now` is the wall clock in epoch milliseconds."""
    try:
        log.check(TIMEOUT)
    except LogError as problem:
        yield refusal("Kafka cannot be used", problem)
        return
    yield Finding("good", f"Kafka answers at {config.kafka.bootstrap_servers}")
    admin, reader = log.admin(), log.reader()
    try:
        layout = describe(config, admin)
        yield from topic_findings(config, layout)
        yield from permission_findings(config, layout, admin)
        yield from _membership_findings(config, log)
        taken = samples(config, layout, reader)
        yield from sample_findings(config, layout, taken, now)
        if layout.found[config.topics.predictions] is not None:
            yield memory_finding(config, taken)
    except LogError as problem:
        yield refusal("a question could not be asked", problem)
    finally:
        reader.close()
        admin.close()


def _membership_findings(config: Config, log: Log) -> Iterator[Finding]:
    """Whether we may use our groups and transactional ids. Nothing is joined, nothing is written."""
    denied = False
    for group, topic in ((config.join_group, config.topics.predictions), (config.gauge_group, config.outcomes_topic)):
        consumer = log.consumer(group, None)
        try:
            consumer.committed([TopicPartition(topic, 0)], TIMEOUT)
        except LogError as problem:
            denied = True
            yield refusal(f"the group {group} cannot be used", problem)
        finally:
            consumer.close()
    name = f"{config.kafka.application_id}-doctor-{uuid.uuid4().hex}"
    producer = log.producer(name)
    try:
        producer.init_transactions(TIMEOUT)
    except LogError as problem:
        denied = True
        yield refusal(f"transactional ids that begin with {config.kafka.application_id}- cannot be used", problem)
    finally:
        producer.close()
    if not denied:
        yield Finding("good", "groups and transactional ids of ours may be used")
