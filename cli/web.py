"""`lamplighter web`: the page on which people see what jobs do, and steer them, as a server of its own."""

from __future__ import annotations

import argparse
import hmac
import importlib
import os
import re
import signal
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..environment.clock import SystemClock
from ..environment.environment import new_id
from ..errors import UsageError, missing_extra, shown
from ..messages.jobs import Instant
from ..rules.validation import check_name, check_whole
from ..web.faces.http import Request, Response, redirect
from ..web.pages.page import LOOK, STEER, PageRefused, Right, Visitor
from ..web.site import Site, forged
from .options import add_store_or_runtime, store_or_runtimes, user_at_host

PORT = 8910

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})

ASKED_SECONDS = 1.0
"""A server that has not answered a connection by then counts as alive, but busy."""

SESSION_SECONDS = 12 * 3600
"""The lifetime of a session that began with a link."""

LOG_OUT = "/log-out"

OWNER_MODE = 0o600
"""Only the owner may connect to a Unix socket, unless it is said."""

STOP_SECONDS = 1
"""How long open streams may keep the server from stopping."""


def declare(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Serves the page until it is interrupted. It needs no application and no runtime. Anyone with the link that is "
        "printed can look; with --steer, also act."
    )
    add_store_or_runtime(parser)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=PORT, help="the port to listen at (default: %(default)s)")
    parser.add_argument("--unix", type=os.fsdecode, metavar="PATH", help="listen at a Unix socket instead")
    parser.add_argument(
        "--unix-mode",
        type=_mode,
        metavar="MODE",
        help="who may connect to the Unix socket: 600, its owner (the default); 660, its group too, such as a proxy's",
    )
    parser.add_argument("--steer", action="store_true", help="visitors may requeue, cancel, pause and so on")
    parser.add_argument("--show-data", action="store_true", help="visitors see the data and results of jobs")
    parser.add_argument(
        "--server-name", action="append", default=[], metavar="NAME", help="another name under which it may be asked"
    )
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--by", metavar="NAME", help="on whose behalf those act who have the link (USER@HOST)")
    who.add_argument(
        "--trust-user-header",
        metavar="HEADER",
        help="instead of a link, with --unix: a proxy, which nobody can go round, says in this header who looks",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    may: frozenset[Right] = STEER if arguments.steer else LOOK
    if arguments.show_data:
        may |= {"data"}
    if arguments.unix is None:
        # Every user of the machine can connect to a TCP port, and so could send the header.
        for option, given in (
            ("--trust-user-header", arguments.trust_user_header),
            ("--unix-mode", arguments.unix_mode),
        ):
            if given is not None:
                raise UsageError(
                    f"expected --unix PATH, a socket that the proxy alone can open, with {option}, got none"
                )
    asked_as = f"[{arguments.host}]" if ":" in arguments.host else arguments.host.lower()
    if arguments.unix is None and asked_as not in LOOPBACK and not arguments.server_name:
        raise UsageError(
            f"expected --server-name, under which browsers ask for the page at --host {arguments.host}, got none"
        )
    port = check_whole(arguments.port, "--port", least=0, most=65_535)
    by = user_at_host() if arguments.by is None else check_name(arguments.by, "--by")
    hosts = None if arguments.unix is not None else LOOPBACK | {asked_as, *map(str.lower, arguments.server_name)}
    try:
        uvicorn = importlib.import_module("uvicorn")
    except ImportError as error:
        raise missing_extra("uvicorn", "`lamplighter web`", "web") from error
    store = store_or_runtimes(arguments)
    with _listening(arguments.host, port, arguments.unix, arguments.unix_mode) as listener:
        who: Links | Proxied
        if arguments.trust_user_header is not None:
            who = Proxied(arguments.trust_user_header, may)
        elif arguments.unix is None:
            name = next(iter(arguments.server_name), asked_as)
            who = Links(f"http://{name}:{listener.getsockname()[1]}", may, by)
        else:
            # A browser cannot open a Unix socket by itself.
            port = port or PORT
            by_ssh = f"by a proxy, or with `ssh -NL {port}:{arguments.unix} {socket.gethostname()}`: "
            who = Links(f"http://localhost:{port}", may, by, by_ssh)
        site = Site(store, who=who, hosts=hosts)
        config = uvicorn.Config(site.asgi, log_level="warning", lifespan="off", timeout_graceful_shutdown=STOP_SECONDS)
        if isinstance(who, Links):
            who.show()
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def _mode(text: str) -> int:
    """The mode of a file, as chmod takes it."""
    if not re.fullmatch("0?[0-7]{3}", text):
        raise argparse.ArgumentTypeError(f"expected a mode such as 660, got: {shown(text)}")
    return int(text, 8)


@contextmanager
def _listening(host: str, port: int, path: str | None, mode: int | None) -> Iterator[socket.socket]:
    """A socket that listens already, so that its address may be told. A Unix socket's file is removed at the end."""
    try:
        if path is None:
            family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            listener = socket.create_server(address, family=family)
        else:
            listener = _unix(path, OWNER_MODE if mode is None else mode)
    except OSError as error:
        where = f"{host}:{port}" if path is None else path
        raise UsageError(f"expected an address that is free to listen at, got: {shown(where)}: {error}") from None
    made = None if path is None else os.stat(path).st_ino
    with listener:
        try:
            # The server ends in order and then raises the signal again, which by default would end the process at once.
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            yield listener
        finally:
            if path is not None and os.path.exists(path) and os.stat(path).st_ino == made:
                os.unlink(path)


def _unix(path: str, mode: int) -> socket.socket:
    """A Unix socket that has its mode from the first instant on.

    A file that a dead server has left is replaced; one at which a server listens, or which is no socket, is not.
    """
    if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(ASKED_SECONDS)
            try:
                caller.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o777 & ~mode)
    try:
        listener.bind(path)
        listener.listen()
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


