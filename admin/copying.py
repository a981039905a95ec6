"""A copy of a job with other data: the job itself never changes."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import UsageError, shown
from ..messages.jobs import Attribution, JobRecord, JobSpec, Seconds
from ..messages.mail import Queue
from ..rules.codec import decode
from ..rules.new_jobs import KEPT_OPTIONS, JobChecks
from .query import read_path

if TYPE_CHECKING:
    from ..broker.turn_context import TurnContext


class CopySpec(NamedTuple):
    """The differences of a copy from its original. `changes` are values by their places in its data."""

    changes: Mapping[str, Any]
    id: str | None
    delay: Seconds | timedelta | None
    at: datetime | None


def queue_copy(
    context: TurnContext, job_id: str, how: CopySpec, checks: JobChecks, who: Attribution
) -> tuple[JobRecord, bool]:
    """Queue a job like another one, which waits for the same jobs. Returns (job, whether it is new)."""
    # Imported only here: a preview of a copy needs no part of a turn.
    from ..broker import jobs

    job = context.known(job_id)
    spec = JobSpec(
        name=job.name,
        data=changed(decode(job.data), how.changes),
        id=how.id,
        delay=how.delay,
        at=how.at,
        **{option: getattr(job, kept.column) for option, kept in KEPT_OPTIONS.items()},
    )
    # Parents decide the fate of the copy, too: where retention has removed one, there is no copy.
    parents = () if context.turn.links is None else context.turn.links.parents_of(job)
    (queued,) = jobs.queue(context, Queue((checks.spec(spec)._replace(parents=parents),), None, who))
    return queued


def changed(data: Any, changes: Mapping[str, Any]) -> Any:
    """Data with other values at some places.

    Args:
        changes: by place, as `user.id` or `items[0]`. A key that an object lacks is added to it.

    Raises:
        UsageError: a place cannot be read, or is not there.
    """
    root = {"data": copy.deepcopy(data)}
    for text, value in changes.items():
        place: Any = root
        *before, last = path = ("data", *read_path(text))
        for depth, step in enumerate(before, 1):
            place = _inner(place, step, path[:depth])
        _check_place(place, last, path)
        place[last] = value
    return root["data"]


def _inner(place: Any, step: str | int, path: Sequence[str | int]) -> Any:
    if isinstance(place, dict) and step not in place:
        raise UsageError(f"expected data with something at {_written(path)}, got: nothing there")
    _check_place(place, step, path)
    return place[step]


def _check_place(place: Any, step: str | int, path: Sequence[str | int]) -> None:
    if isinstance(step, str) and isinstance(place, dict):
        return
    if isinstance(step, int) and isinstance(place, list) and step < len(place):
        return
    wanted = "an object" if isinstance(step, str) else f"a list of more than {step}"
    raise UsageError(f"expected data with {wanted} at {_written(path[:-1])}, got: {shown(place)}")


def _written(path: Sequence[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
