"""Huey on SQLite, which deletes a task's row before it runs."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from huey import SqliteHuey
from starts import ran

from .base import Peer


class Huey(Peer):
    title, package = "Huey (SQLite)", "huey"
    durability = (
        "SQLite WAL, synchronous=FULL: survives a power cut; its row is deleted before it runs, so a worker's death "
        "loses it"
    )
    survives_power, survives_worker = True, False
    cannot: ClassVar = {"enqueue-async-64": "it has no coroutines", "bulk-500": "it has no bulk call"}

    def __init__(self, folder: Path, url: str) -> None:
        self._huey = SqliteHuey(filename=str(folder / "huey.db"), fsync=True, results=False)
        self._task = self._huey.task()(nothing)
        self._consumer = None

    def queue(self, number: int) -> None:
        self._task(number)

    def work(self) -> None:
        self._consumer = self._huey.create_consumer(workers=1, periodic=False, check_worker_health=False)
        self._consumer.start()

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.stop(graceful=False)


def nothing(number: int) -> None:
    """A task that does nothing."""
    ran(number)
