"""What does it cost to find jobs among two million? Each look is timed alone, by the clock and by processor time.

python bench/finding.py [--jobs 2000000] [--store PATH]

The file is made where it is missing: 94.5 % of its jobs are done, 0.5 % dead, 0.5 % cancelled, 4.5 % queued, of which a
third wait; a hundred run.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from lamplighter.messages.jobs import JobState
from lamplighter.messages.queries import DataTerm, JobQuery
from lamplighter.stores.ports import JobTable
from lamplighter.stores.sqlite.store import SqliteStore

BEGAN = 1.7e9
NAMES = 40
ROUNDS = 5
CAP = 10_001

FILL = """
with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < :jobs),
made as (select n, case when n > :jobs - :running then 'running' when n > :jobs * 0.955 then 'queued'
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


def fill(path: Path, jobs: int) -> None:
    """Make a store with so many jobs."""
    SqliteStore(str(path)).open()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma synchronous = off")
        connection.execute("begin")
        connection.execute(FILL, {"jobs": jobs, "running": 100, "names": NAMES, "began": BEGAN})
        connection.execute("commit")
        connection.execute("pragma wal_checkpoint (truncate)")


def looks(jobs: int) -> Iterator[tuple[str, JobQuery]]:
    """What is looked for, in words."""
    nothing, late = "no such text", BEGAN + 0.9 * jobs
    user = DataTerm(("user", "id"), 4_711)
    yield "the newest", JobQuery()
    for state in JobState:
        yield f"{state.value}", JobQuery(states=(state,))
        yield f"{state.value}, of one name", JobQuery(states=(state,), names=("name-7",))
        yield f"{state.value}, by an error that none has", JobQuery(states=(state,), error=nothing)
        yield f"{state.value}, by data that one in 50,000 has", JobQuery(states=(state,), data=(user,))
        yield (
            f"{state.value}, by words and data that none has",
            JobQuery(states=(state,), words=(nothing,), data=(user,)),
        )
    yield "dead, by an error that half have", JobQuery(states=(JobState.DEAD,), error="timeout")
    yield "ended in a span, whichever way", JobQuery(ended_since=late, ended_until=late + 1_000)
    yield "ended in a span, by an error", JobQuery(ended_since=BEGAN, error=nothing)
    yield "any, of a name that none has", JobQuery(names=("nobody",))
    yield "any, by the beginning of an id: a thousandth", JobQuery(id_prefix="abc")
    yield "any, by the beginning of an id: a sixteenth", JobQuery(id_prefix="a", error=nothing)
    yield "any, by data", JobQuery(data=(user,))
    yield "any, by three words", JobQuery(words=("some", "thing", nothing))
    yield "any, by what it descends from", JobQuery(corr="nobody")


def timed(call: Callable[[], Any]) -> tuple[float, float, Any]:
    """The best of a few calls, in milliseconds by the clock and by processor time, and what it gave."""
    clock, processor, gave = float("inf"), float("inf"), None
    for _ in range(ROUNDS):
        began, began_processor = time.perf_counter(), time.thread_time()
        gave = call()
        processor = min(processor, (time.thread_time() - began_processor) * 1e3)
        clock = min(clock, (time.perf_counter() - began) * 1e3)
    return clock, processor, gave


def measure(table: JobTable, jobs: int) -> None:
    """Tell what each look costs."""
    for says, query in looks(jobs):
        clock, processor, found = timed(lambda query=query: table.find(query, limit=100))  # type: ignore[misc]
        whole = "" if found.complete else ", not all"
        told = f"{len(found.jobs):4} found, {found.looked_at:7,} looked at{whole}"
        print(f"{clock:8.1f} ms {processor:8.1f} ms  {says}: {told}")
    names, now = table.names(), BEGAN + jobs
    counts: dict[str, Callable[[], Any]] = {
        f"all {len(names)} names": table.names,
        f"a census of {len(names)} names": lambda: table.census(names, CAP, now),
        "all states counted": lambda: table.capped_counts(None, CAP),
        "all states counted of one name": lambda: table.capped_counts("name-7", CAP),
    }
    for says, call in counts.items():
        clock, processor, _ = timed(call)
        print(f"{clock:8.1f} ms {processor:8.1f} ms  {says}")


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2_000_000)
    parser.add_argument("--store", type=Path, help="a file that an earlier run has left")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.store or Path(folder) / "jobs.db"
        if not path.exists():
            fill(path, given.jobs)
        store = SqliteStore(str(path))
        store.open()
        assert store.table is not None
        print("   clock   processor")
        measure(store.table, given.jobs)
        store.close()


if __name__ == "__main__":
    main()
