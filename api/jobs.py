"""The Jobs API: what an application calls to queue jobs, look at them, act on them, and add handlers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, Never, ParamSpec, TypeVar, Unpack, overload

from ..boot.boot import Boot
from ..boot.joining import Ref, id_of, kept_steps, stored, types_of
from ..boot.submitting import Make, Submitter, off_loop, twin
from ..errors import UnknownHandler, UsageError, check_seconds, shown
from ..handlers.handler import ExceptionClasses, HandedDown, Handler, HandlerKeywords, Isolation, OnTimeout
from ..handlers.registration import check_handler, check_importable, check_only, name_of
from ..log.job_context import current_root_id
from ..messages.jobs import ENDED, Attempt, Attribution, JobKeywords, JobSpec, JobState, JobStateName, Seconds
from ..messages.mail import CancelJob, CancelMany, ForgetJob, Limit, Pause, Reprioritize, Requeue, RequeueMany
from ..messages.names import Rate, paused_at
from ..messages.outcomes import Backoff
from ..messages.queries import JobQuery, place_of
from ..messages.steps import KeptStep
from ..rules.capabilities import needed
from ..rules.limits import RestartBudget
from ..rules.new_jobs import check_priority, shows_options, spec_of
from ..rules.validation import (
    check_bool,
    check_delay,
    check_limit,
    check_moment,
    check_name,
    check_one_of,
    check_who,
    check_whole,
    unknown_options,
)
from .job import Job, Parents
from .job_handler import HandlerDecorator, JobHandler

if TYPE_CHECKING:
    from .graphs import JobGraph

LIST_JOBS_MAX = 10_000

UNFINISHED = (JobState.QUEUED, JobState.RUNNING)
"""The states of jobs that can be cancelled."""

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


class Jobs:
    """Queue jobs, look at them, act on them, and register the functions that do them. Made by `Runtime`."""

    def __init__(self, submitter: Submitter) -> None:
        self._submitter = submitter

    @shows_options
    def queue(
        self, /, name: str, data: Any = None, *, connection: Any = None, **options: Unpack[JobKeywords]
    ) -> Job[Any]:
        """Add a one-time job. Returns when it is durable.

        Args:
            name: which handler it is for, 1 to 200 characters. Without a handler it waits.
            data: what JSON has, dataclasses, Structs, attrs classes, pydantic models, enums, UUIDs, dates, Decimals,
                paths, sets, bytes; at most `data_bytes_max` as JSON.
            id: a known one returns the stored job, which makes a retry safe. Made up when not given.
            delay: seconds or a timedelta before it is due.
            at: an aware datetime at which it is due.
            priority: higher runs first; then what is due longer; then what was queued first.
            unique: while a job with this name and key is unfinished, that one is returned, `deduplicated`.
            expires: an unstarted job is cancelled after it: seconds (more than `delay`), a timedelta or an aware
                datetime. One that waits for its retry has been started; one that was snoozed has not.
            max_attempts: overrides the handler's.
            timeout: seconds for one attempt; overrides the handler's.
            group: whose job it is, a tenant's for example. Among jobs of one priority, the groups of a name take turns,
                however many jobs each has; a handler's `concurrency_per_group` limits how many of each run at once.
            after: jobs that must be done before it starts, each a Job or an id. If one of them is dead or cancelled, it
                shares that fate once all have ended, unless that one is queued again.
            after_ended: jobs that must have ended before it starts, however they did.
            after_failed: jobs that must have ended before it starts, one of them dead or cancelled, whatever of: it
                mends or tells. If all of them are done, it is cancelled, as not needed.
            debounce: while a job of this name is queued under its key, that one becomes what this call says, and waits
                until there was no call for a while: `Debounce("doc-7", quiet=5, at_most=60)`. Without id, delay, at,
                unique, after, after_ended and after_failed.
            connection: your own open connection to the same file or database: of sqlite3 or psycopg, a SQLAlchemy
                Connection or Session, or Django's. The job exists if and only if your transaction commits. `aqueue`
                takes those of asyncio too.

        Raises:
            UsageError: something in the call cannot be; nothing is stored.
            UnknownJob: one that it is to wait for is not in the store.
            NotStarted: the runtime does not run.
            StoreUnavailable: no answer in time; queue again with `id=error.job_id`.
        """
        call = f"jobs.{self._submitter.prefix}queue"
        job = spec_of(call, name, data, options, "connection") if options else (name, data)
        queued: Job[Any] = self._submitter.submit("jobs.queue", job, current_root_id(), connection, one=True)
        return queued

    aqueue = twin(
        queue,
        "A `connection` may also be a SQLAlchemy AsyncSession or AsyncConnection, or an aiosqlite.Connection; one of "
        "sqlite3 blocks the loop while it waits for the write lock.",
    )

    @overload
    def queue_many(self, jobs: Iterable[JobSpec[T, R]]) -> list[Job[T, R]]: ...

    @overload
    def queue_many(self, jobs: Iterable[JobSpec | tuple[str, Any]]) -> list[Job[Any]]: ...

    def queue_many(self, jobs: Iterable[JobSpec | tuple[str, Any]]) -> list[Job[Any]]:
        """Add many jobs at once: all of them, or none.

        Args:
            jobs: (name, data) pairs, or `JobSpec` objects. One may wait for others that stand before it.

        Raises:
            UsageError: one of them cannot be; none is stored.
            NotStarted: the runtime does not run.
            StoreUnavailable: no answer in time; queue them again, each with its id of `error.job_ids`.
        """
        queued: list[Job[Any]] = self._submitter.submit("jobs.queue_many", jobs, current_root_id())
        return queued

    aqueue_many = twin(queue_many)

    @overload
    def get(self, job: Job[T, R]) -> Job[T, R]: ...

    @overload
    def get(self, job: str) -> Job[Any]: ...

    def get(self, job: Ref) -> Job[Any]:
        """The job as it is now.

        Raises:
            UnknownJob: it never was, or retention has removed it.
        """
        boot = self._boot
        needed(boot.store.table, "get")
        return Job(stored(boot, id_of(job)), types=types_of(job))

    aget = off_loop(get)

    def steps(self, job: Ref) -> list[KeptStep]:
        """The steps of a job that are kept, the oldest first: how far it has come. One that is done has none any more.

        Raises:
            UnknownJob: it is not in the store.
            NotSupported: the store is a RabbitMQ.
        """
        return kept_steps(self._boot, id_of(job))

    asteps = off_loop(steps)

    def list(
        self,
        name: str | None = None,
        state: JobState | JobStateName | None = None,
        limit: int = 100,
        before: Job[Any] | None = None,
        *,
        query: str | None = None,
    ) -> list[Job[Any]]:
        """Jobs: what was queued last comes first; of states that are an end, what ended last.

        Args:
            state: one of the five states.
            limit: how many at most, 1 to 10,000.
            before: the last job of the page before.
            query: what else must hold, in the language of the command line: `error:refused ended:<1d data.user=7`.

        Raises:
            UsageError: something in the call cannot be, or the query cannot be read.
            NotSupported: on RabbitMQ only dead jobs can be listed.
        """
        if state is not None:
            check_one_of(state, "state", [one.value for one in JobState])
        check_whole(limit, "limit", least=1, most=LIST_JOBS_MAX)
        if name is not None:
            check_name(name)
        if before is not None and not isinstance(before, Job):
            raise UsageError(f"expected before to be a Job of the page before, got: {shown(before)}")
        # Imported where it is called, as everything of admin/: most processes that run jobs read none.
        from ..admin.finding import find_all, narrowed

        boot = self._boot
        meant = narrowed(query, boot.clock.now(), name, None if state is None else JobState(state))
        after = None if before is None else place_of(before.record).cursor
        return [Job(record) for record in find_all(boot.store, meant, limit=limit, after=after)]

    alist = off_loop(list)

    def counts(self, name: str | None = None) -> dict[str, int]:
        """How many jobs are in each state; every state is there."""
        boot = self._boot
        return boot.store.jobs.counts(None if name is None else check_name(name), boot.limits.reply_seconds_max)

    acounts = off_loop(counts)

    def attempts(self, job: Ref) -> Sequence[Attempt]:
        """Every attempt that failed, timed out or was interrupted: error, traceback, boot and times, oldest first."""
        return needed(self._boot.store.table, "history").attempts(id_of(job))

    aattempts = off_loop(attempts)

    def parents(self, job: Ref) -> Sequence[Job[Any]]:
        """The jobs that one waits for, or has waited for, as they are now: those of its `after` in their order, then
        those of its `after_ended`.

        Raises:
            UnknownJob: it is not in the store, or one of these jobs is not any more.
            NotSupported: the store is a RabbitMQ.
        """
        row_id = self.get(job).record.row_id
        return tuple(Parents(partial(self._submitter.parents, row_id)))

    aparents = off_loop(parents)

    def graph(self, job: Ref) -> JobGraph:
        """The graph of a job: all that hang together with it, counted, and what holds them up.

        Raises:
            UnknownJob: it is not in the store.
            NotSupported: the store is a RabbitMQ.
        """
        from .graphs import graph_of

        return graph_of(self, id_of(job))

    agraph = off_loop(graph)

    @overload
    def join(self, job: Job[T, R], timeout: Seconds | None = None) -> Job[T, R]: ...

    @overload
    def join(self, job: str, timeout: Seconds | None = None) -> Job[Any]: ...

    def join(self, job: Ref, timeout: Seconds | None = None) -> Job[Any]:
        """Wait until the job has ended, wherever it runs.

        Raises:
            JobFailed: it is dead or cancelled.
            TimeoutError: it has not ended within `timeout` seconds.
            UnknownJob: it is not in the store, or leaves it meanwhile.
            StoreUnavailable: the store cannot be read as the wait begins; later the wait outlasts that.
        """
        return self._submitter.join(job, timeout)

    ajoin = twin(join)

    def join_many(self, jobs: Iterable[Ref], timeout: Seconds | None = None) -> Sequence[Job[Any]]:
        """Wait until all have ended, and return them in this order. Raises as `join`, for the first of them."""
        return self._submitter.join_many(jobs, timeout)

    ajoin_many = twin(join_many)

    def requeue(
        self,
        job: Ref,
        *,
        delay: Seconds | timedelta | None = None,
        afresh: bool = False,
        by: str | None = None,
        reason: str | None = None,
    ) -> Job[Any]:
        """Remove, then re-add at the back of the queue with its attempts reset; also one that has ended.

        An attempt that still runs loses its claim, so it cannot finish the job any more. An `expires` is removed. The
        job goes on after the steps that are kept of it, unless it is done, or `afresh` is asked for.

        Args:
            delay: seconds or a timedelta before which it is not started.
            afresh: whether its kept steps are removed.
            by, reason: on whose behalf, and why, for the log.

        Raises:
            UnknownJob: it is not in the store.
            KeyTaken: another unfinished job holds its unique key.
            NotSupported: `afresh` on a RabbitMQ.
        """
        if check_bool(afresh, "afresh"):
            needed(self._boot.store.table, "steps")
        make = partial(Requeue, id_of(job), check_delay(delay), who=check_who(by, reason), afresh=afresh)
        requeued: Job[Any] = self._submitter.ask("jobs.requeue", make, job_id=id_of(job))
        return requeued

    arequeue = twin(requeue)

    def requeue_dead(
        self,
        name: str | None = None,
        *,
        delay: Seconds | timedelta | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> int:
        """`requeue_many` for every dead job of a name, or of all names."""
        query = JobQuery(names=() if name is None else (check_name(name),), states=(JobState.DEAD,))
        return self._requeue_all("jobs.requeue_dead", query, delay, check_who(by, reason))

    arequeue_dead = twin(requeue_dead)

    def requeue_many(
        self,
        query: str,
        *,
        delay: Seconds | timedelta | None = None,
        afresh: bool = False,
        by: str | None = None,
        reason: str | None = None,
    ) -> int:
        """`requeue` all jobs that have ended and that a query asks for, the oldest first, and say how many.

        They are requeued 500 at a time, each only if the query still asks for it then. One whose unique key another
        unfinished job holds stays as it is, and so does one that comes to match meanwhile. One that has shared the fate
        of another, which is requeued too, waits for that one again.

        Args:
            query: in the language of the command line: `name:charge error:refused ended:<1d`. Dead jobs are meant,
                unless it has a `state:` that is an end.
            delay, afresh, by, reason: as `requeue` takes them.

        Raises:
            UsageError: the query is empty, cannot be read, or asks for jobs that have not ended.
            NotSupported: on RabbitMQ only dead jobs can be looked for, and none can begin `afresh`.
            StoreUnavailable: what was requeued by then stays so; call again.
        """
        who, afresh = check_who(by, reason), check_bool(afresh, "afresh")
        from ..admin.query import parse_query_of_act

        found = parse_query_of_act(query, self._boot.clock.now(), "requeue_many", ENDED, (JobState.DEAD,))
        if afresh:
            needed(self._boot.store.table, "steps")
        return self._requeue_all("jobs.requeue_many", found, delay, who, afresh)

    arequeue_many = twin(requeue_many)

    def mark_done(
        self,
        job: Ref,
        result: Any = None,
        *,
        then: Iterable[JobSpec | tuple[str, Any]] = (),
        connection: Any = None,
    ) -> None:
        """Remove the job from the queue: it is done.

        Args:
            job: the handler's `Job` or its `token`, for a running one; an id or a snapshot of it, for a queued one.
            result: what `queue` takes as data.
            then: jobs that are queued with its end, or not at all; see `Job.then`. They come behind those that the
                handler has said so far, if it is the handler that ends its job.
            connection: your own open connection: what the handler has written on it and the job's end commit together.

        Raises:
            StaleClaim: the attempt no longer holds the job; roll back what it did. Or the job is done already, with
                another result or `then`. The same call may be repeated, but for one with a `connection`.
            UnknownJob: it is not in the store, or one that is waited for in `then` is not.
            UsageError: the result is not JSON-serializable, or one of the jobs that are to follow cannot be.
        """
        return self._submitter.settle(job, result, then, connection)

    amark_done = twin(mark_done, "A `connection` may be one that is awaited, as for `aqueue`.")

    def signal(
        self,
        job: Ref,
        name: str,
        data: Any = None,
        *,
        by: str | None = None,
        reason: str | None = None,
        connection: Any = None,
    ) -> None:
        """Tell a job what its handler waits for with `job.wait`, or will. The first signal of a name counts.

        Args:
            name, data: which of the job's waits is meant, and what it gets: what `queue` takes as data.
            by, reason, connection: as `cancel` and `queue` take them. A job may have 1,000 signals.

        Raises:
            SignalRefused: the job has ended, has got another signal of this name, or its time to wait is over.
            UsageError, UnknownJob, NotSupported, StoreUnavailable: as `requeue`; after the last, send it again.
        """
        return self._submitter.signal(job, name, data, check_who(by, reason), connection)

    asignal = twin(signal, "A `connection` may be one that is awaited, as for `aqueue`.")

    def reprioritize(self, job: Ref, priority: int, *, by: str | None = None, reason: str | None = None) -> Job[Any]:
        """Give a queued job another priority, whatever it waits for: the next claim goes by it.

        Raises:
            UsageError: the job runs or has ended, or the priority cannot be.
            UnknownJob, NotSupported: as `forget`.
        """
        make = partial(Reprioritize, id_of(job), check_priority(priority), who=check_who(by, reason))
        reprioritized: Job[Any] = self._submitter.ask("jobs.reprioritize", make)
        return reprioritized

    areprioritize = twin(reprioritize)

    def cancel(self, job: Ref, *, by: str | None = None, reason: str | None = None) -> Job[Any]:
        """End a job as cancelled. A running one is signalled, and whatever its attempt still does changes nothing.

        One that has ended stays as it is; the returned job says how. `by` (on whose behalf) and `reason` are logged and
        stand in the job's own `reason`.
        """
        make = partial(CancelJob, id_of(job), who=check_who(by, reason))
        cancelled: Job[Any] = self._submitter.ask("jobs.cancel", make)
        return cancelled

    acancel = twin(cancel)

    def cancel_many(self, query: str, *, by: str | None = None, reason: str | None = None) -> int:
        """`cancel` all queued and running jobs that a query asks for, the oldest first, and say how many.

        They are cancelled 500 at a time, each only if the query still asks for it then. One that comes to match
        meanwhile stays.

        Args:
            query: in the language of the command line: `name:report data.customer=7`. If it has states,
                none may be an end.
            by, reason: as `cancel` takes them.

        Raises:
            UsageError: the query is empty, cannot be read, or asks for jobs that have ended.
            NotSupported: on RabbitMQ.
            StoreUnavailable: what was cancelled by then stays so; call again.
        """
        who = check_who(by, reason)
        from ..admin.query import parse_query_of_act

        found = parse_query_of_act(query, self._boot.clock.now(), "cancel_many", UNFINISHED, UNFINISHED)
        needed(self._boot.store.table, "cancel_many")
        return self._submitter.ask_of_all(
            "jobs.cancel_many", found, lambda some: partial(CancelMany, some, found, who=who)
        )

    acancel_many = twin(cancel_many)

    def forget(self, job: Ref, *, by: str | None = None, reason: str | None = None) -> None:
        """Remove a job that has ended, with its data, result, errors and attempts, before retention does.

        Its id may be used again. Its lines in the log stay: ids, names, errors, and a hash of its data.

        Raises:
            UsageError: it has not ended; `cancel` it first. Or another job in the store waits for it, or has; the
                message names one: `forget` that first.
            UnknownJob: it is not in the store.
            NotSupported: on RabbitMQ, which keeps no jobs that have ended but dead ones.
        """
        return self._act("jobs.forget", partial(ForgetJob, id_of(job), who=check_who(by, reason)))

    aforget = twin(forget)

    def pause(
        self, name: str, *, by: str | None = None, reason: str | None = None, until: datetime | None = None
    ) -> None:
        """Start no job of this name, on any runtime of the store, until `resume`. A pause is stored.

        Args:
            by, reason: on whose behalf, and why, for the log and for whoever looks at the pause.
            until: an aware datetime at which the pause ends by itself: when the clock shows it, however that is set.
        """
        end = None if until is None else check_moment(until, "until")
        return self._act("jobs.pause", partial(Pause, check_name(name), True, who=check_who(by, reason), until=end))

    apause = twin(pause)

    def resume(self, name: str, *, by: str | None = None, reason: str | None = None) -> None:
        """Start jobs of this name again."""
        make = partial(Pause, check_name(name), False, who=check_who(by, reason), until=None)
        return self._act("jobs.resume", make)

    aresume = twin(resume)

    def paused(self) -> Sequence[str]:
        """The names that are paused."""
        boot = self._boot
        return tuple(paused_at(boot.store.jobs.pauses(), boot.clock.now()))

    def limit(self, name: str, most: int | None, *, by: str | None = None, reason: str | None = None) -> None:
        """Let at most so many jobs of this name run at once, over the whole store, whatever its handlers would take.

        Those that run already go on. None ends the limit. It is stored, as a pause is.

        Raises:
            NotSupported: the store is a RabbitMQ.
        """
        who = check_who(by, reason)
        return self._act("jobs.limit", partial(Limit, check_name(name), check_limit(most), who=who))

    alimit = twin(limit)

    @overload
    def handler(
        self, name: Callable[Concatenate[Job[T, Any], P], Coroutine[Any, Any, R]], /
    ) -> JobHandler[P, T, Coroutine[Any, Any, R], R]: ...

    @overload
    def handler(self, name: Callable[Concatenate[Job[T, Any], P], R], /) -> JobHandler[P, T, R, R]: ...

    @overload
    def handler(self, name: str | None = None, **options: Unpack[HandlerKeywords]) -> HandlerDecorator: ...

    def handler(self, name: str | Callable[..., Any] | None = None, **options: Unpack[HandlerKeywords]) -> Any:
        """`add_handler` as a decorator: `@handler("resize")`, or `@handler` for jobs that have the function's name.

        It leaves a handler object in the place of the function, which can be called as before, and queues jobs:
        `resize.queue(data)`. The same function, defined again, replaces the one before, with a RuntimeWarning.
        """

        def decorate(fn: Callable[..., Any]) -> JobHandler[Any, Any, Any, Any]:
            own = name_of(fn) if name is None or callable(name) else name
            handler = self._checked(own, fn, **{**_DEFAULTS, **options})
            replaced = self._submitter.state.declared.handlers(own)
            check_only(handler, replaced)
            if self._submitter.state.running is not None:
                check_importable(handler, is_defined=False)
            self._submitter.declare(handler)
            for old in replaced:
                self.remove_handler(old.id)
            return JobHandler(lambda: self._submitter, handler)

        return decorate(name) if callable(name) else decorate

    def add_handler(
        self,
        name: str,
        fn: Callable[[Job[Any]], Any],
        *,
        concurrency: int = 1,
        concurrency_total: int | None = None,
        concurrency_per_group: int | None = None,
        rate: Rate | None = None,
        rate_per_group: Rate | None = None,
        timeout: Seconds | timedelta | None = None,
        on_timeout: OnTimeout = "signal",
        max_attempts: int = 20,
        backoff: Backoff | Seconds | timedelta | Sequence[Seconds | timedelta] = Backoff(),  # noqa: B008 (frozen)
        retry_on: ExceptionClasses | None = None,
        discard_on: ExceptionClasses | None = None,
        auto_done: bool = True,
        isolation: Isolation = "thread",
        interruptions_max: int | None = None,
        restart: RestartBudget | None = None,
        upcast: Callable[[Any], Any] | None = None,
        hands_down: Sequence[HandedDown] = (),
        **unknown: Never,
    ) -> str:
        """Have a function do the jobs of a name. Works before `start` too.

        Several handlers of one name compete: each job goes to exactly one of them.

        Args:
            fn: called with a `Job`; a coroutine function runs on an event loop. Its return value is the job's result.
            concurrency: how many at once in this runtime.
            concurrency_total: how many at once over the whole store.
            concurrency_per_group: how many jobs of one group at once over the whole store. Jobs without a group have no
                such limit.
            rate: how many may start in a time, over the whole store: `Rate(100, per=60)`. Retries count too. A job that
                may not start yet stays queued. `rate_per_group` is the same for each group.
            timeout: seconds for one attempt.
            on_timeout: `signal`, or `raise` to also raise a `JobTimeout` inside the thread, which may strike anywhere,
                also while the function holds a lock.
            max_attempts: failures and timeouts before the job is dead.
            backoff: a `Backoff`, the wait before each retry, or a sequence of waits, of which the last repeats.
            retry_on: exception classes, with what extends them, that are tried again; any other that the function
                raises makes the job dead at once. None: all are. Timeouts and interruptions are tried again anyway.
            discard_on: those that make the job dead at once. Where both have a class of the error, the nearest counts.
            auto_done: whether returning ends the job; otherwise `mark_done` must be called with its token.
            isolation: `thread`, or `process` for a child process that can really be killed; `fn` must be importable.
            interruptions_max: blamed interruptions within 72 hours before the job is dead as poison.
            restart: how often the actor of this name may be restarted before it is quarantined.
            hands_down: `group`, `priority` or both, which jobs of `job.then` get unless they have their own.
            upcast: makes data of an older version, as JSON has it, into data that fits; asked only where data does not.

        Returns:
            An id for `remove_handler`.

        Raises:
            UsageError: something in the call cannot be.
        """
        options = {option: value for option, value in locals().items() if option in _DEFAULTS}
        handler = self._checked(name, fn, **options, **unknown)
        check_importable(handler)
        self._submitter.declare(handler)
        return handler.id

    def remove_handler(self, handler_id: str, *, drain: Seconds | timedelta | None = None) -> None:
        """Remove a handler. Its running jobs finish, or are requeued when `drain` seconds have passed.

        Raises:
            UnknownHandler: there is none with this id.
        """
        seconds = None if drain is None else check_seconds(drain, "drain")
        handler = self._submitter.state.declared.remove_handler(handler_id)
        if handler is None:
            raise UnknownHandler(f"expected the id that add_handler gave, got: {shown(handler_id)}")
        boot = self._submitter.state.running
        if boot is not None:
            boot.remove_handler(handler, seconds)

    def _checked(self, name: str, fn: Callable[..., Any], **options: Any) -> Handler:
        if unknown := options.keys() - _DEFAULTS.keys():
            raise unknown_options(unknown, _DEFAULTS, "jobs.add_handler")
        state = self._submitter.state
        handler = check_handler(
            name,
            fn.__wrapped__ if isinstance(fn, JobHandler) else fn,
            new_id=state.environment.new_id,
            limits=state.limits,
            has_table=state.has_table,
            **options,
        )
        self._submitter.declared(lambda runtime: runtime.jobs.handler(name, **options)(fn))
        return handler

    @property
    def _boot(self) -> Boot:
        return self._submitter.state.get()

    @property
    def _awaiting(self) -> Jobs:
        return Jobs(self._submitter.awaiting)

    def _act(self, call: str, make: Make) -> None:
        acted: None = self._submitter.ask(call, make)
        return acted

    def _requeue_all(self, call: str, query: JobQuery, delay: Any, who: Attribution, afresh: bool = False) -> int:
        seconds = check_delay(delay)
        return self._submitter.ask_of_all(
            call, query, lambda some: partial(RequeueMany, some, query, seconds, who=who, afresh=afresh)
        )


_DEFAULTS = {
    name: option.default
    for name, option in inspect.signature(Jobs.add_handler).parameters.items()
    if option.kind is option.KEYWORD_ONLY
}
"""The options of `Jobs.add_handler`."""
