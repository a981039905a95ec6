"""A turn on SQLite, where it differs from one on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..tables.turn import TableTurn


class SqliteTurn(TableTurn):
    @contextmanager
    def forgetting(self) -> Iterator[None]:
        # Forgetting may have been promised to a person: SQLite must overwrite the data with zeros, which is not every
        # build's default.
        ((was,),) = self.connection.execute("pragma secure_delete").fetchall()
        self.connection.execute("pragma secure_delete = on")
        yield
        self.connection.execute(f"pragma secure_delete = {was}")
