"""Translates errors of PostgreSQL to those of a store."""

from __future__ import annotations

import re
from collections.abc import Sequence

import psycopg

from ...errors import StoreCorrupt, StoreError, StoreGone, StoreUnavailable, UsageError
from ..troubles import TurnConflict

LOST_TABLES = "has lost tables of Lamplighter: put back a backup, or start the runtimes anew"

TROUBLES: Sequence[tuple[str, type[StoreError] | type[StoreUnavailable], str]] = (
    ("40001 40P01", TurnConflict, "was changed by another turn meanwhile"),
    ("55P03", TurnConflict, "has a session that keeps locked what is needed: end its transaction"),
    ("3D000", StoreGone, "has no such database: create it, or correct the address"),
    ("3F000 42703", StoreGone, LOST_TABLES),
    (
        "42P01",
        StoreGone,
        "has lost tables of Lamplighter (put back a backup, or start the runtimes anew), or this role has no right to "
        "their schema: grant usage on it",
    ),
    ("28", StoreGone, "does not let this role in: correct the user, the password or pg_hba.conf"),
    ("42501", StoreGone, "refuses a right to this role: grant it"),
    ("25006", StoreUnavailable, "can only be read now: it is a standby, or set to be read only"),
    ("53300", StoreUnavailable, "has no connection free: raise max_connections, or run fewer processes"),
    ("53100", StoreUnavailable, "has no disk space left: make room"),
    ("57014", StoreUnavailable, "has given a statement up that took too long"),
    ("XX001 XX002", StoreCorrupt, "is damaged: put back a backup"),
    ("08 53 57 58 25P03", StoreUnavailable, "cannot be used now"),
)
"""By codes of errors, or the classes that codes begin with
(https://www.postgresql.org/docs/current/errcodes-appendix.html). After StoreGone a person must act; StoreUnavailable
heals by itself.
"""

AT_CONNECT: Sequence[tuple[str, str]] = (
    (r'database ".*" does not exist', "3D000"),
    (r"permission denied for database", "42501"),
    (r"authentication failed|no password supplied|no pg_hba\.conf entry", "28000"),
    (r'role ".*" (does not exist|is not permitted to log in)', "28000"),
    (r"session is read-only|server is in hot standby mode", "25006"),
    (r"too many (clients|connections)|remaining connection slots", "53300"),
)
"""The codes of what is refused before there is a connection, for which libpq gives only words."""

NO_ADDRESS = r"invalid (\w+ )?(value|port)|definition of service .* not found"


def translated(error: psycopg.Error, shown: str) -> Exception:
    """The error of a store for one of psycopg; the same error where that is no trouble of the store.

    Args:
        shown: the address for texts.
    """
    says = " ".join((error.diag.message_primary or str(error)).split())
    if re.search(NO_ADDRESS, says):
        return UsageError(f"expected an address of PostgreSQL as libpq takes it, got: {shown}; it says: {says}")
    code = error.sqlstate or next((code for words, code in AT_CONNECT if re.search(words, says)), "")
    if ends_session(error):
        return StoreUnavailable(f"the store {shown} must be connected to anew: {says}")
    for codes, kind, what in TROUBLES:
        if code and code.startswith(tuple(codes.split())):
            return kind(f"the store {shown} {what}; it says: {says}")
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return StoreUnavailable(f"the store {shown} cannot be used now: {says}")
    return error


def ends_session(error: psycopg.Error) -> bool:
    """Whether prepared statements are of no use any more: the tables were changed, or a pooler has forgotten them."""
    return error.sqlstate == "26000" or error.diag.source_function == "RevalidateCachedQuery"
