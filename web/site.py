"""The page: who may see and do what, and what is answered where something is wrong. It knows no web framework."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Generator, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property, partial
from http import HTTPStatus
from threading import BoundedSemaphore
from typing import Any

from ..admin.inspector import inspector_of, readable_table
from ..admin.operator import Operator
from ..api.runtime import Runtime
from ..doctor.diagnosis import DiagnosisCache, Examination
from ..doctor.examining import evidence_of, examine
from ..environment.clock import Clock, SystemClock
from ..errors import (
    LamplighterError,
    MissingExtra,
    StoreError,
    StoreUnavailable,
    UnknownJob,
    UnknownSchedule,
    UsageError,
    shown,
)
from ..rules.codec import encode_own, valid_text
from ..rules.control_lines import encode_view
from ..stores.opening import place_of
from .faces.http import BODY_BYTES_MAX, AsgiApplication, Request, Response, WsgiApplication
from .live import STREAMS_MAX, Live, told
from .pages.acts import VIA
from .pages.page import STREAM, NotThere, PageContent, PageProgress, PageRefused, PageVisit, Visitor, Who
from .pages.routes import Route, route_of
from .rendering import check_renders, rendered, static_file

SAFE = frozenset({"GET", "HEAD"})

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing runs on the page but its own files: a job's name or an error that holds a script is text."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def forged(request: Request) -> str | None:
    """Why a request that changes something may have been sent by another site; None if it was sent by this page.

    A browser says so itself (`Sec-Fetch-Site`). An old one, or any on plain http elsewhere than on localhost, at least
    says from which site it comes (`Origin`). A program has no page to be lured from, but must then show a token.
    """
    if request.method in SAFE:
        return None
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return None if site == "same-origin" else f"expected a form of this page, got one of another site ({site})"
    origin = request.headers.get("origin")
    if origin is not None:
        mine = f"{request.scheme}://{request.host}"
        return None if origin.lower() == mine else f"expected Origin: {mine}, got: {origin[:200]}"
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        return None
    return "expected Sec-Fetch-Site, Origin or a bearer token, got none: nobody can tell which site has sent this"


def strange_host(request: Request, hosts: Collection[str] | None) -> str | None:
    """Why a request was made under a name that is not the server's, as a rebound DNS name would; None if it is known.

    `hosts` is None if the web framework checks the name.
    """
    if hosts is None or _name(request.host) in hosts:
        return None
    return f"expected a known Host ({', '.join(sorted(hosts))}), got: {request.host[:200] or 'none'}"


def sealed(response: Response) -> Response:
    """The same, with what keeps a browser from doing with it what it must not."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _name(host: str) -> str:
    if host.startswith("["):
        return host[: host.find("]") + 1]
    return host.partition(":")[0]


LIVE = "/live"
SEEN = "seen"
"""Under this name the address of a page's stream has the version of the store that the page shows."""
STATIC = "/static/"

SEARCHES_MAX = 1
"""How many visitors of a site search or count jobs at once: each may go through 100,000 jobs beside the worker."""

SEARCH_WAIT_SECONDS = 1.0
"""How long the next one waits before the page says that it is busy."""

REFUSALS = (PageRefused, NotThere, LamplighterError, ValueError)
"""Errors of a request, or of the thing that it asks for. Any other error is a fault of the page or of `who`."""


