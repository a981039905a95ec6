"""The `lamplighter` command: reads its arguments and runs one subcommand.

Exit codes: 0, well; 1, something was found, or what was asked for is not there; 2, the arguments make no sense;
141, whoever read the output left before it was known whether all is well.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from ..errors import LamplighterError
from ..rules.printable import visible
from . import audit, migrate, simulate, trace, unreadable

SUBCOMMANDS = (trace, audit, simulate, migrate, unreadable)

USAGE_ERROR = 2

UNREAD = 141
"""Nobody reads the output any more: what a shell says of a program that SIGPIPE has ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(
        prog="lamplighter", description="Understand and check what a Lamplighter runtime has logged."
    )
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for subcommand in SUBCOMMANDS:
        subcommand.add_to(subparsers)
    given = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What the terminal's encoding does not have is shown as an escape.
            stream.reconfigure(errors="backslashreplace")
    try:
        code: int = given.run(given)
        sys.stdout.flush()
    except LamplighterError as error:
        print(f"lamplighter: {visible(str(error))}", file=sys.stderr)
        return USAGE_ERROR
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(getattr(given, "verdict", UNREAD))
    except OSError as error:
        print(f"lamplighter: expected files that can be read and written, got: {visible(str(error))}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return 130
    return code
