"""`lamplighter run`: does the jobs of an application until it is told to stop."""

from __future__ import annotations

import argparse
import os
import sys

from ..api.runtime import Runtime
from ..errors import RuntimeFailed
from ..log.configure import configure_logging, is_configured
from ..log.outlets import LEVELS
from .application import load_a
from .options import seconds

TARGET = "MODULE:RUNTIME"


def declare(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Import MODULE, from the current folder too, and do the jobs of its RUNTIME until SIGTERM, SIGINT or SIGHUP. A "
        "second signal, half a second later, ends the drain. With --reload, SIGHUP starts anew."
    )
    parser.add_argument("runtime", metavar=TARGET)
    parser.add_argument("--only", metavar="NAME", action="append", help="do the jobs of this name; may be repeated")
    parser.add_argument("--drain", metavar="S", type=seconds, help="how many seconds a stop lets running jobs finish")
    parser.add_argument("--reload", action="store_true", help="start anew whenever a Python file has changed")
    parser.add_argument("--log", type=os.fsdecode, metavar="FILE", help="write JSON lines to a file")
    parser.add_argument("--level", choices=list(LEVELS), help="what is logged (info)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.reload:
        from ..contrib.reloading import run_anew

        run_anew(_command(arguments), arguments.drain)
        return 0
    runtime = load_a(Runtime, arguments.runtime, TARGET)
    # The application is imported first, so that these options override its own logging.
    if arguments.log is not None or arguments.level is not None or not is_configured():
        configure_logging(arguments.log, level=arguments.level or "info")
    if not runtime.current_boot.declared.names():
        print(
            f"lamplighter: {arguments.runtime} has no handlers; import the modules that add them in "
            f"{arguments.runtime.partition(':')[0]}",
            file=sys.stderr,
        )
    try:
        runtime.run(arguments.drain, only=arguments.only)
    except RuntimeFailed as failure:
        print(f"lamplighter: {failure}", file=sys.stderr)
        return 1
    return 0


def _command(arguments: argparse.Namespace) -> list[str]:
    """The same without `--reload` and `--drain`."""
    command = [sys.executable, "-m", __package__.partition(".")[0], "run", arguments.runtime]
    for name in arguments.only or ():
        command += ["--only", name]
    for option in ("log", "level"):
        value = getattr(arguments, option)
        command += [] if value is None else [f"--{option}", value]
    return command
