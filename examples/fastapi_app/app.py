"""A newsletter with FastAPI: uvicorn app:app --reload"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse
from lamplighter import UnknownJob, configure_logging
from letters import database, jobs, runtime, send_letter
from pydantic import BaseModel, Field

PAGE = Path(__file__).with_name("page.html")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    configure_logging()  # uvicorn shows only lines of its own
    async with runtime:
        yield


app = FastAPI(lifespan=lifespan)


class Letter(BaseModel):
    subject: str = Field(min_length=1, max_length=200)
    readers: int = Field(ge=1, le=10_000)


@app.get("/")
def page() -> FileResponse:
    return FileResponse(PAGE)


@app.post("/letters", status_code=201)
def send(letter: Letter) -> dict[str, Any]:
    letter_id = uuid.uuid4().hex
    try:
        with database() as db:  # one transaction: there is a job if and only if there is a letter
            job = send_letter.queue(letter_id, connection=db)
            row = (letter_id, letter.subject, letter.readers, 0, job.id)
            db.execute("insert into letters values (?, ?, ?, ?, ?)", row)
    except sqlite3.IntegrityError:
        raise HTTPException(409, "there is a letter with this subject") from None
    return {"id": letter_id, "job": job.id}


@app.get("/letters")
def overview() -> dict[str, Any]:
    states = {job.id: job.state for job in jobs.list("send-letter", limit=20)}
    with database() as db:
        letters = db.execute("select * from letters order by rowid desc limit 20").fetchall()
        count = db.execute("select * from counts order by rowid desc limit 1").fetchone()
    return {
        "letters": [{**letter, "state": states.get(letter["job"])} for letter in map(dict, letters)],
        "count": count and dict(count),
    }


@app.get("/jobs/{job_id}")
async def look(job_id: str) -> dict[str, Any]:
    try:
        return (await jobs.aget(job_id)).to_dict()
    except UnknownJob:
        raise HTTPException(404) from None


@app.post("/jobs/{job_id}/cancel")
async def cancel(job_id: str) -> dict[str, Any]:
    try:
        return (await jobs.acancel(job_id)).to_dict()
    except UnknownJob:
        raise HTTPException(404) from None


@app.get("/health")
def health() -> dict[str, Any]:
    return {**asdict(runtime.health()), "pid": os.getpid()}
