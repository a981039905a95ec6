"""How the calls of the Jobs and Scheduler APIs reach the boot: by a caller that blocks, or by one that awaits."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Iterator, Sequence, Sized
from contextlib import AbstractContextManager
from functools import partial
from itertools import islice
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from ..api.job import Job, JobTypes
from ..broker.host_transactions import (
    Finishing,
    change_schedule_on,
    change_schedule_on_async,
    finish_on,
    finish_on_async,
    queue_on,
    queue_on_async,
)
from ..broker.steps import stale_step
from ..broker.turn_context import is_current
from ..errors import StoreUnavailable, UnknownJob
from ..handlers.handler import Handler
from ..log.job_context import current_job
from ..messages.jobs import Claim, JobRecord, JobSpec, JobState, NewJob, Seconds
from ..messages.mail import MarkDone, Queue, Reply
from ..messages.queries import JobQuery
from ..messages.schedules import HostChange
from ..messages.steps import KeepStep, StepRecord
from ..rules.capabilities import needed
from ..rules.codec import encode
from ..rules.limits import batches
from ..rules.new_jobs import FollowUps, JobChecks, check_then_count
from ..rules.validation import check_iterable
from ..stores.ports import Store
from .boot import Boot
from .joining import Ref, awaiting, claim_of, ended, id_of, outcome, seconds_of
from .runtime_state import RuntimeState

BATCH_JOBS_MAX = 500
"""On how many jobs one turn acts: messages of others wait for so long."""

PARENTS_READ = 100
"""So many of the jobs that one has waited for are read at a time."""

NAMES_MAX = 100
"""The most names of which the log says that calls block a loop."""

Wanted = JobSpec | tuple[str, Any]
"""A job, as a call may name it."""

Make = Callable[[Reply], Any]
"""A question to the broker, but for the reply that answers it."""

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Submits")
T = TypeVar("T")


class Submitter:
    """Passes what is asked of a runtime on to the boot that runs, and blocks until that has answered.

    Test kits and web frameworks give `Jobs` and `Scheduler` another one, and so each call of these another effect.

    Attributes:
        state: of the runtime.
        prefix: of the names of the calls, for messages.
    """

    prefix = ""

    def __init__(self, state: RuntimeState) -> None:
        self.state = state

    @property
    def awaiting(self) -> Submitter:
        """Each call of this one returns an awaitable, and does not block."""
        return AwaitingSubmitter(self.state)

    def submit(
        self,
        call: str,
        jobs: Any,
        root_id: str | None,
        connection: Any = None,
        *,
        one: bool = False,
        types: JobTypes | None = None,
    ) -> Any:
        """Store jobs: all of them, or none. Returns them as `Job`s.

        Args:
            call: its name, such as `jobs.queue`, for a warning.
            jobs: as `queue_many` takes them; with `one`, a single one, of which the `Job` is returned.
            root_id: the job that they descend from, if they do.
            connection: an open connection of the application, for one job.
            types: by the handler object that queues them.
        """
        boot = self.state.get()
        new = self._checked(boot.checks(root_id), jobs, one)
        if connection is not None:
            with boot.queueing(new) as new, _ids_in_error(new):
                answer = queue_on(boot.store, connection, new[0], boot.clock.now())
            _expect(boot, *answer)
            return _jobs((answer,), one, types)
        self.warn_if_blocking(call, new[0].name if one else None)
        if not new:
            return []
        with boot.queueing(new) as new:
            return _jobs(boot.requests.ask(partial(Queue, new), **_asked(new, one), here=one), one, types)

    def settle(self, job: Ref, result: Any, then: Iterable[Wanted], connection: Any) -> None:
        """Mark a job as done; see `Jobs.mark_done`."""
        boot, end = self._finishing(job, result, then)
        if connection is None:
            self.warn_if_blocking("jobs.mark_done")
            boot.requests.ask(partial(MarkDone, *end))
            return
        finish_on(boot.store, connection, end, boot.clock.now())
        boot.expect(end.job_id, JobState.DONE)

    def ask(self, call: str, make: Make, *, job_id: str | None = None) -> Any:
        """Ask the broker. An answer that is a job is returned as a `Job`; others say nothing to the caller.

        Args:
            job_id: of the job that the question is about, where the store has to find it before.
        """
        self.warn_if_blocking(call)
        boot = self.state.get()
        with at_hand(boot.store, job_id):
            return _job(boot.requests.ask(make))

    def ask_of_all(self, call: str, query: JobQuery, make: Callable[[tuple[str, ...]], Make]) -> int:
        """Ask for an act on the jobs that match, the oldest first, and return on how many the broker has acted. Jobs
        that come to match meanwhile are left out.

        Args:
            make: makes the question about some jobs of their ids.

        Raises:
            NotSupported: the store cannot look for them.
        """
        self.warn_if_blocking(call)
        boot, done = self.state.get(), 0
        with contextlib.closing(_found(boot.store, query)) as found:
            for ids in found:
                for some in batches(ids, BATCH_JOBS_MAX):
                    done += boot.requests.ask(make(some))
        return done

    def join(self, job: Ref, timeout: Seconds | None) -> Job[Any]:
        """Wait until a job has ended; see `Jobs.join`."""
        self.warn_if_blocking("jobs.join")
        boot, job_id, seconds = self.state.get(), id_of(job), seconds_of(timeout)
        with awaiting(boot, job_id, boot.environment.reply(), timeout) as reply:
            found = ended(boot, job_id)
            return outcome(reply.wait(seconds) if found is None else found, job)

    def store_scheduled(self, job: NewJob) -> Job[Any]:
        """Store a job of a schedule, which no slot has queued."""
        ((record, _),) = self.state.get().requests.ask(partial(Queue, (job,)), job_ids=(job.id,), corr=job.corr)
        return Job(record)

    def change_schedule(self, connection: Any, change: HostChange, answer: T) -> T:
        """Change a schedule in the transaction of an open connection, and have the boot look for its commit. Returns
        `answer`.

        Raises:
            UnknownSchedule, UsageError, NotSupported: see `change_schedule_on`.
        """
        boot = self.state.get()
        change_schedule_on(boot.store, connection, change)
        boot.expect_change(change)
        return answer

    def declare(self, handler: Handler) -> None:
        """Have one more handler from now on."""
        self.state.declared.add_handler(handler)
        boot = self.state.running
        if boot is not None:
            boot.add_handler(handler)

    def declared(self, declaration: Callable[[Any], object]) -> None:
        """The application has declared something. Where that is meant for runtimes that are made later, it is kept."""

    def check_follow_ups(self, jobs: Iterable[Wanted], root_id: str | None = None) -> tuple[NewJob, ...]:
        """Jobs that are queued when another ends, checked, with what they carry. One that is given no id has "".

        Raises:
            UsageError: one of them cannot be, or they are too many.
        """
        boot = self.state.get()
        if isinstance(jobs, Sized):
            check_then_count(len(jobs), boot.limits)
        wanted = check_iterable(jobs, "then", "JobSpecs or (name, data) pairs")
        new = self._checked(boot.checks(root_id, new_id=str), islice(wanted, boot.limits.then_jobs_max + 1))
        if not new:
            return ()
        with boot.queueing(new) as new:
            return new

    def parents(self, row_id: int, after: int) -> Sequence[Job[Any]]:
        """Some of the jobs that one waits for or has waited for, without the first `after`."""
        table = needed(self.state.get().store.table, "after")
        for gone in table.gone_parents(row_id, 1):
            raise UnknownJob(
                f"job {gone.id} ({gone.name}), which this one has waited for and which is {gone.state}, is not in the "
                "store any more: retention removed it"
            )
        return [Job(record) for record in table.parents(row_id, after, PARENTS_READ)]

    def check_step(self, *, blocks: bool) -> None:
        """Before the function of a step is called.

        Args:
            blocks: whether the calling thread is to wait until the step is kept.

        Raises:
            NotStarted: the runtime does not run here.
            NotSupported: the store keeps no steps.
            UsageError: this thread's own transaction would be waited for.
        """
        boot = self.state.get()
        needed(boot.store.table, "steps")
        if blocks:
            boot.requests.check_caller()

    def check_claim(self, claim: Claim, name: str) -> None:
        """Before the function of a step is called that no attempt has kept.

        Raises:
            StaleClaim: the claim no longer holds the job.
            UnknownJob: retention has removed the job.
            StoreUnavailable: the store cannot be read.
        """
        now = self.state.get().store.jobs.known((claim.job.id,)).get(claim.job.id)
        if now is None or not is_current(now, claim.key) or now.boot != claim.job.boot:
            raise stale_step(claim.job, now, f"the function of step {name!r} is not called")

    def kept_steps(self, job: JobRecord) -> Sequence[StepRecord]:
        """The steps that earlier claims of a running job have kept."""
        table = needed(self.state.get().store.table, "steps")
        return table.steps(job.no) if job.claim_no > 1 else ()

    def keep_step(self, claim: Claim, name: str, result: str, took: Seconds) -> Any:
        """Keep a step of a running job: the JSON text that is kept under its name.

        Raises:
            StaleClaim: the claim no longer holds it.
        """
        make = partial(KeepStep, claim, name, result, took)
        return self.state.get().requests.ask(make, corr=claim.job.corr, here=True)

    def warn_if_blocking(self, call: str, name: str | None = None) -> None:
        """Say that a call blocks a running event loop: a warning of Python's, once; and in the log, once a name.

        Args:
            name: of the jobs that the call is about, if it is.
        """
        if asyncio._get_running_loop() is None:
            return
        of, _, act = call.rpartition(".")
        about, warned_of = act if name is None else name, self.state.names_warned_of
        if about in warned_of or len(warned_of) >= NAMES_MAX:
            return
        if not warned_of:
            warn_application(
                f"{call} blocks the running event loop until the job is durable; await {of}.a{act} instead"
            )
        warned_of.add(about)
        boot = self.state.running
        if boot is not None:
            boot.log.emit("loop.blocked", call=call, job_name=name)

    def _checked(self, checks: JobChecks, jobs: Any, one: bool = False) -> tuple[NewJob, ...]:
        """The jobs of a call, as the store will keep them. Warns where no handler of this process can take the data."""
        if one:
            new: tuple[NewJob, ...] = (checks.one(jobs),)
        else:
            new = tuple(checks.all(check_iterable(jobs, "jobs", "JobSpecs or (name, data) pairs")))
        self.warn_of_payload_mismatches(checks.unchecked)
        return new

    def warn_of_payload_mismatches(self, those: Iterable[Named]) -> None:
        """Warn, once for each name, of data that the handler of this process cannot take.

        It is stored all the same: the process that does the job may have another version of the code. But most often
        the call is wrong, and whoever made it learns of it there, and not from a dead job.
        """
        declared = self.state.declared
        for one in those:
            if one.name in declared.names_warned_of:
                continue
            why = declared.misfit(one.name, one.data)
            if why is not None:
                declared.names_warned_of.add(one.name)
                warn_application(
                    f"the handler of {one.name!r} in this process cannot take this: {why}. The job will be dead, "
                    "unless a handler in another process can"
                )

    def _finishing(self, job: Ref, result: Any, then: Iterable[Wanted]) -> tuple[Boot, Finishing]:
        boot = self.state.get()
        text = encode(result, what="result", bytes_max=boot.limits.result_bytes_max, mends=True)
        job_id, row_id, claim_no = claim_of(boot.store, job)
        follow_ups = FollowUps(boot.limits)
        # Where the job's own handler ends it, the jobs that `job.then` has named so far come first.
        own, lane = current_job(), boot.lanes.of_job(job_id)
        is_own = (own.get("job_id"), own.get("claim_no")) == (job_id, claim_no)
        if is_own and lane is not None and lane.claim.job.claim_no == claim_no:
            follow_ups.add(lane.said())
        follow_ups.add(self.check_follow_ups(then))
        return boot, Finishing(job_id, row_id, claim_no, text, tuple(follow_ups.jobs))


class AwaitingSubmitter(Submitter):
    """The same for callers on an event loop: each call returns an awaitable."""

    prefix = "a"

    async def submit(
        self,
        call: str,
        jobs: Any,
        root_id: str | None,
        connection: Any = None,
        *,
        one: bool = False,
        types: JobTypes | None = None,
    ) -> Any:
        boot = self.state.get()
        new = self._checked(boot.checks(root_id), jobs, one)
        if connection is not None:
            with boot.queueing(new) as new, _ids_in_error(new):
                answer = await queue_on_async(boot.store, connection, new[0], boot.clock.now())
            _expect(boot, *answer)
            return _jobs((answer,), one, types)
        if not new:
            return []
        with boot.queueing(new) as new:
            return _jobs(await boot.requests.ask_async(partial(Queue, new), **_asked(new, one)), one, types)

    async def settle(self, job: Ref, result: Any, then: Iterable[Wanted], connection: Any) -> None:  # type: ignore[override]
        boot, end = self._finishing(job, result, then)
        if connection is None:
            await boot.requests.ask_async(partial(MarkDone, *end))
            return
        await finish_on_async(boot.store, connection, end, boot.clock.now())
        boot.expect(end.job_id, JobState.DONE)

    async def ask(self, call: str, make: Make, *, job_id: str | None = None) -> Any:
        boot = self.state.get()
        async with _off_loop(at_hand(boot.store, job_id)):
            return _job(await boot.requests.ask_async(make))

    async def ask_of_all(self, call: str, query: JobQuery, make: Callable[[tuple[str, ...]], Make]) -> int:  # type: ignore[override]
        boot, done = self.state.get(), 0
        with contextlib.closing(_found(boot.store, query)) as found:
            while ids := await _next(found):
                for some in batches(ids, BATCH_JOBS_MAX):
                    done += await boot.requests.ask_async(make(some))
        return done

    async def join(self, job: Ref, timeout: Seconds | None) -> Job[Any]:  # type: ignore[override]
        boot, job_id, seconds = self.state.get(), id_of(job), seconds_of(timeout)
        with awaiting(boot, job_id, boot.environment.loop_reply(), timeout) as reply:
            found = await asyncio.to_thread(ended, boot, job_id)
            return outcome(await reply.wait(seconds) if found is None else found, job)

    async def change_schedule(self, connection: Any, change: HostChange, answer: T) -> T:  # type: ignore[override]
        boot = self.state.get()
        await change_schedule_on_async(boot.store, connection, change)
        boot.expect_change(change)
        return answer

    async def keep_step(self, claim: Claim, name: str, result: str, took: Seconds) -> Any:
        make = partial(KeepStep, claim, name, result, took)
        return await self.state.get().requests.ask_async(make, corr=claim.job.corr)


class _LookedUp:
    def __init__(self, current: Callable[[], Submitter]) -> None:
        self._current = current

    def __getattr__(self, name: str) -> Any:
        return getattr(self._current(), name)


def looked_up(current: Callable[[], Submitter]) -> Submitter:
    """A submitter that is looked up at each use, such as that of the current application."""
    return cast(Submitter, _LookedUp(current))


class Submits(Protocol):
    """`Jobs` and `Scheduler`, of which each call ends with one of a submitter, whose result it returns."""

    @property
    def _awaiting(self) -> Any:
        """The same, on a submitter that returns awaitables."""


class Named(Protocol):
    """A job, or what makes jobs."""

    @property
    def name(self) -> str: ...

    @property
    def data(self) -> str:
        """JSON text."""


def twin(call: Callable[Concatenate[S, P], R], more: str = "") -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """The variant of a call for asyncio applications: the same body, on a submitter that returns awaitables.

    Args:
        more: sentences of its own for its docstring.
    """

    async def awaited(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        answer: Any = call(self._awaiting, *args, **kwargs)
        result: R = await answer
        return result

    return _as_twin(awaited, call, more)


def off_loop(
    call: Callable[Concatenate[S, P], R], more: str = ""
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """The variant, for asyncio applications, of a call that reads the store: it blocks a thread of its own. A call with
    a `connection` of the application stays on the application's thread, as `twin` makes it.
    """
    here = twin(call)

    async def awaited(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if kwargs.get("connection") is not None:
            return await here(self, *args, **kwargs)
        return await asyncio.to_thread(call, self, *args, **kwargs)

    return _as_twin(awaited, call, more)


def _as_twin(awaited: T, call: Any, more: str) -> T:
    made: Any = functools.update_wrapper(awaited, call)  # type: ignore[arg-type]
    made.__name__, made.__doc__ = f"a{call.__name__}", f"`{call.__name__}` for asyncio applications. {more}".rstrip()
    made.__qualname__ = f"{call.__qualname__.removesuffix(call.__name__)}{made.__name__}"
    return awaited


def warn_application(message: str) -> None:
    """Warn at the line of the application that has called the package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals["__name__"].startswith(f"{__name__.partition('.')[0]}."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, RuntimeWarning, stacklevel=level)