class Links:
    """Lets in whoever has a link that was printed. Each works once, and then there is another.

    Args:
        base: what a link begins with.
        how: how a browser gets there, if it is not by the link alone.
    """

    def __init__(
        self,
        base: str,
        may: frozenset[Right],
        name: str,
        how: str = "",
        now: Callable[[], Instant] | None = None,
    ) -> None:
        self._base = base
        self._may = may
        self._name = name
        self._how = how
        self._cookie = f"lamplighter_{base.rpartition(':')[2]}"
        self._now = SystemClock().now if now is None else now
        self._sessions: dict[str, Instant] = {}
        """Each session, and when it ends."""
        self._token = new_id()

    def show(self) -> None:
        """Print the link that works next."""
        print(f"{self._how}{self._base}/?token={self._token}", file=sys.stderr, flush=True)

    def __call__(self, request: Request) -> Visitor | Response | None:
        given, now = request.cookies.get(self._cookie, "").encode(), self._now()
        session = next((one for one in list(self._sessions) if hmac.compare_digest(given, one.encode())), None)
        if session is not None and now < self._sessions.get(session, 0.0):
            if (request.method, request.path) != ("POST", LOG_OUT):
                return Visitor(self._name, self._may, LOG_OUT)
            if said := forged(request):
                raise PageRefused(403, said)
            self._sessions.pop(session, None)
            return self._redirect(request, "/", "", 0)
        if request.method != "GET":
            # A program that previews a link asks with HEAD: the link stays for the browser.
            return None
        token = request.asked().get("token", [""])[-1]
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            return None
        session, self._token = new_id(), new_id()
        self._sessions[session] = now + SESSION_SECONDS
        self.show()
        # A path that begins with two slashes would lead to another site.
        return self._redirect(request, f"/{request.path.lstrip('/')}", session, SESSION_SECONDS)

    def _redirect(self, request: Request, path: str, session: str, seconds: int) -> Response:
        """See there, with a cookie that the browser keeps so long."""
        to = redirect(request.link(path))
        said = f"Path={request.root}/; Max-Age={seconds}; HttpOnly; SameSite=Strict"
        to.headers["Set-Cookie"] = f"{self._cookie}={session}; {said}"
        return to


class Proxied:
    """Believes a header that a proxy sets."""

    def __init__(self, header: str, may: frozenset[Right]) -> None:
        self._header = header.lower().encode()
        self._may = may

    def __call__(self, request: Request) -> Visitor | None:
        # The headers as they came: a request holds the last one of a name, and each in Latin-1.
        names = [value for name, value in request.native["headers"] if name.lower() == self._header]
        if len(names) > 1:
            raise PageRefused(400, f"expected one header {self._header.decode()} of the proxy, got: {len(names)}")
        try:
            name = b"".join(names).decode("utf-8").strip()
        except UnicodeDecodeError:
            raise PageRefused(400, f"expected {self._header.decode()} in UTF-8, got: {shown(names[0])}") from None
        return Visitor(name[:200], self._may) if name else None
