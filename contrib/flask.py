"""Lamplighter in a Flask application: `from lamplighter.contrib.flask import Lamplighter`."""

from __future__ import annotations

import atexit
import dataclasses
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from weakref import WeakSet

from ..errors import missing_extra

try:
    import click
    import flask
    from flask import Flask, current_app, has_app_context
    from flask.cli import AppGroup
except ImportError as error:
    raise missing_extra("Flask", "`lamplighter.contrib.flask`", "flask") from error

from ..api.job import Job
from ..api.jobs import Jobs
from ..api.runtime import Runtime
from ..api.scheduler import Scheduler
from ..boot.runtime_state import RuntimeState
from ..boot.submitting import Submitter, looked_up
from ..environment.environment import Environment
from ..errors import LamplighterError, NotStarted, UsageError, shown
from ..handlers.carriers import Carrier
from ..log.configure import configure_logging, is_configured
from ..rules.limits import Limits
from ..rules.validation import check_one_of, unknown_options
from ..stores.opening import STORES, place_of
from ..web.faces.http import wsgi_request
from ..web.pages.page import Who
from ..web.site import dashboard
from .reloading import run_anew
from .settings import OPTIONS, WORK_IN, check_option, work_from_now_on

ENDPOINT = "lamplighter"
"""As `url_for` knows it."""


def mount(app: Flask, runtime: Runtime, place: str, who: Any) -> None:
    """Have the page at a path of an application.

    `who` is called within the request, so that it may ask `flask.session` or `current_user`.
    """
    if not place.startswith("/") or place == "/":
        raise UsageError(f"expected dashboard to be a path such as '/jobs', got: {shown(place)}")
    site, place = dashboard(runtime, who=who), place.rstrip("/")

    def page(rest: str = "") -> flask.Response:
        asked = wsgi_request(flask.request.environ)
        response = site.answer(dataclasses.replace(asked, root=f"{asked.root}{place}", path=f"/{rest}"))
        if response.stream is not None:
            # A stream would hold a worker; the page polls instead.
            return flask.Response(status=204)
        return flask.Response(response.body, response.status, response.headers, content_type=response.kind)

    for rule in (f"{place}/", f"{place}/<path:rest>"):
        app.add_url_rule(rule, ENDPOINT, page, methods=["GET", "POST"])


commands = AppGroup("lamplighter", help="Background jobs.")


@commands.command("run")
@click.option("--only", multiple=True, metavar="NAME", help="Run jobs of this name only; may be given several times.")
@click.option("--drain", type=float, metavar="SECONDS", help="How long running jobs may finish when this stops.")
@click.option("--reload", is_flag=True, help="Start anew when the code has changed: for development.")
def run(only: tuple[str, ...], drain: float | None, reload: bool) -> None:
    """Run jobs and fire schedules until SIGTERM, SIGINT or SIGHUP.

    A second signal ends the drain.
    """
    if reload:
        _run_anew(drain)
        return
    runtime: Runtime = current_app.extensions["lamplighter"]
    if not is_configured():
        configure_logging()
    # A producer runs if the application queued a job while it was made.
    runtime.stop()
    names = only or runtime.current_boot.declared.names()
    click.echo(f"Lamplighter runs jobs of: {', '.join(names) or 'no names, as there is no handler'}. Ctrl-C stops it.")
    try:
        runtime.run(drain, only=only or None)
    except LamplighterError as error:
        raise click.ClickException(str(error)) from None


def _run_anew(drain: float | None) -> None:
    """This process runs no jobs: it watches files, and starts its own command without `--reload`."""
    # The command that started this process, whichever script that was, or `python -m flask`.
    command = [sys.executable, *(word for word in sys.orig_argv[1:] if word != "--reload")]
    runtime: Runtime = current_app.extensions["lamplighter"]
    runtime.stop()
    try:
        run_anew(command, drain)
    except LamplighterError as error:
        raise click.ClickException(str(error)) from None


