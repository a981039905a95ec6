"""The Flask example, driven over HTTP: under Flask's reloader, and under gunicorn with a worker beside it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from ...examples.letters import OLD_SECONDS_MAX, begun, check_handed_over, copy, deploy, done
from ...faults.kit import check_slots, eventually, rows
from ...support.web_server import WebServer
from ..faults.test_process_lanes import is_alive

RELOADER = ("flask", "run", "--debug", "--port", "0")
GUNICORN = ("gunicorn", "app:create_app()", "--workers", "2", "--bind", "127.0.0.1:0", "--no-control-socket")
WORKER = ("flask", "lamplighter", "run")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copy("flask_app", tmp_path)


def send(server: WebServer, subject: str, readers: int) -> str:
    """The job of a new letter."""
    server.post("/letters", 303, data={"subject": subject, "readers": readers})
    letters = server.get("/letters")["letters"]
    return str(next(letter["job"] for letter in letters if letter["subject"] == subject))


def check_counts(folder: Path) -> None:
    """No slot has fired twice."""
    store = folder / "instance" / "letters.db"
    assert rows(store, "select slot from counts group by slot having count(*) > 1") == []
    check_slots(store)


def test_the_reloaders_parent_runs_no_job_and_new_code_goes_on_with_the_old_ones(folder: Path) -> None:
    with WebServer(*RELOADER, folder=folder, environment={"FLASK_LAMPLIGHTER_WORK_IN": "web"}) as server:
        old = server.get("/health")["pid"]
        job = send(server, "long", 10_000)
        begun(server, job)

        deploy(folder)

        eventually(lambda: not is_alive(old), OLD_SECONDS_MAX, what="the end of the old code")
        result = done(server, send(server, "short", 1))["result"]
        assert (result["code"], result["pid"]) == ("new", server.get("/health")["pid"])
        check_handed_over(server, job, folder / "instance" / "letters.db")
        pids = rows(folder / "instance" / "letters.db", "select pid from lamplighter_boots")
        assert pids == [(result["pid"],)]
        assert result["pid"] != server.process.pid
        check_counts(folder)


def test_a_worker_with_a_reloader_does_jobs_with_the_code_that_is_there_now(folder: Path) -> None:
    with WebServer(*GUNICORN, folder=folder) as server, WebServer(*WORKER, "--reload", folder=folder) as watcher:
        old = done(server, send(server, "before", 1))["result"]

        deploy(folder)
        eventually(lambda: not is_alive(old["pid"]), OLD_SECONDS_MAX, what="the end of the old code")
        new = done(server, send(server, "after", 1))["result"]

        assert ("code" in old, new["code"]) == (False, "new")
        assert watcher.process.pid not in (old["pid"], new["pid"])
        assert (watcher.stop(), server.stop()) == (0, 0)
        assert not is_alive(new["pid"])

    assert rows(folder / "instance" / "letters.db", "select * from lamplighter_boots") == []


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_a_hup_brings_new_code_unless_the_master_has_imported_the_old(folder: Path, preload: list[str]) -> None:
    with WebServer(*GUNICORN, *preload, folder=folder, environment={"FLASK_LAMPLIGHTER_WORK_IN": "web"}) as server:
        old = done(server, send(server, "before", 1))["result"]["pid"]
        deploy(folder)

        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: not is_alive(old), OLD_SECONDS_MAX, what="the end of the old code")
        result = done(server, send(server, "after", 1))["result"]

        assert ("code" in result) == (not preload)
        assert result["pid"] != server.process.pid
        check_counts(folder)


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_the_processes_of_gunicorn_queue_what_a_worker_does(folder: Path, preload: list[str]) -> None:
    with WebServer(*GUNICORN, *preload, folder=folder) as server, WebServer(*WORKER, folder=folder) as worker:
        short, long = send(server, "short", 2), send(server, "long", 10_000)

        assert done(server, short)["result"] == {"sent": 2, "pid": worker.process.pid}
        begun(server, long)
        server.post(f"/jobs/{long}/cancel", 303)
        server.post("/letters", 409, data={"subject": "short", "readers": 2})
        counted = server.until("/letters", lambda found: found["count"] and found["count"]["letters"] == 2)
        assert [letter["state"] for letter in counted["letters"]] == ["cancelled", "done"]
        assert counted["count"]["pid"] == worker.process.pid
        boots = rows(folder / "instance" / "letters.db", "select pid, names from lamplighter_boots")
        assert {names for pid, names in boots if pid != worker.process.pid} == {"[]"}
        assert server.process.pid not in {pid for pid, names in boots}
        check_counts(folder)

        assert (worker.stop(), server.stop()) == (0, 0)

    assert rows(folder / "instance" / "letters.db", "select * from lamplighter_boots") == []
