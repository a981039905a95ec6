"""A lane: one run of one job, and the calls that it lends the job's function."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..api.job import Job
from ..environment.clock import Clock
from ..environment.environment import Environment
from ..errors import UsageError, check_seconds
from ..messages.jobs import Claim, Instant, JobRecord, JobSpec, NewJob, Seconds
from ..messages.mail import Progressed
from ..messages.outcomes import Outcome, OutcomeKind, Policy
from ..messages.steps import KeepStep, StepRecord
from ..rules.limits import Limits
from ..rules.new_jobs import FollowUps
from .carriers import Carriers
from .handler import Handler

if TYPE_CHECKING:
    from ..log.job_output import JobOutput
    from .pool import ThreadCounter
    from .steps import AttemptSteps

PROGRESS_SECONDS_MIN = 0.1
"""The shortest interval between two progress reports; quicker ones are merged."""


class LaneSubmitter(Protocol):
    """How handlers queue jobs, and keep steps of theirs."""

    @property
    def awaiting(self) -> LaneSubmitter:
        """Each call of this one returns an awaitable, and does not block."""

    def submit(self, call: str, jobs: Any, root_id: str, *, one: bool = False) -> Any:
        """Queue jobs that descend from a root, all of them or none; with `one`, a single one. `call` is its name."""

    def check_follow_ups(
        self, jobs: Iterable[JobSpec | tuple[str, Any]], root_id: str, said: FollowUps, first: int
    ) -> tuple[NewJob, ...]:
        """Jobs that are queued when another ends, checked. One that is given no id has "" until then. They may wait for
        the `first` ones that were `said` before.
        """

    def parents(self, row_id: int, after: int) -> Sequence[Job[Any]]:
        """Up to one page of a job's parents, by its `row_id`, after the first `after`."""

    def check_step(self, *, blocks: bool) -> None:
        """Check that a step can be kept, before its function is called; with `blocks`, by a waiting thread."""

    def check_claim(self, claim: Claim, name: str) -> None:
        """Check in the store that a claim holds its job, before the function of a step is called."""

    def kept_steps(self, job: JobRecord) -> Sequence[StepRecord]:
        """The steps that earlier claims of a running job have kept."""

    def keep_step(self, step: KeepStep, connection: Any = None) -> Any:
        """Keep a step, by a connection in its application's transaction: the JSON text that is kept under its name."""

    def sent(self, claim: Claim, name: str, *, is_over: bool) -> StepRecord | None:
        """What has ended the wait for a signal, if anything has; if its time is over, something has."""


class LaneContext(NamedTuple):
    """The parts that the runtime lends to every lane.

    Attributes:
        tell: sends a message to an actor, from any thread.
        headcount: of the worker threads.
        stopping: set from when the runtime begins to stop.
        ended: `Lanes.ended`, called once with the lane, its outcome, its duration, and the lane that has got its place;
            from any thread.
        bound: makes a logger of the application with the given fields bound.
        carriers: the application's contexts around each run.
    """

    clock: Clock
    limits: Limits
    environment: Environment
    thread_counter: ThreadCounter
    stopping: threading.Event
    tell: Callable[..., bool]
    ended: Callable[[Lane, Outcome, Seconds, Lane | None], None]
    submitter: LaneSubmitter
    bound: Callable[..., Any]
    say: Callable[..., None]
    carriers: Carriers


class RunHandle:
    """A lane's access to its thread, task or child. Every lane begins with this one, which has none."""

    def is_alive(self) -> bool:
        return True

    def stack(self, lane: Lane) -> str:
        """The function's current traceback; empty when it does not run."""
        return ""

    def interrupt(self, lane: Lane) -> None:
        """Forward the signal: cancel a task, notify a child."""

    def unbegun(self, lane: Lane) -> str:
        """Why the function, which has not begun, is delayed."""
        return "its worker is still being started"

    def kill(self, lane: Lane) -> None:
        """Kill the lane, where that is possible."""

    def begin_stop(self, lane: Lane) -> None:
        """Forward that the runtime stops: notify a child."""


NO_HANDLE = RunHandle()


