"""The messages between actors. Commands are verbs, facts are in the past tense.

Those between the supervisor and its children stand first. Every message travels in a `Mail`, whose ids connect the
lines of the log.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from .jobs import UNATTRIBUTED, Attribution, Claim, ClaimKey, Instant, NewJob, Seconds
from .names import NameLimits
from .outcomes import Outcome, Policy
from .queries import JobQuery
from .schedules import Accounting, HostChange, ScheduleRecord


class Died(NamedTuple):
    """An actor's loop has ended. Sent from the `finally` around it, on its own thread; and by the supervisor to the
    JobBroker, before it starts the next incarnation.

    Attributes:
        over: the message that it was handling.
        is_anothers: whether the error came to a thread of the application, which stood in for its own.
    """

    child: str
    incarnation: int
    reason: str
    traceback: str | None = None
    over: Mail | None = None
    is_anothers: bool = False


class StartChild(NamedTuple):
    """Start a child of the family, unless it lives already."""

    child: str


class StopChild(NamedTuple):
    """Stop a child for good."""

    child: str


class StopFamily(NamedTuple):
    """Stop every child for good, the last one first."""


class StartNow(NamedTuple):
    """The back-off of a child is over, or cut short."""

    child: str
    incarnation: int


class Reply(Protocol):
    """The destination of an answer: an application's thread or task waits at its other end."""

    def cancelled(self) -> bool:
        """Whether the caller has given up; its mail is then skipped."""

    def answer(self, value: Any, error: BaseException | None) -> None:
        """Give the answer, or the error that refuses it. Only the first counts."""


class Mail(NamedTuple):
    """The envelope of every message.

    Attributes:
        message_id: unique in its boot.
        cause: the message that was being handled when it was sent; None from an application's thread or the clock.
        root_id: its root: the id of the job that an application queued, or of the slot that fired.
        sent_at: by the wall clock.
    """

    message_id: int
    cause: int | None
    root_id: str | None
    sent_at: Instant
    body: Any


# An application's thread sends these to the JobBroker, which answers each through its `reply`, if there is one. Acts
# have their attribution in `who`.


class Queue(NamedTuple):
    """Store these jobs, all or none. Answered with a list of (record, fresh)."""

    jobs: tuple[NewJob, ...]
    reply: Reply | None
    who: Attribution = UNATTRIBUTED


class Requeue(NamedTuple):
    """Put a job at the back of the queue with its attempts reset; `afresh`, without its kept steps."""

    job_id: str
    delay: Seconds
    reply: Reply | None
    who: Attribution = UNATTRIBUTED
    afresh: bool = False


class RequeueMany(NamedTuple):
    """`Requeue` those of these jobs that still match a query; the answer is their number."""

    job_ids: tuple[str, ...]
    query: JobQuery
    delay: Seconds
    reply: Reply | None
    who: Attribution = UNATTRIBUTED
    afresh: bool = False


class CancelMany(NamedTuple):
    """End those of these jobs that still match a query as cancelled; the answer is their number."""

    job_ids: tuple[str, ...]
    query: JobQuery
    reply: Reply | None
    who: Attribution = UNATTRIBUTED


class MarkDone(NamedTuple):
    """End a job as done, and queue its follow-ups.

    Without `claim_no` it must be queued; without `row_id` and `boot` only a token is known. `progress` is the last
    report of an attempt that runs here.
    """

    job_id: str
    row_id: int | None
    claim_no: int | None
    boot: str | None
    result: str | None
    then: tuple[NewJob, ...]
    reply: Reply | None
    who: Attribution = UNATTRIBUTED
    progress: str | None = None


class CancelJob(NamedTuple):
    """End a queued or running job as cancelled."""

    job_id: str
    reply: Reply | None
    who: Attribution = UNATTRIBUTED


class Reprioritize(NamedTuple):
    """Give a queued job another priority."""

    job_id: str
    priority: int
    reply: Reply | None
    who: Attribution = UNATTRIBUTED


class ForgetJob(NamedTuple):
    """Remove a job that has ended."""

    job_id: str
    reply: Reply | None
    who: Attribution = UNATTRIBUTED


class Pause(NamedTuple):
    """Start no job of this name, on any runtime of the store, until it is resumed, or until an instant."""

    name: str
    paused: bool
    reply: Reply | None
    who: Attribution = UNATTRIBUTED
    until: Instant | None = None


class Limit(NamedTuple):
    """Start jobs of this name only while fewer than so many run over the whole store; None for no limit."""

    name: str
    most: int | None
    reply: Reply | None
    who: Attribution = UNATTRIBUTED


class WatchExternalCommit(NamedTuple):
    """The application's own transaction holds this job, or a change of this schedule: look for it until it appears, or
    until monotonic time is `give_up_at`.

    Attributes:
        id: the job's or the schedule's.
        state: the required state of the job; None for any.
        change: the schedule's.
        move_no: how many moves the job must have made, and be counted.
    """

    id: str
    state: str | None
    give_up_at: Seconds
    change: HostChange | None = None
    move_no: int = 1

    @property
    def key(self) -> tuple[bool, str]:
        return self.change is not None, self.id


class Declare(NamedTuple):
    """Store the definitions of schedules, so that their memory outlives the runtime."""

    schedules: tuple[ScheduleRecord, ...]
    reply: Reply | None


class Retire(NamedTuple):
    """The application has removed one of the schedules that it had declared."""

    schedule_id: str
    job_name: str
    reply: Reply


class Forget(NamedTuple):
    """Remove a durable schedule."""

    schedule_id: str
    reply: Reply | None
    who: Attribution = UNATTRIBUTED


