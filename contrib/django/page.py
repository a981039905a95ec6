"""The page as a view of Django, for those whom Django knows."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, get_script_prefix, resolve
from django.views.decorators.csrf import csrf_exempt

from ...web.faces.http import Request, Response, redirect
from ...web.pages.visitor import LOOK, STEER, Right, Visitor
from ...web.site import Site, dashboard
from .configured import configured_runtime

STEER_PERMISSION = "lamplighter.steer"
DATA_PERMISSION = "lamplighter.see_data"


@csrf_exempt
def page(request: HttpRequest, rest: str) -> HttpResponse:
    """The view. The page itself refuses forms of other sites, also where a project has no CSRF middleware."""
    response = _site().answer(_request_of(request, rest))
    if response.stream is not None:
        # It would hold a worker; the page asks again now and then instead.
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
        return redirect(f"{login}?{urlencode({'next': asked.get_full_path()})}")
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
