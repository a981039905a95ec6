"""Opens an `Inspector` at an address; a file is opened read-only, whoever holds it."""

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
from .runtimes import Runtimes

LOOKS, LOOK_SECONDS = 5, 0.05
"""How often the write lock's holder is read, and the wait between: a turn holds the lock for milliseconds only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectorFactory:
    """Makes inspectors of one store.

    Args:
        now: wall time.
        close: releases the store.
    """

    store: Readable
    runtimes: Runtimes
    now: Callable[[], Instant]
    close: Callable[[], None] = lambda: None

    def inspector(self, *, shows_data: bool) -> Inspector:
        """An `Inspector`. Closing it releases the store."""
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
        """Within the block, the store as it is now: all inspectors see the same, and no boot is asked twice."""
        with self.store.snapshot() as seen:
            store = _OneInstant(self.store, seen)
            yield replace(self, store=store, runtimes=self.runtimes.at(store))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLookout(InspectorFactory):
    """The same for a file; `room` asks the boots on it."""

    room: ControlClient


def readable_file(address: str, wanted: str) -> ReadOnlyStore:
    """A store's file, opened read-only, without a runtime.

    Args:
        wanted: the feature that a server lacks, for the error.

    Raises:
        NotSupported: it is on a server.
    """
    if address.partition("://")[0] in SERVER_SCHEMES:
        raise not_supported(wanted)
    # The path by which its runtimes know it, however it is linked: they meet beside that.
    return ReadOnlyStore(os.path.realpath(address_of(address)))


def inspector_factory(
    store: Readable, *, now: Callable[[], Instant], close: Callable[[], None] = lambda: None
) -> FileLookout:
    room = ControlClient(store.address)
    return FileLookout(store=store, room=room, runtimes=Runtimes(store, room), now=now, close=close)


def inspector_factory_at(address: str, *, now: Callable[[], Instant] | None = None) -> InspectorFactory:
    """Inspectors of a store, without a runtime.

    On RabbitMQ they see queues, the ledger's records of runtimes, and the answers of runtimes; of jobs, only dead ones.

    Args:
        address: the path of a store's file, or a server's.
        now: wall time; this machine's unless given.
    """
    now = SystemClock().now if now is None else now
    if address.partition("://")[0] in SERVER_SCHEMES:
        # Imported only here: it loads the server's client.
        from ..stores.opening import server
        from .rabbit_control_client import RabbitControlClient, ServerRuntimes

        there = server(address)
        return InspectorFactory(store=there, runtimes=ServerRuntimes(there, RabbitControlClient(address)), now=now)
    store = readable_file(address, "list")
    return inspector_factory(store, now=now, close=store.close)


def inspector_at(address: str, *, shows_data: bool = False, now: Callable[[], Instant] | None = None) -> Inspector:
    """An `Inspector` of a store, as `inspector_factory_at` makes them."""
    return inspector_factory_at(address, now=now).inspector(shows_data=shows_data)


def lock_kept_by(path: str, wait: Callable[[Seconds], object]) -> int | None:
    """The process that holds the write lock of a file for the whole look, without committing."""
    holder = write_lock_holder(path)
    before = _written(path)
    for _ in range(LOOKS if holder is not None else 0):
        wait(LOOK_SECONDS)
        if write_lock_holder(path) != holder or _written(path) != before:
            return None
    return holder


class _OneInstant:
    """A store with one snapshot for all readers."""

    def __init__(self, store: Readable, seen: StoreSnapshot) -> None:
        self.address = store.address
        self.path = store.path
        self.table = seen.table
        self._seen = seen

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[StoreSnapshot]:
        yield self._seen


def _written(path: str) -> int:
    try:
        return os.stat(f"{path}-wal").st_mtime_ns
    except OSError:
        return 0


def wait(seconds: Seconds) -> None:
    # Imported only here, where the lock is held: it loads asyncio.
    from ..environment.environment import Environment

    Environment().event().wait(seconds)
