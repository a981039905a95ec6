"""Where a PostgreSQL store is: read from a URL, and shown without its user and password.

Whatever libpq knows of a URL is left to libpq. This module does not import psycopg: an application that has none can
still be told what is wrong with an address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlencode, urlsplit

from ...errors import UsageError

SCHEMES = ("postgresql", "postgres")
EXPECTED = '"postgresql://user:password@host:5432/database", with ?schema=... if it is not to be "lamplighter"'
SCHEMA = "lamplighter"
SCHEMAS = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
PLACES = re.compile(r"([^\[\]:]*|\[[0-9A-Fa-f:.%]+\])(:[0-9]*)?")
PLAIN_HOST = re.compile(r"[A-Za-z0-9._-]*")
SHOWN_OPTIONS = ("host", "hostaddr", "port", "dbname", "service")
"""Options of libpq that find a server; no other is shown, because it may be a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresAddress:
    """A schema in a database.

    Attributes:
        conninfo: the URL as libpq takes it. It may hold a password.
        is_pooled: a pooler stands between, which keeps one session of the server for each connection.
        shown: the same for texts, without user and password.
    """

    conninfo: str = field(repr=False)
    schema: str = SCHEMA
    is_pooled: bool = False
    shown: str

    def __str__(self) -> str:
        return self.shown


def parse_address(url: str) -> PostgresAddress:
    """Read a URL. A part that it leaves out has the default of libpq: PGHOST and the like, or a local server.

    Raises:
        UsageError: not readable; the message does not show the URL, which may hold a password.
    """
    parts = _parts(url)
    # Unlike parse_qsl, libpq does not read a plus as a blank.
    pairs = [pair.partition("=") for pair in parts.query.split("&") if pair]
    options = {unquote(name): unquote(value) for name, _, value in pairs}
    if len(options) < len(pairs):
        raise UsageError("expected each option of a PostgreSQL's address once, got one of them twice")
    schema, pooler = options.pop("schema", SCHEMA), options.pop("pooler", None)
    if not SCHEMAS.fullmatch(schema):
        raise UsageError(
            "expected schema= to be the plain name of a schema: at most 63 small letters, digits and _, no digit first "
            f"and not pg_..., got: {schema!r}"
        )
    if pooler not in (None, "session"):
        raise UsageError(f"expected pooler=session, or none, got: pooler={pooler!r}; {POOLER}")
    places = parts.netloc.rpartition("@")[2]
    shown = {name: value for name, value in options.items() if name in SHOWN_OPTIONS}
    if schema != SCHEMA:
        shown["schema"] = schema
    return PostgresAddress(
        conninfo=_url(parts.netloc, parts.path, options),
        schema=schema,
        is_pooled=pooler is not None,
        shown=_url(places, parts.path, shown),
    )


POOLER = (
    "connect to the server itself, or by a pooler that gives each connection a session of its own, and say "
    "?pooler=session; one that gives sessions to single transactions loses what a session holds"
)


def _parts(url: str) -> SplitResult:
    """Split a URL. Nothing of an invalid one is shown: the text may be half a password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UsageError(f"expected the address of a PostgreSQL, {EXPECTED}; got a URL that makes no sense") from None
    if parts.scheme not in SCHEMES or not url[len(parts.scheme) :].startswith("://"):
        raise UsageError(f"expected the address of a PostgreSQL, {EXPECTED}; got another URL")
    if parts.fragment or "#" in url or "@" in parts.path + parts.query or parts.netloc.count("@") > 1:
        raise UsageError(
            f"expected the address of a PostgreSQL, {EXPECTED}; got one in which a character must be escaped: in a "
            "user, a password, a database or an option write @ as %40, / as %2F, ? as %3F, # as %23 and : as %3A"
        )
    if not all(PLACES.fullmatch(place) for place in parts.netloc.rpartition("@")[2].split(",")):
        raise UsageError(f"expected the address of a PostgreSQL, {EXPECTED}; got one whose host or port makes no sense")
    return parts


def _url(place: str, path: str, options: dict[str, str]) -> str:
    query = urlencode(options, safe="/", quote_via=quote)
    return f"postgresql://{place}{path}" + (f"?{query}" if query else "")


OF_DJANGO = ("assume_role", "client_encoding", "isolation_level", "options", "pool", "server_side_binding")
"""Options of Django's database that are not libpq's, or are of its own sessions."""


def url_of(settings: Mapping[str, Any]) -> str:
    """The address of the database that Django's settings describe."""
    found = {name: str(settings.get(name) or "") for name in ("USER", "PASSWORD", "HOST", "PORT", "NAME")}
    options = {
        name: str(value)
        for name, value in settings.get("OPTIONS", {}).items()
        if name not in OF_DJANGO and isinstance(value, (str, int))
    }
    host = found["HOST"]
    if not PLAIN_HOST.fullmatch(host):
        # A folder of Unix sockets, an address of IPv6, or several servers.
        options["host"], host = host, ""
    if host and found["PORT"]:
        host = f"{host}:{found['PORT']}"
    elif found["PORT"]:
        options["port"] = found["PORT"]
    who = ":".join(quote(one, safe="") for one in (found["USER"], found["PASSWORD"]) if one)
    return _url(f"{who}@{host}" if who else host, f"/{quote(found['NAME'], safe='')}", options)