PREFIX = "LAMPLIGHTER_"
STORE = "LAMPLIGHTER_STORE"

KNOWN = ("STORE", "WORK_IN", *OPTIONS)


def runtime_options(app: Flask) -> dict[str, Any]:
    given = {key.removeprefix(PREFIX): value for key, value in app.config.items() if key.startswith(PREFIX)}
    if unknown := given.keys() - set(KNOWN):
        known = [PREFIX + name for name in KNOWN]
        raise unknown_options([PREFIX + name for name in unknown], known, f"the Flask application {app.name!r}")
    if given.get("STORE") is None:
        raise UsageError(f'expected app.config["{STORE}"] to be {STORES}; it is not set')
    given.pop("WORK_IN", None)
    for name, value in given.items():
        try:
            check_option(name, value)
        except UsageError as error:
            raise UsageError(f"{PREFIX}{name}: {error}") from None
    given["STORE"] = _in_instance(app, given["STORE"])
    return {name.lower(): value for name, value in given.items()}


def works_in_web(app: Flask) -> bool:
    """Whether the processes that serve requests run jobs."""
    where: str = check_one_of(app.config.get(f"{PREFIX}WORK_IN", "worker"), f"{PREFIX}WORK_IN", WORK_IN)
    return where == "web"


def _in_instance(app: Flask, store: Any) -> Any:
    """A relative path is relative to the application's instance folder, wherever its processes were started."""
    if (there := place_of(store, app.instance_path).address) == place_of(store).address:
        return store
    Path(app.instance_path).mkdir(parents=True, exist_ok=True)
    return there


Declaration = Callable[[Runtime], object]
"""Adds a handler or a schedule to a runtime."""


class DeclaringSubmitter(Submitter):
    """Where there is no application, handlers and schedules are added wherever there is one."""

    def __init__(self, outside: RuntimeState, declare: Callable[[Declaration], None]) -> None:
        super().__init__(outside)
        self._declare_everywhere = declare

    def declared(self, declaration: Declaration) -> None:
        self._declare_everywhere(declaration)


class Starting:
    """Starts the runtime in the processes that need it, and stops it where they end."""

    def __init__(self, app: Flask, runtime: Runtime, *, works_in_web: bool, is_in_memory: bool) -> None:
        self._app = app
        self._runtime = runtime
        self._works_in_web = works_in_web
        self._is_in_memory = is_in_memory
        self._tried_in: int | None = None
        self._leaves = False

    def for_requests(self) -> None:
        """Called before a process's first request: its transaction may later hold the lock that a start needs."""
        pid = self._runtime.environment.pid()
        if self._tried_in == pid or self._app.testing:
            return
        try:
            self._start(work=self._works_in_web)
        except LamplighterError:
            # Most requests need no store. The others fail when they call the runtime.
            self._app.logger.exception("Lamplighter cannot be started; the first call that needs it will try again")
        # Set only after the start: concurrent first requests must wait for it, too, before they open a transaction.
        self._tried_in = pid

    def on_demand(self) -> None:
        """Before the first call that needs a runtime. Refused in a test: other tests may use the store."""
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
                "expected LAMPLIGHTER_STORE to be a file or the address of a server, got: ':memory:', which no other "
                "process sees; or set LAMPLIGHTER_WORK_IN to 'web'"
            )
        if work:
            work_from_now_on(self._runtime)
        else:
            self._runtime.start(work=False)
        if not self._leaves:
            # Stop at the exit: otherwise other runtimes would find a dead one at each deployment.
            self._leaves = True
            atexit.register(self._runtime.stop)


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
        declaring = DeclaringSubmitter(outside, self._declare)
        current = looked_up(lambda: self.runtime.jobs._submitter if has_app_context() else declaring)
        self.jobs, self.scheduler = Jobs(current), Scheduler(current)
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
        return self._app.app_context()


def _no_application() -> None:
    raise NotStarted("expected a current Flask application, in a request, a command or `with app.app_context()`")
