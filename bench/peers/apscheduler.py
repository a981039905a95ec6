"""APScheduler 3 with its jobs in SQLite: a scheduler, used as a queue by jobs that are due at once."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from starts import ran

from .base import Peer


class APScheduler(Peer):
    title, package = "APScheduler (SQLite)", "apscheduler"
    durability = (
        "SQLite rollback journal, synchronous=FULL: survives a power cut; its row is deleted when it is handed to a "
        "thread, so a worker's death loses it"
    )
    survives_power, survives_worker = True, False
    cannot: ClassVar = {"enqueue-async-64": "it has no coroutines", "bulk-500": "it has no bulk call"}

    def __init__(self, folder: Path, url: str) -> None:
        self._scheduler = BackgroundScheduler(
            jobstores={"default": SQLAlchemyJobStore(f"sqlite:///{folder / 'jobs.db'}")},
            executors={"default": ThreadPoolExecutor(1)},
        )
        # Jobs are written to the store once it is started; paused, it runs none.
        self._scheduler.start(paused=True)

    def queue(self, number: int) -> None:
        self._scheduler.add_job(nothing, args=[number], misfire_grace_time=None)

    def work(self) -> None:
        self._scheduler.resume()

    def close(self) -> None:
        self._scheduler.shutdown(wait=False)


def nothing(number: int) -> None:
    """A job that does nothing."""
    ran(number)
