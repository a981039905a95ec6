"""The page in a real browser: what it shows while things change, how it is used, and what never runs in it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from .kit import Page
from .server import served

PAGES = [
    "/",
    "/jobs",
    "/jobs?q=state%3Adead",
    "/jobs/dead-1",
    "/errors",
    "/names",
    "/names/mail",
    "/schedules",
    "/runtimes",
    "/doctor",
]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_from_using_a_page(open_page: Callable[..., Any], path: str, scheme: str) -> None:
    tab = open_page(path, color_scheme=scheme)

    found = Axe().run(tab)

    serious = [one for one in found.response["violations"] if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in serious] == []


@pytest.mark.parametrize("path", ["/", "/jobs", "/errors", "/names"])
def test_nothing_that_a_job_holds_runs(open_page: Callable[..., Any], path: str) -> None:
    tab = open_page(path)

    assert "alert(1)" in tab.content()
    assert tab.locator("main script, main img").count() == 0


def test_a_page_is_read_again_when_somebody_has_changed_something(open_page: Callable[..., Any], page: Page) -> None:
    here, there = open_page("/names/mail"), open_page("/names/mail")
    there.get_by_label("Why").fill("the mail server is down")

    here.get_by_role("button", name="Pause").click()
    here.get_by_role("button", name="Resume").wait_for()

    # What is being filled in is left alone until it is done with.
    assert there.get_by_label("Why").input_value() == "the mail server is down"
    third = open_page("/names/mail")
    here.get_by_role("button", name="Resume").click()
    third.get_by_role("button", name="Pause").wait_for()


def test_what_changes_while_no_stream_is_open_is_seen_as_soon_as_one_is(
    open_page: Callable[..., Any], page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream ends after a minute and is opened again a second later, and the first one is opened after the page was
    made. What changed in between was seen only after the next change."""
    monkeypatch.setattr("lamplighter.web.live.STREAM_SECONDS_MAX", 0.0)
    jobs = iter(["dead-0", "dead-1"])

    def requeue_one(opening: Any) -> None:
        for job in islice(jobs, 1):
            page.post("/act/job", {"id": job, "action": "requeue"})
        opening.continue_()

    tab = open_page("/jobs?q=state%3Adead", lambda tab: tab.route("**/live*", requeue_one))

    tab.get_by_label("Select dead-0").wait_for(state="detached")
    tab.get_by_label("Select dead-1").wait_for(state="detached")
    assert tab.get_by_label("Select dead-2").is_visible()


def test_a_job_is_requeued_by_keys_alone(open_page: Callable[..., Any]) -> None:
    tab = open_page("/")

    tab.keyboard.press("j")
    tab.wait_for_url("**/jobs")
    tab.keyboard.press("/")
    tab.keyboard.type("name:mail state:dead")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/jobs?q=*")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/jobs/dead-*")
    tab.keyboard.press("R")

    tab.get_by_text("It was put back into the queue.").wait_for()


def test_everything_can_be_done_without_scripts(open_page: Callable[..., Any]) -> None:
    tab = open_page("/jobs?q=name%3Amail+state%3Adead", java_script_enabled=False)

    tab.get_by_label("Which").select_option("matching")
    tab.get_by_role("button", name="Requeue…").click()
    tab.get_by_role("button", name="Requeue 3 jobs").click()

    tab.get_by_text("3 jobs of 3 done").wait_for()


def test_a_selection_survives_that_the_page_is_read_again(open_page: Callable[..., Any], page: Page) -> None:
    tab = open_page("/jobs?q=state%3Adead")
    tab.get_by_label("Select dead-1").check()

    page.post("/act/job", {"id": "dead-0", "action": "requeue"})
    tab.get_by_label("Select dead-0").wait_for(state="detached")

    assert tab.get_by_label("Select dead-1").is_checked()


def test_a_server_stops_though_ten_pages_listen(chromium: Any, page: Page) -> None:
    with served(page.site.asgi) as server:
        context = chromium.new_context()
        for _ in range(3):
            context.new_page().goto(server.url + "/")
        streams = [server.stream("/live") for _ in range(10)]
        for stream in streams:
            assert stream.readline()

        assert server.stop_seconds() < 2.0
        context.close()


def test_at_twice_the_size_nothing_is_cut_off(open_page: Callable[..., Any]) -> None:
    tab = open_page("/jobs")
    tab.set_viewport_size({"width": 640, "height": 450})

    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_whoever_may_only_look_finds_no_button_and_no_data(open_page: Callable[..., Any], page: Page) -> None:
    may_all = open_page("/jobs/fine")
    page.may = {"look"}

    tab = open_page("/jobs/fine")

    found = [(one.locator("main button").count(), one.get_by_text("hunter2").count()) for one in (may_all, tab)]
    assert found == [(1, 1), (0, 0)]
