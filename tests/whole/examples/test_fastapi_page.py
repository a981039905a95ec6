"""docs/fastapi.md tells the truth of what only a server shows: the application that it has one save, and its log."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

from ...examples.letters import done
from ...faults.kit import SECONDS_MAX, eventually, rows
from ...support.web_server import WebServer

PAGE = (Path(__file__).parents[3] / "docs" / "fastapi.md").read_text("utf-8")

APPLICATION, ENDPOINTS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[:2]
"""The blocks of which the page says that they are a whole application."""

LOGGED = re.findall(r"^## The log$.*?^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
"""The lifespan with the line that has jobs shown."""

WARNS = """
@app.get("/nobodys")
def nobodys():
    return jobs.queue("nobodys").id
"""


def serve(folder: Path, application: str, more: str = "") -> WebServer:
    (folder / "app.py").write_text(application + ENDPOINTS + more)
    return WebServer("uvicorn", "app:app", "--port", "0", folder=folder, terminal=True)


def send(server: WebServer) -> str:
    """The job of a letter like the page's, which fewer read."""
    letter = json.loads(re.findall(r"curl \S+/letters .*-d '(.*)'$", PAGE, re.MULTILINE)[0])
    return str(server.post("/letters", 201, json={**letter, "readers": 3})["job"])


def test_of_the_pages_application_uvicorn_shows_warnings_alone(tmp_path: Path) -> None:
    with serve(tmp_path, APPLICATION, WARNS) as server:
        job = done(server, send(server))
        server.get("/nobodys")
        eventually(lambda: "nobodys" in server.said.replace("GET /nobodys", ""), what="a warning")
        server.stop()

        assert job["progress"]["done"] == 3
        assert job["id"] not in server.said.replace(f"/jobs/{job['id']}", "")


def test_a_line_in_the_lifespan_has_uvicorns_terminal_show_jobs_and_a_file_keep_all(tmp_path: Path) -> None:
    assert "configure_logging" in LOGGED
    with serve(tmp_path, APPLICATION.replace("app = FastAPI(", f"{LOGGED}\n\napp = FastAPI(")) as server:
        job = done(server, send(server))["id"]
        eventually(lambda: job in server.said.replace(f"/jobs/{job}", ""), what="the job on the terminal")
        server.stop()

        lines = [json.loads(line) for line in (tmp_path / "app.log").read_text().splitlines()]
        assert [line["job_id"] for line in lines if line["event"] == "job.done"] == [job]
        assert {"runtime.started", "turn.committed", "runtime.stopped"} <= {line["event"] for line in lines}
        assert "turn.committed" not in server.said


def test_a_second_ctrl_c_has_uvicorn_wait_for_no_job(tmp_path: Path) -> None:
    hangs = """
@jobs.handler("hangs")
def hang(job):
    import threading
    threading.Event().wait()


@app.get("/hang")
def hang_now():
    return jobs.queue("hangs").id
"""
    patient = APPLICATION.replace('Runtime("app.db")', 'Runtime("app.db", drain=3600)')
    with serve(tmp_path, patient.replace("app = FastAPI(", f"{LOGGED}\n\napp = FastAPI("), hangs) as server:
        job = server.get("/hang")
        server.until(f"/jobs/{job}", lambda found: found["state"] == "running")

        server.process.send_signal(signal.SIGINT)
        eventually(lambda: "runtime.draining" in server.said, what="a stop that waits")
        server.process.send_signal(signal.SIGINT)
        server.process.wait(SECONDS_MAX)

    assert rows(tmp_path / "app.db", "select state, interruptions from lamplighter_jobs") == [("queued", 0)]
