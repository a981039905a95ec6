"""SAQ on Redis with every write synced."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from saq import Queue, Worker
from starts import ran

from .base import AsyncPeer


class SAQ(AsyncPeer):
    title, package = "SAQ (Redis)", "saq"
    durability = (
        "append-only file, appendfsync always, with retries: survives a power cut; a job whose worker dies is swept up "
        "and retried when its heartbeat or timeout is over"
    )
    survives_power, survives_worker = True, True
    cannot: ClassVar = {"bulk-500": "it has no bulk call"}

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self._queue = Queue.from_url(url, name=folder.parent.name)
        self.run(self._queue.connect())

    async def aqueue(self, number: int) -> None:
        await self._queue.enqueue("nothing", number=number, retries=20)

    def work(self) -> None:
        self.start(_Worker(self._queue, functions=[nothing], concurrency=1).start())


class _Worker(Worker[Any]):
    SIGNALS = ()
    """They belong to the main thread, where this worker does not run."""


async def nothing(context: Any, *, number: int) -> None:
    """A job that does nothing."""
    ran(number)
