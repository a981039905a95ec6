"""The drain of a stop: running jobs may finish within a time; the log names the jobs that are waited for."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ..actors.base import ActorContext
from ..actors.handler_actor import HandlerActor
from ..broker.state import BrokerInputs
from ..errors import LamplighterError
from ..handlers.lane import Lane
from ..handlers.lanes import Lanes
from ..messages.jobs import Seconds
from ..messages.mail import Drain, Interrupt, ReleaseClaims
from ..rules.limits import BACKOFF_SECONDS_MAX
from .requests import Requests

SAID_AFTER_SECONDS = 1.0
"""A stop logs its remaining jobs after so long, and again whenever the wait has doubled."""

NAMED_JOBS_MAX = 10
"""How many jobs one line names."""

LOOK_SECONDS_MAX = 0.1
"""Polling interval for a signal handler's wishes: it can wake nobody."""

STORE_SECONDS_MAX = 0.5
"""So long after the drain a turn is still tried on an unwritable store. Service managers kill two seconds after the
drain, and the last turn waits for the write lock too.
"""

SETTLE_SECONDS_MAX = 5.0
"""How long storing the endings of interrupted jobs may take, from when there is a broker."""


@dataclass(eq=False)
class Draining:
    """The drain of one boot.

    Args:
        emptied: set whenever a HandlerActor holds nothing any more.
        is_awaited: whether a dead child is restarted after its back-off.
    """

    context: ActorContext
    lanes: Lanes
    inputs: BrokerInputs
    requests: Requests
    emptied: threading.Event
    is_awaited: Callable[[str], bool]
    _ends_at: Seconds = field(default=math.inf, init=False)
    _names: list[str] = field(default_factory=list, init=False)

    def shorten(self, seconds: Seconds) -> None:
        """End the drain within so many seconds. Any thread may call this, also before the drain."""
        self._ends_at = min(self._ends_at, self.context.clock.monotonic() + seconds)
        self.emptied.set()

    def run(self, seconds: Seconds, is_urged: Callable[[], bool]) -> None:
        """Let running jobs finish for so many seconds or until `is_urged`, and start no others."""
        self._names = [name for name in self.context.post.names() if name.startswith("handler:")]
        for name in self._names:
            self.context.post.tell(name, Drain())
        self.lanes.begin_stop()
        self.shorten(seconds)
        began = self.context.clock.monotonic()
        says_at = began + SAID_AFTER_SECONDS
        while True:
            # In this order: an event set after this line is seen by the looks below, or ends the next wait.
            self.emptied.clear()
            now = self.context.clock.monotonic()
            if self._holds_nothing() or now >= self._ends_at or is_urged():
                return
            if now >= says_at:
                self._say(self._ends_at - now)
                says_at = now + (now - began)
            self.emptied.wait(min(self._ends_at - now, says_at - now, LOOK_SECONDS_MAX))

    def interrupt(self) -> int:
        """Interrupt running jobs, wait until all endings are stored, and return the number of interrupted jobs.

        A broker in back-off is waited for, as long as one back-off lasts at most: a later one would take back jobs
        whose end a HandlerActor has seen, so that they ran in vain. An unwritable store is not waited for so long: the
        next start takes back what is not stored, as from a killed process.
        """
        self.inputs.gives_up_at = self.context.clock.monotonic() + STORE_SECONDS_MAX
        if self._holds_nothing():
            return 0
        interrupted = len(self._running())
        for name in self._names:
            self.context.post.tell(name, Interrupt(handler_id=None, reason="the runtime stopped"))
        began = had_none_at = self.context.clock.monotonic()
        while True:
            self.emptied.clear()
            now = self.context.clock.monotonic()
            if self.is_awaited("broker") and now - began < BACKOFF_SECONDS_MAX:
                had_none_at = now
            left = had_none_at + SETTLE_SECONDS_MAX - now
            if self._holds_nothing() or left <= 0 or self.requests.has_given_up:
                return interrupted
            self.emptied.wait(min(left, LOOK_SECONDS_MAX))

    def say_farewell(self) -> None:
        try:
            self.requests.ask(ReleaseClaims)
        except LamplighterError:
            # The store is unavailable. The next start finds a row without a process, and takes back its claims.
            reason = "the runtime could not give its jobs back as it stopped"
            self.context.log.emit("store.unavailable", store=self.context.store.address, reason=reason)

    def _holds_nothing(self) -> bool:
        actors = [self.context.post.find(name) for name in self._names]
        return all(not isinstance(actor, HandlerActor) or actor.holds_nothing for actor in actors)

    def _running(self) -> list[Lane]:
        return [lane for lane in self.lanes.open() if lane.abandoned_because is None]

    def _say(self, left: Seconds) -> None:
        jobs = [lane.claim.job for lane in self._running()]
        named = [f"{job.id} ({job.name})" for job in jobs[:NAMED_JOBS_MAX]]
        self.context.log.emit("runtime.draining", jobs=len(jobs), waits_for=named, left=round(left, 1))
