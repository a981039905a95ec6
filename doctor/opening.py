"""Opens the evidence at an address, or of an open store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial

from ..admin.control_client import ANSWER_SECONDS, ControlClient
from ..admin.inspectors import readable_file, wait
from ..environment.clock import SystemClock
from ..errors import StoreError
from ..messages.jobs import Instant, Seconds
from ..stores.ports import SERVER_SCHEMES, Readable
from ..stores.sqlite.condition import FileCondition
from .evidence import Evidence
from .log_checks import read_logs


@contextmanager
def evidence_at(
    address: str,
    *,
    logs: Sequence[str] = (),
    is_deep: bool = False,
    timeout: Seconds = ANSWER_SECONDS,
    now: Callable[[], Instant] | None = None,
) -> Iterator[Evidence]:
    """Evidence about a store, each part read on demand.

    Args:
        address: the path of a store's file, or of a RabbitMQ.
        logs: log files of its runtimes.
        is_deep: whether the checks may take unlimited time.
        timeout: how long a runtime may take to answer.
        now: wall time; this machine's unless given.

    Raises:
        StoreError: there is no file.
    """
    clock = SystemClock()
    if address.partition("://")[0] in SERVER_SCHEMES:
        # Imported only here: it loads the server's client.
        from .rabbitmq_snapshot import RabbitmqSnapshot

        with closing(RabbitmqSnapshot(address, timeout)) as server:
            yield Evidence(server.address, now=now or clock.now, wait=wait, server=server)
        return
    store = readable_file(address, "list")
    if not os.path.isfile(store.address):
        raise StoreError(f"expected the path of a store's file, got: {store.address!r}, which is no file")
    with closing(store):
        room = ControlClient(store.address, timeout)
        yield evidence_of_file(store, room, now or clock.now, clock.monotonic, logs=logs, is_deep=is_deep)


def evidence_of_file(
    store: Readable,
    room: ControlClient,
    now: Callable[[], Instant],
    monotonic: Callable[[], Seconds],
    *,
    logs: Sequence[str] = (),
    is_deep: bool = False,
) -> Evidence:
    """Evidence about a store in a file.

    Args:
        room: asks its boots.
        now, monotonic: wall time, and monotonic time.
        logs, is_deep: as `evidence_at` has them.
    """
    return Evidence(
        store.address,
        now=now,
        wait=wait,
        store=store,
        room=room,
        file=FileCondition(store.address, monotonic),
        read_logs=partial(read_logs, logs, store.address) if logs else None,
        is_deep=is_deep,
    )
