"""The metrics of the store for Prometheus, for visitors who may look."""

from __future__ import annotations

from ... import __version__
from ...admin.metrics import metrics_of
from ..faces.http import Response
from .page import PageVisit


def metrics(visit: PageVisit) -> Response:
    # Imported only here: the page needs no Prometheus.
    from ...contrib.prometheus.serving import scraped

    kind, text = scraped(metrics_of(visit.place, version=__version__))
    return Response(kind=kind, body=text)
