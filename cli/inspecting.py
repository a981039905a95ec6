"""Parts that the looking subcommands share: they only read, and need no runtime."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ..admin.finding import narrowed
from ..admin.inspector import Inspector, inspector_at
from ..environment.clock import SystemClock
from ..messages.jobs import JobState
from ..messages.queries import JobQuery
from .options import add_output, add_show_data, add_store, add_watch, argument, store_of, watched

_KEY = argument("--key", metavar="KEY", help="the application's own name for it")
SCHEDULE, SCHEDULES = (
    (argument("schedule", metavar="ID", nargs=nargs, help="its id; with --key, the name of its jobs"), _KEY)
    for nargs in (None, "?")
)
"""Which schedule is meant; and which, if one is."""


def declare_inspecting(parser: argparse.ArgumentParser) -> None:
    add_store(parser)
    add_show_data(parser)
    add_output(parser)
    add_watch(parser)


def inspecting(show: Callable[[argparse.Namespace, Inspector], int]) -> Callable[[argparse.Namespace], int]:
    """A subcommand that looks at a store once, or again and again."""

    def run(arguments: argparse.Namespace) -> int:
        with inspector_at(store_of(arguments), shows_data=arguments.show_data) as inspector:
            return watched(arguments, lambda: show(arguments, inspector))

    return run


def declare_query(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "query",
        metavar="QUERY",
        nargs="*",
        help="which jobs, as in: state:dead error:refused ended:<1d data.user.id=7",
    )
    parser.add_argument("--state", choices=[state.value for state in JobState], help="in this state")
    parser.add_argument("--name", metavar="NAME", help="of this name")


def query_of(arguments: argparse.Namespace) -> JobQuery:
    state = None if arguments.state is None else JobState(arguments.state)
    return narrowed(" ".join(arguments.query), SystemClock().now(), arguments.name, state)


def id_meant(arguments: argparse.Namespace) -> str:
    # Imported only here: it loads the calendar.
    from ..cron.schedule import keyed_id

    return arguments.schedule if arguments.key is None else keyed_id(arguments.schedule, arguments.key)
