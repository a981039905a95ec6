"""Subcommands that have subcommands of their own, such as `jobs list`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Subcommand(NamedTuple):
    """One of a group: `says` is its line of help, and `run` returns the exit code."""

    says: str
    declare: Callable[[argparse.ArgumentParser], object]
    run: Callable[[argparse.Namespace], int]


def declare_group(
    parser: argparse.ArgumentParser, subcommands: Mapping[str, Subcommand]
) -> Mapping[str, argparse.ArgumentParser]:
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    parsers = {}
    for name, (says, declare, run) in subcommands.items():
        parsers[name] = subparsers.add_parser(name, help=says, description=f"{says[0].upper()}{says[1:]}.")
        declare(parsers[name])
        parsers[name].set_defaults(run=run)
    return parsers
