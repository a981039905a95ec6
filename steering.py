"""What an application does to jobs that are there: requeue, cancel, mark done; and to all jobs of a name: pause."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from .boot.boot import Boot
from .boot.job_refs import Ref, claim_of, id_of
from .boot.reviving import at_hand, off_loop, revive, revive_async
from .broker.host_transactions import Finishing, finish_on, finish_on_async
from .job import Job
from .messages.acts import Attribution
from .messages.jobs import JobState, Seconds
from .messages.mail import CancelJob, Limit, MarkDone, Pause, Reply, Requeue
from .messages.pauses import paused_at
from .messages.queries import JobQuery
from .queueing import Queueing
from .rules.codec import encode
from .rules.validation import check_limit, check_moment, check_name, check_seconds, check_who


class Steering(Queueing):
    """Acts on jobs that are stored. `by` (on whose behalf) and `reason` are for the log, in the ledger too."""

    def requeue(
        self,
        job: Ref,
        *,
        delay: Seconds | timedelta | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Job[Any]:
        """Remove, then re-add at the back of the queue with its attempts reset; also one that has ended.

        An attempt that still runs loses its claim, so it cannot finish the job any more. An `expires` is removed.

        Args:
            job: its id, a snapshot of it, or a `Job`.
            delay: seconds or a timedelta before which it is not started.
            by: on whose behalf, for the log.
            reason: why, for the log.

        Raises:
            UnknownJob: it is not in the store.
            KeyTaken: another unfinished job holds its unique key.
        """
        self.warn_if_blocking("requeue")
        boot, make = self._requeue(job, delay, check_who(by, reason))
        with at_hand(boot.store, id_of(job)):
            return Job(boot.requests.ask(make))

    async def arequeue(
        self,
        job: Ref,
        *,
        delay: Seconds | timedelta | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Job[Any]:
        """`requeue` for asyncio applications."""
        boot, make = self._requeue(job, delay, check_who(by, reason))
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

        One whose unique key another unfinished job holds stays dead, and so does one that dies again meanwhile.
        """
        self.warn_if_blocking("requeue_dead")
        return revive(*self._revival(name, delay, check_who(by, reason)))

    async def arequeue_dead(
        self,
        name: str | None = None,
        *,
        delay: Seconds | timedelta | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> int:
        """`requeue_dead` for asyncio applications."""
        return await revive_async(*self._revival(name, delay, check_who(by, reason)))

    def mark_done(self, job: Ref, result: Any = None, *, connection: Any = None) -> None:
        """Remove the job from the queue: it is done.

        Args:
            job: the handler's `Job` or its `token`, for a running one; an id or a snapshot of it, for a queued one.
            result: what `queue` takes as data.
            connection: your own open connection: what the handler has written on it and the job's end commit together.

        Raises:
            StaleClaim: the attempt no longer holds the job; roll back what it did.
            UnknownJob: it is not in the store.
            UsageError: the result is not JSON-serializable.
        """
        boot, end = self._finishing(job, result)
        if connection is None:
            self.warn_if_blocking("mark_done")
            boot.requests.ask(partial(MarkDone, *end))
            return
        finish_on(boot.store, connection, end, boot.clock.now())
        boot.expect(end.job_id, JobState.DONE)

    async def amark_done(self, job: Ref, result: Any = None, *, connection: Any = None) -> None:
        """`mark_done` for asyncio applications. A `connection` may be one that is awaited, as for `aqueue`."""
        boot, end = self._finishing(job, result)
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

    def pause(
        self, name: str, *, by: str | None = None, reason: str | None = None, until: datetime | None = None
    ) -> None:
        """Start no job of this name, on any runtime of the store, until `resume`. A pause is stored.

        Args:
            name: of the jobs.
            by: on whose behalf, for the log and for whoever looks at the pause.
            reason: why, likewise.
            until: an aware datetime at which the pause ends by itself.
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
        self, job: Ref, delay: Seconds | timedelta | None, who: Attribution
    ) -> tuple[Boot, Callable[[Reply], Requeue]]:
        return self._current_boot.get(), partial(Requeue, id_of(job), _delay(delay), who=who)

    def _revival(
        self, name: str | None, delay: Seconds | timedelta | None, who: Attribution
    ) -> tuple[Boot, JobQuery, Seconds, Attribution]:
        names = () if name is None else (check_name(name),)
        return self._current_boot.get(), JobQuery(names=names, states=(JobState.DEAD,)), _delay(delay), who

    def _finishing(self, job: Ref, result: Any) -> tuple[Boot, Finishing]:
        boot = self._current_boot.get()
        text = encode(result, what="result", bytes_max=boot.limits.result_bytes_max)
        return boot, Finishing(*claim_of(boot.store, job), text)


def _pausing(
    name: str, paused: bool, by: str | None, reason: str | None, until: datetime | None = None
) -> Callable[[Reply], Pause]:
    end = None if until is None else check_moment(until, "until")
    return partial(Pause, check_name(name), paused, who=check_who(by, reason), until=end)


def _limiting(name: str, most: int | None, by: str | None, reason: str | None) -> Callable[[Reply], Limit]:
    return partial(Limit, check_name(name), check_limit(most), who=check_who(by, reason))


def _delay(delay: Seconds | timedelta | None) -> Seconds:
    return 0.0 if delay is None else check_seconds(delay, "delay")
