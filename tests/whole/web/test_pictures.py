"""Pictures of the pages as people see them. `make page-pictures` keeps those that the documentation shows."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lamplighter import JobFailed, Runtime
from lamplighter.admin.operator import Operator
from lamplighter.environment.environment import Environment
from lamplighter.testing import ManualTime
from lamplighter.web import STEER, Visitor, dashboard

from ...web.server import served

KEPT_IN = os.environ.get("LAMPLIGHTER_PICTURES")
"""The folder in which the pictures are kept; nowhere unless it is said."""

KEPT = ("overview", "job")
"""Of which the documentation has pictures."""

BYTES_MAX = 170_000

PAGES = {"overview": "/", "jobs": "/jobs", "job": "/jobs/invoice-2041", "errors": "/errors", "runtime": "/runtimes/1"}


class Shop:
    """An application whose jobs are those of a shop: some are done, some fail, one runs, and one name is paused."""

    def __init__(self, path: Path) -> None:
        self._live_through_an_hour(path)
        self.runtime = Runtime(path)
        self._over = threading.Event()
        begun = threading.Event()
        jobs = self.runtime.jobs

        def invoice(job: Any) -> None:
            raise TimeoutError(f"no answer from payments.example within 30 s for order {job.data['order']}")

        def resize(job: Any) -> None:
            job.progress(3, total=8, note="thumbnails")
            begun.set()
            self._over.wait()

        jobs.add_handler("send-mail", lambda job: None)
        jobs.add_handler("invoice", invoice, max_attempts=1)
        jobs.add_handler("resize", resize)
        self.runtime.start()
        for number in range(40):
            jobs.queue("send-mail", {"to": number})
        for number in range(2040, 2046):
            with pytest.raises(JobFailed):
                jobs.join(jobs.queue("invoice", {"order": number}, id=f"invoice-{number}"))
        jobs.queue("resize", {"picture": 7})
        assert begun.wait(30)
        Operator(path, by="ada", via="cli").pause("send-mail", reason="the mail server moves")
        for number in range(5):
            jobs.queue("send-mail", {"to": number})
        jobs.queue("newsletter", {"issue": 7})
        self.runtime.scheduler.add("send-mail", "0 6 * * *", timezone="Europe/Berlin", key="morning")

    def _live_through_an_hour(self, path: Path) -> None:
        """Jobs of the last hour, on a clock that they themselves let go on."""
        chance, past = random.Random(7), ManualTime(time.time() - 3_600)
        runtime = Runtime(path, environment=Environment(clock=past.clock))

        def some(job: Any) -> None:
            past.advance(chance.lognormvariate(-3, 1.2))
            if chance.random() < 0.04:
                raise TimeoutError("no answer from payments.example within 30 s")

        for name in ("send-mail", "invoice", "resize"):
            runtime.jobs.add_handler(name, some, max_attempts=3, backoff=1)
        with runtime:
            while past.wall < time.time() - 30:
                names = chance.choices(["send-mail", "invoice", "resize"], [5, 1, 2], k=chance.randrange(1, 5))
                for job in runtime.jobs.queue_many([(name, None) for name in names]):
                    past.advance(0.05)
                    with contextlib.suppress(TimeoutError):
                        runtime.jobs.join(job, timeout=0.1)
                past.advance(chance.expovariate(1 / 12))

    def close(self) -> None:
        """Stop."""
        self._over.set()
        self.runtime.stop()


@pytest.fixture(scope="module")
def shop_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the page of a shop is."""
    path = tmp_path_factory.mktemp("shop") / "shop.db"
    shop = Shop(path)
    with served(dashboard(path, who=lambda request: Visitor("ada", STEER)).asgi) as server:
        yield server.url
    shop.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_picture_is_taken_and_nothing_is_cut_off(
    chromium: Any, shop_url: str, tmp_path: Path, name: str, scheme: str
) -> None:
    context = chromium.new_context(viewport={"width": 1120, "height": 700}, color_scheme=scheme)
    tab = context.new_page()
    tab.goto(shop_url + PAGES[name])
    tab.locator("main h1").wait_for()
    folder = Path(KEPT_IN) if KEPT_IN and name in KEPT else tmp_path
    picture = folder / f"page-{name}-{scheme}.png"

    tab.screenshot(path=picture)
    # As wide as a window of 1120 is at 200 %.
    tab.set_viewport_size({"width": 560, "height": 700})
    tab.screenshot(path=tmp_path / f"page-{name}-{scheme}-narrow.png")

    assert picture.stat().st_size < BYTES_MAX
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()
