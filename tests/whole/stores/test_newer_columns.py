"""A runtime goes on while a newer version adds columns to the tables, as docs/postgresql.md ("Upgrades") promises."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import psycopg
import pytest
from lamplighter import Debounce, JobFailed, Rate
from lamplighter.stores.postgresql.address import parse_address
from lamplighter.stores.tables.moving import KEYS

SECONDS = 30


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    """The address of an empty store, and what opens a connection of an application to its database."""
    if request.param == "sqlite":
        path = tmp_path / "jobs.db"
        return path, lambda: sqlite3.connect(path, isolation_level=None)
    url = request.getfixturevalue("fresh_postgres")()
    server = url.partition("?")[0]
    path_of = f"-c search_path={parse_address(url).schema}"
    return url, lambda: psycopg.connect(server, options=path_of, autocommit=True)


def test_everything_goes_on_when_each_table_gets_a_column(store, runtime):
    address, connect = store
    rt = runtime(address)
    jobs = rt.jobs
    fails = [True]

    def flaky(job):
        if fails:
            raise ValueError("first it fails")
        return "well"

    def stepped(job):
        return job.step("a", lambda: 1) + job.wait("go")

    def work(job):
        return job.data

    jobs.add_handler("work", work)
    jobs.add_handler("stepped", stepped)
    jobs.add_handler("flaky", flaky, max_attempts=1)
    jobs.add_handler("grouped", work, concurrency_per_group=1)
    jobs.add_handler("rated", work, rate=Rate(1000, per=1))

    def everything(turn):
        """Queues, claims, ends and lists jobs of every kind."""
        plain, last = jobs.queue("work", 1), jobs.queue("work", 2, priority=7, expires=3600)
        later = jobs.queue("work", 3, after=[plain, last])
        assert [jobs.join(job, timeout=SECONDS).result for job in (plain, last, later)] == [1, 2, 3]
        assert [job.id for job in jobs.parents(later)] == [plain.id, last.id]

        assert jobs.join(jobs.queue("rated", 5), timeout=SECONDS).result == 5

        groups = [jobs.queue("grouped", n, group=f"g{n % 2}") for n in range(4)]
        assert [jobs.join(job, timeout=SECONDS).result for job in groups] == [0, 1, 2, 3]

        kept = jobs.queue("nobody", unique=f"one {turn}")
        assert jobs.queue("nobody", unique=f"one {turn}").id == kept.id
        debounced = jobs.queue("nobody", debounce=Debounce(f"key {turn}", quiet=60, at_most=600))
        assert jobs.queue("nobody", 2, debounce=Debounce(f"key {turn}", quiet=60, at_most=600)).id == debounced.id
        for job in (kept, debounced):
            jobs.cancel(job)

        waits = jobs.queue("stepped")
        jobs.signal(waits, "go", 2)
        assert jobs.join(waits, timeout=SECONDS).result == 3
        assert jobs.steps(waits) == [], "those of a job that is done are removed"

        broken = jobs.queue("flaky")
        with pytest.raises(JobFailed):
            jobs.join(broken, timeout=SECONDS)
        fails.clear()
        jobs.requeue(broken)
        assert jobs.join(broken, timeout=SECONDS).result == "well"
        fails.append(True)

        with closing(connect()) as own:
            own.execute("begin")
            theirs = jobs.queue("work", 4, connection=own)
            rt.scheduler.add("work", "0 3 * * *", key=f"host {turn}", durable=True, connection=own)
            own.execute("commit")
        assert jobs.join(theirs, timeout=SECONDS).result == 4

        rt.scheduler.add("work", "0 4 * * *", key=f"own {turn}", durable=True)
        jobs.pause("nobody")
        jobs.resume("nobody")
        assert {job.id for job in jobs.list(name="work")} >= {plain.id, last.id, later.id, theirs.id}
        assert jobs.counts() == {"queued": 0, "running": 0, "done": 11 * turn, "dead": 0, "cancelled": 2 * turn}

    everything(1)
    with closing(connect()) as newer:
        for table in (*KEYS, "lamplighter_store"):
            newer.execute(f"alter table {table} add column of_a_newer_version text")
    everything(2)

    assert rt.health().status == "green", rt.health().reasons
    runtime(address).stop()
