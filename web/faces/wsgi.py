"""The page as a WSGI application: under Flask, Django, gunicorn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from .http import BODY_BYTES_MAX, Request, Response

Answer = Callable[[Request], Response]


class WsgiApplication:
    """Answers by a site. A stream is refused: it would hold a worker for as long as somebody looks."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        response = self._answer(request_of(environ))
        if response.stream is not None:
            response = Response(status=204)
        status = HTTPStatus(response.status)
        headers = [("Content-Length", str(len(response.body))), *response.headers.items()]
        if response.body:
            headers.append(("Content-Type", response.kind))
        start_response(f"{status.value} {status.phrase}", headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else response.body]


def request_of(environ: dict[str, Any]) -> Request:
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
