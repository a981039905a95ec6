"""The background of the application: its database, the handlers of its jobs, and its schedule."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from lamplighter import Job, Runtime, Snooze

DATABASE = os.environ.get("LETTERS_DB", "letters.db")

TABLES = """
create table if not exists letters (id text primary key, subject text unique, readers integer, sent integer, job text);
create table if not exists counts (slot text, letters integer, sent integer, pid integer);
"""

# The store is the application's own database file, so a job can be queued in the transaction that writes a letter.
runtime = Runtime(DATABASE)
jobs, scheduler = runtime.jobs, runtime.scheduler


@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    """A connection; what is written on it is one transaction."""
    with closing(sqlite3.connect(DATABASE)) as db:
        db.row_factory = sqlite3.Row
        with db:
            yield db


with database() as db:
    db.executescript(TABLES)


@jobs.handler("send-letter", concurrency=4)
def send_letter(job: Job[str]) -> dict[str, Any]:
    """Send one letter to all its readers. Where it was interrupted, it goes on."""
    with database() as db:
        letter = db.execute("select readers, sent from letters where id = ?", (job.data,)).fetchone()
    for sent in range(letter["sent"] + 1, letter["readers"] + 1):
        if not job.sleep(0.05):  # here a mail would be sent
            # Cancelled, and then this changes nothing; or the process stops, and the next one goes on.
            raise Snooze(0)
        with database() as db:
            db.execute("update letters set sent = ? where id = ?", (sent, job.data))
        job.progress(sent, letter["readers"])
    return {"sent": letter["readers"], "pid": os.getpid()}


@jobs.handler("count-letters")
def count_letters(job: Job[None]) -> None:
    """Note how many letters there are."""
    with database() as db:
        letters, sent = db.execute("select count(*), total(sent) from letters").fetchone()
        db.execute("insert into counts values (?, ?, ?, ?)", (str(job.slot), letters, sent, os.getpid()))


# Every two seconds, so that there is something to see. However many processes run this line, a slot fires once.
scheduler.add("count-letters", "*/2 * * * * *")
