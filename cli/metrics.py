"""`lamplighter metrics`: what a store comes to, as a Prometheus reads it; once, or whenever one scrapes."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from ..errors import UsageError, shown
from ..rules.printable import visible
from .options import add_store, store_of
from .page import note

PORT_MAX = 65_535


def declare(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Print the metrics of a store, as a Prometheus reads them; with --serve, answer whoever scrapes, until Ctrl-C. "
        "One process answers for all that are on the store."
    )
    add_store(parser)
    parser.add_argument(
        "--serve", metavar="[HOST]:PORT", help="answer at this address instead, as :9109 on all of them"
    )
    parser.add_argument("--names-max", type=int, default=200, metavar="N", help="so many names apart (%(default)s)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    # Imported only here, so that their help is there without the extra.
    from ..contrib.prometheus import LamplighterCollector, served, text_of

    where = None if arguments.serve is None else _address(arguments.serve)
    with closing(LamplighterCollector(store_of(arguments), names_max=arguments.names_max)) as collector:
        # Read the store once now: if it cannot be read, this command fails, and not only each scrape.
        text = text_of(collector)
        if where is None:
            print(visible(text, breaks=True) if sys.stdout.isatty() else text, end="")
            return 0
        with served(collector, *where) as (port, until_it_ends):
            note(f"metrics at http://{where[0]}:{port}/metrics, until Ctrl-C")
            until_it_ends()
    return 0


def _address(text: str) -> tuple[str, int]:
    host, found, port = text.rpartition(":")
    if not (found and port.isascii() and port.isdigit() and int(port) <= PORT_MAX):
        raise UsageError(f"expected --serve to be [HOST]:PORT, such as :9109 or 127.0.0.1:9109, got: {shown(text)}")
    return host.strip("[]") or "0.0.0.0", int(port)
