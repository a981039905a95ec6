"""The Jobs API: what an application calls to queue jobs, look at them, act on them, and add handlers."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Concatenate, Never, ParamSpec, TypeVar, Unpack, overload

from ..admin.finding import find_all
from ..admin.query import parse_query
from ..boot.job_refs import Ref, id_of, types_of
from ..boot.joining import awaiting, ended, outcome, seconds_of, stored
from ..errors import UnknownHandler, UsageError, shown
from ..handlers.handler import Handler
from ..handlers.options import ExceptionClasses, HandlerKeywords, Isolation, OnTimeout
from ..handlers.registration import check_handler, check_importable, check_only, name_of
from ..messages.jobs import Attempt, JobState, JobStateName, Seconds
from ..messages.name_limits import Rate
from ..messages.outcomes import Backoff
from ..messages.queries import JobQuery, place_of
from ..rules.capabilities import needed
from ..rules.restart_budget import RestartBudget
from ..rules.validation import (
    check_name,
    check_one_of,
    check_seconds,
    check_whole,
    unknown_options,
)
from .job import Job, in_pages
from .job_handler import HandlerDecorator, JobHandler
from .stepping import Stepping

LIST_JOBS_MAX = 10_000

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


class Jobs(Stepping):
    """Queue jobs, look at them, act on them, and register the functions that do them. Made by `Runtime`."""

    @overload
    def get(self, job: Job[T, R]) -> Job[T, R]: ...

    @overload
    def get(self, job: str) -> Job[Any]: ...

    def get(self, job: Ref) -> Job[Any]:
        """The job as it is now.

        Raises:
            UnknownJob: it never was, or retention has removed it.
        """
        boot = self._current_boot.get()
        needed(boot.store.table, "get")
        return Job(stored(boot, id_of(job)), types=types_of(job))

    @overload
    async def aget(self, job: Job[T, R]) -> Job[T, R]: ...

    @overload
    async def aget(self, job: str) -> Job[Any]: ...

    async def aget(self, job: Ref) -> Job[Any]:
        """`get` for asyncio applications."""
        return await asyncio.to_thread(self.get, job)

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
            name: of the jobs.
            state: one of the five states.
            limit: how many at most, 1 to 10,000.
            before: the last job of the page before.
            query: what else must hold, in the language of the command line: `error:timeout ended:<1d data.user=7`.

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
        boot = self._current_boot.get()
        meant = JobQuery() if query is None else parse_query(query, boot.clock.now())
        if name is not None:
            meant = replace(meant, names=_once("name", meant.names, name))
        if state is not None:
            meant = replace(meant, states=_once("state", meant.states, JobState(state)))
        after = None if before is None else place_of(before.record).cursor
        return [Job(record) for record in find_all(boot.store, meant, limit=limit, after=after)]

    async def alist(
        self,
        name: str | None = None,
        state: JobState | JobStateName | None = None,
        limit: int = 100,
        before: Job[Any] | None = None,
        *,
        query: str | None = None,
    ) -> Sequence[Job[Any]]:
        """`list` for asyncio applications."""
        return await asyncio.to_thread(self.list, name, state, limit, before, query=query)

    def counts(self, name: str | None = None) -> dict[str, int]:
        """How many jobs are in each state; every state is there."""
        boot = self._current_boot.get()
        return boot.store.jobs.counts(None if name is None else check_name(name), boot.limits.reply_seconds_max)

    async def acounts(self, name: str | None = None) -> dict[str, int]:
        """`counts` for asyncio applications."""
        return await asyncio.to_thread(self.counts, name)

    def attempts(self, job: Ref) -> Sequence[Attempt]:
        """Every attempt that failed, timed out or was interrupted: error, traceback, boot and times, oldest first."""
        return needed(self._current_boot.get().store.table, "history").attempts(id_of(job))

    async def aattempts(self, job: Ref) -> Sequence[Attempt]:
        """`attempts` for asyncio applications."""
        return await asyncio.to_thread(self.attempts, job)

    def parents(self, job: Ref) -> Sequence[Job[Any]]:
        """The jobs that one waits for, or has waited for, as they are now: those of its `after` in their order, then
        those of its `after_ended`.

        Raises:
            UnknownJob: it is not in the store, or one of these jobs is not any more.
            NotSupported: the store is a RabbitMQ.
        """
        no = self.get(job).record.no
        return tuple(in_pages(partial(self.some_parents, no)))

    async def aparents(self, job: Ref) -> Sequence[Job[Any]]:
        """`parents` for asyncio applications."""
        return await asyncio.to_thread(self.parents, job)

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
        """
        self.warn_if_blocking("join")
        boot, job_id, seconds = self._current_boot.get(), id_of(job), seconds_of(timeout)
        with awaiting(boot, job_id, boot.environment.reply(), timeout) as reply:
            found = ended(boot, job_id)
            return outcome(reply.wait(seconds) if found is None else found, job)

    @overload
    async def ajoin(self, job: Job[T, R], timeout: Seconds | None = None) -> Job[T, R]: ...

    @overload
    async def ajoin(self, job: str, timeout: Seconds | None = None) -> Job[Any]: ...

    async def ajoin(self, job: Ref, timeout: Seconds | None = None) -> Job[Any]:
        """`join` for asyncio applications."""
        boot, job_id, seconds = self._current_boot.get(), id_of(job), seconds_of(timeout)
        with awaiting(boot, job_id, boot.environment.loop_reply(), timeout) as reply:
            found = await asyncio.to_thread(ended, boot, job_id)
            return outcome(await reply.wait(seconds) if found is None else found, job)

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
        `resize.queue(data)`. The same function, defined again, replaces the one before, with a RuntimeWarning. Whether
        a child process can import it is looked at by `start`, because it has its name only after this.

        Raises:
            UsageError: something in the call cannot be.
        """

        def decorate(fn: Callable[..., Any]) -> JobHandler[Any, Any, Any, Any]:
            own = name_of(fn) if name is None or callable(name) else name
            handler = self._checked(own, fn, **{**_DEFAULTS, **options})
            replaced = self._current_boot.declared.handlers(own)
            check_only(handler, replaced)
            if self._current_boot.running is not None:
                check_importable(handler, is_defined=False)
            self._declare(handler)
            for old in replaced:
                self.remove_handler(old.id)
            return JobHandler(self, handler)

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
        backoff: Backoff | Sequence[Seconds] = Backoff(),  # noqa: B008 (frozen)
        retry_on: ExceptionClasses | None = None,
        discard_on: ExceptionClasses | None = None,
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
            fn: called with a `Job`; a coroutine function runs on an event loop. Its return value is the job's result.
            concurrency: how many at once in this runtime.
            concurrency_total: how many at once over the whole store.
            concurrency_per_group: how many jobs of one group at once over the whole store. Jobs without a group have no
                such limit.
            rate: how many may start in a time, over the whole store: `Rate(100, per=60)`. Retries count too. A job that
                may not start yet stays queued.
            rate_per_group: the same of each group.
            timeout: seconds for one attempt.
            on_timeout: `signal`, or `raise` to also raise a `JobTimeout` inside the thread, which may strike anywhere,
                also while the function holds a lock.
            max_attempts: failures and timeouts before the job is dead.
            backoff: a `Backoff`, or the waits themselves, of which the last repeats.
            retry_on: exception classes, with what extends them, that are tried again; any other that the function
                raises makes the job dead at once. None: all are. Timeouts and interruptions are tried again anyway.
            discard_on: those that make the job dead at once. Where both have a class of the error, the nearest counts.
            auto_done: whether returning ends the job; otherwise `mark_done` must be called with its token.
            isolation: `thread`, or `process` for a child process that can really be killed; `fn` must be importable.
            interruptions_max: blamed interruptions within 72 hours before the job is dead as poison.
            restart: how often the actor of this name may be restarted before it is quarantined.

        Returns:
            An id for `remove_handler`.

        Raises:
            UsageError: something in the call cannot be.
        """
        handler = self._checked(
            name,
            fn,
            concurrency=concurrency,
            concurrency_total=concurrency_total,
            concurrency_per_group=concurrency_per_group,
            rate=rate,
            rate_per_group=rate_per_group,
            timeout=timeout,
            on_timeout=on_timeout,
            max_attempts=max_attempts,
            backoff=backoff,
            retry_on=retry_on,
            discard_on=discard_on,
            auto_done=auto_done,
            isolation=isolation,
            interruptions_max=interruptions_max,
            restart=restart,
            **unknown,
        )
        check_importable(handler)
        self._declare(handler)
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

    def _checked(self, name: str, fn: Callable[..., Any], **options: Any) -> Handler:
        if unknown := options.keys() - _DEFAULTS.keys():
            raise unknown_options(unknown, _DEFAULTS, "jobs.add_handler")
        current_boot = self._current_boot
        return check_handler(
            name,
            fn.__wrapped__ if isinstance(fn, JobHandler) else fn,
            new_id=current_boot.environment.new_id,
            limits=current_boot.limits,
            has_table=current_boot.has_table,
            **options,
        )

    def _declare(self, handler: Handler) -> None:
        self._current_boot.declared.add_handler(handler)
        boot = self._current_boot.running
        if boot is not None:
            boot.add_handler(handler)


def _once(what: str, asked: Sequence[T], wanted: T) -> tuple[T, ...]:
    if asked:
        raise UsageError(f"expected the {what} of the jobs once, got it as an argument and in the query")
    return (wanted,)


_DEFAULTS = {
    name: option.default
    for name, option in inspect.signature(Jobs.add_handler).parameters.items()
    if option.kind is option.KEYWORD_ONLY
}
"""The options of `Jobs.add_handler`."""