@dataclass(slots=True, eq=False)
class Lane:
    """One run of one job. Runners start it; its HandlerActor signals and abandons it; it ends once.

    Attributes:
        grace_is_over: it was given up and its grace is over: the job need not wait for it any more.
        is_closed: the function has ended, so that the lane cannot be given up any more.
        shortage: why no child process could be started for it, so that its function was not called.
        is_own: its thread has made its claim itself, in the lane before, and may well make the next.
        progress: the last report of the function, as JSON text, whether it has been sent yet or not.
        _signal: the event at which `sleep` waits. It is made when needed: most jobs never sleep, and making it is a
            good part of a short job's cost.
        _follow_ups: the jobs that are queued if the function returns; made when needed.
    """

    id: int
    handler: Handler
    claim: Claim
    context: LaneContext
    _next_lane: Callable[[Lane], Lane | None]
    started_at: Instant = field(init=False)
    started_monotonic: Seconds = field(init=False)
    reason: str | None = None
    abandoned_because: str | None = None
    grace_is_over: bool = False
    is_closed: bool = False
    is_said_slow: bool = False
    is_own: bool = False
    shortage: str | None = None
    handle: RunHandle = NO_HANDLE
    _begun: bool = False
    _is_reported: bool = False
    _signal: threading.Event | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _then: tuple[Callable[[], object], ...] = ()
    _follow_ups: FollowUps | None = None
    _steps: AttemptSteps | None = None
    _output: JobOutput | None = None
    progress: str | None = None
    _is_progress_waiting: bool = False
    _progress_due: Seconds = 0.0

    def __post_init__(self) -> None:
        self.started_at, self.started_monotonic = self.context.clock.now(), self.context.clock.monotonic()

    @property
    def timeout(self) -> Seconds | None:
        return self.claim.job.timeout if self.claim.job.timeout is not None else self.handler.timeout

    def signal(self, reason: str) -> None:
        """Ask the function to end: it sees `job.cancelled`, and `job.sleep` returns."""
        with self._lock:
            self.reason, signal = reason, self._signal
        if signal is not None:
            signal.set()
        self.handle.interrupt(self)

    def begin_stop(self) -> None:
        """The runtime stops: the function sees `job.stopping`, and `job.sleep` returns; its result still counts."""
        with self._lock:
            signal = self._signal
        if signal is not None:
            signal.set()
        self.handle.begin_stop(self)

    def abandon(self, why: str, *, unbegun: bool = False) -> bool:
        """Give the lane up: its results are ignored, and its thread is not used again.

        False when the lane has ended, and its HandlerActor has not read that yet; with `unbegun`, also when its
        function has begun.
        """
        with self._lock:
            if self.is_closed or (unbegun and self._begun):
                return False
            self._pass_progress()
            self.abandoned_because = why
        if not self.cancelled:
            self.signal(why)
        self.handle.kill(self)
        return True

    def begin(self) -> bool:
        """Call before the function. False when it must not be called: the lane was given up, taken back or ended."""
        failpoints = self.context.environment.failpoints
        if failpoints.is_live:
            failpoints.at("lane.begin", self)
        with self._lock:
            if self.handler.kind != "thread":
                # The timeout begins here: imports in a child or a blocked event loop may have delayed it.
                self.started_at, self.started_monotonic = self.context.clock.now(), self.context.clock.monotonic()
            # Closed: its event loop was given up, and the job may run again elsewhere by now.
            self._begun = self.abandoned_because is None and not self.is_closed
        return self._begun

    @property
    def unbegun(self) -> str | None:
        return None if self._begun else self.handle.unbegun(self)

    def take_back(self, why: str) -> bool:
        """Prevent the call of the function. False when it has been called."""
        with self._lock:
            if not self._begun and not self.is_closed:
                self.abandoned_because = why
            return not self._begun and not self.is_closed

    def close(self) -> bool:
        """Prevent that the lane is given up. True for the one caller who must then finish it."""
        with self._lock:
            first, self.is_closed = not self.is_closed, True
        return first

    def pass_on(self) -> Lane | None:
        """The function has ended: close the lane, and give its place to the next claim, whose lane is returned.
        The caller finishes this lane and runs the returned one.
        """
        # What the system has not given for this lane, it would not give for the next one.
        is_free = self.close() and self.abandoned_because is None and self.shortage is None
        following = self._next_lane(self) if is_free else None
        if following is not None:
            following.handle = self.handle
        return following

    def finish(self, outcome: Outcome, following: Lane | None = None) -> None:
        """Report how the lane has ended, and which lane has its place now. Only the first call counts."""
        is_first = False
        try:
            with self._lock:
                if self._is_reported:
                    return
                self._pass_progress()
                is_first = self._is_reported = self.is_closed = True
                if self._follow_ups is not None and outcome.kind is OutcomeKind.SUCCEEDED:
                    outcome = outcome._replace(then=tuple(self._follow_ups.jobs))
                outcome = self.with_log(outcome)
            self.context.ended(self, outcome, self.context.clock.monotonic() - self.started_monotonic, following)
        except BaseException:
            # The report has failed, so another call, or the watch that finds the thread dead, may still make it.
            if is_first:
                self._is_reported = False
            raise
        with self._lock:
            then, self._then = self._then, ()
        for call in then:
            call()

    @property
    def output(self) -> str | None:
        """The last lines that the function has logged by `job.log`, as JSON text; None if there are none."""
        return None if self._output is None else self._output.text()

    def with_log(self, outcome: Outcome) -> Outcome:
        """An outcome, with the output of the function."""
        return outcome if self._output is None else outcome._replace(log=self.output)

    def when_ended(self, call: Callable[[], object]) -> None:
        """Call a function once the end of the lane is reported; at once if it is already."""
        with self._lock:
            if not self._is_reported:
                self._then = (*self._then, call)
                return
        call()

    @property
    def is_lost(self) -> bool:
        """Whether the thread, task or child is dead and the lane's end was not reported."""
        # In this order: a lane whose end is reported and whose thread dies between the two looks is not lost.
        return not self.handle.is_alive() and not self._is_reported

    def stack(self) -> str:
        return self.handle.stack(self)

    def fields(self) -> dict[str, Any]:
        job = self.claim.job
        return {"job_id": job.id, "job_name": job.name, "claim_no": job.claim_no, "attempt": job.attempt + 1}

    def start_fields(self) -> dict[str, Any]:
        job = self.claim.job
        waited = round(self.started_at - (job.claimed_at or self.started_at), 6)
        return {"corr": job.root_id, **self.fields(), "handler": self.handler.id, "lane": self.id, "waited": waited}

    @property
    def cancelled(self) -> bool:
        return self.reason is not None

    @property
    def stopping(self) -> bool:
        return self.context.stopping.is_set()

    @property
    def policy(self) -> Policy:
        return self.handler.policy

    @property
    def times_out_at(self) -> Instant | None:
        """The deadline, if the job has a timeout and its function has begun."""
        return self.started_at + self.timeout if self._begun and self.timeout is not None else None

    @property
    def deadline(self) -> datetime | None:
        instant = self.times_out_at
        return None if instant is None else datetime.fromtimestamp(instant, UTC)

    @property
    def log(self) -> Any:
        with self._lock:
            if self._output is None:
                # Imported where it is needed: most handlers do not log by it.
                from ..log.job_output import JobOutput

                self._output = JobOutput(self.context.clock.now)
        return self._output.of(self.context.bound(**self.fields(), corr=self.claim.job.root_id))

    def sleep(self, seconds: Seconds) -> bool:
        seconds = check_seconds(seconds, "seconds")
        with self._lock:
            signal = self._signal = self._signal or self.context.environment.event()
        return not (self.cancelled or self.stopping or signal.wait(seconds))

    def report(self, progress: str) -> None:
        with self._lock:
            if self._is_reported or self.abandoned_because is not None:
                return
            waiting, self._is_progress_waiting, self.progress = self._is_progress_waiting, True, progress
            left = self._progress_due - self.context.clock.monotonic()
            if left <= 0.0:
                self._pass_progress()
            if waiting or left <= 0.0:
                return
        self.context.clock.after(left, self._progress_is_due)

    def submit(self, call: str, jobs: Any, *, one: bool = False, awaits: bool = False) -> Any:
        submitter = self.context.submitter.awaiting if awaits else self.context.submitter
        return submitter.submit(call, jobs, self.claim.job.root_id, one=one)

    def then(self, jobs: Sequence[JobSpec]) -> None:
        if not self.handler.auto_done:
            raise UsageError(
                "expected job.then in a handler whose return ends the job, got one with auto_done=False; say "
                "jobs.mark_done(..., then=[...])"
            )
        said = self.follow_ups
        first = len(said.jobs)
        new = self.context.submitter.check_follow_ups(jobs, self.claim.job.root_id, said, first)
        for column in self.handler.hands_down:
            own = {column: getattr(self.claim.job, column)}
            new = tuple(job if getattr(job, column) else job._replace(**own) for job in new)
        with self._lock:
            if self.is_closed:
                raise UsageError("expected job.then before the handler has returned, got it after that")
            said.add(new, jobs, first)

    @property
    def follow_ups(self) -> FollowUps:
        """The jobs that `job.then` has named so far, to be added to."""
        with self._lock:
            self._follow_ups = self._follow_ups or FollowUps(self.context.limits)
            return self._follow_ups

    def said(self) -> Sequence[NewJob]:
        """The jobs that `job.then` has named so far."""
        with self._lock:
            return () if self._follow_ups is None else tuple(self._follow_ups.jobs)

    def parents(self, after: int) -> Sequence[Job[Any]]:
        return self.context.submitter.parents(self.claim.job.row_id, after)

    @property
    def steps(self) -> AttemptSteps:
        with self._lock:
            if self._steps is None:
                # Imported where it is needed: most handlers have no steps.
                from .steps import AttemptSteps

                self._steps = AttemptSteps(self)
        return self._steps

    def left_steps(self, outcome: Outcome) -> AttemptSteps | None:
        """The steps, if there are any and another attempt may follow."""
        return None if outcome.kind in (OutcomeKind.SUCCEEDED, OutcomeKind.DEFERRED) else self._steps

    def _progress_is_due(self) -> None:
        with self._lock:
            self._pass_progress()

    def _pass_progress(self) -> None:
        """Send a waiting progress report. The caller holds the lock, so that the lane's end comes after it."""
        waiting, self._is_progress_waiting = self._is_progress_waiting, False
        if waiting and self.progress is not None:
            self._progress_due = self.context.clock.monotonic() + PROGRESS_SECONDS_MIN
            self.context.tell("broker", Progressed(self.claim.key, self.progress, self.claim.job.boot))
