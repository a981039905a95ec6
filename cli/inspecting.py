"""Parts that the looking subcommands share: they only read, and need no runtime."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ..admin.inspector import Inspector, inspector_at
from .options import add_output, add_show_data, add_store, add_watch, store_of, watched


def declare_inspecting(parser: argparse.ArgumentParser) -> None:
    add_store(parser)
    add_show_data(parser)
    add_output(parser)
    add_watch(parser)


def inspecting(show: Callable[[argparse.Namespace, Inspector], int]) -> Callable[[argparse.Namespace], int]:
    """A subcommand that looks at a store once, or again and again."""

    def run(arguments: argparse.Namespace) -> int:
        with inspector_at(store_of(arguments), shows_data=arguments.show_data) as inspector:
            return watched(arguments, lambda: show(arguments, inspector))

    return run
