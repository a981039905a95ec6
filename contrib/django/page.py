"""The page as a view of Django, for those whom Django knows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, get_script_prefix, resolve, reverse
from django.views.decorators.csrf import csrf_exempt

from ...stores.opening import address_in
from ...web.faces.http import Request, Response, redirect
from ...web.pages.page import LOOK, STEER, Right, Visitor
from ...web.site import SAFE, Site, dashboard
from .configured import begins_by_locking, configured_runtime, database, problems


def check_settings(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    wrong = list(problems())
    if wrong:
        return [Error(problem, id="lamplighter.E001") for problem in wrong]
    return [*_warnings(), *_of_page()]


def _warnings() -> Iterator[CheckMessage]:
    runtime, alias = configured_runtime(), database()
    connection = connections[alias]
    if runtime.is_kept_waiting and runtime.is_on(connection) and not begins_by_locking(connection):
        yield Warning(
            f"LAMPLIGHTER['STORE'] is the file of DATABASES[{alias!r}], whose transactions begin by reading: one that "
            "writes later fails with 'database is locked' when somebody else has written meanwhile.",
            hint=f'Set DATABASES[{alias!r}]["OPTIONS"] = {{"transaction_mode": "IMMEDIATE"}}.',
            id="lamplighter.W001",
        )
    store = (getattr(settings, "LAMPLIGHTER", None) or {}).get("STORE", "")
    is_server = address_in(connection.vendor, connection.settings_dict) is not None
    if runtime.is_kept_waiting and is_server and not os.path.isabs(store):
        yield Warning(
            f"LAMPLIGHTER['STORE'] is {os.fsdecode(store)!r}, a SQLite file in whichever folder a process starts in, "
            f"although DATABASES[{alias!r}] is on a server.",
            hint="Delete STORE, so that the jobs are in that database; or give an absolute path.",
            id="lamplighter.W005",
        )
    if runtime.is_in_memory:
        yield Warning(
            "LAMPLIGHTER['STORE'] is in memory, so the worker never sees what other processes queue.",
            hint="Set it to a path, to that of your SQLite database for one, or to the address of a server.",
            id="lamplighter.W002",
        )


def _of_page() -> Iterator[CheckMessage]:
    """The problems that keep people from the page, if the project has it."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return
    try:
        path = reverse("lamplighter:page", kwargs={"rest": ""})
    except NoReverseMatch:
        return
    # The page needs another extra.

    if view_at(path) is not page:
        yield Warning(
            f"The page at {path} is never shown: a URL pattern before it answers instead, as the admin does for all "
            "that begins with its own path.",
            hint="Move the line that includes lamplighter.contrib.django.urls above that pattern.",
            id="lamplighter.W003",
        )
    if login_url() is None:
        yield Warning(
            f"Whoever is not logged in is sent from the page at {path} to LOGIN_URL, {settings.LOGIN_URL!r}, where no "
            "view is.",
            hint='Set LOGIN_URL, to "admin:login" for one.',
            id="lamplighter.W004",
        )


STEER_PERMISSION = "lamplighter.steer"
DATA_PERMISSION = "lamplighter.see_data"


@csrf_exempt
@transaction.non_atomic_requests
def page(request: HttpRequest, rest: str) -> HttpResponse:
    """The view. The page itself refuses forms of other sites, also where a project has no CSRF middleware."""
    response = _site().answer(_request_of(request, rest))
    if response.stream is not None:
        # A stream would hold a worker; the page polls instead.
        return HttpResponse(status=204)
    return HttpResponse(response.body, response.kind, response.status, headers=response.headers)


def staff(request: Request) -> Visitor | Response | None:
    """Who looks: staff see the page, with the permission `lamplighter.steer` they act, and with `lamplighter.see_data`
    they see what jobs carry. A visitor who is not logged in is sent to do so.
    """
    asked: HttpRequest = request.native
    user: Any = getattr(asked, "user", None)
    if user is None:
        return None
    if not user.is_authenticated:
        login = login_url() or resolve_url(settings.LOGIN_URL)
        # After the login the browser sends a GET, so a form is not sent again.
        onward = asked.get_full_path() if request.method in SAFE else request.link("/")
        return redirect(f"{login}?{urlencode({'next': onward})}")
    if not user.is_staff:
        return Visitor(user.get_username(), ())
    may: frozenset[Right] = STEER if user.has_perm(STEER_PERMISSION) else LOOK
    return Visitor(user.get_username(), may | {"data"} if user.has_perm(DATA_PERMISSION) else may)


def login_url() -> str | None:
    """Where one logs in: at LOGIN_URL or, if a project has not set that, also at the admin's login. None if no view is
    there.
    """
    for place in (settings.LOGIN_URL, *(() if settings.is_overridden("LOGIN_URL") else ("admin:login",))):
        try:
            url = resolve_url(place)
        except NoReverseMatch:
            continue
        if urlsplit(url).netloc or view_at(url) is not None:
            return url
    return None


def view_at(url: str) -> Any:
    """The view of this project that answers at a URL; None if none does."""
    try:
        return resolve(urlsplit(url).path.removeprefix(get_script_prefix().rstrip("/"))).func
    except Resolver404:
        return None


@cache
def _site() -> Site:
    return dashboard(configured_runtime(), who=staff)


def _request_of(request: HttpRequest, rest: str) -> Request:
    return Request(
        method=request.method or "GET",
        path=f"/{rest}",
        root=request.path.removesuffix(rest).rstrip("/"),
        query=request.META.get("QUERY_STRING", ""),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=request.body,
        scheme=request.scheme or "http",
        native=request,
    )
