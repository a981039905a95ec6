"""The condition of a store's file: damage, size, leftovers.

The file is opened read-only, whatever its schema version. All reads are bounded.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ...messages.jobs import Seconds
from ..locks import check_is_file
from ..places import Condition, LockHolder
from ..tables.condition import TableCondition
from ..tables.schema import CREATION, VERSION, read_store_id
from . import schema
from .connections import Translation
from .read_only import LOOK_SECONDS_MAX, opened
from .shared_memory import LogState, lock_kept_by, log_state, write_lock_holder, written_at

DAMAGES_MAX = 20

STEPS_BETWEEN = 1_000

INTERRUPTIBLE_SINCE = (3, 42, 0)
"""Older versions of SQLite cannot interrupt a check for damage."""


class FilePages(NamedTuple):
    """The size of a database.

    Attributes:
        total: pages of the file, of which `free` are unused.
    """

    page_bytes: int
    total: int
    free: int


class FileCondition(TableCondition, Condition):
    """The `Condition` of a file, looked at from any thread.

    Raises:
        StoreError, StoreUnavailable, StoreCorrupt: from every method: no store, or not readable.
    """

    parts = frozenset(("file", "table"))
    unreached: str | None = None
    oldest_version, newest_version = schema.OLDEST, VERSION

    def __init__(self, path: str, monotonic: Callable[[], Seconds]) -> None:
        self.path = path
        self._monotonic = monotonic
        self._translated = Translation(path)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._translated:
            connection, _ = opened(self.path, check_same_thread=False, busy_seconds_max=LOOK_SECONDS_MAX)
            with contextlib.closing(connection):
                yield connection

    def log_state(self) -> LogState | None:
        return log_state(self.path)

    def log_bytes(self) -> int:
        try:
            return os.stat(f"{self.path}-wal").st_size
        except FileNotFoundError:
            return 0

    def log_written_at(self) -> int:
        return written_at(self.path)

    def lock_holder(self, wait: Callable[[Seconds], object] | None = None) -> LockHolder | None:
        pid = write_lock_holder(self.path) if wait is None else lock_kept_by(self.path, wait)
        return None if pid is None else LockHolder(f"process {pid}", pid)

    def sizes(self) -> tuple[int, int] | None:
        with contextlib.suppress(OSError):
            return os.stat(self.path).st_size, self.log_bytes()
        return None

    def check_there(self) -> None:
        check_is_file(self.path)

    def check_tables(self, connection: sqlite3.Connection) -> str | None:
        if (found := schema.read_version(connection)) == VERSION:
            read_store_id(connection)
            return None
        has = f"version {found}" if found else "none"
        return f"expected Lamplighter's tables, version {VERSION}, in {self.path}, got: {has}"

    def version(self) -> int:
        connection, version = opened(self.path, check_same_thread=False, busy_seconds_max=LOOK_SECONDS_MAX)
        connection.close()
        return version

    def pages(self) -> FilePages:
        with self._reading() as reader:
            return FilePages(*(reader.execute(f"pragma {of}").fetchone()[0] for of in PAGES))

    def damages(self, *, is_deep: bool, seconds_max: Seconds | None) -> Sequence[str] | None:
        """The damage that SQLite finds; None if the time was too short.

        Args:
            is_deep: compare indexes with their tables too.
        """
        check = "integrity_check" if is_deep else "quick_check"
        with self._reading() as reader:
            if seconds_max is not None:
                if sqlite3.sqlite_version_info < INTERRUPTIBLE_SINCE:
                    return None
                until = self._monotonic() + seconds_max
                reader.set_progress_handler(lambda: self._monotonic() > until, STEPS_BETWEEN)
            try:
                found = [str(row[0]) for row in reader.execute(f"pragma {check}({DAMAGES_MAX})")]
            except sqlite3.OperationalError as error:
                if "interrupted" not in str(error):
                    raise
                return None
        return [] if found == ["ok"] else found

    def differences(self) -> Sequence[str]:
        with self._reading() as reader, contextlib.closing(sqlite3.connect(":memory:")) as model:
            for statement in CREATION:
                model.execute(statement)
            return list(_differences(_shape(reader), _shape(model)))


PAGES = ("page_size", "page_count", "freelist_count")

Shape = dict[str, str]


def _shape(connection: sqlite3.Connection) -> Shape:
    named = (
        "select name, type, sql from sqlite_schema where name like 'lamplighter\\_%' escape '\\' and sql is not null"
    )
    shape = {}
    for name, kind, sql in connection.execute(named).fetchall():
        if kind == "table":
            # Compare columns, not text: a migration adds columns at other places of the text.
            columns = connection.execute(
                'select name, type, "notnull", dflt_value, pk from pragma_table_info(?)', (name,)
            )
            shape[f"table {name}"] = ", ".join(sorted(map(str, columns)))
        elif kind == "index":
            shape[f"index {name}"] = re.sub(r"\s+", " ", str(sql)).lower()
    return shape


def _differences(found: Shape, wanted: Shape) -> Iterator[str]:
    for what in sorted(wanted.keys() - found.keys()):
        yield f"{what} is missing"
    for what in sorted(wanted.keys() & found.keys()):
        if found[what] != wanted[what]:
            yield f"{what} is another than this version makes"
