"""Questions to boots, each a row: whoever asks inserts it, the boot's watcher writes the answer into it.

A notification only says that there is something to read: it carries 8,000 bytes, and an answer may have 4 MiB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from ...messages.jobs import Seconds

ASKS = """
create unlogged table lamplighter_asks (
    no bigint generated always as identity primary key,
    boot text collate "C" not null,
    asker bigint not null,
    ask bytea not null,
    answer bytea,
    asked_at timestamptz not null default clock_timestamp()
)
"""
"""The table. It is not logged, because nobody waits any more for an answer from before a crash."""

CHANNEL = "select 'lamplighter_' || 'lamplighter_store'::regclass::oid, pg_backend_pid()"
"""The store's channel of notifications, by an oid that one table of the database has, in whatever schema; and the
process that they come from if they come from here, which a pooler does not tell by itself.
"""

ASKED = "ask"
"""The text of a notification on the store's channel that is no hint."""

ASK = """
with asked as (
    insert into lamplighter_asks (boot, asker, ask) select boot, pg_backend_pid(), $1 from unnest($2::text[]) boot
    returning no, boot
)
select no, boot, pg_notify($3, $4) from asked
"""

FIND_ASKS = "select no, boot, ask from lamplighter_asks where boot = any($1::text[]) and answer is null order by no"

GIVE_ANSWER = """
with answered as (update lamplighter_asks set answer = $2 where no = $1 returning asker)
select pg_notify($3 || '_' || asker, '') from answered
"""
"""Writes an answer, unless nobody waits for it any more."""

READ = "select boot, answer from lamplighter_asks where no = any($1::bigint[]) and answer is not null"

REMOVE = "delete from lamplighter_asks where no = any($1::bigint[]) or asked_at < clock_timestamp() - interval '60 s'"
"""Removes also the questions of others that were killed before they could."""


def run(connection: psycopg.Connection[Any], query: str, parameters: Sequence[Any] = ()) -> list[Any]:
    """Execute a statement with the parameters `$1`, `$2`... as psycopg sends them, in a transaction of its own."""
    cursor = psycopg.RawCursor(connection).execute(query, parameters or None)
    return cursor.fetchall() if cursor.description else []


def ask_boots(
    connection: psycopg.Connection[Any],
    boots: Sequence[str],
    question: bytes,
    timeout: Seconds,
    monotonic: Callable[[], Seconds],
) -> dict[str, bytes]:
    """Ask boots the same, all at once. Returns the answers that have come in time."""
    execute, give_up_at = partial(run, connection), monotonic() + timeout
    ((channel, pid),) = execute(CHANNEL)
    execute(f"listen {channel}_{pid}")
    numbers = [number for number, *_ in execute(ASK, (question, list(boots), channel, ASKED))]
    try:
        answers: dict[str, bytes] = {}
        while len(answers) < len(numbers) and (left := give_up_at - monotonic()) > 0.0:
            # `notifies` holds the connection until its end, so it is run to its end first.
            list(connection.notifies(timeout=left, stop_after=1))
            answers = dict(execute(READ, (numbers,)))
        return answers
    finally:
        execute(REMOVE, (numbers,))
