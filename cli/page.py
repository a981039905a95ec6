"""What people see: colours and columns on a terminal when `rich` is installed, plain text anywhere else."""

from __future__ import annotations

import importlib
import shutil
import sys
from typing import Any

from ..history.trace.sentences import Entry, Tone
from ..rules.printable import visible
from ..rules.wording import clock, span

STYLES: dict[Tone, str] = {"good": "green", "bad": "bold red", "warning": "yellow", "plain": "", "quiet": "dim"}

PLAIN_COLUMNS = 220
"""How long a cut line may be where nobody says how wide the page is."""


class Page:
    """Writes to standard output."""

    def __init__(self) -> None:
        self._console = _console() if sys.stdout.isatty() else None
        self._columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else PLAIN_COLUMNS

    def line(self, text: str, tone: Tone = "plain", *, cut: bool = False) -> None:
        """One line, cut to the width of the page if need be. What a log holds never moves the terminal's cursor."""
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


def _since(seconds: float) -> str:
    return f"+{span(seconds)}" if seconds >= 0 else f"-{span(-seconds)}"


def _console() -> Any:
    try:
        module = importlib.import_module("rich.console")
    except ImportError:
        # The extra `cli` is not installed: plain text says the same.
        return None
    return module.Console()
