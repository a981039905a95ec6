"""Names from OpenTelemetry's conventions for messaging."""

from __future__ import annotations

SCHEMA_URL = "https://opentelemetry.io/schemas/1.43.0"
"""The version of the conventions that the attributes follow. Those for messaging are still in development."""

SYSTEM = "lamplighter"

DESTINATION = "messaging.destination.name"
"""The name of a job."""

ERROR = "error.type"
"""The error: the class of an exception, or the outcome of an attempt that was told to end."""


def operation(name: str, kind: str) -> dict[str, str]:
    """The attributes of something that is done with jobs."""
    return {"messaging.system": SYSTEM, "messaging.operation.name": name, "messaging.operation.type": kind}
