"""Which jobs a subcommand is about: a query, and the options that stand for some of its terms."""

from __future__ import annotations

import argparse
from dataclasses import replace

from ..admin.query import parse_query
from ..environment.clock import SystemClock
from ..errors import UsageError
from ..messages.jobs import JobState
from ..messages.queries import JobQuery


def declare_query(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "query",
        metavar="QUERY",
        nargs="*",
        help="which jobs, as in: state:dead error:timeout ended:<1d data.user.id=7",
    )
    parser.add_argument("--state", choices=[state.value for state in JobState], help="in this state")
    parser.add_argument("--name", metavar="NAME", help="of this name")


def query_of(arguments: argparse.Namespace) -> JobQuery:
    query = parse_query(" ".join(arguments.query), SystemClock().now())
    if arguments.state is not None:
        if query.states:
            raise UsageError("expected the state in the query or as --state, got both")
        query = replace(query, states=(JobState(arguments.state),))
    if arguments.name is not None:
        if query.names:
            raise UsageError("expected the name in the query or as --name, got both")
        query = replace(query, names=(arguments.name,))
    return query
