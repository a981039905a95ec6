"""Checks that every request passes before a page sees it, and every response before a browser does."""

from __future__ import annotations

from collections.abc import Collection

from .faces.http import Request, Response

SAFE = frozenset({"GET", "HEAD"})

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing runs on the page but its own files: a job's name or an error that holds a script is text."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def forged(request: Request) -> str | None:
    """Why a request that changes something may have been sent by another site; None if it was sent by this page.

    A browser says so itself (`Sec-Fetch-Site`). An old one, or any on plain http elsewhere than on localhost, at least
    says from which site it comes (`Origin`). A program has no page to be lured from, but must then show a token.
    """
    if request.method in SAFE:
        return None
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return None if site == "same-origin" else f"expected a form of this page, got one of another site ({site})"
    origin = request.headers.get("origin")
    if origin is not None:
        mine = f"{request.scheme}://{request.host}"
        return None if origin.lower() == mine else f"expected Origin: {mine}, got: {origin[:200]}"
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        return None
    return "expected Sec-Fetch-Site, Origin or a bearer token, got none: nobody can tell which site has sent this"


def strange_host(request: Request, hosts: Collection[str] | None) -> str | None:
    """Why a request was made under a name that is not the server's, as a rebound DNS name would; None if it is known.

    Args:
        hosts: the names that are known, without ports; None if the web framework sees to that.
    """
    if hosts is None or _name(request.host) in hosts:
        return None
    return f"expected a known Host ({', '.join(sorted(hosts))}), got: {request.host[:200] or 'none'}"


def sealed(response: Response) -> Response:
    """The same, with what keeps a browser from doing with it what it must not."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _name(host: str) -> str:
    if host.startswith("["):
        return host[: host.find("]") + 1]
    return host.partition(":")[0]
