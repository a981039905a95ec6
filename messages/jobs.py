"""A job: the spec that a caller gives, the record that the store keeps, the claim that a lane runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Protocol, TypedDict

if TYPE_CHECKING:
    # Only from Python 3.13 on, `typing` has type variables with a default.
    from typing_extensions import TypeVar

    D = TypeVar("D", covariant=True, default=Any)
    R = TypeVar("R", covariant=True, default=Any)
else:
    from typing import TypeVar

    D, R = TypeVar("D"), TypeVar("R")


class Attribution(NamedTuple):
    """The attribution of an act.

    Attributes:
        by: the person or application.
        via: the way: a command, a page, a tool.
        reason: free text.
    """

    by: str | None = None
    via: str | None = None
    reason: str | None = None

    @property
    def told(self) -> dict[str, str]:
        """The part of a move in the ledger, by its keys."""
        return {key: value for key, value in zip(("by", "via", "why"), self, strict=True) if value is not None}

    @property
    def said(self) -> dict[str, str]:
        return {name: value for name, value in self._asdict().items() if value is not None}


UNATTRIBUTED = Attribution()


Seconds = float

Instant = float
"""An instant in seconds since the Unix epoch (UTC)."""

SECONDS_MAX: Seconds = 100 * 365 * 86400.0
"""No duration may be longer: a century."""


class JobState(StrEnum):
    """The five states of a job. Due-ness and parking are comparisons, not states.

    Attributes:
        QUEUED: it waits: for its time, for a handler, or for a worker. `queue`, a retry, a snooze, a requeue or a claim
            that is given back makes it so; a broker that claims it moves it on, or its expiry.
        RUNNING: one claim holds it. A broker's claim makes it so; how that claim ends moves it on, or `cancel`, or
            `requeue`, or whoever finds its runtime dead.
        DONE: its handler has returned, or somebody has marked it done.
        DEAD: it has failed for good: no attempt is left, its handler discarded it, or it is poison.
        CANCELLED: it is not needed any more: `cancel` or its handler has said so, or it has expired. Retention removes
            what is done, dead or cancelled.
    """

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


JobStateName = Literal["queued", "running", "done", "dead", "cancelled"]
"""The same, as an application may write them."""

ENDED = frozenset({JobState.DONE, JobState.DEAD, JobState.CANCELLED})
"""The states in which nothing more happens to a job unless somebody requeues it."""


class Identified(Protocol):
    """Anything with the id of a job: a `Job`."""

    @property
    def id(self) -> str:
        """The job's id."""


@dataclass(frozen=True, slots=True)
class Debounce:
    """One job for many calls with one key: it starts when there were none for a while, with the data of the last.

    As long as a job of the name is queued under the key, each call makes it what the call says, with its data, and puts
    it off: it is due `quiet` after the last call, and no later than `at_most` after the first. A claim lets go of the
    key, so a call that comes while the job runs, or waits for its retry, makes the next job.

    Attributes:
        key: 1 to 200 characters; the jobs of each name have keys of their own.
        quiet: seconds, or a timedelta, without a call; a millisecond at least.
        at_most: seconds, or a timedelta, `quiet` or more.
    """

    key: str
    _: KW_ONLY
    quiet: Seconds | timedelta
    at_most: Seconds | timedelta


class JobTypes(Protocol[D, R]):
    """The types of a job's data and result, where its handler is known."""

    def data(self, stored: Any) -> D:
        """The data as what its handler asks for."""

    def result(self, stored: Any) -> R:
        """The result as what its handler returns."""


class HandlesJobs(Protocol[D, R]):
    """A handler object: the name of its jobs, and their types."""

    name: str

    @property
    def types(self) -> JobTypes[D, R]: ...


@dataclass(frozen=True, slots=True)
class JobSpec(Generic[D, R]):
    """One job for `jobs.queue_many`, with the options that `jobs.queue` takes. `JobSpec[X, Y]` is that of a handler
    object, whose data has the type X and its result the type Y.

    Attributes:
        name: which handler it is for, 1 to 200 characters.
        data: as `jobs.queue` takes it.
        id: the job's id; a known one returns the stored job.
        delay: seconds or a timedelta from now.
        at: an aware datetime before which it is not started.
        priority: higher runs first.
        unique: while a job with this name and key is unfinished, that one is returned.
        expires: seconds, a timedelta or an aware datetime after which an unstarted job is cancelled; see `jobs.queue`.
        max_attempts: overrides the handler's.
        timeout: seconds for one attempt; overrides the handler's.
        group: the groups of a name take turns, 1 to 200 characters; see `jobs.queue`.
        after: jobs that must be done before it starts; if one is dead or cancelled, it shares that fate. Each is a
            Job, an id, or a JobSpec that stands earlier in the same call.
        after_ended: jobs that must have ended before it starts, however they did.
        after_failed: jobs that must have ended, one of them dead or cancelled; if all are done, it is cancelled.
        debounce: one queued job a key, with the data of the last call; see `Debounce`. Without id, delay, at, unique,
            after, after_ended and after_failed.
        types: those of the handler object whose `spec` has made it; None otherwise.
    """

    name: str
    data: D = None  # type: ignore[assignment]
    _: KW_ONLY
    id: str | None = None
    delay: Seconds | timedelta | None = None
    at: datetime | None = None
    priority: int = 0
    unique: str | None = None
    expires: Seconds | timedelta | datetime | None = None
    max_attempts: int | None = None
    timeout: Seconds | timedelta | None = None
    group: str | None = None
    after: ParentRef | Iterable[ParentRef] = ()
    after_ended: ParentRef | Iterable[ParentRef] = ()
    after_failed: ParentRef | Iterable[ParentRef] = ()
    debounce: Debounce | None = None
    types: JobTypes[D, R] | None = field(default=None, repr=False, compare=False)


