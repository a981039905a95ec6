"""What the shared statements run on: a connection to SQLite as it is, or to PostgreSQL through a class of its own.

The texts of the statements are SQLite's. Where PostgreSQL needs another word, its store has a table of phrases; what
only PostgreSQL needs, such as the lock of a row, stands in a comment of the form `/*pg ... */`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol


class Cursor(Protocol):
    """The outcome of a statement."""

    @property
    def rowcount(self) -> int:
        """How many rows a write has touched."""

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Statements(Protocol):
    """Runs statements: a `Database`, or a cursor of an application's connection."""

    def execute(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ..., /) -> Cursor:
        """Run a statement with values for its `?`, or for its `:name`s."""

    def executemany(self, query: str, parameters: Iterable[Any], /) -> Cursor:
        """Run a statement for each row of values; the `rowcount` is that of all."""


class Database(Statements, Protocol):
    """A connection.

    Attributes:
        IntegrityError: raised where a row has a twin, or breaks another rule of a table.
    """

    @property
    def total_changes(self) -> int:
        """How many rows were written so far."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    @property
    def IntegrityError(self) -> type[Exception]: ...


def upsert(table: str, key: str, *columns: str) -> str:
    """A statement that inserts a row, or replaces the values of the one with its key.

    Args:
        key: the columns of the key, as the statement lists them.
        columns: the others.
    """
    names = ", ".join((key, *columns))
    places = ", ".join("?" * (key.count(",") + 1 + len(columns)))
    settings = ", ".join(f"{column} = excluded.{column}" for column in columns)
    return f"insert into {table} ({names}) values ({places}) on conflict ({key}) do update set {settings}"


@contextmanager
def at_one_instant(connection: Database) -> Iterator[None]:
    """Have the statements of the block see the store as it is now."""
    if connection.in_transaction:
        yield
        return
    connection.execute("begin")
    try:
        yield
    finally:
        connection.execute("commit")
