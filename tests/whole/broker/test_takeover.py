"""What a killed process held: it is taken back, is blamed on no job, and frees what it held."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest
from lamplighter import StaleClaim

KILLED = """
    import sys, time
    from lamplighter import Runtime
    rt = Runtime(sys.argv[1])
    @rt.jobs.handler("work")
    def work(job):
        print(job.token + "\\n", end="", flush=True)
        time.sleep(60)
    with rt:
        rt.jobs.queue("work", id="in-flight")
        rt.jobs.queue("work", id="waiting")
        print("queued\\n", end="", flush=True)
        time.sleep(60)
"""


def killed_host(path):
    """A host in a process of its own that was killed with one job running and one waiting; the token of the first."""
    host = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(path)], stdout=subprocess.PIPE, text=True
    )
    (token,) = {host.stdout.readline().strip() for _ in range(2)} - {"queued"}
    host.send_signal(signal.SIGKILL)
    host.wait(10)
    host.stdout.close()
    return token


def test_jobs_in_flight_are_not_lost_when_the_process_dies(runtime, tmp_path):
    token = killed_host(tmp_path / "jobs.db")

    rt = runtime()
    rt.jobs.add_handler("work", lambda job: "again")

    assert [rt.jobs.join(job, timeout=10).result for job in ("in-flight", "waiting")] == ["again", "again"]
    with pytest.raises(StaleClaim):
        rt.jobs.mark_done(token)


def test_jobs_in_flight_are_taken_back_by_a_runtime_that_only_starts(runtime, recorder, tmp_path):
    killed_host(tmp_path / "jobs.db")

    rt = runtime()

    assert recorder.wait_for("runtime.recovered")["jobs"] == 1
    assert rt.jobs.counts()["queued"] == 2


def test_a_crash_is_not_counted_as_the_jobs_failure(runtime, tmp_path):
    killed_host(tmp_path / "jobs.db")

    rt = runtime()
    rt.jobs.add_handler("work", lambda job: job.attempt, max_attempts=1)

    assert rt.jobs.join("in-flight", timeout=10).result == 1
    assert [one.outcome for one in rt.jobs.attempts("in-flight")] == ["interrupted"]


def test_a_limit_is_freed_by_the_death_of_its_holder(runtime, tmp_path):
    killed_host(tmp_path / "jobs.db")

    rt = runtime()
    rt.jobs.add_handler("work", lambda job: "ran", concurrency=2, concurrency_total=1)

    assert rt.jobs.join("waiting", timeout=10).result == "ran"


POISON = """
    import os, sys, threading
    from lamplighter import Runtime
    rt = Runtime(sys.argv[1])
    rt.jobs.add_handler("bad", lambda job: os._exit(7))
    rt.jobs.add_handler("good", lambda job: "fine")
    with rt:
        rt.jobs.queue("bad", id="bad")
        rt.jobs.queue("good", id="good")
        try:
            rt.jobs.join("good", timeout=10)
            rt.jobs.join("bad", timeout=10)
        except Exception as error:
            print(error)
"""


def test_a_job_that_kills_its_process_each_time_is_found_out_and_the_others_go_on(runtime, tmp_path):
    hosts = []
    for _ in range(5):
        command = [sys.executable, "-c", textwrap.dedent(POISON), str(tmp_path / "jobs.db")]
        hosts.append(subprocess.run(command, timeout=30, capture_output=True, text=True, check=False))
        if hosts[-1].returncode == 0:
            break

    rt = runtime()
    bad = rt.jobs.get("bad")
    assert [host.returncode for host in hosts] == [7, 7, 7, 0]
    assert (bad.state, bad.reason[:30]) == ("dead", "poison: interrupted 3 times wi")
    assert len(rt.jobs.attempts("bad")) == 3
    assert rt.jobs.get("good").result == "fine"
