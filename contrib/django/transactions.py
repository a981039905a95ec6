"""Calls in Django's transactions: what is queued inside of `atomic` exists if and only if that commits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.connection import ConnectionProxy

from ...api.job import Job, JobTypes
from ...boot.joining import Ref
from ...boot.submitting import Submitter, Wanted
from ...broker.host_transactions import queue_on
from ...errors import StoreError, StoreUnavailable
from ...messages.jobs import JobRecord, NewJob
from ...messages.mail import Queue
from ...rules.links import resolved
from ...rules.validation import check_iterable
from ...stores.ports import Store
from ...stores.sqlite.schema import VERSION, read_version
from ...stores.transitions import UNCOUNTED, born

if TYPE_CHECKING:
    from .configured import DjangoRuntime


class TransactionalSubmitter(Submitter):
    """Its calls follow the transactions of a database: inside of `transaction.atomic()`, jobs are queued, or marked as
    done, if and only if that commits.

    Args:
        database: its alias; None while the settings are wrong.
    """

    def __init__(self, runtime: DjangoRuntime, database: str | None) -> None:
        super().__init__(runtime.current_boot)
        self._runtime = runtime
        self._database = database

    def submit(self, call: str, jobs: Any, root_id: str | None, connection: Any = None, **options: Any) -> Any:
        open_one = self._transaction_of(connection)
        if open_one is None:
            return super().submit(call, jobs, root_id, connection, **options)
        follow = self._queue_in if self._is_own(open_one) else self._queue_after
        return follow(open_one, jobs, root_id, **options)

    def settle(self, job: Ref, result: Any, then: Iterable[Wanted], connection: Any) -> None:
        open_one = self._transaction_of(connection)
        if open_one is None:
            super().settle(job, result, then, connection)
        elif self._is_own(open_one):
            super().settle(job, result, then, open_one)
        else:
            kept = tuple(check_iterable(then, "then", "JobSpecs or (name, data) pairs"))
            # A wrong call is refused here, and not when it is too late to roll back.
            self.check_follow_ups(kept)
            transaction.on_commit(partial(super().settle, job, result, kept, None), using=open_one.alias)

    def _transaction_of(self, connection: Any) -> BaseDatabaseWrapper | None:
        """The connection of Django's that is in `atomic` here, if a call is to follow it.

        Args:
            connection: what the call was given as `connection=`; the store refuses one that is not its own.
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

    def _queue_after(
        self,
        connection: BaseDatabaseWrapper,
        wanted: Any,
        root_id: str | None,
        *,
        one: bool = False,
        types: JobTypes | None = None,
    ) -> Any:
        """Queue jobs once a transaction that is open has committed."""
        boot = self.state.get()
        jobs = self._checked(boot.checks(root_id), wanted, one)
        if not jobs:
            return []
        # Carriers see the moment at which the jobs are queued, not that of the commit.
        with boot.queueing(jobs) as jobs:
            transaction.on_commit(partial(self._queue_now, jobs, root_id), using=connection.alias)
        queued: list[Job[Any]] = [Job(born(job, 0, rev=UNCOUNTED), types=types) for job in jobs]
        return queued[0] if one else queued

    def _queue_in(
        self,
        connection: BaseDatabaseWrapper,
        wanted: Any,
        root_id: str | None,
        *,
        one: bool = False,
        types: JobTypes | None = None,
    ) -> Any:
        """Store jobs by the very transaction, in the same file.

        Where no runtime runs yet, none is started before the commit: its first write would wait for the lock that this
        transaction holds, and this thread with it.
        """
        boot = self.state.running
        if boot is None:
            self._runtime.prepare()
            _check_tables(connection)
        store = self._runtime.new_store() if boot is None else boot.store
        place = self._runtime if boot is None else boot
        jobs = self._checked(place.checks(root_id), wanted, one)
        if not jobs:
            return []
        with place.queueing(jobs) as jobs:
            queued: list[Job[Any]] = []
            ids: list[str] = []
            for job in jobs:
                record, fresh = self._queue_one(store, connection, resolved(job, ids), jobs)
                queued.append(Job(record, deduplicated=not fresh, types=types))
                ids.append(record.id)
        return queued[0] if one else queued

    def _queue_one(
        self, store: Store, connection: BaseDatabaseWrapper, job: NewJob, jobs: Sequence[NewJob]
    ) -> tuple[JobRecord, bool]:
        try:
            record, fresh = queue_on(store, connection, job, self.state.now())
        except StoreUnavailable as error:
            raise StoreUnavailable(str(error), tuple(one.id for one in jobs)) from error
        if fresh:
            transaction.on_commit(partial(self._expect, record), using=connection.alias)
        return record, fresh

    def _queue_now(self, jobs: Sequence[NewJob], root_id: str | None) -> None:
        self.state.get().requests.ask(partial(Queue, tuple(jobs)), job_ids=tuple(job.id for job in jobs), corr=root_id)

    def _expect(self, job: JobRecord) -> None:
        self.state.get().expect(job.id, None, 1 - job.rev)


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
