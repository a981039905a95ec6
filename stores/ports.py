"""The ports: what a store promises. These docstrings are the specification, with those of `turn_ports`; the conformance
suite quotes them.

A store is written in turns, by one thread of a runtime at a time: the JobBroker's, or that of a start or a stop. Beside
them, what concerns an application's own transaction is written in it (`HostTransactions`). Any thread reads.

A part that a store need not have is an attribute that may be None. Each has `JobReader` and `ScheduleReader`, and its
turns have `JobQueue`, `ScheduleBook` and `Members`. One with a table of jobs has `JobTable`, and its turns
`WaitingJobs`; it alone is given jobs with a `unique_key` or `one_at_a_time`, and wants with limits.
`rules.capabilities` says which parts a store lacks, and no store does. Questions are asked in sets: one round trip to a
server.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..messages.boots import BootRecord, LedgerTurn
from ..messages.clock_steps import Reading
from ..messages.jobs import Attempt, Attribution, Instant, JobRecord, NewJob, Seconds, Transition
from ..messages.names import PauseRecord
from ..messages.outcomes import Outcome, Verdict
from ..messages.queries import LOOKED_MAX, CappedCounts, Census, Found, GraphRows, JobQuery
from ..messages.schedules import HostChange, ScheduleRecord, SlotEntry
from ..messages.steps import StepRecord, StepsSeen
from ..messages.tallies import Tally
from .troubles import HealthIssue
from .turn_ports import Turn, Want

if TYPE_CHECKING:
    from .places import StorePlace


class DueCheck(NamedTuple):
    """The work that a turn would find.

    Attributes:
        is_due: whether there is something now: a queued job that could be claimed, one that has expired, or what nobody
            can see but the store.
        next_due: when the next queued job that is not due yet becomes due.
        expiry: when the next queued job expires.
    """

    is_due: bool
    next_due: Instant | None = None
    expiry: Instant | None = None


class StoreSurroundings(NamedTuple):
    """The changes of others to a store.

    Attributes:
        boots: every boot on the store, living or not; its turns that are kept, `unlogged`, may be left out.
        is_lost: whether a turn of the boot that has asked would find it `lost`.
        change_no: the number of the last change of any schedule; it only rises.
    """

    boots: Sequence[BootRecord]
    is_lost: bool
    change_no: int


class Slots(NamedTuple):
    """The fate of slots.

    Attributes:
        entries: in order.
        since: of every later slot it is remembered, as far as it is accounted for; of earlier ones, of some.
    """

    entries: Sequence[SlotEntry]
    since: Instant


class QueuePosition(NamedTuple):
    """The jobs that stand before a queued job.

    Attributes:
        ahead: how many jobs of its name are due and are claimed before it.
        is_capped: whether there may be more than were counted.
        running: how many jobs of its name run.
        same_schedule: the id of a running job of its schedule, if that keeps it waiting.
        suspects: by boot, the id of a suspect that runs there, if this one is one too.
        spent_to: what the store keeps of the starts of its name, as `rules.rates` takes it, if that has a rate.
        of_group: how many jobs of its group run, if it has one. Then `ahead` are those of its group alone: the groups
            take turns.
        group_spent_to: the same as `spent_to`, of its group.
    """

    ahead: int
    is_capped: bool
    running: int
    same_schedule: str | None = None
    suspects: Mapping[str, str] = {}
    spent_to: Instant | None = None
    of_group: int | None = None
    group_spent_to: Instant | None = None


class DependencyStatus(NamedTuple):
    """The jobs that a job waits for, or has waited for.

    Attributes:
        total: how many others.
        open: how many of these have not ended.
        ids: of the first of those that have not.
        fated: of one that had to be done and is not, for which it will not start: its id, and its state.
    """

    total: int
    open: int
    ids: Sequence[str] = ()
    fated: tuple[str, str] | None = None


class GoneParent(NamedTuple):
    """The kept part of a job that retention has removed before one that has waited for it.

    Attributes:
        move_no: how many moves it had made.
    """

    row_id: int
    id: str
    name: str
    state: str
    move_no: int


class JobReader(Protocol):
    """Jobs as they are outside of turns."""

    def known(self, job_ids: Collection[str]) -> dict[str, JobRecord]:
        """Jobs by their ids. Without a table, as far as they concern this runtime: that it queued them, holds them, or
        was told of their end."""

    def outlook(self, names: Collection[str], now: Instant) -> DueCheck:
        """Whether a turn would find something to do, of jobs of these names and of all that expires; if not, when."""

    def counts(self, name: str | None, seconds_max: Seconds | None = None) -> dict[str, int]:
        """How many jobs are in each state, of one name or all, as far as the store keeps them. A server is waited for
        for so many seconds, before `StoreUnavailable`.
        """

    def pauses(self) -> Sequence[PauseRecord]:
        """The names that are paused or have a limit, in order. One whose `until` has passed may be among them."""


class JobTable(Protocol):
    """The jobs of a store that keeps every one in a table."""

    def find(self, query: JobQuery, *, limit: int, after: str | None = None, looked_max: int = LOOKED_MAX) -> Found:
        """The jobs that match, so many at most: what was queued last comes first; where it is asked for what has ended,
        what ended last. `after` is the `next` of the page before. It looks at no more jobs than `looked_max`, and
        says so if there are others."""

    def sweep(self, query: JobQuery) -> Iterator[Sequence[str]]:
        """The ids of the jobs that match, the oldest first, some at a time, which are looked for when they are asked
        for. Jobs that have come since the first were read, or have ended since where ended ones are asked for, are not
        among them."""

    def census(self, names: Collection[str], cap: int, now: Instant) -> dict[str, Census]:
        """How many unfinished jobs of each name there are, counted up to `cap` of each kind."""

    def capped_counts(self, name: str | None, cap: int) -> CappedCounts:
        """How many jobs are in each state, of one name or all, counted up to `cap`. The ended jobs of a name are
        counted among so many that ended last."""

    def names(self, first: str = "", limit: int | None = None) -> Sequence[str]:
        """The names of all jobs that have not ended, and, as far as tallies tell, that ever were: in order, from one
        on, so many at most."""

    def due_names(self, now: Instant, limit: int) -> Sequence[str]:
        """The names that have due jobs, in order, so many at most."""

    def children(self, root_id: str, limit: int) -> Sequence[JobRecord]:
        """The jobs that descend from a root, without itself, the oldest first."""

    def before(self, job: JobRecord, now: Instant, most: int) -> QueuePosition:
        """The jobs that stand before a queued job; no more than so many of those that are claimed first are counted."""

    def parents(self, row_id: int, after: int, limit: int) -> Sequence[JobRecord]:
        """The jobs that one, by its `row_id`, waits for or has waited for, in the order of the call that has queued it:
        so many at most, without the first `after`. Those that retention has removed are not among them."""

    def gone_parents(self, row_id: int, limit: int) -> Sequence[GoneParent]:
        """Those of the jobs that one has waited for which retention has removed, in the same order."""

    def linked(self, row_id: int, limit: int) -> Sequence[JobRecord]:
        """The jobs that wait for one, or have, the oldest first."""

    def awaited(self, row_id: int, most: int) -> DependencyStatus:
        """How many others a job waits for, and the ids of some that have not ended."""

    def graph(self, job_id: str, most: int) -> GraphRows:
        """The graph of a job, at most so many: the job, those that have the root of one of these, and those for which
        one of these waits, or has waited, or which wait for one of these, or have."""

    def attempts(self, job_id: str) -> Sequence[Attempt]:
        """The ended claims of a job that failed or were interrupted, oldest first."""

    def logged(self, job_id: str) -> Sequence[tuple[int, str]]:
        """The numbers of the claims of a job that have logged by `job.log`, with the lines of each as JSON text."""

    def steps(self, row_id: int) -> Sequence[StepRecord]:
        """The kept steps of the job with this `row_id`, the oldest first. A job that is done has none."""

    def step(self, row_id: int, name: str) -> StepRecord | None:
        """The kept step of this name."""

    def steps_seen(self, row_id: int, most: int) -> StepsSeen:
        """How many steps of the job with this `row_id` are kept, and the newest, so many at most, without results."""


class DeadJobs(Protocol):
    """The dead jobs of a store where they lie apart, so that a turn finds only those that somebody has at hand."""

    def find(self, query: JobQuery, *, limit: int, after: str | None = None) -> Found:
        """The dead jobs that match, what died last first; `after` is the `next` of the page before."""

    def one_at_hand(self, job_id: str) -> AbstractContextManager[object]:
        """While the block lasts, a turn finds this job, if it is dead."""

    def all_at_hand(self, query: JobQuery, but: Collection[str]) -> AbstractContextManager[Sequence[str]]:
        """The ids of the dead jobs that match, oldest first, `but` for some: all of them, or the first many. While the
        block lasts, a turn finds each."""


class QueueReader(Protocol):
    """The queues of job names, of a store that has them instead of a table."""

    def names(self) -> Sequence[str]:
        """The names under which jobs were ever queued or handled, as far as anybody has said."""

    def ready(self, names: Collection[str]) -> dict[str, int]:
        """How many jobs lie in the queue of each name, and are due; those that lanes have, or are about to, do not."""


class ScheduleReader(Protocol):
    """Schedules as they are outside of turns. A change by an application's own transaction holds from its
    commit on, whether a turn has carried it out or not; but for `changed`."""

    def all(self) -> Sequence[ScheduleRecord]:
        """Every schedule that the store remembers."""

    def some(self, name: str | None, after: str, limit: int) -> Sequence[ScheduleRecord]:
        """The schedules of a name, or of all, in the order of their ids: those that come after one, at most so many."""

    def one(self, schedule_id: str) -> ScheduleRecord | None:
        """A schedule; None when there is none."""

    def changed(self, since: int, limit: int) -> Sequence[ScheduleRecord]:
        """The schedules whose `change_no` is above `since`, in its order, at most so many. One removed is not told."""

    def slots(self, schedule_id: str, start: Instant, end: Instant) -> Slots:
        """The fate of the slots in [start, end)."""


class TallyReader(Protocol):
    """The sums of what became of jobs, as they are outside of turns."""

    def between(self, span: int, since: Instant, until: Instant, name: str | None = None) -> Sequence[Tally]:
        """Those of one span that began from the one of `since` up to that of `until`, of one name or all, in order."""

    def totals(self, span: int, since: Instant, until: Instant) -> Sequence[Tally]:
        """The same over all names; where these are very many, the oldest ones lack buckets."""


class StoreSnapshot(Protocol):
    """The content of a store, for a reader: as it is at one instant, or, where a store cannot do that, as each question
    finds it."""

    jobs: JobReader
    table: JobTable | None
    dead: DeadJobs | None
    queues: QueueReader | None
    schedules: ScheduleReader
    tallies: TallyReader | None

    def boots(self) -> Sequence[BootRecord]:
        """Every boot on the store, living or not."""


class Readable(Protocol):
    """Where job state can be looked at."""

    @property
    def address(self) -> str:
        """The file or server, without a password."""

    @property
    def place(self) -> StorePlace:
        """Where it is, and who meets there."""

    @property
    def table(self) -> JobTable | None:
        """Its jobs, at each look as they are then; None where there is no table of all. From any thread."""

    def snapshot(self) -> AbstractContextManager[StoreSnapshot]:
        """The store as it is now, for as long as the block lasts. From any thread.

        Raises:
            StoreUnavailable, StoreError: it cannot be read.
        """

    def close(self) -> None:
        """Close every connection."""


class HostTurn(Protocol):
    """A transaction of the application that job state takes part in: it is there if that commits. `refresh` makes moves
    of it."""

    def insert(self, job: NewJob) -> tuple[JobRecord, bool]:
        """As `JobQueue.insert`."""

    def wholly(self) -> AbstractContextManager[None]:
        """While this lasts, what is done holds wholly or, if an error comes out, not at all: the application may commit
        the rest of its transaction all the same. It costs, so it is for what an error may leave half done."""

    def find(self, job_id: str) -> JobRecord | None:
        """A job. Nobody else changes it until the application's transaction has ended."""

    def settle(self, claimed: JobRecord, outcome: Outcome, verdict: Verdict) -> None:
        """Record how the current claim of a job that was found here ended."""

    def finish(self, job: JobRecord, result: str | None) -> None:
        """Queued to done."""

    def send(self, job: JobRecord, signal: str, data: str, who: Attribution) -> tuple[StepRecord, bool]:
        """As `StepBook.send`. `refresh` tells of it, and wakes the job."""

    def keep(self, claimed: JobRecord, name: str, result: str, took: Seconds) -> None:
        """Keep a step of the current claim of a job that was found here. `refresh` tells of it."""

    def follow(self, ended: JobRecord, born: Sequence[JobRecord]) -> None:
        """Jobs that were inserted here follow one that has ended here: one turn makes moves of all of them, and ties
        them."""

    def schedule(self, schedule_id: str) -> ScheduleRecord | None:
        """A schedule, as this transaction and those before it have left it. Nobody else changes it until the
        application's transaction has ended."""

    def change_schedule(self, change: HostChange) -> None:
        """Add, change or remove a schedule: `ScheduleBook.refresh` carries it out."""


