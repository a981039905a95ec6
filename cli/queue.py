"""`lamplighter queue`: add a job from the shell."""

from __future__ import annotations

import argparse
import sys
from typing import Any, cast

from ..admin.query import read_json
from ..errors import UsageError
from ..messages.jobs import Debounce, JobKeywords
from ..rules.links import KINDS
from .acting import Act, acting, declare_acting, declare_new, new_of, told
from .options import span_of

STDIN = "-"
"""In the place of the data: it comes from standard input."""

DATA_CHARACTERS_MAX = 10_000_000
"""So much is read at most; what a job may have is less."""


def declare(parser: argparse.ArgumentParser) -> None:
    parser.description = "Add a job, and print its id. A runtime with a handler for its name does it, now or later."
    parser.add_argument("name", metavar="NAME", help="which handler it is for")
    parser.add_argument("data", metavar="DATA", nargs="?", default="null", help=f"JSON; {STDIN} reads standard input")
    parser.add_argument("--unique", metavar="KEY", help="none while one of this name and key is unfinished")
    parser.add_argument(
        "--debounce", metavar="KEY", help="the job that is queued under it gets these data; with --quiet, --at-most"
    )
    parser.add_argument("--quiet", metavar="SPAN", help="due so long after the last call with the key, as 5s")
    parser.add_argument("--at-most", metavar="SPAN", help="and so long after the first at the latest, as 1m")
    parser.add_argument("--priority", type=int, default=0, metavar="N", help="higher runs first (%(default)s)")
    parser.add_argument("--expires", metavar="SPAN", help="cancelled if it was not started within, as 30m")
    parser.add_argument("--group", metavar="KEY", help="the groups of a name take turns")
    parser.add_argument(
        "--after", metavar="ID", action="append", default=[], help="only once this job is done; may be given again"
    )
    parser.add_argument(
        "--after-ended", metavar="ID", action="append", default=[], help="only once this job has ended, however it did"
    )
    parser.add_argument(
        "--after-failed",
        metavar="ID",
        action="append",
        default=[],
        help="only once this job is dead or cancelled; if it is done, this one is cancelled",
    )
    declare_new(parser)
    declare_acting(parser)
    parser.set_defaults(run=run)


@acting
def run(act: Act) -> int:
    arguments, data = act.arguments, _data(act.arguments.data)
    options = cast("JobKeywords", {**new_of(arguments), "priority": arguments.priority})
    if arguments.unique is not None:
        options["unique"] = arguments.unique
    debounce = _debounce(arguments)
    if debounce is not None:
        options["debounce"] = debounce
    if arguments.group is not None:
        options["group"] = arguments.group
    options |= cast("JobKeywords", {what: refs for what in KINDS if (refs := getattr(arguments, what))})
    if arguments.expires is not None:
        options["expires"] = span_of(arguments.expires, "--expires")
    operator = act.operator
    if act.is_dry:
        operator.check(arguments.name, data, **options)
        act.done("queue", f"would queue a job of {arguments.name}", name=arguments.name)
        return 0
    told(act, "queue", operator.queue(arguments.name, data, reason=act.reason, **options))
    return 0


def _debounce(arguments: argparse.Namespace) -> Debounce | None:
    given = {"--debounce": arguments.debounce, "--quiet": arguments.quiet, "--at-most": arguments.at_most}
    said = [option for option, text in given.items() if text is not None]
    if not said:
        return None
    if len(said) < len(given):
        raise UsageError(f"expected --debounce, --quiet and --at-most together, got only: {', '.join(said)}")
    quiet, at_most = (span_of(given[option], option) for option in ("--quiet", "--at-most"))
    return Debounce(arguments.debounce, quiet=quiet, at_most=at_most)


def _data(text: str) -> Any:
    if text == STDIN:
        text = sys.stdin.read(DATA_CHARACTERS_MAX + 1)
        if len(text) > DATA_CHARACTERS_MAX:
            raise UsageError(f"expected at most {DATA_CHARACTERS_MAX:,} characters of JSON on standard input, got more")
    return read_json(text, "DATA")
