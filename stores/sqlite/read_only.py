"""Reading a store from outside of any runtime: the file is opened read-only, and nothing in it is changed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from ...errors import UsageError

BUSY_SECONDS_MAX = 10.0


class StoredJob(NamedTuple):
    """What an audit compares of a job. `rev` is None while its last step is not logged; `trail` has the steps that no
    line at info or above has summed up.
    """

    id: str
    state: str
    claim_no: int
    attempt: int
    rev: int | None
    told: str | None
    trail: tuple[int, ...]


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

    def rev(self) -> int:
        """The revision of the last transition."""
        return int(self._connection.execute("select rev from lamplighter_store").fetchone()[0])

    def store_id(self) -> str | None:
        """What tells this store from any other; None of a file that only older versions have opened."""
        columns = self._connection.execute("select name from pragma_table_info('lamplighter_store')")
        if ("store_id",) not in columns.fetchall():
            return None
        found: str | None = self._connection.execute("select store_id from lamplighter_store").fetchone()[0]
        return found

    def jobs(self) -> Iterator[StoredJob]:
        """Every job."""
        rows = self._connection.execute("select id, state, claim_no, attempt, rev, told, trail from lamplighter_jobs")
        for job_id, state, claim_no, attempt, rev, told, trail in rows:
            yield StoredJob(job_id, state, claim_no, attempt, rev, told, _revs_of(trail))

    def open_revs(self) -> Iterator[int]:
        """Revisions that no line at info or above has summed up yet."""
        for (trail,) in self._connection.execute("select trail from lamplighter_jobs where trail <> ''"):
            yield from _revs_of(trail)

    def slots(self) -> Iterator[StoredSlots]:
        """Every slot that is remembered, by schedule and in order."""
        rows = self._connection.execute(
            "select schedule_id, slot, last, count, outcome, job_id from lamplighter_slots order by schedule_id, slot"
        )
        yield from (StoredSlots(*row) for row in rows)

    def accounted(self) -> dict[str, float]:
        """Of each schedule, up to when its slots are accounted for."""
        return dict(self._connection.execute("select id, accounted_to from lamplighter_schedules"))

    def last_turns(self) -> Iterator[tuple[int, str, str]]:
        """What the last turn of each boot that is still on the store did, as (rev, event, job id)."""
        for (turn,) in self._connection.execute("select turn from lamplighter_boots"):
            yield from ((rev, event, job_id) for rev, event, job_id, *_ in json.loads(turn) if rev is not None)

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


def _revs_of(trail: str) -> tuple[int, ...]:
    return tuple(int(mark.partition("@")[0]) for mark in trail.split(",") if mark)


def _open(path: str) -> sqlite3.Connection:
    where = path.removeprefix("sqlite:///") if path.startswith("sqlite:///") else path
    if not Path(where).is_file():
        raise UsageError(f"expected the path of a store's file, got: {path!r}, which is no file")
    try:
        address = f"file:{quote(str(Path(where).absolute()))}?mode=ro"
        connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS_MAX, isolation_level=None)
        connection.execute("select rev from lamplighter_store")
    except sqlite3.Error as error:
        raise UsageError(f"expected a store of Lamplighter, got: {path!r} ({error})") from error
    return connection
