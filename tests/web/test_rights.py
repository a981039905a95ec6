"""Which right each page and each step of each form asks for, through every face, with each right missing in turn."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from flask import Flask
from lamplighter.contrib.flask import Lamplighter
from lamplighter.web import Visitor
from lamplighter.web.pages.page import STREAM
from lamplighter.web.pages.routes import ROUTES
from werkzeug.test import Client

from .kit import EVERYTHING, Page
from .test_site import confirm

Ask = Callable[["Step"], int]
"""Sends what a step sends, and returns the status of the answer."""


class Step(NamedTuple):
    """One request that a visitor can make.

    Attributes:
        route: the path of the entry of `ROUTES` that answers it.
        rights: those that it needs beside `inspector`.
        status: that of the answer to a visitor who has them.
    """

    route: str
    path: str
    rights: frozenset[str] = frozenset()
    status: int = 200
    query: str = ""
    fields: dict[str, Any] | None = None
    accept: str = "text/html"

    @property
    def method(self) -> str:
        return "GET" if self.fields is None else "POST"

    def __str__(self) -> str:
        said = "" if self.fields is None else "-".join(str(self.fields.get(key, "")) for key in ("which", "action"))
        return f"{self.path}-{said}{self.query}"


def page_of(route: str, path: str = "", *rights: str, **more: Any) -> Step:
    return Step(route, path or route, frozenset(rights), **more)


def act(path: str, right: str, status: int = 303, **fields: Any) -> Step:
    return Step(path, path, frozenset({right}), status, fields=fields)


def sweep(which: str, action: str, *rights: str, **fields: Any) -> Step:
    return Step(
        "/act/jobs", "/act/jobs", frozenset({action, *rights}), fields={"which": which, "action": action} | fields
    )


PAGES = [
    page_of("/"),
    page_of("/jobs"),
    page_of("/jobs", "/jobs", "data", query="q=data.password%3Dhunter2"),
    page_of("/jobs/", "/jobs/fine"),
    page_of("/graphs/", "/graphs/fine"),
    page_of("/errors"),
    page_of("/errors/", "/errors/GROUP"),
    page_of("/names"),
    page_of("/names/", "/names/mail"),
    page_of("/schedules"),
    page_of("/schedules/", "/schedules/SCHEDULE"),
    page_of("/runtimes"),
    page_of("/runtimes/", "/runtimes/unknown", status=404),
    page_of("/doctor"),
    page_of("/metrics"),
]

ACTS = [
    act("/act/job", "requeue", id="dead-1", action="requeue"),
    act("/act/job", "signal", id="later", action="signal", signal="approval"),
    act("/act/job", "requeue", id="later", action="reprioritize", priority="7"),
    act("/act/job", "cancel", id="later", action="cancel"),
    act("/act/new", "queue", action="queue", name="mail"),
    act("/act/new", "requeue", action="copy", id="fine"),
    Step(
        "/act/new",
        "/act/new",
        frozenset({"requeue", "data"}),
        303,
        fields={"action": "copy", "id": "fine", "data": "7"},
    ),
    *[act("/act/name", "pause", name="mail", action=action) for action in ("pause", "resume", "limit")],
    *[act("/act/schedule", "schedule", id="SCHEDULE", action=one) for one in ("pause", "resume", "run", "remove")],
    # No runtime is there to be told; that is said only to a visitor who may tell it.
    *[act("/act/runtime", "quiet", 404, boot="unknown", action=action) for action in ("quiet", "go")],
]

SWEEPS = [
    sweep("selected", "requeue", id=["dead-1", "dead-2"]),
    sweep("selected", "cancel", id=["later"]),
    sweep("matching", "requeue", q="name:mail state:dead"),
    sweep("matching", "cancel", q="state:queued"),
    sweep("matching", "requeue", "data", q="state:dead data=fails"),
    sweep("group", "requeue", group="GROUP", name="mail"),
]
"""The first step of each; the others are made of what it answers."""


def further_steps(page: Page, first: Step) -> list[Step]:
    """The step that confirms a sweep, and the one that goes on with it, each with and without a stream."""
    assert first.fields is not None
    form = confirm(page, first.fields)
    steps = [first._replace(fields=form | done) for done in ({"done": "1"}, {})]
    return [step._replace(accept=accept) for step in steps for accept in (STREAM, "text/html")]


@pytest.fixture(params=["asgi", "wsgi", "fastapi", "flask"])
def ask(request: pytest.FixtureRequest, page: Page) -> Iterator[Ask]:
    """Asks the page in the name of `page`'s visitor."""
    client: Any
    root = "" if request.param in ("asgi", "wsgi") else "/admin/jobs"
    if request.param == "asgi":
        client = TestClient(page.site.asgi)
    elif request.param == "fastapi":
        api = FastAPI()
        api.mount(root, page.site.asgi)
        client = TestClient(api)
    elif request.param == "wsgi":
        client = Client(page.site.wsgi)
    else:
        app = Flask("shop")
        app.config["LAMPLIGHTER_STORE"] = page.store
        Lamplighter().init_app(app, dashboard=root, who=lambda asked: Visitor(page.name, page.may))
        client = app.test_client()

    def asked(step: Step) -> int:
        headers = {"Sec-Fetch-Site": "same-origin", "Accept": step.accept}
        address, data = f"{root}{step.path}?{step.query}", step.fields
        if request.param in ("asgi", "fastapi"):
            answer = client.request(step.method, address, headers=headers, data=data, follow_redirects=False)
        else:
            answer = client.open(address, method=step.method, headers=headers, data=data)
        return int(answer.status_code)

    yield asked
    if request.param == "flask":
        app.extensions["lamplighter"].stop()


