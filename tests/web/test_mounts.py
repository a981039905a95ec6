"""The page within applications of web frameworks, below a path."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from flask import Flask, session
from lamplighter import UsageError
from lamplighter.contrib.flask import Lamplighter
from lamplighter.web import STEER, Visitor, dashboard
from lamplighter.web.faces.http import Request

Ask = Callable[..., tuple[int, str]]

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


def ada(request: Request) -> Visitor | None:
    return Visitor("ada", STEER) if request.headers.get("x-who") == "ada" else None


@pytest.fixture(params=["fastapi", "flask"])
def ask(request: pytest.FixtureRequest, store: Path) -> Ask:
    """Asks an application that has the page at /admin/jobs, behind a proxy that has it all at /shop."""
    if request.param == "fastapi":
        api = FastAPI()
        api.mount("/admin/jobs", dashboard(store, who=ada).asgi)
        client = TestClient(api, root_path="/shop")

        def by_fastapi(method: str, path: str, **fields: str) -> tuple[int, str]:
            headers = {"x-who": "ada", **SAME_ORIGIN}
            answer = client.request(
                method, f"/shop{path}", headers=headers, data=fields or None, follow_redirects=False
            )
            return answer.status_code, answer.text or answer.headers.get("location", "")

        return by_fastapi
    app = Flask("shop")
    app.config["LAMPLIGHTER_STORE"] = str(store)
    Lamplighter().init_app(app, dashboard="/admin/jobs", who=ada)

    def by_flask(method: str, path: str, **fields: str) -> tuple[int, str]:
        answer = app.test_client().open(
            path,
            method=method,
            headers={"x-who": "ada", **SAME_ORIGIN},
            data=fields or None,
            environ_overrides={"SCRIPT_NAME": "/shop"},
        )
        return answer.status_code, answer.text or answer.headers.get("location", "")

    return by_flask


def test_a_page_works_below_a_path(ask: Ask) -> None:
    status, text = ask("GET", "/admin/jobs/jobs")

    links = re.findall(r'(?:href|src|action|hx-get)="([^"]*)"', text)
    assert status == 200
    assert [link for link in links if not link.startswith(("/shop/admin/jobs/", "#"))] == []


def test_an_act_works_below_a_path_and_leads_back(ask: Ask) -> None:
    status, to = ask("POST", "/admin/jobs/act/job", id="dead-1", action="requeue")

    assert status == 303
    assert to.startswith("/shop/admin/jobs/jobs/dead-1?said=")


def test_what_is_not_there_is_not_found_below_a_path(ask: Ask) -> None:
    assert ask("GET", "/admin/jobs/nothing")[0] == 404
    assert ask("PUT", "/admin/jobs/jobs")[0] == 405


def test_flask_tells_who_looks_by_its_session(store: Path) -> None:
    app = Flask("shop")
    app.config.update(LAMPLIGHTER_STORE=str(store), SECRET_KEY="secret")
    Lamplighter().init_app(app, dashboard="/jobs", who=lambda request: session.get("name") and Visitor(session["name"]))
    client = app.test_client()

    assert client.get("/jobs/").status_code == 401
    with client.session_transaction() as kept:
        kept["name"] = "grace"

    assert "grace" in client.get("/jobs/").text


@pytest.mark.parametrize(
    ("given", "says"), [({"dashboard": "jobs"}, "a path such as"), ({"dashboard": "/jobs"}, "who=")]
)
def test_a_page_that_cannot_be_mounted_is_refused(store: Path, given: dict[str, str], says: str) -> None:
    app = Flask("shop")
    app.config["LAMPLIGHTER_STORE"] = str(store)

    with pytest.raises(UsageError, match=says):
        Lamplighter().init_app(app, **given)  # type: ignore[arg-type]

    assert "lamplighter" not in app.extensions
