"""The options, LOG arguments and subcommands that several commands have, and what follows from them."""

from __future__ import annotations

import argparse
import gc
import glob
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import UsageError, shown

if TYPE_CHECKING:
    from datetime import datetime

    from ..messages.jobs import Seconds

STORE_VARIABLE = "LAMPLIGHTER_STORE"

LIMIT = 50
LIMIT_MAX = 10_000

WATCH_SECONDS = 2.0
WATCH_SECONDS_MIN = 0.1

CLEAR = "\x1b[H\x1b[2J"
"""Clears a terminal, and moves the cursor to its upper left corner."""

Part = Callable[[argparse.ArgumentParser], object]
"""Declares some of the arguments of a subcommand."""


def argument(*names: str, **options: Any) -> Part:
    """An argument, as `add_argument` takes it."""
    return lambda parser: parser.add_argument(*names, **options)


add_store = argument(
    "-s",
    "--store",
    type=os.fsdecode,
    metavar="ADDRESS",
    help=f"the store: a file, postgresql://... or amqp://...; a password is better kept in ${STORE_VARIABLE}",
)

add_dry_run = argument("-n", "--dry-run", action="store_true", help="tell what would be done, and do nothing")

add_limit = argument("--limit", type=int, default=LIMIT, metavar="N", help="at most so many (%(default)s)")


def seconds(text: str) -> Seconds:
    """The `type=` of an option in seconds that may be a span, such as `5s`, too; the option checks the number."""
    try:
        return float(text)
    except ValueError:
        return span_of(text, "it")


add_delay = argument("--delay", metavar="SPAN", help="due only then, as 90s, 30m or 2d from now")

add_until = argument("--to", dest="until", metavar="TIME", default="+1d", help="+2h is in two hours; or ISO 8601")

add_show_data = argument(
    "--show-data", action="store_true", help="data, results and progress; otherwise what they are like"
)

add_watch = argument(
    "--watch",
    nargs="?",
    type=seconds,
    const=WATCH_SECONDS,
    metavar="SECONDS",
    help=f"show it again and again, until Ctrl-C (every {WATCH_SECONDS:g} s)",
)


def store_of(arguments: argparse.Namespace) -> str:
    address: str = arguments.store or os.environ.get(STORE_VARIABLE, "")
    if not address:
        raise UsageError(f"expected --store ADDRESS, or ${STORE_VARIABLE} to be set")
    return address


def add_store_or_runtime(parser: argparse.ArgumentParser) -> None:
    add_store(parser)
    parser.add_argument(
        "runtime", metavar="MODULE:RUNTIME", nargs="?", help="an application's Runtime, whose store it is: no --store"
    )


def store_or_runtimes(arguments: argparse.Namespace) -> str:
    """The store's address, or that of the runtime, which is not started for it."""
    if arguments.runtime is None:
        return store_of(arguments)
    if arguments.store:
        raise UsageError(f"expected --store, or a Runtime whose store it is, got both: {shown(arguments.runtime)}")
    # Imported only here: it loads what runs jobs, and then the application.
    from ..api.runtime import Runtime
    from .application import load_a

    return load_a(Runtime, arguments.runtime, "MODULE:RUNTIME").address


