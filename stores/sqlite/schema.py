"""The tables of the SQLite store, and migrations.

Every name begins with `lamplighter_`, and the version lives in a table of ours, not in `user_version`: the file may be
the host's own database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from ...errors import SchemaTooNew, StoreError, UsageError
from .connections import begin_writing
from .host_follow_ups import HOST_FOLLOW_UPS
from .steps import STEPS
from .tallies import TALLIES

VERSION = 2

# For `in` with a list SQLite builds a table at each write of a row: 2 us, a third of an update.
JOBS = """
create table lamplighter_jobs (
  no                integer primary key,
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
  one_at_a_time     integer not null default 0,
  boot              text,
  incarnation       integer,
  counts_attempt    integer not null default 0,
  deferred          integer not null default 0,
  claimed_at        real,
  interruptions     integer not null default 0,
  interruptions_max integer,
  suspect_until     real,
  must_begin        integer not null default 0,
  result            text,
  reason            text,
  error             text,
  traceback         text,
  progress          text,
  ended_at          real,
  rev               integer not null default 1,
  waits             integer not null default 0,
  due_in            real default 0.0,
  expires_in        real,
  carried           text,
  group_key         text,
  debounce_key      text,
  debounce_until    real
) strict
"""

JOB_INDEXES = (
    # The next jobs for lanes. Delayed jobs have other indexes: no claim reads them, however many they are.
    """create index lamplighter_jobs_ready on lamplighter_jobs (name, priority desc, run_at, no)
       where state = 'queued' and waits = 0""",
    """create index lamplighter_jobs_waiting on lamplighter_jobs (name, priority desc, run_at, no)
       where state = 'queued' and waits = 1""",
    # Delayed jobs by time, whatever their priorities.
    """create index lamplighter_jobs_later on lamplighter_jobs (name, run_at)
       where state = 'queued' and waits = 1""",
    # Jobs that wait for parents, or ended with one, where no claim looks.
    """create index lamplighter_jobs_linked on lamplighter_jobs (name)
       where state = 'queued' and waits = 2""",
    # Jobs with a group, read at that group's turn.
    """create index lamplighter_jobs_grouped on lamplighter_jobs (name, priority, group_key, run_at, no)
       where state = 'queued' and waits = 3""",
    # Jobs that are retried, for readers. A job that does not fail costs this nothing.
    """create index lamplighter_jobs_tried on lamplighter_jobs (name)
       where state = 'queued' and attempt > 0""",
    "create index lamplighter_jobs_running on lamplighter_jobs (name, group_key, boot) where state = 'running'",
    # The database itself refuses a second unfinished job with the same key.
    """create unique index lamplighter_jobs_unique on lamplighter_jobs (name, unique_key)
       where unique_key is not null and state in ('queued', 'running')""",
    # The one job that calls with a debounce key find: it has not released the key.
    """create unique index lamplighter_jobs_debounced on lamplighter_jobs (name, debounce_key)
       where debounce_until is not null""",
    "create index lamplighter_jobs_uncounted on lamplighter_jobs (no) where rev <= 0",
    "create index lamplighter_jobs_ended on lamplighter_jobs (state, ended_at) where ended_at is not null",
    # Includes the timeouts of claims whose handler has returned.
    """create index lamplighter_jobs_expiring on lamplighter_jobs (expires_at)
       where expires_at is not null and (state = 'queued' or deferred = 1)""",
    """create index lamplighter_jobs_suspect on lamplighter_jobs (name, suspect_until)
       where state = 'queued' and suspect_until is not null""",
    """create index lamplighter_jobs_schedule on lamplighter_jobs (schedule, state)
       where schedule is not null and state in ('queued', 'running')""",
    # Descendants of a root job. Other jobs cost this nothing.
    "create index lamplighter_jobs_children on lamplighter_jobs (corr) where corr <> id",
)

LINKS = (
    # A job waits only for jobs that were stored before it, so no two can wait for each other.
    """create table lamplighter_links (
      child integer not null, place integer not null, parent integer not null, any_end integer not null, met text,
      check (parent < child), primary key (child, place)
    ) strict, without rowid""",
    "create index lamplighter_links_parent on lamplighter_links (parent, child, place)",
    "create index lamplighter_links_open on lamplighter_links (child) where met is null",
    """create table lamplighter_parents_to_check (
      parent integer primary key, child integer not null default 0, place integer not null default 0
    ) strict""",
    """create table lamplighter_gone_parents (
      no integer primary key, id text not null, name text not null, state text not null, rev integer not null
    ) strict""",
)
"""Which job waits for which, by `no`: `place` is the link's place among the child's links, from 1; `any_end` whether
any end of the parent will do; `met` the parent's end, null until then.

