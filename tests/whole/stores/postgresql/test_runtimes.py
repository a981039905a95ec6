"""Runtimes on one PostgreSQL: what becomes of their jobs when one dies, and when the server does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing, contextmanager

import psycopg
import pytest
from lamplighter import UsageError

from .people import SECONDS

HOLDS_A_JOB = """
import sys, threading
from lamplighter import Runtime
runtime = Runtime(sys.argv[1])

@runtime.jobs.handler("work")
def work(job):
    print(runtime.boot.id, flush=True)
    threading.Event().wait()

with runtime:
    threading.Event().wait()
"""


@contextmanager
def holding_a_job(url: str):
    """A process that runs a job, which never ends, and the id of its boot."""
    host = [sys.executable, "-P", "-c", HOLDS_A_JOB, url]
    with subprocess.Popen(host, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, lambda: process.stdout.readline().strip()
        finally:
            process.kill()


def test_the_job_of_a_process_that_was_killed_runs_again_elsewhere(postgres, runtime, recorder):
    rt = runtime(postgres)
    job = rt.jobs.queue("work")
    with holding_a_job(postgres) as (process, began):
        boot = began()
        rt.jobs.add_handler("work", lambda job: "done")

        process.kill()

        assert rt.jobs.join(job, timeout=SECONDS).result == "done"
        assert recorder.wait_for("runtime.recovered")["dead_boot"] == boot


def test_a_dead_process_whose_job_somebody_has_locked_holds_up_nobody(postgres, runtime, recorder):
    # Every turn of every runtime waited for the lock, and failed: nothing was claimed, ended or queued.
    rt = runtime(postgres)
    job = rt.jobs.queue("work")
    with closing(psycopg.connect(postgres.partition("?")[0])) as other, holding_a_job(postgres) as (process, began):
        boot, state = began(), rt.boot.post.find("broker")._state
        for name in ("work", "other"):
            rt.jobs.add_handler(name, lambda job: "done")
        other.execute("select from shared.lamplighter_jobs where id = %s for no key update", (job.id,))
        process.kill()
        process.wait(SECONDS)
        recorder.until(
            lambda: state.membership_changed and state.presence.is_alive(boot) is False, "the death to be noticed"
        )

        beside = rt.jobs.join(rt.jobs.queue("other"), timeout=SECONDS)
        held = rt.jobs.get(job).state
        other.rollback()

        assert (beside.result, held) == ("done", "running")
        assert rt.jobs.join(job, timeout=SECONDS).result == "done"


def test_a_restart_of_the_server_takes_no_job_from_whoever_runs_it(postgres, postgres_server, runtime, recorder):
    rt = runtime(postgres)
    job = rt.jobs.queue("work")
    with holding_a_job(postgres) as (process, began):
        began()
        os.kill(process.pid, signal.SIGSTOP)

        postgres_server.restart("immediate")
        rt.jobs.add_handler("other", lambda job: "done")
        after = rt.jobs.join(rt.jobs.queue("other"), timeout=SECONDS)
        os.kill(process.pid, signal.SIGCONT)

        assert after.result == "done"
        assert rt.jobs.get(job).state == "running"
        assert recorder.of("runtime.recovered") == recorder.of("runtime.renewed") == []


@pytest.mark.parametrize("options", [{"id": "a\0"}, {"unique": "a\0"}, {"group": "a\0"}], ids=["id", "unique", "group"])
def test_a_job_with_nul_in_a_text_is_refused_and_its_data_may_have_one(postgres, runtime, options):
    rt = runtime(postgres)
    rt.jobs.add_handler("work", lambda job: job.data)

    with pytest.raises(UsageError, match="without NUL"):
        rt.jobs.queue("work", **options)

    assert rt.jobs.join(rt.jobs.queue("work", {"a\0": "b\0"}), timeout=SECONDS).result == {"a\0": "b\0"}
    assert rt.jobs.counts() == {**dict.fromkeys(rt.jobs.counts(), 0), "done": 1}
