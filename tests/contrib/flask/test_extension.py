"""The Flask extension, within one process: its settings, what it starts when, and the context around each job."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, current_app, g
from lamplighter import Carrier, Job, NotStarted, NotSupported, Runtime, UsageError
from lamplighter.contrib import reloading
from lamplighter.contrib.flask import Lamplighter

from ...faults.kit import rows
from ...support.reloader import noted_workers


class Served:
    """An application that queues a job of each name that it is asked for, and says how it ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lamp = Lamplighter()
        self.apps: list[Flask] = []

    def make(self, name: str = "shop", **settings: object) -> Flask:
        """An application, made by a factory."""
        app = Flask(name, instance_path=str(self.folder / "instance"))
        app.config.from_mapping(
            {"LAMPLIGHTER_STORE": "app.db", **{f"LAMPLIGHTER_{key}": value for key, value in settings.items()}}
        )
        self.lamp.init_app(app)
        serve(app, "/queue/<name>", lambda name: {"id": self.lamp.jobs.queue(name).id})
        serve(app, "/join/<job>", lambda job: {"result": self.lamp.jobs.join(job, timeout=20).result})
        self.apps.append(app)
        return app


def serve(app: Flask, path: str, answer: Callable[..., Any]) -> None:
    app.add_url_rule(path, path, answer)


@pytest.fixture
def served(tmp_path: Path):
    served = Served(tmp_path)
    yield served
    for app in served.apps:
        app.extensions["lamplighter"].stop(drain=0.0)


def runtime_of(app: Flask) -> Runtime:
    return app.extensions["lamplighter"]


def ask(app: Flask, path: str):
    """What it answers to a GET."""
    response = app.test_client().get(path)
    assert response.status_code == 200, response.text
    return response.json


@pytest.mark.parametrize("kind", ["thread", "task"])
def test_a_job_runs_in_the_context_of_the_application_that_has_queued_it(served: Served, kind: str) -> None:
    def plain(job: Job[None]) -> str:
        g.answer = current_app.name
        return str(g.answer)

    async def coroutine(job: Job[None]) -> str:
        return plain(job)

    ended = []
    served.lamp.jobs.add_handler("who", plain if kind == "thread" else coroutine)
    app = served.make("shop")
    app.teardown_appcontext(lambda error: ended.append(g.get("answer")))

    with runtime_of(app):
        job = ask(app, "/queue/who")["id"]

        assert ask(app, f"/join/{job}") == {"result": "shop"}
    assert "shop" in ended


def test_a_handler_queues_on_in_the_store_of_its_own_application(served: Served) -> None:
    @served.lamp.handler("first")
    def first(job: Job[None]) -> str:
        return second.queue(41).id

    @served.lamp.handler
    def second(job: Job[int]) -> int:
        return job.data + 1

    here, there = served.make("here", STORE="here.db"), served.make("there", STORE="there.db")

    with runtime_of(here), runtime_of(there):
        for app in (here, there):
            queued = ask(app, f"/join/{ask(app, '/queue/first')['id']}")["result"]
            assert ask(app, f"/join/{queued}") == {"result": 42}
    for file in ("here.db", "there.db"):
        assert rows(served.folder / "instance" / file, "select count(*) from lamplighter_jobs") == [(2,)]


def test_what_is_declared_before_and_after_init_app_is_the_applications(served: Served) -> None:
    served.lamp.jobs.add_handler("before", lambda job: "before")
    served.lamp.scheduler.add("before", "@daily")
    app = served.make()
    served.lamp.jobs.add_handler("after", lambda job: "after")
    served.lamp.scheduler.add_many([{"name": "after", "when": "@hourly"}])

    with runtime_of(app) as runtime:
        assert [ask(app, f"/join/{ask(app, f'/queue/{name}')['id']}")["result"] for name in ("before", "after")] == [
            "before",
            "after",
        ]
        assert sorted(schedule.name for schedule in runtime.scheduler.list()) == ["after", "before"]


def test_each_application_judges_its_handlers_by_its_own_settings(served: Served) -> None:
    served.lamp.jobs.add_handler("work", print)
    served.lamp.jobs.add_handler("careful", print, interruptions_max=7)

    apps = served.make(INTERRUPTIONS_MAX=5), served.make()

    for app, theirs in zip(apps, (5, 3), strict=True):
        declared = runtime_of(app).current_boot.declared
        assert [one.policy.interruptions_max for name in declared.names() for one in declared.handlers(name)] == [
            theirs,
            7,
        ]


