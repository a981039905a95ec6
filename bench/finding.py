"""What does it cost to find jobs among two million? Each look is timed alone, by the clock and by processor time.

python bench/finding.py [--jobs 2000000] [--store PATH]

The file is that of `big_store.py`, and is made where it is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from big_store import BEGAN, given_store
from lamplighter.messages.jobs import JobState
from lamplighter.messages.queries import DataTerm, JobQuery
from lamplighter.stores.ports import JobTable
from lamplighter.stores.sqlite.store import SqliteStore

ROUNDS = 5
CAP = 10_001


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
    yield "any, by what it descends from", JobQuery(root_id="nobody")


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
    with given_store(__doc__) as (path, jobs):
        store = SqliteStore(str(path))
        store.open()
        assert store.table is not None
        print("   clock   processor")
        measure(store.table, jobs)
        store.close()


if __name__ == "__main__":
    main()
