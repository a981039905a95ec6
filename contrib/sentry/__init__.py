"""Lamplighter in Sentry: `Runtime(carriers=[SentryCarrier()])` gives each attempt a scope and a transaction of its own,
and reports what a job has died of.
"""

from __future__ import annotations

from ...errors import missing_extra

try:
    import sentry_sdk  # noqa: F401 (whether it is there)
except ImportError as error:
    raise missing_extra("sentry-sdk", "reports to Sentry", "sentry") from error

from .carrier import SentryCarrier

__all__ = ["SentryCarrier"]
