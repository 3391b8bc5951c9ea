"""`streamgauge doctor`: brokers, topics, permissions, clocks, partitioner, memory; a sentence and a remedy each."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from typing import Annotated

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
from streams.commands.permissions import (
    Permission,
    kafka_acls,
    permissions,
    principal_of,
    transactional_prefix,
)
from streams.log import Log, LogError
from streams.worker import Exit, Misfit, describe

_MARKS = {"good": "ok  ", "note": "note", "bad": "BAD "}


@app.command()
def doctor(
    context: typer.Context,
    config: ConfigPath = None,
    acls: Annotated[
        str | None,
        typer.Option("--acls", metavar="PRINCIPAL", help="Only print what each command must be allowed, as kafka-acls "
                     "command lines for this principal (User:name). Kafka is not asked.", show_default=False),
    ] = None,
) -> None:  # fmt: skip
    """Look at everything that keeps people from being monitored, and say what to do about it."""
    with told_to_people(verbose=is_verbose(context)):
        loaded = configuration(config)
        if acls is not None:
            _print_acls(loaded, acls)
            return
        worst = Exit.DONE
        for finding in examine(loaded, kafka_of(loaded), time.time_ns() // 1_000_000):
            typer.echo(f"{_MARKS[finding.level]}  {finding.text}")
            worst = max(worst, finding.exit)
        raise typer.Exit(int(worst))


def _print_acls(config: Config, principal: str) -> None:
    if not re.fullmatch(r"[^\s:]+:.+", principal):
        raise Misfit("--acls takes a principal as Kafka knows it, such as User:streamgauge")
    for line in (
        "# The least that each command must be allowed, for whoever may change ACLs to run; kafka-acls.sh is Kafka's",
        "# own, and its --command-config says how to log in. `run` makes the topics that are missing where it is also",
        "# allowed what `topics create` is.",
    ):
        typer.echo(line)
    for command, wanted in permissions(config).items():
        typer.echo(f"\n# streamgauge {command}")
        for line in kafka_acls(wanted, principal, config.kafka.bootstrap_servers):
            typer.echo(line)


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
        yield from _transaction_findings(config, log)
        taken = samples(config, layout, reader)
        yield from sample_findings(config, layout, taken, now)
        if layout.found[config.topics.predictions] is not None:
            yield memory_finding(config, taken)
    except LogError as problem:
        yield refusal("a question could not be asked", problem)
    finally:
        reader.close()
        admin.close()


def _transaction_findings(config: Config, log: Log) -> Iterator[Finding]:
    """Whether we may use transactional ids of ours. Nothing is written."""
    denied = False
    for stage in ("join", "gauge"):
        prefix = transactional_prefix(config, stage)
        producer = log.producer(f"{prefix}doctor-{uuid.uuid4().hex}")
        try:
            producer.init_transactions(TIMEOUT)
        except LogError as problem:
            denied = True
            wanted = Permission("transactional-id", prefix, frozenset({"Write"}), prefixed=True)
            (line,) = kafka_acls([wanted], principal_of(config), config.kafka.bootstrap_servers)
            yield refusal(f"transactional ids that begin with {prefix} cannot be used", problem, line)
        finally:
            producer.close()
    if not denied:
        yield Finding("good", "transactional ids of ours may be used")
