"""What a stop waits for, what it says meanwhile, and who can make it end sooner."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing

import pytest

IMPATIENT = """
    import signal, sys, threading
    from lamplighter import Runtime
    rt = Runtime(sys.argv[1], drain=3600)
    rt.subscribe(lambda event: print(event["event"], flush=True), events=["runtime.draining"])

    @rt.jobs.handler("hangs")
    def hangs(job):
        # The job may be there before `run`, which hears signals in its own way from then on.
        while {is_early}:
            pass
        print("job.started", flush=True)
        threading.Event().wait()

    with rt:
        rt.jobs.queue("hangs")
        {wait}
    print("stopped", rt.boot, flush=True)
"""


@pytest.mark.parametrize(
    ("wait", "is_early", "says", "code"),
    [
        ("rt.run()", "signal.getsignal(signal.SIGINT) is signal.default_int_handler", "stopped None\n", 0),
        # Python notices a signal that comes just before a wait only after that wait, so no wait may be endless.
        ("while not threading.Event().wait(0.1): pass", "False", "", -signal.SIGINT),
    ],
    ids=["run", "with"],
)
def test_a_second_ctrl_c_ends_the_drain(tmp_path, wait, is_early, says, code):
    # It did nothing in `run`, and in a `with` it left a runtime behind that had not given its jobs back.
    path = tmp_path / "jobs.db"
    host = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(IMPATIENT).format(wait=wait, is_early=is_early), str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert host.stdout.readline() == "job.started\n"

    host.send_signal(signal.SIGINT)
    assert host.stdout.readline() == "runtime.draining\n", "a second later"
    host.send_signal(signal.SIGINT)
    said, _ = host.communicate(timeout=20)

    # It says again and again that it waits.
    assert (said.replace("runtime.draining\n", ""), host.returncode) == (says, code)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select state, boot, interruptions from lamplighter_jobs").fetchall() == [
            ("queued", None, 0)
        ]


SERVED = """
    import asyncio, signal, sys, threading
    from lamplighter import Runtime
    rt = Runtime(sys.argv[1], drain=3600)
    rt.subscribe(lambda event: print(event["event"], flush=True), events=["job.started", "runtime.draining"])
    rt.jobs.add_handler("hangs", lambda job: threading.Event().wait())
    heard = []
    async def serve():
        # As a web server does, which leaves it at that.
        signal.signal(signal.SIGINT, handler := lambda number, frame: heard.append(number))
        async with rt:
            await rt.jobs.aqueue("hangs")
            while not heard:
                await asyncio.sleep(0.01)
        assert signal.getsignal(signal.SIGINT) is handler
    asyncio.run(serve())
    print("stopped", rt.boot, len(heard), flush=True)
"""


def test_a_second_ctrl_c_ends_the_drain_of_a_lifespan_though_the_server_has_heard_it(tmp_path):
    # uvicorn does nothing at the second and the third, and waited for the whole drain.
    host = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SERVED), str(tmp_path / "jobs.db")], stdout=subprocess.PIPE, text=True
    )
    assert host.stdout.readline() == "job.started\n"

    host.send_signal(signal.SIGINT)
    assert host.stdout.readline() == "runtime.draining\n", "a second later"
    host.send_signal(signal.SIGINT)
    said, _ = host.communicate(timeout=20)

    assert (said.replace("runtime.draining\n", ""), host.returncode) == ("stopped None 2\n", 0)
