"""The page in a real browser: what it shows while things change, how it is used, and what never runs in it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from lamplighter import Runtime

from ...web.kit import Page
from ...web.server import served

PAGES = [
    "/",
    "/jobs",
    "/jobs?q=state%3Adead",
    "/jobs/dead-1",
    "/graphs/dead-1",
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


@pytest.mark.parametrize("path", ["/", "/jobs", "/errors", "/names"])
def test_a_text_that_turns_its_direction_turns_nothing_beside_it(open_page: Callable[..., Any], path: str) -> None:
    turned = """[...document.querySelectorAll("body *")].filter((one) => [...one.childNodes].some(
        (text) => text.nodeType === 3 && text.data.includes("\u202e")))"""

    found = open_page(path).evaluate(f"{turned}.map((one) => getComputedStyle(one).unicodeBidi)")

    assert found and set(found) == {"isolate"}


def test_a_page_is_read_again_when_somebody_has_changed_something(open_page: Callable[..., Any], page: Page) -> None:
    here, there = open_page("/names/mail"), open_page("/names/mail")
    there.get_by_label("Why").first.fill("the mail server is down")

    here.get_by_role("button", name="Pause").click()
    here.get_by_role("button", name="Resume").wait_for()

    # What is being filled in is left alone until it is done with.
    assert there.get_by_label("Why").first.input_value() == "the mail server is down"
    third = open_page("/names/mail")
    here.get_by_role("button", name="Resume").click()
    third.get_by_role("button", name="Pause").wait_for()


def test_what_somebody_has_opened_stays_open_when_the_page_is_read_again(
    open_page: Callable[..., Any], page: Page
) -> None:
    here = open_page("/jobs/later")
    here.locator("#priority summary").click()

    page.post("/act/job", {"id": "later", "action": "reprioritize", "priority": "7"})
    here.locator("dl.facts").get_by_text("7", exact=True).wait_for()
    here.get_by_label("Priority").fill("-2")
    here.get_by_role("button", name="Reprioritize").click()
    here.get_by_text("Its priority was set.").wait_for()

    assert here.get_by_text("-2", exact=True).count() == 1


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


def test_a_selection_survives_what_is_new_and_a_badge_says_how_much_that_is(
    open_page: Callable[..., Any], page: Page, store: Path
) -> None:
    tab = open_page("/jobs?q=name%3Amail")
    tab.get_by_label("Select dead-1").check()
    with Runtime(store).start(work=False) as runtime:
        runtime.jobs.queue_many([("mail", number) for number in range(2)])

    badge = tab.get_by_role("button", name="2 newer")
    badge.wait_for()
    rows = tab.locator("tr[data-row]").count()
    badge.click()
    tab.locator("tr[data-row]").nth(rows + 1).wait_for()

    assert badge.is_hidden()
    assert tab.get_by_label("Select dead-1").is_checked() and not tab.get_by_label("Select dead-0").is_checked()


def test_a_page_can_be_paused_and_says_as_of_when_it_is(open_page: Callable[..., Any], page: Page) -> None:
    tab = open_page("/jobs?q=state%3Adead")
    tab.get_by_role("button", name="Live: on").click()
    page.post("/act/job", {"id": "dead-0", "action": "requeue"})
    as_of = tab.locator("#as-of").get_attribute("datetime")

    # It reads itself again when it is shown again. Whatever it asks for it has asked for before the doctor's page.
    tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    tab.evaluate("fetch('/doctor').then((answer) => answer.text())")
    assert tab.get_by_label("Select dead-0").is_visible()
    assert tab.locator("#as-of").get_attribute("datetime") == as_of
    tab.get_by_role("button", name="Live: off").click()

    tab.get_by_label("Select dead-0").wait_for(state="detached")


def test_a_key_asks_before_it_acts_on_a_job_that_is_done(open_page: Callable[..., Any]) -> None:
    tab = open_page("/jobs/fine")

    tab.keyboard.press("R")

    tab.get_by_text("Nothing has been done yet").wait_for()
    tab.get_by_role("button", name="Requeue it").click()
    tab.get_by_text("It was put back into the queue.").wait_for()


def test_the_selected_jobs_are_named_before_something_is_done_to_them(open_page: Callable[..., Any]) -> None:
    tab = open_page("/jobs?q=state%3Adead")
    for number in (0, 2):
        tab.get_by_label(f"Select dead-{number}").check()

    tab.get_by_role("button", name="Requeue…").click()

    tab.get_by_role("button", name="Requeue 2 jobs").wait_for()
    assert sorted(tab.get_by_label("The jobs").locator("a").all_inner_texts()) == ["dead-0", "dead-2"]


@pytest.mark.parametrize("path", PAGES)
def test_on_a_phone_a_page_is_as_wide_as_the_screen(open_page: Callable[..., Any], path: str) -> None:
    tab = open_page(path)
    tab.set_viewport_size({"width": 390, "height": 844})

    assert tab.evaluate("document.documentElement.scrollWidth") == 390


def test_on_a_phone_a_job_is_a_card_that_has_its_name_state_and_id_within_the_screen(
    open_page: Callable[..., Any], store: Path
) -> None:
    with Runtime(store).start(work=False) as runtime:
        job = runtime.jobs.queue("a-name-that-is-as-long-as-the-names-of-some-applications-are")
    tab = open_page("/jobs")
    tab.set_viewport_size({"width": 375, "height": 844})
    card = tab.locator(f"#job-{job.id}")

    boxes = [card.locator(part).bounding_box() for part in (f"[title='{job.id}']", "td.name", ".state")]

    assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= 375 and box["height"] < 30 for box in boxes), boxes
    assert "Attempts" in card.locator("td.number").evaluate("(cell) => getComputedStyle(cell, '::before').content")


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
    assert found == [(2, 2), (0, 0)]
