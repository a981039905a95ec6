"""Waiting until a runtime on real threads has nothing to do."""

from __future__ import annotations

import threading
from typing import Any

from ..actors.scheduler_actor import SchedulerActor
from ..api.runtime import Runtime
from ..environment.clock import SystemClock
from ..log.emitter import Subscription
from ..messages.jobs import JobState, Seconds
from ..messages.names import paused_at
from ..messages.queries import JobQuery
from ..rules.capabilities import needed

LOOK_SECONDS = 0.02
"""How often the runtime is looked at between events, because a mailbox that becomes empty causes none."""

LOOKS_MIN = 2
"""A message may be between its mailbox and its actor; so an empty mailbox is believed at the second look."""

JOBS_SHOWN_MAX = 10
OPEN_JOBS_MAX = 10_000


class _WakeOnEvent(Subscription):
    """A subscription whose events are not kept: each of them is a reason to look again."""

    def __init__(self, rung: threading.Event, waiting: Any) -> None:
        super().__init__(lambda event: None, None, waiting)
        self._rung = rung

    def offer(self, event: dict[str, Any], waiting_max: int) -> None:
        self._rung.set()


def drain(runtime: Runtime, timeout: Seconds = 30.0) -> None:
    """Wait until nothing that is due waits or runs. Jobs that wait for their time, their retry, other jobs or a handler
    are left alone.

    Args:
        runtime: a started one, on real threads. `Inline` and `Simulation` have their own.
        timeout: seconds of real time, whatever clock the runtime has.

    Raises:
        TimeoutError: something still waits or runs; it says what.
    """
    boot = runtime.current_boot.get()
    rung, clock = threading.Event(), SystemClock()
    bell = _WakeOnEvent(rung, boot.environment.mailbox())
    give_up_at = clock.monotonic() + timeout
    looks = 0
    boot.log.subscribe(bell)
    try:
        while looks < LOOKS_MIN:
            rung.clear()
            waiting = open_jobs(runtime)
            looks = looks + 1 if not waiting and is_idle(runtime) else 0
            remaining = give_up_at - clock.monotonic()
            if remaining <= 0 and looks == 0:
                raise TimeoutError(f"after {timeout:g} s these still wait or run: {', '.join(waiting) or 'messages'}")
            if looks < LOOKS_MIN:
                rung.wait(max(0.0, min(remaining, LOOK_SECONDS)))
    finally:
        # An application's subscriptions last as long as its runtime, so the log has no way to end one.
        if bell in boot.log._subscriptions:
            boot.log._subscriptions.remove(bell)


def is_idle(runtime: Runtime) -> bool:
    """Whether every actor of a runtime has handled all that it was told, and every tick that was sent is stored."""
    boot = runtime.current_boot.get()
    scheduler = boot.post.find("scheduler")
    if isinstance(scheduler, SchedulerActor):
        # A SchedulerActor that has not read its schedules is still being started.
        is_settled = scheduler._reload_due > 0.0 and not scheduler._sent
    else:
        is_settled = not boot.share.works
    actors = [boot.post.find(name) for name in boot.post.names()]
    return is_settled and not any(
        len(actor.mailbox) or actor.busy_since is not None for actor in actors if actor is not None
    )


def open_jobs(runtime: Runtime) -> list[str]:
    """Jobs that are due and wait, or run, as far as somebody here handles it and nobody has paused it."""
    boot = runtime.current_boot.get()
    now = boot.clock.now()
    paused = paused_at(boot.store.jobs.pauses(), now)
    names = {name for name in boot.share.names() if boot.share.handlers(name)} - paused.keys()
    table = needed(boot.store.table, "list")
    running = table.find(JobQuery(states=(JobState.RUNNING,)), limit=OPEN_JOBS_MAX).jobs
    queued = table.find(JobQuery(states=(JobState.QUEUED,)), limit=OPEN_JOBS_MAX).jobs
    found = [
        *(job for job in running if not job.deferred),
        *(job for job in queued if job.run_at <= now and job.name in names and not job.is_linked),
    ]
    shown = [f"{job.id} ({job.name}, {job.state})" for job in found[:JOBS_SHOWN_MAX]]
    return [*shown, f"and {len(found) - JOBS_SHOWN_MAX} more"] if len(found) > JOBS_SHOWN_MAX else shown
