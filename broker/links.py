"""Jobs that wait for others, in a turn: how they are judged, at their birth or when these have ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

from ..messages.jobs import JobRecord
from ..messages.mail import CheckDue
from ..stores.turn_ports import JobLinks
from .follow_ups import Stored
from .turn_context import TurnContext

ROUNDS_MAX = 20
"""How often one turn that acts on many jobs looks at as many links as others do once."""


def judged_at_birth(links: JobLinks | None, parts: Sequence[Stored]) -> Sequence[Stored]:
    """The jobs that were just stored, as they are now: a job may wait only for others that have ended before."""
    judged = {} if links is None else links.judge_births()
    if not judged:
        return parts
    return [[(judged.get(record.no, record), fresh) for record, fresh in part] for part in parts]


def free(context: TurnContext) -> None:
    """Free the jobs whose parents have ended, before anything is claimed. Jobs that are too many for this turn are left
    to the next, which comes at once.
    """
    links = context.turn.links
    if links is not None and links.free(context.state.limits.freed_links_max):
        context.tell("broker", CheckDue())
    context.collect()


def parents_first(jobs: Iterable[JobRecord]) -> Sequence[JobRecord]:
    """Jobs in an order in which none stands before one that it waits for: a job is stored after those."""
    return sorted(jobs, key=attrgetter("no"))


def has_followed(context: TurnContext, job: JobRecord) -> bool:
    """Whether a job has moved, or is about to, because those that it waits for did, perhaps earlier in this very turn:
    it waits again for what was queued again, or shares the fate of what was cancelled. Nothing else is to move it then.
    """
    links = context.turn.links
    if links is None or not job.is_linked:
        return False
    # Where there is no end to them, it is for the next turns.
    is_open = all(links.free(context.state.limits.freed_links_max) for _ in range(ROUNDS_MAX))
    context.collect()
    now = context.turn.jobs.find([job.id]).get(job.id)
    return is_open or now is None or now.rev != job.rev
