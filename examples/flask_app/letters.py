"""The background of the application: its database, the handlers of its jobs, and its schedule."""

from __future__ import annotations

import os
import sqlite3
from typing import Any

from flask import current_app, g
from lamplighter import Job, Snooze
from lamplighter.contrib.flask import Lamplighter

TABLES = """
create table if not exists letters (id text primary key, subject text unique, readers integer, sent integer, job text);
create table if not exists counts (slot text, letters integer, sent integer, pid integer);
"""

lamp = Lamplighter()


def database() -> sqlite3.Connection:
    """The connection of this request, or of this job: both have the application's context."""
    if "db" not in g:
        g.db = sqlite3.connect(current_app.config["LAMPLIGHTER_STORE"])
        g.db.row_factory = sqlite3.Row
    return g.db


def close_database(error: BaseException | None = None) -> None:
    """Called when a request, or a job, has ended."""
    db = g.pop("db", None)
    if db is not None:
        db.close()


@lamp.handler("send-letter", concurrency=4)
def send_letter(job: Job[str]) -> dict[str, Any]:
    """Send one letter to all its readers. Where it was interrupted, it goes on."""
    db = database()
    letter = db.execute("select readers, sent from letters where id = ?", (job.data,)).fetchone()
    for sent in range(letter["sent"] + 1, letter["readers"] + 1):
        if not job.sleep(0.05):  # here a mail would be sent
            # Cancelled, and then this changes nothing; or the process stops, and the next one goes on.
            raise Snooze(0)
        with db:
            db.execute("update letters set sent = ? where id = ?", (sent, job.data))
        job.progress(sent, letter["readers"])
    return {"sent": letter["readers"], "pid": os.getpid()}


@lamp.handler("count-letters")
def count_letters(job: Job[None]) -> None:
    """Note how many letters there are."""
    with database() as db:
        letters, sent = db.execute("select count(*), total(sent) from letters").fetchone()
        db.execute("insert into counts values (?, ?, ?, ?)", (str(job.slot), letters, sent, os.getpid()))


# Every two seconds, so that there is something to see. However many workers there are, a slot fires once.
lamp.scheduler.add("count-letters", "*/2 * * * * *")
