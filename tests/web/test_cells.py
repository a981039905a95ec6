"""Each place of a page shows the field that it is for, of things of which no two fields are alike."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest
from lamplighter import Runtime
from lamplighter.admin.inspector import Inspector, inspector_at
from lamplighter.admin.runtimes import Runtimes
from lamplighter.admin.schedule_views import SlotView
from lamplighter.admin.views import Amount
from lamplighter.messages.queries import JobQuery
from lamplighter.messages.steps import StepMark
from lamplighter.messages.views import Death, ProcessView, TurnView
from lamplighter.web.pages.looks import ERROR_KEYS, NAME_KEYS, SCHEDULE_KEYS
from lamplighter.web.rendering import _environment

from ..admin.kit import NOW, a_boot, a_handler, a_lane, a_view, an_actor
from .kit import Page


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", "", html)).split())


def section(html: str, title: str) -> str:
    """The part of a page that has this heading, or is called so."""
    return html.partition(f'"{title}"')[2].partition("</section>")[0]


def rows(html: str) -> list[dict[str, str]]:
    """The rows of tables: each cell by the head of its column."""
    found = [re.findall(r'<td data-head="([^"]*)"[^>]*>(.*?)</td>', row, re.DOTALL) for row in html.split("<tr")]
    return [{head: text_of(cell) for head, cell in cells} for cells in found if cells]


def facts(html: str) -> dict[str, str]:
    pairs = re.findall(r"<dt>(.*?)</dt>\s*<dd[^>]*>(.*?)</dd>", html, re.DOTALL)
    return {text_of(name): text_of(value) for name, value in pairs}


def at(instant: float | None) -> str:
    """An instant as a page writes it."""
    return "" if instant is None else datetime.fromtimestamp(instant, UTC).isoformat(timespec="seconds")


BOOT = a_boot(
    names=("mail", "print"),
    version="4.5.6",
    python="3.14.1",
    view=a_view(
        lanes_open=3,
        process=ProcessView(rss_bytes=700 * 2**20, threads=11, descriptors=12, descriptors_max=13),
        turns=TurnView(took_seconds=0.25, waited_seconds=0.125),
        handlers=(
            a_handler(
                id="mail#7",
                concurrency=2,
                total=5,
                rate="6/60s",
                per_group=4,
                rate_per_group="9/1h",
                timeout=90,
                attempts=8,
            ),
        ),
        lanes=(a_lane("j1", 75.0, attempt=2, claim_no=6, deadline=NOW + 30, cancelled="timed out", abandoned="deaf"),),
        actors=(
            an_actor(
                incarnation=4,
                mailbox=5,
                oldest_seconds=6.5,
                busy_seconds=7.5,
                busy_with="Claim",
                restarts_in_window=2,
                restarts_max=9,
                deaths=(Death(at=NOW, incarnation=3, why="KeyError", over="Queue"),),
            ),
        ),
    ),
)


@pytest.fixture
def with_boot(page: Page, monkeypatch: pytest.MonkeyPatch) -> Page:
    monkeypatch.setattr(Runtimes, "all", lambda self: [BOOT])
    return page


def test_a_runtime_has_its_own_numbers_in_the_list(with_boot: Page) -> None:
    assert rows(with_boot.text("/runtimes")) == [
        {
            "Runtime": "b1",
            "State": "green",
            "Kind": "worker",
            "Process": "h 7",
            "Version": "4.5.6",
            "Started": at(NOW - 600),
            "Jobs": "3",
            "Memory": "700 MiB",
            "Names": "mail, print",
        }
    ]


def test_a_runtime_has_its_own_numbers_on_its_page(with_boot: Page) -> None:
    html = with_boot.text("/runtimes/b1")

    assert "<title>Runtime b1 – Lamplighter</title>" in html
    assert facts(html) == {
        "process": "h 7",
        "kind": "worker",
        "versions": "Lamplighter 4.5.6, Python 3.14.1",
        "started": at(NOW - 600),
        "threads": "11",
        "open files": "12 of 13",
        "last write batch": "250 ms, 125 ms of it for the lock",
    }
    assert rows(section(html, "lanes")) == [
        {
            "Job": "j1",
            "Name": "mail",
            "Attempt": "2",
            "On": "thread",
            "For": "75 s",
            "Deadline": at(NOW + 30),
            "Told to end": "timed out hung: deaf",
        }
    ]
    assert rows(section(html, "actors")) == [
        {
            "Actor": "handler:mail",
            "State": "up",
            "Life": "4",
            "Waiting": "5",
            "Oldest": "6.5 s",
            "Busy with": "Claim for 7.5 s",
            "Restarts": f"1 death{at(NOW)} KeyError over Queue",
        }
    ]
    assert '<meter min="0" max="9" value="2"' in html


def test_a_handler_has_its_own_limits_on_the_page_of_its_name(with_boot: Page) -> None:
    assert rows(section(with_boot.text("/names/mail"), "handlers")) == [
        {
            "Runtime": "b1",
            "Handler": "mail#7",
            "Runs on": "thread",
            "At once": "2 of 5 in all, 6/60s, 4 of a group, 9/1h of a group",
            "Timeout": "90 s",
            "Attempts": "8",
        }
    ]


def test_a_job_has_its_own_numbers_in_lists_and_on_its_page(page: Page) -> None:
    times = [
        f"{name}_at = {NOW + number}" for number, name in enumerate(("queued", "run", "claimed", "ended", "expires"))
    ]
    values = ", ".join(["attempt = 3", "max_attempts = 5", "claim_no = 4", "priority = 7", "timeout = 90", *times])
    values += "".join(f", {name}_key = '{name} of it'" for name in ("group", "unique", "debounce"))
    with contextlib.closing(sqlite3.connect(page.store)) as database, database:
        database.execute(f"update lamplighter_jobs set {values} where id = 'dead-1'")
    html, error = page.text("/jobs/dead-1"), "ValueError: no mailbox dead-1"
    (listed,) = rows(page.text("/jobs", "q=id%3Adead-1"))

    assert facts(html) == {
        "queued": at(NOW),
        "due": at(NOW + 1),
        "claimed": at(NOW + 2),
        "ended": at(NOW + 3),
        "attempts": "3 of 5",
        "claims": "4",
        "priority": "7",
        "timeout": "90 s",
        "unique": "unique of it",
        "group": "group of it",
        "debounce": "debounce of it",
        "expires": at(NOW + 4),
        "runtime": json.loads(page.get("/jobs/dead-1", "as=json").body)["job"]["boot"],
    }
    assert listed == {
        "": "",
        "Job": "dead-1",
        "Name": "mail",
        "State": "dead",
        "Why, progress or error": error,
        "Attempts": "3",
        "Queued": at(NOW),
        "Due": at(NOW + 1),
        "Ended": at(NOW + 3),
    }


def test_a_name_has_its_own_numbers(with_boot: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    with inspector_at(with_boot.store) as inspector:
        found = inspector.names()[0]
    amounts = {name: Amount(count=count) for count, name in enumerate(("ready", "scheduled", "running"), 3)}
    one = replace(found, name="print", **amounts, oldest_ready=None, boots=("b1", "b2"), is_parked=False, lanes=7)
    monkeypatch.setattr(Inspector, "names", lambda self, **_: [one])

    (row,) = rows(with_boot.text("/names"))

    shown = {
        "Name": "print",
        "Ready": "3",
        "Waits": "",
        "Running": "5 of 7",
        "Scheduled": "4",
        "Taken by": "2 runtimes",
    }
    assert row.items() >= shown.items()


def test_a_group_of_failures_has_its_own_numbers(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    with inspector_at(page.store) as inspector:
        found = inspector.errors("mail")
    one = replace(found.groups[0], dead=3, failing=4, first_seen=NOW, last_seen=NOW + 1, sample="dead-2", line="a.py:7")
    monkeypatch.setattr(Inspector, "errors", lambda self, name=None: replace(found, groups=(one,), looked_at=9))

    shown = {"Name": "mail", "Dead": "3", "Tried again": "4", "First": at(NOW), "Last": at(NOW + 1), "Where": "a.py:7"}
    (row,) = rows(page.text("/errors"))
    assert row.items() >= shown.items()
    assert "newest 9 jobs" in page.text("/errors")
    told = facts(page.text(f"/errors/{one.id}"))
    assert told == {**{name.lower(): text for name, text in shown.items()}, "one of them": "dead-2"}


COLUMNS: dict[str, tuple[Any, dict[str, list[tuple[str, Any, Any]]]]] = {
    "names": (
        NAME_KEYS,
        {
            "name": [("name", "a", "b")],
            "ready": [("ready", Amount(count=2), Amount(count=1)), ("ready", Amount(count=1), None)],
            "waits": [("oldest_ready", NOW, NOW + 1), ("oldest_ready", NOW, None)],
            "running": [("running", Amount(count=2), Amount(count=1))],
            "scheduled": [("scheduled", Amount(count=2), Amount(count=1))],
        },
    ),
    "errors": (
        ERROR_KEYS,
        {
            "name": [("name", "a", "b")],
            "dead": [("dead", 2, 1)],
            "failing": [("failing", 2, 1)],
            "first": [("first_seen", NOW + 1, NOW)],
            "last": [("last_seen", NOW + 1, NOW)],
        },
    ),
    "schedules": (
        SCHEDULE_KEYS,
        {
            "name": [("name", "a", "b")],
            "next": [
                ("next", (SimpleNamespace(at=NOW),), (SimpleNamespace(at=NOW + 1),)),
                ("next", (SimpleNamespace(at=NOW),), ()),
            ],
            "last": [("last_slot", NOW + 1, NOW), ("last_slot", NOW, None)],
        },
    ),
}
"""Of each list, by what its columns are sorted: a field, its value of the thing that comes first, and of the other."""


@pytest.mark.parametrize(
    ("path", "sort", "field", "first", "second"),
    [
        (path, sort, *values)
        for path, (_, columns) in COLUMNS.items()
        for sort, every in columns.items()
        for values in every
    ],
)
def test_a_list_is_sorted_by_each_of_its_columns_and_the_other_way_round(
    page: Page, monkeypatch: pytest.MonkeyPatch, path: str, sort: str, field: str, first: Any, second: Any
) -> None:
    with inspector_at(page.store) as inspector:
        errors = inspector.errors("mail")
        of = {"names": inspector.names()[0], "errors": errors.groups[0], "schedules": inspector.schedules(limit=1)[0]}
    identity = "name" if path == "names" else "id"
    both = [replace(of[path], **{identity: name, field: value}) for name, value in (("a", first), ("b", second))]

    def order(sort: str, given: list[Any]) -> list[str]:
        monkeypatch.setattr(Inspector, "names", lambda self, **_: given)
        monkeypatch.setattr(Inspector, "schedules", lambda self, **_: given)
        monkeypatch.setattr(Inspector, "errors", lambda self: replace(errors, groups=tuple(given)))
        return re.findall(r'<tr id="\w+-(a|b)" data-row>', page.text(f"/{path}", f"sort={sort}"))

    # Where a column does not sort, the order is the given one.
    assert order(sort, both[::-1]) == ["a", "b"]
    assert order(f"-{sort}", both) == ["b", "a"]
    # What waits longest is told as a duration: the earliest is the most.
    falls = sort in ("ready", "waits", "running", "scheduled", "dead", "failing", "first", "last")
    for asked, ways in (
        (sort, "descending" if falls else "ascending"),
        (f"-{sort}", "ascending" if falls else "descending"),
    ):
        assert re.findall(r'aria-sort="(\w+)"', page.text(f"/{path}", f"sort={asked}")) == [ways]


def test_every_column_that_sorts_is_in_the_table() -> None:
    assert {path: set(keys) for path, (keys, _) in COLUMNS.items()} == {
        path: set(columns) for path, (_, columns) in COLUMNS.items()
    }


@pytest.mark.parametrize(("title", "most"), [("parents", 2), ("waiting", 2), ("children", 2)])
@pytest.mark.parametrize("more", [0, 1])
def test_a_list_of_related_jobs_says_so_where_it_has_not_all(
    page: Page, monkeypatch: pytest.MonkeyPatch, title: str, most: int, more: int
) -> None:
    for limit in ("LINKED_MAX", "CHILDREN_MAX"):
        monkeypatch.setattr(f"lamplighter.admin.inspector.{limit}", most)
    with Runtime(page.store) as runtime:
        several = range(most + more)
        before = [runtime.jobs.queue("nobody", number) for number in several] if title == "parents" else []
        job = runtime.jobs.queue("nobody", id="it", after=before)
        for _ in several if title == "waiting" else ():
            runtime.jobs.queue("nobody", after=[job])
    with contextlib.closing(sqlite3.connect(page.store)) as database, database:
        for number in several if title == "children" else ():
            kin = "update lamplighter_jobs set corr = 'it' where id = ?"
            database.execute(kin, (["dead-0", "dead-1", "dead-2"][number],))

    html = page.text("/jobs/it")

    shown = section(html, title)
    assert (len(rows(shown)), shown.count("... and more")) == (most, more)
    assert html.count("... and more") == more


def test_each_number_of_the_overview_leads_to_its_jobs(page: Page) -> None:
    found = re.findall(r'<li id="number-(\w+)"><a href="([^"]+)"><span>\w+</span><strong>([^<]+)<', page.text("/"))
    model = json.loads(page.get("/", "as=json").body)

    states = {"ready": "queued", "running": "running", "scheduled": "queued", "parked": "queued", "dead": "dead"}
    assert {name: link for name, link, _ in found} == {
        name: f"/jobs?q=state%3A{state}" for name, state in states.items()
    }
    assert {name: int(value) for name, _, value in found} == {name: model[name]["count"] for name in states}


@pytest.mark.parametrize(("most", "leads"), [(2, True), (3, False)])
def test_the_overview_leads_to_all_names_where_it_has_not_all(
    page: Page, monkeypatch: pytest.MonkeyPatch, most: int, leads: bool
) -> None:
    monkeypatch.setattr("lamplighter.web.pages.looks.PAGE_NAMES", most)

    assert ('href="/names">All names' in page.text("/")) == leads


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, "green"),
        ({"stops": True}, "green stopping"),
        ({"is_quiet": True}, "green quiet"),
        ({"status": None, "condition": "silent", "unheard": "it is busy"}, "silent: it is busy"),
    ],
)
def test_a_runtime_has_its_own_state(
    page: Page, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], says: str
) -> None:
    monkeypatch.setattr(Runtimes, "all", lambda self: [replace(BOOT, **changed)])

    (row,) = rows(page.text("/runtimes"))

    assert row["State"] == says


def test_a_pause_says_who_has_paused_until_when_and_why(page: Page) -> None:
    page.post("/act/name", {"name": "mail", "action": "pause", "until": "+2h", "reason": "it moves"})
    pause = json.loads(page.get("/names/mail", "as=json").body)["pause"]

    says = f"No job of this name is started, as ada has paused it: it moves, until {at(pause['until'])}."
    assert says in text_of(page.text("/names/mail"))


def test_a_schedule_tells_its_newest_slots_and_how_many_each_row_stands_for(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamplighter.web.pages.looks.SLOTS_SHOWN_MAX", 2)
    with inspector_at(page.store) as inspector:
        found = inspector.schedule(inspector.schedules(limit=1)[0].id)
    told = [(NOW, NOW, 1, "j0"), (NOW + 60, NOW + 300, 5, None), (NOW + 360, NOW + 360, 1, "j2")]
    slots = tuple(
        SlotView(slot=slot, last=last, count=count, outcome=f"outcome {slot}", reason=f"reason {slot}", job_id=job_id)
        for slot, last, count, job_id in told
    )
    monkeypatch.setattr(Inspector, "schedule", lambda self, *_, **__: replace(found, slots=slots))

    def row(slot: float, when: str, job_id: str) -> dict[str, str]:
        return {"Slot": when, "Outcome": f"outcome {slot}", "Job": job_id, "Why": f"reason {slot}"}

    assert rows(section(page.text("/schedules/any"), "slots")) == [
        row(NOW + 360, at(NOW + 360), "j2"),
        row(NOW + 60, f"{at(NOW + 60)} and 4 more, up to {at(NOW + 300)}", ""),
    ]


@pytest.mark.parametrize(
    ("is_durable", "declared_by", "in_list", "on_page"),
    [
        (True, (), "the store", "the store"),
        (False, ("b1",), "1 runtime", "b1"),
        (False, ("b1", "b2"), "2 runtimes", "b1 b2"),
        (False, (), "nobody: it will not fire", "nobody that runs: it will not fire"),
        (False, None, "not known", "not known: not all runtimes have answered"),
    ],
)
def test_a_schedule_says_who_declares_it(
    page: Page, monkeypatch: pytest.MonkeyPatch, is_durable: bool, declared_by: Any, in_list: str, on_page: str
) -> None:
    with inspector_at(page.store) as inspector:
        found = inspector.schedule(inspector.schedules(limit=1)[0].id)
    one = replace(found.schedule, is_durable=is_durable, declared_by=declared_by)
    monkeypatch.setattr(Inspector, "schedule", lambda self, *_, **__: replace(found, schedule=one))
    monkeypatch.setattr(Inspector, "schedules", lambda self, *_, **__: [one])

    (row,) = rows(page.text("/schedules"))
    assert row["Declared by"] == in_list
    assert facts(page.text("/schedules/any"))["declared by"] == on_page


def test_an_attempt_has_its_own_span_and_a_job_that_of_its_last_one(page: Page) -> None:
    with contextlib.closing(sqlite3.connect(page.store)) as database, database:
        job = f"queued_at = {NOW}, run_at = {NOW + 1}, claimed_at = {NOW + 3}, ended_at = {NOW + 7}"
        database.execute(f"update lamplighter_jobs set {job} where id = 'dead-1'")
        attempt = f"claim_no = 9, claimed_at = {NOW + 2}, ended_at = {NOW + 2.5}"
        database.execute(f"update lamplighter_attempts set {attempt} where job_id = 'dead-1'")

    html = page.text("/jobs/dead-1")

    assert "waited 2 s, ran 4 s" in text_of(html)
    (row,) = rows(section(html, "attempts"))
    assert row.items() >= {"Claim": "9", "Outcome": "failed", "Began": at(NOW + 2), "Took": "500 ms"}.items()


@pytest.mark.parametrize("has_more", [False, True])
def test_a_list_that_is_not_whole_says_so(page: Page, monkeypatch: pytest.MonkeyPatch, has_more: bool) -> None:
    with inspector_at(page.store) as inspector:
        jobs = replace(inspector.jobs(JobQuery(), limit=1), looked_at=7, is_complete=not has_more)
        errors = replace(inspector.errors(), is_capped=has_more)
        job = inspector.job("fine")
    steps = tuple(StepMark(name=f"step-{number}", bytes=number, claim_no=1, at=NOW) for number in (2, 3))
    seen = replace(job, steps=steps, steps_kept=2 + has_more)
    monkeypatch.setattr(Inspector, "jobs", lambda self, *_, **__: jobs)
    monkeypatch.setattr(Inspector, "errors", lambda self: errors)
    monkeypatch.setattr(Inspector, "job", lambda self, _: seen)

    said = {path: text_of(page.text(path)) for path in ("/jobs", "/errors", "/jobs/fine")}

    assert ("Looked at 7 jobs, and there are more." in said["/jobs"]) == has_more
    assert ("dead or failing; there are more." in said["/errors"]) == has_more
    assert ("3 steps kept The last 2 of them:" in said["/jobs/fine"]) == has_more


@pytest.mark.parametrize(("path", "here"), [("/", "Overview"), ("/jobs/fine", "Jobs"), ("/names/mail", "Names")])
def test_a_page_says_in_which_part_one_is(page: Page, path: str, here: str) -> None:
    nav = page.text(path).partition("<nav")[2].partition("</nav>")[0]

    assert re.findall(r'aria-current="page">(\w+)<', nav) == [here]


@pytest.mark.parametrize("dead", [0, 1])
def test_a_group_of_failures_is_requeued_where_some_are_dead(
    page: Page, monkeypatch: pytest.MonkeyPatch, dead: int
) -> None:
    with inspector_at(page.store) as inspector:
        found = inspector.errors("mail")
    one = replace(found.groups[0], dead=dead, failing=2)
    monkeypatch.setattr(Inspector, "errors", lambda self, name=None: replace(found, groups=(one,)))

    assert page.text(f"/errors/{one.id}").count("Requeue all that are dead") == dead


def test_the_chart_of_a_name_counts_its_own_jobs(page: Page) -> None:
    def counts(path: str) -> list[float]:
        found = rows(section(page.text(path), "throughput"))
        return [sum(float(row[kind]) for row in found) for kind in ("started", "done", "dead")]

    assert [counts(path) for path in ("/names/mail", "/names/nobody", "/")] == [[4, 1, 3], [0, 0, 0], [5, 1, 4]]


def test_values_are_written_with_their_own_parts() -> None:
    filters = _environment().filters

    reports = [{"done": 3, "total": 8.5, "note": "half"}, {"done": 3, "total": 0}, {"done": 2.5, "total": None}]
    assert [filters["progress"](one) for one in reports] == ["3 of 8.5 half", "3 of 0", "2.5"]
    spans = (None, 0.25, 1, 119.9, 120, 7_199, 7_200, 172_800)
    assert [filters["span"](one) for one in spans] == ["", "250 ms", "1 s", "119.9 s", "2 min", "120 min", "2 h", "2 d"]
    assert [filters["plural"](count, "job") for count in (0, 1, 1_000)] == ["0 jobs", "1 job", "1,000 jobs"]
    assert [filters["short"]("0123456789abcdef" + end) for end in ("gh", "ghi")] == [
        "0123456789abcdefgh",
        "0123…6789abcdefghi",
    ]
