"""`streamgauge run`: both stages as processes of their own, or one stage in this one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, cast

import typer

from schemas import Config
from streams.commands.main import ConfigPath, app, configuration, is_verbose, kafka_of, told_to_people
from streams.commands.permissions import lacking, principal_of
from streams.log import KafkaLog
from streams.worker import KafkaRefuses, Layout, Link, StageName, prepare, run_stage, supervise

CHECK_WITHIN = 15.0


class StageChoice(StrEnum):
    """What --stage takes."""

    JOIN = "join"
    GAUGE = "gauge"
    ALL = "all"


@app.command()
def run(
    context: typer.Context,
    config: ConfigPath = None,
    stage: Annotated[
        StageChoice, typer.Option("--stage", help="Which stage; all runs both, each in its own process.")
    ] = StageChoice.ALL,
    instance: Annotated[
        str | None,
        typer.Option("--instance", metavar="NAME", help="Be a static member of this name: quick restarts without a "
                     "rebalance. Each running instance needs a name of its own.", show_default=False),
    ] = None,
    from_now: Annotated[
        bool, typer.Option("--from-now", help="At the first start, begin at the end of the inputs; later, a changed "
                     "horizon or grace holds from now on instead of being refused.")
    ] = False,
) -> None:  # fmt: skip
    """Monitor: read predictions and labels, publish metrics, alerts and dead letters, exactly once."""
    verbose = is_verbose(context)
    with told_to_people(verbose=verbose):
        loaded = configuration(config)
        log = kafka_of(loaded)
        layout = _prepare(loaded, log, stage)
        if stage is StageChoice.ALL:
            arguments = _arguments(config, instance, verbose=verbose, from_now=from_now)
            http = loaded.http.host, loaded.http.port
            code = supervise(["join", "gauge"], lambda name: [*arguments, "--stage", name], http)
            raise typer.Exit(code)
        link = Link()
        run_stage(
            cast("StageName", stage.value), loaded, log, layout,
            instance=instance, from_now=from_now,
            http=("127.0.0.1", 0) if link.supervised else (loaded.http.host, loaded.http.port),
            on_listening=lambda port, worker: link.announce(port, worker.stop),
        )  # fmt: skip


def _prepare(config: Config, log: KafkaLog, stage: StageChoice) -> Layout:
    log.check(CHECK_WITHIN)
    admin = log.admin()
    try:
        layout = prepare(config, admin)
        # A denial in mid-run does not say which topic it is about.
        command = "run" if stage is StageChoice.ALL else f"run --stage {stage.value}"
        denied = lacking(config, command, admin, layout.found, CHECK_WITHIN)
    finally:
        admin.close()
    if denied:
        what = ", ".join(f"{'/'.join(sorted(each.operations))} the {each.kind} {each.name}" for each in denied)
        remedy = f"`streamgauge doctor --acls {principal_of(config)}` prints how to allow it"
        raise KafkaRefuses(f"Kafka does not let us {what}: {remedy}")
    return layout


def _arguments(config: Path | None, instance: str | None, *, verbose: bool, from_now: bool) -> list[str]:
    """The command line of a child, up to its stage."""
    arguments = ["-m", "streams.commands"]
    if verbose:
        arguments.append("--verbose")
    arguments.append("run")
    if config is not None:
        arguments += ["--config", str(config)]
    if instance is not None:
        arguments += ["--instance", instance]
    if from_now:
        arguments.append("--from-now")
    return arguments
