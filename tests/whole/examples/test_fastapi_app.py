"""The FastAPI example, driven over HTTP: under uvicorn and gunicorn, with new code deployed while a job runs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ...examples.letters import OLD_SECONDS_MAX, begun, check_handed_over, copy, deploy, done, replace
from ...faults.kit import check_slots, eventually, rows
from ...support.web_server import WebServer
from ..faults.test_process_lanes import is_alive

UVICORN = ("uvicorn", "app:app", "--port", "0")
GUNICORN = (
    "gunicorn",
    "app:app",
    "--worker-class",
    "asgi",
    "--workers",
    "2",
    "--bind",
    "127.0.0.1:0",
    "--no-control-socket",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copy("fastapi_app", tmp_path)


def send(server: WebServer, subject: str, readers: int) -> str:
    """The job of a new letter."""
    return str(server.post("/letters", 201, json={"subject": subject, "readers": readers})["job"])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WebServer, Path]]:
    """Two workers of uvicorn, and their database."""
    folder = copy("fastapi_app", tmp_path_factory.mktemp("uvicorn"))
    with WebServer(*UVICORN, "--workers", "2", folder=folder) as server:
        yield server, folder / "letters.db"
        assert server.stop() == 0


def test_two_workers_of_uvicorn_send_letters_and_each_slot_fires_once(served: tuple[WebServer, Path]) -> None:
    server, database = served
    short, long = send(server, "short", 3), send(server, "long", 10_000)

    assert done(server, short)["result"]["sent"] == 3
    assert begun(server, long)["progress"]["total"] == 10_000
    assert server.post(f"/jobs/{long}/cancel")["state"] == "cancelled"
    counted = server.until("/letters", lambda found: found["count"] and found["count"]["letters"] == 2)
    assert {letter["state"] for letter in counted["letters"]} == {"done", "cancelled"}
    assert rows(database, "select slot from counts group by slot having count(*) > 1") == []
    check_slots(database)


def test_a_letter_that_is_refused_leaves_no_job(served: tuple[WebServer, Path]) -> None:
    server, database = served
    job = send(server, "once", 1)
    before = rows(database, "select id from lamplighter_jobs where name = 'send-letter'")

    server.post("/letters", 409, json={"subject": "once", "readers": 1})
    server.post("/letters", 422, json={"subject": "", "readers": 0})
    server.post("/jobs/nobody/cancel", 404)

    assert server.get("/letters")["letters"][0]["job"] == job
    assert rows(database, "select id from lamplighter_jobs where name = 'send-letter'") == before


def test_web_processes_that_are_producers_leave_all_work_to_a_worker(folder: Path) -> None:
    replace(folder / "app.py", "async with runtime:", "async with runtime.start(work=False):")
    with (
        WebServer(*UVICORN, folder=folder) as server,
        WebServer("lamplighter", "run", "app:runtime", folder=folder) as worker,
    ):
        assert done(server, send(server, "short", 1))["result"]["pid"] == worker.process.pid
        assert server.until("/letters", lambda found: found["count"])["count"]["pid"] == worker.process.pid
        assert worker.stop() == 0


@pytest.mark.parametrize("how", ["uvicorn --reload", "gunicorn and HUP"])
def test_new_code_goes_on_with_the_job_that_the_old_code_had(folder: Path, how: str) -> None:
    command = (*UVICORN, "--reload") if how == "uvicorn --reload" else GUNICORN
    with WebServer(*command, folder=folder) as server:
        old = server.get("/health")["pid"]
        job = send(server, "long", 10_000)
        begun(server, job)

        deploy(folder)
        if how != "uvicorn --reload":
            server.process.send_signal(signal.SIGHUP)

        eventually(lambda: not is_alive(old), OLD_SECONDS_MAX, what="the end of the old code")
        short = send(server, "short", 1)
        assert done(server, short)["result"]["code"] == "new"
        check_handed_over(server, job, folder / "letters.db")


def test_a_master_of_gunicorn_that_has_imported_the_application_runs_none_of_it(folder: Path) -> None:
    with WebServer(*GUNICORN, "--preload", folder=folder) as server:
        result = done(server, send(server, "short", 1))["result"]

        assert result["pid"] != server.process.pid
        boots = rows(folder / "letters.db", "select pid from lamplighter_boots")
        assert len(boots) == 2
        assert (server.process.pid,) not in boots
