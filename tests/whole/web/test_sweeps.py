"""Many jobs are acted on from the page: followed in a browser as it is done, stopped, and proven by the log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlencode
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from lamplighter import JobFailed, Runtime
from lamplighter.cli.main import main
from lamplighter.web.faces.http import Request

from ...web.kit import Page
from ...web.test_site import confirm
from .conftest import WAIT_MS

OpenPage = Callable[..., Any]

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


def followed(page: Page, form: dict[str, object]) -> Iterator[str]:
    """The pages that a browser is sent which follows what it has asked for."""
    headers = {
        "host": "here",
        "accept": "text/event-stream",
        "sec-fetch-site": "same-origin",
        "content-type": "application/x-www-form-urlencoded",
    }
    answer = page.site.answer(
        Request(method="POST", path="/act/jobs", headers=headers, body=urlencode(form, doseq=True).encode())
    )
    assert (answer.status, answer.kind) == (200, "text/event-stream"), answer.body.decode()
    assert answer.stream is not None

    async def read() -> list[str]:
        assert answer.stream is not None
        return [json.loads(piece.partition(b"data: ")[2]) async for piece in answer.stream()]

    # In a thread of its own: Playwright's loop runs in this one as long as a browser is open.
    with ThreadPoolExecutor(1) as other:
        yield from other.submit(asyncio.run, read()).result()


def done_of(text: str) -> str:
    """How much was done, as a page says it."""
    return re.findall(r"[\d,]+ jobs? of [\d,]+ done", " ".join(text.split()))[0]


@pytest.mark.timeout(300)
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


def test_a_sweep_takes_none_that_was_queued_after_somebody_was_asked(page: Page, store: Path) -> None:
    with Runtime(store).start(work=False) as runtime:
        runtime.jobs.queue("call", id="first")
        form = confirm(page, {"which": "matching", "q": "name:call state:queued", "action": "cancel"})
        runtime.jobs.queue("call", id="second")

        *_, last = followed(page, form)

        assert form["shown"] == "1" and done_of(last) == "1 job of 1 done"
        assert [runtime.jobs.get(job_id).state for job_id in ("first", "second")] == ["cancelled", "queued"]


def test_a_sweep_takes_none_that_died_after_somebody_was_asked(page: Page, store: Path) -> None:
    may_fail = {"first": threading.Event(), "second": threading.Event()}
    runtime = Runtime(store)

    @runtime.jobs.handler("call", max_attempts=1, concurrency=2)
    def call(job):
        may_fail[job.id].wait()
        raise TimeoutError("no answer")

    with runtime:
        jobs = [runtime.jobs.queue("call", id=job_id) for job_id in may_fail]
        may_fail["first"].set()
        with pytest.raises(JobFailed):
            runtime.jobs.join(jobs[0])
        form = confirm(page, {"which": "matching", "q": "name:call state:dead", "action": "requeue"})
        may_fail["second"].set()
        with pytest.raises(JobFailed):
            runtime.jobs.join(jobs[1])
        runtime.jobs.pause("call")

        *_, last = followed(page, form)

        assert form["shown"] == "1" and done_of(last) == "1 job of 1 done"
        assert [runtime.jobs.get(job).state for job in jobs] == ["queued", "dead"]


def counted(store: Path, of: str) -> dict[Any, int]:
    """How many jobs there are of each kind."""
    query = f"select {of}, count(*) from lamplighter_jobs where data <> json_quote('last') group by 1"
    with closing(sqlite3.connect(store)) as connection:
        return dict(connection.execute(query))


def test_a_sweep_is_followed_stopped_and_gone_on_with(
    open_page: OpenPage, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamplighter.admin.sweeping.SWEPT_A_TURN_MAX", 1)
    monkeypatch.setattr("lamplighter.web.live.TOLD_SECONDS", 0.0)
    with Runtime(store).start(work=False) as runtime:
        runtime.jobs.queue_many([("nobody", number) for number in range(900)])
    tab = open_page("/jobs?q=name%3Anobody+state%3Aqueued")
    tab.get_by_label("Which").select_option("matching")
    tab.get_by_role("button", name="Cancel…").click()
    tab.get_by_role("button", name="Cancel 901 jobs").click()

    tab.get_by_role("button", name="Stop").click()
    tab.get_by_role("button", name="Go on").wait_for()

    stopped = done_of(tab.inner_text("main"))
    assert 0 < int(stopped.split()[0]) < 901
    assert counted(store, "state")["queued"] > 0
    monkeypatch.setattr("lamplighter.admin.sweeping.SWEPT_A_TURN_MAX", 500)
    tab.get_by_role("button", name="Go on").click()
    # What was done between the last page that was sent and the stop is not told.
    tab.get_by_role("link", name="Back to the jobs").wait_for()
    assert counted(store, "state || name")["cancellednobody"] == 901


def test_a_server_without_streams_is_asked_for_one_part_after_the_other(
    chromium: Any, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamplighter.web.pages.acts.SWEEP_SECONDS_MAX", 0.0)
    monkeypatch.setattr("lamplighter.admin.sweeping.SWEPT_A_TURN_MAX", 1)
    with served_by_wsgi(page.site.wsgi) as url:
        tab = chromium.new_context().new_page()
        tab.set_default_timeout(WAIT_MS)
        tab.goto(f"{url}/jobs?q=name%3Amail+state%3Adead")
        tab.get_by_label("Which").select_option("matching")
        tab.get_by_role("button", name="Requeue…").click()

        tab.get_by_role("button", name="Requeue 3 jobs").click()

        tab.get_by_text("3 jobs of 3 done").wait_for()
        tab.context.close()


@contextlib.contextmanager
def served_by_wsgi(application: Any) -> Iterator[str]:
    """A WSGI server at a free port of this machine; its address."""
    with make_server("127.0.0.1", 0, application, Threaded, Silent) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Threaded(ThreadingMixIn, WSGIServer):
    """Browsers open more connections than they use."""

    daemon_threads = True


class Silent(WSGIRequestHandler):
    """Says nothing of what it is asked."""

    def log_message(self, *_: Any) -> None:
        pass
