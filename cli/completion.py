"""`lamplighter completion`: what a shell needs to complete the commands."""

from __future__ import annotations

import argparse
import importlib

from ..errors import missing_extra
from .main import whole_parser

SHELLS = ("bash", "zsh", "fish", "tcsh")


def declare(parser: argparse.ArgumentParser) -> None:
    parser.description = 'Print what completes these commands in a shell: eval "$(lamplighter completion bash)"'
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    try:
        shtab = importlib.import_module("shtab")
    except ImportError as error:
        raise missing_extra("shtab", "completion", "cli") from error
    print(shtab.complete(whole_parser(), shell=arguments.shell))
    return 0
