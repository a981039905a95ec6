"""Many jobs are acted on from the page: followed in a browser as it is done, stopped, and proven by the log."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from lamplighter.cli.main import main

from ...web.kit import Page
from ...web.test_site import confirm
from ...web.test_sweeps import counted, done_of, followed

DEAD, ALIKE = 20_000, 5_000

HOST = """
import sys
from lamplighter import JobFailed, Runtime, configure_logging
path, log, jobs, is_up = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "up"
configure_logging(log, console=False)
runtime = Runtime(path)

@runtime.jobs.handler("mail", max_attempts=1)
def mail(job):
    if job.data == "last" or is_up:
        return
    if job.data % 4 == 0:
        raise TimeoutError(f"no answer to request {job.data}")
    raise ValueError(f"expected an address, got {job.data}")

with runtime:
    runtime.jobs.queue_many([("mail", number) for number in range(jobs)])
    runtime.jobs.join(runtime.jobs.queue("mail", "last"))
    # It was queued last, yet one that was claimed and given back may come after it.
    for job in [*runtime.jobs.list("mail", "queued"), *runtime.jobs.list("mail", "running")]:
        try:
            runtime.jobs.join(job)
        except JobFailed:
            pass
"""


def work(store: Path, *, queue: int, is_up: bool) -> None:
    """A process queues jobs, does all that is queued, and logs it."""
    log = str(store.with_suffix(".log"))
    command = [sys.executable, "-P", "-c", HOST, str(store), log, str(queue), "up" if is_up else "down"]
    subprocess.run(command, check=True, timeout=300)


def test_5000_of_20000_dead_jobs_that_failed_alike_are_requeued_each_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "jobs.db"
    work(store, queue=DEAD, is_up=False)
    page = Page(store)
    groups = json.loads(page.get("/errors", "as=json").body)["groups"]
    group = next(one["id"] for one in groups if one["exception"] == "TimeoutError")
    form = confirm(
        page, {"which": "group", "group": group, "name": "mail", "action": "requeue", "reason": "it is back"}
    )
    assert form["shown"] == str(ALIKE)
    assert page.post("/act/jobs", form).status == 409
    assert counted(store, "state") == {"dead": DEAD}

    *_, last = followed(page, {**form, "typed": f"{ALIKE:,}"})

    assert done_of(last) == "5,000 jobs of 5,000 done"
    assert counted(store, "state || (data % 4)") == {"queued0": ALIKE, "dead1": ALIKE, "dead2": ALIKE, "dead3": ALIKE}
    work(store, queue=0, is_up=True)
    assert counted(store, "state || (data % 4)") == {"done0": ALIKE, "dead1": ALIKE, "dead2": ALIKE, "dead3": ALIKE}
    log = store.with_suffix(".log")
    assert main(["audit", str(log), "--store", str(store)]) == 0, capsys.readouterr().out
    acts = [json.loads(line) for line in log.read_text().splitlines() if '"operator.acted"' in line]
    assert sum(act["told"] for act in acts) == ALIKE
    assert {(act["by"], act["via"], act["reason"]) for act in acts} == {("ada", "web", "it is back")}
