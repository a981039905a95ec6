"""The Jobs API: what an application calls to queue jobs, look at them, act on them, and add handlers."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Never, TypeVar, Unpack

from .boot.boot import Boot
from .boot.current import CurrentBoot
from .boot.job_refs import Ref, claim_of, id_of
from .boot.joining import awaiting, ended, outcome, seconds_of, stored
from .boot.reviving import at_hand, off_loop, revive, revive_async
from .broker.host_transactions import finish_on, queue_on
from .errors import StoreUnavailable, UnknownHandler, UsageError, shown
from .handlers.options import HandlerKeywords, Isolation, OnTimeout
from .handlers.registration import check_budget, check_handler
from .job import Job
from .log.job_context import current_corr
from .messages.jobs import Attempt, JobKeywords, JobSpec, JobState, JobStateName, NewJob, Seconds
from .messages.mail import Cancel, MarkDone, Pause, Queue, Reply, Requeue
from .messages.outcomes import Backoff
from .rules.capabilities import needed
from .rules.codec import encode
from .rules.new_jobs import spec_of
from .rules.restart_budget import RestartBudget
from .rules.validation import (
    check_iterable,
    check_name,
    check_one_of,
    check_seconds,
    check_whole,
    options_of,
    unknown_options,
)

LIST_JOBS_MAX = 10_000

F = TypeVar("F", bound=Callable[..., Any])


class Jobs:
    """Queue jobs, look at them, act on them, and register the functions that do them. Made by `Runtime`."""

    def __init__(self, current_boot: CurrentBoot) -> None:
        self._current_boot = current_boot
        self._warned = False

    def queue(
        self,
        name: str,
        data: Any = None,
        *,
        id: str | None = None,
        delay: Seconds | timedelta | None = None,
        at: datetime | None = None,
        priority: int = 0,
        unique: str | None = None,
        expires: Seconds | timedelta | datetime | None = None,
        max_attempts: int | None = None,
        timeout: Seconds | timedelta | None = None,
        connection: Any = None,
        **unknown: Never,
    ) -> Job[Any]:
        """Add a one-time job. Returns when it is durable.

        Args:
            name: which handler it is for, 1 to 200 characters. Without a handler it waits.
            data: what JSON has, dataclasses, Structs, attrs classes, pydantic models, enums, UUIDs, dates, Decimals,
                paths, sets, bytes; at most `data_bytes_max` as JSON.
            id: a known one returns the stored job, which makes a retry safe. Made up when not given.
            delay: seconds or a timedelta before it is due.
            at: an aware date-time at which it is due.
            priority: higher runs first; then what is due longer; then what was queued first.
            unique: while a job with this name and key is unfinished, that one is returned, `deduplicated`.
            expires: an unstarted job is cancelled after it: seconds, a timedelta or an aware date-time. One that waits
                for its retry has been started; one that was snoozed has not.
            max_attempts: overrides the handler's.
            timeout: seconds for one attempt; overrides the handler's.
            connection: your own open sqlite3 connection, SQLAlchemy Connection or Session on the same file. The job
                exists if and only if your transaction commits.

        Raises:
            UsageError: something in the call cannot be; nothing is stored.
            NotStarted: the runtime does not run.
            StoreUnavailable: no answer in time; queue again with `id=error.job_id`.
        """
        if unknown:
            raise unknown_options(unknown, options_of(Jobs.queue), "jobs.queue")
        spec = JobSpec(
            name=name,
            data=data,
            id=id,
            delay=delay,
            at=at,
            priority=priority,
            unique=unique,
            expires=expires,
            max_attempts=max_attempts,
            timeout=timeout,
        )
        boot = self._current_boot.current()
        job = boot.checks(current_corr()).spec(spec)
        if connection is not None:
            try:
                record, fresh = queue_on(boot.store, connection, job, boot.clock.now())
            except StoreUnavailable as error:
                raise StoreUnavailable(str(error), (job.id,)) from error
            if fresh:
                boot.expect(job.id, None)
            return Job(record, deduplicated=not fresh)
        self._warn_if_blocking("queue")
        return _stored(boot.requests.ask(partial(Queue, (job,)), job_ids=(job.id,), corr=job.corr))[0]

    async def aqueue(self, name: str, data: Any = None, **options: Unpack[JobKeywords]) -> Job[Any]:
        """`queue` for asyncio applications; takes the same options but `connection`."""
        boot = self._current_boot.current()
        checks = boot.checks(current_corr())
        job = checks.spec(spec_of("jobs.aqueue", name, data, options)) if options else checks.pair(name, data)
        return _stored(await boot.requests.ask_async(partial(Queue, (job,)), job_ids=(job.id,), corr=job.corr))[0]

    def queue_many(self, jobs: Iterable[JobSpec | tuple[str, Any]]) -> list[Job[Any]]:
        """Add many jobs at once: all of them, or none.

        Args:
            jobs: (name, data) pairs or `JobSpec`s.

        Raises:
            UsageError: one of them cannot be; none is stored.
            NotStarted: the runtime does not run.
            StoreUnavailable: no answer in time; queue them again, each with its id of `error.job_ids`.
        """
        self._warn_if_blocking("queue_many")
        boot, new = self._new_many(jobs)
        return _stored(boot.requests.ask(partial(Queue, new), job_ids=[job.id for job in new])) if new else []

    async def aqueue_many(self, jobs: Iterable[JobSpec | tuple[str, Any]]) -> list[Job[Any]]:
        """`queue_many` for asyncio applications."""
        boot, new = self._new_many(jobs)
        if not new:
            return []
        return _stored(await boot.requests.ask_async(partial(Queue, new), job_ids=[job.id for job in new]))

    def requeue(self, job: Ref, *, delay: Seconds | timedelta | None = None) -> Job[Any]:
        """Remove, then re-add at the back of the queue with its attempts reset; also one that has ended.

        An attempt that still runs loses its claim, so it cannot finish the job any more. An `expires` is removed.

        Raises:
            UnknownJob: it is not in the store.
            KeyTaken: another unfinished job holds its unique key.
        """
        self._warn_if_blocking("requeue")
        boot, make = self._requeue(job, delay)
        with at_hand(boot.store, id_of(job)):
            return Job(boot.requests.ask(make))

    async def arequeue(self, job: Ref, *, delay: Seconds | timedelta | None = None) -> Job[Any]:
        """`requeue` for asyncio applications."""
        boot, make = self._requeue(job, delay)
        async with off_loop(at_hand(boot.store, id_of(job))):
            return Job(await boot.requests.ask_async(make))

    def requeue_dead(self, name: str | None = None, *, delay: Seconds | timedelta | None = None) -> int:
        """`requeue` every dead job of a name, or of all, the oldest first, and say how many.

        One whose unique key another unfinished job holds stays dead, and so does one that dies again meanwhile.
        """
        self._warn_if_blocking("requeue_dead")
        return revive(*self._revival(name, delay))

    async def arequeue_dead(self, name: str | None = None, *, delay: Seconds | timedelta | None = None) -> int:
        """`requeue_dead` for asyncio applications."""
        return await revive_async(*self._revival(name, delay))

    def mark_done(self, job: Ref, result: Any = None, *, connection: Any = None) -> None:
        """Remove the job from the queue: it is done.

        Args:
            job: the handler's `Job` or its `token`, for a running one; an id or a snapshot of it, for a queued one.
            result: what `queue` takes as data.
            connection: your own open connection: what the handler has written on it and the job's end commit together.

        Raises:
            StaleClaim: the attempt no longer holds the job; roll back what it did.
            UnknownJob: it is not in the store.
            UsageError: JSON cannot carry the result.
        """
        boot, job_id, no, claim_no, text = self._ending(job, result)
        if connection is None:
            self._warn_if_blocking("mark_done")
            boot.requests.ask(partial(MarkDone, job_id, no, claim_no, text))
            return
        finish_on(boot.store, connection, job_id, no, claim_no, text, boot.clock.now())
        boot.expect(job_id, JobState.DONE)

    async def amark_done(self, job: Ref, result: Any = None) -> None:
        """`mark_done` for asyncio applications."""
        boot, job_id, no, claim_no, text = self._ending(job, result)
        await boot.requests.ask_async(partial(MarkDone, job_id, no, claim_no, text))

    def cancel(self, job: Ref) -> Job[Any]:
        """End a job as cancelled. A running one is signalled, and whatever its attempt still does changes nothing.

        One that has ended stays as it is; the returned job says how.
        """
        self._warn_if_blocking("cancel")
        make = partial(Cancel, id_of(job))
        return Job(self._current_boot.current().requests.ask(make))

    async def acancel(self, job: Ref) -> Job[Any]:
        """`cancel` for asyncio applications."""
        make = partial(Cancel, id_of(job))
        return Job(await self._current_boot.current().requests.ask_async(make))

    def pause(self, name: str) -> None:
        """Start no job of this name, on any runtime of the store, until `resume`. A pause is stored."""
        self._warn_if_blocking("pause")
        make = partial(Pause, check_name(name), True)
        self._current_boot.current().requests.ask(make)

    def resume(self, name: str) -> None:
        """Start jobs of this name again."""
        self._warn_if_blocking("resume")
        make = partial(Pause, check_name(name), False)
        self._current_boot.current().requests.ask(make)

    async def apause(self, name: str) -> None:
        """`pause` for asyncio applications."""
        await self._current_boot.current().requests.ask_async(partial(Pause, check_name(name), True))

    async def aresume(self, name: str) -> None:
        """`resume` for asyncio applications."""
        await self._current_boot.current().requests.ask_async(partial(Pause, check_name(name), False))

    def get(self, job: Ref) -> Job[Any]:
        """The job as it is now.

        Raises:
            UnknownJob: it never was, or retention has removed it.
        """
        boot = self._current_boot.current()
        needed(boot.store.table, "get")
        return Job(stored(boot, id_of(job)))

    async def aget(self, job: Ref) -> Job[Any]:
        """`get` for asyncio applications."""
        return await asyncio.to_thread(self.get, job)

    def list(
        self,
        name: str | None = None,
        state: JobState | JobStateName | None = None,
        limit: int = 100,
        before: Job[Any] | None = None,
    ) -> list[Job[Any]]:
        """Jobs, the newest first; `before` is the last one of the page before."""
        if state is not None:
            check_one_of(state, "state", [one.value for one in JobState])
        check_whole(limit, "limit", least=1, most=LIST_JOBS_MAX)
        if name is not None:
            check_name(name)
        if before is not None and not isinstance(before, Job):
            raise UsageError(f"expected before to be a Job of the page before, got: {shown(before)}")
        store, last = self._current_boot.current().store, None if before is None else before.record
        if store.dead is not None and state == JobState.DEAD:
            records = store.dead.list(name, limit, last)
        else:
            records = needed(store.table, "list").list(name=name, state=state, limit=limit, before=last)
        return [Job(record) for record in records]

    async def alist(
        self,
        name: str | None = None,
        state: JobState | JobStateName | None = None,
        limit: int = 100,
        before: Job[Any] | None = None,
    ) -> Sequence[Job[Any]]:
        """`list` for asyncio applications."""
        return await asyncio.to_thread(self.list, name, state, limit, before)

    def counts(self, name: str | None = None) -> dict[str, int]:
        """How many jobs are in each state; every state is there."""
        return self._current_boot.current().store.jobs.counts(None if name is None else check_name(name))

    async def acounts(self, name: str | None = None) -> dict[str, int]:
        """`counts` for asyncio applications."""
        return await asyncio.to_thread(self.counts, name)

    def attempts(self, job: Ref) -> Sequence[Attempt]:
        """Every attempt that failed, timed out or was interrupted: error, traceback, boot and times, oldest first."""
        return needed(self._current_boot.current().store.table, "history").attempts(id_of(job))

    def join(self, job: Ref, timeout: Seconds | None = None) -> Job[Any]:
        """Wait until the job has ended, wherever it runs.

        Raises:
            JobFailed: it is dead or cancelled.
            TimeoutError: it has not ended within `timeout` seconds.
            UnknownJob: it is not in the store.
        """
        self._warn_if_blocking("join")
        boot, job_id, seconds = self._current_boot.current(), id_of(job), seconds_of(timeout)
        with awaiting(boot, job_id, boot.environment.reply(), timeout) as reply:
            found = ended(boot, job_id)
            return outcome(reply.wait(seconds) if found is None else found)

    async def ajoin(self, job: Ref, timeout: Seconds | None = None) -> Job[Any]:
        """`join` for asyncio applications."""
        boot, job_id, seconds = self._current_boot.current(), id_of(job), seconds_of(timeout)
        with awaiting(boot, job_id, boot.environment.loop_reply(), timeout) as reply:
            found = await asyncio.to_thread(ended, boot, job_id)
            return outcome(await reply.wait(seconds) if found is None else found)

    def handler(self, name: str, **options: Unpack[HandlerKeywords]) -> Callable[[F], F]:
        """`add_handler` as a decorator; the function stays what it is."""

        def decorate(fn: F) -> F:
            self.add_handler(name, fn, **options)
            return fn

        return decorate

    def add_handler(
        self,
        name: str,
        fn: Callable[..., Any],
        *,
        concurrency: int = 1,
        concurrency_total: int | None = None,
        timeout: Seconds | timedelta | None = None,
        on_timeout: OnTimeout = "signal",
        max_attempts: int = 20,
        backoff: Backoff | Sequence[Seconds] = Backoff(),  # noqa: B008 (frozen)
        auto_done: bool = True,
        isolation: Isolation = "thread",
        interruptions_max: int | None = None,
        restart: RestartBudget | None = None,
        **unknown: Never,
    ) -> str:
        """Have a function do the jobs of a name. Works before `start` too.

        Several handlers of one name compete: each job goes to exactly one of them.

        Args:
            name: of the jobs.
            fn: called with a `Job`; a coroutine function runs on an event loop. What it returns is the job's result.
            concurrency: how many at once in this runtime.
            concurrency_total: how many at once over the whole store.
            timeout: seconds for one attempt.
            on_timeout: `signal`, or `raise` to also raise a `JobTimeout` inside the thread, which may strike anywhere,
                also while the function holds a lock.
            max_attempts: failures and timeouts before the job is dead.
            backoff: a `Backoff`, or the waits themselves, of which the last repeats.
            auto_done: whether returning ends the job; otherwise `mark_done` must be called with its token.
            isolation: `thread`, or `process` for a child process that can really be killed; `fn` must be importable.
            interruptions_max: blamed interruptions within 72 hours before the job is dead as poison.
            restart: how often the actor of this name may be restarted before it is quarantined.

        Returns:
            An id for `remove_handler`.

        Raises:
            UsageError: something in the call cannot be.
        """
        if unknown:
            raise unknown_options(unknown, options_of(Jobs.add_handler), "jobs.add_handler")
        current_boot = self._current_boot
        handler = check_handler(
            name,
            fn,
            new_id=current_boot.environment.new_id,
            limits=current_boot.limits,
            has_table=current_boot.has_table,
            concurrency=concurrency,
            concurrency_total=concurrency_total,
            timeout=timeout,
            on_timeout=on_timeout,
            max_attempts=max_attempts,
            backoff=backoff,
            auto_done=auto_done,
            isolation=isolation,
            interruptions_max=interruptions_max,
        )
        if restart is not None:
            current_boot.declared.budgets[handler.name] = check_budget(restart)
        current_boot.declared.add_handler(handler)
        boot = current_boot.running
        if boot is not None:
            boot.add_handler(handler)
        return handler.id

    def remove_handler(self, handler_id: str, *, drain: Seconds | timedelta | None = None) -> None:
        """Remove a handler. Its running jobs finish, or are requeued when `drain` seconds have passed.

        Raises:
            UnknownHandler: there is none with this id.
        """
        seconds = None if drain is None else check_seconds(drain, "drain")
        handler = self._current_boot.declared.remove_handler(handler_id)
        if handler is None:
            raise UnknownHandler(f"expected the id that add_handler gave, got: {shown(handler_id)}")
        boot = self._current_boot.running
        if boot is not None:
            boot.remove_handler(handler, seconds)

    def queue_from_handler(self, name: str, data: Any, options: JobKeywords, corr: str) -> Job[Any]:
        """Queue a job that descends from the one that a handler runs."""
        boot = self._current_boot.current()
        job = boot.checks(corr).spec(spec_of("job.queue", name, data, options))
        return _stored(boot.requests.ask(partial(Queue, (job,)), job_ids=(job.id,), corr=corr))[0]

    def _new_many(self, jobs: Iterable[JobSpec | tuple[str, Any]]) -> tuple[Boot, tuple[NewJob, ...]]:
        boot = self._current_boot.current()
        checks = boot.checks(current_corr())
        wanted = check_iterable(jobs, "jobs", "JobSpecs or (name, data) pairs")
        return boot, tuple([checks.one(job) for job in wanted])

    def _requeue(self, job: Ref, delay: Seconds | timedelta | None) -> tuple[Boot, Callable[[Reply], Requeue]]:
        return self._current_boot.current(), partial(Requeue, id_of(job), _delay(delay))

    def _revival(self, name: str | None, delay: Seconds | timedelta | None) -> tuple[Boot, str | None, Seconds]:
        return self._current_boot.current(), None if name is None else check_name(name), _delay(delay)

    def _ending(self, job: Ref, result: Any) -> tuple[Boot, str, int | None, int | None, str]:
        """The job's id, its `no` and its claim number, as far as each is known, and the result as JSON text."""
        boot = self._current_boot.current()
        text = encode(result, what="result", bytes_max=boot.limits.result_bytes_max)
        return boot, *claim_of(boot.store, job), text

    def _warn_if_blocking(self, call: str) -> None:
        if self._warned or asyncio._get_running_loop() is None:
            return
        self._warned = True
        warnings.warn(
            f"jobs.{call} blocks the running event loop until the job is durable; await jobs.a{call} instead",
            RuntimeWarning,
            stacklevel=3,
        )


def _delay(delay: Seconds | timedelta | None) -> Seconds:
    return 0.0 if delay is None else check_seconds(delay, "delay")


def _stored(answer: Any) -> list[Job[Any]]:
    return [Job(record, deduplicated=not fresh) for record, fresh in answer]
