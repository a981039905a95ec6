"""Sends a tick for every slot that is due.

Owns: its copy of each active schedule, and the unanswered ticks. Hears: Wake, Ticked, SchedulesChanged, Resync.
Tells: Tick.

It decides from the instant up to which slots are accounted for, never from now: so waking early, late or twice, after a
crash or a step of the clock, changes nothing. The broker stores a tick only if the schedule is still as it is here.
"""

from __future__ import annotations

import heapq
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ..cron.schedule import account, rule_of
from ..errors import StoreError, StoreUnavailable, UsageError
from ..messages.jobs import Instant, Seconds
from ..messages.mail import Declare, Mail, Resync, SchedulesChanged, Tick, Ticked, Wake
from ..messages.schedules import CatchUp, ScheduleRecord
from .base import ActorContext, RuntimeActor

if TYPE_CHECKING:
    from ..cron.when import Rule

TICK_SECONDS_MAX = 10.0
"""An unanswered tick is sent again after this; a repeated tick changes nothing."""

REMEMBERED_SECONDS = 86400.0
"""A schedule without a slot for so long is accounted for all the same, or retention would consider it abandoned."""

RELOAD_SECONDS_MIN = 1.0
"""The shortest interval between two reads of other processes' changes."""

EARLY_SECONDS = 0.001
"""Tolerance for rounding of floats, which must not delay a reload for ever."""

RELOADED_MAX = 500
STALE_ENTRIES_MIN = 1_000
"""Fewer stale heap entries than this are not worth clearing."""

AT_ONCE: Instant = 0.0


@dataclass(slots=True)
class Active:
    """The facts that a schedule's slots need, and no more: there may be very many schedules. `due` is the next instant
    to examine it; `AT_ONCE` from when it has changed until it is examined. `is_given_up`: another runtime may have
    ceased to declare it, so that it would count as new if this one did not account for it before it stops.
    """

    rule: Rule
    catch_up: CatchUp
    catch_up_window: Seconds
    catch_up_max: int
    accounted_to: Instant
    change_no: int
    is_given_up: bool = False
    due: Instant = math.inf


