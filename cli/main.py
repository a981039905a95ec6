"""The `lamplighter` command: reads its arguments and runs one subcommand.

Exit codes: 0, well; 1, something was found, or what was asked for is not there; 2, the arguments make no sense; 3, the
store cannot be reached; 130, Ctrl-C; 141, whoever read the output left before it was known whether all is well.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from ..errors import LamplighterError, StoreError, StoreUnavailable
from ..rules.printable import visible

SUBCOMMANDS = {
    "run": "do the jobs of an application",
    "queue": "add a job",
    "trace": "tell what became of a job, a schedule, an actor; or show the system at an instant",
    "audit": "check a log for what cannot have happened if all is well",
    "jobs": "list jobs, show one, count them, tell why one does not run",
    "errors": "show what went wrong: failures in groups",
    "names": "list the job names, show one (also: queues)",
    "schedules": "list schedules, show one, tell when they are due and what became of their slots",
    "runtimes": "list who works on a store, show what each is doing, have one be quiet or go on",
    "doctor": "check a store and who works on it: what is wrong, what shows it, what to do",
    "health": "tell whether the runtimes on a store are well",
    "stats": "tell what became of jobs lately, by name or by time",
    "metrics": "tell what a Prometheus reads, once or whenever one asks",
    "export": "write all jobs, slots or sums of a store, as JSON or CSV",
    "web": "serve the page on which people see jobs, and steer them",
    "top": "show a store's health, names and runtimes, anew every second",
    "mcp": "let a model look at a store, and do what is allowed, by MCP",
    "simulate": "run a scenario with many seeds",
    "migrate": "move what waits in a SQLite store into a RabbitMQ",
    "unreadable": "show or return the messages in a RabbitMQ that no runtime could read",
    "completion": "print what completes these commands in a shell",
}
"""Each is the module of its name, which is imported only if it is the one that was asked for. Its `declare` gives the
parsers of subcommands of its own, if it has any."""

NOT_THERE = 1
"""What was asked for is not in the store."""

USAGE_ERROR = 2

STORE_ERROR = 3
"""The store that was asked about cannot be reached, or cannot be read."""

ALIASES = {"queues": "names"}
"""What others call a subcommand."""

UNREAD = 141
"""Nobody reads the output any more: what a shell says of a program that SIGPIPE has ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    words[:1] = [ALIASES.get(word, word) for word in words[:1]]
    arguments = _parsed(*_declared(), words)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What the terminal's encoding does not have is shown as an escape.
            stream.reconfigure(errors="backslashreplace")
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except LamplighterError as error:
        print(f"lamplighter: {visible(str(error))}", file=sys.stderr)
        match error:
            case StoreError() | StoreUnavailable():
                return STORE_ERROR
            case LookupError():
                return NOT_THERE
        return USAGE_ERROR
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(getattr(arguments, "verdict", UNREAD))
    except OSError as error:
        print(f"lamplighter: expected files that can be read and written, got: {visible(str(error))}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return 130
    return code


def whole_parser() -> argparse.ArgumentParser:
    """The parser with all that every subcommand takes, each of which it loads."""
    parser, listed = _declared()
    for name, subparser in listed.items():
        importlib.import_module(f".{name}", __package__).declare(subparser)
    return parser


def _declared() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    """The parser, and those of the subcommands by their names, which do not know yet what they take."""
    parser = argparse.ArgumentParser(
        prog="lamplighter", description="Run an application's jobs; understand and check what has been logged."
    )
    parser.add_argument("--version", action=_Version, help="say which version this is, and end")
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    return parser, {name: subparsers.add_parser(name, help=says) for name, says in SUBCOMMANDS.items()}


def _parsed(
    parser: argparse.ArgumentParser, listed: Mapping[str, argparse.ArgumentParser], words: list[str]
) -> argparse.Namespace:
    if not words or words[0] not in listed:
        return parser.parse_args(words)
    name, *rest = words
    subparser = listed[name]
    inner = importlib.import_module(f".{name}", __package__).declare(subparser)
    if inner is not None:
        if not rest or rest[0] not in inner:
            # It says which there are.
            return subparser.parse_args(rest)
        name, *rest = rest
        subparser = inner[name]
    # Options may stand between the others, as in `trace JOB --json LOG`. What follows `--` is no option.
    return subparser.parse_args(rest) if "--" in rest else subparser.parse_intermixed_args(rest)


class _Version(argparse.Action):
    """`version` of argparse would look for it in every call."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(f"lamplighter {importlib.import_module(__package__.partition('.')[0]).__version__}")
        parser.exit()
