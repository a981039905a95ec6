"""The condition of a PostgreSQL server, and of the store's schema in it, as the doctor and operators need it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

from ...errors import LamplighterError
from ...messages.jobs import Instant, Seconds
from ..places import LOOK_SECONDS, LOOKS, Condition, LockHolder
from ..tables.condition import TableCondition
from ..tables.schema import CREATION, VERSION, check_here
from .address import PostgresAddress
from .connection import PostgresDatabase, connect
from .readers import READ_ONLY
from .schema import read_version

OURS = "application_name like 'lamplighter%'"

WHO = "pid, coalesce(application_name, ''), coalesce(usename, '?'), coalesce(host(client_addr), 'the server itself')"

HOLDERS = f"""
select {WHO}, coalesce(state, '?'), coalesce(extract(epoch from clock_timestamp() - xact_start), 0.0),
  exists (select 1 from pg_stat_activity w where w.{OURS} and a.pid = any(pg_blocking_pids(w.pid))) as blocks
from pg_stat_activity a
where pid <> pg_backend_pid() and pid in (
  select l.pid from pg_locks l
  where l.locktype = 'relation' and l.relation = to_regclass('lamplighter_jobs') and l.granted
    and l.mode <> 'AccessShareLock')
order by blocks desc, xact_start limit 5
"""
"""Sessions that have locked rows of jobs, or the whole table; first those that others wait for."""

XMINS = f"""
select 'session', {WHO}, age(backend_xmin), extract(epoch from clock_timestamp() - xact_start)
from pg_stat_activity where backend_xmin is not null and pid <> pg_backend_pid()
union all
select 'prepared transaction', 0, gid, cast(owner as text), '', age(transaction),
  extract(epoch from clock_timestamp() - prepared)
from pg_prepared_xacts where database = current_database()
union all
select 'replication slot', 0, cast(slot_name as text), '', '', age(xmin), null
from pg_replication_slots where xmin is not null
order by 6 desc
"""
"""The sessions and slots that keep VACUUM from removing dead rows, by an old snapshot."""

TABLES = """
select cast(relname as text), n_live_tup, n_dead_tup, cast(pg_total_relation_size(relid) as bigint)
from pg_stat_user_tables where schemaname = current_schema() and starts_with(relname, 'lamplighter_')
order by n_dead_tup desc
"""

MISSING_RIGHTS = """
select cast(relname as text), string_agg(wanted, ', ')
from pg_class cross join unnest(array['select', 'insert', 'update', 'delete']) as wanted
where relnamespace = to_regnamespace(current_schema()) and relkind = 'r' and starts_with(relname, 'lamplighter_')
  and not has_table_privilege(oid, wanted)
group by relname order by relname
"""

FACTS = f"""
select current_setting('server_version'), current_setting('fsync'), current_setting('full_page_writes'),
  current_setting('synchronous_commit'), current_setting('synchronous_standby_names'),
  cast(current_setting('max_connections') as integer),
  (select count(*) from pg_stat_activity where backend_type = 'client backend'),
  (select count(*) from pg_stat_activity where {OURS} and datname = current_database()),
  (select count(*) from pg_stat_replication where sync_state in ('sync', 'quorum')),
  pg_is_in_recovery(),
  (select reset_val = 'on' from pg_settings where name = 'default_transaction_read_only'), cast(current_user as text),
  (select pg_has_role(relowner, 'usage') from pg_class where oid = to_regclass('lamplighter_jobs')),
  extract(epoch from clock_timestamp())
"""

COLUMNS = """
select cast(c.relname as text), cast(a.attname as text)
from pg_attribute a join pg_class c on c.oid = a.attrelid
where c.relnamespace = to_regnamespace(current_schema()) and c.relkind = 'r' and starts_with(c.relname, 'lamplighter_')
  and a.attnum > 0 and not a.attisdropped
