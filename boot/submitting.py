"""How calls of the Jobs and Scheduler APIs reach the boot: blocking, or as awaitables."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import warnings
from collections.abc import (
    Callable,
    Collection,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Sequence,
    Sized,
)
from contextlib import AbstractContextManager
from functools import partial
from itertools import islice
from operator import methodcaller
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar, cast

from ..api.job import Job
from ..broker.follow_ups import check_parents
from ..broker.jobs import stale_step
from ..broker.turn_context import is_current
from ..environment.replies import run_here
from ..errors import StoreUnavailable, UnknownJob
from ..handlers.handler import Handler
from ..log.job_context import current_job
from ..messages.jobs import Attribution, Claim, Instant, JobRecord, JobSpec, JobState, NewJob, Seconds
from ..messages.mail import MarkDone, Queue, Reply
from ..messages.queries import JobQuery
from ..messages.schedules import HostChange, ScheduleRecord
from ..messages.steps import SIGNAL, KeepStep, SendSignal, StepRecord
from ..rules.capabilities import needed
from ..rules.codec import Encoded, encode
from ..rules.limits import batches
from ..rules.new_jobs import FollowUps, JobChecks, check_then_count, plain_job
from ..rules.validation import check_iterable
from ..stores.ports import HostTurn, Store
from .boot import Boot
from .joining import Ref, awaiting, claim_of, each_in_time, ended, id_of, outcome, seconds_of
from .runtime_state import RuntimeState

BATCH_JOBS_MAX = 500
"""How many jobs one turn acts on: messages of others wait meanwhile."""

PARENTS_READ = 100
"""The page size for reading a job's parents."""

NAMES_MAX = 100
"""The most names logged because calls block a loop."""

Wanted = JobSpec | tuple[str, Any]
Make = Callable[[Reply], Any]
"""Makes a message to the broker, given its reply."""

P = ParamSpec("P")
R = TypeVar("R")
Q = TypeVar("Q", bound="Submitter")
S = TypeVar("S", bound="Submits")
T = TypeVar("T")


def either(call: Callable[Concatenate[Q, P], Coroutine[Any, Any, R]]) -> Callable[Concatenate[Q, P], R]:
    """A call of a submitter, written once for both kinds: the answer is awaited if the submitter `awaits`. Otherwise
    the call blocks, and its body awaits nothing that would suspend it.
    """

    @functools.wraps(call)
    def made(self: Q, /, *args: P.args, **kwargs: P.kwargs) -> R:
        begun = call(self, *args, **kwargs)
        answer: Any = begun if self.awaits else run_here(begun)
        return answer  # type: ignore[no-any-return]

    return made


