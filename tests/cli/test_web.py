"""`lamplighter web`: who is let in."""

from __future__ import annotations

import re

import pytest
from lamplighter.cli.main import main
from lamplighter.cli.web import Links, Proxied
from lamplighter.web import LOOK, STEER, Visitor
from lamplighter.web.faces.http import Request, Response


def ask(path: str = "/", query: str = "", **headers: str) -> Request:
    return Request(method="GET", path=path, query=query, headers=headers)


def printed_token(capsys: pytest.CaptureFixture[str]) -> str:
    return re.findall(r"http://127\.0\.0\.1:8910/\?token=(\S+)", capsys.readouterr().err)[-1]


def test_a_link_works_once_and_its_browser_stays_in(capsys):
    links = Links("http://127.0.0.1:8910", STEER)
    links.show()
    token = printed_token(capsys)

    answer = links(ask("/jobs", f"token={token}"))

    assert isinstance(answer, Response)
    assert (answer.status, answer.headers["Location"]) == (303, "/jobs")
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
    visitor = links(ask("/", cookie=cookie.partition(";")[0]))
    assert isinstance(visitor, Visitor)
    assert visitor.may == STEER
    assert links(ask("/", f"token={token}")) is None


def test_another_browser_needs_the_link_that_is_printed_next(capsys):
    links = Links("http://127.0.0.1:8910", LOOK)
    links.show()
    links(ask("/", f"token={printed_token(capsys)}"))

    assert isinstance(links(ask("/", f"token={printed_token(capsys)}")), Response)


@pytest.mark.parametrize(
    "asked", [ask(), ask(query="token="), ask(query="token=%C3%A4"), ask(cookie="lamplighter_8910=ä")]
)
def test_whoever_guesses_is_not_let_in(asked):
    assert Links("http://127.0.0.1:8910", LOOK)(asked) is None


def test_a_proxy_says_who_looks():
    proxied = Proxied("X-Forwarded-User", LOOK)

    visitor = proxied(ask(**{"x-forwarded-user": "ada"}))
    assert isinstance(visitor, Visitor)
    assert visitor.name == "ada"
    assert proxied(ask()) is None


def test_an_address_that_is_not_this_machines_alone_needs_a_name(capsys):
    assert main(["web", "-s", "jobs.db", "--host", "0.0.0.0"]) == 2

    assert "expected --server-name" in capsys.readouterr().err
