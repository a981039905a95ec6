"""The programs of examples/flows: what they promise, with failures and crashes."""

from __future__ import annotations

import runpy
from collections import Counter
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from lamplighter import Runtime
from lamplighter.testing import Inline, Simulation

from ..web.kit import Page

FLOWS = Path(__file__).parents[2] / "examples" / "flows"


@pytest.fixture(params=["video", "billing"])
def program(request: pytest.FixtureRequest) -> Path:
    return FLOWS / f"{request.param}.py"


def test_a_program_is_short_and_runs_to_its_end(
    program: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runpy.run_path(str(program))["main"](str(tmp_path / "flow.db"))

    said = capsys.readouterr().out
    assert ("clean-up: {'cancelled': 1}" if program.stem == "video" else "'done': 46") in said
    assert len(program.read_text("utf-8").splitlines()) < 120


def test_the_page_draws_the_graph_of_a_film(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "video.db"
    runpy.run_path(str(FLOWS / "video.py"))["main"](str(store))
    with Runtime(store).start(work=False) as runtime:
        (film,) = runtime.jobs.list("film")

    html = Page(store).text(f"/graphs/{film.id}")

    for said in (
        "level 0, film: 1 done",
        "level 1, encode: 30 done",
        "level 2, merge: 3 done",
        "level 3, publish: 1 done",
    ):
        assert said in html


def test_a_film_that_is_never_published_is_cleaned_up_whatever_part_has_failed() -> None:
    video = runpy.run_path(str(FLOWS / "video.py"))

    def fail(part: Any) -> str:
        raise OSError("the disk is full")

    video["encode"].__globals__["encode"] = fail
    with Inline(video["register"]) as app:
        app.jobs.queue("film", video["Film"]("lighthouse", 9))
        app.advance(hours=1)
        (cleaned,) = app.jobs.list("clean-up")
        (published,) = app.jobs.list("publish")

    assert (published.state, cleaned.state) == ("dead", "done")
    assert cleaned.result.startswith("removed the parts of lighthouse: shares the fate of job ")


def test_each_customer_is_charged_once_though_the_process_dies_within_the_night() -> None:
    billing = runpy.run_path(str(FLOWS / "billing.py"))

    with Simulation(billing["register"], start=datetime(2026, 3, 1, 1, 29, 59, tzinfo=UTC), seed=7) as app:
        app.run(seconds=1)
        deaths = 0
        while (done := app.runtime.jobs.counts("bill")["done"]) < 40:
            app.kill()
            deaths += done > 0
            app.run(seconds=0.05)
        app.run(minutes=5)
        (night,) = app.runtime.jobs.list("billing")
        graph = app.runtime.jobs.graph(night)
        (report,) = app.runtime.jobs.list("report")

    assert deaths > 1
    assert (graph.state, report.result) == ("done", {"done": 44})
    assert len(billing["charged"]) == len(set(billing["charged"])) == 44


def test_tenants_take_turns_however_many_customers_they_have() -> None:
    billing = runpy.run_path(str(FLOWS / "billing.py"))

    with Inline(billing["register"]) as app:
        app.scheduler.run_now("billing", key="billing")
        app.drain()

    tenants = [key.split("-")[3] for key in billing["charged"]]
    assert Counter(tenants) == {"acme": 40, "globex": 3, "initech": 1}
    assert max(tenants.index(tenant) for tenant in ("globex", "initech")) < 5
    assert [tenant for tenant, _ in groupby(tenants)][-1] == "acme"
