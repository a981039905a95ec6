"""Parts that the looking subcommands share: they only read, and need no runtime."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from ..admin.inspector import Inspector
from ..admin.inspectors import inspector_at
from ..rules.printable import visible
from ..rules.wording import span
from .options import add_output, add_show_data, add_store, add_watch, store_of, watched
from .page import Page


def declare_inspecting(parser: argparse.ArgumentParser) -> None:
    add_store(parser)
    add_show_data(parser)
    add_output(parser)
    add_watch(parser)


def inspected(arguments: argparse.Namespace, show: Callable[[Inspector], int]) -> int:
    with inspector_at(store_of(arguments), shows_data=arguments.show_data) as inspector:
        return watched(arguments, lambda: show(inspector))


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