`lamplighter_parents_to_check` has parents that have ended, or were queued again, whose links are unexamined beyond a
child's place. `lamplighter_gone_parents` keeps what links need of parents that retention removed.
"""

TURNS = (
    """create table lamplighter_turns (
      name text not null, priority integer not null, group_key text not null, next real not null,
      primary key (name, priority, group_key)
    ) strict, without rowid""",
    "create index lamplighter_turns_next on lamplighter_turns (name, priority, next)",
)
"""Groups with queued jobs, and their places in the line, see `turns`."""

SCHEDULE_CHANGES = (
    """create table lamplighter_schedule_changes (
      no integer primary key, schedule_id text not null, at real not null, record text
    ) strict""",
    "create index lamplighter_schedule_changes_of on lamplighter_schedule_changes (schedule_id)",
)

CREATION = (
    # `boots` is the number of the last boot, `last_no` that of the last job that retention has removed.
    """create table lamplighter_store (
      one integer primary key check (one = 1), schema_version integer not null, store_id text,
      boots integer not null, last_no integer not null, change_no integer not null,
      clock_count text, clock_offset real, clock_stepped real
    ) strict""",
    TALLIES,
    f"insert into lamplighter_store values (1, {VERSION}, null, 0, 0, 0, null, null, null)",
    JOBS,
    *JOB_INDEXES,
    """create table lamplighter_attempts (
      job_id text not null, claim_no integer not null, attempt integer not null, outcome text not null,
      boot text not null, begun integer not null, claimed_at real not null, ended_at real not null,
      error text, traceback text,
      primary key (job_id, claim_no)
    ) strict, without rowid""",
    STEPS,
    """create table lamplighter_boots (
      boot text primary key, pid integer not null, host text not null, started_at real not null, hint text,
      names text not null default '[]', boot_no integer not null, turn integer not null default 0,
      unlogged text not null default '[]', stopping integer not null default 0, kind text not null default 'worker',
      version text not null default '', python text not null default '', control text
    ) strict""",
    # Names that are paused, or have a limit; also some whose pause has ended by itself.
    """create table lamplighter_pauses (
      name text primary key, since real, "by" text, reason text, until real, "limit" integer
    ) strict""",
    """create table lamplighter_schedules (
      id text primary key, name text not null, "when" text not null, data text not null, timezone text not null,
      dst_gap text not null, dst_fold text not null, catch_up text not null, catch_up_window real not null,
      catch_up_max integer not null, overlap text not null, jitter real not null, durable integer not null,
      paused integer not null, accounted_to real not null, changed_at real not null, last_slot real,
      change_no integer not null, key text, priority integer not null default 0, max_attempts integer, timeout real,
      expires real
    ) strict""",
    # Changed schedules since a look: one range, however many there are.
    "create index lamplighter_schedules_changes on lamplighter_schedules (change_no)",
    # A schedule with the same change number was removed; with another, it has been used since.
    """create table lamplighter_retired (
      schedule_id text primary key, change_no integer not null
    ) strict, without rowid""",
    *LINKS,
    *TURNS,
    # The spent part of rates; a whole name has the group ''; see `rules.rates`.
    """create table lamplighter_rates (
      name text not null, group_key text not null, spent_to real not null, primary key (name, group_key)
    ) strict, without rowid""",
    *SCHEDULE_CHANGES,
    *HOST_FOLLOW_UPS,
    # A slot fires once: its row and its job are inserted in one transaction, under this key.
    """create table lamplighter_slots (
      schedule_id text not null, slot real not null, last real not null, count integer not null,
      outcome text not null, reason text, job_id text,
      primary key (schedule_id, slot)
    ) strict, without rowid""",
)

MIGRATIONS: dict[int, tuple[str, ...]] = {}
"""The statements that lead to a version from the one before. Version 2 is that of 0.2.0, the first release.

