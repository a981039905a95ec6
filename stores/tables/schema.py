"""The tables of a store, as SQLite declares them; PostgreSQL's store translates the types.

Every name begins with `lamplighter_`, and the version lives in a table of ours: the database may be the application's
own.
"""

from __future__ import annotations

from ...errors import SchemaTooNew, StoreError, StoreGone, UsageError
from .database import Database
from .host_follow_ups import HOST_FOLLOW_UPS
from .steps import STEPS
from .tallies import TALLIES

VERSION = 3

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
    # `boots` is the number of the last boot, `last_no` that of the last job that retention has removed, and `moved_to`
    # the address of the store into which `moving` has moved all of this one.
    """create table lamplighter_store (
      one integer primary key check (one = 1), schema_version integer not null, store_id text,
      boots integer not null, last_no integer not null, change_no integer not null,
      clock_count text, clock_offset real, clock_stepped real, moved_to text
    ) strict""",
    TALLIES,
    f"insert into lamplighter_store values (1, {VERSION}, null, 0, 0, 0, null, null, null, null)",
    JOBS,
    *JOB_INDEXES,
    """create table lamplighter_attempts (
      job_id text not null, claim_no integer not null, attempt integer not null, outcome text not null,
      boot text not null, begun integer not null, claimed_at real not null, ended_at real not null,
      error text, traceback text, log text,
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


def check_version(version: int, known: int, oldest: int, *, other: str = "file", of: str = "") -> None:
    """Refuse a schema that this code can neither use nor migrate. Version 0 is a place without tables.

    Args:
        known: the version of this code.
        oldest: the oldest that it can migrate.
        other: what another store would be in, and `of` where this one is, for an error.

    Raises:
        SchemaTooNew: a newer Lamplighter wrote it.
        StoreError: it is older than `oldest`.
    """
    if version > known:
        raise SchemaTooNew(
            f"expected a store of schema version {known} or older, got: {version}{of}; "
            f"upgrade Lamplighter in this process, or give it another {other}"
        )
    if 0 < version < oldest:
        raise StoreError(
            f"expected a store of schema version {oldest} or newer, got: {version}{of}; "
            f"give this process another {other}, or run the older Lamplighter that wrote this one"
        )


def check_whole(version: int, known: int, oldest: int, address: str, *, other: str = "file") -> None:
    """Refuse a schema that this code cannot use without a migration.

    Raises:
        UsageError: there are no tables, or older ones.
        SchemaTooNew, StoreError: see `check_version`.
    """
    check_version(version, known, oldest, other=other)
    if version < known:
        has = f"which has {version}: a start of a runtime makes it newer" if version else "which has none of its tables"
        raise UsageError(f"expected a store of schema version {known}, got: {address}, {has}")


def read_store_id(connection: Database) -> str:
    """The id of a store that is to be used.

    Raises:
        UsageError: it was moved.
    """
    store_id, moved_to = connection.execute("select store_id, moved_to from lamplighter_store").fetchone()
    check_here(moved_to)
    return str(store_id)


def stored_id(connection: Database) -> str:
    return str(connection.execute("select store_id from lamplighter_store").fetchone()[0])


def check_same(found: str, store_id: str | None, address: str) -> None:
    """Refuse another store at the place of an open one.

    Raises:
        StoreGone: it is another one.
    """
    if found != store_id:
        raise StoreGone(
            f"expected the store {store_id} at {address}, got: {found}, which was put there since; put back a backup, "
            "or start the runtime anew"
        )


def check_here(moved_to: str | None) -> None:
    """Refuse a store that was moved.

    Raises:
        UsageError: it was.
    """
    if moved_to is not None:
        raise UsageError(
            "expected a store that is in use, got: one whose jobs `lamplighter migrate` has moved to "
            f"{moved_to}; give this process that address"
        )
