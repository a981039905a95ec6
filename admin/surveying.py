"""Gathers what is known of a job's surroundings, from a snapshot of its store and from who works on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..messages.boots import BootRecord
from ..messages.jobs import Instant, JobRecord, JobState
from ..messages.views import RuntimeView
from ..stores.ports import StoreSnapshot
from .wait_context import SeenBoot, WaitContext

AWAITED_NAMED = 3
"""So many jobs are named that another waits for."""

AHEAD_COUNTED_MAX = 10_000
"""So many jobs before another are counted; more are said to be more."""


def seen_boots(
    records: Sequence[BootRecord],
    is_alive: Callable[[str], bool | None],
    view_of: Callable[[BootRecord], RuntimeView | str],
) -> Sequence[SeenBoot]:
    """The boots on a store.

    Args:
        is_alive: whether a boot lives; None where nobody can know.
        view_of: what a living one says of itself, or why it says nothing.
    """
    seen = []
    for record in records:
        alive = is_alive(record.boot)
        said = "it is dead" if alive is False else view_of(record)
        if isinstance(said, str):
            seen.append(SeenBoot(record=record, is_alive=alive, unheard=said))
        else:
            seen.append(SeenBoot(record=record, is_alive=alive, view=said))
    return seen


def wait_context_of(
    job: JobRecord,
    seen: StoreSnapshot,
    boots: Sequence[SeenBoot],
    *,
    now: Instant,
    store: str,
    is_handled_elsewhere: bool = False,
    lock_holder: int | None = None,
    counted_max: int = AHEAD_COUNTED_MAX,
) -> WaitContext:
    """A job with its surroundings.

    Args:
        store: its address.
        is_handled_elsewhere, lock_holder: as `WaitContext` has them.
        counted_max: so many jobs before it are counted.
    """
    is_queued, table = job.state == JobState.QUEUED, seen.table
    return WaitContext(
        job=job,
        now=now,
        store=store,
        boots=boots,
        has_all_boots=table is not None,
        pause=next((one for one in seen.jobs.pauses() if one.name == job.name), None) if is_queued else None,
        before=table.before(job, now, counted_max) if is_queued and table is not None else None,
        awaited=table.awaited(job.no, AWAITED_NAMED) if is_queued and job.is_linked and table is not None else None,
        is_handled_elsewhere=is_handled_elsewhere,
        lock_holder=lock_holder,
    )
