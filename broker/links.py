"""Dependencies of jobs in a turn: resolved when a job is born or when its parents have ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

from ..messages.jobs import JobRecord
from ..messages.mail import CheckDue
from ..stores.turn_ports import JobLinks
from .follow_ups import Stored
from .turn_context import TurnContext

ROUNDS_MAX = 20
"""Factor on the links examined by a turn that acts on many jobs."""


def judged_at_birth(links: JobLinks | None, parts: Sequence[Stored]) -> Sequence[Stored]:
    """The jobs just stored, resolved: their parents may have ended before."""
    judged = {} if links is None else links.judge_births()
    if not judged:
        return parts
    return [[(judged.get(record.row_id, record), fresh) for record, fresh in part] for part in parts]


def free(context: TurnContext) -> None:
    """Free jobs whose parents have ended, before anything is claimed. The next turn follows at once for the rest."""
    links = context.turn.links
    if links is not None and links.free(context.state.limits.freed_links_max):
        context.tell("broker", CheckDue())
    context.collect()


def parents_first(jobs: Iterable[JobRecord]) -> Sequence[JobRecord]:
    """Jobs in topological order: parents are stored before their dependents."""
    return sorted(jobs, key=attrgetter("row_id"))


def has_followed(context: TurnContext, job: JobRecord) -> bool:
    """Whether a job moved, or is about to, because its parents did, perhaps in this very turn: it waits again for a
    requeued parent, or is cancelled with it. Nothing else may move it then.
    """
    links = context.turn.links
    if links is None or not job.is_linked:
        return False
    # The next turns free what is left after so many rounds.
    is_open = all(links.free(context.state.limits.freed_links_max) for _ in range(ROUNDS_MAX))
    context.collect()
    now = context.turn.jobs.find([job.id]).get(job.id)
    return is_open or now is None or now.move_no != job.move_no