"""

INDEXES = """
select cast(c.relname as text) from pg_index i join pg_class c on c.oid = i.indexrelid
where c.relnamespace = to_regnamespace(current_schema()) and i.indisvalid
"""

TABLE = re.compile(r"\s*create table (\w+) \((.*)\)", re.DOTALL)
COLUMN = re.compile(r'(?:^|,)\s*"?(\w+)"? +(?:integer|real|text)\b')
INDEX = re.compile(r"\s*create (?:unique )?index (\w+)")


class ServerSession(NamedTuple):
    """A session, or a prepared transaction or a replication slot, and for how long it has had what it holds.

    Attributes:
        words: who that is, for people.
        transactions: how many have begun on the server since.
    """

    words: str
    seconds: Seconds | None
    transactions: int


class TableSize(NamedTuple):
    name: str
    live: int
    dead: int
    bytes: int


class ServerFacts(NamedTuple):
    """The findings of one look at a server.

    Attributes:
        connections: all of them, of which `ours` are of runtimes and operators on this database.
        standbys: those that commits wait for, and that are connected.
        is_read_only: whether transactions of a new session only read, by a setting of the server, the database or the
          role.
        role: the user of this look, `owns` whether the tables are its own, or None if there are none.
        ahead: by how much the server's clock is ahead of the one here.
        version: of the tables; 0 if there are none.
    """

    server_version: str
    fsync: str
    full_page_writes: str
    synchronous_commit: str
    synchronous_standby_names: str
    max_connections: int
    connections: int
    ours: int
    standbys: int
    is_standby: bool
    is_read_only: bool
    role: str
    owns: bool | None
    ahead: Seconds
    version: int


class PostgresCondition(TableCondition, Condition):
    """The `Condition` of a server, looked at from any thread. No connection outlives its look.

    Raises:
        StoreError, StoreUnavailable, UsageError: from every method: it cannot be reached, or lets nobody in.
    """

    parts = frozenset(("database", "table"))
    schema_version = VERSION

    def __init__(self, address: PostgresAddress, now: Callable[[], Instant]) -> None:
        self.address = address
        # A standby takes nobody that wants to write, and is to be looked at all the same.
        joint = "&" if "?" in address.conninfo else "?"
        any_server = "" if "target_session_attrs" in address.conninfo else f"{joint}target_session_attrs=any"
        self._address = replace(address, conninfo=address.conninfo + any_server)
        self._now = now

    @contextlib.contextmanager
    def _reading(self) -> Iterator[PostgresDatabase]:
        database = connect(self._address, application_name="lamplighter doctor")
        with contextlib.closing(database):
            database.script(READ_ONLY)
            yield database

    @cached_property
    def unreached(self) -> str | None:
        """Why the server lets nobody in; None if it does."""
        try:
            with self._reading():
                return None
        except LamplighterError as error:
            return str(error)

    @cached_property
    def facts(self) -> ServerFacts:
        with self._reading() as reader:
            before = self._now()
            *found, there = reader.execute(FACTS).fetchone()
            return ServerFacts._make((*found, there - (before + self._now()) / 2, read_version(reader)))

    def missing_rights(self) -> Mapping[str, str]:
        """The rights that the user of this look lacks, by table."""
        with self._reading() as reader:
            return dict(reader.execute(MISSING_RIGHTS))

    def tables(self) -> Sequence[TableSize]:
        """The sizes of the tables, as far as the server counts them; those with the most dead rows first."""
        with self._reading() as reader:
            return [TableSize(*row) for row in reader.execute(TABLES)]

    def old_snapshots(self) -> Sequence[ServerSession]:
        """Those that keep dead rows from being removed, the oldest first."""
        with self._reading() as reader:
            found = reader.execute(XMINS).fetchall()
        return [
            ServerSession(_words(pid, name, user, where) if kind == "session" else f"{kind} {name!r}", seconds, age)
            for kind, pid, name, user, where, age, seconds in found
        ]

    def holders(self) -> Sequence[tuple[ServerSession, bool]]:
        """Sessions that have locked jobs, and whether a session of ours waits for that."""
        with self._reading() as reader:
            found = reader.execute(HOLDERS).fetchall()
        return [
            (ServerSession(f"{_words(pid, name, user, where)}, {state}", seconds, 0), blocks)
            for pid, name, user, where, state, seconds, blocks in found
        ]

    def lock_holder(self, wait: Callable[[Seconds], object] | None = None) -> LockHolder | None:
        for _ in range(1 if wait is None else LOOKS):
            holders = self.holders()
            for holder, blocks in holders:
                if blocks or wait is None:
                    return LockHolder(holder.words, None, "rows", "turns that need them wait")
            if not holders or wait is None:
                break
            wait(LOOK_SECONDS)
        return None

    def differences(self) -> Sequence[str]:
        """How the tables differ from those that this version makes."""
        with self._reading() as reader:
            columns, indexes = set(reader.execute(COLUMNS)), {name for (name,) in reader.execute(INDEXES)}
        wanted = {(found[1], column) for found in map(TABLE.match, CREATION) if found for column in _columns(found[2])}
        made = {found[1] for found in map(INDEX.match, CREATION) if found}
        return [
            *(f"column {table}.{column} is missing" for table, column in sorted(wanted - columns)),
            *(
                f"column {table}.{column} is not of this version"
                for table, column in sorted(columns - wanted)
                if table in {name for name, _ in wanted}
            ),
            *(f"index {name} is missing, or invalid" for name in sorted(made - indexes)),
        ]

    def check_tables(self, connection: Any) -> str | None:
        table = f'"{self.address.schema}".lamplighter_store'
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(f"select to_regclass('{table}') is not null")
            found = 0
            if cursor.fetchone()[0]:
                cursor.execute(f"select schema_version, moved_to from {table}")
                found, moved_to = cursor.fetchone()
                check_here(moved_to)
        if found == VERSION:
            return None
        has = f"version {found}" if found else "none"
        return f"expected Lamplighter's tables, version {VERSION}, in {self.address}, got: {has}"


def _columns(body: str) -> list[str]:
    return COLUMN.findall(re.sub(r"\([^()]*\)", "", body))


def _words(pid: int, name: str, user: str, where: str) -> str:
    return f"session {pid} ({name or 'without a name'}, {user} from {where})"
