"""`lamplighter mcp`: tools for a model, which look at a store, and do what was allowed."""

from __future__ import annotations

import argparse
import os

from .options import HELP, add_show_data, add_store, log_paths, store_of


def declare(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "An MCP server on standard input and output, for a client that starts it. Its tools only look, unless --allow "
        "names what else they may do; what they do is in the log by the client's name."
    )
    add_store(parser)
    add_show_data(parser)
    parser.add_argument(
        "--log", type=os.fsdecode, metavar="LOG", action="append", default=[], help=f"tell of jobs from it: {HELP}"
    )
    parser.add_argument("--allow", metavar="ACTS", default="", help="some of requeue,cancel,pause,signal,reprioritize")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    # Imported only here: the tools load all that can be looked at.
    from ..contrib.mcp import rights_of, server_of

    logs = log_paths(arguments.log) if arguments.log else []
    allowed = rights_of(arguments.allow)
    server = server_of(store_of(arguments), logs=logs, shows_data=arguments.show_data, allowed=allowed)
    server.run("stdio")
    return 0
