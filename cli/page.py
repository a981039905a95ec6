"""Output for people: colours and columns on a terminal when `rich` is installed, plain text anywhere else."""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import sys
from collections.abc import Callable, Sequence
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

READABLE = 8
"""Columns of a table are left out until no other one has to be cut shorter, or to less than a seventh of the line."""

KEPT = "what"
"""The column with facts that may call for an act: it is never left out."""

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
            heads, rows = fitted(heads, rows, self._columns)
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
    heads: Sequence[str], rows: Sequence[Sequence[Cell]], columns: int
) -> tuple[Sequence[str], Sequence[Sequence[Cell]]]:
    """A table within so many columns of a terminal. Columns without a text go first, then those at the right, until the
    others can be read; long texts are cut in the middle, since ids and names often begin alike.
    """
    texts = [[head, *(_text(row[place]) for row in rows)] for place, head in enumerate(heads)]
    widths = [max(map(len, column)) for column in texts]
    if sum(widths) + GAP * (len(widths) - 1) <= columns:
        return heads, rows
    kept = [place for place, column in enumerate(texts) if any(column[1:])]
    least = max(READABLE, columns // 7)
    while (most := _level([widths[place] for place in kept], columns - GAP * (len(kept) - 1))) < least:
        if len(kept) < 2:
            break
        kept.remove(next(place for place in reversed(kept) if heads[place] != KEPT))
    return [heads[place] for place in kept], [[_cut(row[place], most) for place in kept] for row in rows]


def _level(widths: Sequence[int], room: int) -> int:
    """The width to which the widest columns have to be cut so that all have room together."""
    for place, width in enumerate(sorted(widths)):
        if width * (left := len(widths) - place) > room:
            return room // left
        room -= width
    return max(widths, default=0)


def _cut(cell: Cell, most: int) -> Cell:
    if len(text := _text(cell)) > most:
        end = max(0, most - 1) // 3
        text = f"{text[: max(0, most - 1 - end)]}…{text[len(text) - end :]}"
    return text if isinstance(cell, str) else (text, cell[1])


def rich_table(heads: Sequence[str], rows: Sequence[Sequence[Cell]], right: Sequence[str], columns: int) -> Any:
    """A table as `Page.table` shows it, for rich to draw."""
    heads, rows = fitted(heads, rows, columns)
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
