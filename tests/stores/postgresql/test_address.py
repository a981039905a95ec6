"""Addresses of stores on PostgreSQL: read, and shown without what is secret."""

from __future__ import annotations

from typing import Any

import pytest
from lamplighter import UsageError
from lamplighter.stores.postgresql.address import parse_address, url_of

SECRET = "5ecret"

READ = [
    ("postgresql://localhost/jobs", "postgresql://localhost/jobs"),
    (f"postgres://ada:{SECRET}@db.example:5433/jobs", "postgresql://db.example:5433/jobs"),
    (f"postgresql://ada:{SECRET}%40%2F@h/jobs?sslmode=require", "postgresql://h/jobs"),
    (f"postgresql://a:1,b:2/jobs?user=ada&password={SECRET}", "postgresql://a:1,b:2/jobs"),
    (
        f"postgresql://ada:{SECRET}@/jobs?host=/run/db&port=5&schema=x_1",
        "postgresql:///jobs?host=/run/db&port=5&schema=x_1",
    ),
    (f"postgresql://{SECRET}@[::1]:5432/jobs?sslpassword={SECRET}", "postgresql://[::1]:5432/jobs"),
    ("postgresql://", "postgresql://"),
]

REFUSED = [
    ("postgresql:/h/jobs", "another URL"),
    ("mysql://h/jobs", "another URL"),
    (f"postgresql://ada:{SECRET}@x@h/jobs", "must be escaped"),
    (f"postgresql://ada:{SECRET}/x@h/jobs", "must be escaped"),
    (f"postgresql://ada:{SECRET}?x@h/jobs", "must be escaped"),
    (f"postgresql://ada:{SECRET}#x@h/jobs", "must be escaped"),
    (f"postgresql://h:{SECRET}/jobs", "host or port makes no sense"),
    (f"postgresql://[{SECRET}/jobs", "makes no sense"),
    ("postgresql://h/jobs?schema=Jobs", "plain name of a schema"),
    ("postgresql://h/jobs?schema=pg_jobs", "plain name of a schema"),
    ("postgresql://h/jobs?schema=", "plain name of a schema"),
    (f"postgresql://h/jobs?schema={'x' * 64}", "plain name of a schema"),
    ("postgresql://h/jobs?pooler=transaction", "pooler=session"),
    ("postgresql://h/jobs?schema=a&schema=b", "twice"),
]


@pytest.mark.parametrize(("url", "shown"), READ, ids=range(len(READ)))
def test_an_address_is_shown_without_user_and_password(url: str, shown: str) -> None:
    address = parse_address(url)

    assert (address.shown, str(address)) == (shown, shown)
    assert SECRET not in repr(address) and "ada" not in repr(address)


def test_options_of_our_own_are_kept_from_libpq() -> None:
    address = parse_address("postgresql://a%20b:c+d@h/jobs?schema=x&pooler=session&application_name=a%20b+c")

    assert address.conninfo == "postgresql://a%20b:c+d@h/jobs?application_name=a%20b%2Bc"
    assert (address.schema, address.is_pooled) == ("x", True)


@pytest.mark.parametrize(("url", "says"), REFUSED, ids=range(len(REFUSED)))
def test_an_address_that_cannot_be_is_refused_without_showing_a_secret(url: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        parse_address(url)

    assert SECRET not in str(refused.value)


IN_SETTINGS = [
    ({"NAME": "shop"}, "postgresql:///shop"),
    (
        {"NAME": "a/b", "USER": "ada", "PASSWORD": f"{SECRET}@/?#:", "HOST": "db.example", "PORT": 5433},
        f"postgresql://ada:{SECRET}%40%2F%3F%23%3A@db.example:5433/a%2Fb",
    ),
    (
        {"NAME": "shop", "HOST": "/run/postgresql", "PORT": "5433", "OPTIONS": {"sslmode": "disable", "pool": True}},
        "postgresql:///shop?sslmode=disable&host=/run/postgresql&port=5433",
    ),
    ({"NAME": "", "OPTIONS": {"service": "shop", "isolation_level": 3}}, "postgresql:///?service=shop"),
    ({"NAME": "shop", "HOST": "::1", "PORT": ""}, "postgresql:///shop?host=%3A%3A1"),
]


@pytest.mark.parametrize(("settings", "url"), IN_SETTINGS)
def test_a_database_of_a_django_project_has_an_address(settings: dict[str, Any], url: str) -> None:
    assert url_of(settings) == url
    parse_address(url)
