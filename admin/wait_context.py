"""The facts about a job and its surroundings at one instant, and the sentences that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ..messages.jobs import Instant, JobRecord, JobState
from ..messages.names import PauseRecord
from ..stores.ports import DependencyStatus, QueuePosition, StoreSnapshot
from .control_client import BootView, Defect

AWAITED_NAMED = 3
"""The most jobs named that another waits for."""

AHEAD_COUNTED_MAX = 10_000
"""The most jobs counted before another."""


def wait_context_of(
    job: JobRecord,
    seen: StoreSnapshot,
    boots: Sequence[BootView],
    *,
    now: Instant,
    store: str,
    is_handled_elsewhere: bool = False,
    lock_holder: int | None = None,
    counted_max: int = AHEAD_COUNTED_MAX,
) -> WaitContext:
    """A job with its surroundings; the other arguments are as `WaitContext` has them, `counted_max` limits `before`."""
    is_queued, table = job.state == JobState.QUEUED, seen.table
    return WaitContext(
        job=job,
        now=now,
        store=store,
        boots=boots,
        has_all_boots=table is not None,
        pause=next((one for one in seen.jobs.pauses() if one.name == job.name), None) if is_queued else None,
        before=table.before(job, now, counted_max) if is_queued and table is not None else None,
        awaited=table.awaited(job.row_id, AWAITED_NAMED) if is_queued and job.is_linked and table is not None else None,
        is_handled_elsewhere=is_handled_elsewhere,
        lock_holder=lock_holder,
    )


Code = Literal[
    "expired",
    "waits_for",
    "not_due",
    "no_runtime",
    "store_locked",
    "quiet",
    "paused",
    "parked",
    "restarting",
    "halted",
    "quarantined",
    "untold",
    "solo",
    "suspect",
    "limit",
    "group",
    "rate",
    "lanes_full",
    "behind",
    "just_now",
    "unknown",
    "claimed",
    "old_lane",
    "running",
    "deferred",
    "orphaned",
    "done",
    "dead",
    "cancelled",
]
"""Why a queued job is not claimed, how far a running one has come, or how another has ended."""


DEFECTS = get_args(Defect)
"""The reason that is fixed most easily comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """One thing that keeps a job from running, or its fate.

    Attributes:
        code: for programs.
        sentence: for people, about the job as `it`.
        changes: what would change it; empty where nothing would, or need.
    """

    code: Code
    sentence: str
    changes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitContext:
    """A job, and the known facts about its surroundings at one instant.

    Attributes:
        store: its address.
        boots: those on the store, dead ones too; `has_all_boots` if there are no others.
        pause: the pause of its name, a limit over the store, or both.
        before: the jobs before it; None where the store cannot tell.
        awaited: the jobs that it waits for, if any.
        is_handled_elsewhere: whether a boot that is not among these is known to have handlers for its name.
        lock_holder: the process that has held the store's write lock for the whole look, if one has.
    """

    job: JobRecord
    now: Instant
    store: str
    boots: Sequence[BootView]
    has_all_boots: bool = True
    pause: PauseRecord | None = None
    before: QueuePosition | None = None
    awaited: DependencyStatus | None = None
    is_handled_elsewhere: bool = False
    lock_holder: int | None = None
