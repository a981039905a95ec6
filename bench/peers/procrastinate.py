"""Procrastinate on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from procrastinate import App, PsycopgConnector
from starts import ran

from .base import AsyncPeer


class Procrastinate(AsyncPeer):
    title, package = "Procrastinate (PostgreSQL)", "procrastinate"
    durability = (
        "PostgreSQL, synchronous_commit on: survives a power cut; a job whose worker dies stays `doing` until the "
        "application looks for stalled jobs"
    )
    survives_power, survives_worker = True, False

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self._app = App(connector=PsycopgConnector(conninfo=url, max_size=16))
        self._task = self._app.task(nothing, name="nothing")
        self.run(self._open())

    async def _open(self) -> None:
        await self._app.open_async()
        await self._app.schema_manager.apply_schema_async()

    async def aqueue(self, number: int) -> None:
        await self._task.defer_async(number=number)

    def queue_many(self, numbers: Sequence[int]) -> None:
        self.run(self._task.batch_defer_async(*({"number": number} for number in numbers)))

    def work(self) -> None:
        self.start(self._app.run_worker_async(concurrency=1, install_signal_handlers=False))


async def nothing(number: int) -> None:
    """A task that does nothing."""
    ran(number)
