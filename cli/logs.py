"""The LOG arguments that the subcommands share."""

from __future__ import annotations

import argparse
import glob
import os
from collections.abc import Sequence

from ..errors import UsageError

HELP = "a log: a file, rotated (.1) or compressed (.gz) too, a pattern in quotes, or - for standard input"


def add_logs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("logs", type=os.fsdecode, metavar="LOG", nargs="*", help=HELP)


def log_paths(names: Sequence[str]) -> list[str]:
    """The files that were meant, each once."""
    if not names:
        raise UsageError("expected at least one LOG: a file, a pattern in quotes, or - for standard input, got none")
    paths: dict[str, str] = {}
    for name in names:
        matches = [name] if name == "-" or os.path.exists(name) else sorted(glob.glob(name))
        if not matches:
            raise UsageError(f"expected a log, got: {name!r}, and there is no such file")
        for match in matches:
            if os.path.isdir(match):
                raise UsageError(f"expected a log, got: {match!r}, which is a folder; give its files, as in {match}/*")
            paths.setdefault("-" if match == "-" else os.path.realpath(match), match)
    return list(paths.values())
