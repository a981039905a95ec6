"""Jobs as messages: JSON, so that a job that one version, host or language has queued can be read by any other.

A message is a job as it waits: whoever gets it adds what only a claim has. What is as it is for most jobs is left out.
"""

from __future__ import annotations

import json
from typing import Any

from ..messages.jobs import JobRecord, JobState

FORMAT = 1
"""Of the messages. A newer one is left in its queue, for a runtime that can read it."""

DEFAULTS: dict[str, Any] = {
    **JobRecord._field_defaults, "no": 0, "state": JobState.QUEUED.value, "priority": 0, "rev": 1,
    "told": JobState.QUEUED.value,
}  # fmt: skip
"""What a field is that a message leaves out."""

UNREAD = frozenset(("no", "boot", "incarnation", "begun", "deferred", "claimed_at", "told", "progress"))
"""What belongs to one claim, or to one runtime's bookkeeping, and never travels in a job that waits."""

REST = "lamplighter-rest-ms"
"""Header: how long is to be waited yet once the ladder has let go of a message; whole, because not every client can
send a float."""

ID_BYTES_MAX = 255
"""AMQP's short strings are no longer. An id that is goes in the body alone."""


class Unreadable(ValueError):
    """The message is none of ours, or of a newer version."""


def waiting(job: JobRecord) -> bytes:
    """The message of a job that waits."""
    return _pack(job, UNREAD)


def ended(job: JobRecord) -> bytes:
    """The message that tells how a job has ended."""
    return _pack(job, frozenset(("no", "told")))


def read(body: bytes) -> JobRecord:
    """The job of a message.

    Raises:
        Unreadable: it is none of ours, or of a newer version.
    """
    try:
        fields = json.loads(body)
        if fields.pop("format") > FORMAT:
            raise Unreadable("a newer version wrote it")
        return JobRecord(**{**DEFAULTS, **fields})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable(f"it is no message of a job: {error!r}"[:300]) from error


def message_id(job_id: str) -> str | None:
    """How a message is labelled, for people who look into a queue."""
    return job_id if len(job_id.encode()) <= ID_BYTES_MAX else None


def _pack(job: JobRecord, left_out: frozenset[str]) -> bytes:
    fields = {
        name: value
        for name, value in zip(JobRecord._fields, job, strict=True)
        if name not in left_out and (name not in DEFAULTS or value != DEFAULTS[name])
    }
    return json.dumps({"format": FORMAT, **fields}, separators=(",", ":")).encode()
