"""What every request passes: another site's form, a rebound name, and what keeps a browser from running anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from lamplighter.web import LOOK, Visitor, dashboard
from lamplighter.web.faces.http import Request, Response
from lamplighter.web.site import HEADERS, forged, sealed, strange_host


def post(**headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method="POST", path="/", headers={"host": "jobs.example", **named})


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "same-origin", "origin": "https://evil.example"},
        {"origin": "http://jobs.example"},
        {"origin": "HTTP://JOBS.example"},
        {"authorization": "Bearer abc"},
    ],
)
def test_a_form_of_the_page_itself_is_taken(headers: dict[str, str]) -> None:
    assert forged(post(**headers)) is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site", "origin": "http://jobs.example"},
        {"sec_fetch_site": "none"},
        {"sec_fetch_site": ""},
        {"origin": "null"},
        {"origin": "https://jobs.example"},
        {"origin": "http://jobs.example.evil.example"},
        {"origin": "http://evil.example", "authorization": "Bearer abc"},
        {"authorization": "Basic abc"},
    ],
)
def test_a_form_that_another_site_may_have_sent_is_refused(headers: dict[str, str]) -> None:
    assert forged(post(**headers)) is not None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_whoever_only_reads_needs_to_prove_nothing(method: str) -> None:
    assert forged(Request(method=method, path="/", headers={"sec-fetch-site": "cross-site"})) is None


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8910", "127.0.0.1:8910", "[::1]:8910", "[::1]"])
def test_a_known_host_is_taken_with_and_without_its_port(host: str) -> None:
    request = Request(method="GET", path="/", headers={"host": host})

    assert strange_host(request, {"localhost", "127.0.0.1", "[::1]"}) is None


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "127.0.0.1.evil:80", "[::1", "::1"])
def test_a_name_that_was_rebound_to_this_machine_is_refused(host: str) -> None:
    request = Request(method="GET", path="/", headers={"host": host})

    assert strange_host(request, {"localhost", "127.0.0.1", "[::1]"}) is not None


def test_a_response_allows_no_script_but_its_own_files() -> None:
    headers = sealed(Response()).headers

    assert headers.items() >= HEADERS.items()
    assert "unsafe" not in headers["Content-Security-Policy"]


def test_a_file_may_be_kept_though_a_page_may_not() -> None:
    assert sealed(Response(headers={"Cache-Control": "immutable"})).headers["Cache-Control"] == "immutable"


@pytest.mark.parametrize(
    ("hosts", "host", "is_answered"),
    [
        (None, "anything.example", True),
        ({"jobs.example"}, "jobs.example", True),
        ({"jobs.example"}, "jobs.example:8080", True),
        ({"jobs.example"}, "evil.example", False),
        ({"jobs.example"}, "", False),
    ],
)
def test_a_page_with_hosts_answers_under_these_names_alone(
    store: Path, hosts: set[str] | None, host: str, is_answered: bool
) -> None:
    site = dashboard(str(store), who=lambda request: Visitor("ada", LOOK), hosts=hosts)

    answer = site.answer(Request(method="GET", path="/jobs/fine", headers={"host": host}))

    assert (answer.status == 200, b"fine" in answer.body) == (is_answered, is_answered)
