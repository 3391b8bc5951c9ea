"""`streamgauge run`: both stages as processes of their own, or one stage in this one."""

from __future__ import annotations

import functools
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from types import FrameType
from typing import Annotated, NoReturn, cast

import structlog
import typer

from schemas import Config
from streams.commands.main import ConfigPath, app, configuration, is_verbose, kafka_of, told_to_people
from streams.commands.permissions import lacking, principal_of
from streams.log import KafkaLog
from streams.worker import (
    Children,
    Exit,
    KafkaRefuses,
    Layout,
    Link,
    Misfit,
    StageName,
    preload,
    prepare,
    problems,
    run_stage,
    warm_up,
)

_log = structlog.get_logger("streamgauge.run")
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
    with told_to_people(verbose=verbose, prints=False), _ended_by_sigterm():
        loaded = configuration(config)
        if instance and not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", instance):
            raise Misfit("--instance takes up to 200 letters, digits and . _ - (a pod's name fits)")
        if stage is not StageChoice.ALL:
            log = kafka_of(loaded)
            layout = _prepare(loaded, log, stage)
            tell_of_topics(loaded, layout)
            run_stage(
                cast("StageName", stage.value), loaded, log, layout,
                instance=instance, from_now=from_now, http=(loaded.http.host, loaded.http.port),
            )  # fmt: skip
            return
        child = functools.partial(_child, loaded, instance, verbose=verbose, from_now=from_now)
        preload()
        with Children(("join", "gauge"), child) as children:
            tell_of_topics(loaded, _prepare(loaded, kafka_of(loaded), stage))
            raise typer.Exit(children.supervise((loaded.http.host, loaded.http.port)))


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Until the stages listen for themselves: there is nothing to finish yet. Without it the process that is the first
    of a container would not hear it at all."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(Exit.DONE)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _child(config: Config, instance: str | None, name: str, link: Link, *, verbose: bool, from_now: bool) -> None:
    """A stage in a process of its own, once the parent has found Kafka as it should be."""
    try:
        with told_to_people(verbose=verbose, prints=False):
            stage = cast("StageName", name)
            warm_up(stage)
            if link.wait():
                log = kafka_of(config)
                run_stage(
                    stage, config, log, _prepare(config, log, StageChoice(name)),
                    instance=instance, from_now=from_now, http=("127.0.0.1", 0),
                    on_listening=lambda port, worker: link.announce(port, worker.stop),
                )  # fmt: skip
    except typer.Exit as ending:
        sys.exit(ending.exit_code)


def tell_of_topics(config: Config, layout: Layout) -> None:
    """What of the topics does not keep us from starting, and may hurt all the same."""
    for problem in problems(config, layout):
        _log.warning("topic_problem", problem=problem.text)


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
