"""Acts of an application on jobs that are there: requeue, cancel, mark done; and to all jobs of a name: pause."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from ..admin.query import parse_query
from ..boot.boot import Boot
from ..boot.job_refs import Ref, claim_of, id_of
from ..boot.many_jobs import Make, act_on_all, act_on_all_async, at_hand, cancelling, off_loop, requeueing
from ..broker.host_transactions import Finishing, finish_on, finish_on_async
from ..errors import UsageError, shown
from ..log.job_context import current_job
from ..messages.acts import Attribution
from ..messages.jobs import ENDED, Instant, JobSpec, JobState, NewJob, Seconds
from ..messages.mail import CancelJob, ForgetJob, Limit, MarkDone, Pause, Reply, Requeue
from ..messages.pauses import paused_at
from ..messages.queries import JobQuery
from ..rules.capabilities import needed, not_supported
from ..rules.codec import encode
from ..rules.new_jobs import FollowUps
from ..rules.validation import check_bool, check_limit, check_moment, check_name, check_seconds, check_who
from .job import Job
from .queueing import Queueing

UNFINISHED = (JobState.QUEUED, JobState.RUNNING)
"""The states of jobs that can be cancelled."""


class Steering(Queueing):
    """Acts on jobs that are stored. `by` (on whose behalf) and `reason` are for the log, in the ledger too."""

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
            job: its id, a snapshot of it, or a `Job`.
            delay: seconds or a timedelta before which it is not started.
            afresh: whether its kept steps are removed.
            by: on whose behalf, for the log.
            reason: why, for the log.

        Raises:
            UnknownJob: it is not in the store.
            KeyTaken: another unfinished job holds its unique key.
            NotSupported: `afresh` on a RabbitMQ.
        """
        self.warn_if_blocking("requeue")
        boot, make = self._requeue(job, delay, check_who(by, reason), check_bool(afresh, "afresh"))
        with at_hand(boot.store, id_of(job)):
            return Job(boot.requests.ask(make))

    async def arequeue(
        self,
        job: Ref,
        *,
        delay: Seconds | timedelta | None = None,
        afresh: bool = False,
        by: str | None = None,
        reason: str | None = None,
    ) -> Job[Any]:
        """`requeue` for asyncio applications."""
        boot, make = self._requeue(job, delay, check_who(by, reason), check_bool(afresh, "afresh"))
        async with off_loop(at_hand(boot.store, id_of(job))):
            return Job(await boot.requests.ask_async(make))

    def requeue_dead(
        self,
        name: str | None = None,
        *,
        delay: Seconds | timedelta | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> int:
        """`requeue` every dead job of a name, or of all, the oldest first, and say how many.

        One whose unique key another unfinished job holds stays dead, and so does one that dies again meanwhile. One
        that has died of another, which is requeued too, waits for that one again.
        """
        self.warn_if_blocking("requeue_dead")
        return act_on_all(*self._revival(name, delay, check_who(by, reason)))

    async def arequeue_dead(
        self,
        name: str | None = None,
        *,
        delay: Seconds | timedelta | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> int:
        """`requeue_dead` for asyncio applications."""
        return await act_on_all_async(*self._revival(name, delay, check_who(by, reason)))

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
            query: in the language of the command line: `name:charge error:timeout ended:<1d`. Dead jobs are meant,
                unless it has a `state:` that is an end.
            delay, afresh, by, reason: as `requeue` takes them.

        Raises:
            UsageError: the query is empty, cannot be read, or asks for jobs that have not ended.
            NotSupported: on RabbitMQ only dead jobs can be looked for, and none can begin `afresh`.
            StoreUnavailable: what was requeued by then stays so; call again.
        """
        self.warn_if_blocking("requeue_many")
        return act_on_all(*self._requeueing(query, delay, check_who(by, reason), check_bool(afresh, "afresh")))

    async def arequeue_many(
        self,
        query: str,
        *,
        delay: Seconds | timedelta | None = None,
        afresh: bool = False,
        by: str | None = None,
        reason: str | None = None,
    ) -> int:
        """`requeue_many` for asyncio applications."""
        return await act_on_all_async(
            *self._requeueing(query, delay, check_who(by, reason), check_bool(afresh, "afresh"))
        )

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
        boot, end = self._finishing(job, result, then)
        if connection is None:
            self.warn_if_blocking("mark_done")
            boot.requests.ask(partial(MarkDone, *end))
            return
        finish_on(boot.store, connection, end, boot.clock.now())
        boot.expect(end.job_id, JobState.DONE)

    async def amark_done(
        self,
        job: Ref,
        result: Any = None,
        *,
        then: Iterable[JobSpec | tuple[str, Any]] = (),
        connection: Any = None,
    ) -> None:
        """`mark_done` for asyncio applications. A `connection` may be one that is awaited, as for `aqueue`."""
        boot, end = self._finishing(job, result, then)
        if connection is None:
            await boot.requests.ask_async(partial(MarkDone, *end))
            return
        await finish_on_async(boot.store, connection, end, boot.clock.now())
        boot.expect(end.job_id, JobState.DONE)

    def cancel(self, job: Ref, *, by: str | None = None, reason: str | None = None) -> Job[Any]:
        """End a job as cancelled. A running one is signalled, and whatever its attempt still does changes nothing.

        One that has ended stays as it is; the returned job says how. `by` (on whose behalf) and `reason` are logged and
        stand in the job's own `reason`.
        """
        self.warn_if_blocking("cancel")
        make = partial(CancelJob, id_of(job), who=check_who(by, reason))
        return Job(self._current_boot.get().requests.ask(make))

    async def acancel(self, job: Ref, *, by: str | None = None, reason: str | None = None) -> Job[Any]:
        """`cancel` for asyncio applications."""
        make = partial(CancelJob, id_of(job), who=check_who(by, reason))
        return Job(await self._current_boot.get().requests.ask_async(make))

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
        self.warn_if_blocking("cancel_many")
        return act_on_all(*self._cancelling(query, check_who(by, reason)))

    async def acancel_many(self, query: str, *, by: str | None = None, reason: str | None = None) -> int:
        """`cancel_many` for asyncio applications."""
        return await act_on_all_async(*self._cancelling(query, check_who(by, reason)))

    def forget(self, job: Ref, *, by: str | None = None, reason: str | None = None) -> None:
        """Remove a job that has ended, with its data, result, errors and attempts, before retention does.

        Its id may be used again. Its lines in the log stay: ids, names, errors, and a hash of its data. `by` (on
        whose behalf) and `reason` are logged.

        Raises:
            UsageError: it has not ended; `cancel` it first. Or another job in the store waits for it, or has; the
                message names one: `forget` that first.
            UnknownJob: it is not in the store.
            NotSupported: on RabbitMQ, which keeps no jobs that have ended but dead ones.
        """
        self.warn_if_blocking("forget")
        self._current_boot.get().requests.ask(partial(ForgetJob, id_of(job), who=check_who(by, reason)))

    async def aforget(self, job: Ref, *, by: str | None = None, reason: str | None = None) -> None:
        """`forget` for asyncio applications."""
        await self._current_boot.get().requests.ask_async(partial(ForgetJob, id_of(job), who=check_who(by, reason)))

    def pause(
        self, name: str, *, by: str | None = None, reason: str | None = None, until: datetime | None = None
    ) -> None:
        """Start no job of this name, on any runtime of the store, until `resume`. A pause is stored.

        Args:
            name: of the jobs.
            by: on whose behalf, for the log and for whoever looks at the pause.
            reason: why, likewise.
            until: an aware datetime at which the pause ends by itself: when the clock shows it, however that is set.
        """
        self.warn_if_blocking("pause")
        self._current_boot.get().requests.ask(_pausing(name, True, by, reason, until))

    def paused(self) -> Sequence[str]:
        """The names that are paused."""
        boot = self._current_boot.get()
        return tuple(paused_at(boot.store.jobs.pauses(), boot.clock.now()))

    def limit(self, name: str, most: int | None, *, by: str | None = None, reason: str | None = None) -> None:
        """Let at most so many jobs of this name run at once, over the whole store, whatever its handlers would take.

        Those that run already go on. None ends the limit. It is stored, as a pause is.

        Raises:
            NotSupported: the store is a RabbitMQ.
        """
        self.warn_if_blocking("limit")
        self._current_boot.get().requests.ask(_limiting(name, most, by, reason))

    async def alimit(self, name: str, most: int | None, *, by: str | None = None, reason: str | None = None) -> None:
        """`limit` for asyncio applications."""
        await self._current_boot.get().requests.ask_async(_limiting(name, most, by, reason))

    def resume(self, name: str, *, by: str | None = None, reason: str | None = None) -> None:
        """Start jobs of this name again."""
        self.warn_if_blocking("resume")
        self._current_boot.get().requests.ask(_pausing(name, False, by, reason))

    async def apause(
        self, name: str, *, by: str | None = None, reason: str | None = None, until: datetime | None = None
    ) -> None:
        """`pause` for asyncio applications."""
        await self._current_boot.get().requests.ask_async(_pausing(name, True, by, reason, until))

    async def aresume(self, name: str, *, by: str | None = None, reason: str | None = None) -> None:
        """`resume` for asyncio applications."""
        await self._current_boot.get().requests.ask_async(_pausing(name, False, by, reason))

    def _requeue(
        self, job: Ref, delay: Seconds | timedelta | None, who: Attribution, afresh: bool
    ) -> tuple[Boot, Callable[[Reply], Requeue]]:
        boot = self._current_boot.get()
        if afresh:
            needed(boot.store.table, "steps")
        return boot, partial(Requeue, id_of(job), _delay(delay), who=who, afresh=afresh)

    def _revival(
        self, name: str | None, delay: Seconds | timedelta | None, who: Attribution
    ) -> tuple[Boot, JobQuery, Make]:
        query = JobQuery(names=() if name is None else (check_name(name),), states=(JobState.DEAD,))
        return self._current_boot.get(), query, requeueing(query, _delay(delay), who)

    def _requeueing(
        self, text: str, delay: Seconds | timedelta | None, who: Attribution, afresh: bool
    ) -> tuple[Boot, JobQuery, Make]:
        boot = self._current_boot.get()
        query = _meant(text, boot.clock.now(), "requeue_many", default=(JobState.DEAD,), allowed=ENDED)
        if afresh:
            needed(boot.store.table, "steps")
        return boot, query, requeueing(query, _delay(delay), who, afresh=afresh)

    def _cancelling(self, text: str, who: Attribution) -> tuple[Boot, JobQuery, Make]:
        boot = self._current_boot.get()
        query = _meant(text, boot.clock.now(), "cancel_many", default=UNFINISHED, allowed=UNFINISHED)
        if boot.store.table is None:
            raise not_supported("cancel_many")
        return boot, query, cancelling(query, who)

    def _finishing(self, job: Ref, result: Any, then: Iterable[JobSpec | tuple[str, Any]]) -> tuple[Boot, Finishing]:
        boot = self._current_boot.get()
        text = encode(result, what="result", bytes_max=boot.limits.result_bytes_max, mends=True)
        job_id, no, claim_no = claim_of(boot.store, job)
        follow_ups = FollowUps(boot.limits)
        follow_ups.add(_said_here(boot, job_id, claim_no))
        follow_ups.add(self.checked_for_later(then))
        return boot, Finishing(job_id, no, claim_no, text, tuple(follow_ups.jobs))


def _said_here(boot: Boot, job_id: str, claim_no: int | None) -> Sequence[NewJob]:
    """The jobs that `job.then` has named so far, where it is the job's own handler that ends it."""
    own = current_job()
    lane = boot.lanes.of_job(job_id)
    is_own = (own.get("job_id"), own.get("claim_no")) == (job_id, claim_no)
    return lane.said() if is_own and lane is not None and lane.claim.job.claim_no == claim_no else ()


def _meant(
    text: str, now: Instant, call: str, *, default: Sequence[JobState], allowed: Collection[JobState]
) -> JobQuery:
    """The query that many jobs are looked for by.

    Args:
        default: the states that are meant if the text says none.
        allowed: those that it may say.
    """
    query = parse_query(text, now)
    if query == JobQuery():
        everything = " ".join(f"state:{state}" for state in default)
        raise UsageError(
            f"expected a query that says which jobs jobs.{call} is for, got: {shown(text)}; for all of "
            f"them: {everything!r}"
        )
    if strange := [state for state in query.states if state not in allowed]:
        known = ", ".join(f"state:{state}" for state in JobState if state in allowed)
        raise UsageError(f"expected jobs.{call} to be for {known}, got: state:{strange[0]}")
    return query if query.states else replace(query, states=tuple(default))


def _pausing(
    name: str, paused: bool, by: str | None, reason: str | None, until: datetime | None = None
) -> Callable[[Reply], Pause]:
    end = None if until is None else check_moment(until, "until")
    return partial(Pause, check_name(name), paused, who=check_who(by, reason), until=end)


def _limiting(name: str, most: int | None, by: str | None, reason: str | None) -> Callable[[Reply], Limit]:
    return partial(Limit, check_name(name), check_limit(most), who=check_who(by, reason))


def _delay(delay: Seconds | timedelta | None) -> Seconds:
    return 0.0 if delay is None else check_seconds(delay, "delay")