A migration that renames a table sets `pragma legacy_alter_table = on` before, and off afterwards: otherwise SQLite
reads each view of the application, and fails if one is broken.
"""

OLDEST = VERSION - len(MIGRATIONS)


def migrate(connection: sqlite3.Connection, busy_ms: int, new_id: Callable[[], str] | None = None) -> str:
    """Bring the file to `VERSION`, in one transaction.

    Args:
        busy_ms: how long to wait for it.
        new_id: makes the id of a new store; SQLite does by default.

    Returns:
        The store's id.

    Raises:
        SchemaTooNew: a newer Lamplighter wrote the file; nothing is changed.
        StoreError: the file is older than `OLDEST`; nothing is changed.
    """
    begin_writing(connection, busy_ms)
    try:
        version = read_version(connection)
        check_readable(version)
        if version == 0:
            version = VERSION
            for statement in CREATION:
                connection.execute(statement)
        for step in range(version + 1, VERSION + 1):
            for statement in MIGRATIONS[step]:
                connection.execute(statement)
            connection.execute("update lamplighter_store set schema_version = ?", (step,))
        # A new file at the same path is another store, and a log can tell.
        connection.execute(
            "update lamplighter_store set store_id = ifnull(?, lower(hex(randomblob(12)))) where store_id is null",
            (None if new_id is None else new_id(),),
        )
        store_id = read_store_id(connection)
        connection.execute("commit")
        return store_id
    except BaseException:
        connection.execute("rollback")
        raise


def check_existing(connection: sqlite3.Connection, address: str) -> None:
    """Make sure that a file has tables of `VERSION`, and change nothing.

    Raises:
        UsageError: it has none, or older ones.
        SchemaTooNew, StoreError: see `migrate`.
    """
    version = read_version(connection)
    check_readable(version)
    if version < VERSION:
        has = f"which has {version}: a start of a runtime makes it newer" if version else "which has none of its tables"
        raise UsageError(f"expected a store of schema version {VERSION}, got: {address}, {has}")


def check_readable(version: int, of: str = "") -> None:
    """Refuse a schema that this code can neither use nor migrate. Version 0 is a file without tables.

    Args:
        of: names the file in an error.

    Raises:
        SchemaTooNew, StoreError: see `migrate`.
    """
    if version > VERSION:
        raise SchemaTooNew(
            f"expected a store of schema version {VERSION} or older, got: {version}{of}; "
            "upgrade Lamplighter in this process, or give it another file"
        )
    if 0 < version < OLDEST:
        raise StoreError(
            f"expected a store of schema version {OLDEST} or newer, got: {version}{of}; "
            "give this process another file, or run the older Lamplighter that wrote this one"
        )


def read_store_id(connection: sqlite3.Connection) -> str:
    return str(connection.execute("select store_id from lamplighter_store").fetchone()[0])


def read_version(connection: sqlite3.Connection) -> int:
    """The schema version of the file; 0 without our tables."""
    found = connection.execute(
        "select count(*) from sqlite_schema where type = 'table' and name = 'lamplighter_store'"
    ).fetchone()[0]
    if not found:
        return 0
    return int(connection.execute("select schema_version from lamplighter_store").fetchone()[0])
