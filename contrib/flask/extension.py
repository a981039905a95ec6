"""`Lamplighter`: the Flask extension."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from weakref import WeakSet

from flask import Flask, current_app, has_app_context

from ...api.job import Job
from ...api.jobs import Jobs
from ...api.runtime import Runtime
from ...api.scheduler import Scheduler
from ...boot.runtime_state import RuntimeState
from ...environment.environment import Environment
from ...errors import NotStarted, UsageError
from ...handlers.carriers import Carrier
from ...rules.limits import Limits
from ...web.pages.visitor import Who
from .command import commands
from .declarations import AppJobs, AppScheduler, Declaration, DeclaringJobs, DeclaringScheduler
from .page import mount
from .settings import STORE, runtime_options, works_in_web
from .starting import Starting

EXTENSION = "lamplighter"
"""Where `app.extensions` has the runtime of an application."""


class Lamplighter:
    """Makes a runtime for each application that it is given, of the settings `LAMPLIGHTER_...` in `app.config`.

    `jobs` and `scheduler` are those of the current application. Handlers and schedules may be added before there is
    one: they are for every application.

    Args:
        app: the application, where it is made before this. Otherwise call `init_app`.

    Attributes:
        handler: `jobs.handler`.
    """

    def __init__(self, app: Flask | None = None) -> None:
        self._declarations: list[Declaration] = []
        self._runtimes: WeakSet[Runtime] = WeakSet()
        outside = RuntimeState(Environment(), Limits(), has_table=True)
        outside.on_demand = _no_application
        declaring = DeclaringJobs(outside, self._declare), DeclaringScheduler(outside, self._declare)
        self.jobs: Jobs = AppJobs(lambda: self.runtime.jobs if has_app_context() else declaring[0])
        self.scheduler: Scheduler = AppScheduler(lambda: self.runtime.scheduler if has_app_context() else declaring[1])
        self.handler = self.jobs.handler
        if app is not None:
            self.init_app(app)

    @property
    def runtime(self) -> Runtime:
        """That of the current application, which is also `app.extensions["lamplighter"]`.

        Raises:
            UsageError: the current application has none.
            RuntimeError: there is no current application.
        """
        runtime: Runtime | None = current_app.extensions.get(EXTENSION)
        if runtime is None or runtime not in self._runtimes:
            raise UsageError(
                f"expected this Lamplighter to know the Flask application {current_app.name!r}: init_app(app)"
            )
        return runtime

    def init_app(self, app: Flask, *, dashboard: str | None = None, who: Who | None = None) -> None:
        """Make the runtime of an application, and start nothing.

        A process starts it as a producer, which queues and runs no jobs, with its first request or its first call of
        `jobs`. `flask lamplighter run` runs the jobs.

        Args:
            dashboard: a path, such as `/jobs`, at which the application has the page; needs `who`.
            who: says who looks at the page, as `lamplighter.web.dashboard` wants it; called within the request.

        Raises:
            MissingExtra: the page is wanted, and Jinja2 is not installed.
            UsageError: a setting is missing, unknown or wrong; or the application has a Lamplighter already.
            NotSupported: a handler or a schedule asks for what the store cannot do.
        """
        if EXTENSION in app.extensions:
            raise UsageError(f"expected one Lamplighter for the Flask application {app.name!r}, got a second one")
        options = runtime_options(app)
        carriers = [AppContext(app), *options.pop("carriers", ())]
        runtime = Runtime(**options, carriers=carriers)
        if dashboard is not None:
            mount(app, runtime, dashboard, who)
        for declare in self._declarations:
            declare(runtime)
        starting = Starting(app, runtime, works_in_web=works_in_web(app), is_in_memory=options["store"] == ":memory:")
        runtime.current_boot.on_demand = starting.on_demand
        app.before_request(starting.for_requests)
        app.cli.add_command(commands)
        app.config[STORE] = options["store"]
        app.extensions[EXTENSION] = runtime
        self._runtimes.add(runtime)

    def _declare(self, declaration: Declaration) -> None:
        for runtime in self._runtimes:
            declaration(runtime)
        self._declarations.append(declaration)


class AppContext(Carrier):
    """Runs each job in the context of its application, as a command runs: with `current_app` and `g`."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def around(self, job: Job[Any]) -> AbstractContextManager[Any]:
        """Called by the runtime."""
        return self._app.app_context()


def _no_application() -> None:
    raise NotStarted("expected a current Flask application, in a request, a command or `with app.app_context()`")
