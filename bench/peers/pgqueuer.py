"""PgQueuer on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import asyncpg
from pgqueuer import AsyncpgDriver, AsyncpgPoolDriver, Job, PgQueuer, Queries
from starts import ran

from .base import AsyncPeer


class Pgqueuer(AsyncPeer):
    title, package = "PgQueuer (PostgreSQL)", "pgqueuer"
    durability = (
        "PostgreSQL, synchronous_commit on: survives a power cut; a job whose worker dies is taken again after a "
        "heartbeat's timeout"
    )
    survives_power, survives_worker = True, True

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self._url = url
        self.run(self._open())

    async def _open(self) -> None:
        self._pool = await asyncpg.create_pool(self._url, min_size=1, max_size=16)
        self._queries = Queries(AsyncpgPoolDriver(self._pool))
        await self._queries.install()

    async def aqueue(self, number: int) -> None:
        await self._queries.enqueue("nothing", str(number).encode())

    def queue_many(self, numbers: Sequence[int]) -> None:
        payloads = [str(number).encode() for number in numbers]
        self.run(self._queries.enqueue(["nothing"] * len(payloads), payloads, [0] * len(payloads)))

    def work(self) -> None:
        self.start(self._work())

    async def _work(self) -> None:
        worker = PgQueuer(AsyncpgDriver(await asyncpg.connect(self._url)))

        @worker.entrypoint("nothing")
        async def nothing(job: Job) -> None:
            ran(int(job.payload or b""))

        await worker.run()
