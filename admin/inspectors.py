"""Opens an `Inspector` at an address; a file is opened read-only, whoever holds it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from ..environment.clock import SystemClock
from ..messages.jobs import Instant, Seconds
from ..rules.capabilities import not_supported
from ..stores.addresses import address_of
from ..stores.ports import SERVER_SCHEMES, Readable
from ..stores.sqlite.read_only import ReadOnlyStore
from ..stores.sqlite.shared_memory import write_lock_holder
from .control_client import ControlClient
from .inspector import Inspector
from .runtimes import Runtimes

LOOKS, LOOK_SECONDS = 5, 0.05
"""How often the write lock's holder is read, and the wait between: a turn holds the lock for milliseconds only."""


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


def inspector_of(
    store: Readable,
    room: ControlClient | None = None,
    *,
    now: Callable[[], Instant],
    shows_data: bool = False,
    close: Callable[[], None] = lambda: None,
) -> Inspector:
    """An `Inspector` of a store in a file; `room` asks the boots on it, one of its own unless given."""
    runtimes = Runtimes(store, ControlClient(store.address) if room is None else room)
    holder = partial(_lock_holder, store)
    return Inspector(store=store, runtimes=runtimes, now=now, lock_holder=holder, shows_data=shows_data, close=close)


def inspector_at(address: str, *, shows_data: bool = False, now: Callable[[], Instant] | None = None) -> Inspector:
    """An `Inspector` of a store, without a runtime.

    On RabbitMQ it sees queues, the ledger's records of runtimes, and the answers of runtimes; of jobs, only dead ones.

    Args:
        address: the path of a store's file, or a server's.
        shows_data: whether the viewer may see data, results and progress of jobs.
        now: wall time; this machine's unless given.
    """
    now = SystemClock().now if now is None else now
    if address.partition("://")[0] in SERVER_SCHEMES:
        # Imported only here: it loads the server's client.
        from ..stores.opening import server
        from .rabbit_control_client import RabbitControlClient, ServerRuntimes

        there = server(address)
        runtimes = ServerRuntimes(there, RabbitControlClient(address))
        return Inspector(store=there, runtimes=runtimes, now=now, shows_data=shows_data)
    store = readable_file(address, "list")
    return inspector_of(store, now=now, shows_data=shows_data, close=store.close)


def _lock_holder(store: Readable) -> int | None:
    return None if store.path is None else lock_kept_by(store.path, wait)


def lock_kept_by(path: str, wait: Callable[[Seconds], object]) -> int | None:
    """The process that holds the write lock of a file for the whole look, without committing."""
    holder = write_lock_holder(path)
    before = _written(path)
    for _ in range(LOOKS if holder is not None else 0):
        wait(LOOK_SECONDS)
        if write_lock_holder(path) != holder or _written(path) != before:
            return None
    return holder


def _written(path: str) -> int:
    try:
        return os.stat(f"{path}-wal").st_mtime_ns
    except OSError:
        return 0


def wait(seconds: Seconds) -> None:
    # Imported only here, where the lock is held: it loads asyncio.
    from ..environment.environment import Environment

    Environment().event().wait(seconds)
