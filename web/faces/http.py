"""A request and a response as the page has them, whatever web framework it is mounted in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
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
        """The browser's cookies."""
        try:
            return {name: morsel.value for name, morsel in SimpleCookie(self.headers.get("cookie", "")).items()}
        except CookieError:
            return {}

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
    """See there: what a form answers, so that a reload does not send it again."""
    return Response(status=303, headers={"Location": quote(to, safe="/:?#[]@!$&'()*+,;=%~")})


def _fields(text: str) -> dict[str, list[str]]:
    return parse_qs(text, keep_blank_values=True, max_num_fields=FIELDS_MAX)
