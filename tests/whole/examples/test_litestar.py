"""A Litestar application with the lifespan of the guide, driven over HTTP under uvicorn."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ...examples.letters import begun, done
from ...faults.kit import eventually, rows
from ...support.web_server import WebServer

APPLICATION = """
import os
from contextlib import asynccontextmanager

import msgspec
from lamplighter import Job, Runtime, Snooze, UnknownJob
from litestar import Litestar, get, post
from litestar.exceptions import NotFoundException

runtime = Runtime("letters.db")
jobs = runtime.jobs


class Letter(msgspec.Struct):
    subject: str
    readers: int


@jobs.handler("send-letter", concurrency=4)
def send_letter(job: Job[Letter]):
    for sent in range(job.data.readers):
        if not job.sleep(0.01):
            raise Snooze(0)
        job.progress(sent + 1, job.data.readers)
    return {"sent": job.data.readers, "pid": os.getpid()}


@jobs.handler("count")
async def count(job: Job[int]) -> int:
    return (await job.aqueue("send-letter", Letter("counted", job.data))).id


@asynccontextmanager
async def lifespan(app):
    async with runtime:
        yield


@post("/letters")
async def send(data: Letter) -> dict:
    return {"job": (await send_letter.aqueue(data)).id}


@post("/counts/{number:int}")
async def start_count(number: int) -> dict:
    return {"job": (await count.aqueue(number)).id}


@get("/jobs/{job:str}")
async def look(job: str) -> dict:
    return (await jobs.aget(job)).to_dict()


@post("/jobs/{job:str}/cancel", status_code=200)
async def cancel(job: str) -> dict:
    try:
        return (await jobs.acancel(job)).to_dict()
    except UnknownJob as error:
        raise NotFoundException(str(error)) from None


@get("/health", sync_to_thread=True)
def health() -> dict:
    return {"status": runtime.health().status, "pid": os.getpid()}


app = Litestar([send, start_count, look, cancel, health], lifespan=[lifespan])
"""

UVICORN = ("uvicorn", "app:app", "--port", "0")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "app.py").write_text(APPLICATION)
    yield tmp_path


def send(server: WebServer, subject: str, readers: int) -> str:
    """The job of a new letter."""
    return str(server.post("/letters", 201, json={"subject": subject, "readers": readers})["job"])


def test_two_workers_of_uvicorn_send_letters_and_cancel_one(folder: Path) -> None:
    with WebServer(*UVICORN, "--workers", "2", folder=folder) as server:
        short, long = send(server, "short", 3), send(server, "long", 10_000)

        assert done(server, short)["result"]["sent"] == 3
        assert begun(server, long)["progress"]["total"] == 10_000
        assert server.post(f"/jobs/{long}/cancel")["state"] == "cancelled"
        child = done(server, server.post("/counts/2", 201)["job"])["result"]
        assert done(server, child)["result"]["sent"] == 2
        server.post("/jobs/nobody/cancel", 404)
        boots = "select pid from lamplighter_boots"
        eventually(lambda: len(rows(folder / "letters.db", boots)) == 2, what="a runtime in each of the two")
        assert server.stop() == 0

    assert rows(folder / "letters.db", "select * from lamplighter_boots") == []


def test_a_process_that_is_killed_leaves_its_job_to_the_next_one(folder: Path) -> None:
    with WebServer(*UVICORN, folder=folder) as server:
        job = send(server, "long", 100)
        begun(server, job)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(15)

    with WebServer(*UVICORN, folder=folder) as server:
        eventually(lambda: server.get("/health")["status"] == "green", what="a runtime that works")
        assert done(server, job)["result"] == {"sent": 100, "pid": server.get("/health")["pid"]}
