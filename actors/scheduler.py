"""Sends a tick for every slot that is due.

Owns: what it knows of each active schedule, and the ticks that are not stored yet. Hears: Wake, Ticked,
ScheduleChanged, Report. Tells: Tick.

It decides from the instant up to which slots are accounted for, never from now: so waking early, late or twice, after a
crash or a step of the clock, changes nothing. The broker stores a tick only if that instant is still the store's.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, cast

from ..cron import Rule, parse_when
from ..errors import StoreUnavailable, UsageError
from ..messages.jobs import Instant
from ..messages.mail import Mail, Report, ScheduleChanged, Tick, Ticked, Wake
from ..messages.schedules import ScheduleRecord
from ..slots import CatchUp, account
from ..stores.base import Store
from .base import ActorContext, RuntimeActor

TICK_SECONDS_MAX = 10.0
"""A tick that is not answered by then is sent again; it changes nothing the second time."""

REMEMBERED_SECONDS = 86400.0
"""A schedule that has no slot for so long is accounted for nevertheless, or retention would take it for abandoned."""

RELOAD_SECONDS_MIN = 1.0
"""Durable schedules are read again at most this often."""


@dataclass(slots=True)
class Active:
    """A schedule and its parsed rule.

    Attributes:
        sent_at: since when a tick of it is on its way.
        due: when to look at it next.
    """

    record: ScheduleRecord
    rule: Rule
    sent_at: float | None = None
    due: Instant = 0.0


class SchedulerActor(RuntimeActor):
    """See the module."""

    def __init__(
        self, context: ActorContext, incarnation: int, *, store: Store, declared: Callable[[], Collection[str]]
    ) -> None:
        super().__init__(context, "scheduler", incarnation)
        self._store = store
        self._declared = declared
        self._active: dict[str, Active] = {}
        # A heap, so that a wake costs what is due, not what there is. What `Active.due` contradicts is passed over.
        self._waiting: list[tuple[Instant, int, str]] = []
        self._order = count()
        self._unusable: dict[str, Any] = {}
        self._timer: Any = None
        self._reload_timer: Any = None
        self._reload_due = 0.0

    def on_start(self) -> None:
        """Runs on the actor's thread: know again what the predecessor knew."""
        self._reload()
        self._look(self._active)

    def receive(self, mail: Mail) -> None:
        match mail.body:
            case Wake(reload=False):
                self._look()
            case Wake():
                self._look(self._active if self._reload_soon() else ())
            case Ticked(schedule_id=schedule_id, accounted_to=accounted_to):
                active = self._active.get(schedule_id)
                if active is not None:
                    active.record = replace(active.record, accounted_to=accounted_to)
                    active.sent_at = None
                self._look([schedule_id])
            case ScheduleChanged(schedule_id=schedule_id, record=record):
                self._changed(schedule_id, record, self._declared())
                self._look([schedule_id])
            case Report():
                for active in self._active.values():
                    active.sent_at = None
                self._reload()
                self._look(self._active)
            case other:
                raise TypeError(f"the SchedulerActor does not hear {type(other).__name__}")

    def _changed(self, schedule_id: str, record: ScheduleRecord | None, declared: Collection[str]) -> None:
        if record is None or not (record.durable or schedule_id in declared):
            self._active.pop(schedule_id, None)
            return
        known = self._active.get(schedule_id)
        if known is not None and known.record.definition == record.definition:
            known.record = record
            known.sent_at = None
            return
        try:
            rule = parse_when(record.when, timezone=record.timezone, dst_gap=record.dst_gap, dst_fold=record.dst_fold)
        except UsageError as error:
            # A zone that this system does not know, or a rule of a newer version: it alone rests, and is said once.
            self._active.pop(schedule_id, None)
            if self._unusable.get(schedule_id) != record.definition:
                self._unusable[schedule_id] = record.definition
                self.say("schedule.unusable", schedule=schedule_id, job_name=record.name, reason=str(error))
            return
        self._active[schedule_id] = Active(record, rule)

    def _reload_soon(self) -> bool:
        """Read the schedules again, now or a little later. Whether it was now."""
        wait = self._reload_due - self.context.clock.monotonic()
        if wait <= 0.0:
            self._reload()
            return True
        if self._reload_timer is None:
            self._reload_timer = self.context.clock.after(wait, lambda: self._tell_self(Wake(reload=True)))
        return False

    def _reload(self) -> None:
        self._reload_timer = None
        self._reload_due = self.context.clock.monotonic() + RELOAD_SECONDS_MIN
        try:
            stored = {record.id: record for record in self._store.schedules()}
        except StoreUnavailable:
            self._reload_timer = self.context.clock.after(
                RELOAD_SECONDS_MIN, lambda: self._tell_self(Wake(reload=True))
            )
            return
        declared = self._declared()
        for schedule_id in dict.fromkeys([*self._active, *stored]):
            active = self._active.get(schedule_id)
            if active is None or active.sent_at is None:
                self._changed(schedule_id, stored.get(schedule_id), declared)

    def _look(self, changed: Iterable[str] = ()) -> None:
        """Send what is due, among what has changed and what time has come for, and be woken for the next."""
        for schedule_id in changed:
            if schedule_id in self._active:
                self._consider(schedule_id, self._active[schedule_id])
        now = self.context.clock.now()
        while self._waiting and self._waiting[0][0] <= now:
            entry = heapq.heappop(self._waiting)
            if self._is_current(entry):
                # So that it comes back, whatever the clock says by now.
                self._active[entry[2]].due = 0.0
                self._consider(entry[2], self._active[entry[2]])
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        while self._waiting and not self._is_current(self._waiting[0]):
            heapq.heappop(self._waiting)
        if self._waiting:
            self._timer = self.context.clock.at(self._waiting[0][0], lambda: self._tell_self(Wake()))

    def _is_current(self, entry: tuple[Instant, int, str]) -> bool:
        active = self._active.get(entry[2])
        return active is not None and active.due == entry[0]

    def _consider(self, schedule_id: str, active: Active) -> None:
        """Send a tick if there is something to account for, and know when to look again."""
        due = self._next_look(active)
        if due != active.due:
            active.due = due
            heapq.heappush(self._waiting, (due, next(self._order), schedule_id))

    def _next_look(self, active: Active) -> Instant:
        now, ages, record = self.context.clock.now(), self.context.clock.monotonic(), active.record
        if active.sent_at is not None and ages - active.sent_at < TICK_SECONDS_MAX:
            return now + TICK_SECONDS_MAX
        accounting = account(
            active.rule,
            accounted_to=record.accounted_to,
            now=now,
            catch_up=cast(CatchUp, record.catch_up),
            catch_up_window=record.catch_up_window,
            catch_up_max=record.catch_up_max,
            late_seconds=self.context.limits.late_seconds,
        )
        # Without a slot for a day, say so all the same: what is not accounted for long enough is forgotten.
        remember_at = record.accounted_to + REMEMBERED_SECONDS
        if accounting.fires or accounting.skipped or remember_at < now:
            active.sent_at = ages
            self.tell("broker", Tick(schedule=record, since=record.accounted_to, accounting=accounting))
            return now + TICK_SECONDS_MAX
        due = active.rule.after(max(now, record.accounted_to))
        return remember_at + 1.0 if due is None else min(due.slot, remember_at + 1.0)

    def _tell_self(self, body: Any) -> None:
        self.context.post.tell(self.name, body)