class SchedulerActor(RuntimeActor):
    def __init__(
        self,
        context: ActorContext,
        incarnation: int,
        *,
        boot: str,
        declared: Callable[[str], ScheduleRecord | None],
        may_tick: Callable[[], bool],
    ) -> None:
        super().__init__(context, "scheduler", incarnation)
        self._store = context.store
        self._declared = declared
        self._may_tick = may_tick
        self._active: dict[str, Active] = {}
        # A heap, so that a wake's cost depends on the due schedules only. Entries that `Active.due` contradicts are
        # skipped.
        self._waiting: list[tuple[Instant, str]] = []
        # Unanswered ticks, oldest first: since when (monotonic).
        self._sent: dict[str, Seconds] = {}
        self._unusable: dict[str, Any] = {}
        self._seen = 0
        self._alarm: tuple[Instant, Any] | None = None
        self._reload_timer: Any = None
        self._reload_due = 0.0
        self._boot = boot

    def on_start(self) -> None:
        """Load what the predecessor knew."""
        if self._may_tick():
            self._reload()
            self._look()

    def receive(self, mail: Mail) -> None:
        if not self._may_tick():
            # The stored schedule may be an older release's, until this one's is stored and a Wake announces it.
            return
        match mail.body:
            case Wake(reload=False):
                self._alarm = None
            case Wake():
                self._reload_soon()
                self._touch_all(self._sent)
            case Ticked(accounts=accounts):
                for schedule_id, accounted_to, change_no in accounts:
                    self._account(schedule_id, accounted_to, change_no)
            case SchedulesChanged(records=records, gone=gone):
                for schedule_id in gone:
                    self._forget_unless_declared(schedule_id)
                for record in records:
                    self._know(record)
            case Resync(boot=boot):
                self._be_of(boot)
                sent, self._sent = self._sent, {}
                self._touch_all(sent)
                self._reload()
            case other:
                raise TypeError(f"the SchedulerActor does not hear {type(other).__name__}")
        self._look()

    def _be_of(self, boot: str) -> None:
        """Drop everything for another boot, whose store may be an older one."""
        if self._boot != boot:
            self._active.clear()
            self._sent.clear()
            self._seen = 0
        self._boot = boot

    def _know(self, record: ScheduleRecord) -> None:
        """Take over a schedule, unless a newer version of it is known."""
        if not (record.durable or self._is_declared(record.id)):
            self._forget(record.id)
            return
        known = self._active.get(record.id)
        if known is not None and known.change_no >= record.change_no:
            return
        try:
            rule = rule_of(record)
        except UsageError as error:
            # An unknown zone, or a rule of a newer version: only this schedule rests, and it is logged once.
            self._forget(record.id)
            if self._unusable.get(record.id) != record.definition:
                self._unusable[record.id] = record.definition
                self.say("schedule.unusable", schedule=record.id, job_name=record.name, reason=str(error))
            return
        self._active[record.id] = Active(
            rule=rule,
            catch_up=cast(CatchUp, sys.intern(record.catch_up)),
            catch_up_window=record.catch_up_window,
            catch_up_max=record.catch_up_max,
            accounted_to=record.accounted_to,
            change_no=record.change_no,
            is_given_up=known is not None and known.accounted_to == record.accounted_to,
        )
        self._sent.pop(record.id, None)
        self._touch(record.id)

    def _account(self, schedule_id: str, accounted_to: Instant, change_no: int) -> None:
        active = self._active.get(schedule_id)
        # An older number belongs to a tick that was sent before something else changed the schedule.
        if active is not None and change_no > active.change_no:
            active.accounted_to, active.change_no, active.is_given_up = accounted_to, change_no, False
            self._sent.pop(schedule_id, None)
            self._touch(schedule_id)

    def _forget_unless_declared(self, schedule_id: str) -> None:
        """This runtime no longer declares the schedule. If another does, its slots may be fired here."""
        self._forget(schedule_id)
        if not self._is_declared(schedule_id):
            return
        try:
            record = self._store.schedules.one(schedule_id)
        except (StoreUnavailable, StoreError):
            self.later(RELOAD_SECONDS_MIN, SchedulesChanged(gone=(schedule_id,)))
            return
        if record is not None:
            self._know(record)
        elif (declared := self._declared(schedule_id)) is not None:
            # No slot could be accounted for so long that retention has removed it. It counts from now.
            self.tell("broker", Declare((declared,), reply=None))

    def _is_declared(self, schedule_id: str) -> bool:
        """Here, or by a peer that the store lists."""
        peers = self._store.peers
        return self._declared(schedule_id) is not None or (peers is not None and peers.is_declared(schedule_id))

    def _forget(self, schedule_id: str) -> None:
        self._active.pop(schedule_id, None)
        self._sent.pop(schedule_id, None)

    def _reload_soon(self) -> None:
        """Read other processes' changes, now or a little later."""
        wait = self._reload_due - self.context.clock.monotonic()
        if wait <= EARLY_SECONDS:
            self._reload()
        elif self._reload_timer is None:
            self._reload_timer = self.later(wait, Wake(reload=True))

    def _reload(self) -> None:
        """Read changes since the last time. A removed schedule is noticed when its next tick is refused."""
        self._reload_timer = None
        self._reload_due = self.context.clock.monotonic() + RELOAD_SECONDS_MIN
        try:
            while changed := self._store.schedules.changed(self._seen, RELOADED_MAX):
                for record in changed:
                    self._know(record)
                self._seen = changed[-1].change_no
        except (StoreUnavailable, StoreError):
            self._reload_timer = self.later(RELOAD_SECONDS_MIN, Wake(reload=True))

    def _touch(self, schedule_id: str) -> None:
        active = self._active.get(schedule_id)
        if active is not None and active.due != AT_ONCE:
            self._look_at(schedule_id, active, AT_ONCE)

    def _touch_all(self, ids: Iterable[str]) -> None:
        for schedule_id in ids:
            self._touch(schedule_id)

    def _look_at(self, schedule_id: str, active: Active, due: Instant) -> None:
        active.due = due
        heapq.heappush(self._waiting, (due, schedule_id))

    def _look(self) -> None:
        """Send due ticks, as far as the broker keeps up, and set the alarm for the next."""
        now, age = self.context.clock.now(), self.context.clock.monotonic()
        while self._waiting and self._waiting[0][0] <= now and self._may_send(age):
            due, schedule_id = heapq.heappop(self._waiting)
            active = self._active.get(schedule_id)
            if active is not None and active.due == due:
                self._look_at(schedule_id, active, self._consider(schedule_id, active, now, age))
        self._clear_stale()
        self._set_alarm(now)

    def _may_send(self, age: Seconds) -> bool:
        """Whether the broker has answered most ticks. Ticks older than `TICK_SECONDS_MAX` count as refused."""
        while self._sent and age - next(iter(self._sent.values())) >= TICK_SECONDS_MAX:
            del self._sent[next(iter(self._sent))]
        return len(self._sent) < self.context.limits.turn_messages_max

    def _consider(self, schedule_id: str, active: Active, now: Instant, age: Seconds) -> Instant:
        """Send a tick if there is something to account for. Return when to look again."""
        if schedule_id in self._sent:
            return now + TICK_SECONDS_MAX
        accounting = account(
            active.rule,
            accounted_to=active.accounted_to,
            now=now,
            catch_up=active.catch_up,
            catch_up_window=active.catch_up_window,
            catch_up_max=active.catch_up_max,
            late_seconds=self.context.limits.late_seconds,
        )
        # Account for a day without a slot too: a schedule unaccounted for long enough is forgotten.
        remember_at = active.accounted_to + REMEMBERED_SECONDS
        if accounting.fires or accounting.skipped or active.is_given_up or remember_at < now:
            self._sent[schedule_id] = age
            self.tell("broker", Tick(schedule_id=schedule_id, change_no=active.change_no, accounting=accounting))
            return now + TICK_SECONDS_MAX
        due = active.rule.after(max(now, active.accounted_to))
        return remember_at + 1.0 if due is None else min(due.slot, remember_at + 1.0)

    def _clear_stale(self) -> None:
        """Drop stale entries: those at the top, and all of them once they are the majority."""
        if len(self._waiting) > 2 * len(self._active) + STALE_ENTRIES_MIN:
            self._waiting = [(active.due, schedule_id) for schedule_id, active in self._active.items()]
            heapq.heapify(self._waiting)
        while self._waiting:
            due, schedule_id = self._waiting[0]
            active = self._active.get(schedule_id)
            if active is not None and active.due == due:
                return
            heapq.heappop(self._waiting)

    def _set_alarm(self, now: Instant) -> None:
        due = self._waiting[0][0] if self._waiting else None
        if due is not None and due <= now:
            due = now + TICK_SECONDS_MAX
        if self._alarm is not None:
            if self._alarm[0] == due:
                return
            self._alarm[1].cancel()
        self._alarm = None if due is None else (due, self.context.clock.at(due, lambda: self.tell_self(Wake())))