def dashboard(store: Any, *, who: Who, trace_url: str | None = None, hosts: Collection[str] | None = None) -> Site:
    """The page over a store, to be mounted in a web application as `.asgi` or `.wsgi`.

    Args:
        store: a Runtime, or what a Runtime is given: the path of its file, or the address of a RabbitMQ. The page
            needs no runtime that runs.
        who: a function that says who has sent a `Request`: a `Visitor`, None for nobody who is known (401), or a
            `Response` instead of the page. There is no page without it.
        trace_url: where traces are shown, with `{trace_id}` in it; pages of jobs link there.
        hosts: the names under which the page may be asked for, without ports; None where the server or the web
            framework sees to that.

    Raises:
        UsageError: it is none of these, or the store is in the memory of a process.
        MissingExtra: Jinja2 is not installed.
        NotSupported: the store is on RabbitMQ.
    """
    if not callable(who):
        raise UsageError(f"expected who=, a function that says who looks at the page, got: {shown(who)}")
    if trace_url is not None and "{trace_id}" not in trace_url:
        raise UsageError(f"expected trace_url= with {{trace_id}} in it, got: {shown(trace_url)}")
    check_renders()
    place = place_of(store.address if isinstance(store, Runtime) else store)
    if not place.is_shared:
        raise UsageError("expected a store that others can look at, got: ':memory:', the memory of one process")
    return Site(place.address, who=who, trace_url=trace_url, hosts=hosts)


