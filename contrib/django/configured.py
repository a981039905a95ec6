"""The runtime that the settings describe: one for each process and what it forks. Its calls in transactions."""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from operator import methodcaller
from typing import Any, Self

import django
from django.conf import settings
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, close_old_connections, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.connection import ConnectionProxy
from django.utils.module_loading import autodiscover_modules, import_string

from ...api.job import Job
from ...api.runtime import Runtime
from ...boot.declared import HandlerSelection
from ...boot.joining import Ref
from ...boot.submitting import Make, Submitter, Wanted
from ...broker.host_transactions import joined
from ...broker.signals import signal_by_host
from ...errors import NotStarted, StoreError, StoreUnavailable, UsageError, shown
from ...handlers.carriers import Carrier
from ...messages.jobs import Attribution, NewJob
from ...messages.mail import Queue
from ...rules.links import resolved
from ...rules.new_jobs import JobChecks
from ...rules.validation import check_iterable, check_one_of, unknown_options
from ...stores.opening import address_in
from ...stores.ports import Store
from ...stores.transitions import UNCOUNTED, born
from ..settings import OPTIONS, WORK_IN, check_option, work_from_now_on


class TransactionalSubmitter(Submitter):
    """Its calls follow the transactions of a database: inside of `transaction.atomic()`, jobs are queued, done, or
    signalled if and only if that commits. `database` is its alias; None while the settings are wrong."""

    def __init__(self, runtime: DjangoRuntime, database: str | None) -> None:
        super().__init__(runtime.current_boot)
        self._runtime = runtime
        self._database = database

    def submit(self, call: str, jobs: Any, root_id: str | None, connection: Any = None, **options: Any) -> Any:
        open_one = self._transaction_of(connection)
        if open_one is None:
            return super().submit(call, jobs, root_id, connection, **options)
        one, types = options.get("one", False), options.get("types")
        store = self._store_beside(open_one)
        place = self.state.running or self._runtime
        new = self._checked(place.checks(root_id), jobs, one)
        if not new:
            return []
        # Carriers see the moment at which the jobs are queued, not that of the commit.
        with place.queueing(new) as new:
            if self._is_own(open_one):
                stored = self._insert(store, open_one, new)
            else:
                transaction.on_commit(partial(self._queue_now, new, root_id), using=open_one.alias)
                stored = [(born(job, 0, move_no=UNCOUNTED), True) for job in new]
        queued: list[Job[Any]] = [Job(record, deduplicated=not fresh, types=types) for record, fresh in stored]
        return queued[0] if one else queued

    def settle(self, job: Ref, result: Any, then: Iterable[Wanted], connection: Any) -> None:
        open_one = self._transaction_of(connection)
        if open_one is None:
            super().settle(job, result, then, connection)
        elif self._is_own(open_one):
            super().settle(job, result, then, open_one)
        else:
            kept = tuple(check_iterable(then, "then", "JobSpecs or (name, data) pairs"))
            # Refuse a wrong call now, while the transaction can still be rolled back.
            self.check_follow_ups(kept)
            transaction.on_commit(partial(super().settle, job, result, kept, None), using=open_one.alias)

    def signal(self, job: Ref, name: str, data: Any, who: Attribution, connection: Any) -> None:
        open_one = self._transaction_of(connection)
        if open_one is None:
            super().signal(job, name, data, who, connection)
            return
        store = self._store_beside(open_one)
        sent = self._signal_to(store, job, name, data, who)
        if self._is_own(open_one):
            move_no = joined(store, open_one, self.state.now(), partial(signal_by_host, sent))
            if move_no is not None:
                transaction.on_commit(partial(self._expect, sent.job_id, move_no), using=open_one.alias)
        else:
            ask = partial(self.ask, "jobs.signal", lambda reply: sent._replace(reply=reply))
            transaction.on_commit(ask, using=open_one.alias)

    def ask(self, call: str, make: Make, **how: Any) -> Any:
        # Before the first call of a process starts a producer, which would wait for the transaction's lock.
        self.refuse_in_transaction()
        return super().ask(call, make, **how)

    def refuse_in_transaction(self) -> None:
        """Refuse a call that no rollback would take back. The rule is the same for every store and database: in SQLite,
        a transaction may also hold the lock for which the call would wait."""
        if self._transaction_of(None) is not None:
            raise UsageError(
                "expected this call outside of transaction.atomic(): it would act at once, and a rollback would not "
                "take it back; pass it to transaction.on_commit(). Only queue, queue_many, mark_done and signal follow "
                "the transaction; scheduler.add, scheduler.remove and a Step do with connection="
            )

    def _transaction_of(self, connection: Any) -> BaseDatabaseWrapper | None:
        """Django's connection that is in `atomic` here, if a call is to follow it. `connection` is the call's argument;
        the store refuses one that is not its own."""
        if self._database is None:
            return None
        own: BaseDatabaseWrapper = connections[self._database]
        is_meant = connection is None or (_inner(connection) is own and self._is_own(own))
        return own if is_meant and self._is_open(own) else None

    def _is_open(self, connection: BaseDatabaseWrapper) -> bool:
        return connection.in_atomic_block

    def _is_own(self, connection: BaseDatabaseWrapper) -> bool:
        """Whether the store is in the database itself."""
        return self._runtime.is_on(connection)

    def _store_beside(self, connection: BaseDatabaseWrapper) -> Store:
        """The store, for a call in an open transaction.

        If it lies in the transaction's own database and no runtime runs yet, none is started before the commit: its
        first write would wait for the lock that this transaction holds, and this thread with it.
        """
        boot = self.state.running
        if boot is None and self._is_own(connection):
            self._runtime.prepare()
            self._runtime.check_tables(connection)
            return self._runtime.new_store()
        return self.state.get().store

    def _insert(self, store: Store, connection: BaseDatabaseWrapper, jobs: Sequence[NewJob]) -> list[Any]:
        """Store jobs by the very transaction, in the same database."""
        stored, ids = [], list[str]()
        for job in jobs:
            insert = methodcaller("insert", resolved(job, ids))
            try:
                record, fresh = joined(store, connection, self.state.now(), insert)
            except StoreUnavailable as error:
                raise StoreUnavailable(str(error), tuple(job.id for job in jobs)) from error
            if fresh:
                transaction.on_commit(partial(self._expect, record.id, 1 - record.move_no), using=connection.alias)
            stored.append((record, fresh))
            ids.append(record.id)
        return stored

    def _queue_now(self, jobs: Sequence[NewJob], root_id: str | None) -> None:
        self.state.get().requests.ask(partial(Queue, tuple(jobs)), jobs=jobs, root_id=root_id)

    def _expect(self, job_id: str, move_no: int) -> None:
        self.state.get().expect(job_id, None, move_no)


