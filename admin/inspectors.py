"""Opens an `Inspector` at an address; a file is opened read-only, whoever holds it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from ..environment.clock import SystemClock
from ..messages.jobs import Instant, Seconds
from ..rules.capabilities import needed
from ..stores.control_client import ControlClient
from ..stores.opening import place_of
from ..stores.ports import Readable
from ..stores.stored_lives import WatchedReadable
from .inspector import Inspector
from .runtimes import Runtimes


def readable_table(address: str, wanted: str) -> WatchedReadable:
    """A store in which every job can be found, without a runtime.

    Args:
        wanted: the feature that other stores lack, for the error.

    Raises:
        NotSupported: it has no table of all jobs.
    """
    return needed(place_of(address).tables, wanted)()


def inspector_of(
    store: Readable,
    client: ControlClient | None = None,
    *,
    now: Callable[[], Instant],
    shows_data: bool = False,
    close: Callable[[], None] = lambda: None,
) -> Inspector:
    """An `Inspector` of a store; `client` asks the boots on it, one of its own unless given."""
    place = store.place
    runtimes = Runtimes(store, place.client() if client is None else client)
    condition = place.condition()
    return Inspector(
        store=store,
        runtimes=runtimes,
        now=now,
        lock_holder=partial(condition.lock_holder, wait),
        moved_to=condition.moved_to,
        shows_data=shows_data,
        close=close,
    )


def inspector_at(
    address: str | os.PathLike[str], *, shows_data: bool = False, now: Callable[[], Instant] | None = None
) -> Inspector:
    """An `Inspector` of a store, without a runtime.

    On RabbitMQ it sees queues, the ledger's records of runtimes, and the answers of runtimes; of jobs, only dead ones.

    Args:
        address: as `Runtime` takes it.
        shows_data: whether the viewer may see data, results and progress of jobs.
        now: wall time; this machine's unless given.
    """
    store = place_of(address).readable()
    now = SystemClock().now if now is None else now
    return inspector_of(store, now=now, shows_data=shows_data, close=store.close)


def wait(seconds: Seconds) -> None:
    # Imported only here, where the lock is held: it loads asyncio.
    from ..environment.environment import Environment

    Environment().event().wait(seconds)
