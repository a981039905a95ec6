"""A runtime that a module of the application has, with its handler objects: `Inline` and `Simulation` take it over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from lamplighter import Job, NotStarted, Runtime, UsageError
from lamplighter.testing import Faults, Inline, Simulation, assert_queued


class Application:
    """What stands in a module: a runtime, its jobs, handler objects that queue through them, and a schedule."""

    def __init__(self, store: Path) -> None:
        self.runtime = Runtime(store, keep_done_seconds=60 * 86400, data_bytes_max=100)
        self.sent: list[str] = []
        self.ended: list[str] = []
        jobs, scheduler = self.runtime.jobs, self.runtime.scheduler

        @jobs.handler
        def order(job: Job[dict[str, int]]) -> str:
            # It knows the module's `jobs` and handler objects, and nothing of a test.
            queued = mail.queue(f"order {job.data['no']}", delay=timedelta(minutes=1))
            return jobs.get(queued.id).name

        @jobs.handler
        async def mail(job: Job[str]) -> None:
            self.sent.append(job.data)

        scheduler.add("order", "0 3 * * *", {"no": 1}, key="nightly")
        self.runtime.subscribe(lambda event: self.ended.append(event["job_name"]), events=["job.done"])
        self.jobs, self.scheduler, self.order, self.mail = jobs, scheduler, order, mail


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Application]:
    application = Application(tmp_path / "app.db")
    yield application
    application.runtime.stop(drain=0)


def test_a_modules_runtime_runs_inline_with_its_jobs_and_handler_objects(app: Application) -> None:
    with Inline(app.runtime) as inline:
        job = app.order.queue({"no": 7})
        assert (job.state, job.result) == ("done", "mail")
        assert_queued(app.runtime, "mail", "order 7", delay=60)
        inline.advance(minutes=1)
        assert app.sent == ["order 7"]
        assert [one.data for one in app.jobs.list("order")] == [{"no": 7}]
        assert app.runtime.health().status == "green"

        inline.advance(days=2)
        assert app.jobs.counts("order")["done"] == 3
        assert app.ended.count("order") == 3
        with pytest.raises(UsageError, match="at most 100 bytes"):
            app.mail.queue("x" * 200)


def test_afterwards_the_runtime_is_the_applications_again(app: Application, tmp_path: Path) -> None:
    with Inline(app.runtime):
        app.mail.queue("in a test")
        app.jobs.add_handler("more", print)
        app.scheduler.add("more", "@daily")

    assert type(app.runtime) is Runtime
    with pytest.raises(NotStarted):
        app.mail.queue("after it")
    assert app.runtime.current_boot.declared.names() == ["order", "mail"]
    with app.runtime:
        assert app.jobs.counts() == dict.fromkeys(app.jobs.counts(), 0)
        assert app.jobs.join(app.mail.queue("for real"), timeout=10).state == "done"
        assert [one.name for one in app.scheduler.list()] == ["order"]
    assert app.sent == ["in a test", "for real"]


def test_an_application_that_starts_and_stops_it_does_neither(app: Application) -> None:
    with Inline(app.runtime), app.runtime as started:
        assert started is app.runtime
        app.runtime.stop()
        assert app.mail.queue("a").state == "done"


def test_a_modules_runtime_goes_through_days_and_faults(app: Application) -> None:
    with Simulation(app.runtime, seed=4, faults=Faults(kill_process=0.01, crash_handler=0.05)) as sim:
        sim.run(days=5)
        sim.check()
        assert sim.reached["kill_process"] > 0
        assert app.jobs.counts("order")["done"] == 5
    assert "order 1" in app.sent


def test_in_each_process_a_modules_runtime_is_the_one_of_that_process(app: Application) -> None:
    def host(runtime: Runtime) -> None:
        assert app.runtime.boot is runtime.boot
        app.order.queue(
            {"no": runtime.current_boot.environment.pid()}, id=f"of {runtime.current_boot.environment.pid()}"
        )

    with Simulation(app.runtime, processes=2, host=host) as sim:
        sim.run(minutes=2)
        sim.check()
        assert {app.jobs.get(f"of {number}").data["no"] for number in (1, 2)} == {1, 2}
    assert sorted(app.sent) == ["order 1", "order 2"]


@pytest.mark.parametrize("kit", [Inline, Simulation])
def test_a_runtime_that_is_used_already_is_refused(app: Application, kit: Any) -> None:
    test = kit(app.runtime)
    with app.runtime, pytest.raises(UsageError, match="a Runtime that does not run"):
        test.__enter__()
    with Inline(app.runtime), pytest.raises(UsageError, match="no other test has"):
        kit(app.runtime).__enter__()

    assert type(app.runtime) is Runtime


@pytest.mark.parametrize("kit", [Inline, Simulation])
def test_an_enter_that_fails_gives_the_runtime_back(app: Application, kit: Any) -> None:
    app.runtime.subscribe(lambda event: None)

    with pytest.raises(UsageError, match="dely"):
        kit(app.runtime, dely=5).__enter__()

    assert type(app.runtime) is Runtime
    with app.runtime:
        assert app.jobs.join(app.mail.queue("a"), timeout=10).state == "done"
