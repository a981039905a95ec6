"""Failed jobs of a store, and their groups by error and its place in the application's code."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..messages.jobs import Instant, JobRecord, JobState
from ..messages.queries import LOOKED_MAX, JobQuery
from ..stores.ports import StoreSnapshot
from .finding import find

FAILED_MAX = 5_000
"""The most dead jobs, and the most retried ones, that are grouped: the newest."""

FAILED_ON_SERVER_MAX = 2_000
"""The most jobs on a RabbitMQ, those that died last, whose failures are grouped."""

READ_AT_ONCE = 500
"""How many of them are in memory at a time."""


class Failures:
    """The jobs that died last, and the failed ones that were queued last, up to the maximum of each.

    Attributes:
        is_capped: whether there are more; known after all of these have been read.
    """

    def __init__(self, seen: StoreSnapshot, name: str | None) -> None:
        self._seen = seen
        self._names = () if name is None else (name,)
        self.is_capped = False

    def __iter__(self) -> Iterator[JobRecord]:
        dead = JobQuery(names=self._names, states=(JobState.DEAD,), fate="no")
        if self._seen.table is None:
            # A server reads all of its dead jobs for each page, so the page is one.
            died = find(self._seen, dead, limit=FAILED_ON_SERVER_MAX + 1).jobs
            yield from self._up_to(FAILED_ON_SERVER_MAX, died)
        else:
            yield from self._up_to(FAILED_MAX, in_pages(self._seen, dead))
            failing = JobQuery(names=self._names, states=(JobState.QUEUED, JobState.RUNNING), attempt_min=1)
            tried = self._up_to(FAILED_MAX, in_pages(self._seen, failing))
            yield from (job for job in tried if job.error is not None)

    def _up_to(self, most: int, jobs: Iterable[JobRecord]) -> Iterator[JobRecord]:
        for count, job in enumerate(jobs):
            if count == most:
                self.is_capped = True
                return
            yield job


def in_pages(seen: StoreSnapshot, query: JobQuery) -> Iterator[JobRecord]:
    """The jobs of one query, page by page: each may have a megabyte."""
    looked, after = 0, None
    while looked < LOOKED_MAX:
        found = find(seen, query, limit=READ_AT_ONCE, after=after, looked_max=LOOKED_MAX - looked)
        yield from found.jobs
        looked, after = looked + found.looked_at, found.next
        if after is None:
            return


MESSAGE_CHARACTERS_MAX = 200
"""The length of a message that distinguishes groups."""

DIGEST_BYTES = 5

_EXCEPTION = re.compile(r"([A-Za-z_][\w.]*)(?::\s+(.*)|:?\s*)", re.DOTALL)
_TELLING = (
    # Parts that differ from one job to the next, in an order in which none hides another.
    (re.compile(r"""(?<!\w)(["'`])(?:(?!\1).)*\1(?!\w)"""), "'…'"),
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "…"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b"), "…"),
    (re.compile(r"\b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{7,}\b"), "…"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "#"),
)
_FRAME = re.compile(r'^  File "(.+?)", line (\d+), in (.+)$', re.MULTILINE)
_BEGINS = "Traceback (most recent call last):"
_FOREIGN = re.compile(r"/(?:site|dist)-packages/|/lib(?:64)?/python\d|^<frozen |^<string>$")
"""Paths of libraries and of Python itself, which are not the application's code."""


class GroupKey(NamedTuple):
    """The facts that the failures of a group have in common.

    Attributes:
        exception: its class; empty where the error names none.
        message: without digits, ids and quoted text.
        where: the last frame of the application's code, as `file:function`; empty where there is no traceback.
    """

    name: str
    exception: str
    message: str
    where: str

    @property
    def id(self) -> str:
        """An id that depends on the failure alone."""
        return hashlib.blake2b("\x1f".join(self).encode(errors="replace"), digest_size=DIGEST_BYTES).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """Jobs that failed in the same way.

    Attributes:
        dead: how many of them are dead; `failing` have failed and are tried again.
        first_seen, last_seen: the first and the last end of an attempt of these jobs.
        sample: the id of the job that failed last, with its `error` and `line` (`file:number`).
    """

    id: str
    name: str
    exception: str
    message: str
    where: str
    dead: int
    failing: int
    first_seen: Instant
    last_seen: Instant
    sample: str
    error: str
    line: str

    @property
    def count(self) -> int:
        return self.dead + self.failing


def key_of(job: JobRecord) -> GroupKey:
    exception, message = _parts(job.error or job.reason or "")
    where, _ = _place(job.traceback)
    return GroupKey(job.name, exception, message, where)


def grouped(jobs: Iterable[JobRecord]) -> Sequence[ErrorGroup]:
    """Failed jobs in groups, the largest first."""
    groups: dict[GroupKey, _Counted] = {}
    for job in jobs:
        key = key_of(job)
        group = groups.get(key)
        if group is None:
            group = groups[key] = _Counted(job)
        group.add(job)
    made = (group.made(key) for key, group in groups.items())
    return sorted(made, key=lambda group: (-group.count, -group.last_seen, group.id))


def failed_at(job: JobRecord) -> Instant:
    """The end of a job's last attempt, as far as its record has it."""
    if job.ended_at is not None:
        return job.ended_at
    # A retry waits from the end of the attempt on.
    return job.run_at - (job.due_in or 0.0)


class _Counted:
    """A mutable group while thousands of jobs are counted."""

    __slots__ = ("_dead", "_failing", "_first_seen", "_last", "_last_seen")

    def __init__(self, first: JobRecord) -> None:
        self._dead = self._failing = 0
        self._first_seen = self._last_seen = failed_at(first)
        self._last = first

    def add(self, job: JobRecord) -> None:
        at = failed_at(job)
        if job.state == JobState.DEAD:
            self._dead += 1
        else:
            self._failing += 1
        self._first_seen = min(self._first_seen, at)
        if at > self._last_seen:
            self._last_seen, self._last = at, job

    def made(self, key: GroupKey) -> ErrorGroup:
        return ErrorGroup(
            id=key.id,
            **key._asdict(),
            dead=self._dead,
            failing=self._failing,
            first_seen=self._first_seen,
            last_seen=self._last_seen,
            sample=self._last.id,
            error=self._last.error or self._last.reason or "",
            line=_place(self._last.traceback)[1],
        )


def _parts(error: str) -> tuple[str, str]:
    """The class of an exception and its message, without the parts that differ between jobs."""
    first = (error.strip().splitlines() or [""])[0]
    found = _EXCEPTION.fullmatch(first)
    exception, message = (found[1], found[2] or "") if found is not None else ("", first)
    for pattern, stands_for in _TELLING:
        message = pattern.sub(stands_for, message)
    return exception, message[:MESSAGE_CHARACTERS_MAX].strip()


def _place(traceback: str | None) -> tuple[str, str]:
    """The last frame of the application's code, as `file:function` and as `file:number`.

    The line number is for people. It moves with every deployment, so it distinguishes no groups.
    """
    if not traceback:
        return "", ""
    # In a chain of errors, the last is the one that came out.
    frames = _FRAME.findall(traceback.rpartition(_BEGINS)[2])
    if not frames:
        return "", ""
    own = [frame for frame in frames if not _FOREIGN.search(frame[0])]
    path, number, function = (own or frames)[-1]
    file = "/".join(path.replace("\\", "/").split("/")[-2:])
    return f"{file}:{function}", f"{file}:{number}"
