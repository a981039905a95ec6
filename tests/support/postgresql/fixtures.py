"""A PostgreSQL for tests: started once by each process of the tests that needs one, with its tables emptied for each
test.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import pytest
from lamplighter.stores.postgresql.address import parse_address
from lamplighter.stores.postgresql.connection import connect
from lamplighter.stores.postgresql.schema import NUMBERED, migrate
from lamplighter.stores.tables.schema import CREATION

from ..memory import in_memory
from .server import NoServer, Server


def skip_or_fail(error: NoServer) -> NoReturn:
    """Skip; but where everything must be tested, that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(str(error))
    pytest.skip(str(error))


@contextlib.contextmanager
def own_server(*, settings: Mapping[str, str] | None = None, initdb: tuple[str, ...] = ()) -> Iterator[Server]:
    """A server for as long as the block lasts; without PostgreSQL the test is skipped."""
    with tempfile.TemporaryDirectory(prefix="lamplighter-postgresql-", dir=in_memory()) as folder:
        # The server runs as another user, who must get there.
        Path(folder).chmod(0o711)
        try:
            server = Server(Path(folder) / "server", settings=settings, initdb=initdb)
        except NoServer as error:
            skip_or_fail(error)
        with server:
            yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A running server. A test may kill it, if the test starts it again."""
    with own_server() as server:
        yield server


@pytest.fixture
def fresh_postgres(postgres_server: Server) -> Callable[[], str]:
    """Gives an address whose schema is not there yet, a different one at each call."""
    return lambda: f"{postgres_server.url}?schema=fresh_{secrets.token_hex(4)}"


@pytest.fixture
def postgres(postgres_server: Server) -> str:
    """The address of a store that holds nothing. It is quicker than `fresh_postgres`, as its tables are there."""
    url = f"{postgres_server.url}?schema=shared"
    empty(url)
    return url


def empty(url: str) -> None:
    """Make the store at an address one that holds nothing: by deletes, as to truncate all tables takes 300 ms."""
    address = parse_address(url)
    with contextlib.closing(connect(address, durability="os")) as database:
        migrate(database)
        tables = database.execute("select tablename from pg_tables where schemaname = ?", (address.schema,))
        statements = [f"delete from {table}" for (table,) in tables if table.startswith("lamplighter_")]
        statements += [f"alter sequence {sequence} restart" for sequence in NUMBERED.values()]
        statements += [one for one in CREATION if one.startswith("insert into lamplighter_store")]
        database.script("; ".join(statements))
        database.execute("update lamplighter_store set store_id = ?", (secrets.token_hex(12),))