def at_hand(store: Store, job_id: str | None) -> AbstractContextManager[object]:
    """While this lasts, a turn finds the job that a host names, if the store can find it at all."""
    return contextlib.nullcontext() if store.dead is None or job_id is None else store.dead.one_at_hand(job_id)


@contextlib.asynccontextmanager
async def _off_loop(manager: AbstractContextManager[T]) -> AsyncIterator[T]:
    """A context whose beginning may block, and whose end does not."""
    value = await asyncio.to_thread(manager.__enter__)
    try:
        yield value
    finally:
        manager.__exit__(None, None, None)


def _found(store: Store, query: JobQuery) -> Generator[Sequence[str]]:
    """The ids of what matches, some at a time: while whoever asks has them, a turn finds each."""
    if store.dead is None or set(query.states) != {JobState.DEAD}:
        yield from needed(store.table, "list").sweep(query)
        return
    seen: set[str] = set()
    while True:
        with store.dead.all_at_hand(query, seen) as ids:
            if not ids:
                return
            yield ids
        seen.update(ids)


async def _next(found: Iterator[Sequence[str]]) -> Sequence[str]:
    """The next ids, if there are any. A caller that is cancelled waits for the look that is under way: a generator
    cannot be closed while another thread is in it.
    """
    look = asyncio.ensure_future(asyncio.to_thread(next, found, ()))
    try:
        return await asyncio.shield(look)
    except asyncio.CancelledError:
        await asyncio.wait([look])
        raise


@contextlib.contextmanager
def _ids_in_error(jobs: Sequence[NewJob]) -> Iterator[None]:
    """Tell the caller with which id to queue a job again."""
    try:
        yield
    except StoreUnavailable as error:
        raise StoreUnavailable(str(error), tuple(job.id for job in jobs)) from error


def _expect(boot: Boot, record: JobRecord, fresh: bool) -> None:
    """Nobody says when the application's transaction commits, so the boot looks for the job in it."""
    if fresh:
        # One that was there, and has other data, makes one move more.
        boot.expect(record.id, None, 1 - record.rev)


def _asked(new: Sequence[NewJob], one: bool) -> dict[str, Any]:
    return {"job_ids": [job.id for job in new], "corr": new[0].corr if one else None}


def _jobs(answer: Iterable[tuple[JobRecord, bool]], one: bool, types: JobTypes | None) -> Any:
    jobs: list[Job[Any]] = [Job(record, deduplicated=not fresh, types=types) for record, fresh in answer]
    return jobs[0] if one else jobs


def _job(answer: Any) -> Job[Any] | None:
    return Job(answer) if isinstance(answer, JobRecord) else None
