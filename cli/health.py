"""`lamplighter health`: whether the runtimes on a store are well, for whoever restarts them.

It is called every few seconds, so it loads neither the application nor a runtime: it reads the locks and asks.
"""

from __future__ import annotations

import argparse
import json
import math

from ..errors import UsageError
from ..messages.controls import ANSWER_SECONDS, HUNG_SECONDS_MAX
from ..rules.printable import visible
from ..stores.opening import place_of
from .options import add_store, seconds, store_of


def declare(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Ask every living runtime on a store whether it is well. Exits with 0 if all are, with 1 if one is not or none "
        "lives, with 3 if the store is not there."
    )
    add_store(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--boot", metavar="ID", help="this runtime instance alone, or whose id begins so")
    which.add_argument("--any", action="store_true", help="one that is well is enough")
    parser.add_argument(
        "--max-age",
        type=seconds,
        default=HUNG_SECONDS_MAX,
        metavar="SECONDS",
        help="no message may wait, and none be handled, for longer (%(default)g)",
    )
    parser.add_argument(
        "--timeout", type=seconds, default=ANSWER_SECONDS, metavar="SECONDS", help="for each to answer (%(default)g)"
    )
    parser.add_argument("--json", action="store_true", help="JSON, one object a line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    place = place_of(store_of(arguments))
    for option in ("max_age", "timeout"):
        if not 0.0 <= getattr(arguments, option) < math.inf:
            raise UsageError(f"expected --{option.replace('_', '-')} to be a number of seconds, 0 or more")
    client = place.client(arguments.timeout, hung_seconds_max=arguments.max_age, is_plain=True)
    meant = [one for one in client.found() if one.boot.startswith(arguments.boot or "") and one.is_alive is not False]
    for one in meant:
        reasons = one.reasons if one.unheard is None else (one.unheard,)
        if arguments.json:
            known = {"boot": one.boot, "is_well": one.is_well, "condition": one.condition, "pid": one.pid}
            print(json.dumps({**known, "status": one.status, "reasons": reasons}))
        else:
            words = f"{'' if one.is_well else 'NOT WELL, '}{one.status or one.condition}"
            print(visible(f"{one.boot}  pid {one.pid or '?'}  {words}{': ' if reasons else ''}{'; '.join(reasons)}"))
    wells = [one.is_well for one in meant]
    if not wells and not arguments.json:
        print(visible(f"no {'such ' if arguments.boot else ''}runtime lives on {place.shown}"))
    return 0 if wells and (any(wells) if arguments.any else all(wells)) else 1
