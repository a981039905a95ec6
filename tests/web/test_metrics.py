"""What a Prometheus scrapes of the page."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from lamplighter.contrib.prometheus import LamplighterCollector, text_of
from lamplighter.web import LOOK, Visitor, dashboard
from lamplighter.web.faces.http import Request
from prometheus_client.parser import text_string_to_metric_families

from .kit import EVERYTHING, HOSTILE, Page

TOKEN = "that of the Prometheus"


def test_whoever_may_look_scrapes_what_a_collector_tells(page: Page, store: Path) -> None:
    page.may = LOOK
    response, collector = page.get("/metrics"), LamplighterCollector(store)
    expected = text_of(collector)
    collector.close()

    def values(text: str) -> dict[object, float]:
        families = text_string_to_metric_families(text)
        samples = [sample for family in families for sample in family.samples]
        return {
            (one.name, *sorted(one.labels.items())): one.value
            for one in samples
            if "oldest" not in one.name and "_lag_" not in one.name
        }

    told = values(response.body.decode())
    assert (response.status, response.kind.partition(";")[0]) == (200, "text/plain")
    assert told == values(expected)
    assert told["lamplighter_jobs_ended_total", ("name", "mail"), ("state", "done")] >= 1
    assert HOSTILE.replace("\x00", "") in {label for key in told for label in dict(key[1:]).values()}


def test_nobody_is_told_who_is_not_known_and_a_program_says_who_it_is_by_its_token(store: Path) -> None:
    def who(request: Request) -> Visitor | None:
        is_known = request.headers.get("authorization") == f"Bearer {TOKEN}"
        return Visitor("prometheus", may=LOOK) if is_known else None

    site = dashboard(str(store), who=who)

    def asked(**headers: str) -> int:
        return site.answer(Request(method="GET", path="/metrics", headers={"host": "here", **headers})).status

    assert (asked(), asked(authorization="Bearer no"), asked(authorization=f"Bearer {TOKEN}")) == (401, 401, 200)


def test_a_form_changes_nothing_there(page: Page) -> None:
    assert page.post("/metrics", {}).status == 405


def test_without_the_extra_it_is_said_what_to_install(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("lamplighter.contrib.prometheus")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.setitem(sys.modules, "prometheus_client.core", None)

    response = page.get("/metrics")

    assert response.status == 501
    assert "lamplighter[prometheus]" in response.body.decode()
    assert page.get("/").status == 200


def test_a_store_that_is_not_there_is_said_and_not_told_of_as_an_empty_one(tmp_path: Path) -> None:
    page = Page(tmp_path / "none.db", EVERYTHING)

    response = page.get("/metrics")

    assert response.status == 503
    assert b"lamplighter_" not in response.body
