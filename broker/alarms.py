"""Alarms that wake the broker when time has made something due, one for each kind of thing; and retention, which
removes jobs that ended long ago and slots that nobody needs, a batch a turn. The commit of an application's own
transaction sends no message, so the broker polls for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..environment.clock import Clock, Timer
from ..messages.jobs import Instant, JobRecord, Seconds
from ..messages.mail import CheckDue, Housekeep, WatchExternalCommit
from ..messages.schedules import HostChange
from ..stores.ports import Store
from .outbox import Outbox
from .state import BrokerState
from .turn_context import TurnContext

LOOK_SECONDS_MIN, LOOK_SECONDS_MAX = 0.005, 0.25
"""Polling interval for rows of an open host transaction, backing off from the first to the second."""


@dataclass(eq=False)
class Alarms:
    """Timers by kind: setting an alarm replaces the earlier one of its kind. `wake` runs on the clock's thread."""

    clock: Clock
    wake: Callable[[Any], object]
    is_over: Callable[[], bool]
    polls: bool = False
    unheard: bool = False
    _timers: dict[str, Timer] = field(default_factory=dict)
    _instant: Instant | None = None
    _polling: int = 0

    def after(self, key: str, seconds: Seconds, body: Any) -> None:
        self._cancel(key)
        self._timers[key] = self.clock.after(seconds, partial(self.wake, body))

    def at(self, instant: Instant, body: Any) -> None:
        if self._instant == instant and instant > self.clock.now():
            return
        self._cancel("at")
        self._instant = instant
        self._timers["at"] = self.clock.at(instant, partial(self.wake, body))

    def poll(self, seconds: Seconds, body: Any, *, wanted: bool) -> None:
        """Wake every `seconds` while `wanted`. No second poll is sent before the reader of the first has set `unheard`
        to false.
        """
        self.unheard = False
        if wanted == self.polls:
            return
        self.polls = wanted
        self._polling += 1
        if wanted:
            self.clock.after(seconds, partial(self._poll, self._polling, seconds, body))

    def _poll(self, polling: int, seconds: Seconds, body: Any) -> None:
        # Set again here and not in a turn, so that the clock knows its next call before it waits: an idle second has
        # two wake-ups, one of the clock and one of the broker.
        if polling == self._polling and not self.is_over():
            self.clock.after(seconds, partial(self._poll, polling, seconds, body))
            if not self.unheard:
                self.unheard = True
                self.wake(body)

    def _cancel(self, key: str) -> None:
        known = self._timers.get(key)
        if known is not None:
            known.cancel()


SLOTS_SECONDS = 3600.0
"""Interval between prunings of slots, which are kept for days."""

PRUNED_ROWS_MAX = 500


@dataclass(eq=False)
class Retention:
    """Sets an alarm for each next `Housekeep`. A new broker's first one prunes the slots too."""

    state: BrokerState
    alarms: Alarms
    _slots_due: Seconds = 0.0

    def put_off(self) -> None:
        self._wake_after(self._retention_step())

    def prune(self, context: TurnContext) -> None:
        """Remove a batch. While there is more, the next follows at once."""
        limits, now = self.state.limits, context.turn.now
        with_slots = self._slots_due <= self.state.monotonic()
        rows = context.turn.prune(
            done_before=now - limits.keep_done_seconds,
            dead_before=now - limits.keep_dead_seconds,
            slots_before=now if with_slots else None,
            batch=PRUNED_ROWS_MAX,
        )
        if rows:
            context.say("retention.pruned", rows=rows)
        if with_slots and rows < PRUNED_ROWS_MAX:
            context.out.slots_are_pruned = True
        context.out.housekeep_after = 0.0 if rows >= PRUNED_ROWS_MAX else self._retention_step()

    def take(self, out: Outbox) -> None:
        if out.slots_are_pruned:
            self._slots_due = self.state.monotonic() + SLOTS_SECONDS
        self._wake_after(out.housekeep_after or 0.0)

    def _retention_step(self) -> Seconds:
        limits = self.state.limits
        return max(1.0, min(300.0, limits.keep_done_seconds / 4, limits.keep_dead_seconds / 4))

    def _wake_after(self, seconds: Seconds) -> None:
        self.alarms.after("retention", seconds, Housekeep())


@dataclass(eq=False)
class ExternalCommitWatch:
    """Polls for each expected row until it appears or is given up. Hosts' threads add to `expected`."""

    expected: dict[tuple[bool, str], WatchExternalCommit]
    store: Store
    alarms: Alarms
    _wait: Seconds = LOOK_SECONDS_MIN

    def add(self, expect: WatchExternalCommit) -> None:
        """Watch one more, and reset the back-off."""
        self.expected[expect.key] = expect
        self._wait = LOOK_SECONDS_MIN

    def look(self, monotonic: Seconds) -> None:
        """Poll, and schedule the next poll while one is missing. A change of a schedule that has appeared wakes once
        more: a turn then applies it, if none has. Raises as `Store` does.
        """
        if not self.expected:
            return
        expected = dict(self.expected)
        job_ids = [one.id for one in expected.values() if one.change is None]
        known = self.store.jobs.known(job_ids) if job_ids else {}
        for key, one in expected.items():
            there = _is_there(one, known.get(one.id)) if one.change is None else self._holds(one.change)
            if (there or one.give_up_at <= monotonic) and self.expected.get(key) is one:
                del self.expected[key]
        if self.expected or any(one.change is not None for one in expected.values()):
            self.alarms.after("expect", self._wait, CheckDue())
            self._wait = min(LOOK_SECONDS_MAX, self._wait * 1.2)

    def _holds(self, change: HostChange) -> bool:
        """Whether the stored schedule is as the change makes it."""
        stored = self.store.schedules.one(change.schedule_id)
        if stored is None or change.record is None:
            return stored is change.record
        return stored.definition == change.record.definition


def _is_there(expect: WatchExternalCommit, job: JobRecord | None) -> bool:
    return job is not None and job.move_no >= expect.move_no and expect.state in (None, job.state)
