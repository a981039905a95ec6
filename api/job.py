"""`Job`: what a handler gets, and what the calls of the Jobs API return."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, Unpack, cast, overload

from ..errors import Cancel, Discard, ResultLost, Retry, Snooze, UsageError
from ..messages.jobs import Claim, HandlesJobs, JobKeywords, JobRecord, JobSpec, JobState, JobTypes, Seconds
from ..messages.outcomes import Policy
from ..messages.steps import NoSignal
from ..rules.codec import decode, encode
from ..rules.lifecycle import awaited_signal, class_names
from ..rules.lifecycle import is_tried_again as is_retried
from ..rules.new_jobs import as_spec, spec_of

PROGRESS_BYTES_MAX = 4096
"""JSON text of one progress report."""

if TYPE_CHECKING:
    # Only from Python 3.13 on, `typing` has type variables with a default.
    from typing_extensions import TypeVar

    from .job_steps import Step, StepContext

    T = TypeVar("T")
    R = TypeVar("R", default=Any)
else:
    from typing import TypeVar

    T, R = TypeVar("T"), TypeVar("R")

P = ParamSpec("P")
S = TypeVar("S")
T2 = TypeVar("T2")
R2 = TypeVar("R2")


class JobContext(Protocol):
    """The part that a Job borrows while it runs: the calls that a snapshot cannot answer. Threads, tasks and child
    processes each have their own.
    """

    @property
    def cancelled(self) -> bool:
        """Whether the job has been signalled to end."""

    @property
    def reason(self) -> str | None:
        """Why it has been, if it has."""

    @property
    def policy(self) -> Policy:
        """Its handler's, about attempts."""

    @property
    def stopping(self) -> bool:
        """Whether the runtime has begun to stop."""

    @property
    def deadline(self) -> datetime | None:
        """When its time is up."""

    @property
    def log(self) -> Any:
        """A structlog logger with the job's fields bound."""

    def sleep(self, seconds: Seconds) -> bool:
        """Wait; False when woken by the signal, or because the runtime stops."""

    def report(self, progress: str) -> None:
        """Report progress, as JSON text."""

    def submit(self, call: str, jobs: Any, *, one: bool = False, awaits: bool = False) -> Any:
        """Queue jobs with the same root, all of them or none; with `one`, a single one. With `awaits`, the answer is to
        be awaited. `call` is the name of the call.
        """

    def then(self, jobs: Sequence[JobSpec]) -> None:
        """Keep jobs that are queued if the job ends as done."""

    def parents(self, after: int) -> Sequence[Job[Any]]:
        """Some of the jobs that it has waited for, without the first `after`; none behind the last."""

    @property
    def steps(self) -> StepContext:
        """The steps of this attempt."""


