"""Whether a job matches a query. A store with a table has the same in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UsageError, shown
from ..messages.jobs import ENDED, Instant, JobRecord
from ..messages.queries import DataTerm, JobQuery, Place
from .codec import decode

WHOLE_MAX = 2**63
"""A larger integer is compared as a float: SQLite has no such integers."""

_UPPER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}

_NOTHING = object()


def folded(text: str) -> str:
    """A text without the case of ASCII letters."""
    return text.translate(_UPPER)


def error_text(job: JobRecord) -> str:
    return job.error if job.error is not None else job.reason or ""


def matches(query: JobQuery, job: JobRecord) -> bool:
    said = (
        (query.schedule, job.schedule),
        (query.slot, job.slot),
        (query.boot, job.boot),
        (query.root_id, job.root_id),
        (query.unique, job.unique_key),
        (query.group, job.group_key),
        (query.debounce, job.debounce_key),
    )
    return (
        (not query.names or job.name in query.names)
        and (not query.states or job.state in query.states)
        and all(wanted in (None, has) for wanted, has in said)
        and (query.fate is None or (query.fate == "yes") == (job.is_linked and job.state in ENDED))
        and job.id.startswith(query.id_prefix or "")
        and _at_least(query.attempt_min, job.attempt)
        and (query.attempt_max is None or job.attempt <= query.attempt_max)
        and _within(query.queued_since, query.queued_until, job.queued_at)
        and _within(query.ended_since, query.ended_until, job.ended_at)
        and _within(query.due_since, query.due_until, job.run_at)
        and (query.error is None or folded(query.error) in folded(error_text(job)))
        and _has_words(query.words, job)
        and _has_data(query.data, job)
    )


def place_at(cursor: str | None) -> Place | None:
    """The place of a cursor; None without one.

    Raises:
        UsageError: it is no cursor.
    """
    if cursor is None:
        return None
    try:
        match decode(cursor):
            case [float() | None as ended_at, int(row_id), str(job_id)]:
                return Place(ended_at, row_id, job_id)
    except (TypeError, ValueError):
        pass
    raise UsageError(f"expected the cursor of a page, as the page before gave it in `next`, got: {shown(cursor)}")


def _at_least(least: float | None, value: float | None) -> bool:
    return least is None or (value is not None and value >= least)


def _within(since: Instant | None, until: Instant | None, instant: Instant | None) -> bool:
    return _at_least(since, instant) and (until is None or (instant is not None and instant < until))


def _has_words(words: Sequence[str], job: JobRecord) -> bool:
    texts = [folded(text) for text in (job.id, job.name, error_text(job))] if words else []
    return all(any(folded(word) in text for text in texts) for word in words)


def _has_data(terms: Sequence[DataTerm], job: JobRecord) -> bool:
    data = decode(job.data) if terms else None
    return all(_equals(_at(data, term.path), term.value) for term in terms)


def _at(data: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        match data, key:
            case Mapping(), str() if key in data:
                data = data[key]
            case list(), int() if key < len(data):
                data = data[key]
            case _:
                return _NOTHING
    return data


def _equals(value: Any, wanted: str | int | float | bool | None) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, int) and not -WHOLE_MAX <= value < WHOLE_MAX:
        try:
            value = float(value)
        except OverflowError:
            return False
    return bool(value == wanted) and isinstance(value, str) == isinstance(wanted, str)
