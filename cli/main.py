"""The `lamplighter` command: reads its arguments and runs one subcommand.

Exit codes: 0, well; 1, something was found, what was asked for is not there, or an unexpected error, of which the
traceback is shown; 2, the arguments make no sense; 3, the store cannot be reached; 130, Ctrl-C; 141, whoever read the
output left before it was known whether all is well.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from ..errors import LamplighterError, StoreError, StoreUnavailable, shown
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
    "migrate": "move a store between SQLite and PostgreSQL, or what waits in one into a RabbitMQ",
    "schema": "print what creates the tables of a store on PostgreSQL, for an administrator to run",
    "unreadable": "show or return the messages in a RabbitMQ that no runtime could read",
    "completion": "print what completes these commands in a shell",
}
"""Each is the module of its name, which is imported only if it is the one that was asked for. Its `declare` gives the
parsers of subcommands of its own, if it has any."""

NOT_THERE = 1
UNEXPECTED = 1
USAGE_ERROR = 2

STORE_ERROR = 3
ALIASES = {"queues": "names"}
UNREAD = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code. Whatever happens, it raises nothing."""
    words = list(sys.argv[1:] if argv is None else argv)
    words[:1] = [ALIASES.get(word, word) for word in words[:1]]
    arguments = argparse.Namespace()
    try:
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            if (stream := getattr(sys, name)) is None:
                # It was closed by the program that started this one (`>&-`).
                setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
            elif isinstance(stream, io.TextIOWrapper) and mode == "w":
                # A character that the terminal's encoding lacks is shown as an escape.
                stream.reconfigure(errors="backslashreplace")
        arguments = _parsed(*_declared(), words)
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except BaseException as error:
        code, said = _ending(error, arguments)
    # The reader of standard error may have left, too.
    with contextlib.suppress(OSError, ValueError):
        print(said, end="", file=sys.stderr, flush=True)
    return code


def _ending(error: BaseException, arguments: argparse.Namespace) -> tuple[int, str]:
    """The exit code of a command that an error has ended, and what is said of it."""
    if isinstance(error.__context__, KeyboardInterrupt):
        # Clean-up after Ctrl-C has raised another error, as argparse's does: Ctrl-C is the cause.
        error = error.__context__
    told = f"lamplighter: {visible(str(error))}\n" if isinstance(error, LamplighterError | OSError | SystemExit) else ""
    match error:
        case SystemExit(code=int(code)):
            return code, ""
        case SystemExit():
            return (0, "") if error.code is None else (1, told)
        case KeyboardInterrupt():
            return 130, ""
        case BrokenPipeError():
            # The reader of the output has seen enough; Python would complain once more when it flushes at its end.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return int(getattr(arguments, "verdict", UNREAD)), ""
        case StoreError() | StoreUnavailable():
            return STORE_ERROR, told
        case LamplighterError():
            return NOT_THERE if isinstance(error, LookupError) else USAGE_ERROR, told
        case OSError():
            return USAGE_ERROR, told.replace(": ", ": expected files that can be read and written, got: ", 1)
    # An error of the application, whose module was imported, or of ours.
    import traceback

    return UNEXPECTED, visible("".join(traceback.format_exception(error)), breaks=True)


def whole_parser() -> argparse.ArgumentParser:
    """The parser with all that every subcommand takes, each of which it loads."""
    parser, listed = _declared()
    for name, subparser in listed.items():
        importlib.import_module(f".{name}", __package__).declare(subparser)
    return parser


def _declared() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    """The parser, and those of the subcommands by their names, which do not know yet what they take."""
    parser = _Parser(
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
    # Options may stand between the others, as in `trace JOB --json LOG`. Words behind `--` are no options.
    return subparser.parse_args(rest) if "--" in rest else subparser.parse_intermixed_args(rest)


class _Parser(argparse.ArgumentParser):
    """Refuses arguments that are no text. The name of a file need not be UTF-8, so its `type` is `os.fsdecode`."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.register("type", None, _text)


def _text(word: str) -> str:
    try:
        word.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"expected UTF-8, got: {shown(os.fsencode(word))}") from None
    return word


class _Version(argparse.Action):
    """`version` of argparse would look for it in every call."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(f"lamplighter {importlib.import_module(__package__.partition('.')[0]).__version__}")
        parser.exit()
