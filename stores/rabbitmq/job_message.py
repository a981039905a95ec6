"""Jobs as messages: JSON, so that every version, host and language can read them.

A message is a waiting job, without the fields of a claim and without default values. Versions N and N+1 run side by
side: unknown fields are skipped, and kept when the job waits again; missing ones have defaults. A change that would
mislead old readers gets a new `FORMAT`, and they give such messages back.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from ...messages.jobs import ENDED, SECONDS_MAX, JobRecord, JobState, stored_name
from ...rules.codec import json_kinds, json_of

FORMAT = 1

INSTANT_MAX = 253_402_300_799.0
"""The end of the year 9999, Python's last."""

WHOLE_MAX = 1 << 62

WAITING = frozenset((JobState.QUEUED.value,))

DEFAULTS: dict[str, Any] = {
    **{stored_name(field): default for field, default in JobRecord._field_defaults.items()},
    "no": 0,
    "state": JobState.QUEUED.value,
    "priority": 0,
}

WAITS = ("waits", "due_in", "expires_in")
"""Only the server measures waits, so these fields do not travel."""

UNREAD = frozenset(("no", "boot", "incarnation", "counts_attempt", "deferred", "claimed_at", "progress", *WAITS))
"""Fields of one claim or one runtime, which do not travel either."""

REST = "lamplighter-rest-ms"
"""Header: milliseconds still to wait after the ladder; whole, because not every client can send a float."""

EXPIRES = "lamplighter-expires-ms"
"""Header: the expiry of a job that was given seconds for it, in milliseconds of the `SharedTime`."""

ID_BYTES_MAX = 255
"""The limit of AMQP's short strings. A longer id stands in the body alone."""


_PLACES = {stored_name(field): place for place, field in enumerate(JobRecord._fields)}
_BLANK = [DEFAULTS.get(name) for name in _PLACES]
_USUAL = frozenset(_PLACES) - frozenset(DEFAULTS)
_TYPES = {stored_name(field): kinds for field, kinds in json_kinds(JobRecord).items()}

_MOST: dict[str, float] = {
    name: SECONDS_MAX if name == "timeout" else INSTANT_MAX if float in kinds else WHOLE_MAX
    for name, kinds in _TYPES.items()
    if int in kinds
}
_decoder = msgspec.json.Decoder()


class UnreadableJob(ValueError):
    """The message cannot be read. The error does not quote the message's content."""


class FutureFormat(UnreadableJob):
    """A newer version wrote the message."""


def waiting(job: JobRecord, beside: Mapping[str, Any] | None = None) -> bytes:
    return _pack(job, _OF_WAITING, beside)


def ended(job: JobRecord, beside: Mapping[str, Any] | None = None) -> bytes:
    return _pack(job, _OF_ENDED, beside)


def read(body: bytes, states: Collection[str] = WAITING) -> JobRecord:
    """The job of a message.

    Args:
        states: allowed states.

    Raises:
        FutureFormat: a newer version wrote the message.
        UnreadableJob: it is not the message of a job.
    """
    fields = _fields(body)
    if not fields.keys() >= _USUAL:
        fields = _completed(fields)
    values: list[Any] = _BLANK.copy()
    for name, value in fields.items():
        place = _PLACES.get(name)
        if place is not None:
            kind = type(value)
            if kind not in _TYPES[name]:
                raise UnreadableJob(f"its {name} is of the wrong type, {kind.__name__}")
            if kind is not str and value is not None and not -_MOST[name] <= value <= _MOST[name]:
                raise UnreadableJob(f"its {name} is out of range")
            values[place] = value
    job = JobRecord._make(values)
    if job.state not in states:
        raise UnreadableJob(f"its state is none of {', '.join(sorted(states))}")
    _check_texts(job)
    return job


def read_ended(body: bytes) -> JobRecord:
    """The job of a message about its end. Raises as `read`."""
    return read(body, ENDED)


def unknown(body: bytes) -> dict[str, Any]:
    """The fields of a message that this version does not know: they stay with the job."""
    return {name: value for name, value in _fields(body).items() if name not in _PLACES}


def id_of(body: bytes) -> str | None:
    try:
        found = _parse(body)["id"]
    except Exception:
        return None
    return found if isinstance(found, str) and len(found) <= ID_BYTES_MAX else None


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = _parse(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableJob("it is no JSON") from error
    if type(fields) is not dict or type(fields.get("format")) is not int:
        raise UnreadableJob("it is no message of a job")
    if fields.pop("format") > FORMAT:
        raise FutureFormat("a newer version wrote it")
    return fields


def _completed(fields: dict[str, Any]) -> dict[str, Any]:
    if not fields.keys() >= {"id", "name"}:
        raise UnreadableJob("it lacks an id or a name")
    at = fields.get("queued_at", fields.get("run_at", 0.0))
    return {"data": "null", "corr": fields["id"], "queued_at": at, "run_at": at, **fields}


def _check_texts(job: JobRecord) -> None:
    """Refuse values of the right type that no turn can work with."""
    try:
        (job.id + job.name).encode()
    except UnicodeEncodeError:
        raise UnreadableJob("its id or its name is no valid Unicode") from None
    if not job.id or not job.name:
        raise UnreadableJob("its id or its name is empty")


def rest_of(headers: Mapping[str, Any] | None) -> float:
    """Seconds still to wait.

    Raises:
        UnreadableJob: the header makes no sense.
    """
    rest = (headers or {}).get(REST, 0)
    if type(rest) is not int or not 0 <= rest <= SECONDS_MAX * 1000:
        raise UnreadableJob(f"its header {REST} makes no sense")
    return rest / 1000


def deadline_of(headers: Mapping[str, Any] | None) -> int | None:
    """The expiry of a job that was given seconds for it, in milliseconds of the `SharedTime`.

    Raises:
        UnreadableJob: the header makes no sense.
    """
    deadline = (headers or {}).get(EXPIRES)
    # pika reads large whole numbers as a subclass of int.
    if deadline is not None and not isinstance(deadline, int):
        raise UnreadableJob(f"its header {EXPIRES} makes no sense")
    return deadline


def message_id(job_id: str) -> str | None:
    """The message's label, for people who look into a queue."""
    return job_id if len(job_id.encode()) <= ID_BYTES_MAX else None


def _said(*, without: frozenset[str]) -> list[tuple[int, str, Any]]:
    """Index, name and default of each field of a message."""
    nothing = object()
    return [(place, name, DEFAULTS.get(name, nothing)) for name, place in _PLACES.items() if name not in without]


_OF_WAITING = _said(without=UNREAD)
_OF_ENDED = _said(without=frozenset(("no", *WAITS)))


def _pack(job: JobRecord, said: list[tuple[int, str, Any]], beside: Mapping[str, Any] | None) -> bytes:
    fields: dict[str, Any] = {**(beside or {}), "format": FORMAT}
    for place, name, default in said:
        value = job[place]
        if value is not default and value != default:
            fields[name] = value
    try:
        return bytes(json_of(fields))
    except UnicodeEncodeError:
        # ASCII escapes can carry half a surrogate pair, from an error's text, say.
        return json.dumps(fields, separators=(",", ":")).encode()


def _parse(body: bytes) -> Any:
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError:
        return json.loads(body)
