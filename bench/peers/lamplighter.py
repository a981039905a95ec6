"""Lamplighter itself, with its events at info in a file."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from lamplighter import Job, Runtime, configure_logging
from starts import ran

from .base import Peer

POLL_SECONDS = 0.002


class Lamplighter(Peer):
    title, package = "Lamplighter, events at info", "lamplighter"
    durability = "SQLite WAL, synchronous=FULL: survives a power cut; a job is claimed, run, and recorded as done"
    survives_power, survives_worker = True, True
    level = "full"
    name = "nothing"

    def __init__(self, folder: Path, url: str = "") -> None:
        self.runtime = Runtime(folder / "jobs.db", durability=self.level, logger=self._logger(folder)).start()
        self.jobs = self.runtime.jobs

    def _logger(self, folder: Path) -> logging.Logger:
        configure_logging(folder / "run.log", console=False, level="info")
        return logging.getLogger("lamplighter")

    def queue(self, number: int) -> None:
        self.jobs.queue(self.name, number)

    async def aqueue(self, number: int) -> None:
        await self.jobs.aqueue(self.name, number)

    def queue_many(self, numbers: Sequence[int]) -> None:
        self.jobs.queue_many([(self.name, number) for number in numbers])

    def work(self) -> None:
        self.jobs.add_handler(self.name, nothing)

    def finish(self, jobs: int) -> None:
        while self.jobs.counts(self.name)["done"] < jobs:
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        self.runtime.stop(drain=0)


def nothing(job: Job) -> None:
    """A job that does nothing."""
    ran(job.data)
