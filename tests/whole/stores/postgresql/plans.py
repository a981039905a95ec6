"""How PostgreSQL goes about the statements of a store: its plans, for tables of several sizes and statistics."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lamplighter.stores.postgresql.address import parse_address
from lamplighter.stores.postgresql.connection import PostgresDatabase, connect
from lamplighter.stores.postgresql.schema import migrate
from psycopg.pq import ExecStatus

ROWS = int(os.environ.get("LAMPLIGHTER_PLAN_ROWS", "1000"))
"""How many rows a table has; with a million, the answers are the same."""

FILL = """
  insert into lamplighter_links select no, 1, no - 1, 0, 'done' from lamplighter_jobs where no > 1;
  insert into lamplighter_steps select no, 'a', '1', 1, 1 from lamplighter_jobs;
  insert into lamplighter_gone_parents select -i, 'g' || i, 'n', 'done', 1 from {rows};
  insert into lamplighter_attempts select 'j' || i, 1, 1, 'failed', 'b', 1, i, i from {rows};
  insert into lamplighter_slots select 's' || i % 10, i, i, 1, 'queued', null, 'j' || i from {rows};
  insert into lamplighter_turns select 'n' || i % 50, 0, 'g' || i, i from {rows};
  insert into lamplighter_rates select 'n' || i % 50, 'g' || i, i from {rows};
  insert into lamplighter_tallies select 60, i, 'n' || i % 50, 'done', 1, 1, '[]' from {rows}
"""


def _fill(database: PostgresDatabase, state: str, ended_at: str, waits: str = "0", group: str = "null") -> None:
    database.script(f"""
      insert into lamplighter_jobs
        (no, id, name, data, state, priority, run_at, queued_at, corr, waits, group_key, ended_at, boot)
      select no, 'j' || no, 'n' || no % 50, '1', '{state}', no % 7, no, no,
        case when no % 20 = 0 then 'j1' else 'j' || no end, {waits}, {group}, {ended_at}, 'b'
      from (select nextval('lamplighter_job_no') as no from generate_series(1, {ROWS})) as numbers
    """)


def _others(database: PostgresDatabase) -> None:
    database.script(FILL.format(rows=f"generate_series(1, {ROWS}) i"))


def never_analysed(database: PostgresDatabase) -> None:
    """The server has no statistics yet."""
    _fill(database, "done", "no")
    _fill(database, "queued", "null")
    _others(database)


def nothing_was_open(database: PostgresDatabase) -> None:
    """The statistics are of a time when no job was queued or ran, so all indexes of those were empty."""
    _fill(database, "done", "no")
    _others(database)
    database.script("analyze")
    _fill(database, "queued", "null")


def half_are_open(database: PostgresDatabase) -> None:
    """The statistics are of today, when half of all jobs are queued, in each way."""
    _fill(database, "done", "no")
    _fill(database, "queued", "null", "no % 4", "case when no % 4 = 3 then 'g' || no end")
    _others(database)
    database.script("analyze")


STATES: Sequence[Callable[[PostgresDatabase], None]] = (never_analysed, nothing_was_open, half_are_open)

SMALL = re.compile(
    "lamplighter_(store|boots|pauses|schedules|retired|schedule_changes|parents_to_check|follow_ups|asks)|pg_"
    "|lamplighter_jobs_(uncounted|suspect|expiring)"
)
"""Tables that are small, and indexes of jobs that wait for the next turn or are few: each may be read whole."""

WHOLE = {
    r"select state, count\(\*\) from lamplighter_jobs where name = \$1 or": "all jobs are counted",
    r"select count\(\*\) from lamplighter_jobs where true$": "all jobs are counted",
    r"select ended_at, no, id from lamplighter_jobs where true": "the newest of all; a search has a limit of its own",
    r"no in \(select no from (\(select no from )?lamplighter_jobs where state = '(queued|running)'": "a search",
    r"select count\(\*\) from \(select no from lamplighter_jobs where state = '(queued|running)'": "a limit",
    r"update lamplighter_jobs set run_at = case": "the clock was set",
    r"^update lamplighter_rates set spent_to = spent_to": "the clock was set",
    r"where state = 'running' and boot not in": "all running jobs, at the end of a boot",
    r"where state = 'running' and deferred = 0 and": "all running jobs, for the doctor",
    r"from lamplighter_jobs where rev <= 0 order by": "jobs that wait for the next turn",
    r"select id, s\.name from lamplighter_steps s join": "all steps, after a restored copy",
    r"select id from lamplighter_jobs j where state = 'queued' and waits = 2": "all linked ones, for the doctor",
    r"^delete from lamplighter_(rates|slots|schedules|retired|tallies) ": "retention",
    r"from lamplighter_slots order by schedule_id, slot$": "all slots, in a test",
}
"""Statements that may read all that there is, each with its reason."""


def scans(plan: Mapping[str, Any], parent: str = "") -> Iterator[str]:
    """What a plan reads without knowing where: a whole table or index, but for the first row of one."""
    kind = plan["Node Type"]
    target = plan.get("Index Name") or plan.get("Relation Name")
    is_first = "Filter" not in plan and (parent == "Limit" or plan.get("Parent Relationship") == "InitPlan")
    if target and "Scan" in kind and not {"Index Cond", "TID Cond"} & plan.keys() and not is_first:
        yield target
    for part in plan.get("Plans", ()):
        # What limits several parts in a row limits each of them.
        yield from scans(part, parent if kind in ("Append", "Subquery Scan") and parent == "Limit" else kind)


class Planner:
    """A database with the tables of a store in each state, that plans statements with a session like the store's."""

    def __init__(self, url: str) -> None:
        self._states = contextlib.ExitStack()
        self._databases: dict[str, PostgresDatabase] = {}
        self._seen: set[str] = set()
        for fill in STATES:
            address = parse_address(f"{url}?schema=plans_{fill.__name__}")
            database = self._states.enter_context(contextlib.closing(connect(address, durability="os")))
            migrate(database)
            database.script("set statement_timeout = 0")
            fill(database)
            self._databases[fill.__name__] = database

    def close(self) -> None:
        self._states.close()

    def complaints(self, text: str, types: Sequence[int]) -> Iterator[str]:
        """Whatever a statement would read whole that it should not. A statement is planned once."""
        if text in self._seen or not re.match(r"\s*(select|with|insert|update|delete)\b", text):
            return
        self._seen.add(text)
        line = " ".join(text.split())
        if any(re.search(pattern, line) for pattern in WHOLE):
            return
        for state, database in self._databases.items():
            for target in scans(self._plan(database, text, types)):
                if not SMALL.match(target):
                    yield f"{state}: {target} is read whole by: {line}"

    def _plan(self, database: PostgresDatabase, text: str, types: Sequence[int]) -> Mapping[str, Any]:
        """The plan for any parameters, which the sessions of a store use."""
        connection = database.raw.pgconn
        connection.prepare(b"planned", text.encode(), list(types))
        values = f"({', '.join(['null'] * len(types))})" if types else ""
        said = connection.exec_(f"explain (format json) execute planned{values}".encode())
        connection.exec_(b"deallocate planned")
        assert said.status == ExecStatus.TUPLES_OK, said.error_message
        found = said.get_value(0, 0)
        assert found is not None
        plan: Mapping[str, Any] = json.loads(found)[0]["Plan"]
        return plan
