"""What the tools of `lamplighter mcp` tell a model where there is more than one answer has room for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lamplighter import JobFailed, Runtime
from lamplighter.admin.inspector import inspector_at
from lamplighter.admin.runtimes import Runtimes
from lamplighter.contrib.mcp import ActingTools, ReadingTools
from lamplighter.history.trace.job import Biography
from lamplighter.history.trace.sentences import Entry
from lamplighter.messages.views import Abandoned, Health

from ...admin.kit import a_boot, a_view
from ...web.kit import make_store

ROWS = 2
"""The most of one answer, here."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with more of everything than one answer has."""
    store = make_store(tmp_path_factory.mktemp("mcp"))
    runtime = Runtime(store)

    def work(job: Any) -> None:
        if job.data == "fails":
            raise ValueError(f"attempt {job.attempt}")
        for number in range(3):
            runtime.jobs.queue("leaf", number, id=f"leaf-{number}")

    runtime.jobs.add_handler("work", work, max_attempts=3, backoff=[0])
    with runtime:
        runtime.jobs.join(runtime.jobs.queue("work", id="parent"), timeout=20)
        with pytest.raises(JobFailed):
            runtime.jobs.join(runtime.jobs.queue("work", "fails", id="fails"), timeout=20)
        for number in range(3):
            runtime.scheduler.add("leaf", f"{number} 3 * * *", durable=True, key=f"leaf-{number}")
    return store


@pytest.fixture
def tools(store: Path, monkeypatch: pytest.MonkeyPatch) -> ReadingTools:
    monkeypatch.setattr("lamplighter.contrib.mcp.ROWS_MAX", ROWS)
    return ReadingTools(str(store))


def test_of_a_job_it_tells_the_last_attempts_and_the_end_of_its_story(
    store: Path, tools: ReadingTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = tuple(Entry(at=float(number), who="", says=f"step {number}") for number in range(5))
    told = Biography(job_id="fails", title="", entries=entries, gaps=0)
    monkeypatch.setattr("lamplighter.contrib.mcp.biography", lambda logs, job_id: told)

    found = ReadingTools(str(store), logs=["app.log"]).job("fails")["untrusted"]

    assert [(one["claim_no"], one["error"]) for one in found["attempts"]] == [
        (2, "ValueError: attempt 2"),
        (3, "ValueError: attempt 3"),
    ]
    assert [one["says"] for one in found["story"]] == ["step 3", "step 4"]


def test_of_a_job_it_tells_those_that_were_queued_first(tools: ReadingTools) -> None:
    found = tools.job("parent")["untrusted"]

    assert [one["id"] for one in found["children"]] == ["leaf-0", "leaf-1"]
    assert found["has_more_children"]


def test_of_a_schedule_it_tells_the_last_slots(tools: ReadingTools) -> None:
    schedule = tools.schedule()["untrusted"][0]["id"]

    answer = tools.schedule(schedule, since="3d", until="+3d")

    slots, next_one = answer["untrusted"]["slots"], answer["untrusted"]["schedule"]["next"][0]["at"]
    assert answer["summary"].endswith(f"slots; the last {ROWS} are shown")
    assert [slot["slot"] - next_one for slot in slots] == [86_400.0, 2 * 86_400.0]


@pytest.mark.parametrize(("tool", "rows"), [("overview", "names"), ("errors", ""), ("doctor", "")])
def test_it_tells_the_first_and_how_many_more_there_are(
    tools: ReadingTools, monkeypatch: pytest.MonkeyPatch, tool: str, rows: str
) -> None:
    def told() -> tuple[list[Any], str]:
        answer = getattr(tools, tool)()
        found = answer["untrusted"][rows] if rows else answer["untrusted"]
        return [one.get("name", one.get("check")) for one in found], answer["summary"]

    some, summary = told()
    monkeypatch.setattr("lamplighter.contrib.mcp.ROWS_MAX", 1_000)
    every, whole = told()

    assert len(every) > ROWS == len(some)
    assert some == every[:ROWS]
    assert summary == f"{whole}; {len(every) - ROWS} more not shown"


def test_all_jobs_are_found_page_after_page(tools: ReadingTools) -> None:
    first = tools.find_jobs("name:leaf", limit=ROWS)
    rest = tools.find_jobs("name:leaf", limit=ROWS, after=first["next"])

    assert [[one["id"] for one in page["untrusted"]] for page in (first, rest)] == [["leaf-2", "leaf-1"], ["leaf-0"]]
    assert [page["summary"].endswith("; there may be more") for page in (first, rest)] == [True, False]
    assert "next" not in rest


def test_failures_are_those_of_a_name_where_one_is_asked_for(tools: ReadingTools) -> None:
    assert [one["name"] for one in tools.errors("work")["untrusted"]] == ["work"]


@pytest.mark.parametrize(("most", "says"), [(5, "5 jobs"), (4, "the newest 4 jobs")])
def test_it_says_whether_all_failures_are_in_the_groups(
    tools: ReadingTools, monkeypatch: pytest.MonkeyPatch, most: int, says: str
) -> None:
    monkeypatch.setattr("lamplighter.admin.error_groups.FAILED_MAX", most)

    assert tools.errors()["summary"].partition("; ")[0].partition(" of ")[2] == f"{says} that failed"


@pytest.mark.parametrize(("client", "by"), [("tester", "mcp:tester"), ("", "mcp:unknown")])
def test_a_name_is_paused_and_resumed_in_the_name_of_the_client(tmp_path: Path, client: str, by: str) -> None:
    store, acts = make_store(tmp_path), list[dict[str, Any]]()
    acting = ActingTools(str(store))

    paused = []
    for is_paused in (True, False):
        acting.pause(client, "mail", " one thing after the other ", is_paused)
        with inspector_at(store) as inspector:
            found = inspector.name("mail")
        paused.append(found is not None and found.pause is not None)
    runtime = Runtime(store)
    runtime.subscribe(acts.append, ["operator.acted"])
    with runtime:
        pass

    assert paused == [True, False]
    assert [(act["by"], act["via"], act["reason"]) for act in acts] == [(by, "mcp", "one thing after the other")] * 2


def test_runtimes_that_answer_and_threads_that_hang_are_counted(
    tools: ReadingTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung = Abandoned(job_id="j", job_name="mail", lane=1, why="timed out", seconds=9.0, stack="")
    view = a_view(health=Health(status="red", reasons=(), boot="b1", abandoned=(hung, hung)))
    boots = [replace(a_boot("b1", view=view), condition="answers"), a_boot("b2"), a_boot("b3")]
    monkeypatch.setattr(Runtimes, "all", lambda self: boots)

    answer = tools.runtimes()

    assert answer["summary"] == "3 runtimes, of which 1 answer; 2 hung threads; 1 more not shown"
    assert [one["boot"] for one in answer["untrusted"]] == ["b1", "b2"]
