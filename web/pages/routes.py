"""Which address is which page. A form asks for the right to do what it does itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..faces.http import UNSPEAKABLE, Request, Response
from . import graphs, jobs, looks
from .acts import on_job, on_jobs, on_name, on_new_job, on_runtime, on_schedule
from .page import NotThere, PageContent, PageProgress, PageRefused, PageVisit

Handler = Callable[[PageVisit], PageContent | PageProgress | Response]
"""Makes a page, or does what a form asks."""


class Route(NamedTuple):
    """A page, or what a form does.

    Attributes:
        path: of a page with parts, what stands before the name of a part.
        reads_store: whether the store must be readable for it.
    """

    method: str
    path: str
    handler: Handler
    reads_store: bool = True


def _pages(path: str, all_of_them: Handler, one: Handler) -> tuple[Route, Route]:
    return Route("GET", path, all_of_them), Route("GET", f"{path}/", one)


ROUTES = (
    Route("GET", "/", looks.overview),
    *_pages("/jobs", jobs.jobs, jobs.job),
    Route("GET", "/graphs/", graphs.graph),
    *_pages("/errors", looks.errors, looks.group),
    *_pages("/names", looks.names, looks.name),
    *_pages("/schedules", looks.schedules, looks.schedule),
    *_pages("/runtimes", looks.runtimes, looks.runtime),
    Route("GET", "/doctor", looks.doctor, reads_store=False),
    Route("GET", "/metrics", looks.metrics, reads_store=False),
    Route("POST", "/act/job", on_job),
    Route("POST", "/act/jobs", on_jobs),
    Route("POST", "/act/new", on_new_job),
    Route("POST", "/act/name", on_name),
    Route("POST", "/act/schedule", on_schedule),
    Route("POST", "/act/runtime", on_runtime),
)


def route_of(request: Request) -> tuple[Route, str]:
    """The route of a request, if there is one for its method, and what follows it in the path."""
    at, method = request.path, "GET" if request.method == "HEAD" else request.method
    found = [route for route in ROUTES if _is_at(route, at)]
    if not found:
        raise NotThere(f"no page {at!r}")
    for route in found:
        if route.method == method:
            rest = at[len(route.path) :]
            return route, request.asked().get("name", [rest])[-1] if rest == UNSPEAKABLE else rest
    raise PageRefused(405, f"expected {found[0].method} for {found[0].path}, got: {request.method}")


def _is_at(route: Route, path: str) -> bool:
    """Whether a path is the route's, or the name of a part below it. Names of jobs may hold slashes."""
    if route.path.endswith("/") and route.path != "/":
        return path.startswith(route.path) and path != route.path
    return path == route.path
