"""Jobs as people see them, and the application's data: its shape, and its value only for a viewer who may see it."""

from __future__ import annotations

from typing import Any

from ..messages.jobs import ENDED, JobRecord, JobState
from ..rules.codec import decode, valid
from ..rules.lifecycle import awaited_signal
from ..rules.new_jobs import KEPT_OPTIONS
from .views import JobView, Payload, like
from .why import Why

KEYS_SHOWN_MAX = 12
KEY_CHARACTERS_MAX = 40


def job_view(job: JobRecord, why: Why | None, *, shows_data: bool) -> JobView:
    """A job as people see it.

    Args:
        why: what keeps it from running, or how it is held.
        shows_data: whether its data, its result and its progress may be seen.
    """
    return like(
        JobView,
        job,
        attempt=job.attempt + (job.state == JobState.RUNNING),
        corr=job.root_id,
        debounce=job.debounce_key,
        **{option: getattr(job, kept.column) for option, kept in KEPT_OPTIONS.items()},
        data=payload(job.data, is_shown=shows_data),
        result=None if job.result is None else payload(job.result, is_shown=shows_data),
        progress=None if job.progress is None else payload(job.progress, is_shown=shows_data),
        awaits=awaited_signal(job),
        why=None if job.state in ENDED else why,
    )


def payload(text: str, *, is_shown: bool) -> Payload:
    try:
        value = decode(text)
    except ValueError:
        # Invalid JSON comes from no version of Lamplighter.
        return Payload(is_shown=False, value=None, shape="unreadable", bytes=len(text))
    if "\\ud" in text:
        # There may be half of a surrogate pair, which another program has queued.
        value = valid(value)
    return Payload(is_shown=is_shown, value=value if is_shown else None, shape=shape_of(value), bytes=len(text))


def shape_of(value: Any) -> str:
    """The shape of a value without its content: the keys of an object, which are the application's own words, one level
    deep.
    """
    if not isinstance(value, dict) or not value:
        return _kind(value)
    items = list(value.items())
    told = [f"{_cut(key)} ({_kind(item)})" for key, item in items[:KEYS_SHOWN_MAX]]
    more = [f"{len(items) - KEYS_SHOWN_MAX} more"] if len(items) > KEYS_SHOWN_MAX else []
    return f"object of {len(items)}: {', '.join([*told, *more])}"


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return f"list of {len(value)}"
    return f"object of {len(value)}"


def _cut(key: str) -> str:
    return key if len(key) <= KEY_CHARACTERS_MAX else f"{key[: KEY_CHARACTERS_MAX - 1]}…"
