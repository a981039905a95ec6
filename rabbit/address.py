"""Where a RabbitMQ is, and how to reach it: read from a URL, and shown without what is secret in it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from ..errors import UsageError
from ..stores.base import SERVER_SCHEMES

PORT, TLS_PORT = 5672, 5671
EXPECTED = '"amqp://user:password@host:5672/vhost", or amqps:// with ?cafile=...&certfile=...&keyfile=...'
OPTIONS = ("cafile", "certfile", "keyfile", "heartbeat", "results", "wait")
YES, NO = ("yes", "true", "1"), ("no", "false", "0")
HEARTBEAT_SECONDS = 30
"""A peer that says nothing for twice as long is taken for dead. A handler that keeps the GIL for longer is, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A RabbitMQ.

    Attributes:
        hosts: the nodes, each with its port; whichever answers will do.
        user, password: never shown.
        tls: how to speak TLS, or None.
        heartbeat: seconds, see `HEARTBEAT_SECONDS`; 0 for none.
        results: whether the end of each job is told to the runtime that queued it, so that it can be joined there.
        wait: seconds; how long a start waits for a server that does not answer yet.
    """

    hosts: tuple[tuple[str, int], ...]
    vhost: str
    user: str = field(repr=False)
    password: str = field(repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    heartbeat: int = HEARTBEAT_SECONDS
    results: bool = True
    wait: int = 0

    def __str__(self) -> str:
        scheme = "amqp" if self.tls is None else "amqps"
        return f"{scheme}://{','.join(f'{host}:{port}' for host, port in self.hosts)}/{self.vhost.lstrip('/')}"


def parse_address(url: str) -> Address:
    """Read a URL. Several hosts are separated by commas. What is left out is `guest`, the standard port and vhost.

    Raises:
        UsageError: it cannot be read; the message does not show it, for it may hold a password.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(options.keys() - set(OPTIONS))
    if parts.scheme not in SERVER_SCHEMES or parts.fragment or unknown:
        what = f" with the unknown options {', '.join(unknown)}" if unknown else ""
        raise UsageError(f"expected the address of a RabbitMQ, {EXPECTED}; got another URL{what}")
    secret, _, places = parts.netloc.rpartition("@")
    user, _, password = secret.partition(":")
    is_tls = parts.scheme == "amqps"
    hosts = tuple(_host(place, TLS_PORT if is_tls else PORT) for place in (places or "localhost").split(","))
    path = unquote(parts.path[1:])
    return Address(
        hosts=hosts,
        vhost=path or "/",
        user=unquote(user) or "guest",
        password=unquote(password) if secret else "guest",
        tls=_tls(options, is_wanted=is_tls),
        heartbeat=_whole(options, "heartbeat", HEARTBEAT_SECONDS),
        results=_yes_or_no(options, "results"),
        wait=_whole(options, "wait", 0),
    )


def _host(place: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{place}")
        found = parts.port
    except ValueError:
        found, parts = None, urlsplit("//")
    if not parts.hostname or (":" in place.rpartition("]")[2] and found is None):
        raise UsageError(f"expected the address of a RabbitMQ, {EXPECTED}; got one whose host or port makes no sense")
    return parts.hostname, port if found is None else found


def _whole(options: dict[str, str], name: str, otherwise: int) -> int:
    text = options.get(name, str(otherwise))
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"expected {name}= to be a whole number of seconds, got: {text!r}")
    return int(text)


def _yes_or_no(options: dict[str, str], name: str) -> bool:
    text = options.get(name, "yes").lower()
    if text not in YES + NO:
        raise UsageError(f"expected {name}= to be yes or no, got: {text!r}")
    return text in YES


def _tls(options: dict[str, str], *, is_wanted: bool) -> ssl.SSLContext | None:
    """The server's certificate and name are always checked: without `cafile` by what the system trusts."""
    if not is_wanted:
        given = [name for name in ("cafile", "certfile", "keyfile") if name in options]
        if given:
            raise UsageError(f"expected amqps:// for {', '.join(given)}, got: amqp://")
        return None
    for name in ("cafile", "certfile", "keyfile"):
        if name in options and not Path(options[name]).is_file():
            raise UsageError(f"expected {name}= to be the path of a PEM file, got: {options[name]!r}")
    if "keyfile" in options and "certfile" not in options:
        raise UsageError("expected certfile= with keyfile=, got: keyfile= alone")
    try:
        context = ssl.create_default_context(cafile=options.get("cafile"))
        if "certfile" in options:
            context.load_cert_chain(options["certfile"], options.get("keyfile"))
    except (ssl.SSLError, OSError) as error:
        raise UsageError(f"expected PEM files that can be read for amqps://, got: {error}") from error
    return context
