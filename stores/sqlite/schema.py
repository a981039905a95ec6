"""The tables of the SQLite store, and how an older file becomes a newer one.

Every name begins with `lamplighter_`, and the version lives in a table of ours, never in `user_version`: the file may
be the host's own database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from ...errors import SchemaTooNew
from . import write_lock as writelock

VERSION = 2
"""The schema that this code reads and writes."""

# For `in` with a list SQLite builds a table of it each time a row is written: 2 us, a third of an update.
JOB_COLUMNS = """
  no                integer primary key autoincrement,
  id                text not null unique,
  name              text not null,
  data              text not null,
  state             text not null
    check (state = 'queued' or state = 'running' or state = 'done' or state = 'dead' or state = 'cancelled'),
  priority          integer not null,
  run_at            real not null,
  queued_at         real not null,
  corr              text not null,
  attempt           integer not null default 0,
  claim_no          integer not null default 0,
  settled_no        integer not null default 0,
  max_attempts      integer,
  timeout           real,
  expires_at        real,
  unique_key        text,
  schedule          text,
  slot              real,
  solo              integer not null default 0,
  boot              text,
  incarnation       integer,
  begun             integer not null default 0,
  deferred          integer not null default 0,
  claimed_at        real,
  interruptions     integer not null default 0,
  interruptions_max integer,
  suspect_until     real,
  wary              integer not null default 0,
  result            text,
  reason            text,
  error             text,
  traceback         text,
  progress          text,
  ended_at          real,
  rev               integer,
  told              text,
  trail             text not null default ''
