"""Opens a `Look` at an address: at a file for reading only, whoever holds it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from ..environment.clock import SystemClock
from ..messages.jobs import Instant, Seconds
from ..rules.capabilities import not_supported
from ..stores.ports import SERVER_SCHEMES
from ..stores.sqlite.lock_holder import write_lock_holder
from ..stores.sqlite.read_only import ReadOnlyStore
from .controls import ControlRoom
from .look import Look
from .runtimes import Runtimes

LOOKS, LOOK_SECONDS = 5, 0.05
"""So often it is looked who has the write lock, and the wait between: whoever is in a turn has it for milliseconds."""


def look_at(address: str, *, shows_data: bool = False, now: Callable[[], Instant] | None = None) -> Look:
    """A look at a store, without a runtime.

    Args:
        address: the path of a store's file.
        shows_data: whether whoever looks may see data, results and progress of jobs.
        now: wall time; this machine's unless given.

    Raises:
        NotSupported: it is on a server.
    """
    if address.partition("://")[0] in SERVER_SCHEMES:
        raise not_supported("list")
    # As the runtimes on it call it, however it is linked: they meet beside that.
    store = ReadOnlyStore(os.path.realpath(address.removeprefix("sqlite:///")))
    return Look(
        store,
        Runtimes(store, ControlRoom(store.address)),
        now=SystemClock().now if now is None else now,
        lock_holder=partial(lock_kept_by, store.address, _wait),
        shows_data=shows_data,
        close=store.close,
    )


def lock_kept_by(path: str, wait: Callable[[Seconds], object]) -> int | None:
    """The process that keeps the write lock of a file: all the while that somebody looks, and without committing."""
    holder = write_lock_holder(path)
    before = _written(path)
    for _ in range(LOOKS if holder is not None else 0):
        wait(LOOK_SECONDS)
        if write_lock_holder(path) != holder or _written(path) != before:
            return None
    return holder


def _written(path: str) -> int:
    """When something was written into the log beside a file."""
    try:
        return os.stat(f"{path}-wal").st_mtime_ns
    except OSError:
        return 0


def _wait(seconds: Seconds) -> None:
    # Imported only here, where somebody has the lock: asyncio comes with it.
    from ..environment.environment import Environment

    Environment().event().wait(seconds)
