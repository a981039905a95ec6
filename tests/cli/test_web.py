"""`lamplighter web`: who is let in, and where it listens."""

from __future__ import annotations

import os
import re
import socket
import stat
from contextlib import ExitStack, suppress

import pytest
from lamplighter.cli.main import main
from lamplighter.cli.web import LOG_OUT, SESSION_SECONDS, Links, Proxied, _unix
from lamplighter.web import LOOK, STEER, Visitor
from lamplighter.web.faces.http import Request, Response, asgi_request
from lamplighter.web.pages.page import PageRefused


def ask(path: str = "/", query: str = "", **headers: str) -> Request:
    return Request(method="GET", path=path, query=query, headers=headers)


def printed_token(capsys: pytest.CaptureFixture[str]) -> str:
    return re.findall(r"http://127\.0\.0\.1:8910/\?token=(\S+)", capsys.readouterr().err)[-1]


def test_a_program_that_looks_at_the_head_of_a_link_leaves_it_to_the_browser(capsys):
    links = Links("http://127.0.0.1:8910", STEER, "ada")
    links.show()
    asked = f"token={printed_token(capsys)}"

    assert links(Request(method="HEAD", path="/", query=asked)) is None
    assert isinstance(links(ask("/", asked)), Response)


def test_a_link_works_once_and_its_browser_stays_in(capsys):
    links = Links("http://127.0.0.1:8910", STEER, "ada")
    links.show()
    token = printed_token(capsys)

    answer = links(ask("/jobs", f"token={token}"))

    assert isinstance(answer, Response)
    assert (answer.status, answer.headers["Location"]) == (303, "/jobs")
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
    visitor = links(ask("/", cookie=cookie.partition(";")[0]))
    assert isinstance(visitor, Visitor)
    assert (visitor.name, visitor.may) == ("ada", STEER)
    assert links(ask("/", f"token={token}")) is None


class Browser:
    """A browser that a link has let in, below a path.

    Attributes:
        now: the server's wall time.
    """

    def __init__(self, capsys: pytest.CaptureFixture[str], root: str = "") -> None:
        self.now = 1_000.0
        self.links = Links("http://127.0.0.1:8910", STEER, "ada", now=lambda: self.now)
        self.links.show()
        self.root = root
        self.cookie = ""
        self.answer = self.ask("GET", "/", f"token={printed_token(capsys)}")

    def ask(self, method: str, path: str, query: str = "", site: str = "same-origin") -> Visitor | Response | None:
        headers = {"cookie": self.cookie, "sec-fetch-site": site}
        answer = self.links(Request(method=method, path=path, root=self.root, query=query, headers=headers))
        if isinstance(answer, Response):
            self.set_cookie = answer.headers["Set-Cookie"]
            self.cookie = self.cookie or self.set_cookie.partition(";")[0]
        return answer


@pytest.mark.parametrize(("root", "path"), [("", "Path=/"), ("/admin/jobs", "Path=/admin/jobs/")])
def test_a_cookie_is_sent_to_the_page_alone_and_for_as_long_as_it_holds(capsys, root, path):
    browser = Browser(capsys, root)

    assert {path, f"Max-Age={SESSION_SECONDS}"} <= set(browser.set_cookie.split("; "))
    browser.now += SESSION_SECONDS - 1
    assert isinstance(browser.ask("GET", "/"), Visitor)
    browser.now += 1
    assert browser.ask("GET", "/") is None


def test_a_browser_that_logs_out_is_not_known_any_more_though_it_keeps_its_cookie(capsys):
    browser = Browser(capsys)
    visitor = browser.ask("GET", "/")
    assert isinstance(visitor, Visitor)
    assert isinstance(browser.ask("GET", visitor.log_out), Visitor)

    answer = browser.ask("POST", visitor.log_out)

    assert isinstance(answer, Response)
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    assert "Max-Age=0" in browser.set_cookie.split("; ")
    assert (browser.ask("GET", "/"), browser.ask("POST", visitor.log_out)) == (None, None)