class HostTransactions(Protocol):
    """The applications' own transactions, of a store that lies where they have their data."""

    def join(self, connection: Any, now: Instant, work: Callable[[HostTurn], Any]) -> Any:
        """Do work in the transaction of the application's open connection, which stays open. Returns the result of the
        work; with a connection that is used by `await`, an awaitable of that.

        Raises:
            UsageError: it is no connection, or not one to this store, or in no transaction that can be trusted.
        """

    def written_here(self, *, blocks: bool = True) -> bool:
        """Whether the calling thread has written in a transaction of the application's that is still open, so that a
        turn would wait for it; as far as that is known. If the call does not block: whether the calling asyncio task
        has, for other tasks go on.
        """


class Peers(Protocol):
    """The answers of the other living runtimes of a store, where these are not in their boots' rows."""

    def is_declared(self, schedule_id: str) -> bool:
        """Whether another runtime that lives has declared a schedule, so that its slots are to fire here too."""

    def boots(self) -> Sequence[BootRecord]:
        """The runtimes that live, this one among them, as far as they have said who they are."""

    def is_handled(self, name: str) -> bool:
        """Whether a runtime that lives is known to have handlers for a job name."""


class Answer(Protocol):
    """Gives the answer to a question, both as lines. It never raises, and waits for nobody."""

    def __call__(self, line: bytes, later: Callable[[bytes], object] | None = None, /) -> bytes:
        """The answer; nothing if the question is not for this boot, or if it is answered by `later`.

        Args:
            later: takes, from any thread, what can only be answered in a while; None where nobody waits for that.
        """