ParentRef = Identified | str | JobSpec
"""How a call names a job that another is to wait for: a Job, an id, or a JobSpec that stands earlier in the call."""


class JobKeywords(TypedDict, total=False):
    """The options of a `JobSpec` as keyword arguments."""

    id: str | None
    delay: Seconds | timedelta | None
    at: datetime | None
    priority: int
    unique: str | None
    expires: Seconds | timedelta | datetime | None
    max_attempts: int | None
    timeout: Seconds | timedelta | None
    group: str | None
    after: ParentRef | Iterable[ParentRef]
    after_ended: ParentRef | Iterable[ParentRef]
    after_failed: ParentRef | Iterable[ParentRef]
    debounce: Debounce | None


class QueueKeywords(JobKeywords, total=False):
    """The options of `jobs.queue` as keyword arguments."""

    connection: Any


FAILED_END = 2


class JobParent(NamedTuple):
    """A job that a new one waits for.

    Attributes:
        job_id: its id; "" if it is queued in the same call.
        place: its index in that call.
        any_end: 0 if it must be done, 1 if any end of it will do, `FAILED_END` if one of those that have this must be
            dead or cancelled.
    """

    job_id: str
    place: int = -1
    any_end: int = 0


class NewJob(NamedTuple):
    """A checked job on its way into the store. `data` is JSON text.

    The fields are those of a JobRecord that a new job may have, in the same order; behind them are the `parents` that
    it waits for, which the store keeps apart.
    """

    id: str
    name: str
    data: str
    priority: int
    run_at: Instant
    queued_at: Instant
    root_id: str
    max_attempts: int | None = None
    timeout: Seconds | None = None
    expires_at: Instant | None = None
    unique_key: str | None = None
    schedule: str | None = None
    slot: Instant | None = None
    one_at_a_time: int = 0
    due_in: Seconds | None = 0.0
    expires_in: Seconds | None = None
    carried: str | None = None
    group_key: str | None = None
    debounce_key: str | None = None
    debounce_until: Instant | None = None
    parents: tuple[JobParent, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether it has no options besides an id and a priority."""
        return self[7:] == _NO_OPTIONS and self.run_at <= self.queued_at


_NO_OPTIONS = tuple(NewJob._field_defaults.values())


WAITS_FOR_JOBS = 2
"""The `waits` of a job that waits for others, or has shared their fate."""

WAITS_ITS_TURN = 3
"""The `waits` of a job of a group that waits for no other job: it lies in its group's queue."""


class ClaimKey(NamedTuple):
    """The fence of a claim.

    An id may be used again once retention has removed its job, and claim numbers then begin anew; a `row_id` may not.

    Attributes:
        row_id: the number of the job's row.
        claim_no: which claim of the job this is.
    """

    row_id: int
    claim_no: int


class JobRecord(NamedTuple):
    """A job as the store keeps it; the fields are the columns of its table, in order (`stored_name`).

    Attributes:
        row_id: which a store gives once; the order among jobs with the same priority and `run_at`.
        id: the application's name for it, or a generated one.
        data: JSON text, as `queue` was given it.
        state: one of `JobState`.
        priority: higher is claimed first.
        run_at: it is due from this instant on. `queue` sets it, and each retry, snooze and requeue anew.
        queued_at: when it was queued first; a requeue leaves it.
        root_id: the id of the job, or of its root.
        attempt: how many attempts the retry policy has counted so far; a requeue sets it to 0.
        claim_no: the fence; it rises with every claim and never falls.
        settled_no: the `claim_no` whose ending was accepted last; distinguishes a repeated ending from a stale one.
        max_attempts, timeout: its own limits, instead of its handler's; the timeout in seconds.
        expires_at: if no attempt was made by then, it is cancelled; the end of an attempt and a requeue clear it.
        unique_key: no other unfinished job of its name may have this.
        schedule, slot: the id of the schedule that queued it, and the instant of its slot.
        one_at_a_time: whether it waits while another job of its schedule runs (overlap="queue_one").
        boot: the runtime that holds the claim of a running job, or whose claim has ended it. A claim sets it;
            everything that puts the job back into the queue clears it.
        incarnation: that of the HandlerActor which was given the claim; the claim's ending clears it.
        counts_attempt: whether the claim was taken for an idle lane: an interruption is then blamed on the job.
        deferred: whether its handler has returned without ending it (auto_done=False).
        claimed_at: when its newest claim was made; a requeue clears it.
        interruptions: the blamed ones since it was queued or requeued that counted at the last of them.
        interruptions_max: its handler's limit; the claim notes it, for the boot that finds the runtime dead.
        suspect_until: until then it runs alone among suspects; set after two blamed interruptions.
        must_begin: whether its next claim must be one for an idle lane, not one in advance.
        result: JSON text of what its handler returned, or `mark_done` was given.
        reason: why it is in its state, in one line.
        error, traceback: the last attempt's error, in one line, and its traceback.
        progress: JSON text of its handler's last report.
        ended_at: when it became done, dead or cancelled; retention counts from then.
        move_no: how many moves it has made. 0 or below while a host's own transaction has moved it and no turn has
            counted that yet; then it is minus the counted ones.
        waits: 1 if a delay or a back-off made it wait when it was queued last; `WAITS_FOR_JOBS` if it waits for other
            jobs, or has shared the fate of one of these; `WAITS_ITS_TURN` if it has a group; 0 otherwise.
        due_in: how many seconds it was to wait when `run_at` was set; None if that is a given instant.
        expires_in: the same of `expires_at`.
        carried: JSON text of the application's carriers when it was queued.
        group_key: its group; the groups of a name take turns.
        debounce_key: the key of its debounced calls.
        debounce_until: while it holds that key, the latest due time: no call puts it off any further. Its claim
            releases the key and clears this, as every other change does.
    """

    row_id: int
    id: str
    name: str
    data: str
    state: str
    priority: int
    run_at: Instant
    queued_at: Instant
    root_id: str
    attempt: int = 0
    claim_no: int = 0
    settled_no: int = 0
    max_attempts: int | None = None
    timeout: Seconds | None = None
    expires_at: Instant | None = None
    unique_key: str | None = None
    schedule: str | None = None
    slot: Instant | None = None
    one_at_a_time: int = 0
    boot: str | None = None
    incarnation: int | None = None
    counts_attempt: int = 0
    deferred: int = 0
    claimed_at: Instant | None = None
    interruptions: int = 0
    interruptions_max: int | None = None
    suspect_until: Instant | None = None
    must_begin: int = 0
    result: str | None = None
    reason: str | None = None
    error: str | None = None
    traceback: str | None = None
    progress: str | None = None
    ended_at: Instant | None = None
    move_no: int = 1
    waits: int = 0
    due_in: Seconds | None = 0.0
    expires_in: Seconds | None = None
    carried: str | None = None
    group_key: str | None = None
    debounce_key: str | None = None
    debounce_until: Instant | None = None

    @property
    def key(self) -> ClaimKey:
        return ClaimKey(self.row_id, self.claim_no)

    @property
    def is_linked(self) -> bool:
        """Whether it waits for other jobs, or has ended with one of them: they decide its fate."""
        return self.waits == WAITS_FOR_JOBS

    @property
    def is_counted(self) -> bool:
        """Whether all its moves are counted, so that the log has them."""
        return self.move_no > 0


_STORED = {"row_id": "no", "root_id": "corr", "move_no": "rev"}


def stored_name(field: str) -> str:
    """The column, and the key in a message, of a field of a `JobRecord`."""
    return _STORED.get(field, field)


class Claim(NamedTuple):
    """A broker's grant of one job to one lane of one HandlerActor."""

    job: JobRecord

    @property
    def key(self) -> ClaimKey:
        return ClaimKey(self.job.row_id, self.job.claim_no)

    @property
    def token(self) -> str:
        """The job's id and the number of the claim, as a string for transport."""
        return f"{self.job.id}:{self.job.claim_no}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One ended claim, as the store keeps it for a job's history."""

    job_id: str
    claim_no: int
    attempt: int
    outcome: str
    boot: str
    begun: bool
    claimed_at: Instant
    ended_at: Instant
    error: str | None
    traceback: str | None


class Transition(NamedTuple):
    """One change of a job's state.

    Attributes:
        event: the name of its event.
        job: the job after the change; its `move_no` counts this move.
        before: its state before, None for a new job.
        fields: further fields of the event.
        boot_was: the boot whose claim it ended, if it ended one.
        who: its attribution.
    """

    event: str
    job: JobRecord
    before: str | None
    fields: Mapping[str, Any]
    boot_was: str | None = None
    who: Attribution = UNATTRIBUTED
