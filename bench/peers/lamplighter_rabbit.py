"""Lamplighter on RabbitMQ, with its events at info in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lamplighter import Runtime

from .lamplighter import Lamplighter

JOIN_SECONDS_MAX = 60.0


class LamplighterOnRabbit(Lamplighter):
    title = "Lamplighter (RabbitMQ)"
    durability = (
        "quorum queue, persistent messages, publisher confirms: survives a power cut; a message is acknowledged after "
        "it ran"
    )

    def __init__(self, folder: Path, url: str = "") -> None:
        # The server outlives a measurement; its queues have the names of their measurements.
        self.name = folder.parent.name
        self.runtime = Runtime(f"{url}/", logger=self._logger(folder)).start()
        self.jobs = self.runtime.jobs
        self.url = f"{self.runtime.address}?prefix={self.name}"
        self._last: str | None = None

    def queue_many(self, numbers: Sequence[int]) -> None:
        self._last = self.jobs.queue_many([(self.name, number) for number in numbers])[-1].id

    def finish(self, jobs: int) -> None:
        assert self._last is not None, "a drain is filled with queue_many"
        # One lane ends them in their order.
        self.jobs.join(self._last, timeout=JOIN_SECONDS_MAX)
