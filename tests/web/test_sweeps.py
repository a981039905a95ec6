"""Many jobs are acted on from the page: followed in a browser as it is done, stopped, and proven by the log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlencode
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from lamplighter import JobFailed, Runtime
from lamplighter.web.faces.http import Request

from .conftest import WAIT_MS
from .kit import Page
from .test_site import confirm

OpenPage = Callable[..., Any]


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

    yield from asyncio.run(read())


def done_of(text: str) -> str:
    """How much was done, as a page says it."""
    return re.findall(r"[\d,]+ jobs? of [\d,]+ done", " ".join(text.split()))[0]


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
    monkeypatch.setattr("lamplighter.web.progress.TOLD_SECONDS", 0.0)
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
    monkeypatch.setattr("lamplighter.web.pages.sweeps.SWEEP_SECONDS_MAX", 0.0)
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
