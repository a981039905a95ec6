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
    """A time that is the same in all living runtimes, whatever their clocks say: the leader tells it, and whoever leads
    next goes on from there. A runtime counts on by its own monotonic clock, which nobody sets.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = clock.now() - clock.monotonic()
        self._told_by = ""

    def now(self) -> Instant:
        """Unix seconds by the clock of the runtime that led first."""
        return self._clock.monotonic() + self._ahead

    def hear(self, epoch: str, at: Instant) -> None:
        """The leader has told the time. The message of one leader that was on its way for the least time holds."""
        ahead = at - self._clock.monotonic()
        self._ahead = max(ahead, self._ahead) if epoch == self._told_by else ahead
        self._told_by = epoch


@dataclass(slots=True, kw_only=True, eq=False)
class RabbitState:
    """This runtime's memory between turns. The thread that takes turns changes it; other threads may read it.

    Attributes:
        runtime_id: how the others in the ledger know this runtime.
        dead: the dead jobs.
        results_name: the queue in which it is told how its jobs have ended; None if there is none.
        declared: what is to be declared again in each session, by schedule.
        handled: the job names that it has said to have lanes for.
        own_boots: the rows that a boot of this runtime would have in a table of boots.
        acts_told: of the acts in the ledger, those that a turn of this runtime has told.
        duplicates: how many deliveries were copies of others.
        flight: the turn whose outcome is unknown.
        time: by which the seconds pass after which jobs expire.
        clock: what the last turn knew of wall time.
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
        """Whether the others are to know what this runtime does."""
        return bool(self.declared or self.handled or self.own_boots)

    def next_overdue(self, now: Instant) -> Instant | None:
        """When the next claim is overdue whose handler has returned, as wall time runs now."""
        deadline = min((held.deadline for held in self.deliveries.held if held.job.deferred), default=float("inf"))
        return None if deadline == float("inf") else now + deadline - self.time.now()

    def unsaid(self, now: Instant) -> list[Record]:
        """The facts about this runtime that the others do not know: they may have taken it for one that has ended, or
        somebody may have deleted the ledger.
        """
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
        """A number that no claim of this runtime has had."""
        return next(self._numbers)

    def acts_to_tell(self, *, leads: bool) -> Sequence[BootRecord]:
        """Those who have acted and have no log, whom this runtime is to tell of, if it leads. One whose turn is number
        0 was lost before it had said that the turn holds.
        """
        acts = [act for name, act in list(self.shared.acts.items()) if act.is_over and name not in self.acts_told]
        told = [act.boot._replace(turn=int(act.became == "done")) for act in acts] if leads else []
        return sorted(told, key=lambda boot: boot.started_at)

    def give_up(self, found: DeadAtHand) -> None:
        """The turn that has a dead job in hand is given up. One whose outcome is unknown decides when it is known."""
        if self.pending_commit is None:
            self.dead.end(found)

    def prune_slots(self, before: Instant) -> int:
        """Drop what is remembered of old slots."""
        gone = 0
        for schedule_id in self.shared.slots:
            schedule = self.shared.schedules.get(schedule_id)
            window = 0.0 if schedule is None else schedule.catch_up_window
            gone += self.shared.slots.forget(schedule_id, before - max(window, SLOT_SECONDS_KEPT_MIN))
        return gone
