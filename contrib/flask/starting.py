"""When the runtime of a Flask application starts: never before a process needs it.

`init_app` runs in every process that imports the application: that of a migration or a shell, the parent of a reloader,
a master that forks. None of them serves requests.
"""

from __future__ import annotations

import atexit

from flask import Flask

from ...api.runtime import Runtime
from ...errors import LamplighterError, NotStarted, UsageError
from ..serving import work_from_now_on


class Starting:
    """Starts the runtime in the processes that need it, and stops it where they end.

    Args:
        works_in_web: whether a process that serves requests runs jobs too.
        is_in_memory: whether no other process sees the store.
    """

    def __init__(self, app: Flask, runtime: Runtime, *, works_in_web: bool, is_in_memory: bool) -> None:
        self._app = app
        self._runtime = runtime
        self._works_in_web = works_in_web
        self._is_in_memory = is_in_memory
        self._tried_in: int | None = None
        self._leaves = False

    def for_requests(self) -> None:
        """Before the first request of a process. Later in it, the request's own transaction may hold the lock on the
        store's file that a start needs.
        """
        pid = self._runtime.environment.pid()
        if self._tried_in == pid or self._app.testing:
            return
        try:
            self._start(work=self._works_in_web)
        except LamplighterError:
            # Most requests need no store. Those that do will be told.
            self._app.logger.exception("Lamplighter cannot be started; the first call that needs it will try again")
        # Only now: other first requests wait for the start as well, before they open a transaction.
        self._tried_in = pid

    def on_demand(self) -> None:
        """Before the first call that needs a runtime.

        Raises:
            NotStarted: this is a test, whose jobs would go to a store that other tests may use.
            UsageError, StoreError, StoreUnavailable: as `Runtime.start`.
        """
        if self._app.testing:
            raise NotStarted(
                "expected a test to start the runtime itself, got a call while it does not run: use "
                '`with Inline(app.extensions["lamplighter"]):` of lamplighter.testing, or, on real threads, '
                '`with app.extensions["lamplighter"]:`'
            )
        self._start(work=False)

    def _start(self, *, work: bool) -> None:
        if self._is_in_memory and not self._works_in_web:
            raise UsageError(
                "expected LAMPLIGHTER_STORE to be a file or the address of a RabbitMQ, got: ':memory:', which no other "
                "process sees; or set LAMPLIGHTER_WORK_IN to 'web'"
            )
        if work:
            work_from_now_on(self._runtime)
        else:
            self._runtime.start(work=False)
        if not self._leaves:
            # Without a farewell, others would find a dead runtime at each deployment.
            self._leaves = True
            atexit.register(self._runtime.stop)