class Submitter:
    """Passes API calls on to the running boot, and blocks until it has answered.

    Test kits and web frameworks give `Jobs` and `Scheduler` another one, which changes the effect of each call.

    Attributes:
        awaits: whether a call is an awaitable, for callers on an event loop.
        prefix: begins the names of the calls in messages.
    """

    awaits, prefix = False, ""

    def __init__(self, state: RuntimeState) -> None:
        self.state = state

    @property
    def awaiting(self) -> Submitter:
        """Each call of this one returns an awaitable, and does not block."""
        return AwaitingSubmitter(self.state)

    @either
    async def submit(
        self,
        call: str,
        jobs: Any,
        root_id: str | None,
        connection: Any = None,
        *,
        one: bool = False,
        types: Any = None,
    ) -> Any:
        """Store jobs, all of them or none. Returns them as `Job`s.

        Args:
            call: its name, such as `jobs.queue`, for a warning.
            jobs: as `queue_many` takes them; with `one`, a single one, whose `Job` is returned.
            root_id: the job that they descend from, if they do.
            connection: an open connection of the application, for one job.
            types: of the handler object that queues them.
        """
        boot = self.state.get()
        new, types = self._new(boot, root_id, jobs, one, types)
        if connection is not None:
            with boot.queueing(new) as new, _ids_in_error(new):
                answer = await self._joined(boot, connection, boot.clock.now(), methodcaller("insert", new[0]))
            _expect(boot, *answer)
            return _jobs(new, (answer,), one, types)
        if asyncio._get_running_loop() is not None:
            self.warn_if_blocking(call, new[0].name if one else None)
        if not new:
            return []
        with boot.queueing(new) as new:
            root_id = new[0].root_id if one else None
            asked = boot.requests.asked(partial(Queue, new), awaits=self.awaits, jobs=new, root_id=root_id, here=one)
            return _jobs(new, await asked, one, types)

    @either
    async def settle(self, job: Ref, result: Any, then: Iterable[Wanted], connection: Any) -> None:
        """See `Jobs.mark_done`."""
        boot, end = self._finishing(job, result, then)
        if connection is None:
            self.warn_if_blocking("jobs.mark_done")
            await boot.requests.asked(lambda reply: end._replace(reply=reply), awaits=self.awaits)
            return
        from ..broker.host_transactions import finish

        now = boot.clock.now()
        await self._joined(boot, connection, now, partial(finish, end, now))
        boot.expect(end.job_id, JobState.DONE)

    @either
    async def signal(self, job: Ref, name: str, data: Any, who: Attribution, connection: Any) -> None:
        """See `Jobs.signal`."""
        boot = self.state.get()
        signal = self._signal_to(boot.store, job, name, data, who)
        if connection is None:
            await self._got(self.ask("jobs.signal", lambda reply: signal._replace(reply=reply)))
            return
        from ..broker.signals import signal_by_host

        move_no = await self._joined(boot, connection, boot.clock.now(), partial(signal_by_host, signal))
        if move_no is not None:
            boot.expect(signal.job_id, None, move_no)

    @either
    async def ask(self, call: str, make: Make, *, job_id: str | None = None) -> Any:
        """Ask the broker. An answer that is a job is returned as a `Job`; others mean nothing to the caller.

        Args:
            job_id: the job that the store has to find before.
        """
        self.warn_if_blocking(call)
        boot = self.state.get()
        with contextlib.ExitStack() as entered:
            await self._off_loop(entered.enter_context, at_hand(boot.store, job_id))
            answer = await boot.requests.asked(make, awaits=self.awaits)
        return Job(answer) if isinstance(answer, JobRecord) else None

    @either
    async def ask_of_all(self, call: str, query: JobQuery, make: Callable[[tuple[str, ...]], Make]) -> int:
        """Ask for an act on the jobs that match, the oldest first, and return on how many the broker has acted. Jobs
        that come to match meanwhile are left out. `make` makes the message for some ids.

        Raises:
            NotSupported: the store cannot look for them.
        """
        self.warn_if_blocking(call)
        boot, done = self.state.get(), 0
        with contextlib.closing(_found(boot.store, query)) as found:
            while ids := await _next(found) if self.awaits else next(found, ()):
                for some in batches(ids, BATCH_JOBS_MAX):
                    done += await boot.requests.asked(make(some), awaits=self.awaits)
        return done

    @either
    async def join(self, job: Ref, timeout: Seconds | None, left: Seconds | None = None) -> Job[Any]:
        """See `Jobs.join`. `left` is how much of the timeout is left."""
        self.warn_if_blocking("jobs.join")
        boot, job_id, seconds = self.state.get(), id_of(job), seconds_of(timeout) if left is None else left
        made: Any = boot.environment.loop_reply() if self.awaits else boot.environment.reply()
        with awaiting(boot, job_id, made, timeout) as reply:
            found = await self._off_loop(ended, boot, job_id)
            return outcome(await self._got(reply.wait(seconds)) if found is None else found, job)

    @either
    async def join_many(self, jobs: Iterable[Ref], timeout: Seconds | None) -> list[Job[Any]]:
        """See `Jobs.join_many`."""
        each = each_in_time(self.state.get().clock, jobs, timeout)
        return [await self._got(self.join(job, timeout, left)) for job, left in each]

    def store_scheduled(self, job: NewJob) -> Job[Any]:
        """Store a job of a schedule that no slot has queued."""
        ((record, _),) = self.state.get().requests.ask(partial(Queue, (job,)), jobs=(job,), root_id=job.root_id)
        return Job(record)

    @either
    async def change_schedule(self, connection: Any, change: HostChange, answer: T) -> T:
        """Change a schedule in the transaction of an open connection, have the boot poll for its commit, and return
        `answer`. Raises as `joined`, and UnknownSchedule if there is none to remove.
        """
        from ..broker.host_transactions import SCHEDULES, change_schedule

        boot = self.state.get()
        await self._joined(boot, connection, change.at, partial(change_schedule, change), SCHEDULES)
        boot.expect_change(change)
        return answer

    def declare(self, handler: Handler) -> None:
        self.state.declared.add_handler(handler)
        boot = self.state.running
        if boot is not None:
            boot.add_handler(handler)

    def declared(self, declaration: Callable[[Any], object]) -> None:
        """The application has declared something. A submitter for runtimes that are made later keeps it."""

    def check_follow_ups(
        self, jobs: Iterable[Wanted], root_id: str | None = None, said: FollowUps | None = None, first: int = 0
    ) -> tuple[NewJob, ...]:
        """Jobs that are queued when another ends, checked, with their carried headers. One without a given id has "".
        They may wait for the `first` ones that were `said` before.

        Raises:
            UsageError: one of them is invalid, or they are too many.
            UnknownJob: one is to wait for a job that is not in the store.
        """
        boot = self.state.get()
        if isinstance(jobs, Sized):
            check_then_count(len(jobs), boot.limits)
        wanted = check_iterable(jobs, "then", "JobSpecs or (name, data) pairs")
        checks = boot.checks(root_id, new_id=str, said=said, first=first)
        new = self._checked(checks, islice(wanted, boot.limits.then_jobs_max + 1))
        if not new:
            return ()
        check_parents(_InStore(boot.store, () if said is None else said.jobs), new)
        with boot.queueing(new) as new:
            return new

    def parents(self, row_id: int, after: int) -> Sequence[Job[Any]]:
        """A page of a job's parents, after the first `after`."""
        table = needed(self.state.get().store.table, "after")
        for gone in table.gone_parents(row_id, 1):
            raise UnknownJob(
                f"job {gone.id} ({gone.name}), which this one has waited for and which is {gone.state}, is not in the "
                "store any more: retention removed it"
            )
        return [Job(record) for record in table.parents(row_id, after, PARENTS_READ)]

    def check_step(self, *, blocks: bool) -> None:
        """Check before the function of a step is called. `blocks`: the calling thread will wait until the step is kept.

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
        """Check the claim before calling the function of a step that no attempt has kept.

        Raises:
            StaleClaim: the claim no longer holds the job.
            UnknownJob: retention has removed the job.
            StoreUnavailable: the store cannot be read.
        """
        now = self.state.get().store.jobs.known((claim.job.id,)).get(claim.job.id)
        if now is None or not is_current(now, claim.key, claim.job.boot):
            raise stale_step(claim.job, now, f"the function of step {name!r} is not called")

    def kept_steps(self, job: JobRecord) -> Sequence[StepRecord]:
        table = needed(self.state.get().store.table, "steps")
        return table.steps(job.row_id) if job.claim_no > 1 else ()

    @either
    async def keep_step(self, step: KeepStep, connection: Any = None) -> Any:
        """Keep a step of a running job; return the kept JSON text. Raises StaleClaim if the claim has lost the job."""
        boot, make, root_id = self.state.get(), lambda reply: step._replace(reply=reply), step.claim.job.root_id
        if connection is None:
            return await boot.requests.asked(make, awaits=self.awaits, root_id=root_id, here=True)
        from ..broker.host_transactions import keep_step

        return await self._joined(boot, connection, boot.clock.now(), partial(keep_step, step))

    def sent(self, claim: Claim, name: str, *, is_over: bool) -> StepRecord | None:
        """The signal, or the end of time, that has ended a wait. If its time is over, that is kept if no signal is."""
        if is_over:
            self.keep_step(KeepStep(claim, SIGNAL + name, "null", 0.0, None))
        return needed(self.state.get().store.table, "signals").step(claim.job.row_id, SIGNAL + name)

    def warn_if_blocking(self, call: str, name: str | None = None) -> None:
        """Warn that a call blocks a running event loop: by Python's warnings once, and in the log once for each job
        name.
        """
        if self.awaits or asyncio._get_running_loop() is None:
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

    def _new(self, boot: Boot, root_id: str | None, jobs: Any, one: bool, types: Any) -> tuple[tuple[NewJob, ...], Any]:
        """`_checked` for a boot, and the types of the jobs. One job without options passes fewer functions."""
        if not one or type(jobs) is not tuple:
            checks = boot.checks(root_id)
            return self._checked(checks, jobs, one), types or checks.types or None
        name, data = jobs
        job = plain_job(name, data, boot.clock.now(), boot.job_ids, root_id, boot.limits.data_bytes_max)
        if type(data) is not Encoded and self.state.declared.misfit(job.name, job.data) is not None:
            self.warn_of_payload_mismatches((job,))
        return (job,), types

    def _checked(self, checks: JobChecks, jobs: Any, one: bool = False) -> tuple[NewJob, ...]:
        """The jobs of a call, as the store will keep them. Warns where no handler of this process can take the data."""
        if one:
            new: tuple[NewJob, ...] = (checks.one(jobs),)
        else:
            new = tuple(checks.all(check_iterable(jobs, "jobs", "JobSpecs or (name, data) pairs")))
        self.warn_of_payload_mismatches(checks.unchecked)
        return new

    def warn_of_payload_mismatches(self, those: Iterable[NewJob | ScheduleRecord]) -> None:
        """Warn, once for each name, of data that the handler of this process cannot take.

        The jobs are stored all the same: the process that runs them may have another version of the code. But most
        often the call is wrong, and this warning reaches the caller before there is a dead job.
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

    def _signal_to(self, store: Store, job: Ref, name: str, data: Any, who: Attribution) -> SendSignal:
        # Imported where it is needed, as below: most applications send none.
        from ..rules.signals import signal_to

        needed(store.table, "signals")
        return signal_to(id_of(job), name, data, who, self.state.limits.data_bytes_max)

    async def _joined(
        self, boot: Boot, connection: Any, now: Instant, work: Callable[[HostTurn], Any], *wanted: str
    ) -> Any:
        """Do work in the application's transaction."""
        from ..broker.host_transactions import awaited, joined

        return await self._got((awaited if self.awaits else joined)(boot.store, connection, now, work, *wanted))

    async def _got(self, answer: Any) -> Any:
        """The answer of a call that is an awaitable where this submitter `awaits`."""
        return await answer if self.awaits else answer

    async def _off_loop(self, read: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Read the store: on another thread, where this one runs an event loop."""
        return await asyncio.to_thread(read, *args, **kwargs) if self.awaits else read(*args, **kwargs)

    def _finishing(self, job: Ref, result: Any, then: Iterable[Wanted]) -> tuple[Boot, MarkDone]:
        boot = self.state.get()
        text = encode(result, what="result", bytes_max=boot.limits.result_bytes_max, mends=True)
        job_id, row_id, claim_no = claim_of(boot.store, job)
        follow_ups = FollowUps(boot.limits)
        # Where the job's own handler ends it, the jobs already named with `job.then` come first.
        own, lane, progress = current_job(), boot.lanes.of_job(job_id), None
        if lane is not None and lane.claim.job.claim_no == claim_no:
            progress = lane.progress
            if (own.get("job_id"), own.get("claim_no")) == (job_id, claim_no):
                follow_ups.add(lane.said())
        follow_ups.add(self.check_follow_ups(then))
        holder = job.record.boot if isinstance(job, Job) else None
        end = MarkDone(job_id, row_id, claim_no, holder, text, tuple(follow_ups.jobs), None, progress=progress)
        return boot, end


class AwaitingSubmitter(Submitter):
    """A submitter for callers on an event loop: each call returns an awaitable."""

    awaits, prefix = True, "a"


class _InStore(NamedTuple):
    """The jobs of a store, and those that were said before."""

    store: Store
    said: Sequence[NewJob]

    def unknown(self, job_ids: Sequence[str]) -> Collection[str]:
        known = {*self.store.jobs.known(job_ids), *(job.id for job in self.said)}
        return [job_id for job_id in job_ids if job_id not in known]


class _LookedUp:
    def __init__(self, current: Callable[[], Submitter]) -> None:
        self._current = current

    def __getattr__(self, name: str) -> Any:
        return getattr(self._current(), name)


def looked_up(current: Callable[[], Submitter]) -> Submitter:
    """A submitter that is looked up at each use, such as that of the current application."""
    return cast(Submitter, _LookedUp(current))


class Submits(Protocol):
    """`Jobs` and `Scheduler`, whose calls return the result of a submitter's call."""

    @property
    def _awaiting(self) -> Any:
        """The same object on a submitter that returns awaitables."""


def twin(call: Callable[Concatenate[S, P], R], more: str = "") -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """A call's variant for asyncio applications: the same body on a submitter that returns awaitables. `more`: further
    sentences for its docstring.
    """

    async def awaited(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        answer: Any = call(self._awaiting, *args, **kwargs)
        result: R = await answer
        return result

    return _as_twin(awaited, call, more)


def off_loop(
    call: Callable[Concatenate[S, P], R], more: str = ""
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """The asyncio variant of a call that reads the store: it runs on another thread. A call with a `connection` of the
    application stays on the application's thread, as `twin` makes it.
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
    """A context in which a turn finds the job that a host names, if the store can find it at all."""
    return contextlib.nullcontext() if store.dead is None or job_id is None else store.dead.one_at_hand(job_id)


def _found(store: Store, query: JobQuery) -> Generator[Sequence[str]]:
    """The ids that match, a batch at a time: while the caller uses a batch, turns find its jobs."""
    if store.dead is None or set(query.states) != {JobState.DEAD} or query.graph is not None:
        yield from needed(store.table, "list" if query.graph is None else "graph").sweep(query)
        return
    seen: set[str] = set()
    while True:
        with store.dead.all_at_hand(query, seen) as ids:
            if not ids:
                return
            yield ids
        seen.update(ids)


async def _next(found: Iterator[Sequence[str]]) -> Sequence[str]:
    """The next ids, if there are any. A cancelled caller waits for the read that is under way: a generator cannot be
    closed while another thread is in it.
    """
    look = asyncio.ensure_future(asyncio.to_thread(next, found, ()))
    try:
        return await asyncio.shield(look)
    except asyncio.CancelledError:
        await asyncio.wait([look])
        raise


@contextlib.contextmanager
def _ids_in_error(jobs: Sequence[NewJob]) -> Iterator[None]:
    """Add the ids to an error, with which the caller can queue the jobs again."""
    try:
        yield
    except StoreUnavailable as error:
        raise StoreUnavailable(str(error), tuple(job.id for job in jobs)) from error


def _expect(boot: Boot, record: JobRecord, fresh: bool) -> None:
    """Have the boot poll for the job, because nothing announces the commit of the application's transaction."""
    if fresh:
        # A stored job with other data makes one more move.
        boot.expect(record.id, None, 1 - record.move_no)


def _jobs(
    asked: Iterable[NewJob],
    answer: Iterable[tuple[JobRecord, bool]],
    one: bool,
    types: Any,
) -> Any:
    """The stored jobs of a call. `types` are those of all, or a dict by the ids of the jobs that were asked for."""
    if one and type(types) is not dict:
        ((record, fresh),) = answer
        return Job(record, deduplicated=not fresh, types=types)
    jobs: list[Job[Any]] = [Job(record, deduplicated=not fresh, types=types) for record, fresh in answer]
    if type(types) is dict:
        for job, new in zip(jobs, asked, strict=True):
            job.types = types.get(new.id)
    return jobs[0] if one else jobs