"""

MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (
        """create table lamplighter_store (
          one integer primary key check (one = 1), schema_version integer not null, rev integer not null,
          change_no integer not null
        ) strict""",
        "insert into lamplighter_store values (1, 0, 0, 0)",
        f"create table lamplighter_jobs ({JOB_COLUMNS}) strict",
        # The jobs that are claimed next: one range is read for each priority.
        """create index lamplighter_jobs_due on lamplighter_jobs (name, priority desc, run_at, no)
           where state = 'queued'""",
        "create index lamplighter_jobs_running on lamplighter_jobs (name, boot) where state = 'running'",
        # The database itself refuses a second unfinished job with the same key.
        """create unique index lamplighter_jobs_unique on lamplighter_jobs (name, unique_key)
           where unique_key is not null and state in ('queued', 'running')""",
        "create index lamplighter_jobs_untold on lamplighter_jobs (no) where rev is null",
        "create index lamplighter_jobs_ended on lamplighter_jobs (state, ended_at) where ended_at is not null",
        """create index lamplighter_jobs_expiring on lamplighter_jobs (expires_at)
           where state = 'queued' and expires_at is not null""",
        """create index lamplighter_jobs_suspect on lamplighter_jobs (name, suspect_until)
           where state = 'queued' and suspect_until is not null""",
        """create index lamplighter_jobs_schedule on lamplighter_jobs (schedule, state)
           where schedule is not null and state in ('queued', 'running')""",
        """create table lamplighter_attempts (
          job_id text not null, claim_no integer not null, attempt integer not null, outcome text not null,
          boot text not null, begun integer not null, claimed_at real not null, ended_at real not null,
          error text, traceback text,
          primary key (job_id, claim_no)
        ) strict, without rowid""",
        """create table lamplighter_boots (
          boot text primary key, pid integer not null, host text not null, started_at real not null,
          hint text, names text not null default '[]', turn text not null default '[]'
        ) strict""",
        "create table lamplighter_pauses (name text primary key, paused_at real not null) strict",
        """create table lamplighter_schedules (
          id text primary key, name text not null, "when" text not null, data text not null, timezone text not null,
          dst_gap text not null, dst_fold text not null, catch_up text not null, catch_up_window real not null,
          catch_up_max integer not null, overlap text not null, jitter real not null, durable integer not null,
          paused integer not null, accounted_to real not null, changed_at real not null, last_slot real,
          change_no integer not null
        ) strict""",
        # The schedules that have changed since a runtime looked: one range is read, however many there are.
        "create index lamplighter_schedules_changes on lamplighter_schedules (change_no)",
        # A slot fires once: its row and its job are inserted in one transaction, under this key.
        """create table lamplighter_slots (
          schedule_id text not null, slot real not null, last real not null, count integer not null,
          outcome text not null, reason text, job_id text,
          primary key (schedule_id, slot)
        ) strict, without rowid""",
    ),
    2: (
        "alter table lamplighter_store add column store_id text",
        # How many turns of the boot have left a trace here: less than it knows of means that the file is an older copy.
        "alter table lamplighter_boots add column turns integer not null default 0",
        "alter table lamplighter_store add column clock_count text",
        "alter table lamplighter_store add column clock_offset real",
        "alter table lamplighter_store add column clock_stepped real",
        # A schedule that is still at this change has been removed; one that is not has been used by somebody since.
        """create table lamplighter_retired (
          schedule_id text primary key, change_no integer not null
        ) strict, without rowid""",
        "alter table lamplighter_jobs add column waits integer not null default 0",
        "update lamplighter_jobs set waits = 1 where state = 'queued' and (run_at > queued_at or attempt > 0)",
        # The jobs that are claimed next. Those that wait for their time lie apart, so that no claim reads them, however
        # many they are.
        "drop index lamplighter_jobs_due",
        """create index lamplighter_jobs_ready on lamplighter_jobs (name, priority desc, run_at, no)
           where state = 'queued' and waits = 0""",
        """create index lamplighter_jobs_waiting on lamplighter_jobs (name, priority desc, run_at, no)
           where state = 'queued' and waits = 1""",
        # When the next waiting job is due, and which are, whatever their priorities.
        """create index lamplighter_jobs_later on lamplighter_jobs (name, run_at)
           where state = 'queued' and waits = 1""",
        # How many seconds a job was to wait, and in how many it is to expire; null where an instant was named.
        "alter table lamplighter_jobs add column due_in real default 0.0",
        "alter table lamplighter_jobs add column expires_in real",
        # An older version has not kept whether its jobs wait for seconds or until an instant. Those that wait now are
        # taken to wait until an instant.
        "update lamplighter_jobs set due_in = null where state = 'queued' and run_at > queued_at",
    ),
}
"""The statements that lead from the version before to each version."""


def migrate(connection: sqlite3.Connection, busy_ms: int, new_id: Callable[[], str] | None = None) -> str:
    """Bring the file to `VERSION`, in one transaction.

    Args:
        busy_ms: how long to wait for it.
        new_id: makes the id of a store that has none yet; SQLite does unless it is given.

    Returns:
        The store's id.

    Raises:
        SchemaTooNew: a newer Lamplighter wrote the file; nothing is changed.
    """
    writelock.begin(connection, busy_ms)
    try:
        version = read_version(connection)
        if version > VERSION:
            raise SchemaTooNew(
                f"expected a store with schema version {VERSION} or older, got: {version}; "
                "upgrade Lamplighter in this process, or give it another file"
            )
        for step in range(version + 1, VERSION + 1):
            for statement in MIGRATIONS[step]:
                connection.execute(statement)
            connection.execute("update lamplighter_store set schema_version = ?", (step,))
        store_id = _identity(connection, new_id)
        connection.execute("commit")
        return store_id
    except BaseException:
        connection.execute("rollback")
        raise


def _identity(connection: sqlite3.Connection, new_id: Callable[[], str] | None) -> str:
    """The id of the store: a file that is made anew at the same path is another store, and a log can tell."""
    if new_id is not None:
        connection.execute("update lamplighter_store set store_id = ? where store_id is null", (new_id(),))
    connection.execute("update lamplighter_store set store_id = lower(hex(randomblob(12))) where store_id is null")
    return str(connection.execute("select store_id from lamplighter_store").fetchone()[0])


def read_version(connection: sqlite3.Connection) -> int:
    """The schema version of the file; 0 where there is none of our tables."""
    found = connection.execute(
        "select count(*) from sqlite_schema where type = 'table' and name = 'lamplighter_store'"
    ).fetchone()[0]
    if not found:
        return 0
    return int(connection.execute("select schema_version from lamplighter_store").fetchone()[0])
