"""This runtime's memory between turns: turns read and change it, and the store keeps it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from sys import getsizeof
from typing import Any, Generic, TypeVar

from ...cron.schedule import SLOT_SECONDS_KEPT_MIN, recounted
from ...environment.clock import Clock
from ...messages.boots import BootRecord
from ...messages.clock_steps import KnownClock
from ...messages.jobs import ENDED, Instant, JobRecord
from ...messages.outcomes import Outcome, Verdict
from ...messages.schedules import ScheduleRecord
from . import ledger_records as records
from .dead_jobs import Dead, DeadAtHand
from .deliveries import Deliveries, Delivery
from .health_issues import HealthIssues
from .ledger_records import Record
from .link import Message
from .shared_state import SharedState
from .unreadable import UnreadableMessage

REMEMBERED_MAX = 100_000

BYTES_MAX = 64_000_000
"""Bytes of each kind from hosts and handlers: data, results, errors."""

FORGOTTEN = ""
"""Replaces a job's data: no JSON is empty."""

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Newest(Generic[Key, Value]):
    def __init__(
        self, weigh: Callable[[Value], int] = lambda _: 0, *, most: int = REMEMBERED_MAX, bytes_max: int = BYTES_MAX
    ) -> None:
        self._weigh = weigh
        self._most = most
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[Key, Value] = OrderedDict()

    def put(self, key: Key, value: Value) -> None:
        before = self._kept.pop(key, None)
        self._kept[key] = value
        self._bytes += self._weigh(value) - (0 if before is None else self._weigh(before))
        while len(self._kept) > self._most or self._bytes > self._bytes_max:
            self._bytes -= self._weigh(self._kept.popitem(last=False)[1])

    def get(self, key: Key) -> Value | None:
        return self._kept.get(key)

    def pop(self, key: Key) -> Value | None:
        value = self._kept.pop(key, None)
        if value is not None:
            self._bytes -= self._weigh(value)
        return value

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)


class QueuedJobs:
    """The jobs that this runtime has queued. Data of many big jobs, and of ended ones, is forgotten before the ids."""

    def __init__(self, *, most: int = REMEMBERED_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._jobs: Newest[str, JobRecord] = Newest(most=most)
        self._data: Newest[str, str] = Newest(getsizeof, most=most, bytes_max=bytes_max)

    def put(self, job: JobRecord) -> None:
        self._jobs.put(job.id, job._replace(data=FORGOTTEN))
        self._data.put(job.id, job.data)

    def get(self, job_id: str) -> JobRecord | None:
        """The job as it was queued. Its data may be FORGOTTEN; its state may be its end."""
        job = self._jobs.get(job_id)
        return None if job is None else job._replace(data=self._data.get(job_id) or FORGOTTEN)

    def pop(self, job_id: str) -> None:
        self._jobs.pop(job_id)
        self._data.pop(job_id)

    def ended(self, job: JobRecord) -> None:
        known = self._jobs.get(job.id)
        if known is not None:
            self._jobs.put(job.id, known._replace(state=job.state))
            self._data.pop(job.id)


class Remembered:
    """The jobs and endings that this runtime remembers.

    Attributes:
        doubtful: perhaps queued: a second try is the same job.
        taken: ids of doubtful jobs that the server has: their second try publishes nothing.
        endings: for later joins.
        kept: endings of attempts whose delivery was lost, by the delivered copy.
        ended_copies: the copies that have ended here.
        last: by job, the last attempt that ended here; without data of host and handler.
    """

    def __init__(self) -> None:
        self.queued = QueuedJobs()
        self.doubtful: Newest[str, JobRecord] = Newest(_weight)
        self.taken: Newest[str, bool] = Newest()
        self.endings: Newest[str, JobRecord] = Newest(_weight)
        self.kept: Newest[Hashable, tuple[JobRecord, Outcome, Verdict]] = Newest(_weight_of_kept)
        self.ended_copies: Newest[Hashable, bool] = Newest()
        self.last: Newest[str, JobRecord] = Newest()

    def job(self, job_id: str) -> JobRecord | None:
        """A job that was queued here or has ended; None once its end is forgotten."""
        ended = self.endings.get(job_id)
        if ended is not None:
            return ended
        queued = self.queued.get(job_id)
        return None if queued is None or queued.state in ENDED else queued

    def note_ended(self, copy: Hashable, job: JobRecord) -> None:
        self.ended_copies.put(copy, True)
        self.last.put(job.id, job._replace(data=FORGOTTEN, result=None, error=None, traceback=None))

    def end(self, job: JobRecord) -> None:
        self.endings.put(job.id, job)
        self.queued.ended(job)


def _weight(job: JobRecord) -> int:
    return 1_000 + sum(map(getsizeof, (job.data, job.result, job.error, job.traceback)))


def _weight_of_kept(kept: tuple[JobRecord, Outcome, Verdict]) -> int:
    job, outcome, _ = kept
    follow_ups = sum(1_000 + getsizeof(one.data) for one in outcome.then)
    return _weight(job) + sum(map(getsizeof, (outcome.result, outcome.error, outcome.traceback))) + follow_ups


MemoryChange = tuple[Callable[[], object], Callable[[], object] | None]
"""How to undo a change of this runtime's memory when its turn fails; and to redo it when a given-up turn turns out to
hold. A claim is not redone.
"""


@dataclass(slots=True)
class CommitPlan:
    """The operations of a turn at its end.

    Attributes:
        begins: written before anything is published, so that a half-done turn can be logged.
        names: job names whose queues must exist.
        messages: published first, in one pipeline.
        notices: published once the messages are confirmed, so that receivers find what they announce.
        records: for the shared state, written once the messages are confirmed.
        acknowledged: deliveries, last of all.
        changes: to this runtime's memory, in order.
        done: called once all of it holds.
    """

    begins: list[Record] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    messages: list[Message] = field(default_factory=list)
    notices: list[Message] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    acknowledged: list[Delivery | UnreadableMessage] = field(default_factory=list)
    changes: list[MemoryChange] = field(default_factory=list)
    done: list[Callable[[], object]] = field(default_factory=list)


@dataclass(slots=True)
class PendingCommit:
    """A turn that was not confirmed in time. Nothing else is published until its outcome is known."""

    ops: CommitPlan
    stage: Iterator[Future[Any]]
    waits_for: Future[Any]


def undo(changes: Sequence[MemoryChange]) -> None:
    for back, _ in reversed(changes):
        back()


def redo(changes: Sequence[MemoryChange]) -> None:
    """Redo the changes of a given-up turn that turned out to hold."""
    for _, again in changes:
        if again is not None:
            again()


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
