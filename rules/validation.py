"""Checks the arguments of calls before anything is stored, with errors that say what was expected."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from ..cron.interval import INSTANT_MAX, INSTANT_MIN
from ..errors import UnknownJob, UsageError, check_seconds, shown
from ..messages.jobs import UNATTRIBUTED, Attribution, Instant, Seconds
from ..messages.outcomes import Backoff
from .limits import NAME_CHARACTERS_MAX, WHOLE_MAX


def unknown_options(unknown: Iterable[str], known: Iterable[str], what: str) -> UsageError:
    # Imported where it is needed: few calls have an unknown option.
    from .elsewhere import unknown_options

    return unknown_options(unknown, known, what)


def unknown_job(job_id: str, where: str = "") -> UnknownJob:
    """The error for an unknown job id; `where` names the store or runtime that does not know it."""
    return UnknownJob(f"no job {shown(job_id)}: unknown{where}, or removed by retention")


def unknown_parent(job_id: str) -> UnknownJob:
    return UnknownJob(
        f"expected jobs of the store in after, after_ended and after_failed, got: {shown(job_id)}; "
        "it never was, or retention removed it"
    )


def options_of(call: Callable[..., Any]) -> list[str]:
    """The keyword-only parameters of a function."""
    return [name for name, one in inspect.signature(call).parameters.items() if one.kind is one.KEYWORD_ONLY]


def check_name(value: Any, what: str = "name") -> str:
    """A job name, id, key: a str of 1 to 200 characters."""
    if not isinstance(value, str) or not 1 <= len(value) <= NAME_CHARACTERS_MAX:
        got = f"{len(value)} characters" if isinstance(value, str) else shown(value)
        if callable(value):
            name, function = getattr(value, "name", None), getattr(value, "__name__", "its")
            is_handler = isinstance(name, str)
            got += f"; write {name!r}, or {function}.name" if is_handler else "; write the name of its handler"
        raise UsageError(f"expected {what} to be a str of 1 to {NAME_CHARACTERS_MAX} characters, got: {got}")
    try:
        if not value.isascii():
            value.encode()
    except UnicodeEncodeError:
        raise UsageError(f"expected {what} to be valid Unicode, got: {shown(value)}") from None
    # The value of an enum's member: an instance of a subclass is not stored, or stored differently.
    return value if type(value) is str else str.__str__(value)


def check_who(by: Any, reason: Any, via: Any = None) -> Attribution:
    """The attribution of a call, as far as it has one."""
    if by is reason is via is None:
        return UNATTRIBUTED
    return Attribution(
        by=None if by is None else check_name(by, "by"),
        via=None if via is None else check_name(via, "via"),
        reason=None if reason is None else check_name(reason, "reason"),
    )


def check_delay(delay: Any) -> Seconds:
    """A delay in seconds; none is 0."""
    return 0.0 if delay is None else check_seconds(delay, "delay")


def check_instant(value: Any, what: str) -> Instant:
    if not isinstance(value, datetime) or value.tzinfo is None or value.utcoffset() is None:
        raise UsageError(f"expected {what} to be a datetime with a time zone, got: {shown(value)}; add tzinfo=...")
    return value.timestamp()


def check_moment(value: Any, what: str) -> Instant:
    """An aware datetime as the instant of a job, within the calendar of every zone."""
    instant = check_instant(value, what)
    if not INSTANT_MIN <= instant <= INSTANT_MAX:
        raise UsageError(f"expected {what} to be a datetime between the years 2 and 9998, got: {shown(value)}")
    return instant


def check_whole(value: Any, what: str, *, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UsageError(f"expected {what} to be a whole number from {least} to {most}, got: {shown(value)}")
    return int(value)


def check_limit(value: Any) -> int | None:
    return None if value is None else check_whole(value, "most", least=1, most=WHOLE_MAX)


def check_bool(value: Any, what: str) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"expected {what} to be True or False, got: {shown(value)}")
    return value


def check_one_of(value: Any, what: str, allowed: Sequence[str]) -> Any:
    if not isinstance(value, str) or value not in allowed:
        words = ", ".join(repr(word) for word in allowed)
        raise UsageError(f"expected {what} to be one of {words}, got: {shown(value)}")
    return str.__str__(value)


def check_iterable(value: Any, what: str, of: str) -> Iterable[Any]:
    """An iterator over something iterable. Errors during the iteration are not caught."""
    try:
        # A text would be taken for its characters.
        items: Iterable[Any] = iter(cast(Any, None) if isinstance(value, str) else value)
    except TypeError:
        raise UsageError(f"expected {what} to be {of}, got: {shown(value)}") from None
    return items


def check_backoff(value: Any) -> Backoff | tuple[Seconds, ...]:
    if isinstance(value, Backoff):
        return Backoff(
            first=check_seconds(value.first, "backoff.first"),
            factor=_check_number(value.factor, "backoff.factor", least=1.0, most=1000.0),
            max=check_seconds(value.max, "backoff.max"),
            jitter=_check_number(value.jitter, "backoff.jitter", least=0.0, most=1.0),
        )
    if isinstance(value, (int, float, timedelta)):
        value = (value,)
    if isinstance(value, (str, bytes, bytearray)) or not isinstance(value, Sequence) or not value:
        raise UsageError(f"expected backoff to be a Backoff, seconds or a sequence of seconds, got: {shown(value)}")
    return tuple(check_seconds(wait, "each wait of backoff") for wait in value)


def _check_number(value: Any, what: str, *, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise UsageError(f"expected {what} to be a number from {least:g} to {most:g}, got: {shown(value)}")
    return float(value)