def test_a_form_of_another_site_logs_nobody_out(capsys):
    browser = Browser(capsys)

    with pytest.raises(PageRefused, match="another site"):
        browser.ask("POST", LOG_OUT, site="cross-site")

    assert isinstance(browser.ask("GET", "/"), Visitor)


def test_a_link_leads_to_no_other_site(capsys):
    links = Links("http://127.0.0.1:8910", STEER, "ada")
    links.show()

    answer = links(ask("//example.org/", f"token={printed_token(capsys)}"))

    assert isinstance(answer, Response)
    assert answer.headers["Location"] == "/example.org/"


def test_another_browser_needs_the_link_that_is_printed_next(capsys):
    links = Links("http://127.0.0.1:8910", LOOK, "ada")
    links.show()
    links(ask("/", f"token={printed_token(capsys)}"))

    assert isinstance(links(ask("/", f"token={printed_token(capsys)}")), Response)


@pytest.mark.parametrize(
    "asked", [ask(), ask(query="token="), ask(query="token=%C3%A4"), ask(cookie="lamplighter_8910=ä")]
)
def test_whoever_guesses_is_not_let_in(asked):
    assert Links("http://127.0.0.1:8910", LOOK, "ada")(asked) is None


def behind_proxy(*names: bytes) -> Visitor | None:
    headers = [(b"host", b"jobs.example"), *((b"x-forwarded-user", name) for name in names)]
    return Proxied("X-Forwarded-User", LOOK)(asgi_request({"method": "GET", "path": "/", "headers": headers}, b""))


@pytest.mark.parametrize("name", ["ada", "Zoë"])
def test_a_proxy_says_who_looks(name):
    visitor = behind_proxy(name.encode())

    assert isinstance(visitor, Visitor)
    assert visitor.name == name
    assert behind_proxy() is None
    assert behind_proxy(b"") is None


@pytest.mark.parametrize("names", [(b"eve", b"ada"), (b"ada", b"ada"), (b"Zo\xeb",)])
def test_a_proxy_that_does_not_say_clearly_who_looks_is_refused(names):
    with pytest.raises(PageRefused, match=r"expected .*x-forwarded-user"):
        behind_proxy(*names)


def test_an_address_that_is_not_this_machines_alone_needs_a_name(capsys):
    assert main(["web", "-s", "jobs.db", "--host", "0.0.0.0"]) == 2

    assert "expected --server-name" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--trust-user-header", "X-Remote-User"], ["--unix-mode", "660"]])
def test_what_only_a_unix_socket_can_keep_is_refused_at_a_port(capsys, words):
    assert main(["web", "-s", "jobs.db", "--port", "0", *words]) == 2

    assert f"expected --unix PATH, a socket that the proxy alone can open, with {words[0]}" in capsys.readouterr().err


def test_the_socket_of_a_server_that_is_too_busy_to_answer_stays(tmp_path):
    path = str(tmp_path / "page.sock")
    with socket.socket(socket.AF_UNIX) as busy, ExitStack() as callers:
        busy.bind(path)
        busy.listen(0)
        with suppress(BlockingIOError):
            while True:
                caller = callers.enter_context(socket.socket(socket.AF_UNIX))
                caller.setblocking(False)
                caller.connect(path)

        with pytest.raises(OSError):
            _unix(path, 0o600)
        assert stat.S_ISSOCK(os.stat(path).st_mode)


def test_a_file_that_is_no_socket_stays(tmp_path, capsys):
    path = tmp_path / "page.sock"
    path.write_text("mine")
    assert main(["web", "-s", str(tmp_path / "app.db"), "--unix", str(path)]) == 2
    assert (path.read_text(), str(path) in capsys.readouterr().err) == ("mine", True)


def test_no_link_is_printed_where_the_port_is_taken(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["web", "-s", str(tmp_path / "app.db"), "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"127.0.0.1:{port}" in said
    assert "token" not in said