class Job(Generic[T, R]):
    """One job: `Job[X]` has data of the type X. One that a handler object has queued, `Job[X, Y]`, has a result of the
    type Y as well.

    As `jobs.queue`, `get` or `list` return it, it is a snapshot of the stored job, which does not change any more. As a
    handler gets it, it also has a token, a log, and a way to report progress.

    Attributes:
        record: what the store keeps of it, as `JobRecord`; its fields may change from one version to the next.
        deduplicated: whether `queue` found this job there already, by id or unique key, and stored nothing.
        types: by the handler object that has queued it; None for a job that was queued, or found, by its name.
    """

    __slots__ = ("_context", "_data", "deduplicated", "record", "types")

    if not TYPE_CHECKING:

        def __class_getitem__(cls, of: Any) -> Any:
            """`Job[X]` is `Job[X, Any]`."""
            return super().__class_getitem__(of if isinstance(of, tuple) else (of, Any))

    def __init__(
        self,
        record: JobRecord,
        *,
        data: Any = ...,
        context: JobContext | None = None,
        deduplicated: bool = False,
        types: JobTypes | None = None,
    ) -> None:
        self.record = record
        self.deduplicated = deduplicated
        self.types = types
        self._data = data
        self._context = context

    @property
    def id(self) -> str:
        """The job's id."""
        return self.record.id

    @property
    def name(self) -> str:
        """Which handlers it is for."""
        return self.record.name

    @property
    def data(self) -> T:
        """The value it was queued with; validated when the handler asks for a type.

        Raises:
            UsageError: a handler object has queued it, and its stored data is no longer what the handler asks for.
        """
        if self._data is ...:
            stored = decode(self.record.data)
            self._data = stored if self.types is None else self.types.data(stored)
        data: T = self._data
        return data

    @property
    def state(self) -> JobState:
        """`queued`, `running`, `done`, `dead` or `cancelled`, when this snapshot was taken."""
        return JobState(self.record.state)

    @property
    def attempt(self) -> int:
        """While it runs, which attempt this is (1 is the first); otherwise how many have been counted."""
        return self.record.attempt + (self.record.state == JobState.RUNNING)

    @property
    def max_attempts(self) -> int | None:
        """While it runs, after which attempt a failure is its last; otherwise what it was queued with."""
        own = self.record.max_attempts
        return own if own is not None or self._context is None else self._context.policy.max_attempts

    def is_tried_again(self, error: BaseException) -> bool:
        """Whether another attempt follows if this one ends with an error: for whoever cleans up, or tells people."""
        if isinstance(error, Cancel | Discard | Snooze):
            return isinstance(error, Snooze)
        policy = self._lane().policy
        most = policy.max_attempts if self.record.max_attempts is None else self.record.max_attempts
        if self.attempt >= most or isinstance(error, Retry):
            return self.attempt < most
        return is_retried(class_names(type(error)), policy.retry_on, policy.discard_on)

    @property
    def token(self) -> str:
        """Id and claim number, as a string that may travel: whoever has it may `mark_done` this attempt.

        Raises:
            UsageError: this is not a running job.
        """
        if self.record.state != JobState.RUNNING:
            raise UsageError(f"expected a running job, as its handler gets it, got: job {self.id}, {self.state.value}")
        return Claim(self.record).token

    @property
    def priority(self) -> int:
        """Higher runs first."""
        return self.record.priority

    @property
    def group(self) -> str | None:
        """Which of the groups of its name, which take turns, it is of; None of none."""
        return self.record.group_key

    @property
    def unique(self) -> str | None:
        """Its unique key."""
        return self.record.unique_key

    @property
    def debounce(self) -> str | None:
        """The key of the calls of which it is the one job: of `Debounce`."""
        return self.record.debounce_key

    @property
    def schedule(self) -> str | None:
        """The schedule that queued it, if one did."""
        return self.record.schedule

    @property
    def queued_at(self) -> datetime:
        """When it was queued, in UTC."""
        return _time(self.record.queued_at)

    @property
    def run_at(self) -> datetime:
        """From when on it is due, in UTC."""
        return _time(self.record.run_at)

    @property
    def started_at(self) -> datetime | None:
        """When it was claimed last, in UTC: for the attempt that runs, or that ran last. None before that.

        A requeue begins anew. RabbitMQ does not keep it of a job that is queued again.
        """
        return None if self.record.claimed_at is None else _time(self.record.claimed_at)

    @property
    def runs_on(self) -> str | None:
        """The id of the runtime instance (`boot` in the log) that runs it, or that ran it last before it ended. None
        while it is queued, also for a retry, and of a job that has ended in the queue.
        """
        return self.record.boot

    @property
    def ended_at(self) -> datetime | None:
        """When it ended, in UTC."""
        return None if self.record.ended_at is None else _time(self.record.ended_at)

    @property
    def waits(self) -> bool:
        """Whether it waits for other jobs, of which one has not ended yet."""
        return self.record.state == JobState.QUEUED and self.record.is_linked

    @property
    def awaits(self) -> str | None:
        """The name of the signal that it waits for, if it waits for one."""
        return awaited_signal(self.record)

    @property
    def slot(self) -> datetime | None:
        """The instant (UTC) of the schedule that it stands for."""
        return None if self.record.slot is None else _time(self.record.slot)

    @property
    def carried(self) -> dict[str, str]:
        """The headers that the application's carriers gave it when it was queued."""
        return {} if self.record.carried is None else decode(self.record.carried)

    @property
    def result(self) -> R:
        """The value that its handler returned, or `mark_done` was given.

        Raises:
            ResultLost: the job is done, and its result could not be kept.
            UsageError: a handler object has queued it, and its stored result is not what the handler returns.
        """
        record = self.record
        if record.result is None:
            if record.state == JobState.DONE and record.reason is not None:
                raise ResultLost(f"job {self.id} ({self.name}) is done, but {record.reason}")
            return cast("R", None)
        stored = decode(record.result)
        result: R = stored if self.types is None else self.types.result(stored)
        return result

    @property
    def reason(self) -> str | None:
        """Why it is in the state that it is in, in one line."""
        return self.record.reason

    @property
    def error(self) -> str | None:
        """The last error, in one line."""
        return self.record.error

    @property
    def traceback(self) -> str | None:
        """The last error's traceback."""
        return self.record.traceback

    @property
    def progress_report(self) -> dict[str, Any] | None:
        """The last report of the handler by `progress`: `done`, `total`, `note`."""
        return None if self.record.progress is None else dict(decode(self.record.progress))

    def to_dict(self) -> dict[str, Any]:
        """Its visible fields as JSON has them, for an answer of your API: times as ISO 8601 in UTC.

        The data and the result are as they are stored. The traceback is left out: it is for you, and not for whoever
        calls you. A result that was lost is None.
        """
        record = self.record
        return {
            "id": record.id,
            "name": record.name,
            "state": record.state,
            "data": decode(record.data),
            "result": None if record.result is None else decode(record.result),
            "progress": self.progress_report,
            "reason": record.reason,
            "error": record.error,
            "attempt": self.attempt,
            "priority": record.priority,
            "unique": record.unique_key,
            "group": record.group_key,
            "debounce": record.debounce_key,
            "schedule": record.schedule,
            "slot": _text(self.slot),
            "queued_at": _text(self.queued_at),
            "run_at": _text(self.run_at),
            "started_at": _text(self.started_at),
            "runs_on": record.boot,
            "ended_at": _text(self.ended_at),
        }

    def __eq__(self, other: object) -> bool:
        """Two snapshots are equal if the store had the same of the job when they were taken."""
        return isinstance(other, Job) and self.record == other.record

    def __hash__(self) -> int:
        return hash(self.record.id)

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.name} {self.record.state}>"

    @property
    def cancelled(self) -> bool:
        """Whether the handler should end now: timed out, cancelled, requeued, or the drain of a stop is over.

        Whatever it returns after that changes nothing.
        """
        return self._lane().cancelled

    @property
    def cancel_reason(self) -> str | None:
        """Why it is `cancelled`: "timed out", "cancelled", "requeued", "the runtime stopped" or what else has happened.
        None as long as it is not.
        """
        return self._lane().reason

    @property
    def stopping(self) -> bool:
        """Whether the runtime has begun to stop: a handler that cannot finish within the drain should end now.

        How it ends counts. `raise Snooze(0)` puts the job back for the next process, and uses no attempt.
        """
        return self._lane().stopping

    @property
    def deadline(self) -> datetime | None:
        """When this attempt times out, in UTC."""
        return self._lane().deadline

    @property
    def log(self) -> Any:
        """A structlog logger that carries the job's fields."""
        return self._lane().log

    def sleep(self, seconds: Seconds) -> bool:
        """Wait. True after the whole time; False, at once, when the job is `cancelled` or the runtime is `stopping`.

        It blocks its thread. A coroutine awaits `asyncio.sleep` instead, which is cancelled by the signal.
        """
        return self._lane().sleep(seconds)

    def progress(self, done: float, total: float | None = None, note: str | None = None) -> None:
        """Say how far the job is; others see it as `jobs.get(id).progress_report`.

        Cheap enough for a loop: reports in quick succession are merged.

        Raises:
            UsageError: it is not JSON-serializable in `PROGRESS_BYTES_MAX`.
        """
        report = {"done": done, "total": total, "note": note}
        self._lane().report(encode(report, what="progress", bytes_max=PROGRESS_BYTES_MAX, mends=True))

    def queue(self, name: str, data: Any = None, **options: Unpack[JobKeywords]) -> Job[Any]:
        """Queue another job that descends from this one in the log; see `jobs.queue`. Works in child processes too."""
        queued: Job[Any] = self._lane().submit("job.queue", spec_of("job.queue", name, data, options), one=True)
        return queued

    async def aqueue(self, name: str, data: Any = None, **options: Unpack[JobKeywords]) -> Job[Any]:
        """`queue` for a handler that is a coroutine function: the other jobs of its loop go on meanwhile."""
        spec = spec_of("job.aqueue", name, data, options)
        queued: Job[Any] = await self._lane().submit("job.aqueue", spec, one=True, awaits=True)
        return queued

    def queue_many(self, jobs: Iterable[JobSpec | tuple[str, Any]]) -> list[Job[Any]]:
        """`queue` many at once: all of them, or none; see `jobs.queue_many`."""
        queued: list[Job[Any]] = self._lane().submit("job.queue_many", jobs)
        return queued

    async def aqueue_many(self, jobs: Iterable[JobSpec | tuple[str, Any]]) -> list[Job[Any]]:
        """`queue_many` for a handler that is a coroutine function."""
        queued: list[Job[Any]] = await self._lane().submit("job.aqueue_many", jobs, awaits=True)
        return queued

    def then(self, *jobs: JobSpec | tuple[str, Any]) -> list[JobSpec]:
        """Queue jobs if and only if this one ends as done: they are stored with its end, or not at all.

        Any other end of this attempt drops them: an error, a timeout, a `Snooze`, a cancel, a requeue, the death of its
        process. A job that must follow any end is queued before, with `after_ended=` this one. Called twice, it adds.
        A job without an id gets this job's with two numbers, such as `.1.1` and `.1.2`, of which the first
        rises with each retry and requeue. A `delay` counts from the end of this job. Works in child processes too.

        Args:
            jobs: `JobSpec` objects or (name, data) pairs, at most `then_jobs_max`, with `then_bytes_max` of data.

        Returns:
            A JobSpec for each: `after` and `after_ended` of later calls in this attempt may name them.

        Raises:
            UsageError: one of them cannot be, or they are too many: none of this call is kept. Or `auto_done=False`:
                `jobs.mark_done` takes them. Or the function of a step says it, which no later attempt calls again.
            UnknownJob: one of them is to wait for a job that is not in the store.
        """
        from .job_steps import check_outside_steps

        check_outside_steps(self.id)
        specs = list(map(as_spec, jobs))
        self._lane().then(specs)
        return specs

    @overload
    def parents(self) -> Sequence[Job[Any]]: ...

    @overload
    def parents(self, of: HandlesJobs[T2, R2]) -> Sequence[Job[T2, R2]]: ...

    def parents(self, of: HandlesJobs | None = None) -> Sequence[Job[Any]]:
        """The jobs that it has waited for, with their states, results and errors: those of `after` in their order, then
        those of `after_ended`. They are read some at a time, whenever they are asked for. Works in child processes too;
        elsewhere, see `jobs.parents`. With a handler object, only jobs of its name, with data and results of its types.

        Raises:
            UnknownJob: retention has removed one of them, as this job was done before and was requeued.
        """
        return Parents(self._lane().parents, of)

    def step(self, name: str | Step, fn: Callable[P, S], /, *args: P.args, **kwargs: P.kwargs) -> S:
        """Call a function once, and keep what it returns: whoever runs this job again gets the same, without a call.

        The result is returned only once it is durable, read back from JSON also the first time, as the type that the
        function is annotated to return. A crash between the function's return and that moment repeats the function:
        give it a key that says what it is for. Its errors are not kept. Kept steps are found by their names, in
        whatever order the attempt comes to them, and are removed when the job is done. Works in child processes, and
        in several threads of a handler side by side. After a timeout, a cancel or the death of its process an attempt
        takes no more steps: what must be undone then is for a job that waits with `after_ended=` this one.

        Args:
            name: of the step, 1 to 200 characters; each step of a job has its own. A `Step` has options beside it:
                retries within the attempt, a timeout, a way to read what an earlier version kept.
            fn: called with the other arguments.

        Raises:
            StaleClaim: the attempt no longer holds the job; nothing is kept.
            UsageError: the attempt has come to this name already, or has ended; the result is not JSON-serializable,
                too large, or not what the function is annotated to return; or this is an event loop, where `astep`
                belongs.
            NotSupported: the store is a RabbitMQ.
            StoreUnavailable: no answer in time; the result may have been kept.
        """
        # Imported where they are needed: most handlers have no steps.
        from .job_steps import call_step, checked_step

        return call_step(self.id, self._lane(), checked_step(name, fn), fn, *args, **kwargs)

    @overload
    async def astep(
        self, name: str | Step, fn: Callable[P, Coroutine[Any, Any, S]], /, *args: P.args, **kwargs: P.kwargs
    ) -> S: ...

    @overload
    async def astep(self, name: str | Step, fn: Callable[P, S], /, *args: P.args, **kwargs: P.kwargs) -> S: ...

    async def astep(self, name: str | Step, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """`step` for a handler that is a coroutine function. `fn` may be one too; a plain function is called on the
        event loop, so give one that blocks as `asyncio.to_thread, fn`.
        """
        from .job_steps import acall_step, checked_step

        return await acall_step(self.id, self._lane(), checked_step(name, fn), fn, *args, **kwargs)

    def snooze(self, name: str, seconds: Seconds | timedelta) -> None:
        """Have the rest of this job wait: for days, without a thread and without an attempt.

        At first it keeps, as a step, the instant at which the wait is over, and raises `Snooze`. The job is then run
        again from its beginning, and this call raises `Snooze` until that instant has come.

        Args:
            name: of the step.
            seconds: a number or a timedelta, counted from the first call.

        Raises:
            Snooze: the wait is not over.
            UsageError, StaleClaim, NotSupported, StoreUnavailable: as `step`.
        """
        from .job_steps import end_of_wait, wait_until

        wait_until(self._lane().steps, name, self.step(name, end_of_wait, self._lane().steps, seconds))

    async def asnooze(self, name: str, seconds: Seconds | timedelta) -> None:
        """`snooze` for a handler that is a coroutine function."""
        from .job_steps import end_of_wait, wait_until

        wait_until(self._lane().steps, name, await self.astep(name, end_of_wait, self._lane().steps, seconds))

    @overload
    def wait(self, name: str, *, timeout: Seconds | timedelta | None = None) -> Any: ...

    @overload
    def wait(self, name: str, wanted: type[S]) -> S: ...

    @overload
    def wait(self, name: str, wanted: type[S], *, timeout: Seconds | timedelta) -> S | NoSignal: ...

    def wait(self, name: str, wanted: Any = Any, *, timeout: Seconds | timedelta | None = None) -> Any:
        """Have the rest of this job wait for a signal of `jobs.signal`: for days, without a thread and without an
        attempt.

        If the signal has been sent, whenever that was, its data are returned. Otherwise this raises a `Snooze`, and the
        job is run again from its beginning when the signal comes or the time is over. The first signal of a name, or
        the end of the time, counts for all attempts. Works in child processes too.

        Args:
            name: of the signal, 1 to 200 characters; each wait of a job has its own.
            wanted: the type of the data, as `Job[X]` has it for a job's; the job is dead if they do not fit.
            timeout: a number of seconds or a timedelta, counted from the first call; a restart, a retry or a requeue
                does not lengthen it. None waits for ever.

        Returns:
            The data; `NO_SIGNAL`, which is false, if none has come in time.

        Raises:
            Snooze: the signal has not come yet.
            UsageError, StaleClaim, NotSupported, StoreUnavailable: as `step`.
        """
        from .job_steps import wait_for

        return wait_for(self.id, self._lane(), name, wanted, timeout)

    @overload
    async def await_signal(self, name: str, *, timeout: Seconds | timedelta | None = None) -> Any: ...

    @overload
    async def await_signal(self, name: str, wanted: type[S]) -> S: ...

    @overload
    async def await_signal(self, name: str, wanted: type[S], *, timeout: Seconds | timedelta) -> S | NoSignal: ...

    async def await_signal(self, name: str, wanted: Any = Any, *, timeout: Any = None) -> Any:
        """`wait` for a handler that is a coroutine function."""
        return await asyncio.to_thread(self.wait, name, wanted, timeout=timeout)

    def _lane(self) -> JobContext:
        if self._context is None:
            raise UsageError(f"only the Job that a handler gets can do this, not a snapshot of job {self.id}")
        return self._context


class Parents(Sequence[Job[Any]]):
    """Reads a page for each look, and keeps none: the results of many jobs may be large.

    Args:
        page: the jobs behind the first so many; none behind the last.
        of: a handler object, whose jobs alone are meant.
    """

    def __init__(self, page: Callable[[int], Sequence[Job[Any]]], of: HandlesJobs | None = None) -> None:
        self._page = page
        self._of = of

    def __iter__(self) -> Iterator[Job[Any]]:
        read = 0
        while jobs := self._page(read):
            read += len(jobs)
            for job in jobs:
                if self._of is None:
                    yield job
                elif job.name == self._of.name:
                    job.types = self._of.types
                    yield job

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, place: int) -> Job[Any]: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Job[Any]]: ...

    def __getitem__(self, place: int | slice) -> Job[Any] | Sequence[Job[Any]]:
        return list(self)[place]

    def __repr__(self) -> str:
        return f"<Parents {list(self)!r}>"


def _time(instant: float) -> datetime:
    return datetime.fromtimestamp(instant, UTC)


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
