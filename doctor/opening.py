"""Opens the evidence at an address, or of a store that somebody looks at anyway."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from ..environment.clock import SystemClock
from ..errors import StoreError
from ..messages.jobs import Instant, Seconds
from ..operating.controls import ANSWER_SECONDS, ControlRoom
from ..operating.looking import readable_file, wait
from ..stores.ports import Readable
from ..stores.sqlite.condition import FileCondition
from .evidence import Evidence
from .logs import read_logs


@contextmanager
def evidence_at(
    address: str,
    *,
    logs: Sequence[str] = (),
    is_deep: bool = False,
    timeout: Seconds = ANSWER_SECONDS,
    now: Callable[[], Instant] | None = None,
) -> Iterator[Evidence]:
    """All that can be seen of a store, read when it is asked for.

    Args:
        address: the path of a store's file.
        logs: log files of its runtimes.
        is_deep: whether the checks may take as long as they want to.
        timeout: how long a runtime may take to answer.
        now: wall time; this machine's unless given.

    Raises:
        StoreError: there is no file.
        NotSupported: it is on a server.
    """
    store, clock = readable_file(address, "list"), SystemClock()
    if not os.path.isfile(store.address):
        raise StoreError(f"expected the path of a store's file, got: {store.address!r}, which is no file")
    try:
        room = ControlRoom(store.address, timeout)
        yield evidence_of_file(store, room, now or clock.now, clock.monotonic, logs=logs, is_deep=is_deep)
    finally:
        store.close()


def evidence_of_file(
    store: Readable,
    room: ControlRoom,
    now: Callable[[], Instant],
    monotonic: Callable[[], Seconds],
    *,
    logs: Sequence[str] = (),
    is_deep: bool = False,
) -> Evidence:
    """All that can be seen of a store in a file.

    Args:
        room: asks who works on it.
        now, monotonic: wall time, and the time that only passes.
        logs, is_deep: as `evidence_at` has them.
    """
    return Evidence(
        store,
        room,
        file=FileCondition(store.address, monotonic),
        now=now,
        wait=wait,
        read_logs=partial(read_logs, logs, store.address) if logs else None,
        is_deep=is_deep,
    )
