"""What the harness asks of a system.

An adapter opens its system in a folder (and on a server, if it needs one), queues jobs that carry a number, and runs a
worker whose handler calls `ran(number)` first and does nothing else. It says how durable a queued job is, and what it
cannot do. It uses its system as that system's documentation shows, at the settings that come closest to Lamplighter's
promise: a job is on the disk when `queue` returns, and is not lost when its worker dies.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar


class Peer(ABC):
    """One system, open.

    Attributes:
        title: its name in the tables.
        package: what pip calls it, for its version.
        durability: in words, what a job survives once `queue` has returned, and what a worker's death does to it.
        survives_power: whether a queued job is on the disk when `queue` returns.
        survives_worker: whether a job that was taken comes back by itself when its worker dies.
        cannot: which workloads it cannot do, and why.
    """

    title: ClassVar[str]
    package: ClassVar[str]
    durability: ClassVar[str]
    survives_power: ClassVar[bool]
    survives_worker: ClassVar[bool]
    cannot: ClassVar[Mapping[str, str]] = {}

    def __init__(self, folder: Path, url: str) -> None:  # noqa: B027 (a hook)
        """Open it in an empty folder, on the server at the address if it has one."""

    @abstractmethod
    def queue(self, number: int) -> None:
        """Queue one job; return when it is as durable as it gets."""

    def queue_many(self, numbers: Sequence[int]) -> None:
        """Queue several in the way that the system has for it."""
        raise TypeError(f"expected {self.title} to say in `cannot` that it has no bulk call, or to have one")

    @abstractmethod
    def work(self) -> None:
        """Start one worker that does one job at a time, and return."""

    def finish(self, jobs: int) -> None:  # noqa: B027 (a hook)
        """Wait until so many jobs are recorded as ended. Most systems cannot say; they end with the last start."""

    def close(self) -> None:  # noqa: B027 (a hook)
        """End the worker."""


class AsyncPeer(Peer):
    """A system whose calls are coroutines: they run on a loop of its own, and its producers are tasks there."""

    def __init__(self, folder: Path, url: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    @abstractmethod
    async def aqueue(self, number: int) -> None:
        """`queue`, as a coroutine."""

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the loop, from another thread, and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Start a coroutine on the loop."""

        async def begin() -> None:
            self._tasks.add(asyncio.ensure_future(coroutine))

        self.run(begin())

    def queue(self, number: int) -> None:
        self.run(self.aqueue(number))

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