class Notifier(Protocol):
    """A store in a server, which tells by itself what has come, and knows by itself who has gone."""

    def listen(self, heard: Callable[[], None] | None) -> None:
        """Call this, from any thread, whenever a turn may be worth while."""

    def answer(self, call: Answer | None) -> str:
        """Answer with this, from any thread, what is asked of this runtime from outside; None: no more. Gives where it
        is asked."""

    def holds(self, job_id: str) -> bool:
        """Whether this runtime has been given a job, and has it yet. Any thread may ask."""


class Born(NamedTuple):
    """The outcome of a short turn.

    Attributes:
        moves: the births, in the order of the jobs, and the claim, if there is one.
        did: the ledger's record of the turn.
        next_due: as `Claimed.next_due` of the wanted name; infinite without a want.
    """

    moves: Sequence[Transition]
    did: LedgerTurn
    next_due: Instant


class Births(Protocol):
    """The shortest turn of a store, which stores jobs without options and does nothing else."""

    def bear(
        self,
        boot: str,
        version: int,
        jobs: Sequence[NewJob],
        begun: Callable[[], Reading | None],
        want: Want | None = None,
    ) -> Born | None:
        """Store jobs without options that have just been queued. None, with nothing stored, where only an ordinary turn
        can say how: others have committed since this `Turn.version` what counts for these jobs, or there is other work.

        Args:
            want: a lane is free for the one job of the call, which is claimed as it is born.
            begun: called once, within the transaction: the reading of the clock; None gives the turn up.

        Raises:
            StoreUnavailable, StoreGone, CommitUnknown: as a turn.
        """


