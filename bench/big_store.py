"""A store of two million jobs: 94.5 % of them are done, 0.5 % dead, 0.5 % cancelled, 4.5 % queued, of which a third
wait; a hundred run. Besides, it has a hundred schedules that fire once a year, and sums of a week of forty names. What
looks at one is measured on it.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from lamplighter.cron.schedule import keyed_id
from lamplighter.messages.tallies import BOUNDS, HOUR, MINUTE, RAN, WAITED, start_of
from lamplighter.rules.codec import encode_own
from lamplighter.stores.sqlite.store import SqliteStore

JOBS = 2_000_000
BEGAN = 1.7e9
NAMES = 40
RUNNING = 100
SCHEDULES = 100
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "UTC")

FILL = """
with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < :jobs),
made as materialized (select n, case when n > :jobs - :running then 'running' when n > :jobs * 0.955 then 'queued'
    when abs(random() % 1000) < 5 then 'dead' when abs(random() % 1000) < 5 then 'cancelled' else 'done' end state
  from numbers)
insert into lamplighter_jobs (no, id, name, data, state, priority, run_at, queued_at, corr, attempt, claim_no,
  settled_no, boot, result, reason, error, traceback, ended_at, claimed_at, rev, waits)
select n, lower(hex(randomblob(12))), 'name-' || (n % :names),
  '{"user":{"id":' || (n % 50000) || '},"to":"person' || n || '@example.org","subject":"of some length","tags":["a"]}',
  state, 0, :began + n, :began + n, lower(hex(randomblob(12))), state <> 'queued', state <> 'queued',
  state <> 'queued' and state <> 'running', iif(state = 'running', 'boot', null), iif(state = 'done', '{"ok":1}', null),
  iif(state = 'dead', 'failed in attempt 20 of 20', null),
  iif(state = 'dead', iif(n % 2, 'TimeoutError: no answer', 'ValueError: expected a name, got ''' || n || ''''), null),
  iif(state = 'dead', replace(hex(zeroblob(400)), '00', 'in '), null),
  iif(state = 'queued' or state = 'running', null, :began + n + abs(random() % 1000)),
  iif(state = 'queued', null, :began + n), 3, state = 'queued' and n % 3 = 0
from made
"""

SCHEDULE = """
insert into lamplighter_schedules (id, name, "when", data, timezone, dst_gap, dst_fold, catch_up, catch_up_window,
  catch_up_max, overlap, jitter, durable, paused, accounted_to, changed_at, change_no, key)
values (?, 'idle', '0 0 1 1 *', 'null', ?, 'run_after', 'first', 'latest', 86400.0, 100, 'allow', 0.0, 1, 0, ?, ?, ?, ?)
"""


def fill(path: Path, jobs: int) -> None:
    """Make a store with so many jobs."""
    SqliteStore(str(path)).open()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma synchronous = off")
        connection.execute("begin")
        connection.execute(FILL, {"jobs": jobs, "running": min(RUNNING, jobs // 100), "names": NAMES, "began": BEGAN})
        connection.execute("commit")
    add_schedules(path)
    add_sums(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma wal_checkpoint (truncate)")


def add_schedules(path: Path) -> None:
    """Store schedules that look far ahead for their next slot."""
    now, keys = time.time(), [f"once-a-year-{number}" for number in range(SCHEDULES)]
    rows = [
        (keyed_id("idle", key), ZONES[number % len(ZONES)], now, now, number + 1, key)
        for number, key in enumerate(keys)
    ]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(SCHEDULE, rows)
        connection.execute("update lamplighter_store set change_no = ?", (SCHEDULES,))


def add_sums(path: Path) -> None:
    """Store what became of jobs of every name, in each minute and hour that is kept up to now."""
    now = time.time()
    buckets = encode_own([100] * (len(BOUNDS) + 1))
    kinds = [("queued", "[]"), ("done", "[]"), ("dead", "[]"), (WAITED, buckets), (f"{RAN}succeeded", buckets)]
    kinds.append((f"{RAN}failed", buckets))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("delete from lamplighter_tallies")
        for unit, count in ((MINUTE, 180), (HOUR, 8 * 24)):
            rows = [
                (unit, start_of(unit, now - back * unit), f"name-{name}", kind, 100, 1.0, text)
                for back in range(count)
                for name in range(NAMES)
                for kind, text in kinds
            ]
            connection.executemany("insert into lamplighter_tallies values (?, ?, ?, ?, ?, ?, ?)", rows)


@contextlib.contextmanager
def given_store(says: str | None) -> Iterator[tuple[Path, int]]:
    """The store that a script's arguments ask for, which is made where it is missing, and how many jobs it has.

    Args:
        says: what the script does.
    """
    parser = argparse.ArgumentParser(description=says, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--store", type=Path, help="a file that an earlier run has left")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.store or Path(folder) / "jobs.db"
        if not path.exists():
            fill(path, given.jobs)
        yield path, given.jobs
