"""`flask lamplighter`: the commands of an application."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import AppGroup

from ...errors import LamplighterError
from ...log.configure import configure_logging, is_configured
from ...runtime import Runtime

commands = AppGroup("lamplighter", help="Background jobs.")


@commands.command("run")
@click.option("--only", multiple=True, metavar="NAME", help="Run jobs of this name only; may be given several times.")
@click.option("--drain", type=float, metavar="SECONDS", help="How long running jobs may finish when this stops.")
def run(only: tuple[str, ...], drain: float | None) -> None:
    """Run jobs and fire schedules until SIGTERM or SIGINT.

    A second signal ends the drain.
    """
    runtime: Runtime = current_app.extensions["lamplighter"]
    if not is_configured():
        configure_logging()
    # Where the application has queued something while it was made, a producer runs.
    runtime.stop()
    names = only or runtime.current_boot.declared.names()
    click.echo(f"Lamplighter runs jobs of: {', '.join(names) or 'no names, as there is no handler'}. Ctrl-C stops it.")
    try:
        runtime.run(drain, only=only or None)
    except LamplighterError as error:
        raise click.ClickException(str(error)) from None
