"""What does each page cost at two million jobs? The server's time alone: from a request to the bytes of its answer, by
the clock and by processor time, with a runtime on the store that answers.

python bench/pages.py [--jobs 2000000] [--store PATH]

The file is that of `big_store.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import big_store
from finding import timed
from lamplighter import Runtime
from lamplighter.web import STEER, Visitor, dashboard
from lamplighter.web.faces.http import Request

SERVER_MS_MAX = 150.0
"""Of the server's time, for each page: of its processor, as the clock's time is also that of whoever else works."""


def runtime_on(path: Path) -> Runtime:
    """A runtime with a name that has nothing to do."""
    runtime = Runtime(path)
    runtime.jobs.add_handler("idle", lambda job: None)
    return runtime


def pages(runtime: Runtime, path: Path) -> Iterator[tuple[str, str]]:
    """Every page, as a path and a query."""
    with closing(sqlite3.connect(path)) as connection:
        ids = dict(connection.execute("select state, id from lamplighter_jobs group by state"))
        (schedule,) = connection.execute("select id from lamplighter_schedules limit 1").fetchone()
    yield from (("/", ""), ("/", "span=24h"), ("/", "span=7d"), ("/names", ""), ("/names/name-7", ""))
    yield "/jobs", ""
    for query in ("state:queued", "state:dead", "state:done", "name:name-7+state:queued", "state:dead+error:timeout"):
        yield "/jobs", f"q={query}"
    yield "/jobs", "q=data.user.id%3D4711"
    yield "/jobs", "q=no+such+text"
    for job in ids.values():
        yield f"/jobs/{job}", ""
    yield from (("/errors", ""), ("/schedules", ""), (f"/schedules/{schedule}", ""), ("/runtimes", ""), ("/doctor", ""))
    yield f"/runtimes/{runtime.boot.id}", ""
    yield f"/runtimes/{runtime.boot.id}", "stacks=1"


def costs(path: Path) -> Iterator[tuple[str, float, float, int]]:
    """Of each page what it is, what it costs in milliseconds by the clock and of the processor, and its bytes."""
    big_store.add_sums(path)
    site = dashboard(path, who=lambda request: Visitor("bench", STEER | {"data"}))
    with runtime_on(path) as runtime:
        for page, query in pages(runtime, path):
            request = Request(method="GET", path=page, query=query, headers={"host": "here"})
            clock, processor, answer = timed(lambda request=request: site.answer(request))  # type: ignore[misc]
            assert answer.status == 200, answer.body
            yield f"{page} {query}", clock, processor, len(answer.body)


def main() -> None:
    """Measure and tell."""
    with big_store.given_store(__doc__) as (path, _):
        print("   clock   processor")
        for page, clock, processor, size in costs(path):
            late = "" if processor < SERVER_MS_MAX else "  too slow"
            print(f"{clock:8.1f} ms {processor:8.1f} ms  {page} ({size / 1000:.0f} kB){late}")


if __name__ == "__main__":
    main()