class PauseSchedule(NamedTuple):
    """Let the slots of a schedule pass, or no longer."""

    schedule_id: str
    paused: bool
    reply: Reply | None
    who: Attribution = UNATTRIBUTED


# The clock, the hint socket and the supervisor send these to the JobBroker.


class CheckDue(NamedTuple):
    """Something may be due by now, or another process may have changed the file.

    Attributes:
        foreign: whether it came from another process (a hint, or the poll that replaces a lost one).
        poll: whether it is that poll, which also checks whether the others still live.
    """

    foreign: bool = False
    poll: bool = False


class Housekeep(NamedTuple):
    """Remove a batch of ended jobs by retention."""


class ClockJumped(NamedTuple):
    """Wall time moved against monotonic time; the broker's memory has the amount."""


class Drain(NamedTuple):
    """The runtime is stopping: claim nothing more, and give back what has not been started."""


class QuietSwitched(NamedTuple):
    """This boot was made quiet, or claims again: the broker's memory has which."""

    reply: Reply | None


class ReleaseClaims(NamedTuple):
    """The boot ends: interrupt the claims that it still holds."""

    reply: Reply


# A HandlerActor sends these to the JobBroker.


class Capacity(NamedTuple):
    """The jobs that a HandlerActor can take, and the claims that it holds, settled or not. Sent on each change.

    Attributes:
        lanes: how many jobs may run at once.
        prefetch: how many more claims it may hold.
        limits: those of its name over the whole store.
        policy: of its handlers; None where there is none.
        held: the keys of every claim it holds, started or not.
        answers: the last `Resync` that it has read; 0 if none came.
    """

    name: str
    incarnation: int
    lanes: int
    prefetch: int
    limits: NameLimits
    policy: Policy | None
    held: tuple[ClaimKey, ...]
    answers: int


class Ending(NamedTuple):
    """The ending of a claim. Kept by its HandlerActor until it is settled.

    Attributes:
        late: whether the lane had been given up before it ended.
        seconds: how long the lane ran.
    """

    claim: Claim
    outcome: Outcome
    policy: Policy
    late: bool = False
    seconds: Seconds = 0.0


class Ended(NamedTuple):
    """Claims on jobs of this name have ended: all so far, in order."""

    name: str
    endings: tuple[Ending, ...]


class GiveBack(NamedTuple):
    """These claims were not started: put the jobs back where they were, if the claims still count."""

    name: str
    claims: tuple[Claim, ...]


class Progressed(NamedTuple):
    """The progress that a running job reports, as JSON text."""

    key: ClaimKey
    progress: str
    boot: str | None


# The JobBroker sends these to a HandlerActor.


class Run(NamedTuple):
    """Run these claims.

    Attributes:
        settled: endings that are recorded (or refused for good): forget them.
    """

    claims: tuple[Claim, ...]
    settled: tuple[ClaimKey, ...]


class Settled(NamedTuple):
    """These endings are recorded, or refused for good: forget them. A `Run` carries the same, where there is one to
    send.
    """

    keys: tuple[ClaimKey, ...]


class Revoke(NamedTuple):
    """The job was cancelled, requeued or ended elsewhere: signal the lane."""

    key: ClaimKey
    reason: str


class Paused(NamedTuple):
    """Its name is paused, or the boot quiet: give back unstarted claims, and then answer the caller of `pause`."""

    reply: Reply | None


class Resync(NamedTuple):
    """Send `Capacity`, and send again every ending that is not settled: the broker is new, or has lost track.

    Attributes:
        sync_id: the number of this question, unique in its boot.
        boot: the boot that asks. Claims of any other boot are lost.
    """

    sync_id: int
    boot: str


# A lane, the clock and an application's thread send these to a HandlerActor.


class LanesEnded(NamedTuple):
    """Lanes have ended, and maybe more by the time this is read: `Lanes.take_ended` has all of them."""


class DeadlinePassed(NamedTuple):
    """A lane is still at work when its time is up."""

    lane_id: int


class GraceOver(NamedTuple):
    """The grace of an old lane is over, or it has ended: its job may be started again."""

    lane_id: int


class LanesAiling(NamedTuple):
    """The thread or loop of lanes is dead, so their endings will not be reported; or they have not begun in time; or
    they have run far longer than is usual.
    """


class Unstarted(NamedTuple):
    """Prefetched claims have waited long enough."""


class Attach(NamedTuple):
    """The handlers of this name have changed."""


class Detach(NamedTuple):
    """A handler was removed; its running jobs finish, or are given back after `drain` seconds."""

    handler_id: str
    drain: Seconds | None


class Interrupt(NamedTuple):
    """End all running jobs, as interrupted and unblamed. None means every handler of the name."""

    handler_id: str | None
    reason: str


# The SchedulerActor sends and gets these.


class Tick(NamedTuple):
    """Slots of a schedule are due: account for them, if the schedule has not changed since `change_no`."""

    schedule_id: str
    change_no: int
    accounting: Accounting


class Ticked(NamedTuple):
    """The slots of schedules are stored: (id, accounted to, new `change_no`) of each."""

    accounts: tuple[tuple[str, Instant, int], ...]


class Wake(NamedTuple):
    """A slot may be due; with `reload`, another process may have changed schedules."""

    reload: bool = False


class SchedulesChanged(NamedTuple):
    """Schedules were declared, or accounted for elsewhere (`records`), or removed (`gone`, their ids)."""

    records: tuple[ScheduleRecord, ...] = ()
    gone: tuple[str, ...] = ()
