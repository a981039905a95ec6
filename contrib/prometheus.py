"""Lamplighter in Prometheus: `REGISTRY.register(LamplighterCollector("app.db"))` tells of a store with each scrape.
Other functions give the metrics of one store as text, or over HTTP.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

from ..errors import missing_extra

try:
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest, start_http_server
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
except ImportError as error:
    raise missing_extra("prometheus-client", "metrics", "prometheus") from error

from .. import __version__
from ..admin import metrics
from ..admin.inspector import inspector_at
from ..admin.metrics import NAMES_MAX, Distribution, MetricKind, metrics_of
from ..errors import StoreError, StoreUnavailable, UsageError
from ..messages.tallies import BOUNDS
from ..rules.validation import check_whole

FAMILIES: dict[str, Any] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


class LamplighterCollector:
    """Tells of a store and of all runtimes on it, whenever it is scraped, in whichever process it is.

    It only reads, in bounded steps, and nothing is done between scrapes. Register it in one process: every other would
    tell the same.

    Args:
        store: as `Runtime` takes it. A RabbitMQ keeps no sums: of it there is what is so when it is scraped.
        names_max: how many names of jobs are labels of their own. All others are `other` together.

    Raises:
        UsageError: something in the call cannot be.
        MissingExtra: the store is on a RabbitMQ, and pika is not installed.
    """

    def __init__(self, store: str | os.PathLike[str], *, names_max: int = NAMES_MAX) -> None:
        self._names_max = check_whole(names_max, "names_max", least=1, most=10_000)
        self._inspector = inspector_at(store)

    def collect(self) -> Iterator[Metric]:
        """Called by the registry.

        Raises:
            StoreUnavailable, StoreError: the store cannot be read.
        """
        yield from families(metrics_of(self._inspector, version=__version__, names_max=self._names_max))

    def describe(self) -> Iterator[Metric]:
        """Called by the registry: what there is, without looking at the store."""
        yield from map(_family, metrics.KINDS)

    def close(self) -> None:
        """Let go of the store."""
        self._inspector.close()


def families(found: Iterable[metrics.Metric]) -> Iterator[Metric]:
    """Metrics as `prometheus_client` has them."""
    for metric in found:
        family = _family(metric.of)
        for labels, value in metric.values.items():
            if isinstance(value, Distribution):
                counts = accumulate(value.buckets)
                bounds = (*(f"{bound:g}" for bound in BOUNDS), "+Inf")
                family.add_metric(labels, [*zip(bounds, counts, strict=True)], value.seconds)
            else:
                family.add_metric(labels, value)
        yield family


def _family(of: MetricKind) -> Any:
    return FAMILIES[of.kind](of.name, of.says, labels=of.labels)


def text_of(collector: LamplighterCollector) -> str:
    """The answer to a scrape."""
    text: str = generate_latest(_registry(collector)).decode()
    return text


def scraped(found: Sequence[metrics.Metric]) -> tuple[str, bytes]:
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
    server.set_app(partial(_answered, server.get_app()))
    try:
        yield server.server_port, thread.join
    finally:
        server.shutdown()
        server.server_close()


def _answered(app: Any, environ: Any, start_response: Any) -> Iterable[bytes]:
    """The answer to a scrape; of a store that cannot be read, the reason in the place of a fault of the server."""
    try:
        answer: Iterable[bytes] = app(environ, start_response)
        return answer
    except (StoreError, StoreUnavailable) as error:
        start_response("503 Service Unavailable", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{error}\n".encode(errors="backslashreplace")]


class _Found:
    """Tells a registry what was found."""

    def __init__(self, found: Sequence[metrics.Metric]) -> None:
        self._found = found

    def collect(self) -> Iterator[Any]:
        yield from families(self._found)


def _registry(collector: LamplighterCollector | _Found) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry
