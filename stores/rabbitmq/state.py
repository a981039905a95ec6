"""This runtime's memory between turns: turns read and change it, and the store keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from ...cron.schedule import SLOT_SECONDS_KEPT_MIN, recounted
from ...environment.clock import Clock
from ...messages.boots import BootRecord
from ...messages.clock_steps import KnownClock
from ...messages.jobs import Instant
from ...messages.schedules import ScheduleRecord
from . import ledger_records as records
from .dead_jobs import Dead, DeadAtHand
from .deliveries import Deliveries
from .health_issues import HealthIssues
from .ledger_records import Record
from .recent import Remembered
from .shared_state import SharedState
from .turn_end import PendingCommit


class SharedTime:
    """The leader's time, continued by the next leader: the same in all runtimes, on their monotonic clocks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = clock.now() - clock.monotonic()
        self._told_by = ""

    def now(self) -> Instant:
        """Unix seconds by the clock of the first leader."""
        return self._clock.monotonic() + self._ahead

    def hear(self, epoch: str, at: Instant) -> None:
        """Take in the leader's time. Of one leader's messages, the fastest holds."""
        ahead = at - self._clock.monotonic()
        self._ahead = max(ahead, self._ahead) if epoch == self._told_by else ahead
        self._told_by = epoch


@dataclass(slots=True, kw_only=True, eq=False)
class RabbitState:
    """This runtime's memory between turns. The thread that takes turns changes it; other threads may read it.

    Attributes:
        runtime_id: its id in the ledger.
        results_name: the queue of results; None if there is none.
        declared: by schedule, what each new session declares again.
        own_boots: rows of its boots, as in a table of boots.
        acts_told: the ledger's acts that this runtime has logged.
        duplicates: deliveries that were copies of others.
        pending_commit: the turn whose outcome is unknown.
        time: measures expiries given in seconds.
        clock: the last turn's knowledge of wall time.
    """

    runtime_id: str
    shared: SharedState
    deliveries: Deliveries
    dead: Dead
    ailing: HealthIssues
    time: SharedTime
    memory: Remembered = field(default_factory=Remembered)
    results_name: str | None = None
    declared: dict[str, ScheduleRecord] = field(default_factory=dict)
    handled: list[str] = field(default_factory=list)
    own_boots: dict[str, BootRecord] = field(default_factory=dict)
    acts_told: set[str] = field(default_factory=set)
    duplicates: int = 0
    pending_commit: PendingCommit | None = None
    clock: KnownClock = field(default_factory=KnownClock)
    _numbers: count[int] = field(default_factory=lambda: count(1))

    @property
    def says_something(self) -> bool:
        return bool(self.declared or self.handled or self.own_boots)

    def next_overdue(self, now: Instant) -> Instant | None:
        """When the next claim of a returned handler is overdue, as wall time runs now."""
        deadline = min((held.deadline for held in self.deliveries.held if held.job.deferred), default=float("inf"))
        return None if deadline == float("inf") else now + deadline - self.time.now()

    def unsaid(self, now: Instant) -> list[Record]:
        """Facts about this runtime that the others lack: it may count as ended, or the ledger was deleted."""
        known = self.shared.runtimes.get(self.runtime_id, {})
        missing = [one for one in self.declared.values() if one.id not in known]
        unsaid: list[Record] = []
        for boot in self.own_boots.values() if self.runtime_id not in self.shared.boots else ():
            unsaid.append(records.is_boot(self.runtime_id, boot))
        if missing:
            gone = [one for one in missing if one.id not in self.shared.schedules]
            unsaid += [records.schedule_record(recounted(one, None, now, 0)) for one in gone]
            unsaid.append(records.declares(self.runtime_id, (one.id for one in missing)))
        if self.handled != self.shared.handled.get(self.runtime_id, []):
            unsaid.append(records.handles(self.runtime_id, self.handled))
        return unsaid

    def next_no(self) -> int:
        return next(self._numbers)

    def acts_to_tell(self, *, leads: bool) -> Sequence[BootRecord]:
        """Acts without a log, for this runtime to log, if it leads. Turn number 0: lost before it was confirmed."""
        acts = [act for name, act in list(self.shared.acts.items()) if act.is_over and name not in self.acts_told]
        told = [act.boot._replace(turn=int(act.became == "done")) for act in acts] if leads else []
        return sorted(told, key=lambda boot: boot.started_at)

    def give_up(self, found: DeadAtHand) -> None:
        """A turn is given up. If its outcome is unknown, the dead job stays with it until that is known."""
        if self.pending_commit is None:
            self.dead.end(found)

    def prune_slots(self, before: Instant) -> int:
        gone = 0
        for schedule_id in self.shared.slots:
            schedule = self.shared.schedules.get(schedule_id)
            window = 0.0 if schedule is None else schedule.catch_up_window
            gone += self.shared.slots.forget(schedule_id, before - max(window, SLOT_SECONDS_KEPT_MIN))
        return gone
