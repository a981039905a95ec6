"""Output for people: colours and columns on a terminal when `rich` is installed, plain text anywhere else."""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ..rules.codec import encode_own
from ..rules.printable import visible
from ..rules.wording import Tone, clock, span

if TYPE_CHECKING:
    from ..history.trace.sentences import Entry

STYLES: dict[Tone, str] = {"good": "green", "bad": "bold red", "warning": "yellow", "plain": "", "quiet": "dim"}

PLAIN_COLUMNS = 220
"""The length to which lines are cut where the width of the page is unknown."""

GAP = 2
"""Spaces between the columns of a table."""

IDS = frozenset({"id", "job", "boot"})
REASONS = frozenset({"what", "message", "error", "reason", "rule"})
WHOLE = frozenset({"state", "condition", "outcome", "next"})
"""Columns of a table that does not fit are cut and left out by their heads. Ids are cut in the middle, then times and
other details are left out from the right, then names are cut. Reasons go on in further lines. These, the states and the
numbers stay."""

USUAL, TIGHT = (16, 24, 12), (8, 10, 8)
"""The least widths of a name, a reason and an id; the second ones where nothing else is left to go."""

REASON_LINES_MAX = 3

Cell = str | tuple[str, Tone]

Color = Literal["auto", "always", "never"]

T = TypeVar("T")


class Page:
    """Writes to standard output. With the color `auto`, it is colored on a terminal, unless NO_COLOR is set."""

    def __init__(self, color: Color = "auto") -> None:
        is_terminal = sys.stdout.isatty()
        columns, rows = shutil.get_terminal_size() if is_terminal else (None, None)
        self._console = _console(color, columns, rows) if is_terminal or color == "always" else None
        self._columns = columns or PLAIN_COLUMNS
        self._is_terminal = is_terminal

    def line(self, text: str, tone: Tone = "plain", *, cut: bool = False) -> None:
        """One line, cut to the width of the page if need be. The text of a log never moves the terminal's cursor."""
        text = visible(text)
        if cut and len(text) > self._columns:
            text = text[: self._columns - 1] + "…"
        if self._console is None:
            print(text)
        else:
            self._console.print(text, style=STYLES[tone], markup=False, highlight=False, soft_wrap=True)

    def timeline(self, entries: list[Entry]) -> None:
        """Entries below one another, each with its time and how long after the last it came."""
        who_width = min(40, max((len(entry.who) for entry in entries), default=0))
        before: float | None = None
        for entry in entries:
            at = "" if entry.at is None else clock(entry.at)
            since = "" if entry.at is None or before is None else _since(entry.at - before)
            before = entry.at if entry.at is not None or entry.begins else before
            self.line(f"{at:<27}  {since:>10}  {entry.who:<{who_width}}  {entry.says}".rstrip(), entry.tone)

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[Cell]], *, right: Sequence[str] = ()) -> None:
        """Rows below one another, in columns with these heads; those of numbers stand at the right."""
        if self._console is not None:
            self._console.print(rich_table(heads, rows, right, self._console.width))
            return
        if self._is_terminal:
            heads, rows = fitted(heads, rows, self._columns, right)
        texts = [[_text(cell) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(heads, *texts, strict=True)]
        for row in (heads, *texts):
            cells = (
                text.rjust(width) if head in right else text.ljust(width)
                for head, text, width in zip(heads, row, widths, strict=True)
            )
            print("  ".join(cells).rstrip())

    def fields(self, fields: Sequence[tuple[str, Cell]]) -> None:
        """The facts about one thing: a line for each field that has a text."""
        told = [(name, cell) for name, cell in fields if _text(cell)]
        width = max((len(name) for name, _ in told), default=0)
        for name, cell in told:
            tone: Tone = cell[1] if isinstance(cell, tuple) else "plain"
            first, *more = (cell if isinstance(cell, str) else cell[0]).split("\n")
            self.line(f"{name:<{width}}  {first}", tone)
            for line in more:
                self.line(f"{'':<{width}}  {line}", tone)


def print_json(view: object) -> None:
    """One object on a line of its own. JSON leaves bare what a terminal obeys, such as C1 codes and overrides of
    direction: those stand there as escapes, which a parser reads as the same text.
    """
    text = encode_own(view)
    if not text.isprintable():
        text = "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)
    print(text)


def _text(cell: Cell) -> str:
    return visible(cell if isinstance(cell, str) else cell[0])


def fitted(
    heads: Sequence[str], rows: Sequence[Sequence[Cell]], columns: int, right: Sequence[str] = ()
) -> tuple[Sequence[str], Sequence[Sequence[Cell]]]:
    """A table within so many columns of a terminal; `right` are the heads of numbers."""
    texts = [[head, *(_text(row[place]) for row in rows)] for place, head in enumerate(heads)]
    widths = [max(map(len, column)) for column in texts]
    if sum(widths) + GAP * (len(widths) - 1) <= columns:
        return heads, rows
    kept = [place for place, column in enumerate(texts) if any(column[1:])]
    flexible = {place: heads[place] for place in kept if heads[place] in IDS | REASONS | {"name"}}
    details = [place for place in kept[1:] if place not in flexible and heads[place] not in WHOLE.union(right)]

    def least(name: int, reason: int, id: int) -> dict[int, int]:
        lengths = {"name": name, **dict.fromkeys(REASONS, reason)}
        return {place: min(widths[place], lengths.get(head, id)) for place, head in flexible.items()}

    def room(taken: dict[int, int]) -> int:
        return columns - GAP * (len(kept) - 1) - sum(taken.get(place, widths[place]) for place in kept)

    taken = least(*USUAL)
    while room(taken) < 0 and details:
        kept.remove(details.pop())
    if room(taken) < 0:
        taken = least(*TIGHT)
    while room(taken) < 0 and len(kept) > 1:
        kept.remove(
            next((place for place in reversed(kept) if place not in flexible and heads[place] not in WHOLE), kept[-1])
        )
    for place in sorted(flexible, key=lambda place: (heads[place] != "name", heads[place] in IDS)):
        if place in kept:
            taken[place] += max(0, min(widths[place] - taken[place], room(taken)))
    fitting: list[list[Cell]] = []
    for row in rows:
        lines = [_lines(row[place], heads[place], taken.get(place, columns)) for place in kept]
        fitting += map(list, zip_longest(*lines, fillvalue=""))
    return [heads[place] for place in kept], fitting


def _lines(cell: Cell, head: str, most: int) -> list[Cell]:
    """A cell within so many columns: a reason on several lines, anything else on one."""
    if head not in REASONS or len(_text(cell)) <= most:
        return [_cut(cell, most)]
    lines = textwrap.wrap(_text(cell), most, max_lines=REASON_LINES_MAX, placeholder=" …") or [""]
    return [line if isinstance(cell, str) else (line, cell[1]) for line in lines]


def _cut(cell: Cell, most: int) -> Cell:
    if len(text := _text(cell)) > most:
        end = max(0, most - 1) // 3
        text = f"{text[: max(0, most - 1 - end)]}…{text[len(text) - end :]}"
    return text if isinstance(cell, str) else (text, cell[1])


def rich_table(heads: Sequence[str], rows: Sequence[Sequence[Cell]], right: Sequence[str], columns: int) -> Any:
    """A table as `Page.table` shows it, for rich to draw."""
    heads, rows = fitted(heads, rows, columns, right)
    table = importlib.import_module("rich.table").Table(
        box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0)
    )
    text = importlib.import_module("rich.text").Text
    for head in heads:
        table.add_column(head, justify="right" if head in right else "left", no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(text(_text(cell), style=STYLES[cell[1]] if isinstance(cell, tuple) else "") for cell in row))
    return table


