"""A schema of each released version on a PostgreSQL becomes one of this version: what it holds stays, and goes on.

`make samples` writes that of today's version, before a release and whenever the schema changes before one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from lamplighter.stores.postgresql.address import parse_address
from lamplighter.stores.postgresql.store import PostgresStore

from ....support.postgresql.server import Server
from ....support.samples import KEPT_FOR_EVER, goes_on

SAMPLES = sorted((Path(__file__).parents[1] / "samples").glob("postgresql-*.sql"))

COLUMNS = """select table_name, column_name, data_type, is_nullable, collation_name
             from information_schema.columns where table_schema = %s order by 1, 2"""


@pytest.fixture(params=SAMPLES, ids=lambda sample: sample.stem)
def old(request: pytest.FixtureRequest, postgres_server: Server, fresh_postgres: Callable[[], str]) -> str:
    """The address of a schema as that version left it, with jobs in every state, of a boot that was killed."""
    url = fresh_postgres()
    name = parse_address(url).schema
    with contextlib.closing(psycopg.connect(postgres_server.url, autocommit=True)) as connection:
        connection.execute(f"create schema {name}; set search_path = {name}")
        connection.execute(request.param.read_text("utf-8"))
        for statement in KEPT_FOR_EVER:
            connection.execute(statement)
    return url


def test_a_schema_of_each_version_comes_to_the_tables_of_a_new_one(
    old: str, fresh_postgres: Callable[[], str], postgres_server: Server
) -> None:
    shapes: list[list[Any]] = []
    for url in (old, fresh_postgres()):
        store = PostgresStore(url)
        store.open()
        store.close()
        with contextlib.closing(psycopg.connect(postgres_server.url)) as connection:
            shapes.append(connection.execute(COLUMNS, (parse_address(url).schema,)).fetchall())

    assert shapes[0] == shapes[1]


def test_a_runtime_goes_on_where_each_version_stopped_and_its_log_is_well(old: str, tmp_path: Path) -> None:
    goes_on(old, tmp_path / "log")
