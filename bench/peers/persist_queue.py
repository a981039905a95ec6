"""persist-queue's acknowledged queue on SQLite. It has no worker: one is the loop that its documentation shows."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import ClassVar

from persistqueue import SQLiteAckQueue
from starts import ran

from .base import Peer


class PersistQueue(Peer):
    title, package = "persist-queue (ack queue)", "persist-queue"
    durability = (
        "SQLite WAL, synchronous=FULL: survives a power cut; an item whose worker dies comes back when the queue is "
        "next opened"
    )
    survives_power, survives_worker = True, True
    cannot: ClassVar = {
        "enqueue-async-64": "its coroutines run the same calls on threads",
        "bulk-500": "it has no bulk call",
    }

    def __init__(self, folder: Path, url: str) -> None:
        self._queue = SQLiteAckQueue(str(folder), auto_commit=True, multithreading=True)

    def queue(self, number: int) -> None:
        self._queue.put(number)

    def work(self) -> None:
        threading.Thread(target=self._loop, daemon=True).start()

    def _loop(self) -> None:
        while True:
            item = self._queue.get(raw=True)
            ran(item["data"])
            self._queue.ack(id=item["pqid"])
