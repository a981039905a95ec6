"""Queueing jobs: the part of the Jobs API that applications call most, and handler objects with them."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import Iterable, Iterator, Sequence, Sized
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from operator import is_
from typing import Any, Never, Unpack

from ..boot.boot import Boot
from ..boot.payload_mismatches import warn_of_payload_mismatches
from ..boot.runtime_state import RuntimeState
from ..broker.host_transactions import queue_on, queue_on_async
from ..errors import StoreUnavailable, UnknownJob
from ..log.job_context import current_corr
from ..messages.jobs import Debounce, JobKeywords, JobRecord, JobSpec, NewJob, ParentRef, Seconds
from ..messages.mail import Queue
from ..rules.capabilities import needed
from ..rules.new_jobs import SPEC_DEFAULTS, SPEC_OPTIONS, check_then_count, spec_of
from ..rules.validation import check_iterable, options_of, unknown_options
from .job import Job

CALLED_DEPTH, IN_HANDLER_DEPTH = 3, 5
"""How many calls lie between a warning and the application's line: of `jobs.queue`, and of `job.queue`."""

PARENTS_READ = 100
"""So many of the jobs that one has waited for are read at a time."""

NAMES_MAX = 100
"""The most names of which the log says that calls block a loop."""


class Queueing:
    """Queues jobs."""

    def __init__(self, current_boot: RuntimeState) -> None:
        self._current_boot = current_boot
        self._warned_of: set[str] = set()

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
        group: str | None = None,
        after: ParentRef | Iterable[ParentRef] = (),
        after_ended: ParentRef | Iterable[ParentRef] = (),
        debounce: Debounce | None = None,
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
            debounce: while a job of this name is queued under its key, that one becomes what this call says, and waits
                until there was no call for a while: `Debounce("doc-7", quiet=5, at_most=60)`. Without id, delay, at,
                unique, after and after_ended.
            connection: your own open sqlite3 connection, SQLAlchemy Connection or Session, or Django's connection, on
                the same file. The job exists if and only if your transaction commits. `aqueue` takes those of asyncio
                too.

        Raises:
            UsageError: something in the call cannot be; nothing is stored.
            UnknownJob: one that it is to wait for is not in the store.
            NotStarted: the runtime does not run.
            StoreUnavailable: no answer in time; queue again with `id=error.job_id`.
        """
        if unknown:
            raise unknown_options(unknown, options_of(Queueing.queue), "jobs.queue")
        given = id, delay, at, priority, unique, expires, max_attempts, timeout, group, after, after_ended, debounce
        boot = self._current_boot.get()
        checks = boot.checks(current_corr())
        if all(map(is_, given, SPEC_DEFAULTS)):
            job = checks.pair(name, data)
        else:
            options: dict[str, Any] = dict(zip(SPEC_OPTIONS, given, strict=True))
            job = checks.spec(JobSpec(name=name, data=data, **options))
        warn_of_payload_mismatches(self._current_boot.declared, checks.unchecked)
        if connection is not None:
            with boot.queueing((job,)) as (job,), _told_of(job):
                record, fresh = queue_on(boot.store, connection, job, boot.clock.now())
            return _expected(boot, record, fresh)
        self.warn_if_blocking("queue", name=name)
        with boot.queueing((job,)) as jobs:
            return _stored(boot.requests.ask(partial(Queue, jobs), job_ids=(job.id,), corr=job.corr, here=True))[0]

    async def aqueue(
        self, name: str, data: Any = None, *, connection: Any = None, **options: Unpack[JobKeywords]
    ) -> Job[Any]:
        """`queue` for asyncio applications. A `connection` may also be a SQLAlchemy AsyncSession or AsyncConnection, or
        an aiosqlite.Connection; one of sqlite3 blocks the loop while it waits for the write lock.
        """
        boot = self._current_boot.get()
        checks = boot.checks(current_corr())
        job = checks.spec(spec_of("jobs.aqueue", name, data, options)) if options else checks.pair(name, data)
        warn_of_payload_mismatches(self._current_boot.declared, checks.unchecked)
        if connection is not None:
            with boot.queueing((job,)) as (job,), _told_of(job):
                record, fresh = await queue_on_async(boot.store, connection, job, boot.clock.now())
            return _expected(boot, record, fresh)
        with boot.queueing((job,)) as jobs:
            return _stored(await boot.requests.ask_async(partial(Queue, jobs), job_ids=(job.id,), corr=job.corr))[0]

    def queue_many(self, jobs: Iterable[JobSpec | tuple[str, Any]]) -> list[Job[Any]]:
        """Add many jobs at once: all of them, or none.

        Args:
            jobs: (name, data) pairs, or `JobSpec` objects. One may wait for others that stand before it.

        Raises:
            UsageError: one of them cannot be; none is stored.
            NotStarted: the runtime does not run.
            StoreUnavailable: no answer in time; queue them again, each with its id of `error.job_ids`.
        """
        self.warn_if_blocking("queue_many")
        boot, new, unchecked = self._new_many(jobs, current_corr())
        warn_of_payload_mismatches(self._current_boot.declared, unchecked)
        return self._queue_new(boot, new)

    async def aqueue_many(self, jobs: Iterable[JobSpec | tuple[str, Any]]) -> list[Job[Any]]:
        """`queue_many` for asyncio applications."""
        boot, new, unchecked = self._new_many(jobs, current_corr())
        warn_of_payload_mismatches(self._current_boot.declared, unchecked)
        return await self._aqueue_new(boot, new)

    def queue_from_handler(self, name: str, data: Any, options: JobKeywords, corr: str) -> Job[Any]:
        """Queue a job that descends from the one that a handler runs."""
        boot, job = self._new_from_handler("job.queue", name, data, options, corr)
        self.warn_if_blocking("queue", "job", name=name, depth=IN_HANDLER_DEPTH)
        with boot.queueing((job,)) as jobs:
            return _stored(boot.requests.ask(partial(Queue, jobs), job_ids=(job.id,), corr=corr, here=True))[0]

    async def aqueue_from_handler(self, name: str, data: Any, options: JobKeywords, corr: str) -> Job[Any]:
        """`queue_from_handler` for a handler that is a coroutine function."""
        boot, job = self._new_from_handler("job.aqueue", name, data, options, corr)
        with boot.queueing((job,)) as jobs:
            return _stored(await boot.requests.ask_async(partial(Queue, jobs), job_ids=(job.id,), corr=corr))[0]

    def queue_many_from_handler(self, jobs: Iterable[JobSpec | tuple[str, Any]], corr: str) -> list[Job[Any]]:
        """Queue jobs that descend from the one that a handler runs."""
        self.warn_if_blocking("queue_many", "job", depth=IN_HANDLER_DEPTH)
        boot, new, unchecked = self._new_many(jobs, corr)
        warn_of_payload_mismatches(self._current_boot.declared, unchecked)
        return self._queue_new(boot, new)

    async def aqueue_many_from_handler(self, jobs: Iterable[JobSpec | tuple[str, Any]], corr: str) -> list[Job[Any]]:
        """`queue_many_from_handler` for a handler that is a coroutine function."""
        boot, new, unchecked = self._new_many(jobs, corr)
        warn_of_payload_mismatches(self._current_boot.declared, unchecked)
        return await self._aqueue_new(boot, new)

    def checked_for_later(
        self, jobs: Iterable[JobSpec | tuple[str, Any]], corr: str | None = None
    ) -> tuple[NewJob, ...]:
        """Jobs that are queued when another ends, checked, with what they carry. One that is given no id has "".

        Raises:
            UsageError: one of them cannot be, or they are too many.
        """
        boot = self._current_boot.get()
        if isinstance(jobs, Sized):
            check_then_count(len(jobs), boot.limits)
        checks = boot.checks(corr, new_id=str)
        wanted = check_iterable(jobs, "then", "JobSpecs or (name, data) pairs")
        new = tuple(checks.all(islice(wanted, boot.limits.then_jobs_max + 1)))
        warn_of_payload_mismatches(self._current_boot.declared, checks.unchecked)
        if not new:
            return ()
        with boot.queueing(new) as new:
            return new

    def some_parents(self, no: int, after: int) -> Sequence[Job[Any]]:
        """Some of the jobs that one waits for or has waited for, by its `no`, without the first `after`."""
        table = needed(self._current_boot.get().store.table, "after")
        for gone in table.gone_parents(no, 1):
            raise UnknownJob(
                f"job {gone.id} ({gone.name}), which this one has waited for and which is {gone.state}, is not in the "
                "store any more: retention removed it"
            )
        return [Job(record) for record in table.parents(no, after, PARENTS_READ)]

    def _new_from_handler(
        self, call: str, name: str, data: Any, options: JobKeywords, corr: str
    ) -> tuple[Boot, NewJob]:
        boot = self._current_boot.get()
        job = boot.checks(corr).spec(spec_of(call, name, data, options))
        warn_of_payload_mismatches(self._current_boot.declared, (job,))
        return boot, job

    def _queue_new(self, boot: Boot, new: tuple[NewJob, ...]) -> list[Job[Any]]:
        if not new:
            return []
        with boot.queueing(new) as new:
            return _stored(boot.requests.ask(partial(Queue, new), job_ids=[job.id for job in new]))

    async def _aqueue_new(self, boot: Boot, new: tuple[NewJob, ...]) -> list[Job[Any]]:
        if not new:
            return []
        with boot.queueing(new) as new:
            return _stored(await boot.requests.ask_async(partial(Queue, new), job_ids=[job.id for job in new]))

    def _new_many(
        self, jobs: Iterable[JobSpec | tuple[str, Any]], corr: str | None
    ) -> tuple[Boot, tuple[NewJob, ...], Sequence[NewJob]]:
        boot = self._current_boot.get()
        checks = boot.checks(corr)
        wanted = check_iterable(jobs, "jobs", "JobSpecs or (name, data) pairs")
        return boot, tuple(checks.all(wanted)), checks.unchecked

    def warn_if_blocking(
        self, call: str, of: str = "jobs", *, name: str | None = None, depth: int = CALLED_DEPTH
    ) -> None:
        """Say that a call blocks a running event loop: a warning of Python's, once; and in the log, once a name.

        Args:
            name: of the jobs that the call is about, if it is.
            depth: how far from here the application's own line is.
        """
        about = call if name is None else name
        if asyncio._get_running_loop() is None or about in self._warned_of or len(self._warned_of) >= NAMES_MAX:
            return
        if not self._warned_of:
            warnings.warn(
                f"{of}.{call} blocks the running event loop until the job is durable; await {of}.a{call} instead",
                RuntimeWarning,
                stacklevel=depth,
            )
        self._warned_of.add(about)
        boot = self._current_boot.running
        if boot is not None:
            boot.log.emit("loop.blocked", call=f"{of}.{call}", job_name=name)


@contextlib.contextmanager
def _told_of(job: NewJob) -> Iterator[None]:
    """Tell the caller with which id to queue a job again."""
    try:
        yield
    except StoreUnavailable as error:
        raise StoreUnavailable(str(error), (job.id,)) from error


def _expected(boot: Boot, record: JobRecord, fresh: bool) -> Job[Any]:
    """A job in a transaction of the application. Nobody says when that commits, so the boot looks for it."""
    if fresh:
        # One that was there, and has other data, makes one move more.
        boot.expect(record.id, None, 1 - record.rev)
    return Job(record, deduplicated=not fresh)


def _stored(answer: Any) -> list[Job[Any]]:
    return [Job(record, deduplicated=not fresh) for record, fresh in answer]
