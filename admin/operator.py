"""`Operator` acts on a store from outside of any running runtime, and the log names who acted.

Each act is one turn of a boot of kind operator, which makes its row and acts by the functions that broker/ has for the
same mail. So it needs no runtime alive, and has ended as soon as its row can be seen. It has no log: a runtime on the
store, or the next to start, finds the row, logs its turn in the ledger (`operator.acted`), and removes it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from ..api.job import Job
from ..broker import jobs, schedules, signals
from ..broker.turn_context import TurnContext
from ..cron.schedule import job_of
from ..environment.environment import Environment
from ..errors import NotSupported, UsageError
from ..messages import mail
from ..messages.jobs import Attribution, JobKeywords, JobRecord, JobState, JobStateName, Seconds
from ..messages.queries import JobQuery
from ..rules.capabilities import not_supported
from ..rules.limits import Limits, batches
from ..rules.links import named_ids
from ..rules.new_jobs import JobChecks, JobIds, check_priority, spec_of
from ..rules.signals import signal_to
from ..rules.validation import (
    check_bool,
    check_delay,
    check_instant,
    check_iterable,
    check_limit,
    check_moment,
    check_name,
    check_one_of,
    check_who,
    unknown_parent,
)
from ..stores.opening import place_of
from ..stores.ports import Store
from .copying import CopySpec, queue_copy
from .matching import actionable, matching
from .operator_turns import OperatorTurns
from .sweeping import SWEPT_A_TURN_MAX, Sweep, Swept, in_turns, sweep, wanted

if TYPE_CHECKING:
    from .graphs import OperatorGraph

DEAD = JobQuery(states=(JobState.DEAD,))

T = TypeVar("T")


class Operator:
    """Acts on a store from outside of any runtime: beside living ones, while they hang, or with none alive.

    As a context manager it opens the store once for all acts; otherwise each of them does.

    Args:
        store: as `Runtime` takes it; it must be there.
        by: who acts, as the log is to call them.
        via: what they use: a command, a page, a tool.
        environment: where time, chance, ids and threads come from; for tests.

    Raises:
        UsageError: of every method too: something in the call cannot be, or nothing that runtimes of this version use
            is there.
        StoreUnavailable: of every method: the store cannot be reached, or somebody else has what must be written; the
            message names who that is.
        SchemaTooNew: of every method: runtimes of a newer version use it.
    """

    def __init__(
        self,
        store: str | os.PathLike[str],
        *,
        by: str,
        via: str,
        environment: Environment | None = None,
    ) -> None:
        place = self._place = place_of(store)
        if not place.is_shared:
            raise UsageError("expected a store that others can be on, got: ':memory:', which its runtime has alone")
        self._who = Attribution(by=check_name(by, "by"), via=check_name(via, "via"))
        self._environment = Environment() if environment is None else environment
        self._turns = OperatorTurns(place, self._environment)
        made, clock = place.holders, self._environment.clock()
        self._holders = None if made is None else made(clock.now, self._environment.visit)

    def __enter__(self) -> Self:
        # On a server an open store is a candidate for the leader, which waits for turns that this one does not take.
        if self._place.has_table:
            self._turns.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._turns.close()

    @property
    def store(self) -> Store:
        """The store, while it is open."""
        return self._turns.store

    def queue(
        self, name: str, data: Any = None, *, reason: str | None = None, **options: Unpack[JobKeywords]
    ) -> Job[Any]:
        """As `jobs.queue`: add a one-time job.

        Args:
            options: those of `jobs.queue`, but for `connection`.

        Raises:
            UnknownJob: it is to wait for one that is not in the store, and nothing is stored.
        """
        spec, who = spec_of("Operator.queue", name, data, options), self._attributed(reason)
        with self._turns.opened() as store:
            new = self._checks(store).spec(spec)
            ((record, fresh),) = self._turns.take(store, partial(jobs.queue, body=mail.Queue((new,), None, who)))
        return Job(record, deduplicated=not fresh)

    def check(self, name: str, data: Any = None, **options: Unpack[JobKeywords]) -> None:
        """Whether `queue` would take this; nothing is stored."""
        spec = spec_of("Operator.check", name, data, options)
        with self._turns.opened() as store:
            parents = tuple(named_ids([self._checks(store).spec(spec)]))
            known = store.jobs.known(parents) if parents else {}
            for job_id in parents:
                if job_id not in known:
                    raise unknown_parent(job_id)

    def copy(
        self,
        job: Job[Any] | str,
        *,
        changes: Mapping[str, Any] | None = None,
        id: str | None = None,
        delay: Seconds | timedelta | None = None,
        at: datetime | None = None,
        reason: str | None = None,
    ) -> Job[Any]:
        """Queue a job like another one, whatever its state: with its name, data, priority, unique key, group and
        limits. It waits for the same jobs, as far as they have not ended, and shares their fate as it would: at once if
        they have. It descends from none, and belongs to no schedule.

        Args:
            changes: what stands at places in its data instead, as `{"user.id": 7, "items[0]": "x"}`.
            id, delay, at: as `jobs.queue` takes them.

        Raises:
            UnknownJob: it is not in the store.
            NotSupported: on RabbitMQ it is no dead one.
            UsageError: a place in its data is not there, and nothing is stored.
        """
        job_id, who = _id_of(job), self._attributed(reason)
        how = CopySpec(dict(changes or {}), id, delay, at)
        with self._turns.opened() as store:
            work = partial(queue_copy, job_id=job_id, how=how, checks=self._checks(store), who=who)
            record, fresh = self._turns.take(store, work, (job_id,))
        return Job(record, deduplicated=not fresh)

    def requeue(
        self,
        job: Job[Any] | str,
        *,
        delay: Seconds | timedelta | None = None,
        afresh: bool = False,
        reason: str | None = None,
    ) -> Job[Any]:
        """As `jobs.requeue`: put a job at the back of the queue with its attempts reset, whatever its state.

        On RabbitMQ it is a dead one, or one that a runtime holds, which is asked to do it. The result then has
        nothing of what the job is about.

        Raises:
            UnknownJob, KeyTaken: as `jobs.requeue`; on RabbitMQ it is neither dead, nor does a runtime hold it.
            StoreUnavailable: on RabbitMQ also: not all have answered who might hold it, and the message names them.
            AskRefused: on RabbitMQ, whoever holds it cannot do it; the message says why.
            NotSupported: `afresh` on RabbitMQ.
        """
        body = mail.Requeue(
            _id_of(job), check_delay(delay), None, self._attributed(reason), afresh=check_bool(afresh, "afresh")
        )
        if afresh and not self._place.has_table:
            raise not_supported("steps")
        try:
            return Job(self._act(partial(jobs.requeue, body=body), (body.job_id,)))
        except NotSupported:
            if self._holders is None:
                raise
            return Job(self._holders.act("requeue", body.job_id, body.who, delay=body.delay))

    def requeue_dead(
        self, job_ids: Iterable[str], *, delay: Seconds | timedelta | None = None, reason: str | None = None
    ) -> int:
        """`requeue` those of these jobs that are dead, `SWEPT_A_TURN_MAX` a turn, and say how many."""
        ids = [check_name(job_id, "each id") for job_id in check_iterable(job_ids, "job_ids", "ids of jobs")]
        who, seconds, done = self._attributed(reason), check_delay(delay), 0
        with self._turns.opened() as store:
            for some in batches(ids, SWEPT_A_TURN_MAX):
                body = mail.RequeueMany(some, DEAD, seconds, None, who)
                done += self._turns.take(store, partial(jobs.requeue_many, body=body), some)
        return done

    def cancel(self, job: Job[Any] | str, *, reason: str | None = None) -> Job[Any]:
        """As `jobs.cancel`: end a queued or running job; one that has ended stays as it is, and nothing is told.

        On RabbitMQ the runtime that holds it is asked to do it, as by `requeue`.

        Raises:
            UnknownJob: it is not in the store; on RabbitMQ no runtime holds it.
            StoreUnavailable, AskRefused: as `requeue`.
        """
        body = mail.CancelJob(_id_of(job), None, self._attributed(reason))
        if self._holders is not None:
            return Job(self._holders.act("cancel", body.job_id, body.who))
        return Job(self._act(partial(jobs.cancel, body=body)))

    def reprioritize(self, job: Job[Any] | str, priority: int, *, reason: str | None = None) -> Job[Any]:
        """As `jobs.reprioritize`, with the same errors: give a queued job another priority."""
        body = mail.Reprioritize(_id_of(job), check_priority(priority), None, self._attributed(reason))
        return Job(self._act(partial(jobs.reprioritize, body=body)))

    def signal(self, job: Job[Any] | str, name: str, data: Any = None, *, reason: str | None = None) -> None:
        """As `jobs.signal`: tell a job what its handler waits for.

        Raises:
            SignalRefused, UnknownJob, UsageError: as `jobs.signal`.
            NotSupported: on RabbitMQ.
        """
        if not self._place.has_table:
            raise not_supported("signals")
        body = signal_to(_id_of(job), name, data, self._attributed(reason), Limits().data_bytes_max)
        self._act(partial(signals.signal, body=body))

    def forget(self, job: Job[Any] | str, *, reason: str | None = None) -> None:
        """As `jobs.forget`: remove a job that has ended, with its data, result, errors and attempts.

        Raises:
            UnknownJob: it is not in the store.
            NotSupported: on RabbitMQ.
            UsageError: it has not ended, or another job in the store waits for it, or has.
        """
        self._act(partial(jobs.forget, body=mail.ForgetJob(_id_of(job), None, self._attributed(reason))))

    def pause(self, name: str, *, until: datetime | None = None, reason: str | None = None) -> None:
        """As `jobs.pause`: start no job of a name, on any runtime of the store, until an instant or until `resume`."""
        end = None if until is None else check_moment(until, "until")
        self._act(partial(jobs.pause, body=mail.Pause(check_name(name), True, None, self._attributed(reason), end)))

    def resume(self, name: str, *, reason: str | None = None) -> None:
        """As `jobs.resume`: start jobs of a name again."""
        self._act(partial(jobs.pause, body=mail.Pause(check_name(name), False, None, self._attributed(reason))))

    def limit(self, name: str, most: int | None, *, reason: str | None = None) -> None:
        """As `jobs.limit`: let at most so many jobs of a name run at once over the whole store; None ends the limit.

        Raises:
            NotSupported: on RabbitMQ.
        """
        body = mail.Limit(check_name(name), check_limit(most), None, self._attributed(reason))
        self._act(partial(jobs.limit, body=body))

    def pause_schedule(self, schedule_id: str, *, reason: str | None = None) -> None:
        """As `scheduler.pause`: let the slots of a schedule pass.

        Raises:
            UnknownSchedule: there is none with this id.
        """
        self._pause_schedule(schedule_id, True, reason)

    def resume_schedule(self, schedule_id: str, *, reason: str | None = None) -> None:
        """As `scheduler.resume`: let the slots of a schedule fire again.

        Raises:
            UnknownSchedule: there is none with this id.
        """
        self._pause_schedule(schedule_id, False, reason)

    def remove_schedule(self, schedule_id: str, *, reason: str | None = None) -> None:
        """Remove a durable schedule. One that code declares would be added again: remove it there, or pause it.

        Raises:
            UnknownSchedule: there is none with this id.
            UsageError: it is not durable.
        """
        body = mail.Forget(check_name(schedule_id, "schedule_id"), None, self._attributed(reason))
        self._act(partial(_remove_schedule, body=body))

    def run_now(self, schedule_id: str, *, reason: str | None = None) -> Job[Any]:
        """As `scheduler.run_now`: queue one of the jobs of a schedule, beside its slots.

        Raises:
            UnknownSchedule: there is none with this id.
        """
        job_id = JobIds(self._environment.new_id)()
        who, schedule_id = self._attributed(reason), check_name(schedule_id, "schedule_id")
        return Job(self._act(partial(_run_now, schedule_id=schedule_id, job_id=job_id, who=who)))

    def sweep(
        self,
        pages: Iterable[Iterable[JobRecord | Job[Any] | str]],
        action: Sweep,
        *,
        delay: Seconds | timedelta | None = None,
        afresh: bool = False,
        states: Iterable[JobState | JobStateName] | None = None,
        until: datetime | None = None,
        reason: str | None = None,
    ) -> Iterator[Swept]:
        """Act on all jobs of a query, `SWEPT_A_TURN_MAX` a turn; says after each turn how far it has come.

        A record or a `Job` is acted on only if the job still stands where that has it, by the same claim: a job that
        has run on meanwhile is not the one that was found. By ids, `requeue` takes jobs that have ended, and `cancel`
        those that have not; with `states`, only those that are in one of these by then; with `until`, none that has
        ended after that instant: it has run again since it was found. The pages are asked for one after the other, so
        whoever stops asking stops the sweep. `delay` and `afresh` are as `requeue` takes them.

        Raises:
            NotSupported: on RabbitMQ, if it is not to requeue dead jobs, or `afresh`.
        """
        check_one_of(action, "action", ("requeue", "cancel"))
        if check_bool(afresh, "afresh") and not self._place.has_table:
            raise not_supported("steps")
        if states is not None:
            names = [state.value for state in JobState]
            wanted_in = check_iterable(states, "states", "states of jobs")
            states = [check_one_of(one, "each state", names) for one in wanted_in]
        work = partial(
            sweep,
            action=action,
            delay=check_delay(delay),
            who=self._attributed(reason),
            afresh=afresh,
            states=states,
            until=math.inf if until is None else check_instant(until, "until"),
        )
        return self._sweep(pages, action, work)

    def sweep_matching(self, query: JobQuery, action: Sweep, **how: Any) -> Swept:
        """`sweep` all jobs that match a query when it is called, in any of its states; `how` are its other arguments.

        Raises:
            NotSupported: on RabbitMQ.
        """
        now = self._environment.clock().now()
        with self._turns.opened() as store:
            pages = matching(store, actionable(query, action, now))
            return [Swept(), *self.sweep(pages, action, states=query.states, **how)][-1]

    def graph(self, job: Job[Any] | str) -> OperatorGraph:
        """As `jobs.graph`: the graph of a job, which can be cancelled or requeued as a whole.

        Raises:
            UnknownJob: it is not in the store.
            NotSupported: on RabbitMQ.
        """
        # Imported only here, as the other looks from outside: most acts need none.
        from .graphs import OperatorGraph
        from .inspector import inspector_at

        with inspector_at(self._place.address, now=self._environment.clock().now) as inspector:
            seen = inspector.graph(_id_of(job))
        return OperatorGraph(**{one.name: getattr(seen, one.name) for one in fields(seen)}, _operator=self)

    def _sweep(
        self,
        pages: Iterable[Iterable[Any]],
        action: Sweep,
        work: Callable[..., Swept],
    ) -> Iterator[Swept]:
        so_far = Swept()
        with self._turns.opened() as store:
            if action == "cancel" and store.table is None:
                raise not_supported("remove")
            for page in pages:
                for some in in_turns([wanted(one) for one in page]):
                    turned = self._turns.take(store, partial(work, some=some), [one.job_id for one in some])
                    so_far = Swept._make(map(sum, zip(so_far, turned, strict=True)))
                    yield so_far

    def _checks(self, store: Store) -> JobChecks:
        return JobChecks(
            now=self._environment.clock_of(store).now(),
            new_id=JobIds(self._environment.new_id),
            root_id=None,
            limits=Limits(),
            has_table=store.table is not None,
        )

    def _pause_schedule(self, schedule_id: str, paused: bool, reason: str | None) -> None:
        body = mail.PauseSchedule(check_name(schedule_id, "schedule_id"), paused, None, self._attributed(reason))
        self._act(partial(schedules.pause, body=body))

    def _attributed(self, reason: str | None) -> Attribution:
        return check_who(self._who.by, reason, self._who.via)

    def _act(self, work: Callable[[TurnContext], T], dead: Sequence[str] = ()) -> T:
        with self._turns.opened() as store:
            return self._turns.take(store, work, dead)


def _remove_schedule(context: TurnContext, body: mail.Forget) -> None:
    record = schedules.stored(context, body.schedule_id)
    if not record.durable:
        raise UsageError(
            f"expected a durable schedule, got: {record.id} of {record.name}, which code declares and would add again; "
            "remove it there, or pause it"
        )
    schedules.forget(context, body)


def _run_now(context: TurnContext, schedule_id: str, job_id: str, who: Attribution) -> JobRecord:
    record, now = schedules.stored(context, schedule_id), context.turn.now
    job = job_of(record, job_id, run_at=now, now=now, root_id=job_id)
    ((stored, _),) = jobs.queue(context, mail.Queue((job,), None, who))
    return stored


def _id_of(job: Job[Any] | str) -> str:
    return job.id if isinstance(job, Job) else check_name(job, "job")