def test_init_app_starts_nothing_and_the_first_request_a_producer(served: Served) -> None:
    served.lamp.jobs.add_handler("work", lambda job: 3)
    app = served.make()
    assert runtime_of(app).boot is None
    assert not (served.folder / "instance" / "app.db").exists()
    serve(app, "/", lambda: "nothing to do with jobs")

    app.test_client().get("/")

    boot = runtime_of(app).boot
    assert boot is not None
    assert not boot.share.works
    assert rows(served.folder / "instance" / "app.db", "select names from lamplighter_boots") == [("[]",)]


def test_outside_of_requests_the_first_call_starts_a_producer(served: Served) -> None:
    app = served.make()

    with app.app_context():
        served.lamp.jobs.queue("work")

    boot = runtime_of(app).boot
    assert boot is not None
    assert not boot.share.works


def test_a_transaction_that_has_written_queues_in_the_first_request_of_a_process(served: Served) -> None:
    """The first call came when the transaction held the lock on the file, which a start needs."""
    app = served.make()

    @app.get("/order")
    def order() -> dict[str, str]:
        db = sqlite3.connect(served.folder / "instance" / "app.db", timeout=20)
        with db:
            db.execute("create table orders (number)")
            db.execute("insert into orders values (1)")
            job = served.lamp.jobs.queue("receipt", connection=db)
        db.close()
        return {"id": job.id}

    job = ask(app, "/order")["id"]

    assert runtime_of(app).jobs.get(job).state == "queued"


def test_the_web_processes_work_where_the_settings_say_so(served: Served) -> None:
    served.lamp.jobs.add_handler("work", lambda job: 3)
    app = served.make(WORK_IN="web")
    with app.app_context():
        served.lamp.jobs.queue("work", id="by-a-command")

    assert ask(app, "/join/by-a-command") == {"result": 3}


