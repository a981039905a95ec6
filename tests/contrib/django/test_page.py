"""The page in a Django project: who sees it, and what they may do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings
from django.core import checks
from django.db import connection
from django.http import HttpRequest, HttpResponse, QueryDict
from django.test import Client, override_settings
from django.urls import include, path
from lamplighter.web.pages.routes import ROUTES

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


def a_project(*patterns: Any) -> Any:
    """The settings of a project with these URLs, in this order."""
    urls = ModuleType("urls")
    urls.urlpatterns = list(patterns)  # type: ignore[attr-defined]
    return override_settings(ROOT_URLCONF=urls)


def answered(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Somebody else's view."""
    return HttpResponse(rest)


OURS = path("admin/jobs/", include("lamplighter.contrib.django.urls"))
ADMIN = path("admin/", include(([path("login/", answered, name="login"), path("<path:rest>", answered)], "admin")))


@pytest.mark.parametrize(
    ("patterns", "login", "codes"),
    [
        ([], None, []),
        ([ADMIN, OURS], None, ["lamplighter.W003"]),
        ([OURS, ADMIN], None, []),
        ([OURS], None, ["lamplighter.W004"]),
        ([OURS, path("accounts/login/", answered)], None, []),
        ([OURS, ADMIN], "/enter/", ["lamplighter.W004"]),
        ([OURS], "https://sso.example.org/", []),
    ],
)
def test_a_page_that_is_hidden_and_a_login_that_is_nowhere_are_warned_of(
    shop: None, patterns: list[Any], login: str | None, codes: list[str]
) -> None:
    changed = {} if login is None else {"LOGIN_URL": login}
    with a_project(*patterns), override_settings(**changed):
        assert [found.id for found in checks.run_checks(tags=["lamplighter"])] == codes


def test_a_project_without_urls_has_nothing_to_be_warned_of(shop: None) -> None:
    with override_settings():
        del settings.ROOT_URLCONF

        assert checks.run_checks(tags=["lamplighter"]) == []


@pytest.mark.parametrize(
    ("patterns", "login", "where"),
    [
        ([OURS, ADMIN], None, "/admin/login/"),
        ([OURS, ADMIN, path("accounts/login/", answered)], None, "/accounts/login/"),
        ([OURS, ADMIN], "/enter/", "/enter/"),
        ([OURS], None, "/accounts/login/"),
    ],
)
def test_the_admins_login_is_used_where_a_project_has_no_other(
    ask: Any, patterns: list[Any], login: str | None, where: str
) -> None:
    changed = {} if login is None else {"LOGIN_URL": login}
    with a_project(*patterns), override_settings(**changed):
        answer = Client(headers={"x-who": "nobody"}).get("/admin/jobs/")

    assert answer["Location"] == f"{where}?next=%2Fadmin%2Fjobs%2F"


@pytest.mark.parametrize("page", ["", "jobs/~?name=..", "jobs?q=name%3Amail+state%3Adead&after=7"])
def test_whoever_is_not_logged_in_is_sent_to_do_so_and_comes_back_to_the_page(ask: Any, page: str) -> None:
    answer = ask("nobody", page)

    login, _, query = answer["Location"].partition("?")
    assert (answer.status_code, login) == (303, "/accounts/login/")
    assert QueryDict(query).dict() == {"next": f"/staff/jobs/{page}"}


def test_whoever_was_logged_out_before_a_form_was_sent_comes_back_to_the_overview(ask: Any) -> None:
    answer = Client(headers={"x-who": "nobody"}).post("/staff/jobs/act/jobs", headers={"sec-fetch-site": "same-origin"})

    assert answer["Location"] == "/accounts/login/?next=%2Fstaff%2Fjobs%2F"


def test_without_authentication_nobody_sees_it(ask: Any) -> None:
    assert ask("", "").status_code == 401


def test_whoever_is_no_staff_sees_nothing(ask: Any) -> None:
    assert ask("guest", "").status_code == 403


def test_staff_see_the_page_and_do_nothing(ask: Any, worker: Any) -> None:
    page, act = ask("clerk", "jobs"), ask("clerk", "act/name", "name=receipt&action=pause")

    assert (page.status_code, act.status_code) == (200, 403)
    assert 'action="/staff/jobs/jobs"' in page.content.decode()
    assert tuple(worker.jobs.paused()) == ()


MAY = {
    "guest": (),
    "clerk": ("look",),
    "driver": ("look", "steer"),
    "reader": ("look", "data"),
    "boss": ("look", "steer", "data"),
}
"""What a user of Django may do: each permission alone, all of them, and none."""

VIEWS = [
    *((path, None, "look") for path in ("", "doctor", "metrics")),
    *((path, None, "look") for path in ("jobs", "errors", "names", "schedules", "runtimes")),
    *((f"{path}/gone", None, "look") for path in ("jobs", "graphs", "errors", "names", "schedules", "runtimes")),
    ("jobs?q=data.x%3D1", None, "data"),
    ("act/job", "id=gone&action=requeue", "steer"),
    ("act/job", "id=gone&action=cancel", "steer"),
    ("act/jobs", "which=selected&action=requeue&id=gone", "steer"),
    ("act/jobs", "which=selected&action=cancel&id=gone", "steer"),
    ("act/new", "action=queue&name=unknown", "steer"),
    ("act/new", "action=copy&id=gone", "steer"),
    ("act/name", "name=receipt&action=resume", "steer"),
    ("act/schedule", "id=gone&action=pause", "steer"),
    ("act/runtime", "boot=gone&action=go", "steer"),
]
"""Each view, what is sent to it, and what one must be allowed."""


@pytest.mark.parametrize(("view", "form", "needs"), VIEWS)
def test_each_permission_alone_allows_the_views_that_need_it_and_no_other(
    ask: Any, view: str, form: str | None, needs: str
) -> None:
    refused = {who for who in MAY if ask(who, view, form).status_code == 403}

    assert refused == {who for who, may in MAY.items() if needs not in may}


def test_every_view_is_asked_for() -> None:
    paths = [("GET" if form is None else "POST", "/" + view.partition("?")[0]) for view, form, _ in VIEWS]

    assert {(method, path.removesuffix("gone")) for method, path in paths} == {(one.method, one.path) for one in ROUTES}


def test_a_data_permission_shows_what_jobs_carry_and_no_other_does(ask: Any, worker: Any) -> None:
    job = worker.jobs.queue("carries", {"seen": "of-the-data"})
    shown = {who for who in MAY if "of-the-data" in ask(who, f"jobs/{job.id}").content.decode()}
    worker.jobs.cancel(job)

    assert shown == {who for who, may in MAY.items() if "data" in may}


@pytest.mark.parametrize("atomic", [False, True], ids=["", "ATOMIC_REQUESTS"])
def test_whoever_may_steer_acts_and_is_led_back(
    ask: Any, worker: Any, atomic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", atomic)
    act = ask("boss", "act/name", "name=receipt&action=pause")

    assert (act.status_code, act["Location"].partition("?")[0]) == (303, "/staff/jobs/names/receipt")
    assert tuple(worker.jobs.paused()) == ("receipt",)
    ask("boss", "act/name", "name=receipt&action=resume")


def test_a_page_that_would_be_streamed_holds_no_worker(ask: Any) -> None:
    assert ask("boss", "live").status_code == 204
