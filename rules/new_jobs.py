"""New jobs: the checked arguments of a call, as the store will keep them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import partial
from itertools import count
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, Self, TypeVar

from ..errors import LamplighterError, UsageError, check_seconds, shown
from ..messages.jobs import Debounce, Instant, JobKeywords, JobParent, JobRecord, JobSpec, NewJob, Seconds
from .capabilities import not_supported
from .codec import Encoded, digest, encode
from .limits import Limits
from .links import NONE_EARLIER, ParentRefs, check_links, names_parents, shifted
from .validation import check_moment, check_name, check_whole, unknown_options

P = ParamSpec("P")
R = TypeVar("R")

PRIORITY_MAX = 1_000_000

NAMED_JOBS_MAX = 100
"""The most jobs in the note of an error."""

OWN_ID_CHARACTERS_MAX = 160
"""The longest id that the ids of follow-ups begin with; a longer one is cut, and a hash is appended."""

NOT_DEBOUNCED = {
    "id": "a known id drops what a call says; leave it out, also where a call is said again",
    "delay": "quiet is its delay",
    "at": "it is due by the last call, quiet and at_most",
    "unique": "that keeps the data of the first call, and this those of the last",
}
"""The options that have no meaning beside `debounce`, and why."""

SPEC_OPTIONS = {field.name: field.default for field in fields(JobSpec) if field.name not in ("name", "data", "types")}


def shows_options(call: Callable[P, R]) -> Callable[P, R]:
    """Have `help` and the reference show each option that a call takes as one of `JobKeywords`, with its default."""
    known = inspect.signature(call)
    *first, connection, _ = known.parameters.values()
    options = [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
        for field in fields(JobSpec)
        if field.name in SPEC_OPTIONS
    ]
    call.__signature__ = known.replace(parameters=[*first, *options, connection])  # type: ignore[attr-defined]
    return call


class JobOption(NamedTuple):
    """An option of a job that its store keeps unchanged.

    Attributes:
        column: its field of a `NewJob` and a `JobRecord`.
        check: converts a value that is not the default.
        needs: the feature of the store that it needs, if any.
    """

    column: str
    check: Callable[[Any], Any]
    needs: str | None = None


class Storing(tuple[NewJob, ...]):
    """Jobs that surround the call that stores them. A foreign error, as a Ctrl-C or `MemoryError`, may come when they
    are stored already: it gets a note with their ids, with which to queue them again.
    """

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, LamplighterError):
            # Memory may be short, and a class may forbid notes.
            with suppress(Exception):
                error.add_note(_may_be_stored(self))


def _may_be_stored(jobs: Sequence[NewJob]) -> str:
    if len(jobs) == 1:
        return f"the job may be stored all the same: queue it again with id={jobs[0].id!r}, which stores it once"
    more = f" and {len(jobs) - NAMED_JOBS_MAX} more" if len(jobs) > NAMED_JOBS_MAX else ""
    ids = ", ".join(repr(job.id) for job in jobs[:NAMED_JOBS_MAX])
    return f"the jobs may be stored all the same: queue them again with these ids, which stores each once: {ids}{more}"


def spec_of(what: str, name: Any, data: Any, options: JobKeywords, *others: str) -> JobSpec:
    """A job with options that came by keyword. `others` are the call's further options, for the error.

    Raises:
        UsageError: there is no such option.
    """
    unknown = options.keys() - SPEC_OPTIONS.keys()
    if unknown:
        raise unknown_options(unknown, (*SPEC_OPTIONS, *others), what)
    return JobSpec(name=name, data=data, **options)


def as_spec(job: Any) -> JobSpec:
    """A job as `queue_many` takes it.

    Raises:
        UsageError: it is neither a JobSpec nor a pair.
    """
    if isinstance(job, JobSpec):
        return job
    if isinstance(job, tuple) and len(job) == 2:
        return JobSpec(name=job[0], data=job[1])
    raise UsageError(f"expected a JobSpec or a (name, data) pair, got: {shown(job)}")


def check_priority(value: Any) -> int:
    return check_whole(value, "priority", least=-PRIORITY_MAX, most=PRIORITY_MAX)


def check_max_attempts(value: Any) -> int | None:
    return None if value is None else check_whole(value, "max_attempts", least=1, most=10**9)


def check_timeout(value: Any) -> Seconds | None:
    return None if value is None else check_seconds(value, "timeout", least=0.001)


KEPT_OPTIONS = {
    "priority": JobOption("priority", check_priority),
    "max_attempts": JobOption("max_attempts", check_max_attempts),
    "timeout": JobOption("timeout", check_timeout),
    "unique": JobOption("unique_key", partial(check_name, what="unique"), "unique"),
    "group": JobOption("group_key", partial(check_name, what="group"), "groups"),
}
"""These options are checked, stored, copied, shown and replaced by a debounced call without code of their own. The
others say when a job is due or what it waits for, and `JobChecks.spec` has a part for each.
"""


DRAWN = 32
"""How many times 96 random bits are drawn at once."""


class JobIds:
    """Unique, unguessable ids of one boot's jobs, each higher than the one before.

    They rise so that new ones are adjacent in the store's index of ids. Among a hundred thousand jobs, fully random ids
    would make each insert write a page of its own. `new_id`: 96 random bits in hex, anew for each id.
    """

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._begin = new_id()[:12]
        self._numbers = count()
        self._spare: list[str] = []
        """Unused random bits, drawn for many ids at once: each system call lets another thread take the interpreter,
        which delays a caller that queues jobs one after the other.
        """

    def __call__(self) -> str:
        """48 bits of this boot, 32 that count, 32 random ones."""
        try:
            random = self._spare.pop()
        except IndexError:
            bits = "".join(self._new_id() for _ in range(DRAWN))
            random, *more = (bits[place : place + 8] for place in range(0, len(bits), 8))
            self._spare += more
        return f"{self._begin}{next(self._numbers):08x}{random}"


def plain_job(
    name: Any, data: Any, now: Instant, new_id: Callable[[], str], root_id: str | None, bytes_max: int
) -> NewJob:
    """A job without options. The arguments and errors are those of `JobChecks.pair`."""
    name, text = check_name(name), encode(data, what="data", bytes_max=bytes_max)
    job_id = new_id()
    return NewJob(job_id, name, text, 0, now, now, root_id or job_id)


@dataclass(eq=False, kw_only=True)
class JobChecks:
    """Makes storable jobs from the arguments of a call, all of them queued at one moment.

    Args:
        now: that moment.
        new_id: makes the id of a job without one.
        root_id: their root; each is its own if there is none.
        has_table: whether the store keeps every job in a table.
        said: the jobs of earlier calls that are stored together with these, if any; `first` is their number.

    Attributes:
        unchecked: the jobs so far whose data was not checked against their handlers.
        types: by the id of a job whose handler object has made its JobSpec, the types of that.
    """

    now: Instant
    new_id: Callable[[], str]
    root_id: str | None
    limits: Limits
    has_table: bool
    said: FollowUps | None = None
    first: int = 0
    unchecked: list[NewJob] = field(default_factory=list, init=False)
    types: dict[str, Any] = field(default_factory=dict, init=False)
    _refs: ParentRefs | None = field(default=None, init=False)

    def one(self, job: Any) -> NewJob:
        """A job as `queue_many` takes it.

        Raises:
            UsageError: it is neither a JobSpec nor a pair, or has an impossible option.
            NotSupported: the store lacks a feature for it.
        """
        return self.pair(*job) if type(job) is tuple and len(job) == 2 else self.spec(as_spec(job))

    def all(self, jobs: Iterable[Any]) -> Iterator[NewJob]:
        """The jobs of a call, in order. A JobSpec may wait for those that stand before it.

        Raises:
            UsageError, NotSupported: as `one`.
        """
        rest = iter(jobs)
        for place, job in enumerate(rest, start=self.first):
            if not isinstance(job, JobSpec):
                yield self.one(job)
                continue
            yield self.spec(job, rest)
            self._refs = self._refs or self._parent_refs()
            self._refs.stands(job, place)

    def pair(self, name: Any, data: Any) -> NewJob:
        """A job without options.

        Raises:
            UsageError: its name or data is impossible.
        """
        return self._made(data, plain_job(name, data, self.now, self.new_id, self.root_id, self.limits.data_bytes_max))

    def spec(self, spec: JobSpec, rest: Iterable[Any] = ()) -> NewJob:
        """A job with options.

        Args:
            rest: the rest of the call after it, for an error.

        Raises:
            UsageError, NotSupported: as `one`.
        """
        if spec.delay is not None and spec.at is not None:
            raise UsageError("expected delay or at, got both")
        now = self.now
        run_at, due_in = _until(now, spec.delay, "delay") if spec.at is None else (check_moment(spec.at, "at"), None)
        expires_at: Instant | None
        expires_at, expires_in = None, None
        if isinstance(spec.expires, datetime):
            expires_at = check_moment(spec.expires, "expires")
        elif spec.expires is not None:
            expires_at, expires_in = _until(now, spec.expires, "expires")
        kept: dict[str, Any] = {"priority": 0}
        for option, (column, check, needs) in KEPT_OPTIONS.items():
            value = getattr(spec, option)
            if value is not SPEC_OPTIONS[option]:
                if needs is not None and not self.has_table:
                    raise not_supported(needs)
                kept[column] = check(value)
        parents: tuple[JobParent, ...] = ()
        if names_parents(spec):
            self._refs = self._refs or self._parent_refs()
            parents = self._refs.of(spec, rest)
            if parents and not self.has_table:
                raise not_supported("after")
        debounce_key, debounce_until = None, None
        if spec.debounce is not None:
            debounce_key, due_in, at_most = _debounced(spec, waits=bool(parents))
            run_at, debounce_until = now + due_in, now + at_most
            if not self.has_table:
                raise not_supported("debounce")
        if due_in and expires_in is not None and expires_in <= due_in:
            waits = "delay" if spec.debounce is None else "debounce.quiet"
            raise UsageError(
                f"expected expires to be more than {waits}, got: {expires_in:g} s, and {waits} is {due_in:g} s: "
                "the job would be cancelled before it is due"
            )
        name = check_name(spec.name)
        job_id = self.new_id() if spec.id is None else check_name(spec.id, "id")
        made = NewJob(
            id=job_id,
            name=name,
            data=encode(spec.data, what="data", bytes_max=self.limits.data_bytes_max),
            run_at=run_at,
            queued_at=now,
            root_id=self.root_id or job_id,
            expires_at=expires_at,
            due_in=due_in,
            expires_in=expires_in,
            debounce_key=debounce_key,
            debounce_until=debounce_until,
            parents=parents,
            **kept,
        )
        if spec.types is None:
            return self._made(spec.data, made)
        self.types[job_id] = spec.types
        return made

    def _parent_refs(self) -> ParentRefs:
        return ParentRefs(self.limits, NONE_EARLIER if self.said is None else self.said.places)

    def _made(self, data: Any, job: NewJob) -> NewJob:
        # A handler object has checked it already.
        if type(data) is not Encoded:
            self.unchecked.append(job)
        return job


def _until(now: Instant, seconds: Any, what: str) -> tuple[Instant, Seconds]:
    """The instant after so many seconds, and the seconds."""
    wait = 0.0 if seconds is None else check_seconds(seconds, what)
    return now + wait, wait


def _debounced(spec: JobSpec, *, waits: bool) -> tuple[str, Seconds, Seconds]:
    """The key of a debounced job, its quiet seconds, and its longest delay.

    Args:
        waits: whether it is to wait for other jobs.

    Raises:
        UsageError: something in it is impossible, or has no meaning beside it.
    """
    debounce = spec.debounce
    if not isinstance(debounce, Debounce):
        example = "debounce=Debounce('doc-7', quiet=5, at_most=60)"
        raise UsageError(f"expected debounce to be a Debounce, got: {shown(debounce)}; write {example}")
    if waits:
        raise UsageError("expected after or debounce, got both: what waits for other jobs is not due by its calls")
    for name, why in NOT_DEBOUNCED.items():
        if getattr(spec, name) is not None:
            raise UsageError(f"expected {name} or debounce, got both: {why}")
    key = check_name(debounce.key, "debounce.key")
    quiet = check_seconds(debounce.quiet, "debounce.quiet", least=0.001)
    at_most = check_seconds(debounce.at_most, "debounce.at_most")
    if at_most < quiet:
        raise UsageError(f"expected debounce.at_most to be quiet or more, got: {at_most:g} s, and quiet is {quiet:g} s")
    return key, quiet, at_most


def queued_now(job: NewJob, now: Instant) -> NewJob:
    """A job as one that is queued at this instant: its delays count from now."""
    run_at = job.run_at if job.due_in is None else now + job.due_in
    expires_at = job.expires_at if job.expires_in is None else now + job.expires_in
    until = None if job.debounce_until is None else now + (job.debounce_until - job.queued_at)
    return job._replace(queued_at=now, run_at=run_at, expires_at=expires_at, debounce_until=until)


def check_then_count(jobs: int, limits: Limits) -> None:
    """Refuse more follow-ups of one job than a turn may store."""
    if jobs > limits.then_jobs_max:
        raise UsageError(
            f"expected at most {limits.then_jobs_max:,} jobs in then, got {jobs:,}: queue them in parts, from a job of "
            "their own"
        )


@dataclass(slots=True, eq=False)
class FollowUps:
    """Jobs that are to follow one when it is done."""

    limits: Limits
    jobs: list[NewJob] = field(default_factory=list)
    specs: list[JobSpec] = field(default_factory=list)
    places: dict[int, tuple[JobSpec, int]] = field(default_factory=dict)
    _bytes: int = 0
    _links: int = 0

    def add(self, jobs: Sequence[NewJob], specs: Sequence[JobSpec] = (), first: int = 0) -> None:
        """Add some, all or none. Later calls may name their `specs`. They were checked when there were `first` others.

        Raises:
            UsageError: they are more, or larger, than one turn may store.
        """
        check_then_count(len(self.jobs) + len(jobs), self.limits)
        size, most = self._bytes + sum(len(job.data) for job in jobs), self.limits.then_bytes_max
        if size > most:
            raise UsageError(
                f"expected data of at most {most:,} bytes as JSON in then, got {size:,}: pass references, or queue the "
                "jobs in parts, from a job of their own"
            )
        links = self._links + sum(len(job.parents) for job in jobs)
        check_links(links, self.limits.links_max)
        self.places.update((id(spec), (spec, place)) for place, spec in enumerate(specs, start=len(self.jobs)))
        self.specs += specs
        self.jobs += [shifted(job, len(self.jobs) - first, first) for job in jobs]
        self._bytes, self._links = size, links


def follow_ups(ended: JobRecord, then: Sequence[NewJob], now: Instant) -> list[NewJob]:
    """The jobs that follow a done one, as they are queued now. The same end gives them the same ids again.

    Args:
        ended: the job as it was before its end.
    """
    return [
        queued_now(job, now)._replace(id=job.id or follow_up_id(ended, number), root_id=ended.root_id)
        for number, job in enumerate(then, start=1)
    ]


def follow_up_id(ended: JobRecord, number: int) -> str:
    """The id of the follow-up with this number.

    It contains how many moves the ended job has made besides claims, so that each requeue gives other ids. It does not
    contain the claim number: a server that redelivers the message after the death of a process starts another claim,
    which must get the same follow-ups.
    """
    begin = ended.id
    if len(begin) > OWN_ID_CHARACTERS_MAX:
        begin = f"{begin[: OWN_ID_CHARACTERS_MAX - 40]}~{digest(begin, 16)}"
    return f"{begin}.{ended.move_no - ended.claim_no}.{number}"
