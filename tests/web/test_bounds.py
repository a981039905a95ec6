"""What the page answers where it is asked for too much, or where something fails."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlencode

import pytest
from lamplighter.web import Visitor, dashboard
from lamplighter.web.faces.http import Request
from lamplighter.web.site import HEADERS

from .kit import Page
from .test_site import PAGES, confirm

MANY_WORDS = "a " * 999


def test_a_search_of_more_words_than_sqlite_takes_is_answered_with_a_sentence(page: Page) -> None:
    shown = page.get("/jobs", urlencode({"q": MANY_WORDS}))
    sweep = page.post("/act/jobs", {"which": "matching", "action": "requeue", "q": f"state:dead {MANY_WORDS}"})

    assert [answer.status for answer in (shown, sweep)] == [400, 400]
    assert "after 100 terms" in shown.body.decode()


@pytest.mark.parametrize("number", ["inf", "-inf", "nan", "1e999", "x"])
@pytest.mark.parametrize("field", ["shown", "asked_at", "done"])
def test_a_number_that_is_none_is_answered_with_a_sentence(page: Page, field: str, number: str) -> None:
    form = confirm(page, {"which": "matching", "q": "name:mail state:dead", "action": "requeue"}) | {field: number}

    answer = page.post("/act/jobs", form)

    assert answer.status == 400
    assert f"expected {field} to be a number" in answer.body.decode()


class Untellable(Exception):
    """An error that cannot even be told."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("error", [KeyError("users"), Untellable(), UnicodeEncodeError("utf-8", "\ud800", 0, 1, "")])
@pytest.mark.parametrize("query", ["", "as=json"])
def test_whatever_fails_is_answered_with_the_headers_of_the_page_and_logged(
    store: Path, error: Exception, query: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(request: Request) -> Visitor:
        raise error

    answer = dashboard(str(store), who=fails).answer(Request(method="GET", path="/", query=query))

    assert answer.status == 500
    assert answer.headers.items() >= HEADERS.items()
    logged = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [one and one.__cause__ for one in logged] == [error]


SEARCH = urlencode({"q": "state:dead nowhere"})
COUNT = {"which": "matching", "q": "name:mail state:dead", "action": "requeue"}


def test_a_search_that_gets_no_turn_is_told_so_and_a_page_without_one_is_not(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = confirm(page, COUNT)
    monkeypatch.setattr("lamplighter.web.site.SEARCHES_MAX", 0)
    monkeypatch.setattr("lamplighter.web.site.SEARCH_WAIT_SECONDS", 0.0)
    busy = Page(Path(page.store))

    looks = [busy.get("/jobs", SEARCH), busy.get("/graphs/dead-1")]
    answers = [*looks, busy.post("/act/jobs", COUNT), busy.post("/act/jobs", {**form, **COUNT})]

    assert [answer.status for answer in answers] == [503] * 4
    assert "try again" in answers[0].body.decode()
    others = [path for path in PAGES if "/graphs/" not in path]
    assert [busy.get(path).status for path in others] == [200] * len(others)


def test_a_search_that_has_ended_or_failed_lets_the_next_one_in(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamplighter.web.site.SEARCH_WAIT_SECONDS", 0.0)

    found = [page.get("/jobs", query).status for query in (SEARCH, f"{SEARCH}&after=x", SEARCH)]

    assert found == [200, 400, 200]
    assert [page.post("/act/jobs", COUNT).status for _ in range(2)] == [200, 200]


def test_streams_have_a_bound_and_one_that_has_ended_makes_room(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamplighter.web.site.STREAMS_MAX", 1)

    async def ask() -> list[int]:
        found = []
        for _ in range(2):
            first = page.get("/live")
            assert first.stream is not None
            stream = first.stream()
            await anext(stream)
            found.append(page.get("/live").status)
            await stream.aclose()
        return found

    assert asyncio.run(ask()) == [204, 204]


@pytest.mark.parametrize(("asked_at", "done"), [("-1", 0), ("-1e18", 0), ("0", 0), ("1e18", 3), ("4e9", 3)])
def test_a_sweep_reaches_back_from_now_at_most_and_no_instant_breaks_it(page: Page, asked_at: str, done: int) -> None:
    form = confirm(page, {"which": "matching", "q": "name:mail state:dead", "action": "requeue"})

    answer = page.post("/act/jobs", {**form, "asked_at": asked_at, "shown": done})

    assert answer.status == 200
    assert f"{done} jobs of {done} done" in " ".join(answer.body.decode().split())
