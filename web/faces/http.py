"""The page as web servers take it: requests and responses, ASGI and WSGI. Django's is in `contrib`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

BODY_BYTES_MAX = 1_000_000
"""The most bytes of a form. One that selects 5,000 jobs by their ids has 200 kB."""

UNSPEAKABLE = "~"
"""Stands in a path for a name that no path can have; the query has the name."""

FIELDS_MAX = 10_000
"""The most fields of a form or a query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The request of a browser.

    Attributes:
        method: GET, HEAD or POST.
        path: below the place where the page is mounted; it begins with a slash.
        root: that place, without a slash at its end: "" at the root of a server.
        query: what follows the question mark, still encoded.
        headers: by lower-case name.
        body: of a POST.
        scheme: http or https.
        native: the web framework's own request: an ASGI scope, a WSGI environ, Django's HttpRequest.
    """

    method: str
    path: str
    root: str = ""
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    scheme: str = "http"
    native: Any = None

    @property
    def host(self) -> str:
        """The server as the browser names it, with its port unless that is the usual one."""
        return self.headers.get("host", "").lower()

    @property
    def cookies(self) -> dict[str, str]:
        """The browser's cookies. Each is read by itself, since one of another application may have any form."""
        found: dict[str, str] = {}
        for one in self.headers.get("cookie", "").split(";"):
            with contextlib.suppress(CookieError):
                found.update((name, morsel.value) for name, morsel in SimpleCookie(one).items())
        return found

    @property
    def here(self) -> str:
        """The address that was asked for."""
        return f"{self.root}{quote(self.path)}{'?' if self.query else ''}{self.query}"

    def asked(self) -> dict[str, list[str]]:
        """The query's fields."""
        return _fields(self.query)

    def form(self) -> dict[str, list[str]]:
        """The body's fields, of a form.

        Raises:
            ValueError: it is none, or has too many.
        """
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self.body and kind != "application/x-www-form-urlencoded":
            raise ValueError(f"expected a form (application/x-www-form-urlencoded), got: {kind or 'no content type'}")
        return _fields(self.body.decode("utf-8"))

    def link(self, path: str, **fields: Any) -> str:
        """The address of a page of ours, whatever it is mounted under; fields that are None or "" are left out."""
        query = urlencode({name: value for name, value in fields.items() if value not in (None, "")}, doseq=True)
        return f"{self.root}{path}{'?' if query else ''}{query}"

    def path_of(self, page: str, name: str) -> str:
        """The address of the page of one thing, such as a job: its name may hold whatever it likes.

        Args:
            page: with a slash at its end.
        """
        if not name.strip("."):
            # A browser resolves `.` and `..` in a path.
            return self.link(f"{page}{UNSPEAKABLE}", name=name)
        return f"{self.root}{page}{quote(name, safe='')}"


@dataclass(slots=True, kw_only=True)
class Response:
    """The answer of the page.

    Attributes:
        body: the whole of it; empty if it streams.
        stream: makes what follows piece by piece, for as long as somebody reads; only ASGI has it.
    """

    status: int = 200
    kind: str = "text/html; charset=utf-8"
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    stream: Callable[[], AsyncIterator[bytes]] | None = None


def redirect(to: str) -> Response:
    """The answer to a form: the browser loads another page, so that a reload does not send the form again."""
    return Response(status=303, headers={"Location": quote(to, safe="/:?#[]@!$&'()*+,;=%~")})


def _fields(text: str) -> dict[str, list[str]]:
    return parse_qs(text, keep_blank_values=True, max_num_fields=FIELDS_MAX)


Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answer = Callable[[Request], Response]


class AsgiApplication:
    """Answers by a site, each request on a thread: a page reads a file."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        response = await asyncio.to_thread(self._answer, asgi_request(scope, await _body(receive)))
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()
        ]
        if response.body or response.stream is not None:
            headers.append((b"content-type", response.kind.encode("latin-1")))
        if response.stream is None:
            headers.append((b"content-length", str(len(response.body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        if response.stream is not None:
            await _stream(response.stream, receive, send)
        body = b"" if scope["method"] == "HEAD" else response.body
        await send({"type": "http.response.body", "body": body, "more_body": False})


def asgi_request(scope: Scope, body: bytes) -> Request:
    """The request that a scope holds. The path of a mounted scope begins with the mount point; servers of older
    versions of ASGI leave it out.
    """
    root = scope.get("root_path", "").rstrip("/")
    path = scope["path"]
    if root and (path == root or path.startswith(f"{root}/")):
        path = path[len(root) :]
    return Request(
        method=scope["method"],
        path=path or "/",
        root=root,
        query=scope.get("query_string", b"").decode("latin-1"),
        headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
        body=body,
        scheme=scope.get("scheme", "http"),
        native=scope,
    )


async def _body(receive: Receive) -> bytes:
    """The body, at most one byte longer than the page accepts."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        if len(body) <= BODY_BYTES_MAX:
            body += message.get("body", b"")
        more = message.get("more_body", False)
    return body[: BODY_BYTES_MAX + 1]


async def _stream(stream: Callable[[], Any], receive: Receive, send: Send) -> None:
    sending = asyncio.ensure_future(_send_all(stream(), send))
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, leaving):
            task.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)


async def _send_all(pieces: Any, send: Send) -> None:
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _live(receive: Receive, send: Send) -> None:
    """A server that has the page as its whole application asks it to start and stop."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


class WsgiApplication:
    """Answers by a site. A stream is refused: it would occupy a worker for as long as the page is open."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        response = self._answer(wsgi_request(environ))
        if response.stream is not None:
            response = Response(status=204)
        status = HTTPStatus(response.status)
        headers = [("Content-Length", str(len(response.body))), *response.headers.items()]
        if response.body:
            headers.append(("Content-Type", response.kind))
        start_response(f"{status.value} {status.phrase}", headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else response.body]


def wsgi_request(environ: dict[str, Any]) -> Request:
    """The request that an environ holds. PEP 3333 has its paths as bytes in Latin-1."""
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    headers |= {name.replace("_", "-").lower(): environ.get(name, "") for name in ("CONTENT_TYPE", "CONTENT_LENGTH")}
    if "host" not in headers:
        headers["host"] = f"{environ.get('SERVER_NAME', '')}:{environ.get('SERVER_PORT', '')}"
    length = headers["content-length"]
    size = int(length) if length.isdecimal() else 0
    return Request(
        method=environ["REQUEST_METHOD"],
        path=_decoded(environ.get("PATH_INFO", "")) or "/",
        root=_decoded(environ.get("SCRIPT_NAME", "")).rstrip("/"),
        query=environ.get("QUERY_STRING", ""),
        headers=headers,
        body=environ["wsgi.input"].read(min(size, BODY_BYTES_MAX + 1)) if size else b"",
        scheme=environ.get("wsgi.url_scheme", "http"),
        native=environ,
    )


def _decoded(path: str) -> str:
    return path.encode("latin-1").decode("utf-8", errors="replace")
