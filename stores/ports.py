"""The port: what a store promises. These docstrings are the specification; the conformance suite quotes them.

A store is the only writer of job state. It is written by one thread, the JobBroker's, in turns; it is read by any.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, NamedTuple, Protocol

from ..errors import LamplighterError, StoreUnavailable
from ..messages.clock_steps import Reading, Stepped
from ..messages.jobs import Attempt, Claim, ClaimKey, Instant, JobRecord, NewJob, Seconds, Transition
from ..messages.ledger import LedgerTurn, Move
from ..messages.outcomes import Outcome, Verdict
from ..messages.schedules import ScheduleRecord, SlotEntry
from ..messages.slots import SlotRange

SERVER_SCHEMES = ("amqp", "amqps")
"""What the address of a store in a server begins with; of a file it is a path."""


class BootRecord(NamedTuple):
    """One boot, as the others on the store see it.

    Attributes:
        hint: the address to which hints for it are sent.
        names: the job names it has handlers for.
        boot_no: its number among the boots of its store, from 1 and without a gap; 0 until it is registered.
        turn: how many of its turns have changed something.
        unlogged: the last of them, and those of others that it was to tell: those that the log may not have yet.
    """

    boot: str
    pid: int
    host: str
    started_at: Instant
    hint: str | None
    names: tuple[str, ...]
    boot_no: int = 0
    turn: int = 0
    unlogged: tuple[LedgerTurn, ...] = ()


class CommitUnknown(StoreUnavailable):
    """The commit itself raised: what the turn did may hold or not, and only the store can say."""


class Ailment(NamedTuple):
    """A trouble of a store, though turns succeed.

    Attributes:
        status: `yellow` if it heals by itself or does little harm; `red` when a person must act.
    """

    status: Literal["yellow", "red"]
    reason: str


class BootLost(LamplighterError):
    """The store does not know this boot any more, or has gone back: the boot's claims are lost.

    Attributes:
        turn_was: the last turn of the boot before the store went back; None if it has not.
    """

    def __init__(self, message: str, *, turn_was: int | None = None) -> None:
        super().__init__(message)
        self.turn_was = turn_was


class Turn(Protocol):
    """One transaction of the JobBroker. All of it holds after the commit, or none of it.

    Attributes:
        now: the wall time that everything in this turn happens at.
        transitions: the moves of jobs so far, in order. Those of one job are counted by its `rev`, without a gap.
        unlogged: earlier turns that the log may not know of: kept by the boot with this one, because its broker too may
            die before it has told them.
        did: after the commit, what this turn did; None when it has changed nothing.
        version: another one than in the turn before if somebody else has committed since.
        expiry: no queued job expires before this instant; None when none does.
        leads: whether slots may be accounted for here: always, unless a store has one boot do it for all.
        lost: why the boot of this turn, once registered, is none any more. Nothing that it knows or holds counts then;
            what the turn may still do is to register another one.
        news: events of the store itself, to be logged after the commit: (event, fields).
    """

    now: Instant
    transitions: list[Transition]
    unlogged: list[LedgerTurn]
    did: LedgerTurn | None
    version: int
    expiry: Instant | None
    leads: bool
    lost: BootLost | None
    news: list[tuple[str, dict[str, Any]]]

    def note(self, move: Move) -> None:
        """Have the ledger tell what this turn does besides moving jobs."""

    def insert(self, job: NewJob) -> tuple[JobRecord, bool]:
        """Add a job. A known id, or an unfinished job with its unique key, gives the stored one and False."""

    def insert_many(self, jobs: Sequence[NewJob]) -> list[tuple[JobRecord, bool]]:
        """`insert` each, in order. One may be the twin of another that comes before it."""

    def job(self, job_id: str) -> JobRecord | None:
        """The job as this turn sees it."""

    def find(self, job_id: str) -> JobRecord:
        """The job that a host names by its id.

        Raises:
            UnknownJob: there is none.
            NotSupported: the store cannot look for it.
        """

    def claim(self, want: Want) -> list[Claim]:
        """Move due jobs of one name from queued to running, each with a new `claim_no`.

        Only what is counted: a job from an application's own transaction waits for `count_host_moves`.
        Order: higher priority, then `run_at`, then queue order. No job that is paused, expired, or held back by
        `overlap="queue_one"`; no more running ones in the whole store than `want.total`; at most one suspect.
        """

    def first_due(self, name: str) -> Instant | None:
        """From when on the first queued job of a name is due, or was; None when none is queued."""

    def settle(self, claimed: JobRecord, outcome: Outcome, verdict: Verdict) -> JobRecord | None:
        """Record how a claim ended: running to the verdict's state, only if the claim is still the current one.

        None when it is not: nothing changes.
        """

    def release(self, claimed: JobRecord, reason: str) -> JobRecord | None:
        """Running to queued, at its old place, as if it had not been claimed. None when the claim is not current."""

    def defer(self, claimed: JobRecord, timeout: Seconds | None) -> bool:
        """Note that the handler has returned and the claim lives on, for `timeout` seconds since it was claimed.

        False when the claim is not current.
        """

    def requeue(self, job: JobRecord, run_at: Instant) -> JobRecord:
        """Any state to queued, attempts reset; id and `claim_no` stay.

        Raises:
            KeyTaken: another unfinished job holds its unique key.
        """

    def finish(self, job: JobRecord, result: str | None) -> JobRecord:
        """Queued to done."""

    def cancel(self, job: JobRecord, reason: str) -> JobRecord:
        """Queued to cancelled."""

    def expire(self) -> None:
        """Cancel, with the reason `expired`, a batch of queued jobs whose `expires_at` has passed.

        A job of which an attempt has ended without an end of the job, or which was requeued, has none any more.
        """

    def count_host_moves(self) -> None:
        """Make moves of what hosts changed in their own transactions."""

    def note_progress(self, key: ClaimKey, progress: str) -> None:
        """Keep how far a job is, only if the claim is current."""

    def orphans(self) -> list[JobRecord]:
        """Running jobs whose boot is not on the store: nobody else will ever take them back."""

    def open_claims(self, boot: str, name: str | None = None, incarnation_max: int | None = None) -> list[JobRecord]:
        """Running jobs that a boot holds, those whose handler has returned included."""

    def recent_interruptions(self, job_id: str, since: Instant) -> int:
        """How many blamed interruptions the job had since then."""

    def pause(self, name: str, *, paused: bool) -> None:
        """Start no job of this name, anywhere, or start them again."""

    def keep_time(self, reading: Reading, *, may_have_gone_back: bool) -> Stepped | None:
        """Compare wall time with what the last turn knew of it, and make good for a step; None where there was none.

        It is called once, before anything else, and `now` is the reading's from then on.

        A wait of so many seconds, and an expiry in so many, end when so many have passed; one until an instant ends at
        that instant. Schedules that are accounted for in what is the future count from now, and slots that were skipped
        there come yet; those that fired do not fire again.

        Where the reading cannot be compared, nothing lasts longer from now than it was to last in all.

        Args:
            may_have_gone_back: whether that is to be looked for though the reading has no counter.
        """

    def declare(self, schedules: Sequence[ScheduleRecord]) -> list[tuple[ScheduleRecord, str | None]]:
        """Insert, or replace when its definition changed, and say which (`added`, `changed`, None); of each, in order.

        What is new or has changed counts from now and has a new `change_no`.
        """

    def forget_schedule(self, schedule_id: str) -> bool:
        """Remove a schedule. False when there is none."""

    def retire_schedule(self, schedule_id: str) -> None:
        """One boot declares a schedule no longer. Unless another accounts for slots of it meanwhile, it counts as new
        when it is declared again."""

    def pause_schedule(self, schedule_id: str, *, paused: bool) -> ScheduleRecord | None:
        """Pause or resume a schedule. None when there is none."""

    def schedule(self, schedule_id: str) -> ScheduleRecord | None:
        """The schedule as this turn sees it."""

    def unfinished_of(self, schedule_id: str) -> list[tuple[str, str]]:
        """(id, state) of the queued and running jobs of a schedule."""

    def fire(self, entry: SlotEntry, job: NewJob) -> JobRecord | None:
        """Insert a slot and its job. None when the slot has its row already: nothing changes."""

    def skip(self, schedule_id: str, gone: SlotRange) -> bool:
        """Record that slots did not fire, joining the range before if the reason is the same.

        False when the first of them fired.
        """

    def account(self, schedule_id: str, accounted_to: Instant, last_slot: Instant | None) -> int:
        """Every slot of the schedule up to this instant is accounted for. Gives the schedule's new `change_no`."""

    def register(self, boot: BootRecord) -> int:
        """Make a boot known to the others. Gives it its `boot_no`."""

    def set_names(self, boot: str, names: Sequence[str]) -> None:
        """The job names for which a boot has handlers now."""

    def forget_boot(self, boot: str) -> bool:
        """Remove a boot. False when another has done so."""

    def boots(self) -> list[BootRecord]:
        """Every boot on the store, living or not."""

    def prune(self, *, done_before: Instant, dead_before: Instant, slots_before: Instant | None, batch: int) -> int:
        """Remove at most a batch of ended jobs and, unless None, of slots; say how many. None while the
        clock may be far ahead by mistake."""


