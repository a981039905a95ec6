"""Processes and handlers that hang, as the page shows them while they do."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ...web.kit import Page

SHOWN_SECONDS_MAX = 2.0
"""From the question on, for each page."""

HOST = """
import sys, threading
from lamplighter import Runtime
runtime = Runtime(sys.argv[1])

@runtime.jobs.handler("work")
def hangs_here(job):
    print(runtime.boot.id, job.id, flush=True)
    threading.Event().wait()

with runtime:
    runtime.jobs.queue("work")
    threading.Event().wait()
"""


class Stuck(NamedTuple):
    """A process that runs a job for ever."""

    process: subprocess.Popen[str]
    boot: str
    job: str
    page: Page


@pytest.fixture
def stuck(tmp_path: Path) -> Iterator[Stuck]:
    """A process whose handler hangs, and a page over its store."""
    path = tmp_path / "jobs.db"
    process = subprocess.Popen([sys.executable, "-P", "-c", HOST, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    boot, job = process.stdout.readline().split()
    yield Stuck(process, boot, job, Page(path))
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_handler_that_hangs_is_shown_with_its_stack(stuck: Stuck) -> None:
    began = time.monotonic()

    said = stuck.page.text(f"/runtimes/{stuck.boot}", "stacks=1")

    assert time.monotonic() - began < SHOWN_SECONDS_MAX
    assert "in hangs_here" in said
    assert stuck.job in said


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="only Linux says whose process it is")
def test_a_process_that_is_stopped_is_shown_so_and_its_job_is_cancelled(stuck: Stuck) -> None:
    os.kill(stuck.process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, stuck.process.pid, os.WSTOPPED)

    pages, took = [], []
    for path in ("/runtimes", f"/runtimes/{stuck.boot}", "/"):
        began = time.monotonic()
        pages.append(stuck.page.text(path))
        took.append(time.monotonic() - began)

    assert max(took) < SHOWN_SECONDS_MAX
    assert ["stopped" in said for said in pages] == [True] * 3
    assert f"a signal or a debugger has stopped process {stuck.process.pid}" in pages[1]
    act = {"id": stuck.job, "action": "cancel", "sure": "running"}
    assert stuck.page.post("/act/job", act).status == 303
    assert json.loads(stuck.page.get(f"/jobs/{stuck.job}", "as=json").body)["job"]["state"] == "cancelled"
