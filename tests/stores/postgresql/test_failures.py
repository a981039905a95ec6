"""What errors of PostgreSQL mean to a store."""

from __future__ import annotations

import psycopg
import pytest
from lamplighter import LamplighterError, StoreCorrupt, StoreGone, StoreUnavailable, UsageError
from lamplighter.stores.postgresql.failures import translated
from lamplighter.stores.troubles import TurnConflict

BY_CODE = {
    "40001": TurnConflict,
    "40P01": TurnConflict,
    "55P03": TurnConflict,
    "08006": StoreUnavailable,
    "25006": StoreUnavailable,
    "53100": StoreUnavailable,
    "53200": StoreUnavailable,
    "53300": StoreUnavailable,
    "57014": StoreUnavailable,
    "57P01": StoreUnavailable,
    "57P03": StoreUnavailable,
    "58030": StoreUnavailable,
    "25P03": StoreUnavailable,
    "3D000": StoreGone,
    "3F000": StoreGone,
    "42P01": StoreGone,
    "28P01": StoreGone,
    "42501": StoreGone,
    "26000": StoreUnavailable,
    "XX001": StoreCorrupt,
}

AT_CONNECT = {
    'FATAL:  password authentication failed for user "ada"': StoreGone,
    "fe_sendauth: no password supplied": StoreGone,
    'FATAL:  no pg_hba.conf entry for host "::1", user "ada", database "d", no encryption': StoreGone,
    'FATAL:  role "ada" does not exist': StoreGone,
    'FATAL:  role "ada" is not permitted to log in': StoreGone,
    'FATAL:  database "d" does not exist': StoreGone,
    'FATAL:  permission denied for database "d"': StoreGone,
    "session is read-only": StoreUnavailable,
    "FATAL:  sorry, too many clients already": StoreUnavailable,
    "FATAL:  the database system is starting up": StoreUnavailable,
    "Connection refused": StoreUnavailable,
    'invalid sslmode value: "x"': UsageError,
    'invalid port number: "99999"': UsageError,
    'definition of service "x" not found': UsageError,
}


@pytest.mark.parametrize(("code", "kind"), BY_CODE.items())
def test_an_error_of_the_server_has_a_kind_by_its_code(code: str, kind: type[LamplighterError]) -> None:
    error = psycopg.errors.lookup(code)("in its\nwords")

    meant = translated(error, "postgresql://h/d")

    assert type(meant) is kind
    assert str(meant).startswith("the store postgresql://h/d ") and str(meant).endswith(": in its words")


WORDS = {
    "55P03": "a session that keeps locked what is needed",
    "42P01": "grant usage",
}


@pytest.mark.parametrize(("code", "words"), WORDS.items())
def test_an_error_with_several_causes_names_what_helps(code: str, words: str) -> None:
    error = psycopg.errors.lookup(code)("in its words")

    assert words in str(translated(error, "postgresql://h/d"))


@pytest.mark.parametrize(("words", "kind"), AT_CONNECT.items())
def test_a_refused_connection_has_a_kind_by_its_words(words: str, kind: type[LamplighterError]) -> None:
    meant = translated(psycopg.OperationalError(f"connection failed: {words}"), "postgresql://h/d")

    assert type(meant) is kind and words.replace("  ", " ") in str(meant)


@pytest.mark.parametrize("code", ["42601", "22P02", "23505", "23514"])
def test_other_errors_are_no_trouble_of_the_store(code: str) -> None:
    error = psycopg.errors.lookup(code)("words")

    assert translated(error, "postgresql://h/d") is error