class StoreParts(Protocol):
    """The parts of a store, which lacks those that it does not set.

    Attributes:
        wall: the time of day by the store's own clock, from any thread and at once; before `open` it may be the
            machine's. None: the machine's clock is the store's. Where it is not None, the clock is watched only while
            a runtime lives, and no turn is told that time `may_have_gone_back` because it is the first.
        waits_seconds_max: how long a turn waits for the write lock, or for a server to confirm something.
    """

    jobs: JobReader
    table: JobTable | None = None
    dead: DeadJobs | None = None
    schedules: ScheduleReader
    tallies: TallyReader | None = None
    host: HostTransactions | None = None
    peers: Peers | None = None
    notifier: Notifier | None = None
    births: Births | None = None
    wall: Callable[[], Instant] | None = None
    waits_seconds_max: Seconds


class Store(StoreParts, Readable, Protocol):
    """Where job state lives."""

    @property
    def store_id(self) -> str | None:
        """Tells it from every other store, also one that was at its address before. None until it is known."""

    def open(self) -> None:
        """Open for reading and writing; make or migrate the schema.

        Raises:
            UsageError: the place does not exist or may not be written.
            StoreCorrupt, SchemaTooNew, StoreUnavailable: see there.
            StoreError: it was in use in the parent all the while this process was forked.
        """

    def turn(self, boot: str, now: Instant) -> AbstractContextManager[Turn]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Raises:
            StoreUnavailable: the transaction could not begin or commit; nothing of it holds.
            TurnConflict: another writer was in the way, and the same may be tried again.
            StoreGone: the place was taken away or replaced; nothing of it holds, and a person must act.
            CommitUnknown: it may hold.
        """

    def changed(self) -> bool:
        """Whether another connection has committed since the last call."""

    def surroundings(self, boot: str) -> StoreSurroundings:
        """The changes of others, as a boot must know them."""

    def due_names(self, now: Instant, limit: int) -> Sequence[str]:
        """The names that have due jobs, in order, so many at most. A store in a server leaves out those that a living
        runtime handles."""

    def health_issues(self) -> Sequence[HealthIssue]:
        """The problems that it suffers from. Asked by any thread, and answered at once."""