def test_a_page_that_needs_no_job_is_served_while_the_store_cannot_be_opened(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    app = served.make()
    serve(app, "/", lambda: "welcome")
    (served.folder / "instance" / "app.db").mkdir()

    assert [app.test_client().get("/").text for _ in range(2)] == ["welcome"] * 2
    # The first request of a process alone tries to start it.
    assert len([one for one in caplog.records if "cannot be started" in one.getMessage()]) == 1
    assert app.test_client().get("/queue/work").status_code == 500


def test_a_test_has_to_start_the_runtime_itself(served: Served) -> None:
    app = served.make()
    app.testing = True

    with app.app_context(), pytest.raises(NotStarted, match=r"with Inline\(app.extensions"):
        served.lamp.jobs.queue("work")


def test_a_call_without_an_application_says_what_is_missing(served: Served) -> None:
    with pytest.raises(NotStarted, match="app_context"):
        served.lamp.jobs.queue("work")
    with pytest.raises(NotStarted, match="app_context"):
        served.lamp.scheduler.add("work", "@daily", durable=True)
    with Flask("other").app_context(), pytest.raises(UsageError, match=r"'other': init_app\(app\)"):
        served.lamp.jobs.queue("work")


@pytest.mark.parametrize(
    "settings, says",
    [
        ({"STORE": None}, "LAMPLIGHTER_STORE"),
        ({"STORE": 3}, "LAMPLIGHTER_STORE: expected a store"),
        ({"STORE": "http://x"}, "LAMPLIGHTER_STORE: expected a store"),
        ({"DRAIN": "long"}, "LAMPLIGHTER_DRAIN: expected drain"),
        ({"DURABILITY": "none"}, "LAMPLIGHTER_DURABILITY: expected durability"),
        ({"KEEP_DONE_SECONDS": -1}, "LAMPLIGHTER_KEEP_DONE_SECONDS: expected keep_done_seconds"),
        ({"CARRIERS": [3]}, "LAMPLIGHTER_CARRIERS: expected carriers"),
        ({"WORK_IN": "here"}, "expected LAMPLIGHTER_WORK_IN to be"),
        ({"STOER": "app.db"}, "unknown option LAMPLIGHTER_STOER; did you mean LAMPLIGHTER_STORE"),
    ],
)
def test_a_wrong_setting_is_named_and_nothing_is_half_there(served: Served, settings: dict, says: str) -> None:
    app = Flask("shop", instance_path=str(served.folder))
    app.config["LAMPLIGHTER_STORE"] = "app.db"
    app.config.from_mapping({f"LAMPLIGHTER_{key}": value for key, value in settings.items()})

    with pytest.raises(UsageError, match=says):
        served.lamp.init_app(app)

    assert app.extensions == {}
    assert not app.cli.commands


def test_a_handler_that_the_store_cannot_have_is_refused_by_init_app(served: Served) -> None:
    served.lamp.jobs.add_handler("work", print, concurrency_total=3)

    with pytest.raises(NotSupported):
        served.make(STORE="amqp://user@nowhere/")


def test_a_mistake_in_a_handler_is_found_where_it_is_declared(served: Served) -> None:
    with pytest.raises(UsageError, match="max_attempts"):
        served.lamp.handler("work", retries=3)(print)
    with pytest.raises(UsageError, match="Lamplighter"):
        served.lamp.init_app(served.make())


def test_a_store_in_memory_of_which_no_worker_sees_anything_is_refused(served: Served) -> None:
    app = served.make(STORE=":memory:")

    with app.app_context(), pytest.raises(UsageError, match="LAMPLIGHTER_WORK_IN"):
        served.lamp.jobs.queue("work")


def test_carriers_of_the_settings_are_within_the_applications_context(served: Served) -> None:
    class Seen(Carrier):
        def around(self, job: Job[None]):
            names.append(current_app.name)
            return super().around(job)

    names: list[str] = []
    served.lamp.jobs.add_handler("work", lambda job: None)
    app = served.make(CARRIERS=[Seen()])

    with runtime_of(app):
        ask(app, f"/join/{ask(app, '/queue/work')['id']}")

    assert names == ["shop"]


def test_many_first_calls_at_once_start_one_producer(served: Served) -> None:
    app, barrier = served.make(), threading.Barrier(4)

    def call() -> None:
        barrier.wait(20)
        with app.app_context():
            served.lamp.jobs.queue("work")

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert rows(served.folder / "instance" / "app.db", "select count(*) from lamplighter_boots") == [(1,)]
    assert rows(served.folder / "instance" / "app.db", "select count(*) from lamplighter_jobs") == [(4,)]


@pytest.mark.parametrize(
    "options, says",
    [
        (["--only", "wokr"], "did you mean 'work'"),
        (["--drain", "-1"], "expected drain"),
        (["--drain", "soon"], "not a valid float"),
    ],
)
def test_the_worker_says_what_is_wrong_with_its_options(served: Served, options: list[str], says: str) -> None:
    served.lamp.jobs.add_handler("work", print)
    app = served.make()

    result = app.test_cli_runner().invoke(args=["lamplighter", "run", *options])

    assert result.exit_code != 0
    assert says in result.output
    assert runtime_of(app).boot is None


@pytest.mark.parametrize(
    ("options", "names", "only", "drain"),
    [
        ([], "other, work", None, 8.0),
        (["--only", "work", "--drain", "7"], "work", ["work"], 7.0),
        (["--only", "work", "--only", "other"], "work, other", ["other", "work"], 8.0),
    ],
)
def test_the_worker_does_what_its_options_say_and_leaves_logging_alone(
    served: Served, options: list[str], names: str, only: list[str] | None, drain: float
) -> None:
    said: list[Any] = []
    for name in ("other", "work"):
        served.lamp.jobs.add_handler(name, lambda job: os.kill(os.getpid(), signal.SIGTERM))
    app = served.make()
    runtime_of(app).subscribe(said.append, events=["runtime.started", "runtime.stopping"])
    ask(app, "/queue/work")
    handlers = list(logging.getLogger().handlers)

    result = app.test_cli_runner().invoke(args=["lamplighter", "run", *options])

    assert (result.exit_code, result.output) == (0, f"Lamplighter runs jobs of: {names}. Ctrl-C stops it.\n")
    assert logging.getLogger().handlers == handlers
    assert [tuple(map(one.get, ("event", "work", "only", "drain"))) for one in said] == [
        ("runtime.started", False, None, None),
        ("runtime.stopping", None, None, 8.0),
        ("runtime.started", None, only, None),
        ("runtime.stopping", None, None, drain),
    ]


@pytest.mark.parametrize(("options", "drain"), [([], 1.0), (["--drain", "7"], 7.0)])
def test_a_reloader_has_its_own_command_run_without_it_and_runs_nothing_itself(
    served: Served, monkeypatch: pytest.MonkeyPatch, options: list[str], drain: float
) -> None:
    app = served.make()
    ask(app, "/queue/work")
    assert runtime_of(app).boot is not None
    made = noted_workers(monkeypatch, lambda: runtime_of(app).boot)
    monkeypatch.setattr(sys, "orig_argv", ["python3", "-m", "flask", "lamplighter", "run", "--reload"])

    result = app.test_cli_runner().invoke(args=["lamplighter", "run", "--reload", *options])

    assert (result.exit_code, result.output) == (0, "")
    command = [sys.executable, "-m", "flask", "lamplighter", "run", "--drain", str(drain)]
    assert made == [(command, drain + reloading.STOP_SECONDS_MAX, None)]
