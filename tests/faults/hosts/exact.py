"""A handler that writes to the host's own table and marks its job done in the same transaction.

exact.py STORE JOBS: the first life queues them; every life says `effect` before each commit and `idle` at the end.
"""

from __future__ import annotations

import sqlite3
import sys

from common import install_oracle, say
from lamplighter import Job, JobSpec, Runtime, StaleClaim

store, jobs = sys.argv[1], int(sys.argv[2])
runtime = Runtime(store, interruptions_max=1000)


@runtime.jobs.handler("write", concurrency=2, max_attempts=1000, backoff=[0.0])
def write(job: Job) -> None:
    """One effect, exactly once."""
    connection = sqlite3.connect(store, timeout=60, isolation_level=None)
    try:
        connection.execute("begin immediate")
        connection.execute("insert into host_effects values (?, ?)", (job.id, job.token))
        try:
            runtime.jobs.mark_done(job, {"token": job.token}, connection=connection)
        except StaleClaim:
            connection.execute("rollback")
            return
        say("effect", job.id)
        connection.execute("commit")
    finally:
        connection.close()


with runtime:
    install_oracle(store)
    connection = sqlite3.connect(store, timeout=60)
    connection.execute("create table if not exists host_effects (job_id text, token text)")
    connection.commit()
    connection.close()
    runtime.jobs.queue_many([JobSpec(name="write", id=f"w-{number}") for number in range(jobs)])
    say("queued")
    while waiting := [*runtime.jobs.list(state="queued", limit=1000), *runtime.jobs.list(state="running", limit=1000)]:
        for job in waiting:
            runtime.jobs.join(job)
    say("idle")
    sys.stdin.read()
