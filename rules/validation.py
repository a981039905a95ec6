"""What a host may say, checked at the edge: before anything is stored, with an error that says what was expected."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from ..cron.interval import INSTANT_MAX, INSTANT_MIN
from ..errors import NotSupported, UsageError, shown
from ..messages.jobs import SECONDS_MAX, Instant, JobSpec, NewJob, Seconds
from ..messages.outcomes import Backoff
from .codec import encode
from .limits import NAME_CHARACTERS_MAX, Limits

PRIORITY_MAX = 1_000_000
"""Priorities lie between minus and plus this."""

SPEC_OPTIONS = tuple(field.name for field in fields(JobSpec) if field.name not in ("name", "data"))
"""What a job may be queued with besides, by keyword."""

INSTEAD = {
    "connection": "a job cannot join the host's own transaction: queue it after the commit, with an id of its own, or "
    "keep an outbox table that a job on SQLite empties",
    "get": "a job cannot be looked at by its id: join it in the runtime that queued it, or read the log (lamplighter "
    "trace)",
    "history": "attempts that failed are not kept: read the log (lamplighter trace)",
    "limit": "concurrency_total cannot be kept over several hosts: give the name's handler to one host with "
    "concurrency, or let handlers take a lock of their own",
    "list": 'only dead jobs can be listed (state="dead"): for the others look at counts, or read the log',
    "overlap": 'overlap must be "allow": have the handler end at once when its predecessor still runs',
    "remove": "only a job that runs in this very runtime, or a dead one, can be found by its id: give the job "
    "expires=, or have its handler look whether it is still wanted",
    "requeue": "this attempt has lost its connection, so the job may be elsewhere already: let it end",
    "unique": "there are no unique keys: give the job an id that says what it is, and have its handler look whether "
    "that is done",
}
"""What a store that lacks a capability says to do instead."""


def not_supported(capability: str) -> NotSupported:
    """The error for what a store of messages cannot do."""
    return NotSupported(f"RabbitMQ keeps queues, no table of jobs: {INSTEAD[capability]}")


def unknown_options(unknown: Iterable[str], known: Iterable[str], what: str) -> UsageError:
    """The error for options that a call does not have."""
    got, there = ", ".join(sorted(unknown)), ", ".join(known)
    return UsageError(f"expected the options of {what} ({there}), got: {got}")


def options_of(call: Callable[..., Any]) -> list[str]:
    """The names of what a function takes by keyword alone."""
    return [name for name, one in inspect.signature(call).parameters.items() if one.kind is one.KEYWORD_ONLY]


def spec_of(what: str, name: Any, data: Any, options: Mapping[str, Any]) -> JobSpec:
    """A job with options that came by keyword.

    Raises:
        UsageError: there is no such option.
    """
    unknown = options.keys() - set(SPEC_OPTIONS)
    if unknown:
        raise unknown_options(unknown, SPEC_OPTIONS, what)
    return JobSpec(name=name, data=data, **options)


def check_name(value: Any, what: str = "name") -> str:
    """A job name, id, key: a str of 1 to 200 characters."""
    if not isinstance(value, str) or not 1 <= len(value) <= NAME_CHARACTERS_MAX:
        got = f"{len(value)} characters" if isinstance(value, str) else shown(value)
        raise UsageError(f"expected {what} to be a str of 1 to {NAME_CHARACTERS_MAX} characters, got: {got}")
    try:
        if not value.isascii():
            value.encode()
    except UnicodeEncodeError:
        raise UsageError(f"expected {what} to be valid Unicode, got: {shown(value)}") from None
    # Of an enum's member the text: what is only like a str is not stored, or not as what it says.
    return value if type(value) is str else str.__str__(value)


def check_seconds(value: Any, what: str, *, least: float = 0.0) -> Seconds:
    """A duration as seconds: a finite number or a timedelta."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not number or not least <= seconds <= SECONDS_MAX:
        raise UsageError(
            f"expected {what} to be a number of seconds or a timedelta, {least:g} or more and at most a century, "
            f"got: {shown(value)}"
        )
    return float(seconds)


def check_instant(value: Any, what: str) -> Instant:
    """An aware date-time as an instant."""
    if not isinstance(value, datetime) or value.tzinfo is None or value.utcoffset() is None:
        raise UsageError(f"expected {what} to be a date-time with a time zone, got: {shown(value)}; add tzinfo=...")
    return value.timestamp()


def check_moment(value: Any, what: str) -> Instant:
    """An aware date-time that a job can have as an instant: the calendar has it in every zone."""
    instant = check_instant(value, what)
    if not INSTANT_MIN <= instant <= INSTANT_MAX:
        raise UsageError(f"expected {what} to be a date-time between the years 2 and 9998, got: {shown(value)}")
    return instant


