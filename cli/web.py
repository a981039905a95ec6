"""`lamplighter web`: the page on which people see what jobs do, and steer them, as a server of its own."""

from __future__ import annotations

import argparse
import getpass
import hmac
import importlib
import socket
import sys
from typing import Any

from ..environment.ids import new_id
from ..errors import UsageError, missing_extra
from ..web.faces.http import Request, Response, redirect
from ..web.pages.visitor import LOOK, STEER, Right, Visitor
from ..web.site import Site
from .options import add_store_or_runtime, store_or_runtimes

PORT = 8910

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})

STOP_SECONDS = 1
"""How long open streams may keep the server from stopping."""


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare what the subcommand takes."""
    parser.description = (
        "Serves the page until it is interrupted. It needs no application and no runtime. Whoever has the link that is "
        "printed can look; with --steer, also act."
    )
    add_store_or_runtime(parser)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=PORT, help="the port to listen at (default: %(default)s)")
    parser.add_argument("--unix", metavar="PATH", help="listen at a Unix socket instead")
    parser.add_argument("--steer", action="store_true", help="visitors may requeue, cancel, pause and so on")
    parser.add_argument("--show-data", action="store_true", help="visitors see the data and results of jobs")
    parser.add_argument(
        "--server-name", action="append", default=[], metavar="NAME", help="another name under which it may be asked"
    )
    parser.add_argument(
        "--trust-user-header",
        metavar="HEADER",
        help="instead of a link: a proxy, which nobody can go round, says in this header who looks",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve the page; the exit code."""
    may: frozenset[Right] = STEER if arguments.steer else LOOK
    if arguments.show_data:
        may |= {"data"}
    names = {arguments.host.lower(), *(name.lower() for name in arguments.server_name)}
    if arguments.unix is None and arguments.host not in LOOPBACK and not arguments.server_name:
        raise UsageError(
            f"expected --server-name, under which browsers ask for the page at --host {arguments.host}, got none"
        )
    hosts = None if arguments.unix is not None else LOOPBACK | names
    header = arguments.trust_user_header
    base = f"http://{arguments.host}:{arguments.port}"
    who = Links(base, may) if header is None else Proxied(header, may)
    site = Site(store_or_runtimes(arguments), who=who, hosts=hosts)
    try:
        uvicorn = importlib.import_module("uvicorn")
    except ImportError as error:
        raise missing_extra("uvicorn", "`lamplighter web`", "web") from error
    config = uvicorn.Config(
        site.asgi,
        host=arguments.host,
        port=arguments.port,
        uds=arguments.unix,
        log_level="warning",
        lifespan="off",
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    if isinstance(who, Links):
        who.show()
    uvicorn.Server(config).run()
    return 0


class Links:
    """Lets in whoever has a link that was printed. Each works once, and then there is another.

    Args:
        base: what a link begins with.
    """

    def __init__(self, base: str, may: frozenset[Right]) -> None:
        self._base = base
        self._may = may
        self._name = f"{getpass.getuser()}@{socket.gethostname()}"
        self._cookie = f"lamplighter_{base.rpartition(':')[2]}"
        self._sessions: set[str] = set()
        self._token = new_id()

    def show(self) -> None:
        """Print the link that works next."""
        print(f"{self._base}/?token={self._token}", file=sys.stderr, flush=True)

    def __call__(self, request: Request) -> Visitor | Response | None:
        given = request.cookies.get(self._cookie, "").encode()
        if any(hmac.compare_digest(given, known.encode()) for known in self._sessions):
            return Visitor(self._name, self._may)
        token = request.asked().get("token", [""])[-1]
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            return None
        session, self._token = new_id(), new_id()
        self._sessions.add(session)
        self.show()
        to = redirect(request.link(request.path))
        to.headers["Set-Cookie"] = f"{self._cookie}={session}; Path=/; HttpOnly; SameSite=Strict"
        return to


class Proxied:
    """Believes a header that a proxy sets."""

    def __init__(self, header: str, may: frozenset[Right]) -> None:
        self._header = header.lower()
        self._may = may

    def __call__(self, request: Request) -> Visitor | None:
        name: Any = request.headers.get(self._header)
        return Visitor(name[:200], self._may) if name else None
