"""A store with a bit of everything, and a page over it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlencode

import pytest
from lamplighter import JobFailed, Runtime
from lamplighter.web import STEER, Site, Visitor, dashboard
from lamplighter.web.faces.http import Request, Response

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}</textarea>\u202e\x00é"
"""What must stay text wherever it stands."""

EVERYTHING: frozenset[str] = STEER | {"data"}


class Page:
    """A page over a store, for one visitor."""

    def __init__(self, store: Path, may: Collection[str] = EVERYTHING, name: str = "ada") -> None:
        self.store, self.may, self.name = str(store), may, name
        self.site: Site = dashboard(str(store), who=lambda request: Visitor(self.name, self.may))

    def get(self, path: str, query: str = "", **headers: str) -> Response:
        """Ask for a page."""
        return self.site.answer(Request(method="GET", path=path, query=query, headers={"host": "here", **headers}))

    def post(self, path: str, fields: dict[str, object], **headers: str) -> Response:
        """Send a form of the page's."""
        sent = {"host": "here", "sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.site.answer(
            Request(method="POST", path=path, headers=sent, body=urlencode(fields, doseq=True).encode())
        )

    def text(self, path: str, query: str = "") -> str:
        """What a page says."""
        response = self.get(path, query)
        assert response.status == 200, response.body.decode()
        return response.body.decode()


def make_store(place: Path) -> Path:
    """A store that nobody works on: jobs done and dead, waiting and scheduled, some of them hostile."""
    runtime = Runtime(place / "jobs.db")

    @runtime.jobs.handler("mail", max_attempts=1)
    def mail(job):
        if job.data == "fails":
            raise ValueError(f"no mailbox {job.id}")
        return {"secret": "result-of-mail"}

    @runtime.jobs.handler(HOSTILE.replace("\x00", ""), max_attempts=1)
    def hostile(job):
        raise ValueError(HOSTILE)

    with runtime:
        runtime.scheduler.add("mail", "0 6 * * *", timezone="Europe/Berlin", key="morning", durable=True)
        jobs = [runtime.jobs.queue("mail", {"password": "hunter2"}, id="fine")]
        jobs += [runtime.jobs.queue("mail", "fails", id=f"dead-{number}") for number in range(3)]
        jobs.append(runtime.jobs.queue(HOSTILE.replace("\x00", ""), HOSTILE, id=HOSTILE.replace("\x00", "")))
        for job in jobs:
            if job.id == "fine":
                runtime.jobs.join(job)
                continue
            with pytest.raises(JobFailed):
                runtime.jobs.join(job)
        runtime.jobs.queue("mail", delay=3600, id="later")
        runtime.jobs.queue("nobody", id="parked")
    return place / "jobs.db"
