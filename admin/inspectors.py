"""Opens a `Inspector` at an address: at a file for reading only, whoever holds it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Self

from ..environment.clock import SystemClock
from ..messages.jobs import Instant, Seconds
from ..rules.capabilities import not_supported
from ..stores.addresses import address_of
from ..stores.ports import SERVER_SCHEMES, Readable, StoreSnapshot
from ..stores.sqlite.read_only import ReadOnlyStore
from ..stores.sqlite.shared_memory import write_lock_holder
from .control_client import ControlClient
from .inspector import Inspector
from .runtimes import AskedOnce, Runtimes

LOOKS, LOOK_SECONDS = 5, 0.05
"""So often it is looked who has the write lock, and the wait between: whoever is in a turn has it for milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectorFactory:
    """Where looks at one store come from.

    Attributes:
        runtimes: who works on it.
        now: wall time.
        close: lets go of the store.
    """

    store: Readable
    runtimes: Runtimes
    now: Callable[[], Instant]
    close: Callable[[], None] = lambda: None

    def inspector(self, *, shows_data: bool) -> Inspector:
        """A look. Closing it releases the store.

        Args:
            shows_data: as `Inspector` has it.
        """
        return Inspector(
            self.store,
            self.runtimes,
            now=self.now,
            lock_holder=self._lock_holder,
            shows_data=shows_data,
            close=self.close,
        )

    def _lock_holder(self) -> int | None:
        return None if self.store.path is None else lock_kept_by(self.store.path, wait)

    @contextlib.contextmanager
    def at_one_instant(self) -> Iterator[Self]:
        """For as long as the block lasts, the store as it is now: whatever looks at it sees the same, and no boot is
        asked twice.
        """
        with self.store.snapshot() as seen:
            store = _OneInstant(self.store, seen)
            yield replace(self, store=store, runtimes=AskedOnce(self.runtimes.at(store)))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLookout(InspectorFactory):
    """The same of a file.

    Attributes:
        room: asks the boots on it.
    """

    room: ControlClient


def readable_file(address: str, wanted: str) -> ReadOnlyStore:
    """A store's file for whoever only looks, without a runtime.

    Args:
        wanted: for what, if it cannot be had from a server.

    Raises:
        NotSupported: it is on a server.
    """
    if address.partition("://")[0] in SERVER_SCHEMES:
        raise not_supported(wanted)
    # As the runtimes on it call it, however it is linked: they meet beside that.
    return ReadOnlyStore(os.path.realpath(address_of(address)))


def inspector_factory(
    store: Readable, *, now: Callable[[], Instant], close: Callable[[], None] = lambda: None
) -> FileLookout:
    """Where looks at a store's file come from."""
    room = ControlClient(store.address)
    return FileLookout(store=store, room=room, runtimes=Runtimes(store, room), now=now, close=close)


def inspector_factory_at(address: str, *, now: Callable[[], Instant] | None = None) -> InspectorFactory:
    """Where looks at a store come from, without a runtime.

    On a RabbitMQ it is what lies in queues, what runtimes have written into the ledger, and what those that answer say:
    dead jobs, and no others.

    Args:
        address: the path of a store's file, or a server's.
        now: wall time; this machine's unless given.
    """
    now = SystemClock().now if now is None else now
    if address.partition("://")[0] in SERVER_SCHEMES:
        # Imported only here: it loads what speaks to a server.
        from ..stores.opening import server
        from .rabbit_control_client import RabbitControlClient, ServerRuntimes

        there = server(address)
        return InspectorFactory(store=there, runtimes=ServerRuntimes(there, RabbitControlClient(address)), now=now)
    store = readable_file(address, "list")
    return inspector_factory(store, now=now, close=store.close)


def inspector_at(address: str, *, shows_data: bool = False, now: Callable[[], Instant] | None = None) -> Inspector:
    """A look at a store, as `inspector_factory_at` has them.

    Args:
        shows_data: whether whoever looks may see data, results and progress of jobs.
    """
    return inspector_factory_at(address, now=now).inspector(shows_data=shows_data)


def lock_kept_by(path: str, wait: Callable[[Seconds], object]) -> int | None:
    """The process that keeps the write lock of a file: all the while that somebody looks, and without committing."""
    holder = write_lock_holder(path)
    before = _written(path)
    for _ in range(LOOKS if holder is not None else 0):
        wait(LOOK_SECONDS)
        if write_lock_holder(path) != holder or _written(path) != before:
            return None
    return holder


class _OneInstant:
    """A store of which everybody sees the same snapshot."""

    def __init__(self, store: Readable, seen: StoreSnapshot) -> None:
        self.address = store.address
        self.path = store.path
        self.table = seen.table
        self._seen = seen

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[StoreSnapshot]:
        yield self._seen


def _written(path: str) -> int:
    """When something was written into the log beside a file."""
    try:
        return os.stat(f"{path}-wal").st_mtime_ns
    except OSError:
        return 0


def wait(seconds: Seconds) -> None:
    """Wait, on the thread that calls."""
    # Imported only here, where somebody has the lock: asyncio comes with it.
    from ..environment.environment import Environment

    Environment().event().wait(seconds)
