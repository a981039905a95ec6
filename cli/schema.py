"""`lamplighter schema`: the statements that create the tables of a store on PostgreSQL, for an administrator to run."""

from __future__ import annotations

import argparse

from ..errors import UsageError
from ..stores.opening import place_of


def declare(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Prints the SQL that creates the tables of a store on PostgreSQL, in one transaction, and connects to nothing. "
        "An administrator runs it where the role of the runtimes may not create tables."
    )
    parser.add_argument("url", metavar="URL", help="postgresql://host/database, with ?schema= if it is not lamplighter")
    parser.add_argument(
        "--role", action="append", default=[], metavar="ROLE", help="let this role use the tables; may be repeated"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    creation = place_of(arguments.url).creation
    if creation is None:
        raise UsageError("expected the address of a PostgreSQL, postgresql://host/database; other stores need no SQL")
    print(creation(arguments.role), end="")
    return 0
