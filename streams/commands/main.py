"""The command line: what there is, and nothing that is not built."""

from __future__ import annotations

import importlib.metadata
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from schemas import Config, load_config
from streams.commands.errors import told_to_people
from streams.log import KafkaLog
from streams.worker import set_up_logs

app = typer.Typer(
    name="streamgauge",
    help="Streaming model monitoring on Kafka: delayed labels joined, metrics and drift detectors kept per event.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@dataclass(slots=True)
class Invocation:
    """What was said before the command's name."""

    verbose: bool = False


ConfigPath = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="F", help="Configuration file; without one, every default.", show_default=False
    ),
]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"streamgauge {importlib.metadata.version('streamgauge')}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    verbose: Annotated[bool, typer.Option("--verbose", help="Tracebacks, and more in the logs.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version and exit.")
    ] = False,
) -> None:
    """Options before the command."""
    context.obj = Invocation(verbose)
    set_up_logs(verbose=verbose)


def is_verbose(context: typer.Context) -> bool:
    """Whether --verbose was given."""
    return isinstance(context.obj, Invocation) and context.obj.verbose


def configuration(path: Path | None) -> Config:
    """The configuration of a command: the file's, with the environment's over it."""
    return load_config(path, os.environ)


def kafka_of(config: Config) -> KafkaLog:
    """The log of a configuration."""
    return KafkaLog(config.kafka.bootstrap_servers, config.kafka.client)


def main() -> None:
    """The entry point."""
    app()


__all__ = ["ConfigPath", "app", "configuration", "is_verbose", "kafka_of", "main", "told_to_people"]
