"""litequeue, set to synchronous=FULL. It has no worker: one is the loop that its documentation shows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from litequeue import LiteQueue
from starts import ran

from .base import Peer


class Litequeue(Peer):
    title, package = "litequeue (at FULL)", "litequeue"
    durability = (
        "SQLite WAL, set to synchronous=FULL: survives a power cut; a message whose worker dies stays locked until the "
        "application frees it"
    )
    survives_power, survives_worker = True, False
    cannot: ClassVar = {
        "enqueue-async-64": "it has no coroutines",
        "latency-100": "nothing waits for a message: the application polls",
    }

    def __init__(self, folder: Path, url: str) -> None:
        self._queue = LiteQueue(str(folder / "lite.db"))
        self._queue.conn.execute("pragma synchronous = full")

    def queue(self, number: int) -> None:
        self._queue.put(str(number))

    def queue_many(self, numbers: Sequence[int]) -> None:
        with self._queue.transaction():
            for number in numbers:
                self._queue.put(str(number))

    def work(self) -> None:
        threading.Thread(target=self._loop, daemon=True).start()

    def _loop(self) -> None:
        while (message := self._queue.pop()) is not None:
            ran(int(message.data))
            self._queue.done(message.message_id, claim_id=message.claim_id)
