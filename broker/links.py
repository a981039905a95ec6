"""Jobs that wait for others, in a turn: how they are judged, at their birth or when these have ended."""

from __future__ import annotations

from collections.abc import Sequence

from ..messages.mail import CheckDue
from ..stores.turn_ports import JobLinks
from .in_order import Stored
from .turn_context import TurnContext


def judged_at_birth(links: JobLinks | None, parts: Sequence[Stored]) -> Sequence[Stored]:
    """What was just stored, as it is now: a job may wait only for others that have ended before."""
    judged = {} if links is None else links.judge_births()
    if not judged:
        return parts
    return [[(judged.get(record.no, record), fresh) for record, fresh in part] for part in parts]


def free(context: TurnContext) -> None:
    """Free the jobs whose parents have ended, before anything is claimed. What is too much for this turn is for the
    next, which comes at once.
    """
    links = context.turn.links
    if links is not None and links.free(context.state.limits.freed_links_max):
        context.tell("broker", CheckDue())
    context.collect()
