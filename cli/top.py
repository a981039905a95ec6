"""`lamplighter top`: the names and the runtimes of a store as they are, shown anew until Ctrl-C or `q`."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import re
import select
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..admin.inspector import Inspector, inspector_at, wait
from ..admin.views import NAME_ORDERS
from ..errors import StoreUnavailable, UsageError, check_seconds, missing_extra
from ..rules.printable import visible
from ..stores.opening import place_of
from . import name_pages, runtime_pages
from .options import LIMIT, WATCH_SECONDS_MIN, Times, add_store_or_runtime, seconds, store_or_runtimes
from .page import STYLES, Cell, Page, rich_table

EVERY_SECONDS, SERVER_EVERY_SECONDS = 1.0, 5.0
"""How often it is shown anew, of a file and of a server, to which each look is a connection."""


SCROLLS = {"\x1b[A": -1, "\x1b[B": 1, "k": -1, "j": 1, "\x1b[5~": -20, "\x1b[6~": 20, " ": 20}
"""By how many lines each key scrolls: arrows, page up and down, and the space bar."""


@dataclass
class Keys:
    """The requests made by keys."""

    sort: str
    is_reversed: bool = False
    top: int = 0
    is_over: bool = False

    def press(self, text: str) -> None:
        for key in re.findall(r"\x1b\[[0-9]*.|.", text):
            self.top = max(0, self.top + SCROLLS.get(key, 0))
            self.is_over |= key == "q"
            self.is_reversed ^= key == "r"
            if key == "s":
                names = list(NAME_ORDERS)
                self.sort = names[(names.index(self.sort) + 1) % len(names)]


class Table(NamedTuple):
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    right: Sequence[str]


class Screen(NamedTuple):
    lines: Sequence[tuple[str, Any]]
    tables: Sequence[Table]


def declare(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Shows the health of a store, its names and its runtimes, until Ctrl-C or q. The arrows and the space bar "
        "scroll, s sorts by the next of the columns name, ready, oldest, running and scheduled, r reverses. It only "
        "looks: `lamplighter names`, `jobs` and `runtimes` act."
    )
    add_store_or_runtime(parser)
    parser.add_argument(
        "--every",
        type=seconds,
        metavar="SECONDS",
        help=f"how often it is shown anew ({EVERY_SECONDS:g}; of a server {SERVER_EVERY_SECONDS:g})",
    )
    parser.add_argument("--sort", choices=NAME_ORDERS, default="name", help="the order of names (%(default)s)")
    parser.add_argument("--once", action="store_true", help="show it once, as plain text")
    parser.add_argument("--utc", action="store_true", help="times in UTC, not in local time")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    address, times = store_or_runtimes(arguments), Times(is_utc=arguments.utc)
    usual = EVERY_SECONDS if place_of(address).has_table else SERVER_EVERY_SECONDS
    seconds = check_seconds(usual if arguments.every is None else arguments.every, "--every")
    if seconds < WATCH_SECONDS_MIN:
        raise UsageError(f"expected --every to be {WATCH_SECONDS_MIN:g} s or more, got: {seconds:g}")
    # Ctrl-C is how one leaves.
    with inspector_at(address) as inspector, contextlib.suppress(KeyboardInterrupt):
        if arguments.once or not sys.stdout.isatty():
            _print(screen_of(inspector, times, Keys(arguments.sort), LIMIT))
        else:
            _follow(inspector, times, seconds, Keys(arguments.sort))
    return 0


def screen_of(inspector: Inspector, times: Times, keys: Keys, limit: int | None = None) -> Screen:
    with inspector.at_one_instant() as now:
        seen, boots = now.overview(), now.runtimes.all()
    amounts = {name: getattr(seen, name) for name in ("ready", "running", "scheduled", "parked", "dead")}
    counts = "  ".join(f"{name} {'?' if amount is None else amount}" for name, amount in amounts.items())
    lines: list[tuple[str, Any]] = [(f"{seen.store}  {times.of(seen.at)}  {counts}", "plain")]
    tone = runtime_pages.TONES[seen.health.status]
    lines += [(text, tone) for text in (seen.health.status, *seen.health.reasons)]
    names = sorted(seen.names, key=NAME_ORDERS[keys.sort], reverse=keys.is_reversed)[:limit]
    if len(seen.names) > len(names) or seen.has_more_names:
        lines.append((f"the first {len(names)} names; `lamplighter names list` has all", "quiet"))
    by_name = Table(name_pages.HEADS, [name_pages.row(name, seen.at) for name in names], name_pages.NUMBERS)
    by_boot = Table(runtime_pages.HEADS, [runtime_pages.row(boot, seen.at) for boot in boots], runtime_pages.NUMBERS)
    return Screen(lines, [table for table in (by_name, by_boot) if table.rows])


def _print(screen: Screen) -> None:
    page = Page("never")
    for text, tone in screen.lines:
        page.line(text, tone)
    for table in screen.tables:
        page.line("")
        page.table(table.heads, table.rows, right=table.right)


def _follow(inspector: Inspector, times: Times, seconds: float, keys: Keys) -> None:
    try:
        live, group = importlib.import_module("rich.live"), importlib.import_module("rich.console").Group
    except ImportError as error:
        raise missing_extra("rich", "`lamplighter top` (--once needs none)", "cli") from error
    with _unechoed(), live.Live(screen=True, auto_refresh=False) as screen:
        while not keys.is_over:
            drawn = list(_drawn(inspector, times, screen.console.width, keys))
            # Where everything is on the screen, nothing scrolls; the last lines stay in view.
            keys.top = max(0, min(keys.top, len(drawn) - screen.console.height + 1))
            hint = importlib.import_module("rich.text").Text(f"by {keys.sort}; ↑ ↓ scroll, s sorts, r reverses, q ends")
            screen.update(group(*drawn[keys.top :][: screen.console.height - 1], hint), refresh=True)
            if not sys.stdin.isatty():
                wait(seconds)
            elif select.select([sys.stdin], [], [], seconds)[0]:
                keys.press(os.read(sys.stdin.fileno(), 1024).decode(errors="replace") or "q")


@contextlib.contextmanager
def _unechoed() -> Iterator[None]:
    """Keys are read as they are pressed, and not shown. Ctrl-C stays what it is."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _drawn(inspector: Inspector, times: Times, columns: int, keys: Keys) -> Iterator[Any]:
    """The lines of the screen."""
    text, console = importlib.import_module("rich.text").Text, importlib.import_module("rich.console")
    try:
        screen = screen_of(inspector, times, keys)
    except StoreUnavailable as error:
        # The store may be reachable again in a moment.
        yield text(visible(str(error)), style=STYLES["bad"])
        return
    for line, tone in screen.lines:
        yield from text(visible(line), style=STYLES[tone]).wrap(console.Console(width=columns), columns)
    for table in screen.tables:
        yield text("")
        drawn = rich_table(table.heads, table.rows, table.right, columns)
        lines = console.Console(width=columns).render_lines(drawn, pad=False)
        yield from (text.assemble(*((part.text, part.style or "") for part in line)) for line in lines)
