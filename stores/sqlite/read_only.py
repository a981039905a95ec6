"""Reading a store from outside of any runtime: the file is opened read-only, and nothing in it is changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from ...errors import UsageError
from ...messages.boots import BootRecord
from .boots import read_boots
from .schema import VERSION

BUSY_SECONDS_MAX = 10.0


class StoredJob(NamedTuple):
    """What an audit compares of a job.

    Attributes:
        due_at: until which instant it was asked to wait; None of a wait in seconds, which is corrected when the clock
            is set.
    """

    id: str
    name: str
    state: str
    claim_no: int
    attempt: int
    rev: int
    data: str
    due_at: float | None

    @property
    def is_counted(self) -> bool:
        """Whether no host's own transaction has moved it since a turn has counted."""
        return self.rev > 0


class StoredSlots(NamedTuple):
    """A slot with its job, or a range of slots that did not fire."""

    schedule: str
    slot: float
    last: float
    number: int
    outcome: str
    job_id: str | None


class ReadOnlyView:
    """One consistent view of a store's file. Close it, or use it as a context manager."""

    def __init__(self, store: str | Path | sqlite3.Connection) -> None:
        self._own = not isinstance(store, sqlite3.Connection)
        self._connection = store if isinstance(store, sqlite3.Connection) else _open(str(store))
        if self._own:
            # One transaction: everything that is read belongs to one instant.
            self._connection.execute("begin")

    def store_id(self) -> str:
        """What tells this store from any other."""
        return str(self._connection.execute("select store_id from lamplighter_store").fetchone()[0])

    def boot_no(self) -> int:
        """The number of the boot that came last."""
        return int(self._connection.execute("select boots from lamplighter_store").fetchone()[0])

    def boots(self) -> list[BootRecord]:
        """Boots that live, or that nobody has buried."""
        return read_boots(self._connection)

    def jobs(self) -> Iterator[StoredJob]:
        """Every job."""
        rows = self._connection.execute(
            """select id, name, state, claim_no, attempt, rev, data, case when due_in is null then run_at end
               from lamplighter_jobs"""
        )
        return map(StoredJob._make, rows)

    def slots(self) -> Iterator[StoredSlots]:
        """Every slot that is remembered, by schedule and in order."""
        rows = self._connection.execute(
            "select schedule_id, slot, last, count, outcome, job_id from lamplighter_slots order by schedule_id, slot"
        )
        yield from (StoredSlots(*row) for row in rows)

    def accounted(self) -> dict[str, float]:
        """Of each schedule, up to when its slots are accounted for."""
        return dict(self._connection.execute("select id, accounted_to from lamplighter_schedules"))

    def orphans(self) -> Iterator[tuple[str, str | None]]:
        """Running jobs whose boot is not on the store, as (job id, boot): a start or a neighbour takes them back."""
        yield from self._connection.execute(
            """select id, boot from lamplighter_jobs
               where state = 'running' and (boot is null or boot not in (select boot from lamplighter_boots))"""
        )

    def close(self) -> None:
        """Let go of the file."""
        if self._own:
            self._connection.close()

    def __enter__(self) -> ReadOnlyView:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open(path: str) -> sqlite3.Connection:
    where = path.removeprefix("sqlite:///") if path.startswith("sqlite:///") else path
    if not Path(where).is_file():
        raise UsageError(f"expected the path of a store's file, got: {path!r}, which is no file")
    try:
        address = f"file:{quote(str(Path(where).absolute()))}?mode=ro"
        connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS_MAX, isolation_level=None)
        version = connection.execute("select schema_version from lamplighter_store").fetchone()[0]
    except sqlite3.Error as error:
        raise UsageError(f"expected a store of Lamplighter, got: {path!r} ({error})") from error
    if version != VERSION:
        raise UsageError(
            f"expected a store of schema version {VERSION}, got: {path!r}, which has {version}; "
            "a start of a runtime makes an older one newer"
        )
    return connection
