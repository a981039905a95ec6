"""Questions to boots, each a row: whoever asks inserts it, the boot's watcher writes the answer into it.

A notification only says that there is something to read: it carries 8,000 bytes, and an answer may have 4 MiB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from ...messages.jobs import Seconds

Execute = Callable[[str, Sequence[Any]], list[Any]]

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

ASKED = "ask"
"""What a notification on the store's channel says where it is no hint."""

ASK = """
with asked as (
    insert into lamplighter_asks (boot, asker, ask) select boot, pg_backend_pid(), $1 from unnest($2::text[]) boot
    returning no, boot
)
select no, boot, pg_notify($3, $4) from asked
"""

FIND = "select no, boot, ask from lamplighter_asks where boot = any($1::text[]) and answer is null order by no"

ANSWER = """
with answered as (update lamplighter_asks set answer = $2 where no = $1 returning asker)
select pg_notify($3 || '_' || asker, '') from answered
"""

READ = "select boot, answer from lamplighter_asks where no = any($1::bigint[]) and answer is not null"

REMOVE = "delete from lamplighter_asks where no = any($1::bigint[]) or asked_at < clock_timestamp() - interval '60 s'"
"""Removes also the questions of others that were killed before they could."""


def run(connection: psycopg.Connection[Any], query: str, parameters: Sequence[Any] = ()) -> list[Any]:
    """Execute a statement with the parameters `$1`, `$2`... as psycopg sends them, in a transaction of its own."""
    cursor = psycopg.RawCursor(connection).execute(query, parameters or None)
    return cursor.fetchall() if cursor.description else []


def channel_of(execute: Execute) -> str:
    """The store's channel of notifications, by an oid that one table of the database has, in whatever schema."""
    ((oid,),) = execute("select 'lamplighter_store'::regclass::oid", ())
    return f"lamplighter_{oid}"


def find_asks(execute: Execute, boots: Sequence[str]) -> list[tuple[int, str, bytes]]:
    """The questions to these boots that have no answer."""
    return execute(FIND, (boots,)) if boots else []


def give_answer(execute: Execute, number: int, line: bytes, channel: str) -> None:
    """Answer a question, unless nobody waits for that any more."""
    execute(ANSWER, (number, line, channel))


def ask_boots(
    connection: psycopg.Connection[Any],
    execute: Execute,
    boots: Sequence[str],
    question: bytes,
    timeout: Seconds,
    monotonic: Callable[[], Seconds],
) -> dict[str, bytes]:
    """Ask boots the same, all at once. Returns the answers that have come in time."""
    give_up_at, channel = monotonic() + timeout, channel_of(execute)
    execute(f"listen {channel}_{connection.info.backend_pid}", ())
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