class Want(NamedTuple):
    """What a broker wants to claim for one name.

    Attributes:
        begun, prefetched: how many of each kind, at most.
        total: limit of running jobs of the name in the whole store.
        suspect: whether a suspect may be taken.
    """

    name: str
    boot: str
    incarnation: int
    begun: int
    prefetched: int
    total: int | None
    interruptions_max: int
    suspect: bool


class Store(Protocol):
    """Where job state lives.

    Attributes:
        address: the file or server, without a password.
        store_id: tells it from every other store, also from one that was at its address before; known once it is open.
            None where a store has none.
        in_memory: whether it lives in this object alone, and nobody else can be on it.
        is_server: whether it lives in a server, which knows by itself who has gone.
        cannot: names of `rules.capabilities.CAPABILITIES` that it does not have.
    """

    address: str
    in_memory: bool
    is_server: bool
    cannot: Collection[str]

    @property
    def store_id(self) -> str | None:
        """Known once the store is open; None where it has none."""

    def open(self) -> None:
        """Open for reading and writing; make or migrate the schema.

        Raises:
            UsageError: the place does not exist or may not be written.
            StoreCorrupt, SchemaTooNew, StoreUnavailable: see there.
            StoreError: it was in use in the parent all the while this process was forked.
        """

    def close(self) -> None:
        """Close every connection."""

    def freeze(self) -> bool:
        """Before a fork: close for a moment what a child must not inherit. False when there is nothing to thaw."""

    def thaw(self) -> None:
        """After the fork, in the parent: go on."""

    def turn(self, boot: str, now: Instant) -> AbstractContextManager[Turn]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Raises:
            StoreUnavailable: the transaction could not begin or commit; nothing of it holds.
            StoreGone: the place was taken away or replaced; nothing of it holds, and a person must act.
            CommitUnknown: it may hold.
        """

    def stands(self, boot: str) -> bool:
        """Whether a turn of this boot would find it not `lost`."""

    def changed(self) -> bool:
        """Whether another connection has committed since the last call."""

    def get(self, job_id: str) -> JobRecord | None:
        """One job."""

    def known(self, job_id: str) -> JobRecord | None:
        """One job, as far as it concerns this runtime: that it queued it, holds it, or was told of its end."""

    def list(self, *, name: str | None, state: str | None, limit: int, before: JobRecord | None) -> Sequence[JobRecord]:
        """Jobs, newest first; `before` is the last one of the page before."""

    def at_hand(self, job_id: str) -> AbstractContextManager[None]:
        """While the block lasts, a turn finds the job that a host names, if the store can find it at all."""

    def dead_at_hand(self, name: str | None, but: Collection[str]) -> AbstractContextManager[Sequence[str]]:
        """The ids of dead jobs, of one name or all, oldest first, `but` for some: all of them, or the first many.

        While the block lasts, a turn finds each.
        """

    def counts(self, name: str | None) -> dict[str, int]:
        """How many jobs are in each state."""

    def attempts(self, job_id: str) -> Sequence[Attempt]:
        """The ended claims of a job that failed or were interrupted, oldest first."""

    def due(self, names: Sequence[str], now: Instant) -> bool:
        """Whether a queued job of these names is due."""

    def next_due(self, name: str, now: Instant) -> Instant | None:
        """When the next queued job of this name that is not due yet becomes due."""

    def next_expiry(self) -> Instant | None:
        """When the next queued job expires."""

    def has_host_moves(self) -> bool:
        """Whether a host's own transaction changed something that no turn has counted yet."""

    def schedules(self) -> Sequence[ScheduleRecord]:
        """Every schedule that the store remembers."""

    def schedule(self, schedule_id: str) -> ScheduleRecord | None:
        """One schedule."""

    def is_declared(self, schedule_id: str) -> bool:
        """Whether another runtime that lives has declared a schedule, so that its slots are to fire here too.

        Never on a store where each runtime fires what it has declared itself.
        """

    def is_handled(self, name: str) -> bool:
        """Whether a runtime that lives is known to have handlers for a job name, other than by its boot.

        Never on a store where every boot can be seen.
        """

    def change_no(self) -> int:
        """The number of the last change of any schedule; it only rises."""

    def schedules_changed(self, since: int, limit: int) -> Sequence[ScheduleRecord]:
        """The schedules whose `change_no` is above `since`, in its order, at most so many. One removed is not told."""

    def slots(self, schedule_id: str, start: Instant, end: Instant) -> Sequence[SlotEntry]:
        """What became of the slots in [start, end), in order."""

    def slots_since(self, schedule_id: str) -> Instant:
        """What became of each later slot is remembered, as far as it is accounted for; of earlier ones, of some."""

    def boots(self) -> Sequence[BootRecord]:
        """Every boot on the store, living or not."""

    def paused(self) -> tuple[str, ...]:
        """The paused names."""

    def ailments(self) -> Sequence[Ailment]:
        """What it suffers from. Asked by any thread, and answered at once."""

    def queue_on(self, connection: Any, job: NewJob) -> tuple[JobRecord, bool]:
        """Insert through the host's own open connection, in its transaction.

        Raises:
            UsageError: it is no connection, or not one to this store.
            NotSupported: the store cannot.
        """

    def finish_on(
        self, connection: Any, job_id: str, no: int | None, claim_no: int | None, result: str | None, now: Instant
    ) -> bool:
        """Running (by this claim) or queued (without one) to done, in the host's transaction. False when stale.

        `no` is None where only a token is known.
        """
