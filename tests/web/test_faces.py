"""The page under ASGI and WSGI servers, mounted at the root and below a path."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any
from wsgiref.validate import validator

import pytest
from lamplighter.web.faces.http import BODY_BYTES_MAX, AsgiApplication, Request, Response, WsgiApplication, wsgi_request


class Answers:
    """Keeps what it was asked, and answers the same to all."""

    def __init__(self, response: Response | None = None) -> None:
        self.asked: list[Request] = []
        self._response = response

    def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        return self._response or Response(body=b"hello", headers={"X-Mine": "yes"})


def environ(path: str = "/", script: str = "", body: bytes = b"", **more: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST" if body else "GET",
        "SCRIPT_NAME": script,
        "PATH_INFO": path,
        "QUERY_STRING": "q=a%20b&q=c",
        "SERVER_NAME": "jobs.example",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "HTTP_X_FORWARDED_USER": "ada",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **more,
    }


def through_wsgi(answers: Answers, asked: dict[str, Any]) -> tuple[str, dict[str, str], bytes]:
    said: list[Any] = []
    pieces = validator(WsgiApplication(answers))(asked, lambda *given: said.extend(given) or (lambda data: None))
    body = b"".join(pieces)
    pieces.close()  # type: ignore[attr-defined]
    return said[0], dict(said[1]), body


def through_asgi(answers: Answers, scope: dict[str, Any], *received: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def run() -> None:
        left = list(received or [{"type": "http.request", "body": b""}])

        async def receive() -> Any:
            return left.pop(0) if left else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await AsgiApplication(answers)(scope, receive, send)

    asyncio.run(run())
    return sent


def scope(path: str = "/", root: str = "", method: str = "GET") -> dict[str, Any]:
    headers = [(b"Host", b"jobs.example"), (b"x-forwarded-user", b"ada")]
    return {
        "type": "http",
        "method": method,
        "path": path,
        "root_path": root,
        "query_string": b"q=a%20b&q=c",
        "headers": headers,
        "scheme": "https",
    }


def test_wsgi_gives_the_page_what_the_browser_asked() -> None:
    answers = Answers()

    status, headers, body = through_wsgi(answers, environ("/jobs/\u00c3\u00a4", script="/admin/", body=b"a=1&b=2"))

    (asked,) = answers.asked
    assert (status, body, headers["X-Mine"]) == ("200 OK", b"hello", "yes")
    assert (asked.path, asked.root, asked.scheme, asked.host) == ("/jobs/ä", "/admin", "https", "jobs.example:80")
    assert (asked.asked(), asked.form()) == ({"q": ["a b", "c"]}, {"a": ["1"], "b": ["2"]})
    assert asked.headers["x-forwarded-user"] == "ada"


def test_asgi_gives_the_page_what_the_browser_asked() -> None:
    answers = Answers()
    body = [
        {"type": "http.request", "body": b"a=1", "more_body": True},
        {"type": "http.request", "body": b"&b=2", "more_body": False},
    ]

    start, end = through_asgi(answers, scope("/jobs/ä", method="POST"), *body)

    (asked,) = answers.asked
    assert (start["status"], end["body"]) == (200, b"hello")
    assert {(b"x-mine", b"yes"), (b"content-length", b"5")} <= set(start["headers"])
    assert (asked.path, asked.root, asked.scheme, asked.host) == ("/jobs/ä", "", "https", "jobs.example")
    assert (asked.asked(), asked.body) == ({"q": ["a b", "c"]}, b"a=1&b=2")


@pytest.mark.parametrize(
    ("path", "root", "below"),
    [
        ("/admin/jobs/x", "/admin", "/jobs/x"),
        ("/admin", "/admin", "/"),
        # What older servers did, and what a path looks like that only begins like the place.
        ("/jobs/x", "/admin", "/jobs/x"),
        ("/administer", "/admin", "/administer"),
        ("", "", "/"),
    ],
)
def test_asgi_knows_the_path_below_where_it_is_mounted(path: str, root: str, below: str) -> None:
    answers = Answers()

    through_asgi(answers, scope(path, root))

    assert (answers.asked[0].path, answers.asked[0].root) == (below, root)


def test_a_body_without_end_is_cut_a_byte_beyond_what_the_page_takes() -> None:
    by_asgi, by_wsgi = Answers(), Answers()
    piece = {"type": "http.request", "body": b"x" * 700_000, "more_body": True}

    through_asgi(by_asgi, scope(method="POST"), piece, piece, piece, {"type": "http.request", "body": b""})
    through_wsgi(by_wsgi, environ(body=b"x" * 2_100_000))

    assert [len(answers.asked[0].body) for answers in (by_asgi, by_wsgi)] == [BODY_BYTES_MAX + 1] * 2


def test_a_head_is_answered_without_a_body() -> None:
    (start, end) = through_asgi(Answers(), scope(method="HEAD"))
    _, _, body = through_wsgi(Answers(), environ() | {"REQUEST_METHOD": "HEAD"})

    assert (end["body"], body, dict(start["headers"])[b"content-length"]) == (b"", b"", b"5")


def test_a_stream_ends_when_its_browser_leaves() -> None:
    ended: list[bool] = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    sent = through_asgi(Answers(Response(stream=pieces)), scope())

    assert [message.get("body") for message in sent] == [None, b"first", b""]
    assert ended == [True]


def test_a_stream_under_wsgi_is_nothing_so_that_no_worker_is_held() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"never"

    status, _, body = through_wsgi(Answers(Response(stream=pieces)), environ())

    assert (status, body) == ("204 No Content", b"")


def test_a_server_that_has_only_the_page_may_start_and_stop_it() -> None:
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    sent = through_asgi(Answers(), {"type": "lifespan"}, *messages)

    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_a_web_socket_is_refused() -> None:
    assert through_asgi(Answers(), {"type": "websocket"}) == [{"type": "websocket.close", "code": 1000}]


class Body(io.BytesIO):
    """A server's body of a request: who reads more than was sent waits for ever."""

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        self.asked = size
        return super().read(size)


@pytest.mark.parametrize(
    ("length", "asked"),
    [("", None), ("x", None), ("-1", None), ("0", None), ("7", 7), (str(10**12), BODY_BYTES_MAX + 1)],
)
def test_wsgi_reads_no_more_of_a_body_than_was_announced_and_than_is_allowed(length: str, asked: int | None) -> None:
    body = Body(b"a=1&b=2" + b"x" * BODY_BYTES_MAX)

    found = wsgi_request({**environ(), "REQUEST_METHOD": "POST", "CONTENT_LENGTH": length, "wsgi.input": body})

    assert (len(found.body), getattr(body, "asked", None)) == (asked or 0, asked)


def test_an_address_is_said_as_it_was_asked_for_and_a_field_without_a_value_is_one() -> None:
    request = Request(method="GET", root="/here", path="/jobs/a b?", query="state=&name=a%20b&name=c")

    assert request.here == "/here/jobs/a%20b%3F?state=&name=a%20b&name=c"
    assert request.asked() == {"state": [""], "name": ["a b", "c"]}


def test_a_cookie_of_another_application_hides_no_session() -> None:
    headers = {"cookie": 'prefs={"a": 1}; a b=c; a/b=c; =; $x; session=hers; last="d e"'}

    cookies = Request(method="GET", path="/", headers=headers).cookies

    assert (cookies["session"], cookies["last"]) == ("hers", "d e")
