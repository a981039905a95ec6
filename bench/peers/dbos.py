"""DBOS, embedded, on SQLite: a queue of workflows."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from dbos import DBOS
from starts import ran

from .base import Peer

QUEUE = "bench"


class Dbos(Peer):
    title, package = "DBOS (SQLite)", "dbos"
    durability = (
        "SQLite rollback journal, synchronous=FULL: survives a power cut; a workflow whose worker dies is recovered at "
        "the next start. Without a limit of concurrency: with one worker it starts one job a poll"
    )
    survives_power, survives_worker = True, True
    cannot: ClassVar = {
        "enqueue-async-64": "its coroutines run the same calls on threads",
        "bulk-500": "it has no bulk call",
    }

    def __init__(self, folder: Path, url: str) -> None:
        self._address = f"sqlite:///{folder / 'dbos.db'}"
        self._launch([])
        DBOS.register_queue(QUEUE)

    def _launch(self, queues: list[str]) -> None:
        DBOS(config={"name": "bench", "system_database_url": self._address, "console_log_level": "ERROR"})
        DBOS.listen_queues(queues)
        DBOS.launch()

    def queue(self, number: int) -> None:
        DBOS.enqueue_workflow(QUEUE, nothing, number)

    def work(self) -> None:
        # What a process listens to is settled at its launch.
        DBOS.destroy()
        self._launch([QUEUE])

    def close(self) -> None:
        DBOS.destroy()


@DBOS.workflow()
def nothing(number: int) -> None:
    """A workflow that does nothing."""
    ran(number)
