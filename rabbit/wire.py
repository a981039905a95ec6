"""Jobs as messages: JSON, so that a job that one version, host or language has queued can be read by any other.

A message is a job as it waits: whoever gets it adds what only a claim has. What is as it is for most jobs is left out.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ..messages.jobs import JobRecord, JobState

FORMAT = 1
"""Of the messages. A newer one is left in its queue, for a runtime that can read it."""

DEFAULTS: dict[str, Any] = {
    **JobRecord._field_defaults, "no": 0, "state": JobState.QUEUED.value, "priority": 0, "rev": 1,
    "told": JobState.QUEUED.value,
}  # fmt: skip
"""What a field is that a message leaves out."""

UNREAD = frozenset(("no", "boot", "incarnation", "begun", "deferred", "claimed_at", "told", "progress", "waits"))
"""What belongs to one claim, or to one runtime's bookkeeping, and never travels in a job that waits."""

REST = "lamplighter-rest-ms"
"""Header: how long is to be waited yet once the ladder has let go of a message; whole, because not every client can
send a float."""

ID_BYTES_MAX = 255
"""AMQP's short strings are no longer. An id that is goes in the body alone."""


_BLANK = [DEFAULTS.get(name) for name in JobRecord._fields]
_PLACES = {name: place for place, name in enumerate(JobRecord._fields)}
_NEEDED = frozenset(_PLACES) - frozenset(DEFAULTS)
_encoder, _decoder = msgspec.json.Encoder(), msgspec.json.Decoder()


class Unreadable(ValueError):
    """The message is none of ours, or of a newer version."""


def waiting(job: JobRecord) -> bytes:
    """The message of a job that waits."""
    return _pack(job, _OF_WAITING)


def ended(job: JobRecord) -> bytes:
    """The message that tells how a job has ended."""
    return _pack(job, _OF_ENDED)


def read(body: bytes) -> JobRecord:
    """The job of a message.

    Raises:
        Unreadable: it is none of ours, or of a newer version.
    """
    try:
        fields = _parse(body)
        if fields.pop("format") > FORMAT:
            raise Unreadable("a newer version wrote it")
        if not fields.keys() >= _NEEDED:
            raise Unreadable(f"it lacks {sorted(_NEEDED - fields.keys())}")
        values = _BLANK.copy()
        for name, value in fields.items():
            values[_PLACES[name]] = value
        return JobRecord._make(values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable(f"it is no message of a job: {error!r}"[:300]) from error


def message_id(job_id: str) -> str | None:
    """How a message is labelled, for people who look into a queue."""
    return job_id if len(job_id.encode()) <= ID_BYTES_MAX else None


def _said(*, without: frozenset[str]) -> list[tuple[int, str, Any]]:
    """The place, the name and the default of each field that a message has."""
    nothing = object()
    return [(place, name, DEFAULTS.get(name, nothing)) for name, place in _PLACES.items() if name not in without]


_OF_WAITING = _said(without=UNREAD)
_OF_ENDED = _said(without=frozenset(("no", "told")))


def _pack(job: JobRecord, said: list[tuple[int, str, Any]]) -> bytes:
    fields: dict[str, Any] = {"format": FORMAT}
    for place, name, default in said:
        value = job[place]
        if value is not default and value != default:
            fields[name] = value
    try:
        return _encoder.encode(fields)
    except UnicodeEncodeError:
        # Half a surrogate pair, in an error's text say, that only escapes can carry.
        return json.dumps(fields, separators=(",", ":")).encode()


def _parse(body: bytes) -> Any:
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError:
        return json.loads(body)
