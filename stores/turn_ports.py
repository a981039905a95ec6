"""The ports of a turn: what one transaction of a store can do, on behalf of a boot. `ports` has the store's own.

These docstrings are the specification, too; the conformance suite quotes them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ..messages.boots import BootRecord, LedgerTurn, Move
from ..messages.clock_steps import Reading, Stepped
from ..messages.jobs import Claim, ClaimKey, Instant, JobParent, JobRecord, NewJob, Seconds, Transition
from ..messages.names import NO_LIMITS, NameLimits
from ..messages.outcomes import Outcome, Verdict
from ..messages.schedules import ScheduleRecord, SlotEntry, SlotRange
from ..messages.steps import StepRecord
from ..messages.tallies import Tally
from .troubles import BootLost


class Want(NamedTuple):
    """The claims that a broker wants for one name.

    Attributes:
        begun, prefetched: how many of each kind, at most.
        limits: how many jobs of the name may run and start, over the whole store.
    """

    name: str
    boot: str
    incarnation: int
    begun: int
    prefetched: int
    interruptions_max: int
    limits: NameLimits = NO_LIMITS


HELD_UP_SECONDS = 0.02
"""When to look again for what an open turn of another boot holds. Such a turn takes milliseconds, and whoever ends it
without a change tells nobody.
"""

HELD_UP_SECONDS_MAX = 1.0


def held_up_seconds(passed: Seconds) -> Seconds:
    """Soon, and later at longer intervals, because an application may stay in its transaction for minutes."""
    return min(max(passed, HELD_UP_SECONDS), HELD_UP_SECONDS_MAX)


class Claimed(NamedTuple):
    """The outcome of wants.

    Attributes:
        claims: by job name.
        next_due: from when on a job of a name can be claimed: infinite where none is queued. Not of names of which one
            that is due is left, unless its rate is what holds it back: then it is when that leaves room; or open turns
            of other boots hold it: then it is in `HELD_UP_SECONDS`, or in as long as the job has been due, up to 1 s.
        poison: claims of jobs whose earlier ones the store has found to be lost, each with its process, and the last of
            these too: such a claim is not for a lane, but to be settled as an interruption that the job is blamed for.
    """

    claims: Mapping[str, Sequence[Claim]]
    next_due: Mapping[str, Instant]
    poison: Sequence[JobRecord] = ()


End = tuple[JobRecord, Outcome, Verdict]
"""A claimed job, how its claim ended, and what becomes of it."""


class JobQueue(Protocol):
    """The jobs of a turn. It sees its own changes."""

    def insert(self, jobs: Sequence[NewJob]) -> list[tuple[JobRecord, bool]]:
        """Add jobs, in order. A known id, or an unfinished job with its unique key, gives the stored one and False.
        It may be the twin of another that comes before it. A job that holds its debounce key, from its birth until its
        next move, becomes what this one says, and is given with True: a move of its own."""

    def get(self, job_ids: Collection[str]) -> dict[str, JobRecord]:
        """Jobs by their ids. Without a table, those that run here."""

    def find(self, job_ids: Collection[str]) -> dict[str, JobRecord]:
        """The jobs that a host names by their ids. Without a table, those that run here, what became of those of which
        an attempt has ended here lately, and the dead ones that are at hand."""

    def claim(self, wants: Sequence[Want], *, suspect: bool) -> Claimed:
        """Move due jobs from queued to running, each with a new `claim_no`.

        Only what is counted: a job from an application's own transaction waits for `refresh`. Order: higher priority,
        then `run_at`, then queue order. No job that is paused, expired, or held back by `overlap="queue_one"`; no more
        running ones in the whole store than `NameLimits.total`, nor than the limit of the name; no more claims than
        `NameLimits.rate` leaves room for, each of which takes of it, whatever becomes of it; at most one suspect of all
        names together, and none unless `suspect`.
        """

    def settle(self, claimed: JobRecord, outcome: Outcome, verdict: Verdict) -> JobRecord | None:
        """Record how a claim ended: running to the verdict's state, only if the claim is still the current one.
        None when it is not: nothing changes. A job that has ended keeps its `boot`; one that is queued again, by
        this, by `release` or by `requeue`, has none. The lines of claims that did not fail are kept for the last few.
        """

    def settle_all(self, ends: Sequence[End]) -> list[JobRecord | None]:
        """`settle` each, in order."""

    def release(self, claimed: JobRecord, reason: str) -> JobRecord | None:
        """Running to queued, at its old place, as if it had not been claimed. None when the claim is not current."""

    def defer(
        self, claimed: JobRecord, timeout: Seconds | None, passed: Seconds, max_attempts: int, log: str | None = None
    ) -> bool:
        """Note that the handler has returned and the claim lives on, for `timeout` seconds, of which some have passed.
        A job without `max_attempts` of its own gets these. False when the claim is not current. `log` is what it has
        logged by then.
        """

    def overdue(self) -> list[JobRecord]:
        """A batch of the claims whose handler has returned and whose time is over, whichever boot has made them."""

    def requeue(self, job: JobRecord, run_at: Instant) -> JobRecord | None:
        """Any state to queued, attempts reset; id and `claim_no` stay. None when the job is out of reach, as none is in
        a table.

        Raises:
            KeyTaken: another unfinished job holds its unique key.
        """

    def note_progress(self, key: ClaimKey, progress: str) -> None:
        """Keep how far a job is, only if the claim is current."""

    def open_claims(self, boot: str, name: str | None = None, incarnation_max: int | None = None) -> list[JobRecord]:
        """Running jobs that a boot holds. In a table, a claim whose handler has returned does not need its boot."""

    def held_beside(self, boots: Sequence[str]) -> Collection[str]:
        """Which of these boots have a running job that a transaction beside this turn has locked. The others' are
        locked by this turn.
        """

    def orphans(self) -> list[JobRecord]:
        """Running jobs that need a boot which is not on the store: nobody else will ever take them back."""

    def recent_interruptions(self, job_ids: Collection[str], since: Instant) -> dict[str, int]:
        """How many blamed interruptions each job had since then, if any."""

    def pause(
        self,
        name: str,
        *,
        paused: bool,
        by: str | None = None,
        reason: str | None = None,
        until: Instant | None = None,
    ) -> None:
        """Start no job of this name, anywhere, until it is resumed, or until an instant; or start them again. If a name
        is paused already, the rest is replaced, and it stays paused since then."""

    def refresh(self) -> None:
        """Make moves of what nobody has told: what hosts changed in their own transactions, and that a batch of queued
        jobs, whose `expires_at` has passed, is cancelled with the reason `expired`; without a table, of those here.
        A job of which an attempt has ended without an end of the job, or which was requeued, has none any more."""


class WaitingJobs(Protocol):
    """The acts of a turn on a job that does not run, if there is a table to find it in."""

    def limit(self, name: str, most: int | None) -> None:
        """Claim jobs of this name only while fewer than so many run in the whole store; None for no limit. A pause of
        it stays what it is."""

    def finish(self, job: JobRecord, result: str | None) -> JobRecord:
        """Queued to done."""

    def cancel(self, job: JobRecord, reason: str) -> JobRecord:
        """Queued to cancelled."""

    def wake(self, job: JobRecord, signal: str) -> JobRecord:
        """Have a queued job be due now, as its signal has come."""

    def reprioritize(self, job: JobRecord, priority: int) -> JobRecord:
        """Give a queued job another priority, by which the next claim sees it. The job waits for the same as before."""

    def forget(self, job: JobRecord) -> None:
        """Remove a job that has ended, with its attempts. Its id is free then, and no other job gets its `row_id`."""

    def twin(self, job: NewJob) -> JobRecord | None:
        """The stored job that has the id of this one, or else holds its key."""

    def unfinished_of(self, schedule_id: str) -> list[tuple[str, str]]:
        """(id, state) of the queued and running jobs of a schedule."""


class JobLinks(Protocol):
    """Which jobs wait for which others, in a turn. It sees its own changes.

    A job that is inserted with parents waits for them: it is queued, and not claimed. When the last of them has ended,
    it is judged: by what all of them are then, whichever road has led there.
    """

    def unknown(self, job_ids: Sequence[str]) -> Collection[str]:
        """Those of these ids that no job has. A job with parents is inserted only if all of them are known."""

    def judge_births(self) -> Mapping[int, JobRecord]:
        """Judge the jobs that this turn has inserted, if all their parents have ended: the jobs now, by `row_id`."""

    def wait_again(self, job: JobRecord) -> JobRecord | None:
        """Queue a job that has ended, and let it wait again for those of its parents that have not. None when it has no
        such parent: nothing changes. A job that is not needed, as none of those has failed whose failure it was to
        follow, stays as it is, and is given.

        Raises:
            KeyTaken: as `JobQueue.requeue`.
        """

    def free(self, most: int) -> bool:
        """Have those follow that wait for jobs which have ended, or have shared the fate of jobs which were queued
        again since: free them, end them with those, or have them wait again. At most so many links are looked at, and
        one job's; whether there are more, which the next turn is for. Jobs that open transactions of others hold are
        passed over: if there are no others left, `Turn.has_ripe` says that there are such.
        """

    def child_of(self, job: JobRecord) -> str | None:
        """The id of a job in the store that waits for this one, or has; None if there is none."""

    def parents_of(self, job: JobRecord) -> tuple[JobParent, ...]:
        """The jobs that this one waits for, or has waited for, in the order of the call that has queued it."""


class KeptNow(NamedTuple):
    """The kept record of a step.

    Attributes:
        move_no: how many moves its job has made.
        is_new: whether this turn has kept it.
    """

    step: StepRecord
    move_no: int
    is_new: bool


class StepBook(Protocol):
    """The kept steps of jobs, as a turn adds to them. Whatever ends a job as done, or removes it, removes its steps."""

    def keep(self, claimed: JobRecord, name: str, result: str) -> KeptNow | None:
        """Keep the result of a step, only if the claim is the current one, and the job's holder is the one that it
        names. Returns the kept record under the name: the first result stays. None when it is not: nothing changes."""

    def send(self, job: JobRecord, signal: str, data: str) -> tuple[StepRecord, bool]:
        """Keep a signal for a job that has not ended, unless something has ended the wait for it. Returns what is kept
        of the wait's end, and whether this call has kept it.

        Raises:
            UsageError: the job has too many already.
        """

    def sent(self, job: JobRecord, signal: str) -> StepRecord | None:
        """What has ended the wait for a signal, if anything has."""

    def remove(self, job: JobRecord) -> int:
        """Remove all steps of a job, and say how many."""


class ScheduleBook(Protocol):
    """The schedules of a turn, and their slots. It sees its own changes."""

    def declare(self, schedules: Sequence[ScheduleRecord]) -> list[tuple[ScheduleRecord, str | None]]:
        """Insert, or replace when its definition changed, and say which (`added`, `changed`, None); of each, in order.
        A schedule that is new or has changed counts from now and has a new `change_no`."""

    def refresh(self) -> list[tuple[ScheduleRecord, str]]:
        """Carry out a batch of what applications have written of schedules in their own transactions, in order, and say
        what became of each (`added`, `changed`, `removed`), unless nothing did. A schedule that was added or has
        changed counts from when the application said so, or from where it is accounted for, if that is later; never
        from later than now."""

    def one(self, schedule_id: str) -> ScheduleRecord | None:
        """A schedule; None when there is none."""

    def forget(self, schedule_id: str) -> bool:
        """Remove a schedule, and what `refresh` has not carried out of it. False when there is none."""

    def retire(self, schedule_id: str) -> None:
        """One boot declares a schedule no longer. Unless another accounts for slots of it meanwhile, it counts as new
        when it is declared again."""

    def pause(self, schedule_id: str, *, paused: bool) -> ScheduleRecord | None:
        """Pause or resume a schedule. None when there is none."""

    def fire(self, entry: SlotEntry) -> bool:
        """Record that a slot fires, with the id of its job, which is inserted in the same turn. False when the slot has
        its row already: nothing changes."""

    def skip(self, schedule_id: str, gone: SlotRange) -> bool:
        """Record that slots did not fire, joining the range before if it has the reason. False when the first fired."""

    def account(self, schedule_id: str, accounted_to: Instant, last_slot: Instant | None) -> int:
        """Every slot of the schedule up to this instant is accounted for. Gives the schedule's new `change_no`."""


