"""`streamgauge topics create | check | delete`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from schemas import Config
from streams.commands.main import ConfigPath, app, configuration, is_verbose, kafka_of, told_to_people
from streams.commands.run import CHECK_WITHIN
from streams.log import Admin, LogError
from streams.worker import Exit, Misfit, create_missing, describe, missing, problems

topics = typer.Typer(help="The topics that streamgauge reads and writes.", no_args_is_help=True)
app.add_typer(topics, name="topics")


@contextmanager
def _admin(config: Config) -> Iterator[Admin]:
    log = kafka_of(config)
    log.check(CHECK_WITHIN)
    admin = log.admin()
    try:
        yield admin
    finally:
        admin.close()


@topics.command()
def create(
    context: typer.Context,
    config: ConfigPath = None,
    replication_factor: Annotated[
        int | None,
        typer.Option(min=1, max=32_767, help="Replicas of each topic; default: the broker's.", show_default=False),
    ] = None,
) -> None:
    """Create the output, internal and control topics that are missing. Input topics are never created."""
    with told_to_people(verbose=is_verbose(context)):
        loaded = configuration(config)
        with _admin(loaded) as admin:
            layout = describe(loaded, admin)
            for problem in problems(loaded, layout):
                if problem.fatal:
                    raise problem.error()
            made = create_missing(loaded, layout, admin, replication_factor)
        for name in made:
            typer.echo(f"created {name}")
        if not made:
            typer.echo("every topic is there")


@topics.command()
def check(context: typer.Context, config: ConfigPath = None) -> None:
    """Say what does not fit among the topics, and what to do about it."""
    with told_to_people(verbose=is_verbose(context)):
        loaded = configuration(config)
        with _admin(loaded) as admin:
            layout = describe(loaded, admin)
        found = problems(loaded, layout)
        for problem in found:
            typer.echo(problem.text)
        for each in missing(loaded, layout) if layout.partitions else []:
            typer.echo(f"{each.name} does not exist yet: `streamgauge run` or `streamgauge topics create` creates it")
        if not found:
            typer.echo("the topics fit")
            return
        raise typer.Exit(Exit.KAFKA if any(each.exit_kafka for each in found) else Exit.USAGE)


@topics.command()
def delete(
    context: typer.Context,
    config: ConfigPath = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    outputs: Annotated[bool, typer.Option("--outputs", help="Metrics, alerts and dead letters too.")] = False,
) -> None:
    """Delete the internal topics and groups, all state: the next run starts anew. Inputs are never deleted."""
    with told_to_people(verbose=is_verbose(context)):
        loaded = configuration(config)
        names = [loaded.outcomes_topic, loaded.journal_topic, loaded.snapshots_topic]
        if outputs:
            names += [loaded.topics.metrics, loaded.topics.alerts, loaded.topics.dead_letters]
        if not yes and not _agreed(f"Delete {', '.join(names)}?"):
            raise Misfit("nothing was deleted: say yes, or give --yes")
        with _admin(loaded) as admin:
            _delete_groups(admin, [loaded.join_group, loaded.gauge_group])
            admin.delete_topics(names, CHECK_WITHIN)
        typer.echo(f"deleted {', '.join(names)}")


def _agreed(question: str) -> bool:
    try:
        return typer.confirm(question)
    except typer.Abort:  # there is nobody to ask
        typer.echo()
        return False


def _delete_groups(admin: Admin, groups: list[str]) -> None:
    """Before the topics: offsets without the state that goes with them would be state that is lost."""
    try:
        admin.delete_groups(groups, CHECK_WITHIN)
    except LogError as problem:
        if problem.code != "NON_EMPTY_GROUP":
            raise
        raise Misfit(
            f"streamgauge is still running as {' or '.join(groups)}: stop every instance, then delete again (one that "
            "was killed counts as running for some 12 s); no topic was deleted"
        ) from problem
