"""The page of a graph: a picture that is readable however many jobs there are, a table, and acts on all of them."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from lamplighter import JobSpec, Runtime
from lamplighter.web import LOOK
from lamplighter.web.pages.graphs import BOXES_MAX

from .kit import HOSTILE, Page

NAME = HOSTILE.replace("\x00", "")


@pytest.fixture
def page(tmp_path: Path) -> Page:
    """A graph of 60 parts of a hostile name with their merge, of which some are done and one is cancelled."""
    runtime = Runtime(tmp_path / "jobs.db")
    parts = [JobSpec(name=NAME, data=number, id=f"part {number}") for number in range(60)]
    runtime.start(work=False)
    runtime.jobs.queue_many([*parts, JobSpec(name="merge", id="merge", after=parts)])
    for number in range(10):
        runtime.jobs.mark_done(f"part {number}")
    runtime.jobs.cancel("part 11")
    runtime.stop()
    return Page(tmp_path / "jobs.db")


def queries(html: str) -> list[str]:
    """The searches to which the boxes of the picture lead."""
    links = re.findall(r'<a href="([^"]+)" aria-label="level', html)
    return [parse_qs(urlsplit(unescape(link)).query)["q"][0] for link in links]


def test_the_picture_has_a_box_for_each_level_and_name_that_leads_to_its_jobs(page: Page) -> None:
    html = page.text("/graphs/merge")

    assert len(queries(html)) == 2
    found = json.loads(page.text("/jobs", urlencode({"q": queries(html)[0], "as": "json"})))
    assert "level 0, " in html and "1 cancelled, 49 queued, 10 done" in html
    assert html.count("<path ") == 1
    assert {job["name"] for job in found["jobs"]} == {NAME}


def test_each_number_of_the_table_leads_to_so_many_jobs_of_its_name_and_state(page: Page) -> None:
    html = page.text("/graphs/merge")

    cells = re.findall(r'<a class="\w+" href="([^"]+)">([\d,]+)</a>', html)
    for link, number in cells:
        query = parse_qs(urlsplit(unescape(link)).query)["q"][0]
        found = json.loads(page.text("/jobs", urlencode({"q": query, "as": "json", "limit": "100"})))
        assert len(found["jobs"]) == int(number), query

    assert sorted(int(number) for _, number in cells) == [1, 1, 10, 49]


def test_a_search_of_a_box_finds_the_jobs_of_this_graph_alone(page: Page, tmp_path: Path) -> None:
    with Runtime(tmp_path / "jobs.db") as runtime:
        runtime.jobs.queue("merge", id="another")

    html = page.text("/jobs", "q=graph:merge+name:merge")

    assert 'id="job-merge"' in html and 'id="job-another"' not in html


def test_nothing_of_a_name_is_markup(page: Page) -> None:
    html = page.text("/graphs/part 11")

    assert "<script>alert(1)" not in html
    assert "alert(1)" in html


def test_it_says_what_holds_it_up_and_whoever_may_acts_on_all_of_it(page: Page) -> None:
    html = page.text("/graphs/merge")
    assert "Held up by 49 queued jobs" in html and "no process runs jobs" in html

    failed = {"which": "matching", "q": "state:dead state:cancelled graph:merge fate:no", "action": "requeue"}
    sure = page.post("/act/jobs", failed).body.decode()
    assert "Requeue 1 job" in sure
    assert 'name="q" value="state:dead state:cancelled graph:merge fate:no"' in html
    assert 'name="q" value="state:queued state:running graph:merge"' in html
    assert "/act/jobs" not in Page(Path(page.store), may=LOOK).text("/graphs/merge")


def test_a_job_leads_to_its_graph_if_something_hangs_together_with_it(page: Page, tmp_path: Path) -> None:
    with Runtime(tmp_path / "jobs.db") as runtime:
        runtime.jobs.queue("alone", id="alone")

    assert 'href="/graphs/merge"' in page.text("/jobs/merge")
    assert 'href="/graphs/part%207"' in page.text("/jobs/part 7")
    assert "/graphs/" not in page.text("/jobs/alone")


def test_of_very_many_names_the_first_are_drawn_and_the_table_has_all(tmp_path: Path) -> None:
    runtime = Runtime(tmp_path / "jobs.db")
    runtime.start(work=False)
    parts = [JobSpec(name=f"tenant {number}") for number in range(BOXES_MAX + 30)]
    runtime.jobs.queue_many([*parts, JobSpec(name="merge", id="merge", after=parts)])
    runtime.stop()

    html = Page(tmp_path / "jobs.db").text("/graphs/merge")

    assert len(queries(html)) == BOXES_MAX
    assert "The table has 31 rows more than the picture has boxes." in html
    assert f">tenant {BOXES_MAX + 29}</a>" in html
