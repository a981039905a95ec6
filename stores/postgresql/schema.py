"""The schema in a database: how its tables are created and migrated."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from ...errors import StoreGone
from ..tables.schema import CREATION, VERSION, check_version, check_whole, read_store_id
from .asks import ASKS
from .connection import PostgresDatabase
from .spelling import MADE_HERE

OWN: Sequence[str] = (ASKS, *MADE_HERE)
"""Statements for what SQLite's store does not have, in PostgreSQL's spelling."""

MIGRATIONS: Mapping[int, Sequence[str]] = {}
"""The statements that lead to a version from the one before, in PostgreSQL's spelling."""

OLDEST = VERSION - len(MIGRATIONS)

TYPES = {"integer": "bigint", "real": "double precision", "text": 'text collate "C"'}
WORDS = re.compile(rf"\b({'|'.join(TYPES)})\b|\s+strict(?:, without rowid)?\s*$")
TABLE = re.compile(r"\s*create table (\w+)")

NUMBERED = {"lamplighter_jobs": "lamplighter_job_no", "lamplighter_schedule_changes": "lamplighter_schedule_change_no"}
"""Tables in which SQLite numbers the rows, and the sequences that do so here."""

OFTEN_UPDATED = {"lamplighter_boots", "lamplighter_turns"}
"""Tables whose few rows are updated in nearly each turn: new versions of a row fit beside the old one."""


def ddl(statement: str) -> str:
    """A statement of `stores.tables.schema` in PostgreSQL's spelling."""
    found = TABLE.match(statement)
    if found is None:
        return statement
    table, before = found[1], ""
    text = WORDS.sub(lambda word: TYPES[word[1]] if word[1] else "", statement)
    if table in NUMBERED:
        before = f"create sequence {NUMBERED[table]};\n"
        text = re.sub(r"(bigint primary key)", rf"\1 default nextval('{NUMBERED[table]}')", text, count=1)
    return f"{before}{text}{' with (fillfactor = 50)' if table in OFTEN_UPDATED else ''}"


def creation() -> str:
    """The statements that create all tables in the current schema."""
    return ";\n".join((*map(ddl, CREATION), *OWN))


GRANTS = (
    'grant usage on schema "{schema}" to {role}',
    'grant select, insert, update, delete on all tables in schema "{schema}" to {role}',
    'grant usage on all sequences in schema "{schema}" to {role}',
)
"""The rights of a role that does all but create the tables."""

NEW_ID = "left(replace(cast(gen_random_uuid() as text), '-', ''), 24)"


def script(schema: str, roles: Sequence[str]) -> str:
    """The statements by which an administrator creates the tables for roles that may not: all of them, or none."""
    quoted = ['"{}"'.format(role.replace('"', '""')) for role in roles]
    lines = (
        "begin",
        f'create schema if not exists "{schema}"',
        f'set local search_path = "{schema}"',
        creation(),
        f"update lamplighter_store set store_id = {NEW_ID}",
        *(grant.format(schema=schema, role=role) for role in quoted for grant in GRANTS),
        "commit",
    )
    return "".join(f"{line};\n" for line in lines)


def migrate(database: PostgresDatabase, new_id: Callable[[], str] | None = None) -> str:
    """Bring the schema to `VERSION`, in one transaction; if it is there, nothing is locked.

    Args:
        new_id: makes the id of a new store; PostgreSQL does by default.

    Returns:
        The store's id.

    Raises:
        SchemaTooNew, StoreError: this code cannot use it; nothing is changed.
        StoreGone: the role has not the rights; the text says which to grant.
        StoreUnavailable: another process has been at it for too long.
    """
    version = read_version(database)
    if version < VERSION:
        database.begin()
        try:
            _migrate(database, new_id)
            database.commit()
        except BaseException:
            database.rollback()
            raise
    else:
        check_version(version, VERSION, OLDEST, other="schema")
    return read_store_id(database)


def _migrate(database: PostgresDatabase, new_id: Callable[[], str] | None) -> None:
    schema = database.address.schema
    database.script("set local lock_timeout = '5s'")
    database.execute("select pg_advisory_xact_lock(hashtextextended(?, 0))", (f"lamplighter {schema}",))
    # Another process may have been first.
    version = read_version(database)
    check_version(version, VERSION, OLDEST, other="schema")
    if version == 0:
        version = VERSION
        # With `if not exists` PostgreSQL would still ask for the right to create one.
        if not database.execute("select exists (select from pg_namespace where nspname = ?)", (schema,)).fetchone()[0]:
            _with_rights(database, f'create schema "{schema}"')
        _with_rights(database, creation())
    for step in range(version + 1, VERSION + 1):
        _with_rights(database, ";\n".join(MIGRATIONS[step]))
        database.execute("update lamplighter_store set schema_version = ?", (step,))
    database.execute(
        f"update lamplighter_store set store_id = coalesce(?, {NEW_ID}) where store_id is null",
        (None if new_id is None else new_id(),),
    )


def _with_rights(database: PostgresDatabase, text: str) -> None:
    try:
        database.script(text)
    except StoreGone as error:
        schema, role = database.address.schema, database.raw.info.user
        raise StoreGone(
            f'{error}; expected a role that may create tables: have an administrator run create schema "{schema}" '
            f'authorization "{role}", or grant create, usage on schema "{schema}" to "{role}", '
            "or run what `lamplighter schema` prints"
        ) from error


def check_existing(database: PostgresDatabase) -> None:
    """Make sure that a schema has tables of `VERSION`, and change nothing.

    Raises:
        UsageError, SchemaTooNew, StoreError: see `check_whole`.
    """
    check_whole(read_version(database), VERSION, OLDEST, database.address.shown, other="schema")


def read_version(database: PostgresDatabase) -> int:
    """The version of the schema; 0 without our tables."""
    # Read from the catalog, because to_regclass may answer from what the session knew before it waited for a lock.
    there = "select exists (select from pg_tables where schemaname = ? and tablename = 'lamplighter_store')"
    schema = database.address.schema
    if not database.execute(there, (schema,)).fetchone()[0]:
        return 0
    # The search path passes over a schema that this role may not use, and PostgreSQL would not say so.
    return int(database.execute(f'select schema_version from "{schema}".lamplighter_store').fetchone()[0])