class TallyBook(Protocol):
    """The sums of what became of jobs, as a turn adds to them."""

    def add(self, tallies: Sequence[Tally]) -> None:
        """Add to what is kept of the same span, start, name and kind."""


class Members(Protocol):
    """The boots on a store, as a turn sees them."""

    def all(self) -> Sequence[BootRecord]:
        """Every boot on the store, living or not."""

    def register(self, boot: BootRecord) -> int:
        """Make a boot known to the others. Gives it its `boot_no`."""

    def set_names(self, boot: str, names: Sequence[str]) -> None:
        """The job names for which a boot has handlers now."""

    def note_stop(self, boot: str) -> None:
        """A boot stops: if its process dies from now on, none of its claims is to blame."""

    def forget(self, boots: Collection[str]) -> Collection[str]:
        """Remove boots, and say which: not those that another has removed."""


class Turn(Protocol):
    """One transaction: all of it holds after the commit, or none. `TableTurn` and `RabbitTurn` are its two classes.

    Attributes:
        now: the wall time that everything in this turn happens at.
        writes: rises with each change that the turn makes. Looks alone do not change it.
        transitions: the moves of jobs so far, in order. Those of one job are counted by its `move_no`, without a gap.
        notes: what it does besides moving jobs, each after so many transitions.
        unlogged: earlier turns that the log may not know of: kept by the boot with this one, because its broker too may
            die before it has told them.
        did: after the commit, what this turn did; None when it has changed nothing.
        version: another one than in the turn before if somebody else has committed since.
        expiry: before this instant no queued job expires, and no claim is overdue, as far as is known; None when none
            ever will be.
        leads: whether slots may be accounted for here: always, unless a store has one boot do it for all.
        lost: why the boot of this turn, once registered, is none any more. Nothing that it knows or holds counts then;
            what the turn may still do is to register another one.
        news: events of the store itself, to be logged after the commit: (event, fields).
        has_host_moves, has_host_changes: whether applications may have written jobs, or changes of schedules, in their
            own transactions that no turn has counted.
        has_ripe: whether jobs may wait for others that have ended, or were born in this turn to wait.
        has_suspects: whether jobs may be queued whose processes have died with them.

    The stages of a turn go by `expiry` and by what it `has`, so none of these may be wrong in one direction: each says
    that there may be something, and a store that does not know says so always.
    """

    now: Instant
    transitions: list[Transition]
    notes: list[tuple[int, Move]]
    unlogged: list[LedgerTurn]
    did: LedgerTurn | None
    version: int
    expiry: Instant | None
    leads: bool
    lost: BootLost | None
    news: list[tuple[str, dict[str, Any]]]
    has_host_moves: bool
    has_host_changes: bool
    has_ripe: bool
    has_suspects: bool

    @property
    def writes(self) -> int: ...

    @property
    def jobs(self) -> JobQueue: ...

    @property
    def queued(self) -> WaitingJobs | None: ...

    @property
    def links(self) -> JobLinks | None: ...

    @property
    def schedules(self) -> ScheduleBook: ...

    @property
    def boots(self) -> Members: ...

    @property
    def tallies(self) -> TallyBook | None: ...

    @property
    def steps(self) -> StepBook | None: ...

    def note(self, move: Move) -> None:
        """Have the ledger tell what this turn does besides moving jobs."""

    def keep_time(self, reading: Reading, *, may_have_gone_back: bool) -> Stepped | None:
        """Compare wall time with what the last turn knew of it, and make good for a step; None where there was none.

        It is called once, before anything else, and `now` is the reading's from then on.

        A wait of so many seconds, and an expiry in so many, end when so many have passed; one until an instant ends at
        that instant. Schedules that are accounted for in what is the future count from now, and slots that were skipped
        there come yet; those that fired do not fire again.

        Where the reading cannot be compared, nothing lasts longer from now than it was to last in all. One without a
        counter is not, unless wall time `may_have_gone_back`.
        """

    def prune(self, *, done_before: Instant, dead_before: Instant, slots_before: Instant | None, batch: int) -> int:
        """Remove at most a batch of ended jobs and, unless None, of slots; say how many. None while the
        clock may be far ahead by mistake. Old tallies go too, unsaid."""