def _since(seconds: float) -> str:
    return f"+{span(seconds)}" if seconds >= 0 else f"-{span(-seconds)}"


def _console(color: Color, columns: int | None, rows: int | None) -> Any:
    try:
        module = importlib.import_module("rich.console")
    except ImportError:
        # The extra `cli` is not installed: plain text says the same.
        return None
    # Unless both are given, Rich takes every terminal without escape sequences (TERM=dumb) for one of 80 columns.
    size = {"width": columns, "height": rows}
    if color == "always":
        return module.Console(force_terminal=True, no_color=False, **size)
    return module.Console(no_color=True if color == "never" else None, **size)


def listed(
    arguments: argparse.Namespace,
    found: Sequence[T],
    heads: Sequence[str],
    row: Callable[[T], Sequence[Cell]],
    right: Sequence[str] = (),
) -> int:
    """Show things as a table, or as JSON, an object a line; 1 if there are none."""
    if arguments.json:
        for one in found:
            print_json(one)
    elif found:
        page_of(arguments).table(heads, [row(one) for one in found], right=right)
    return 0 if found else 1


def print_one(arguments: argparse.Namespace, found: object, show: Callable[[Page], object]) -> int:
    """Show one thing as JSON, or by `show`."""
    if arguments.json:
        print_json(found)
    else:
        show(page_of(arguments))
    return 0


def page_of(arguments: argparse.Namespace) -> Page:
    return Page(arguments.color)


def note(text: str) -> None:
    """Print to standard error, so that it is in no pipe."""
    print(visible(text), file=sys.stderr)


def ago(now: float, instant: float | None) -> str:
    """The time from an instant until `now`, or from `now` until the instant."""
    if instant is None:
        return ""
    return f"{span(now - instant)} ago" if instant <= now else f"in {span(instant - now)}"
