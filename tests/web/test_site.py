"""What the page answers, asked without a server or a browser."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sqlite3
import threading
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urljoin, urlsplit

import pytest
from lamplighter import Runtime, UsageError
from lamplighter.admin.operator import Operator
from lamplighter.messages.views import RuntimeView
from lamplighter.stores.sqlite.control_client import FileControlClient
from lamplighter.web import LOOK, STEER, Visitor, dashboard
from lamplighter.web.faces.http import BODY_BYTES_MAX, Request, redirect
from lamplighter.web.pages.page import STREAM, PageVisit
from lamplighter.web.pages.routes import Route, route_of
from lamplighter.web.site import HEADERS

from .kit import EVERYTHING, Page

TITLES = {
    "/": "Overview",
    "/jobs": "Jobs",
    "/errors": "Errors",
    "/names": "Names",
    "/schedules": "Schedules",
    "/runtimes": "Runtimes",
    "/doctor": "Doctor",
    "/names/mail": "mail",
    "/jobs/fine": "fine",
    "/jobs/dead-1": "dead-1",
    "/graphs/dead-1": "Graph of dead-1",
}

PAGES = list(TITLES)


def title_of(html: str) -> str:
    return unescape(html.partition("<title>")[2].partition("</title>")[0])


@pytest.mark.parametrize("path", PAGES)
def test_every_page_answers_people_and_programs(page: Page, path: str) -> None:
    html, twin = page.get(path), page.get(path, "as=json")

    assert (html.status, twin.status) == (200, 200)
    assert html.body.startswith(b"<!doctype html>")
    assert html.headers.items() >= HEADERS.items()
    assert title_of(html.body.decode()) == f"{TITLES[path]} – Lamplighter"
    json.loads(twin.body)


def test_the_page_of_a_schedule_and_that_of_a_failure_say_which_one_it_is(page: Page) -> None:
    (schedule,) = json.loads(page.get("/schedules", "as=json").body)
    group = next(one for one in json.loads(page.get("/errors", "as=json").body)["groups"] if one["name"] == "mail")
    said = page.text(f"/schedules/{schedule['id']}"), page.text(f"/errors/{group['id']}")

    assert [title_of(html) for html in said] == ["morning – Lamplighter", "ValueError – Lamplighter"]
    facts = [unescape(re.sub("<[^>]*>", "", one)) for one in re.findall(r"<(?:h1|dd)\b.*?</(?:h1|dd)>", said[0])]
    assert facts == [
        "morning",
        "mail",
        "at 06:00 every day (0 6 * * *, Europe/Berlin)",
        "",
        "the store",
        schedule["id"],
    ]


@pytest.mark.parametrize(
    "path",
    ["/jobs/unknown", "/names/unknown", "/graphs/unknown", "/schedules/unknown", "/runtimes/x", "/errors/x", "/x"],
)
def test_what_is_not_there_is_said_with_404(page: Page, path: str) -> None:
    response = page.get(path)

    assert response.status == 404
    assert path.rpartition("/")[2] in response.body.decode()


def test_a_row_with_half_of_a_surrogate_pair_is_shown(tmp_path: Path) -> None:
    """Another program has stored it."""
    with Runtime(tmp_path / "jobs.db") as runtime:
        runtime.jobs.queue("mail", id="cut")
    with contextlib.closing(sqlite3.connect(tmp_path / "jobs.db")) as store, store:
        store.execute("""update lamplighter_jobs set data = '"a\\ud83d"'""")

    page = Page(tmp_path / "jobs.db")
    assert "a\ufffd" in unescape(page.text("/jobs/cut"))
    for path in ("/jobs", "/jobs/cut"):
        assert "a\ufffd" in page.text(path, "as=json")


def test_names_are_on_pages_of_their_own_and_the_overview_has_the_first(tmp_path: Path) -> None:
    runtime = Runtime(tmp_path / "jobs.db")
    runtime.start(work=False)
    runtime.jobs.queue_many([(f"tenant {number:03}", number) for number in range(120)])
    runtime.stop()
    page = Page(tmp_path / "jobs.db")

    assert page.text("/").count('<tr id="name-') == 50
    seen, link = [], "/names"
    while link:
        path, _, query = link.partition("?")
        said = page.text(path, query)
        seen += re.findall(r'<tr id="name-([^"]+)"', said)
        following = re.search(r'<a rel="next" href="([^"]+)"', said)
        link = following and unescape(following[1])
    assert seen == [f"tenant {number:03}" for number in range(120)]
    assert page.text("/names/tenant 007").count('<tr id="name-') == 1
    for query, rest in (("sort=-name", 70), ("find=tenant 0", 50), ("find=tenant 01", 0)):
        said = page.text("/names", query)
        assert re.findall(r"[.]{3} and (\d+) more: search for a part of the name", said) == [str(rest)] * bool(rest)


def test_an_error_for_programs_is_json(page: Page) -> None:
    response = page.get("/jobs/unknown", "as=json")

    assert (response.status, response.kind) == (404, "application/json")
    assert "unknown" in json.loads(response.body)["error"]


def test_a_page_shows_and_changes_the_file_that_is_at_its_path_now(page: Page, store: Path) -> None:
    """A page that went on with a deleted file showed a dead job, and its button requeued the done one of the new."""
    act = {"id": "dead-1", "action": "requeue"}
    assert json.loads(page.text("/jobs/dead-1", "as=json"))["job"]["state"] == "dead"

    for ending in ("", "-wal", "-shm"):
        Path(f"{store}{ending}").unlink(missing_ok=True)
    while_gone = [page.get(path, "as=json") for path in ("/", "/jobs/dead-1", "/metrics")]
    while_gone.append(page.post("/act/job", act))
    with Runtime(store) as runtime:
        runtime.jobs.add_handler("mail", lambda job: None)
        runtime.jobs.join(runtime.jobs.queue("mail", id="dead-1"))
    now, asked = json.loads(page.text("/jobs/dead-1", "as=json")), page.post("/act/job", act)

    assert [answer.status for answer in while_gone] == [503] * 4
    assert all(b"which is no file" in answer.body for answer in while_gone)
    assert (now["job"]["state"], asked.status) == ("done", 200)
    with Operator(store, by="ada", via="test") as operator:
        assert operator.store.jobs.known(("dead-1",))["dead-1"].state == "done"


def test_an_act_shares_the_log_of_a_backup_that_was_written_over_the_file(
    page: Page, store: Path, tmp_path: Path
) -> None:
    with Runtime(tmp_path / "backup.db") as runtime:
        runtime.jobs.queue("mail", id="old", delay=3600)
    with Runtime(store) as runtime:
        runtime.jobs.queue("mail", id="lost", delay=3600)
        page.text("/jobs/lost")
    # The page is the last who has the file open, so the log beside it stays.
    for ending in ("-wal", "-shm"):
        Path(f"{store}{ending}").unlink()
    store.write_bytes((tmp_path / "backup.db").read_bytes())

    act = page.post("/act/name", {"action": "pause", "name": "mail"})

    assert act.status == 303, act.body.decode()
    # Where there is a log, its index is beside it: with two of them, processes would write over one another.
    assert Path(f"{store}-wal").exists() == Path(f"{store}-shm").exists()
    assert {job["id"] for job in json.loads(page.text("/jobs", "as=json"))["jobs"]} >= {"old"}
    assert page.get("/jobs/lost").status == 404


def test_a_search_that_cannot_be_read_says_where(page: Page) -> None:
    response = page.get("/jobs", "q=state%3Asleeping")

    assert response.status == 400
    assert "at character 7" in response.body.decode()


def test_whoever_is_not_known_sees_nothing(store: Path) -> None:
    site = dashboard(str(store), who=lambda request: None)

    for path in (*PAGES, "/live"):
        response = site.answer(Request(method="GET", path=path))
        assert (response.status, b"mail" in response.body) == (401, False)


@pytest.mark.parametrize("error", [ValueError("s3cr3t"), UsageError("s3cr3t"), LookupError("s3cr3t"), None])
def test_an_error_of_who_is_told_by_the_log_alone(store: Path, caplog: pytest.LogCaptureFixture, error: Any) -> None:
    def who(request: Request) -> Any:
        if error is None:
            return "s3cr3t"
        raise error

    answers = [
        dashboard(str(store), who=who).answer(Request(method="GET", path="/", query=query)) for query in ("", "as=json")
    ]

    assert [(answer.status, b"s3cr3t" in answer.body) for answer in answers] == [(500, False), (500, False)]
    assert caplog.text.count("the page has failed") == 2
    assert "s3cr3t" in caplog.text


def test_whoever_must_log_in_is_sent_to_do_so(store: Path) -> None:
    site = dashboard(str(store), who=lambda request: redirect("/login"))

    response = site.answer(Request(method="GET", path="/"))

    assert (response.status, response.headers["Location"]) == (303, "/login")


def test_a_button_to_log_out_is_shown_where_that_can_be_done(store: Path) -> None:
    pages = [
        dashboard(str(store), who=lambda request, to=to: Visitor("ada", LOOK, to)).answer(
            Request(method="GET", path="/", root="/admin")
        )
        for to in ("", "/log-out")
    ]

    found = [page.body.decode().count('action="/admin/log-out"><button>Log out') for page in pages]
    assert found == [0, 1]


def test_a_page_without_who_is_refused() -> None:
    with pytest.raises(TypeError, match="who"):
        dashboard("jobs.db")  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="expected who=, a function"):
        dashboard("jobs.db", who="ada")  # type: ignore[arg-type]


def test_a_page_over_a_runtime_in_memory_is_refused() -> None:
    with pytest.raises(UsageError, match="memory"):
        dashboard(Runtime(":memory:"), who=lambda request: None)


def test_what_jobs_carry_is_hidden_from_those_who_may_not_see_it(page: Page) -> None:
    page.may = STEER
    for path in ("/jobs/fine", "/jobs"):
        for query in ("", "as=json"):
            said = page.get(path, query).body.decode()
            assert "hunter2" not in said
            assert "result-of-mail" not in said
    page.may = EVERYTHING

    assert {"hunter2", "result-of-mail"} <= set(re.findall(r"[\w-]+", page.text("/jobs/fine")))


def test_what_is_hidden_cannot_be_guessed_by_searching_for_it(page: Page) -> None:
    form = {"which": "matching", "q": "state:dead data.password=hunter2", "action": "requeue"}
    assert page.get("/jobs", "q=data.password%3Dhunter2").status == 200
    page.may = STEER

    assert page.get("/jobs", "q=data.password%3Dhunter2").status == 403
    assert page.post("/act/jobs", form).status == 403


def standing(page: Page) -> list[tuple[str, str]]:
    """Each job, and its state."""
    return [(job["id"], job["state"]) for job in json.loads(page.get("/jobs", "as=json").body)["jobs"]]


FORMS = [
    ("/act/job", {"id": "dead-1", "action": "requeue"}),
    ("/act/job", {"id": "later", "action": "cancel"}),
    ("/act/name", {"name": "mail", "action": "pause"}),
    ("/act/jobs", {"id": ["dead-1"], "action": "requeue", "which": "selected"}),
]


@pytest.mark.parametrize(("path", "fields"), FORMS)
def test_whoever_may_only_look_does_nothing(page: Page, path: str, fields: dict[str, object]) -> None:
    before = standing(page)
    page.may = LOOK

    response = page.post(path, fields)

    assert response.status == 403
    assert standing(page) == before
    assert b'method="post"' not in page.get("/jobs/dead-1").body


@pytest.mark.parametrize(("path", "fields"), FORMS)
def test_a_form_of_another_site_does_nothing(page: Page, path: str, fields: dict[str, object]) -> None:
    before = standing(page)

    response = page.post(path, fields, sec_fetch_site="cross-site")

    assert response.status == 403
    assert standing(page) == before


def test_a_form_that_is_too_large_or_no_form_is_refused(page: Page) -> None:
    assert page.post("/act/job", {"id": "x" * BODY_BYTES_MAX}).status == 413
    assert page.post("/act/job", {"id": "dead-1"}, content_type="text/plain").status == 400
    assert page.get("/act/job").status == 405
    assert page.post("/jobs", {}).status == 405


def test_a_dead_job_is_requeued_and_its_page_says_so(page: Page) -> None:
    response = page.post("/act/job", {"id": "dead-1", "action": "requeue", "reason": "mailbox is back"})

    assert response.status == 303
    path, _, query = response.headers["Location"].partition("?")
    assert "put back into the queue" in page.text(path, query)
    assert json.loads(page.get(path, "as=json").body)["job"]["state"] == "queued"


@pytest.mark.parametrize(("site", "is_shown"), [("same-origin", True), ("cross-site", False), ("none", False)])
def test_a_link_of_another_site_does_not_say_that_something_was_done(page: Page, site: str, is_shown: bool) -> None:
    shown = page.get("/jobs/dead-1", "said=requeued", **{"sec-fetch-site": site})

    assert (b"put back into the queue" in shown.body) == is_shown


@pytest.mark.parametrize("path", ["/jobs/fine", "/jobs", "/names/mail", "/errors", "/schedules"])
def test_a_link_makes_a_page_say_nothing_of_its_own(page: Page, path: str) -> None:
    for said in ("It was cancelled. Log in at evil.example", "unknown", ""):
        assert page.text(path, urlencode({"said": said})).count('class="notice good"') == 0


def test_the_log_says_who_did_it_on_the_page_and_why(page: Page, store: Path) -> None:
    page.post("/act/job", {"id": "dead-1", "action": "requeue", "reason": "mailbox is back"})
    acts: list[dict[str, object]] = []
    runtime = Runtime(store)
    runtime.subscribe(acts.append, ["operator.acted"])

    with runtime:
        pass

    (act,) = acts
    assert (act["by"], act["via"]) == ("ada", "web")
    assert "mailbox is back" in json.dumps(act)


def test_a_job_that_is_done_is_requeued_only_after_a_question(page: Page) -> None:
    asked = page.post("/act/job", {"id": "fine", "action": "requeue", "reason": "again"})
    before = json.loads(page.get("/jobs/fine", "as=json").body)["job"]["state"]
    form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', asked.body.decode()))

    done = page.post("/act/job", {**form, "action": "requeue"})

    assert (asked.status, before, done.status) == (200, "done", 303)
    assert "Requeue this job?" in asked.body.decode() and "it runs once more" in asked.body.decode()
    assert form == {"id": "fine", "reason": "again", "sure": "done"}
    assert json.loads(page.get("/jobs/fine", "as=json").body)["job"]["state"] == "queued"


def test_a_job_that_has_ended_meanwhile_is_not_asked_about_before_a_cancel(page: Page) -> None:
    response = page.post("/act/job", {"id": "fine", "action": "cancel"})

    assert response.status == 303
    assert "It had ended already" in page.text(*response.headers["Location"].split("?"))


def test_enter_in_a_field_of_a_name_never_does_what_another_field_is_for(page: Page) -> None:
    forms = re.findall(r"<form.*?</form>", page.text("/names/mail"), re.DOTALL)

    # A browser presses the first button of a form.
    first = {
        tuple(re.findall(r'<input name="(\w+)"', form)): re.findall(r'name="action" value="(\w+)"', form)
        for form in forms
    }
    assert first.items() >= {("until", "reason"): ["pause"], ("most", "reason"): ["limit"]}.items()


def test_a_copy_that_its_unique_key_keeps_from_being_queued_is_told_as_such(page: Page, store: Path) -> None:
    with Operator(store, by="ada", via="test") as operator:
        operator.queue("nobody", 1, id="first", unique="only one")

    response = page.post("/act/new", {"action": "copy", "id": "first", "data": "2"})

    path, _, query = response.headers["Location"].partition("?")
    assert path == "/jobs/first"
    assert "nothing was queued" in page.text(path, query)


def test_data_that_is_too_long_for_a_form_is_copied_as_it_is(page: Page, store: Path) -> None:
    with Operator(store, by="ada", via="test") as operator:
        operator.queue("nobody", [1] * 100_000, id="long")

    shown = page.text("/jobs/long")
    copy = page.post("/act/new", {"action": "copy", "id": "long"})

    assert "<textarea" not in shown and "<textarea" in page.text("/jobs/fine")
    assert copy.status == 303


def test_the_page_acts_on_the_store_that_it_shows_after_a_change_of_folder(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store.parent)
    page = Page(Path(store.name))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    page.post("/act/job", {"id": "later", "action": "cancel"})

    assert json.loads(page.get("/jobs/later", "as=json").body)["job"]["state"] == "cancelled"


def test_a_name_is_paused_and_resumed(page: Page) -> None:
    page.post("/act/name", {"name": "mail", "action": "pause"})
    assert "Resume" in page.text("/names/mail")

    page.post("/act/name", {"name": "mail", "action": "resume"})

    assert "Resume" not in page.text("/names/mail")


def test_a_name_is_paused_until_a_time_and_limited(page: Page) -> None:
    past = page.post("/act/name", {"name": "mail", "action": "pause", "until": "2h"})
    never = page.post("/act/name", {"name": "mail", "action": "pause", "until": "+99999999d"})
    half = page.post("/act/name", {"name": "mail", "action": "limit", "most": "2.5"})
    page.post("/act/name", {"name": "mail", "action": "pause", "until": "+2h", "reason": "the server moves"})
    page.post("/act/name", {"name": "mail", "action": "limit", "most": "3"})
    limited = json.loads(page.get("/names/mail", "as=json").body)
    page.post("/act/name", {"name": "mail", "action": "limit", "most": ""})

    assert past.status == 400 and "in the future" in past.body.decode()
    assert never.status == 400 and "expected a time such as" in never.body.decode()
    assert half.status == 400 and "whole number" in half.body.decode()
    assert limited["limit"] == 3 and limited["pause"]["until"] > limited["pause"]["since"] + 7_000
    assert json.loads(page.get("/names/mail", "as=json").body)["limit"] is None


def test_a_job_is_queued_and_copied_with_other_data(page: Page) -> None:
    new = page.post("/act/new", {"action": "queue", "name": "mail", "data": '{"to": 7}', "reason": "by hand"})
    copy = page.post("/act/new", {"action": "copy", "id": "fine", "data": '{"to": "ada"}'})
    same = page.post("/act/new", {"action": "copy", "id": "fine"})
    refused = [
        page.post("/act/new", {"action": "queue", "name": "mial"}),
        page.post("/act/new", {"action": "queue", "name": "mail", "data": "{to: 7}"}),
    ]

    carried = []
    for answer in (new, copy, same):
        address = answer.headers["Location"].partition("?")[0]
        carried.append(json.loads(page.get(address, "as=json").body)["job"]["data"]["value"])
    assert carried == [{"to": 7}, {"to": "ada"}, {"password": "hunter2"}]
    assert [answer.status for answer in refused] == [400, 400]
    assert "expected the name of a handler" in refused[0].body.decode()


def test_a_schedule_is_run_now_paused_and_removed(page: Page) -> None:
    (schedule,) = [one["id"] for one in json.loads(page.get("/schedules", "as=json").body)]
    ran = page.post("/act/schedule", {"id": schedule, "action": "run"})
    page.post("/act/schedule", {"id": schedule, "action": "pause"})

    assert ran.headers["Location"].startswith("/jobs/")
    assert "Resume" in page.text(f"/schedules/{schedule}")

    page.post("/act/schedule", {"id": schedule, "action": "resume"})

    assert "Resume" not in page.text(f"/schedules/{schedule}")

    page.post("/act/schedule", {"id": schedule, "action": "remove"})

    assert json.loads(page.get("/schedules", "as=json").body) == []


def hidden(text: str) -> dict[str, object]:
    """What the form of a page of a sweep sends on."""
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text)
    found: dict[str, object] = {name: unescape(value) for name, value in fields if name != "id"}
    found["id"] = [unescape(value) for name, value in fields if name == "id"]
    return found


def confirm(page: Page, fields: dict[str, object]) -> dict[str, object]:
    """What the page asks before it does something to many."""
    response = page.post("/act/jobs", fields)
    assert response.status == 200, response.body.decode()
    found = hidden(response.body.decode())
    found["sure"] = fields["action"]
    return found


def states(page: Page, query: str) -> list[str]:
    return [job["id"] for job in json.loads(page.get("/jobs", f"as=json&q={query}").body)["jobs"]]


def test_all_that_match_are_requeued_after_their_number_was_shown(page: Page) -> None:
    form = confirm(page, {"which": "matching", "q": "name:mail state:dead", "action": "requeue", "reason": "try again"})
    assert form["shown"] == "3"
    assert len(states(page, "name:mail+state:dead")) == 3
    question = page.post("/act/jobs", {"which": "matching", "q": "name:mail state:dead", "action": "requeue"}).body
    assert sorted(re.findall(r'title="(dead-\d)"', question.decode())) == ["dead-0", "dead-1", "dead-2"]

    response = page.post("/act/jobs", form)

    assert "3 jobs of 3 done" in " ".join(response.body.decode().split())
    assert states(page, "name:mail+state:dead") == []


def test_a_sweep_in_many_requests_says_in_each_what_its_first_form_said(
    page: Page, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamplighter.admin.sweeping.SWEPT_A_TURN_MAX", 1)
    monkeypatch.setattr("lamplighter.web.pages.acts.SWEEP_SECONDS_MAX", -1.0)
    form, told = (
        confirm(page, {"which": "matching", "q": "state:dead name:mail", "action": "requeue", "reason": "up"}),
        [],
    )
    while form:
        answer = page.post("/act/jobs", form).body.decode()
        told.append(" ".join(answer.split()).partition('polite">')[2].partition(" done.")[0])
        form = hidden(answer) if "Go on" in answer else {}
    acts: list[dict[str, object]] = []
    runtime = Runtime(store)
    runtime.subscribe(acts.append, ["operator.acted"])

    with runtime:
        pass

    assert told == ["1 job of 3", "2 jobs of 3", "3 jobs of 3", "3 jobs of 3"]
    assert [(act["by"], act["reason"]) for act in acts] == [("ada", "up")] * 3


def test_each_page_of_a_sweep_that_is_followed_says_what_is_done_by_then(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamplighter.admin.sweeping.SWEPT_A_TURN_MAX", 1)
    monkeypatch.setattr("lamplighter.web.live.TOLD_SECONDS", 0.0)
    form = confirm(page, {"which": "matching", "q": "state:dead name:mail", "action": "requeue"})
    stream = page.post("/act/jobs", form, accept=STREAM).stream
    assert stream is not None

    async def follow() -> list[str]:
        return [json.loads(piece.partition(b"data: ")[2]) async for piece in stream()]

    told = [" ".join(text.split()).partition('polite">')[2].partition(".")[0] for text in asyncio.run(follow())]

    assert told == ["1 job of 3 done", "2 jobs of 3 done", "3 jobs of 3 done", "3 jobs of 3 done"]


def test_a_number_that_has_changed_since_it_was_shown_stops_it(page: Page) -> None:
    form = confirm(page, {"which": "matching", "q": "name:mail state:dead", "action": "requeue"})
    page.post("/act/job", {"id": "dead-1", "action": "requeue"})

    response = page.post("/act/jobs", form)

    assert response.status == 409
    assert sorted(states(page, "name:mail+state:dead")) == ["dead-0", "dead-2"]


def test_the_selected_ones_are_cancelled_and_no_others(page: Page) -> None:
    form = confirm(page, {"which": "selected", "id": ["later"], "action": "cancel"})

    page.post("/act/jobs", form)

    assert states(page, "state:cancelled") == ["later"]
    assert states(page, "state:queued") == ["parked"]


def test_a_search_without_a_state_is_not_acted_on(page: Page) -> None:
    response = page.post("/act/jobs", {"which": "matching", "q": "name:mail", "action": "requeue"})

    assert response.status == 400
    assert "state:dead" in response.body.decode()


def test_a_group_of_failures_is_requeued_as_a_whole(page: Page) -> None:
    groups = json.loads(page.get("/errors", "as=json").body)["groups"]
    (group,) = [one for one in groups if one["name"] == "mail"]
    assert (group["dead"], group["message"]) == (3, "no mailbox dead-#")

    form = confirm(page, {"which": "group", "group": group["id"], "name": "mail", "action": "requeue"})
    assert form["shown"] == "3"

    assert page.post("/act/jobs", form).status == 200
    assert states(page, "name:mail+state:dead") == []


def test_a_hostile_name_has_a_page_that_its_link_leads_to(page: Page) -> None:
    links = re.findall(r'href="(/jobs/[^"]*script[^"]*)"', page.text("/jobs"))

    path, _, query = unescape(links[0]).partition("?")
    said = page.text(unquote(path), query)
    assert "<script>alert" not in said
    assert "alert(1)" in said


def test_static_files_are_kept_by_browsers_and_never_leave_their_folder(page: Page) -> None:
    address = re.findall(r'href="(/static/page\.css)\?v=(\w+)"', page.text("/"))[0]
    response = page.get(address[0])

    assert (response.status, response.kind) == (200, "text/css; charset=utf-8")
    assert "immutable" in response.headers["Cache-Control"]
    assert page.get(address[0], **{"if-none-match": response.headers["ETag"]}).status == 304
    for path in ("/static/../site.py", "/static/site.py", "/static/", "/static/..%2fsite.py"):
        assert page.get(path).status == 404


def test_the_pages_own_script_stays_small(page: Page) -> None:
    address = re.findall(r'src="(/static/page\.js)\?v=\w+"', page.text("/"))[0]

    assert len(page.get(address).body) <= 8 * 1024


def version_shown(page: Page) -> str:
    """Which version of the store a page says to its stream that it shows."""
    found = re.search(r'<body data-live="/live\?seen=([^"]+)">', page.text("/jobs"))
    assert found is not None
    return found[1]


def test_a_page_says_to_its_stream_which_version_of_the_store_it_shows(page: Page) -> None:
    first, again = version_shown(page), version_shown(page)
    page.post("/act/job", {"id": "dead-0", "action": "requeue"})

    assert first == again != version_shown(page)


def test_a_page_does_not_claim_to_show_what_has_changed_while_it_was_made(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    def racing(request: Request) -> tuple[Route, str]:
        route, rest = route_of(request)

        def changed_meanwhile(visit: PageVisit) -> Any:
            made = route.handler(visit)
            Operator(page.store, by="ada", via="test").requeue("dead-0")
            return made

        return route._replace(handler=changed_meanwhile), rest

    before = version_shown(page)
    with monkeypatch.context() as patched:
        patched.setattr("lamplighter.web.site.route_of", racing)
        meanwhile = version_shown(page)

    assert before == meanwhile != version_shown(page)


@pytest.mark.parametrize("sort", ["", "name", "-name"])
def test_the_next_schedules_are_those_after_the_last_id_however_these_are_sorted(
    page: Page, monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    with Runtime(page.store) as runtime:
        for name in ("a", "b", "c", "d"):
            runtime.scheduler.add(name, "@daily", durable=True)
        ids = [one.id for one in sorted(runtime.scheduler.list(), key=lambda one: one.id)]
    monkeypatch.setattr("lamplighter.web.pages.looks.LISTED_MAX", 4)

    said = page.text("/schedules", f"sort={sort}")

    after = re.search(r'<a rel="next" href="([^"]+)">', said)
    assert after is not None
    address = urlsplit(unescape(after[1]))
    assert parse_qs(address.query) == {"after": [ids[3]], **({"sort": [sort]} if sort else {})}
    rest = page.text(address.path, address.query)
    assert {one for one in ids if f'id="schedule-{one}"' in rest} == set(ids[4:])


def test_links_stay_below_where_the_page_is_mounted(store: Path) -> None:
    site = dashboard(str(store), who=lambda request: Visitor("ada", EVERYTHING))

    said = site.answer(Request(method="GET", path="/jobs", root="/admin/jobs")).body.decode()

    links = re.findall(r'(?:href|src|action|hx-get|data-live)="([^"]*)"', said)
    assert [link for link in links if not link.startswith(("/admin/jobs/", "#"))] == []


def test_the_doctor_says_what_is_wrong_the_worst_first_and_to_programs_the_same(page: Page) -> None:
    html, twin = page.text("/doctor"), json.loads(page.get("/doctor", "as=json").body)

    levels = re.findall(r'<td data-head="Level"><span class="\w+">(\w+)</span></td>', html)
    assert levels == sorted(levels, key=["error", "warning", "unknown", "note", "ok"].index)
    assert levels[0] == "error"
    assert "no process runs jobs, and" in unescape(html)
    assert {"check": "names.parked", "level": "warning"}.items() <= next(
        one for one in twin["findings"] if one["check"] == "names.parked"
    ).items()


def test_the_overview_tells_what_the_doctor_has_found_and_the_health_does_not(page: Page, store: Path) -> None:
    with Runtime(store) as runtime:
        runtime.scheduler.add("mail", "30 6 * * *", timezone="Europe/Paris")
    with contextlib.closing(sqlite3.connect(store)) as db, db:
        db.execute("update lamplighter_schedules set timezone = 'Europe/Atlantis' where timezone = 'Europe/Paris'")
    html = unescape(page.text("/"))

    health = html.partition('id="health"')[2].partition("</p>")[0]
    assert re.findall(r'class="mono">([\w.]+)<', health) == ["schedules.silent"]
    assert "no process runs jobs on" in health
    assert '/doctor">What to do' in health
    assert html.count("no process runs jobs") == 1


def test_the_doctor_examines_once_in_half_a_minute(page: Page) -> None:
    first = json.loads(page.get("/doctor", "as=json").body)["at"]

    assert json.loads(page.get("/doctor", "as=json").body)["at"] == first


def test_the_doctor_has_a_page_also_where_the_store_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    Runtime(path).start().stop()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("update lamplighter_store set schema_version = 99")
        connection.commit()
    page = Page(path)

    twin = json.loads(page.get("/doctor", "as=json").body)

    assert "schema 99" in page.text("/doctor")
    assert "schema version 3" in twin["unread"]
    assert {one["level"] for one in twin["findings"] if one["check"].startswith("names")} == {"unknown"}


def test_a_form_has_only_a_runtime_of_this_store_claim_nothing_more(page: Page, tmp_path: Path) -> None:
    with Runtime(tmp_path / "other.db") as other:
        boots = Path(f"{other.boot.store.path}-boots")
        for boot in (other.boot.id, str(boots / other.boot.id), f"../{boots.name}/{other.boot.id}"):
            answer = page.post("/act/runtime", {"action": "quiet", "boot": boot})
            assert answer.status == 404
        view = FileControlClient(other.boot.store.path, 15.0).ask(other.boot.id, "view", RuntimeView)
        assert view.quiet is None


def test_a_runtime_is_told_to_take_nothing_new_and_to_go_on(page: Page, store: Path) -> None:
    with Runtime(store) as runtime:
        for action, is_quiet in (("quiet", True), ("go", False)):
            answer = page.post("/act/runtime", {"action": action, "boot": runtime.boot.id})
            view = FileControlClient(runtime.boot.store.path, 15.0).ask(runtime.boot.id, "view", RuntimeView)
            path, _, query = answer.headers["Location"].partition("?")

            assert (path, query) == (f"/runtimes/{runtime.boot.id}", f"said={action}")
            assert (view.quiet is not None) == is_quiet
            assert ("Go on" in page.text(path)) == is_quiet


@pytest.mark.parametrize(
    ("awaited", "says"), [(None, "The signal was sent."), ("ready", "The signal was sent."), ("other", "is kept until")]
)
def test_a_signal_that_a_job_does_not_wait_for_now_is_told_as_kept(
    page: Page, monkeypatch: pytest.MonkeyPatch, awaited: str | None, says: str
) -> None:
    monkeypatch.setattr("lamplighter.web.pages.acts.awaited_signal", lambda job: awaited)

    answer = page.post("/act/job", {"id": "later", "action": "signal", "signal": "ready"})

    notices = re.findall(r'<p class="notice good">([^<]+)</p>', page.text(*answer.headers["Location"].split("?")))
    assert [says in notice for notice in notices] == [True]


def test_a_question_names_some_jobs_and_says_how_many_more_there_are(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(most: int) -> tuple[list[str], list[str]]:
        monkeypatch.setattr("lamplighter.web.pages.acts.NAMED_MAX", most)
        form = {"which": "selected", "id": ["dead-0", "dead-1", "dead-2"], "action": "requeue"}
        said = page.post("/act/jobs", form).body.decode()
        return re.findall(r'title="(dead-\d)"', said), re.findall(r"<li>and (\d+) more</li>", said)

    assert asked(1) == (["dead-0"], ["2"])
    assert asked(3) == (["dead-0", "dead-1", "dead-2"], [])


def test_each_tab_keeps_the_rest_of_the_search(page: Page) -> None:
    tabs = page.text("/jobs", urlencode({"q": "name:mail state:dead mailbox"})).partition('class="tabs"')[2]
    links = re.findall(r'href="/jobs\?([^"]+)"', tabs.partition("</ul>")[0])

    asked = [parse_qs(unescape(link))["q"] for link in links]
    states = ["", *(f" state:{state}" for state in ("queued", "running", "done", "dead", "cancelled"))]
    assert asked == [[f"name:mail mailbox{state}"] for state in states]


@pytest.mark.parametrize("query", ["", "state:dead"])
def test_older_jobs_of_the_same_search_follow_page_after_page(
    page: Page, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    whole = states(page, urlencode({"q": query})[2:])
    monkeypatch.setattr("lamplighter.web.pages.jobs.PAGE_JOBS", 2)
    seen, link = [], "/jobs?" + urlencode({"q": query})
    while link:
        said = page.text(*link.split("?"))
        seen.append([unescape(one) for one in re.findall(r'<tr id="job-([^"]+)" data-row>', said)])
        following = re.search(r'<a rel="next" href="([^"]+)"', said)
        link = following and unescape(following[1])

    assert [one for some in seen for one in some] == whole
    assert len(whole) >= 4 and {len(some) for some in seen[:-1]} == {2}


@pytest.mark.parametrize("path", ["/", "/names/mail", "/names/nobody"])
def test_how_far_back_a_chart_goes_is_chosen_on_its_own_page(page: Page, path: str) -> None:
    tabs = page.text(path, "span=24h").partition('aria-label="How far back"')[2].partition("</ul>")[0]

    assert re.findall(r'href="([^"]+)"', tabs) == [f"{path}?span={span}" for span in ("1h", "24h", "7d")]
    assert re.findall(r'aria-current="true">(\w+)<', tabs) == ["24h"]


@pytest.mark.parametrize(("path", "sort"), [("/names", "-ready"), ("/errors", "last"), ("/schedules", "next")])
def test_a_list_that_is_searched_stays_sorted(page: Page, path: str, sort: str) -> None:
    finder = (
        page.text(path, urlencode({"sort": sort, "find": "ma"})).partition('role="search"')[2].partition("</form>")[0]
    )

    assert re.findall(r'name="(sort|find)" value="([^"]*)"', finder) == [("sort", sort), ("find", "ma")]


def test_after_a_sweep_one_comes_back_to_the_search(page: Page) -> None:
    fields: dict[str, object] = {"which": "matching", "q": "state:dead name:mail", "action": "requeue"}
    asked = page.post("/act/jobs", fields).body.decode()
    over = page.post("/act/jobs", confirm(page, fields)).body.decode()

    links = [re.findall(r'href="(/jobs\?[^"]+)">Back', said) for said in (asked, over)]
    assert links == [["/jobs?q=state%3Adead+name%3Amail"]] * 2


def test_the_fields_beside_the_search_say_the_same_as_its_language(page: Page) -> None:
    by_fields = urlencode({"name": "mail", "state": "dead", "error": "no mailbox", "q": "dead-1", "as": "json"})
    fields = urlencode({"name": "mail", "state": "dead", "queued": "<1h", "group": "", "q": "dead"})
    address, _, query = page.get("/jobs", fields).headers["Location"].partition("?")
    html = unescape(page.text(address, query))
    by_language = unescape(page.text("/jobs", urlencode({"q": 'state:dead word error:"no such thing" state:done'})))

    assert [job["id"] for job in json.loads(page.get("/jobs", by_fields).body)["jobs"]] == ["dead-1"]
    assert (address, query) == ("/jobs", "q=dead+name%3Amail+state%3Adead+queued%3A%3C1h")
    assert 'id="search" type="search" name="q" value="dead"' in html
    assert "<option selected>dead</option>" in html and '<option value="<1h" selected>' in html
    # Two states are more than a field can say.
    assert 'id="search" type="search" name="q" value="state:dead word state:done"' in by_language
    assert 'name="error" value="no such thing"' in by_language


def test_the_tabs_of_jobs_say_how_many_there_are(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamplighter.admin.inspector.COUNTED_MAX", 2)

    def tabs(query: str) -> dict[str, str]:
        found = re.findall(r"(\w+) <span class=\"quiet\">([\d,+]+)</span></a></li>", page.text("/jobs", query))
        return dict(found)

    # The newest two that have ended are counted, of whatever name.
    whole = tabs("q=name%3Amail")
    assert (whole["queued"], whole["running"], whole["dead"][1:]) == ("1", "0", "+")
    assert tabs("q=name%3Amail+state%3Adead") == whole
    assert tabs("q=name%3Amail+error%3Amailbox") == {}


def test_the_page_of_a_job_that_runs_shows_its_lines_and_is_read_again(store: Path) -> None:
    runtime, begun = Runtime(store), threading.Event()

    @runtime.jobs.handler("talks")
    def talks(job: Any) -> None:
        job.log.info("half of it")
        begun.set()
        job.sleep(60)

    with runtime:
        talks.queue(id="running")
        assert begun.wait(20)
        shown = Page(store).text("/jobs/running")

    assert "half of it" in shown and 'data-every="2"' in shown
    assert "Where it is: <bdi>attempt 1 has run for" in shown
    assert "data-every" not in Page(store).text("/jobs/fine")


def test_only_the_jobs_of_one_name_or_of_all_are_counted_by_their_states(page: Page) -> None:
    def amounts(query: str) -> list[str]:
        return re.findall(r'>dead <span class="quiet">([^<]+)</span>', page.text("/jobs", urlencode({"q": query})))

    assert [len(amounts(query)) for query in ("", "name:mail", "name:mail name:hostile", "mail")] == [1, 1, 0, 0]


def test_a_job_says_how_long_it_waited_and_ran(page: Page) -> None:
    assert re.search(r'id="lasted">– waited [\d.]+ \w+, ran [\d.]+ \w+<', page.text("/jobs/fine"))
    assert re.search(r'id="lasted">– has been due for [\d.]+ \w+<', page.text("/jobs/parked"))
    page.post("/act/job", {"id": "parked", "action": "cancel"})
    assert 'id="lasted"' not in page.text("/jobs/parked")
    assert 'id="lasted"' not in page.text("/jobs/later")


@pytest.mark.parametrize(
    ("path", "query", "rows"),
    [
        ("/names", "sort=ready&find=o", ["nobody"]),
        ("/names", "sort=waits&find=M", ["mail"]),
        ("/errors", "find=mailbox", ["mail"]),
        ("/errors", "find=nothing+like+it", []),
        ("/schedules", "find=MORNING&sort=next", ["mail"]),
        ("/schedules", "find=evening", []),
    ],
)
def test_lists_are_searched(page: Page, path: str, query: str, rows: list[str]) -> None:
    shown = re.findall(r'<td[^>]* class="name"><a [^>]*>(\w+)</a>', page.text(path, query))

    assert shown == rows


def test_lists_are_sorted_by_a_column_and_the_other_way_round(page: Page) -> None:
    orders = [
        re.findall(r'id="name-(mail|nobody)"', page.text("/names", f"sort={sort}")) for sort in ("ready", "-ready")
    ]

    assert orders == [["nobody", "mail"], ["mail", "nobody"]]
    assert 'aria-sort="descending"><a href="/names?sort=-ready">Ready</a>' in page.text("/names", "sort=ready")
    assert '<a href="/names?find=o&amp;sort=-ready">Ready</a>' in page.text("/names", "sort=ready&find=o")


@pytest.mark.parametrize(
    ("carried", "link"),
    [
        ({"traceparent": f"00-{'a1' * 16}-{'b2' * 8}-01"}, f"https://traces/{'a1' * 16}?v=1"),
        ({"traceparent": "00-../admin?x=1#y-b2-01"}, "https://traces/..%2Fadmin%3Fx%3D1%23y?v=1"),
        ({"traceparent": "00-a1-01"}, None),
        ({"traceparent": 7}, None),
        ({}, None),
    ],
)
def test_a_job_leads_to_its_trace_and_nowhere_else(store: Path, carried: dict[str, object], link: str | None) -> None:
    with contextlib.closing(sqlite3.connect(store)) as database, database:
        database.execute("update lamplighter_jobs set carried = ? where id = 'fine'", (json.dumps(carried),))
    site = dashboard(str(store), who=lambda request: Visitor("ada", LOOK), trace_url="https://traces/{trace_id}?v=1")

    html = site.answer(Request(method="GET", path="/jobs/fine", headers={"host": "here"})).body.decode()

    assert re.findall(r'href="(https://traces[^"]*)"', html) == ([] if link is None else [link])


@pytest.mark.parametrize("name", [".", "..", "...", "a/b", "?", "#", "%2e", "~", " ", "ä"])
def test_a_job_of_whatever_id_has_an_address_that_a_browser_does_not_change(store: Path, name: str) -> None:
    with contextlib.closing(sqlite3.connect(store)) as database, database:
        database.execute("update lamplighter_jobs set id = ? where id = 'fine'", (name,))
    page = Page(store)
    request = Request(method="GET", path="/", root="/admin")

    asked = urlsplit(urljoin("http://here/admin/jobs", request.path_of("/jobs/", name)))

    assert asked.path.startswith("/admin/jobs/")
    assert (
        json.loads(page.text(unquote(asked.path.removeprefix("/admin")), f"{asked.query}&as=json"))["job"]["id"] == name
    )
