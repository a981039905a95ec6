"""What the tests of the store on SQLite share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lamplighter.stores.sqlite.store import SqliteStore


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    """An open store, in memory."""
    one = SqliteStore(":memory:")
    one.open()
    yield one
    one.close()
