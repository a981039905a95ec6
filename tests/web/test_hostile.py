"""A store in which every text that somebody could have chosen is hostile, and every page that its pages lead to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import unquote, urlencode, urlsplit

import pytest
from lamplighter import Debounce, JobFailed, Runtime
from lamplighter.admin.operator import Operator
from lamplighter.web.faces.http import Response

from .kit import Page

FIELDS = [
    *("id", "name", "data-key", "data-value", "result", "progress", "error", "traceback", "step", "unique", "group"),
    *("debounce", "cancel-reason", "schedule-key", "schedule-name", "pause-by", "pause-reason"),
    *("query", "act-reason", "address"),
]


def hostile(field: str) -> str:
    """A text that ends the markup around it, makes an element and an attribute, turns the line round, is an address."""
    return (
        f"javascript:evil()//'\"><evil-tag evil='{field}-here'>\u202e\x1b[31m"
        + f"</title></script>--]]>{{{{7*7}}}} evil={field}"
    )


class Read(HTMLParser):
    """What a browser makes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.says = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names |= {tag, *(name for name, _ in attrs)}
        self.links += [
            value for name, value in attrs if value and name in ("href", "src", "action", "hx-get", "data-live")
        ]
        self.says += " ".join(value or "" for _, value in attrs)

    def handle_data(self, data: str) -> None:
        self.says += data


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page over the store, on which a runtime works: one job runs."""
    store = tmp_path_factory.mktemp("hostile") / "jobs.db"
    runtime, begun, over = Runtime(store), threading.Event(), threading.Event()
    name = hostile("name")

    def run(job):
        if job.data == "fails":
            job.step(hostile("step"), lambda: 1)
            traceback = compile("\n" * 6 + "raise ValueError(said)", hostile("traceback"), "exec")
            exec(traceback, {"said": hostile("error")})
        if job.data == "runs":
            job.progress(1, total=2, note=hostile("progress"))
            begun.set()
            over.wait()
        return hostile("result")

    runtime.jobs.add_handler(name, run, max_attempts=1, concurrency=2)
    with runtime:
        jobs = runtime.jobs
        with pytest.raises(JobFailed):
            jobs.join(jobs.queue(name, "fails", id=hostile("id")))
        data = {hostile("data-key"): [hostile("data-value")]}
        first = jobs.queue(name, data, unique=hostile("unique"), group=hostile("group"), delay=9000)
        jobs.queue(name, data, after_ended=[first])
        jobs.queue(name, data, debounce=Debounce(hostile("debounce"), quiet=9000, at_most=9000))
        jobs.join(jobs.queue(name, data))
        jobs.cancel(jobs.queue(name, data, delay=9000), reason=hostile("cancel-reason"))
        runtime.scheduler.add(
            hostile("schedule-name"), "0 6 * * *", data, timezone="UTC", key=hostile("schedule-key"), durable=True
        )
        jobs.queue(name, "runs")
        assert begun.wait(30)
        Operator(store, by=hostile("pause-by")[:200], via="cli").pause(name, reason=hostile("pause-reason"))
        yield Page(store)
        over.set()


def asked_for(page: Page) -> Iterator[tuple[str, Response]]:
    """Every page that the pages lead to, the pages before a sweep, and those that say that something is wrong."""
    found, todo = set(), ["/", "/doctor", "/errors"]
    while todo:
        link = todo.pop()
        path, query = unquote(urlsplit(link).path), urlsplit(link).query
        if link in found or path.startswith(("/static/", "/live")) or "stacks=" in query:
            continue
        found.add(link)
        answer = page.get(path, query)
        yield link, answer
        todo += [link for link in Read(answer.body.decode()).links if link.startswith("/") and "/act/" not in link]
    chosen = {"action": "requeue", "reason": hostile("act-reason")}
    query = f'state:dead "{hostile("query").replace(chr(34), "")}"'
    yield "/jobs?q=", page.get("/jobs", urlencode({"q": query}))
    yield "/act/jobs", page.post("/act/jobs", {**chosen, "which": "matching", "q": query})
    yield "/act/jobs", page.post("/act/jobs", {**chosen, "which": "selected", "id": hostile("id")})
    yield "/act/jobs", page.post("/act/jobs", {**chosen, "which": "group", "name": hostile("name"), "group": "x"})
    yield "/act/job", page.post("/act/job", {"action": hostile("address"), "id": "x"})
    yield "/jobs/x", page.get(f"/jobs/{hostile('address')}")


def test_no_text_of_a_store_becomes_markup_or_an_address_on_any_page(hostile_page: Page) -> None:
    said = ""
    for path, answer in asked_for(hostile_page):
        page = Read(answer.body.decode())
        assert {name for name in page.names if "evil" in name} == set(), path
        assert [link for link in page.links if not link.startswith(("/", "#"))] == [], path
        said += page.says

    assert [field for field in FIELDS if f"evil={field}" not in said] == []


def test_programs_are_told_every_text_as_it_is(hostile_page: Page) -> None:
    jobs = json.loads(hostile_page.get("/jobs", "as=json").body)["jobs"]

    assert {hostile("id"), hostile("name")} <= {job[key] for job in jobs for key in ("id", "name")}
