"""`manage.py lamplighter run`: do the project's jobs."""

from __future__ import annotations

import logging
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import autoreload

from .....errors import LamplighterError
from .....log.configure import configure_logging, is_configured
from ...configured import configured_runtime


class Command(BaseCommand):
    help = "Lamplighter: do the jobs of this project."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
        run = commands.add_parser("run", help="do jobs, and fire schedules, until SIGTERM, SIGINT or SIGHUP")
        run.add_argument("--only", action="append", metavar="NAME", help="do the jobs of this name; may be repeated")
        run.add_argument(
            "--drain", type=float, metavar="SECONDS", help="how long running jobs may finish after a signal"
        )
        run.add_argument("--reload", action="store_true", help="start anew when the code has changed: for development")

    def handle(self, *args: Any, only: Sequence[str] | None, drain: float | None, reload: bool, **options: Any) -> None:
        _show_jobs()
        runtime = configured_runtime()
        try:
            if not reload:
                runtime.run(drain, only=only)
                return
            try:
                autoreload.run_with_reloader(self._work, only)
            finally:
                # Changed code makes the reloader's child exit here. In its parent nothing runs.
                runtime.stop(drain)
        except LamplighterError as error:
            raise CommandError(str(error)) from error

    def _work(self, only: Sequence[str] | None) -> None:
        """Runs in the reloader's child, beside its main thread, which looks for changed code."""
        try:
            configured_runtime().start(only=only).wait()
        except LamplighterError as error:
            # The reloader goes on: the next change may mend it.
            self.stderr.write(self.style.ERROR(str(error)))


def _show_jobs() -> None:
    """Where the settings configure no logging that would show what becomes of jobs, do so: a new project's do not."""
    if not is_configured():
        configure_logging()
        # Django gives its own lines a handler, and would have them twice.
        logging.getLogger("django").propagate = False
