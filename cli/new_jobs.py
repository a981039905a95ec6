"""Parts that the subcommands share that add a job: `queue`, and `jobs copy`."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

from ..environment.clock import SystemClock
from ..messages.jobs import ENDED, Seconds
from .acting import Act, moment_of
from .inspecting import note
from .options import add_delay, delay_of

if TYPE_CHECKING:
    from ..api.job import Job


def declare_new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--id", metavar="ID", help="its id; one that is known adds nothing")
    add_delay(parser)
    parser.add_argument("--at", metavar="TIME", help="due at this instant: +2h, or ISO 8601")


class NewKeywords(TypedDict, total=False):
    """Which id a new job has, and when it is due, as `Operator.queue` and `copy` take it."""

    id: str
    delay: Seconds
    at: datetime


def new_of(arguments: argparse.Namespace) -> NewKeywords:
    options: NewKeywords = {}
    if arguments.id is not None:
        options["id"] = arguments.id
    if arguments.delay is not None:
        options["delay"] = delay_of(arguments)
    if arguments.at is not None:
        options["at"] = moment_of(arguments.at, "--at", SystemClock().now())
    return options


def told(act: Act, action: str, job: Job[Any]) -> bool:
    """Say which job was added: its id, and nothing besides; whether it is new."""
    act.done(action, job.id, id=job.id, name=job.name, state=job.state, is_new=not job.deduplicated)
    if job.deduplicated:
        note(f"{job.id} was there already, and is {job.state}; nothing was queued")
    elif job.state in ENDED:
        note(f"{job.id} is {job.state}: {job.reason}")
    return not job.deduplicated
