"""Where a RabbitMQ is, and how to reach it: read from a URL, and shown without what is secret in it."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ...errors import UsageError
from .topology import PREFIX

SCHEMES = ("amqp", "amqps")
PORT, TLS_PORT = 5672, 5671
EXPECTED = '"amqp://user:password@host:5672/vhost", or amqps:// with ?cafile=...&certfile=...&keyfile=...'
OPTIONS = ("cafile", "certfile", "keyfile", "heartbeat", "results", "wait", "prefix")
YES, NO = ("yes", "true", "1"), ("no", "false", "0")
PREFIX_CHARACTERS_MAX = 30
PREFIXES = re.compile(f"[A-Za-z0-9_-]{{1,{PREFIX_CHARACTERS_MAX}}}")
HEARTBEAT_SECONDS = 30
"""A peer that is silent for twice as long counts as dead; so does a handler that keeps the GIL for longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A RabbitMQ.

    Attributes:
        hosts: the nodes with their ports; any one will do.
        user, password: never shown.
        heartbeat: seconds; 0 for none.
        results: send the end of each job to the runtime that queued it, so that the job can be joined there.
        wait: seconds; how long a start waits for a server that does not answer yet.
        prefix: begins the names of all queues and exchanges, so that applications can share a virtual host.
    """

    hosts: tuple[tuple[str, int], ...]
    vhost: str
    user: str = field(repr=False)
    password: str = field(repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    heartbeat: int = HEARTBEAT_SECONDS
    results: bool = True
    wait: int = 0
    prefix: str = PREFIX

    def __str__(self) -> str:
        scheme = "amqp" if self.tls is None else "amqps"
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        prefix = "" if self.prefix == PREFIX else f"?prefix={self.prefix}"
        return f"{scheme}://{hosts}/{self.vhost.lstrip('/')}{prefix}"


def parse_address(url: str) -> Address:
    """Read a URL. Several hosts are separated by commas. Defaults are `guest`, the standard port and vhost.

    Raises:
        UsageError: not readable; the message does not show the URL, which may hold a password.
    """
    parts = _parts(url)
    secret, _, places = parts.netloc.rpartition("@")
    user, _, password = secret.partition(":")
    is_tls = parts.scheme == "amqps"
    hosts = tuple(_host(place, TLS_PORT if is_tls else PORT) for place in (places or "localhost").split(","))
    options = _options(parts.query)
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
        prefix=_prefix(options),
    )


def _parts(url: str) -> SplitResult:
    """Split a URL. Nothing of an invalid one is shown."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UsageError(f"expected the address of a RabbitMQ, {EXPECTED}; got a URL that makes no sense") from None
    if parts.scheme not in SCHEMES:
        raise UsageError(f"expected the address of a RabbitMQ, {EXPECTED}; got another URL")
    if parts.fragment or "@" in parts.path + parts.query:
        # The text of the error may be half a password.
        raise UsageError(
            f"expected the address of a RabbitMQ, {EXPECTED}; got one in which a character must be escaped: in a user, "
            "a password or a virtual host write @ as %40, / as %2F, ? as %3F, # as %23 and : as %3A"
        )
    return parts


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(options.keys() - set(OPTIONS))
    if unknown:
        # Anything but a plain word may be half a password.
        shown = [name for name in unknown if name.isascii() and name.isalpha() and name.islower()]
        got = f"the unknown options {', '.join(shown)}" if shown == unknown else "others"
        raise UsageError(f"expected the options of a RabbitMQ's address, {', '.join(OPTIONS)}; got {got}")
    return options


def _prefix(options: dict[str, str]) -> str:
    prefix = options.get("prefix", PREFIX)
    if not PREFIXES.fullmatch(prefix):
        raise UsageError(
            f"expected prefix= to be 1 to {PREFIX_CHARACTERS_MAX} letters, digits, - or _, which all names on the "
            f"server begin with, got: {prefix!r}"
        )
    return prefix


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
    """The server's certificate and name are always checked: without `cafile` against the system's authorities."""
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
