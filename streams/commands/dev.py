"""`streamgauge dev-kafka` and `streamgauge demo`."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from streams.commands.main import app, is_verbose, told_to_people
from streams.devkafka import dev_kafka


@app.command("dev-kafka")
def dev_kafka_command(context: typer.Context) -> None:
    """Start a real Apache Kafka for development, say where it is, and stop it at the end (Ctrl-C or SIGTERM)."""
    with told_to_people(verbose=is_verbose(context)):
        told = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: told.set())
        with dev_kafka() as kafka:
            typer.echo(f"Kafka is at {kafka.bootstrap_servers} ({kafka.description})")
            told.wait()


@app.command()
def demo(
    context: typer.Context,
    keep: Annotated[bool, typer.Option("--keep", help="Leave Kafka and the topics until Enter is pressed.")] = False,
    seed: Annotated[int | None, typer.Option(help="Of the traffic; default: a new one.", show_default=False)] = None,
) -> None:
    """See it alive: a real model, a planted change, the alert. Ends by itself within three minutes."""
    with told_to_people(verbose=is_verbose(context)):
        from streams.commands.demo import demo as show  # scikit-learn and rich are needed for it alone

        raise typer.Exit(show(keep=keep, seed=seed))