def _inner(connection: Any) -> Any:
    return connections[connection.alias] if isinstance(connection, ConnectionProxy) else connection


KNOWN = (
    "STORE",
    "DATABASE",
    "WORK_IN",
    *(name for name in OPTIONS if name != "ENVIRONMENT"),
)
"""The keys of the setting. DATABASE is the alias of the database whose transactions jobs follow, and where `_given`
looks for a store if there is no STORE."""

OURS = ("DATABASE", "WORK_IN")
"""The keys that are no option of `Runtime`."""

BY_PATH = ("ON_FAILURE", "CARRIERS", "LOGGER")
"""The options that a settings file names by a dotted path, because importing the application there would be too early.
"""


def database() -> str:
    """The alias of the database whose transactions jobs follow."""
    given = getattr(settings, "LAMPLIGHTER", None)
    return str(given.get("DATABASE", DEFAULT_DB_ALIAS)) if isinstance(given, Mapping) else DEFAULT_DB_ALIAS


def works_in_web() -> bool:
    """Whether the processes that serve requests run jobs."""
    given = getattr(settings, "LAMPLIGHTER", None)
    return isinstance(given, Mapping) and given.get("WORK_IN") == "web"


def runtime_options() -> dict[str, Any]:
    """The arguments of `Runtime`, the store among it, if the setting has no `problems`."""
    return {name.lower(): _loaded(name, value) for name, value in _given().items() if name not in OURS}


