"""RQ on Redis with every write synced. Its worker that does not fork, which is the faster one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from redis import Redis
from rq import Queue, Retry, SimpleWorker
from rq.timeouts import TimerDeathPenalty
from starts import ran

from .base import Peer

RETRY = Retry(max=20)


class RQ(Peer):
    title, package = "RQ (Redis)", "rq"
    durability = (
        "append-only file, appendfsync always, with retries: survives a power cut; a job whose worker dies is retried "
        "once its place in the registry has expired"
    )
    survives_power, survives_worker = True, True
    cannot: ClassVar = {"enqueue-async-64": "it has no coroutines"}

    def __init__(self, folder: Path, url: str) -> None:
        self._redis = Redis.from_url(url)
        self._queue = Queue(folder.parent.name, connection=self._redis)

    def queue(self, number: int) -> None:
        self._queue.enqueue(nothing, number, retry=RETRY)

    def queue_many(self, numbers: Sequence[int]) -> None:
        self._queue.enqueue_many([Queue.prepare_data(nothing, (number,), retry=RETRY) for number in numbers])

    def work(self) -> None:
        worker = _ThreadWorker([self._queue], connection=self._redis)
        threading.Thread(target=worker.work, kwargs={"logging_level": "ERROR"}, daemon=True).start()


class _ThreadWorker(SimpleWorker):
    """Signals belong to the main thread, where this worker does not run."""

    death_penalty_class = TimerDeathPenalty

    def _install_signal_handlers(self) -> None:
        """Install none."""


def nothing(number: int) -> None:
    """A job that does nothing."""
    ran(number)