class Site:
    """Answers requests. `dashboard` makes one."""

    def __init__(
        self,
        address: Any,
        *,
        who: Who,
        trace_url: str | None = None,
        hosts: Collection[str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = SystemClock() if clock is None else clock
        store = readable_table(address, "page")
        self._client = store.place.client()
        self._inspector = inspector_of(store, self._client, now=self._clock.now)
        self._trace_url = trace_url
        self._address = address
        self._who = who
        self._hosts = hosts
        self._searches = BoundedSemaphore(SEARCHES_MAX)
        self._rounds = DiagnosisCache(self._examined, self._clock.monotonic)
        self.live = Live(store.watch, store.version, self._clock.monotonic)

    @cached_property
    def asgi(self) -> AsgiApplication:
        """For FastAPI, Starlette, Litestar, or a server such as uvicorn."""
        return AsgiApplication(self.answer)

    @cached_property
    def wsgi(self) -> WsgiApplication:
        """For Flask, or a server such as gunicorn. Such a page asks again now and then, instead of being told."""
        return WsgiApplication(self.answer)

    def _examined(self) -> Examination:
        """The doctor's findings. No snapshot is open here meanwhile, which would look like somebody who reads on."""
        store, clock = self._inspector.store, self._clock
        return examine(evidence_of(store.place, store, self._client, clock.now))

    @contextlib.contextmanager
    def _visit(self, request: Request, visitor: Visitor, route: Route, rest: str) -> Iterator[PageVisit]:
        """A visit. Whatever a page shows is of one instant; what a form does is seen by what it does next."""
        is_of_one = request.method in SAFE and route.reads_store
        inspector = replace(self._inspector, shows_data="data" in visitor.may)
        if request.method not in SAFE:
            # Let go of files that are gone: SQLite would have the connection of the act share what it knows of them.
            with inspector.store.snapshot():
                pass
        with inspector.at_one_instant() if is_of_one else nullcontext(inspector) as seen:
            yield PageVisit(
                request=request,
                visitor=visitor,
                rest=rest,
                inspector=seen,
                operator=Operator(self._address, by=visitor.name, via=VIA),
                client=self._client,
                monotonic=self._clock.monotonic,
                trace_url=self._trace_url,
                examined=self._rounds.latest,
                searching=self._searching,
            )

    @contextlib.contextmanager
    def _searching(self) -> Iterator[None]:
        if not self._searches.acquire(timeout=SEARCH_WAIT_SECONDS):
            raise PageRefused(503, "the page is busy with another search; try again in a moment")
        try:
            yield
        finally:
            self._searches.release()

    def answer(self, request: Request) -> Response:
        """The answer to a request. It raises nothing: what fails is answered with 500, and logged."""
        try:
            response = self._answer(request)
        except Exception as error:
            try:
                response = self._sorry(request, error)
            except Exception as second:
                response = Response(status=500, kind="text/plain", body=_failed(second).encode())
        return sealed(response)

    def _answer(self, request: Request) -> Response:
        said = strange_host(request, self._hosts)
        if said is not None:
            raise PageRefused(421, said)
        if request.path.startswith(STATIC) and request.method in SAFE:
            return static_file(request.path.removeprefix(STATIC), request.headers.get("if-none-match"))
        visitor = self._visitor(request)
        if isinstance(visitor, Response):
            return visitor
        if visitor is None:
            raise PageRefused(401, "expected somebody who is known here, got nobody: log in first")
        if "look" not in visitor.may:
            raise PageRefused(403, f"{visitor.name} may not look at this page")
        if len(request.body) > BODY_BYTES_MAX:
            raise PageRefused(413, f"expected a form of at most {BODY_BYTES_MAX} bytes")
        if said := forged(request):
            raise PageRefused(403, said)
        if request.path == LIVE:
            if self.live.listeners >= STREAMS_MAX:
                return Response(status=204)
            seen = request.headers.get("last-event-id") or next(iter(request.asked().get(SEEN, ())), None)
            return _streamed(partial(self.live.stream, seen))
        return self._page(request, visitor)

    def _visitor(self, request: Request) -> Visitor | Response | None:
        """The answer of `who`. An error of it is the application's: nobody is known yet, so the text is for the log."""
        try:
            visitor = self._who(request)
            if visitor is None or isinstance(visitor, Visitor | Response):
                return visitor
            raise UsageError(f"expected who= to give a Visitor, a Response or None, got: {shown(visitor)}")
        except PageRefused:
            raise
        except Exception as error:
            raise RuntimeError("who= has failed") from error

    def _page(self, request: Request, visitor: Visitor) -> Response:
        route, rest = route_of(request)
        now, began, version = self._clock.now(), self._clock.monotonic(), self.live.version()
        with self._visit(request, visitor, route, rest) as visit:
            made = route.handler(visit)
        if isinstance(made, Response):
            return made
        if isinstance(made, PageProgress):
            pages, render = _to_the_end(made.pages), lambda page: rendered(request, visitor, page, now)
            return _streamed(partial(told, pages, render, self._clock.monotonic))
        if request.asked().get("as") == ["json"]:
            return Response(kind="application/json", body=encode_view(made.model))
        live = request.link(LIVE, **{SEEN: version})
        response = Response(body=rendered(request, visitor, made, now, live=live).encode())
        self.live.note_cost(self._clock.monotonic() - began)
        return response

    def _sorry(self, request: Request, error: Exception) -> Response:
        """An error as a page, or as JSON where that was asked for."""
        page = _refusal(error)
        status = page.model["status"]
        if "as=json" in request.query:
            return Response(
                status=status, kind="application/json", body=encode_own({"error": page.model["says"]}).encode()
            )
        return Response(status=status, body=rendered(request, None, page, self._clock.now()).encode())


def _refusal(error: Exception) -> PageContent:
    if not isinstance(error, REFUSALS):
        return PageContent("error.html", "The page has failed", {"status": 500, "says": _failed(error)})
    match error:
        case PageRefused():
            status = error.status
        case NotThere() | UnknownJob() | UnknownSchedule():
            status = 404
        case MissingExtra():
            status = 501
        case StoreError() | StoreUnavailable():
            status = 503
        case _:
            status = 400
    return PageContent("error.html", HTTPStatus(status).phrase, {"status": status, "says": valid_text(str(error))})


def _failed(error: Exception) -> str:
    """The answer to an error that is nobody's refusal: its traceback goes into the log."""
    logging.getLogger("lamplighter").error("the page has failed", exc_info=error)
    return f"the page has failed ({type(error).__name__}); the traceback is in the log of this server"


def _to_the_end(pages: Iterator[PageContent]) -> Generator[PageContent, None, None]:
    """These pages, and at the end the error that has ended them, if one has."""
    try:
        yield from pages
    except Exception as error:
        yield _refusal(error)


def _streamed(stream: Callable[[], AsyncIterator[bytes]]) -> Response:
    return Response(kind=STREAM, stream=stream, headers={"X-Accel-Buffering": "no"})