def problems() -> Iterator[str]:
    """The problems of the setting: a sentence for each part of it, which names that part."""
    given = _given()
    if not isinstance(given, Mapping) or "STORE" not in given:
        yield (
            'expected the setting LAMPLIGHTER = {"STORE": ...}: a path, such as BASE_DIR / "db.sqlite3", or the '
            "address of a server; only a project whose DATABASE is a PostgreSQL may leave it out, got: "
            f"{shown(getattr(settings, 'LAMPLIGHTER', None))}"
        )
        return
    if unknown := {str(name) for name in given} - set(KNOWN):
        yield str(unknown_options(unknown, KNOWN, "the setting LAMPLIGHTER"))
    alone = [said for name, value in given.items() if name in KNOWN for said in _problem(name, value)]
    yield from alone
    if not alone and not unknown:
        try:
            Runtime(**runtime_options())
        except UsageError as error:
            yield f"LAMPLIGHTER: {error}"


def _problem(name: str, value: Any) -> Iterator[str]:
    if name == "DATABASE":
        if value not in settings.DATABASES:
            yield (
                f"LAMPLIGHTER['DATABASE']: expected an alias of DATABASES ({', '.join(settings.DATABASES)}), "
                f"got: {shown(value)}"
            )
        return
    try:
        if name == "WORK_IN":
            check_one_of(value, name, WORK_IN)
            return
        check_option(name, _loaded(name, value))
    except (UsageError, ImportError) as error:
        yield f"LAMPLIGHTER[{name!r}]: {error}"


def _given() -> Any:
    """The setting. Without a STORE, that is the project's own database if it can have one."""
    given = getattr(settings, "LAMPLIGHTER", None)
    if given is not None and (not isinstance(given, Mapping) or "STORE" in given):
        return given
    alias = database()
    own = connections[alias] if alias in settings.DATABASES else None
    store = None if own is None else address_in(own.vendor, own.settings_dict)
    return given if store is None else {**(given or {}), "STORE": store}


def _loaded(name: str, value: Any) -> Any:
    """The value itself, of one that is named by its path."""
    if name not in BY_PATH:
        return value
    if isinstance(value, str):
        return import_string(value)
    if name == "CARRIERS" and isinstance(value, Sequence):
        found = [import_string(one) if isinstance(one, str) else one for one in value]
        return [one() if isinstance(one, type) else one for one in found]
    return value


class ConnectionCarrier(Carrier):
    """Closes the connections of the job's thread that are too old or broken, before it and after it."""

    @contextmanager
    def around(self, job: Job[Any]) -> Iterator[None]:
        _close()
        try:
            yield
        finally:
            _close()


def _close() -> None:
    # Django refuses to touch a connection on an event loop's thread, where a coroutine could not have opened one.
    if asyncio._get_running_loop() is None:
        close_old_connections()


JOBS_MODULE = "jobs"
"""The module that is imported from each installed app, for its handlers and schedules."""

_lock = threading.RLock()
_made: DjangoRuntime | None = None


def configured_runtime() -> DjangoRuntime:
    global _made  # noqa: PLW0603 (settings are read once, and a process has one runtime)
    if _made is not None:
        # Read without the lock, which another thread may hold when the process forks.
        return _made
    with _lock:
        if _made is None:
            wrong = tuple(problems())
            options = {"store": ":memory:"} if wrong else runtime_options()
            _made = DjangoRuntime(wrong, None if wrong else database(), options)
        return _made


def is_test() -> bool:
    """Whether Django's own test environment is set up."""
    return hasattr(mail, "outbox")


def begins_by_locking(connection: BaseDatabaseWrapper) -> bool:
    """Whether the transactions of a SQLite database take the write lock when they begin."""
    return str(connection.settings_dict["OPTIONS"].get("transaction_mode")).upper() == "IMMEDIATE"


