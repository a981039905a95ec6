"""`lamplighter health`: whether the runtimes on a store are well, for whoever restarts them.

It is called every few seconds, so it loads neither the application nor a runtime: it reads the locks and asks.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Sequence

from ..admin.control_client import ANSWER_SECONDS, BootView, ControlClient, plain_view, wellness
from ..errors import StoreError, UsageError
from ..rules.printable import visible
from .options import add_store, is_on_server, store_of

MAX_AGE_SECONDS = 30.0


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
        type=float,
        default=MAX_AGE_SECONDS,
        metavar="SECONDS",
        help="no message may wait, and none be handled, for longer (%(default)g)",
    )
    parser.add_argument(
        "--timeout", type=float, default=ANSWER_SECONDS, metavar="SECONDS", help="for each to answer (%(default)g)"
    )
    parser.add_argument("--json", action="store_true", help="JSON, one object a line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    address = store_of(arguments)
    for option in ("max_age", "timeout"):
        if not 0.0 <= getattr(arguments, option) < math.inf:
            raise UsageError(f"expected --{option.replace('_', '-')} to be a number of seconds, 0 or more")
    found = _on_server(address, arguments.timeout) if is_on_server(address) else _on_file(address, arguments.timeout)
    meant = [one for one in found if one.boot.startswith(arguments.boot or "") and one.is_alive is not False]
    wells = []
    for one in meant:
        is_well, reasons = wellness(one, arguments.max_age)
        wells.append(is_well)
        if arguments.json:
            known = {"boot": one.boot, "is_well": is_well, "condition": one.condition, "pid": one.pid}
            print(json.dumps({**known, "status": one.status, "reasons": reasons}))
        else:
            words = f"{'' if is_well else 'NOT WELL, '}{one.status or one.condition}"
            print(visible(f"{one.boot}  pid {one.pid or '?'}  {words}{': ' if reasons else ''}{'; '.join(reasons)}"))
    if not wells and not arguments.json:
        # An address may have a password in it.
        where = "that server" if is_on_server(address) else address
        print(visible(f"no {'such ' if arguments.boot else ''}runtime lives on {where}"))
    return 0 if wells and (any(wells) if arguments.any else all(wells)) else 1


def _on_file(address: str, timeout: float) -> Sequence[BootView]:
    path = address.removeprefix("sqlite:///")
    if not os.path.isfile(path):
        raise StoreError(f"expected the path of a store's file, got: {path!r}, which is no file")
    room = ControlClient(path, timeout, read_view=plain_view)
    return list(room.views(room.entered()).values())


def _on_server(url: str, timeout: float) -> Sequence[BootView]:
    # Imported only here: it loads what speaks to a server.
    from ..admin.rabbit_control_client import RabbitControlClient

    return RabbitControlClient(url, timeout).all()
