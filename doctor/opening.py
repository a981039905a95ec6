"""Opens the evidence at an address, or of an open store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial

from ..admin.inspectors import wait
from ..environment.clock import SystemClock
from ..messages.controls import ANSWER_SECONDS
from ..messages.jobs import Instant, Seconds
from ..stores.control_client import ControlClient
from ..stores.opening import place_of
from ..stores.places import StorePlace
from ..stores.ports import Readable
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
        address: as `Runtime` takes it.
        logs: log files of its runtimes.
        is_deep: whether the checks may take unlimited time.
        timeout: how long a runtime may take to answer.
        now: wall time; this machine's unless given.

    Raises:
        StoreError: there is no file.
    """
    place = place_of(address)
    with ExitStack() as opened:
        store = None if place.tables is None else opened.enter_context(closing(place.tables()))
        client = place.client(timeout)
        seen = evidence_of(place, store, client, now or SystemClock().now, logs=logs, is_deep=is_deep)
        seen.condition.check_there()
        opened.callback(seen.condition.close)
        yield seen


def evidence_of(
    place: StorePlace,
    store: Readable | None,
    client: ControlClient,
    now: Callable[[], Instant],
    *,
    logs: Sequence[str] = (),
    is_deep: bool = False,
) -> Evidence:
    """Evidence about a store.

    Args:
        store: reads its rows, where it has any.
        client: asks its boots.
        now: wall time.
        logs, is_deep: as `evidence_at` has them.
    """
    return Evidence(
        place.shown,
        now=now,
        wait=wait,
        condition=place.condition(),
        client=client,
        store=store,
        read_logs=partial(read_logs, logs, place) if logs else None,
        is_deep=is_deep,
    )