class DjangoRuntime(Runtime):
    """A runtime that knows a Django project: it finds the project's handlers, follows its transactions, and starts as a
    producer when it is called while nothing runs.

    Args:
        wrong: what is wrong with the settings. With that, handlers can still be added, so that `manage.py check` gets
            as far as to say it; but nothing starts.
        database: the alias of the database whose transactions jobs follow.
    """

    def __init__(self, wrong: tuple[str, ...], database: str | None, options: dict[str, Any]) -> None:
        carriers = (ConnectionCarrier(), *options.pop("carriers", ()))
        super().__init__(**options, carriers=carriers)
        self._wrong = wrong
        self._discovering = threading.local()
        self._has_discovered = False
        self._served_in: int | None = None
        self._leaves_in: int | None = None
        self.is_in_memory = not self._place.is_shared
        self.current_boot.on_demand = self._produce
        self._transactional = TransactionalSubmitter(self, database)
        self._submit_by(self._transactional)

    def start(self, *, work: bool = True, only: Collection[str] | None = None) -> Self:
        """Start, with the handlers and schedules of all installed apps; see `Runtime.start`."""
        self.discover()
        return super().start(work=work, only=only)

    def _start(self, share: HandlerSelection | None = None) -> bool:
        self.discover()
        is_new = super()._start(share)
        if self.boot is not None:
            self.boot.requests.before_waiting = self._transactional.refuse_in_transaction
        return is_new

    def discover(self) -> None:
        """Import the jobs module of each installed app, once.

        Raises:
            ImproperlyConfigured: the settings are wrong.
        """
        if self._wrong:
            raise ImproperlyConfigured("\n".join(self._wrong))
        if self._has_discovered:
            return
        if getattr(self._discovering, "here", False):
            raise NotStarted(
                f"expected the {JOBS_MODULE} modules to add handlers and schedules, and nothing that needs a runtime "
                "that runs: nothing has started while they are imported"
            )
        # No lock here: a thread that imports such a module holds that module's import lock, and would wait for ours.
        # Two threads that discover at once do no harm.
        self._discovering.here = True
        try:
            autodiscover_modules(JOBS_MODULE)
        finally:
            self._discovering.here = False
        with _lock:
            if not self._has_discovered and django.VERSION >= (6,):
                from .tasks import add_task_handlers

                add_task_handlers(self.jobs)
            self._has_discovered = True

    def prepare(self) -> None:
        """Before a process that runs nothing queues its first job. Refused in a test: the store is the real one."""
        self.discover()
        if is_test():
            raise NotStarted(
                "expected a test to queue its jobs within lamplighter.contrib.django.testing.inline(), or to start the "
                "runtime itself: the store of settings.LAMPLIGHTER is not the test's"
            )

    def new_store(self) -> Store:
        return self._store()

    def checks(self, root_id: str | None) -> JobChecks:
        """The checks of a boot, for the time when none runs."""
        current = self.current_boot
        return JobChecks(
            now=current.now(),
            new_id=current.environment.new_id,
            root_id=root_id,
            limits=current.limits,
            has_table=current.has_table,
        )

    def queueing(self, jobs: tuple[NewJob, ...]) -> AbstractContextManager[tuple[NewJob, ...]]:
        """The carriers around a call, for the time when no boot runs."""
        return self._carriers.queueing(jobs, _say_failed)

    def is_on(self, connection: BaseDatabaseWrapper) -> bool:
        """Whether a connection's database is the store's own."""
        return self._place.is_database(connection.vendor, connection.settings_dict)

    @property
    def is_kept_waiting(self) -> bool:
        """Whether a transaction of the project that has written keeps a store in the same database waiting."""
        return self._place.one_writer

    def check_tables(self, connection: BaseDatabaseWrapper) -> None:
        """A start makes the tables, or updates them. In a transaction there is no start, so they must be there."""
        if (wrong := self._place.condition().check_tables(connection.connection)) is not None:
            raise StoreError(f"{wrong}; run manage.py migrate first")

    def start_in_web(self) -> None:
        """Called at a request: run jobs in this process from now on."""
        if self._served_in == self.environment.pid():
            return
        work_from_now_on(self)
        self._served_in = self.environment.pid()
        self._leave_at_exit()

    def _produce(self) -> None:
        self.prepare()
        super().start(work=False)
        self._leave_at_exit()

    def _leave_at_exit(self) -> None:
        """Stop at the exit: otherwise other runtimes would find a dead one at each deployment."""
        if self._leaves_in != self.environment.pid():
            self._leaves_in = self.environment.pid()
            atexit.register(self.stop)


def _say_failed(carrier: Carrier, error: Exception) -> None:
    """A carrier has failed while no boot runs, whose log would have `carrier.failed`."""
    logging.getLogger("django").warning(
        "The carrier %s failed; the job carries nothing of it", type(carrier).__qualname__, exc_info=error
    )
