"""The Jobs API in Django's transactions: what is queued inside of `atomic` exists if and only if that commits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.connection import ConnectionProxy

from ...api.job import Job
from ...api.jobs import Jobs
from ...boot.job_refs import Ref
from ...boot.payload_mismatches import warn_of_payload_mismatches
from ...broker.host_transactions import queue_on
from ...errors import StoreError, StoreUnavailable
from ...log.job_context import current_corr
from ...messages.jobs import JobKeywords, JobRecord, JobSpec, NewJob
from ...messages.mail import Queue
from ...rules.links import resolved
from ...rules.new_jobs import spec_of
from ...rules.validation import check_iterable
from ...stores.ports import Store
from ...stores.sqlite.schema import VERSION, read_version
from ...stores.transitions import UNCOUNTED, born

if TYPE_CHECKING:
    from .configured import DjangoRuntime


class TransactionalJobs(Jobs):
    """Jobs that follow the transactions of a database.

    Args:
        database: its alias; None while the settings are wrong.
    """

    def __init__(self, runtime: DjangoRuntime, database: str | None) -> None:
        super().__init__(runtime.current_boot)
        self._runtime = runtime
        self._database = database

    def queue(self, name: str, data: Any = None, *, connection: Any = None, **options: Any) -> Job[Any]:
        """See `Jobs.queue`. Inside of `transaction.atomic()` the job exists if and only if that commits."""
        open_one = self._transaction_of(connection)
        if open_one is not None:
            spec = spec_of("jobs.queue", name, data, cast(JobKeywords, options))
            return self._follow(open_one, [spec], current_corr())[0]
        return super().queue(name, data, connection=connection, **options)

    def queue_many(self, jobs: Iterable[JobSpec | tuple[str, Any]]) -> list[Job[Any]]:
        """See `Jobs.queue_many`. Inside of `transaction.atomic()` the jobs exist if and only if that commits."""
        open_one = self._transaction_of(None)
        if open_one is None:
            return super().queue_many(jobs)
        wanted = check_iterable(jobs, "jobs", "JobSpecs or (name, data) pairs")
        return self._follow(open_one, wanted, current_corr())

    def mark_done(
        self,
        job: Ref,
        result: Any = None,
        *,
        then: Iterable[JobSpec | tuple[str, Any]] = (),
        connection: Any = None,
    ) -> None:
        """See `Jobs.mark_done`. Inside of `transaction.atomic()` the job is done if and only if that commits."""
        open_one = self._transaction_of(connection)
        if open_one is None:
            super().mark_done(job, result, then=then, connection=connection)
        elif self._is_own(open_one):
            super().mark_done(job, result, then=then, connection=open_one)
        else:
            kept = tuple(check_iterable(then, "then", "JobSpecs or (name, data) pairs"))
            # A wrong call is refused here, and not when it is too late to roll back.
            self.checked_for_later(kept)
            transaction.on_commit(partial(super().mark_done, job, result, then=kept), using=open_one.alias)

    def queue_from_handler(self, name: str, data: Any, options: JobKeywords, corr: str) -> Job[Any]:
        """Queue a job that descends from the one that a handler runs."""
        open_one = self._transaction_of(None)
        if open_one is None:
            return super().queue_from_handler(name, data, options, corr)
        return self._follow(open_one, [spec_of("job.queue", name, data, options)], corr)[0]

    def queue_many_from_handler(self, jobs: Iterable[JobSpec | tuple[str, Any]], corr: str) -> list[Job[Any]]:
        """Queue jobs that descend from the one that a handler runs."""
        open_one = self._transaction_of(None)
        if open_one is None:
            return super().queue_many_from_handler(jobs, corr)
        return self._follow(open_one, check_iterable(jobs, "jobs", "JobSpecs or (name, data) pairs"), corr)

    def _transaction_of(self, connection: Any) -> BaseDatabaseWrapper | None:
        """The connection of Django's that is in `atomic` here, if a call is to follow it.

        Args:
            connection: what the call was given as `connection=`; one that is not the store's own is told so by `Jobs`.
        """
        if self._database is None:
            return None
        own: BaseDatabaseWrapper = connections[self._database]
        is_meant = connection is None or (_inner(connection) is own and self._is_own(own))
        return own if is_meant and self._is_open(own) else None

    def _is_open(self, connection: BaseDatabaseWrapper) -> bool:
        """Whether a transaction is under way."""
        return connection.in_atomic_block

    def _is_own(self, connection: BaseDatabaseWrapper) -> bool:
        """Whether the store is in the database itself."""
        return self._runtime.is_on(connection)

    def _follow(
        self, connection: BaseDatabaseWrapper, wanted: Iterable[JobSpec | tuple[str, Any]], corr: str | None
    ) -> list[Job[Any]]:
        """Queue jobs with a transaction that is open."""
        if self._is_own(connection):
            return self._queue_in(connection, wanted, corr)
        boot = self._current_boot.get()
        checks = boot.checks(corr)
        jobs = tuple(checks.all(wanted))
        warn_of_payload_mismatches(self._current_boot.declared, checks.unchecked)
        if not jobs:
            return []
        # Carriers see the moment at which the jobs are queued, not that of the commit.
        with boot.queueing(jobs) as jobs:
            transaction.on_commit(partial(self._queue_now, jobs, corr), using=connection.alias)
        return [Job(born(job, 0, rev=UNCOUNTED)) for job in jobs]

    def _queue_in(
        self, connection: BaseDatabaseWrapper, wanted: Iterable[JobSpec | tuple[str, Any]], corr: str | None
    ) -> list[Job[Any]]:
        """Store jobs by the very transaction, in the same file.

        Where no runtime runs yet, none is started before the commit: its first write would wait for the lock that this
        transaction holds, and this thread with it.
        """
        boot = self._current_boot.running
        if boot is None:
            self._runtime.prepare()
            _check_tables(connection)
        store = self._runtime.new_store() if boot is None else boot.store
        place = self._runtime if boot is None else boot
        checks = place.checks(corr)
        jobs = tuple(checks.all(wanted))
        warn_of_payload_mismatches(self._current_boot.declared, checks.unchecked)
        if not jobs:
            return []
        with place.queueing(jobs) as jobs:
            queued: list[Job[Any]] = []
            ids: list[str] = []
            for job in jobs:
                queued.append(self._queue_one(store, connection, resolved(job, ids), jobs))
                ids.append(queued[-1].id)
            return queued

    def _queue_one(
        self, store: Store, connection: BaseDatabaseWrapper, job: NewJob, jobs: Sequence[NewJob]
    ) -> Job[Any]:
        try:
            record, fresh = queue_on(store, connection, job, self._current_boot.now())
        except StoreUnavailable as error:
            raise StoreUnavailable(str(error), tuple(one.id for one in jobs)) from error
        if fresh:
            transaction.on_commit(partial(self._expect, record), using=connection.alias)
        return Job(record, deduplicated=not fresh)

    def _queue_now(self, jobs: Sequence[NewJob], corr: str | None) -> None:
        self._current_boot.get().requests.ask(
            partial(Queue, tuple(jobs)), job_ids=tuple(job.id for job in jobs), corr=corr
        )

    def _expect(self, job: JobRecord) -> None:
        self._current_boot.get().expect(job.id, None, 1 - job.rev)


def _check_tables(connection: BaseDatabaseWrapper) -> None:
    """A start makes the tables, or brings them up to date; in a transaction there is none.

    Raises:
        StoreError: they have to be made before.
    """
    version = read_version(connection.connection)
    if version != VERSION:
        raise StoreError(
            f"expected Lamplighter's tables, version {VERSION}, in {connection.settings_dict['NAME']}, got: "
            f"{f'version {version}' if version else 'none'}; run manage.py migrate first"
        )


def _inner(connection: Any) -> Any:
    """The connection behind `django.db.connection`."""
    return connections[connection.alias] if isinstance(connection, ConnectionProxy) else connection
