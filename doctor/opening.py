"""Opens the evidence at an address."""

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
    path = store.address
    if not os.path.isfile(path):
        raise StoreError(f"expected the path of a store's file, got: {store.address!r}, which is no file")
    try:
        yield Evidence(
            store,
            ControlRoom(path, timeout),
            file=FileCondition(path, clock.monotonic),
            now=clock.now if now is None else now,
            wait=wait,
            read_logs=partial(read_logs, logs, path) if logs else None,
            is_deep=is_deep,
        )
    finally:
        store.close()
