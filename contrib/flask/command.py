"""`flask lamplighter`: the commands of an application."""

from __future__ import annotations

import sys

import click
from flask import current_app
from flask.cli import AppGroup

from ...api.runtime import Runtime
from ...errors import LamplighterError
from ...log.configure import configure_logging, is_configured
from ..reloading import run_anew

commands = AppGroup("lamplighter", help="Background jobs.")


@commands.command("run")
@click.option("--only", multiple=True, metavar="NAME", help="Run jobs of this name only; may be given several times.")
@click.option("--drain", type=float, metavar="SECONDS", help="How long running jobs may finish when this stops.")
@click.option("--reload", is_flag=True, help="Start anew when the code has changed: for development.")
def run(only: tuple[str, ...], drain: float | None, reload: bool) -> None:
    """Run jobs and fire schedules until SIGTERM, SIGINT or SIGHUP.

    A second signal ends the drain.
    """
    if reload:
        _run_anew(drain)
        return
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


def _run_anew(drain: float | None) -> None:
    """Runs nothing here: the process that was asked only watches, and starts itself without `--reload`."""
    # The command that started this process, whichever script that was, or `python -m flask`.
    command = [sys.executable, *(word for word in sys.orig_argv[1:] if word != "--reload")]
    runtime: Runtime = current_app.extensions["lamplighter"]
    runtime.stop()
    try:
        run_anew(command, drain)
    except LamplighterError as error:
        raise click.ClickException(str(error)) from None
