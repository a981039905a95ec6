"""The runtime in its host: lives, draining, several at once, trouble with the store, and what is never touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest
from lamplighter import NotStarted

SIGNALLED = """
    import sys, signal
    from lamplighter import Runtime
    rt = Runtime(sys.argv[1])
    @rt.jobs.handler("work")
    def work(job):
        while signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            job.sleep(0.005)
        print("running", flush=True)
        job.sleep(0.3)
        print("finished", flush=True)
    before = signal.getsignal(signal.SIGTERM)
    with rt:
        rt.jobs.queue("work")
        rt.run(drain=10)
    assert signal.getsignal(signal.SIGTERM) is before
    print("after run", rt.boot, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_works_until_a_signal_and_then_drains(tmp_path, number):
    host = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SIGNALLED), str(tmp_path / "jobs.db")], stdout=subprocess.PIPE, text=True
    )
    assert host.stdout.readline() == "running\n"

    host.send_signal(number)
    said, _ = host.communicate(timeout=20)

    assert (host.returncode, said) == (0, "finished\nafter run None\n")


def test_a_runtime_from_before_a_fork_says_so_in_the_child_and_can_be_started_there(runtime, tmp_path):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: os.getpid())
    rt.jobs.join(rt.jobs.queue("work"), timeout=10)
    read, write = os.pipe()

    child = os.fork()
    if child == 0:
        try:
            try:
                rt.jobs.queue("work")
            except NotStarted as error:
                os.write(write, b"refused " if "before a fork" in str(error) else b"other ")
            rt._subscriptions.clear()
            rt.start()
            rt.jobs.queue("elsewhere", id="from-the-child")
            rt.stop()
            try:
                rt.jobs.queue("work")
            except NotStarted as error:
                # The state before the fork does not matter any more.
                os.write(write, b"other " if "fork" in str(error) else b"stopped ")
            os.write(write, b"started")
        except BaseException as error:
            os.write(write, repr(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    said = os.read(read, 1000)
    os.close(read)

    assert said == b"refused stopped started"
    assert rt.jobs.get("from-the-child").state == "queued"
    assert rt.jobs.join(rt.jobs.queue("work"), timeout=10).result == os.getpid()
