"""The page in a Django project: who sees it, and what they may do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import include, path

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class User:
    """What Django's own authentication puts into a request. The example project has none."""

    name: str
    is_authenticated: bool = True
    is_staff: bool = False
    permissions: tuple[str, ...] = ()

    def get_username(self) -> str:
        return self.name

    def has_perm(self, permission: str) -> bool:
        return permission in self.permissions


USERS = {
    user.name: user
    for user in (
        User("nobody", is_authenticated=False),
        User("guest"),
        User("clerk", is_staff=True),
        User("driver", is_staff=True, permissions=("lamplighter.steer",)),
        User("reader", is_staff=True, permissions=("lamplighter.see_data",)),
        User("boss", is_staff=True, permissions=("lamplighter.steer", "lamplighter.see_data")),
    )
}


def knows_user(answer: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.user = USERS.get(request.headers.get("x-who", ""))  # type: ignore[assignment]
        return answer(request)

    return middleware


@pytest.fixture
def ask(worker: Any) -> Any:
    """Asks in somebody's name, where the page is at /staff/jobs/."""
    urls = ModuleType("urls")
    urls.urlpatterns = [path("staff/jobs/", include("lamplighter.contrib.django.urls"))]  # type: ignore[attr-defined]

    def asked(who: str, page: str, form: str | None = None) -> Any:
        client = Client(headers={"sec-fetch-site": "same-origin", "x-who": who})
        where = f"/staff/jobs/{page}"
        return client.get(where) if form is None else client.post(where, form, content_type=FORM)

    middleware = [f"{__name__}.knows_user"]
    with override_settings(ROOT_URLCONF=urls, ALLOWED_HOSTS=["testserver"], MIDDLEWARE=middleware):
        yield asked


def test_whoever_is_not_logged_in_is_sent_to_do_so(ask: Any) -> None:
    answer = ask("nobody", "")

    assert (answer.status_code, answer["Location"]) == (303, "/accounts/login/?next=%2Fstaff%2Fjobs%2F")


def test_without_authentication_nobody_sees_it(ask: Any) -> None:
    assert ask("", "").status_code == 401


def test_whoever_is_no_staff_sees_nothing(ask: Any) -> None:
    assert ask("guest", "").status_code == 403


def test_staff_see_the_page_and_do_nothing(ask: Any, worker: Any) -> None:
    page, act = ask("clerk", "jobs"), ask("clerk", "act/name", "name=receipt&action=pause")

    assert (page.status_code, act.status_code) == (200, 403)
    assert 'action="/staff/jobs/jobs"' in page.content.decode()
    assert tuple(worker.jobs.paused()) == ()


@pytest.mark.parametrize(
    ("who", "acts", "searches"),
    [("guest", 403, 403), ("clerk", 403, 403), ("driver", 303, 403), ("reader", 403, 200), ("boss", 303, 200)],
)
def test_each_permission_alone_allows_what_it_says(ask: Any, worker: Any, who: str, acts: int, searches: int) -> None:
    act, search = ask(who, "act/name", "name=receipt&action=pause"), ask(who, "jobs?q=data.x%3D1")

    assert (act.status_code, search.status_code) == (acts, searches)
    assert tuple(worker.jobs.paused()) == (("receipt",) if acts == 303 else ())
    ask("boss", "act/name", "name=receipt&action=resume")


def test_whoever_may_steer_acts_and_is_led_back(ask: Any, worker: Any) -> None:
    act = ask("boss", "act/name", "name=receipt&action=pause")

    assert (act.status_code, act["Location"].partition("?")[0]) == (303, "/staff/jobs/names/receipt")
    assert tuple(worker.jobs.paused()) == ("receipt",)
    ask("boss", "act/name", "name=receipt&action=resume")


def test_a_page_that_would_be_streamed_holds_no_worker(ask: Any) -> None:
    assert ask("boss", "live").status_code == 204
