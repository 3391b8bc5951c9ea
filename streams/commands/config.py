"""`streamgauge config check | show | schema` and `streamgauge schemas export`."""

from __future__ import annotations

import typer

from schemas import exported, show_config, write_exports
from streams.commands.main import ConfigPath, app, configuration, is_verbose, told_to_people

config_app = typer.Typer(help="The configuration.", no_args_is_help=True)
app.add_typer(config_app, name="config")
schemas_app = typer.Typer(help="The public contract as files.", no_args_is_help=True)
app.add_typer(schemas_app, name="schemas")


@config_app.command()
def check(context: typer.Context, config: ConfigPath = None) -> None:
    """Say whether the configuration is right; if not, which file, line and key, and what is allowed."""
    with told_to_people(verbose=is_verbose(context)):
        configuration(config)
        typer.echo("the configuration is right")


@config_app.command()
def show(context: typer.Context, config: ConfigPath = None) -> None:
    """The whole configuration as it takes force, defaults included, secrets masked."""
    with told_to_people(verbose=is_verbose(context)):
        typer.echo(show_config(configuration(config)), nl=False)


@config_app.command()
def schema() -> None:
    """JSON Schema of the configuration file, for editors."""
    typer.echo(exported()["config.schema.json"], nl=False)


@schemas_app.command()
def export(context: typer.Context) -> None:
    """Write JSON Schema of every event and of the configuration, and AsyncAPI, where the package keeps them."""
    with told_to_people(verbose=is_verbose(context)):
        for path in write_exports():
            typer.echo(str(path))
