"""Lamplighter in OpenTelemetry: `Runtime(carriers=[OTelCarrier()])` gives each call that queues, and each attempt, a
span, and measures both; `observe_store` tells what a store comes to.
"""

from __future__ import annotations

from ...errors import missing_extra

try:
    import opentelemetry.trace  # noqa: F401 (whether it is there)
except ImportError as error:
    raise missing_extra("opentelemetry-api", "traces and metrics", "otel") from error

from .carrier import OTelCarrier, observe_store

__all__ = ["OTelCarrier", "observe_store"]
