"""The facts about a job and its surroundings at one instant, and the sentences that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ..messages.boots import BootRecord
from ..messages.jobs import Instant, JobRecord, JobState, Seconds
from ..messages.names import PauseRecord
from ..messages.views import ActorView, RuntimeView
from ..stores.ports import DependencyStatus, QueuePosition, StoreSnapshot
from .control_client import Condition

AWAITED_NAMED = 3
"""The most jobs named that another waits for."""

AHEAD_COUNTED_MAX = 10_000
"""The most jobs counted before another."""


def seen_boots(
    records: Sequence[BootRecord],
    is_alive: Callable[[str], bool | None],
    view_of: Callable[[BootRecord], RuntimeView | str],
) -> Sequence[SeenBoot]:
    """The boots on a store.

    Args:
        is_alive: whether a boot lives; None where that cannot be known.
        view_of: the view of a living one, or why it sends none.
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
        awaited=table.awaited(job.no, AWAITED_NAMED) if is_queued and job.is_linked and table is not None else None,
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


Defect = Literal["restarting", "halted", "quarantined"]

DEFECTS = get_args(Defect)
"""The reason that is fixed most easily comes first."""

BROKER = "broker"


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
class SeenBoot:
    """A boot on the store.

    Attributes:
        is_alive: None where that cannot be known.
        view: its own view; None where it was not asked, or has not answered.
        unheard: why there is no view.
        condition: how it looks from outside.
        silent_since: since when it has not answered; None if it has, or was not asked.
    """

    record: BootRecord
    is_alive: bool | None
    view: RuntimeView | None = None
    unheard: str = "it was not asked"
    condition: Condition = "unknown"
    silent_since: Instant | None = None

    @property
    def words(self) -> str:
        """Its name in a sentence."""
        return f"boot {self.record.boot} (pid {self.record.pid} on {self.record.host})"

    @property
    def is_quiet(self) -> bool:
        """Whether somebody has made it quiet, by its view."""
        return self.view is not None and self.view.quiet is not None

    @property
    def stops(self) -> bool:
        return self.record.stopping or (self.view is not None and self.view.is_draining)

    @property
    def broker_busy(self) -> Seconds:
        """For how long its broker has been at one message, by its view."""
        broker = self._actor(BROKER)
        return 0.0 if broker is None else broker.busy_seconds or 0.0

    def defect(self, name: str) -> Defect | None:
        """Why it takes no jobs of a name that it has handlers for, by its view."""
        actors = [actor for actor in map(self._actor, (BROKER, f"handler:{name}")) if actor is not None]
        if any(actor.status == "quarantined" for actor in actors):
            return "quarantined"
        if any(actor.status == "waiting" for actor in actors):
            return "restarting"
        return "halted" if any(actor.is_halted for actor in actors) else None

    def crash_of(self, name: str) -> str | None:
        """Its dead parts that took jobs of a name, and why they died."""
        actors = [actor for actor in map(self._actor, (BROKER, f"handler:{name}")) if actor is not None]
        return next((actor.last_crash for actor in actors if actor.status in ("quarantined", "waiting")), None)

    def _actor(self, name: str) -> ActorView | None:
        actors = () if self.view is None else self.view.actors
        return next((one for one in actors if one.name == name), None)


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
    boots: Sequence[SeenBoot]
    has_all_boots: bool = True
    pause: PauseRecord | None = None
    before: QueuePosition | None = None
    awaited: DependencyStatus | None = None
    is_handled_elsewhere: bool = False
    lock_holder: int | None = None
