"""The metrics of one store alone: as text, or over HTTP, for whoever has no application that is scraped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest, start_http_server

from ...admin.metrics import Metric
from ...errors import UsageError
from .collector import LamplighterCollector, families


def text_of(collector: LamplighterCollector) -> str:
    """The answer to a scrape."""
    text: str = generate_latest(_registry(collector)).decode()
    return text


def scraped(found: Sequence[Metric]) -> tuple[str, bytes]:
    """Metrics that were looked up already, as a scrape gets them: of which kind the answer is, and the answer."""
    return CONTENT_TYPE_LATEST, generate_latest(_registry(_Found(found)))


@contextlib.contextmanager
def served(collector: LamplighterCollector, host: str, port: int) -> Iterator[tuple[int, Callable[[], None]]]:
    """For as long as the block lasts, whoever scrapes is answered; at which port, and what waits until that ends.

    `port` is 0 for any that is free.
    """
    try:
        server, thread = start_http_server(port, addr=host, registry=_registry(collector))
    except OSError as error:
        raise UsageError(f"expected an address that is free to listen at, got: {host}:{port} ({error})") from None
    try:
        yield server.server_port, thread.join
    finally:
        server.shutdown()
        server.server_close()


class _Found:
    """Tells a registry what was found."""

    def __init__(self, found: Sequence[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterator[Any]:
        yield from families(self._found)


def _registry(collector: LamplighterCollector | _Found) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry
