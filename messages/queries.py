"""Queries for jobs, and the results of a search."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from .jobs import WAITS_FOR_JOBS, Instant, JobRecord, JobState

LOOKED_MAX = 100_000
"""The most jobs that one search examines, whatever it finds."""

GRAPH_JOBS_MAX = 100_000
"""The most jobs of one graph that are read."""

QUALIFIERS = (
    "name",
    "state",
    "id",
    "error",
    "schedule",
    "slot",
    "boot",
    "corr",
    "graph",
    "unique",
    "group",
    "debounce",
    "fate",
    "attempt",
    "queued",
    "ended",
    "due",
)
"""The words before the colon of a term of a query. Beside them there is `data.a.b=1`."""

_PLAIN_KEY = re.compile(r"[^\s.\[\]=\":]+")
_PLAIN_VALUE = re.compile(r"[^\s\"]\S*")
_PLAIN_WORD = re.compile(r"[^\s\":]+")


class DataTerm(NamedTuple):
    """A condition on a place in a job's data.

    Attributes:
        path: keys of objects and indexes of arrays, from the outside in.
        value: a str, a number, a bool or None, of exactly that type: `1` is no `"1"`, and no `true`.
    """

    path: tuple[str | int, ...]
    value: str | int | float | bool | None

    def __str__(self) -> str:
        path = "".join(f"[{key}]" if isinstance(key, int) else f".{_key(key)}" for key in self.path)
        return f"data{path}={_scalar(self.value)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """A query for jobs: all its conditions must hold. `admin.query` parses its `str`.

    Contained texts ignore the case of ASCII letters. The beginning of a span of time belongs to it, and its end does
    not.

    Attributes:
        names, states: the job has one of these.
        error: contained in its last error; without one, in the reason of its state.
        schedule: the id of the schedule whose slot queued it.
        boot: the boot that runs it, or ran it last before it ended.
        root_id: its root, or itself.
        graph: the id of a job of the same graph: see `JobTable.graph`. A job cannot leave its graph.
        debounce: the key of its debounced calls, whether or not it still holds it.
        fate: "yes" if it has ended only because it shares the fate of a parent, else "no".
        attempt_min, attempt_max: of the counted attempts, both included.
        due_since, due_until: of `run_at`, which every job has.
        data: conditions on its data.
        words: each contained in its id, its name, or the text that `error` searches.
    """

    names: tuple[str, ...] = ()
    states: tuple[JobState, ...] = ()
    id_prefix: str | None = None
    error: str | None = None
    schedule: str | None = None
    slot: Instant | None = None
    boot: str | None = None
    root_id: str | None = None
    graph: str | None = None
    unique: str | None = None
    group: str | None = None
    debounce: str | None = None
    fate: Literal["yes", "no"] | None = None
    attempt_min: int | None = None
    attempt_max: int | None = None
    queued_since: Instant | None = None
    queued_until: Instant | None = None
    ended_since: Instant | None = None
    ended_until: Instant | None = None
    due_since: Instant | None = None
    due_until: Instant | None = None
    data: tuple[DataTerm, ...] = ()
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join(self._terms())

    def _terms(self) -> Iterator[str]:
        yield from (f"name:{_value(name)}" for name in self.names)
        yield from (f"state:{state.value}" for state in self.states)
        said = (
            ("id", self.id_prefix),
            ("error", self.error),
            ("schedule", self.schedule),
            ("boot", self.boot),
            ("corr", self.root_id),
            ("graph", self.graph),
            ("unique", self.unique),
            ("group", self.group),
            ("debounce", self.debounce),
            ("fate", self.fate),
        )
        yield from (f"{qualifier}:{_value(text)}" for qualifier, text in said if text is not None)
        if self.slot is not None:
            yield f"slot:{instant_text(self.slot)}"
        if self.attempt_min is not None:
            yield f"attempt:>={self.attempt_min}"
        if self.attempt_max is not None:
            yield f"attempt:<={self.attempt_max}"
        spans = (
            ("queued", self.queued_since, self.queued_until),
            ("ended", self.ended_since, self.ended_until),
            ("due", self.due_since, self.due_until),
        )
        for qualifier, since, until in spans:
            if since is not None:
                yield f"{qualifier}:>{instant_text(since)}"
            if until is not None:
                yield f"{qualifier}:<{instant_text(until)}"
        yield from map(str, self.data)
        yield from (word if _is_plain_word(word) else _quoted(word) for word in self.words)


class Place(NamedTuple):
    """A job's place in the order of a search; the next page begins behind it."""

    ended_at: Instant | None
    row_id: int
    id: str

    @property
    def cursor(self) -> str:
        """The place as text for transport."""
        return json.dumps(self, separators=(",", ":"))


class Found(NamedTuple):
    """The result of a search.

    Attributes:
        next: the cursor of the next page; None when there is none.
        looked_at: how many jobs were examined.
        complete: whether the page is full, or the last. Otherwise the search has reached its limit of examined jobs,
            and `next` goes on from there.
    """

    jobs: Sequence[JobRecord]
    next: str | None
    looked_at: int
    complete: bool


class Census(NamedTuple):
    """How many unfinished jobs of a name there are.

    Attributes:
        ready: queued, and due.
        scheduled: queued, and not due yet: delayed, or waiting for other jobs.
        capped: whether there may be more than were counted.
        oldest_ready: since when the longest due job has been due; None if there is none.
    """

    ready: int
    scheduled: int
    running: int
    capped: bool
    oldest_ready: Instant | None


class CappedCounts(NamedTuple):
    """How many jobs are in each state, all states included; `capped` are those with possibly more than were counted."""

    of: Mapping[str, int]
    capped: frozenset[str]


class GraphJob(NamedTuple):
    """A job of a graph."""

    row_id: int
    id: str
    name: str
    state: str
    root_id: str
    waits: int

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for other jobs."""
        return self.state == JobState.QUEUED and self.waits == WAITS_FOR_JOBS


class GraphRows(NamedTuple):
    """The jobs of a graph in the order of their births; `links` are tuples (child, parent, any_end) with `row_id`s,
    where the parent may have been removed by retention. `is_capped` if there are more jobs.
    """

    jobs: Sequence[GraphJob]
    links: Sequence[tuple[int, int, int]]
    is_capped: bool


def place_of(job: JobRecord) -> Place:
    return Place(job.ended_at, job.row_id, job.id)


def instant_text(instant: Instant) -> str:
    """An instant in a query: in UTC, or where that is not exact, in seconds since the Unix epoch."""
    try:
        time = datetime.fromtimestamp(instant, UTC)
    except (OverflowError, ValueError, OSError):
        return f"@{instant!r}"
    if time.timestamp() != instant:
        return f"@{instant!r}"
    return time.isoformat().removesuffix("+00:00") + "Z"


def _value(text: str) -> str:
    return text if _PLAIN_VALUE.fullmatch(text) else _quoted(text)


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else _quoted(key)


def _is_plain_word(word: str) -> bool:
    return _PLAIN_WORD.fullmatch(word) is not None and not word.startswith(("data.", "data[", "data="))


def _scalar(value: str | int | float | bool | None) -> str:
    if isinstance(value, str):
        return value if _PLAIN_VALUE.fullmatch(value) and not is_json_scalar(value) else _quoted(value)
    return json.dumps(value)


def is_json_scalar(text: str) -> bool:
    """Whether an unquoted text is a number, `true`, `false` or `null`."""
    return text in ("true", "false", "null") or _NUMBER.fullmatch(text) is not None


_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
