"""Lamplighter in Prometheus: `REGISTRY.register(LamplighterCollector("app.db"))` tells of a store with each scrape."""

from __future__ import annotations

from ...errors import missing_extra

try:
    import prometheus_client.core  # noqa: F401 (whether it is there)
except ImportError as error:
    raise missing_extra("prometheus-client", "metrics", "prometheus") from error

from .collector import LamplighterCollector

__all__ = ["LamplighterCollector"]