def add_who(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--by", metavar="NAME", help="on whose behalf, for the log (USER@HOST)")
    parser.add_argument("--reason", metavar="TEXT", help="why, for the log")


def who_of(arguments: argparse.Namespace) -> tuple[str, str | None]:
    return user_at_host() if arguments.by is None else arguments.by, arguments.reason


def user_at_host() -> str:
    """The person at this terminal: a login name, or the user's number where the machine knows no name for it."""
    # Imported only here: few subcommands act.
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container may run as a user that is not in its list of users (`docker run --user 1234`, OpenShift).
        user = f"uid:{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="JSON, one object a line")
    parser.add_argument("--utc", action="store_true", help="times in UTC, not in local time; JSON always has UTC")
    parser.add_argument("--color", choices=["auto", "always", "never"], default="auto", help="colours (auto)")


def add_paging(parser: argparse.ArgumentParser) -> None:
    add_limit(parser)
    parser.add_argument("--after", metavar="CURSOR", help="go on there; what comes before it says how")


def limit_of(arguments: argparse.Namespace) -> int:
    # Imported only here: it loads the calendar, and a health check needs no limit.
    from ..rules.validation import check_whole

    return check_whole(arguments.limit, "--limit", least=1, most=LIMIT_MAX)


def delay_of(arguments: argparse.Namespace) -> Seconds:
    return 0.0 if arguments.delay is None else span_of(arguments.delay, "--delay")


def add_since(default: str) -> Part:
    return argument("--from", dest="since", metavar="TIME", default=default, help="2h is two hours ago; or ISO 8601")


def span_of(text: str, option: str) -> Seconds:
    """A span of time as people write it: `90`, `90s`, `1h30m`, `2d`."""
    # Imported only here, where a span was given.
    from ..cron.interval import parse_every
    from ..errors import check_seconds

    try:
        return check_seconds(float(text), option)
    except ValueError:
        pass
    try:
        return parse_every(f"@every {text}").interval_us / 1e6
    except UsageError:
        raise UsageError(f"expected {option} to be a span such as 90s, 30m, 1h30m or 2d, got: {shown(text)}") from None


def watched(arguments: argparse.Namespace, show: Callable[[], int]) -> int:
    """Show something once, or again and again; the last exit code."""
    if arguments.watch is None:
        # The objects live until the process ends. Cyclic collection among tens of thousands takes a tenth of the time.
        gc.disable()
        try:
            return show()
        finally:
            gc.enable()
    from ..errors import check_seconds

    seconds = check_seconds(arguments.watch, "--watch")
    if seconds < WATCH_SECONDS_MIN:
        raise UsageError(f"expected --watch to be {WATCH_SECONDS_MIN:g} s or more, got: {seconds:g}")
    # Imported only here: asyncio comes with it.
    from ..environment.environment import Environment

    waits_at = Environment().event()
    while True:
        if sys.stdout.isatty() and not arguments.json:
            sys.stdout.write(CLEAR)
        show()
        sys.stdout.flush()
        waits_at.wait(seconds)


class Times:
    """Writes instants for people, in UTC or in the zone of this machine."""

    def __init__(self, *, is_utc: bool) -> None:
        self._is_utc = is_utc

    def of(self, instant: float | None) -> str:
        # Imported only here, as below: a health check shows no times.
        from datetime import UTC, datetime

        return "" if instant is None else self.at(datetime.fromtimestamp(instant, UTC))

    def at(self, time: datetime | None) -> str:
        """To the second, with its offset."""
        if time is None:
            return ""
        if self._is_utc:
            from datetime import UTC

            return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        return time.astimezone().isoformat(sep=" ", timespec="seconds")


class Subcommand(NamedTuple):
    """One of a group.

    Attributes:
        says: its line of help.
        takes: declare its arguments, in the order of its help.
        run: returns the exit code.
    """

    says: str
    takes: Sequence[Part]
    run: Callable[[argparse.Namespace], int]


def declare_group(
    parser: argparse.ArgumentParser, description: str, subcommands: Mapping[str, Subcommand]
) -> Mapping[str, argparse.ArgumentParser]:
    parser.description = description
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    parsers = {}
    for name, (says, takes, run) in subcommands.items():
        parsers[name] = subparsers.add_parser(name, help=says, description=f"{says[0].upper()}{says[1:]}.")
        for declare in takes:
            declare(parsers[name])
        parsers[name].set_defaults(run=run)
    return parsers


HELP = "a log: a file, rotated (.1) or compressed (.gz) too, a pattern in quotes, or - for standard input"

add_logs = argument("logs", type=os.fsdecode, metavar="LOG", nargs="*", help=HELP)


def log_paths(names: Sequence[str]) -> list[str]:
    """The files that were meant, each once."""
    if not names:
        raise UsageError("expected at least one LOG: a file, a pattern in quotes, or - for standard input, got none")
    paths: dict[str, str] = {}
    for name in names:
        matches = [name] if name == "-" or os.path.exists(name) else sorted(glob.glob(name))
        if not matches:
            raise UsageError(f"expected a log, got: {name!r}, and there is no such file")
        for match in matches:
            if os.path.isdir(match):
                raise UsageError(f"expected a log, got: {match!r}, which is a folder; give its files, as in {match}/*")
            paths.setdefault("-" if match == "-" else os.path.realpath(match), match)
    return list(paths.values())
