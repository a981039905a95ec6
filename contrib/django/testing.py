"""For the tests of a Django project: its jobs run on the test's own thread, in virtual time.

class OrderTest(TestCase):
    def test_an_order_gets_its_receipt(self):
        with inline():
            self.client.post("/orders", {"item": "a lamp"})
        self.assertEqual(Order.objects.get().receipt, "1 x a lamp")
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self
from unittest import mock

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ...boot.runtime_state import RuntimeState
from ...messages.jobs import NewJob
from ...testing.inline import Inline, InlineSubmitter
from .configured import ConnectionCarrier, DjangoRuntime, TransactionalSubmitter, configured_runtime, database


def inline(*, at_once: bool = True, **options: Any) -> Inline:
    """The project's handlers and schedules in a test; see `lamplighter.testing.Inline`, whose options these are.

    A job that is queued in a transaction runs when that commits. In a `TestCase`, whose own transaction never does,
    that is when the outermost `atomic` inside of the test has ended well.
    """
    runtime = configured_runtime()
    runtime.discover()
    return _DjangoInline(runtime, at_once=at_once, **options)


class _DjangoInline(Inline):
    """An `Inline` whose jobs follow the test's transactions."""

    def __init__(self, runtime: DjangoRuntime, **options: Any) -> None:
        # The test has the connection of its jobs, which must not be closed.
        carriers = [one for one in runtime._carriers.each if not isinstance(one, ConnectionCarrier)]
        super().__init__(runtime, **{"carriers": carriers, **options})
        self._connection: BaseDatabaseWrapper = connections[database()]
        self._patched = ExitStack()

    def __enter__(self) -> Self:
        self._depth = _depth(self._connection)
        super().__enter__()
        self.runtime.current_boot.get().requests.before_waiting = self._submitter.refuse_in_transaction
        if self._depth:
            self._patched.enter_context(mock.patch.object(self._connection, "savepoint_commit", self._savepoint_commit))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._patched.close()
        super().__exit__(kind, error, trace)

    def _submitter_on(self, current_boot: RuntimeState) -> InlineSubmitter:
        self._submitter = _InlineTransactionalSubmitter(self, current_boot)
        return self._submitter

    def is_open(self, connection: BaseDatabaseWrapper) -> bool:
        """Whether a transaction is under way inside of the test's own."""
        return _depth(connection) > self._depth

    def _savepoint_commit(self, savepoint: str) -> None:
        """Called by Django, when an `atomic` ends well inside of another."""
        type(self._connection).savepoint_commit(self._connection, savepoint)
        if not self.is_open(self._connection):
            held = [entry for entry in self._connection.run_on_commit if _is_of_jobs(entry[1])]
            self._connection.run_on_commit = [entry for entry in self._connection.run_on_commit if entry not in held]
            for entry in held:
                entry[1]()


class _InlineTransactionalSubmitter(TransactionalSubmitter, InlineSubmitter):
    """That of a test. The store is never the database's own file, as it is the test's own."""

    def __init__(self, test: _DjangoInline, current_boot: RuntimeState) -> None:
        InlineSubmitter.__init__(self, current_boot, test._after)
        self._test = test
        self._database = database()

    def _is_open(self, connection: BaseDatabaseWrapper) -> bool:
        return self._test.is_open(connection)

    def _is_own(self, connection: BaseDatabaseWrapper) -> bool:
        return False

    def _queue_now(self, jobs: Sequence[NewJob], root_id: str | None) -> None:
        super()._queue_now(jobs, root_id)
        self.after()


def _depth(connection: BaseDatabaseWrapper) -> int:
    """How many `atomic` are around this."""
    return 1 + len(connection.savepoint_ids) if connection.in_atomic_block else 0


def _is_of_jobs(call: Any) -> bool:
    return isinstance(getattr(getattr(call, "func", None), "__self__", None), _InlineTransactionalSubmitter)
