"""`lamplighter top`: the names and the runtimes of a store as they are, shown anew until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..admin.inspector import Inspector
from ..admin.inspectors import inspector_at, wait
from ..errors import StoreUnavailable, UsageError, missing_extra
from ..rules.printable import visible
from ..rules.validation import check_seconds
from . import name_pages, runtime_pages
from .options import LIMIT, WATCH_SECONDS_MIN, Times, add_store_or_runtime, is_on_server, store_or_runtimes
from .page import STYLES, Cell, Page, rich_table

EVERY_SECONDS, SERVER_EVERY_SECONDS = 1.0, 5.0
"""How often it is shown anew, of a file and of a server, to which each look is a connection."""


class Table(NamedTuple):
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    right: Sequence[str]


class Screen(NamedTuple):
    lines: Sequence[tuple[str, Any]]
    tables: Sequence[Table]


def declare(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Shows the health of a store, its names and its runtimes, until Ctrl-C. It only looks: `lamplighter names`, "
        "`jobs` and `runtimes` act."
    )
    add_store_or_runtime(parser)
    parser.add_argument(
        "--every",
        type=float,
        metavar="SECONDS",
        help=f"how often it is shown anew ({EVERY_SECONDS:g}; of a server {SERVER_EVERY_SECONDS:g})",
    )
    parser.add_argument("--once", action="store_true", help="show it once, as plain text")
    parser.add_argument("--utc", action="store_true", help="times in UTC, not in local time")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    address, times = store_or_runtimes(arguments), Times(is_utc=arguments.utc)
    usual = SERVER_EVERY_SECONDS if is_on_server(address) else EVERY_SECONDS
    seconds = check_seconds(usual if arguments.every is None else arguments.every, "--every")
    if seconds < WATCH_SECONDS_MIN:
        raise UsageError(f"expected --every to be {WATCH_SECONDS_MIN:g} s or more, got: {seconds:g}")
    # Ctrl-C is how one leaves.
    with inspector_at(address) as inspector, contextlib.suppress(KeyboardInterrupt):
        if arguments.once or not sys.stdout.isatty():
            _print(screen_of(inspector, times))
        else:
            _follow(inspector, times, seconds)
    return 0


def screen_of(inspector: Inspector, times: Times) -> Screen:
    with inspector.at_one_instant() as now:
        seen, boots = now.overview(), now.runtimes.all()
    amounts = {name: getattr(seen, name) for name in ("ready", "running", "scheduled", "parked", "dead")}
    counts = "  ".join(f"{name} {'?' if amount is None else amount}" for name, amount in amounts.items())
    lines: list[tuple[str, Any]] = [(f"{seen.store}  {times.of(seen.at)}  {counts}", "plain")]
    tone = runtime_pages.TONES[seen.health.status]
    lines += [(text, tone) for text in (seen.health.status, *seen.health.reasons)]
    if len(seen.names) > LIMIT:
        lines.append((f"the first {LIMIT} names; `lamplighter names list` has all", "quiet"))
    by_name = Table(
        name_pages.HEADS, [name_pages.row(name, seen.at) for name in seen.names[:LIMIT]], name_pages.NUMBERS
    )
    by_boot = Table(runtime_pages.HEADS, [runtime_pages.row(boot, seen.at) for boot in boots], runtime_pages.NUMBERS)
    return Screen(lines, [table for table in (by_name, by_boot) if table.rows])


def _print(screen: Screen) -> None:
    page = Page("never")
    for text, tone in screen.lines:
        page.line(text, tone)
    for table in screen.tables:
        page.line("")
        page.table(table.heads, table.rows, right=table.right)


def _follow(inspector: Inspector, times: Times, seconds: float) -> None:
    try:
        live, group = importlib.import_module("rich.live"), importlib.import_module("rich.console").Group
    except ImportError as error:
        raise missing_extra("rich", "`lamplighter top` (--once needs none)", "cli") from error
    with live.Live(screen=True, auto_refresh=False) as screen:
        while True:
            screen.update(group(*_drawn(inspector, times, screen.console.width)), refresh=True)
            wait(seconds)


def _drawn(inspector: Inspector, times: Times, columns: int) -> Iterator[Any]:
    text = importlib.import_module("rich.text").Text
    try:
        screen = screen_of(inspector, times)
    except StoreUnavailable as error:
        # The store may be reachable again in a moment.
        yield text(visible(str(error)), style=STYLES["bad"])
        return
    for line, tone in screen.lines:
        yield text(visible(line), style=STYLES[tone])
    for table in screen.tables:
        yield text("")
        yield rich_table(table.heads, table.rows, table.right, columns)