def placed(page: Page, step: Step) -> Step:
    """The step with the ids that this store has."""
    (schedule,) = (one["id"] for one in json.loads(page.get("/schedules", "as=json").body))
    groups = json.loads(page.get("/errors", "as=json").body)["groups"]
    group = next(one["id"] for one in groups if one["name"] == "mail")

    def told(text: Any) -> Any:
        return text.replace("SCHEDULE", schedule).replace("GROUP", group) if isinstance(text, str) else text

    fields = None if step.fields is None else {name: told(value) for name, value in step.fields.items()}
    return step._replace(path=told(step.path), fields=fields)


def stored(page: Page) -> list[list[Any]]:
    """What a visitor could have changed."""
    tables = ("jobs", "schedules", "pauses")
    with contextlib.closing(sqlite3.connect(page.store)) as connection:
        return [connection.execute(f"select * from lamplighter_{table} order by 1").fetchall() for table in tables]


def refused(page: Page, ask: Ask, step: Step) -> None:
    """Without any one of its rights, a step is refused before anything is done."""
    before = stored(page)
    for missing in sorted({"look", *step.rights}):
        page.may = EVERYTHING - {missing}
        assert (missing, ask(step)) == (missing, 403)
    assert stored(page) == before


@pytest.mark.parametrize("step", [*PAGES, *ACTS, *SWEEPS], ids=str)
def test_a_page_and_the_first_step_of_a_form_ask_for_their_right(page: Page, ask: Ask, step: Step) -> None:
    step = placed(page, step)
    refused(page, ask, step)
    page.may = {"look", *step.rights}

    assert ask(step) == step.status


@pytest.mark.parametrize("first", SWEEPS, ids=str)
def test_each_further_step_of_a_sweep_asks_for_the_right_again(page: Page, ask: Ask, first: Step) -> None:
    steps = further_steps(page, placed(page, first))
    for step in steps:
        refused(page, ask, step)
    before = stored(page)
    page.may = {"look", *first.rights}

    assert ask(steps[-1]) == 200
    assert stored(page) != before


@pytest.mark.parametrize("step", [*(one for one in ACTS if one.status != 404), *SWEEPS], ids=str)
def test_every_act_is_told_in_the_visitors_name_for_the_reason_of_its_form(
    page: Page, runtime: Any, recorder: Any, step: Step
) -> None:
    step = placed(page, step)
    assert step.fields is not None
    fields = step.fields | {"reason": " mended "}
    if step.path == "/act/jobs":
        fields = confirm(page, fields)

    assert page.post(step.path, fields).status == step.status
    runtime(page.store)
    told = recorder.wait_for("operator.acted")

    assert (told["by"], told["via"], told["reason"]) == ("ada", "web", "mended")


def test_every_route_is_in_the_table() -> None:
    asked = {(step.method, step.route) for step in (*PAGES, *ACTS, *SWEEPS)}

    assert asked == {(route.method, route.path) for route in ROUTES}


def test_whoever_may_not_look_is_told_of_no_change(page: Page) -> None:
    assert page.get("/live").stream is not None
    page.may = EVERYTHING - {"look"}

    assert page.get("/live").status == 403


BUTTONS = [
    ("requeue", "/jobs/dead-1", 'value="requeue"'),
    ("cancel", "/jobs/later", 'value="cancel"'),
    ("requeue", "/jobs/later", 'value="reprioritize"'),
    ("requeue", "/jobs", 'value="requeue"'),
    ("requeue", "/graphs/dead-1", 'value="requeue"'),
    ("cancel", "/graphs/later", 'value="cancel"'),
    ("cancel", "/jobs", 'value="cancel"'),
    ("requeue", "/errors/GROUP", 'value="requeue"'),
    ("pause", "/names/mail", 'value="pause"'),
    ("schedule", "/schedules/SCHEDULE", 'value="run"'),
]


@pytest.mark.parametrize(("right", "path", "button"), BUTTONS)
def test_a_button_is_shown_to_those_alone_who_may_press_it(page: Page, right: str, path: str, button: str) -> None:
    path = placed(page, page_of("/", path)).path
    assert button in page.text(path)
    page.may = EVERYTHING - {right}

    assert button not in page.text(path)