def check_whole(value: Any, what: str, *, least: int, most: int) -> int:
    """A whole number within limits."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UsageError(f"expected {what} to be a whole number from {least} to {most}, got: {shown(value)}")
    return int(value)


def check_bool(value: Any, what: str) -> bool:
    """True or False, and nothing that is only like it."""
    if not isinstance(value, bool):
        raise UsageError(f"expected {what} to be True or False, got: {shown(value)}")
    return value


def check_one_of(value: Any, what: str, allowed: Sequence[str]) -> Any:
    """One of a few words."""
    if not isinstance(value, str) or value not in allowed:
        words = ", ".join(repr(word) for word in allowed)
        raise UsageError(f"expected {what} to be one of {words}, got: {shown(value)}")
    return str.__str__(value)


def check_iterable(value: Any, what: str, of: str) -> Iterable[Any]:
    """Something that can be gone through. What it raises on the way is its own."""
    try:
        items: Iterable[Any] = iter(value)
    except TypeError:
        raise UsageError(f"expected {what} to be {of}, got: {shown(value)}") from None
    return items


def check_backoff(value: Any) -> Backoff | tuple[Seconds, ...]:
    """A `Backoff`, or the waits themselves; the last one repeats."""
    if isinstance(value, Backoff):
        return Backoff(
            first=check_seconds(value.first, "backoff.first"),
            factor=_check_number(value.factor, "backoff.factor", least=1.0, most=1000.0),
            max=check_seconds(value.max, "backoff.max"),
            jitter=_check_number(value.jitter, "backoff.jitter", least=0.0, most=1.0),
        )
    if isinstance(value, (str, bytes, bytearray)) or not isinstance(value, Sequence) or not value:
        raise UsageError(f"expected backoff to be a Backoff or a sequence of seconds, got: {shown(value)}")
    return tuple(check_seconds(wait, "each wait of backoff") for wait in value)


def _check_number(value: Any, what: str, *, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise UsageError(f"expected {what} to be a number from {least:g} to {most:g}, got: {shown(value)}")
    return float(value)


class JobChecks:
    """Makes of what a host says jobs as the store will keep them, all of them queued at one moment.

    Args:
        now: that moment.
        new_id: makes the id of a job that is given none.
        corr: the root they descend from; each is its own if there is none.
        cannot: what the store cannot do.
    """

    def __init__(
        self, *, now: Instant, new_id: Callable[[], str], corr: str | None, limits: Limits, cannot: Collection[str]
    ) -> None:
        self._now = now
        self._new_id = new_id
        self._corr = corr
        self._bytes_max = limits.data_bytes_max
        self._cannot = cannot

    def one(self, job: Any) -> NewJob:
        """A job as `queue_many` takes it.

        Raises:
            UsageError: it is neither a JobSpec nor a pair, or something in it cannot be.
            NotSupported: it is one of the things that the store cannot do.
        """
        if isinstance(job, JobSpec):
            return self.spec(job)
        if isinstance(job, tuple) and len(job) == 2:
            return self.pair(*job)
        raise UsageError(f"expected a JobSpec or a (name, data) pair, got: {shown(job)}")

    def pair(self, name: Any, data: Any) -> NewJob:
        """A job without options.

        Raises:
            UsageError: something in it cannot be.
        """
        name = check_name(name)
        text, job_id, now = encode(data, what="data", bytes_max=self._bytes_max), self._new_id(), self._now
        return NewJob(job_id, name, text, 0, now, now, self._corr or job_id)

    def spec(self, spec: JobSpec) -> NewJob:
        """A job with options.

        Raises:
            UsageError: something in it cannot be.
            NotSupported: it is one of the things that the store cannot do.
        """
        if spec.delay is not None and spec.at is not None:
            raise UsageError("expected delay or at, got both")
        now = self._now
        run_at, due_in = _until(now, spec.delay, "delay") if spec.at is None else (check_moment(spec.at, "at"), None)
        expires_at: Instant | None
        expires_at, expires_in = None, None
        if isinstance(spec.expires, datetime):
            expires_at = check_moment(spec.expires, "expires")
        elif spec.expires is not None:
            expires_at, expires_in = _until(now, spec.expires, "expires")
        if spec.unique is not None and "unique" in self._cannot:
            raise not_supported("unique")
        name = check_name(spec.name)
        job_id = self._new_id() if spec.id is None else check_name(spec.id, "id")
        return NewJob(
            job_id,
            name,
            encode(spec.data, what="data", bytes_max=self._bytes_max),
            check_whole(spec.priority, "priority", least=-PRIORITY_MAX, most=PRIORITY_MAX),
            run_at,
            now,
            self._corr or job_id,
            max_attempts=None
            if spec.max_attempts is None
            else check_whole(spec.max_attempts, "max_attempts", least=1, most=10**9),
            timeout=None if spec.timeout is None else check_seconds(spec.timeout, "timeout", least=0.001),
            expires_at=expires_at,
            unique_key=None if spec.unique is None else check_name(spec.unique, "unique"),
            due_in=due_in,
            expires_in=expires_in,
        )


def _until(now: Instant, seconds: Any, what: str) -> tuple[Instant, Seconds]:
    """When so many seconds will have passed, and how many they are."""
    wait = 0.0 if seconds is None else check_seconds(seconds, what)
    return now + wait, wait
