"""Jobs that wait for others: the checked options of a call, and their form in the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import UsageError, shown
from ..messages.jobs import JobParent, JobRecord, JobSpec, JobState, NewJob
from .limits import Limits
from .validation import check_name

NAMED_PARENTS_MAX = 100

KINDS = ("after", "after_ended", "after_failed")
"""The options by which a job waits for others: each at the place that is the `any_end` of its parents."""

ALL_KINDS = "after, after_ended and after_failed"

NONE_EARLIER: Mapping[int, tuple[JobSpec, int]] = {}


@dataclass(eq=False)
class ParentRefs:
    """Makes parents of the `after`, `after_ended` and `after_failed` of one call.

    A JobSpec is known by identity: two that are equal are two jobs. It is kept with its place, so that no later object
    gets its identity.

    Args:
        limits: `parents_max` holds for each job, `links_max` for all of them together.
        earlier: JobSpecs of earlier calls that may be named, too, each with its place, by identity.
    """

    limits: Limits
    earlier: Mapping[int, tuple[JobSpec, int]] = field(default_factory=dict)
    _links: int = 0
    _places: dict[int, tuple[JobSpec, int]] = field(default_factory=dict)
    _twice: set[int] = field(default_factory=set)

    def stands(self, spec: JobSpec, place: int) -> None:
        """A JobSpec stands in the call, as the how manieth from 0."""
        if id(spec) in self._places:
            self._twice.add(id(spec))
        self._places[id(spec)] = (spec, place)

    def of(self, spec: JobSpec, rest: Iterable[Any] = ()) -> tuple[JobParent, ...]:
        """The jobs that a job waits for.

        Args:
            rest: the rest of the call after it, for an error.

        Raises:
            UsageError: it cannot be waited for.
        """
        listed = [(what, _listed(getattr(spec, what), what)) for what in KINDS]
        if (number := sum(len(refs) for _, refs in listed)) > self.limits.parents_max:
            raise UsageError(
                f"expected at most {self.limits.parents_max:,} jobs in {ALL_KINDS}, got: {number:,}; "
                "have jobs between them wait for parts of these"
            )
        parents: dict[JobParent, JobParent] = {}
        for any_end, (what, refs) in enumerate(listed):
            for ref in refs:
                # Duplicates are one job.
                one = self._parent(ref, what, spec, rest)
                if parents.setdefault(one, one._replace(any_end=any_end)).any_end != any_end:
                    raise UsageError(f"expected each job in one of {ALL_KINDS}, got in two: {_named(ref)}")
        self._links += len(parents)
        check_links(self._links, self.limits.links_max)
        return tuple(parents.values())

    def _parent(self, value: Any, what: str, child: JobSpec, rest: Iterable[Any]) -> JobParent:
        if isinstance(value, str):
            return JobParent(check_name(value, f"each id in {what}"))
        if isinstance(record := getattr(value, "record", None), JobRecord):
            return JobParent(record.id)
        if not isinstance(value, JobSpec):
            raise UsageError(f"expected {what} to hold Jobs, ids or JobSpecs of this call, got: {shown(value)}")
        if id(value) in self._twice:
            raise UsageError(
                f"expected a JobSpec in {what} to stand once in the call, got JobSpec(name={shown(value.name)}) twice: "
                "make one for each job"
            )
        if known := self._places.get(id(value)) or self.earlier.get(id(value)):
            return JobParent("", known[1])
        if value is child or any(one is value for one in rest):
            raise UsageError(f"expected the JobSpec {shown(child.name)} to stand after those it waits for")
        raise UsageError(
            f"expected {what} to hold a JobSpec that is queued in the same call, got: JobSpec(name={shown(value.name)})"
        )


def check_links(links: int, most: int) -> None:
    """Refuse a call with more links from jobs to their parents than one turn may store."""
    if links > most:
        raise UsageError(
            f"expected at most {most:,} links from jobs to others in {ALL_KINDS} of one call, got {links:,} "
            "or more: have one job between them wait for all of these others, and the rest wait for that job"
        )


def names_parents(spec: JobSpec) -> bool:
    """Whether a job is to wait for others. The value is unchecked, so it is compared with nothing."""
    refs = spec.after, spec.after_ended, spec.after_failed
    return tuple(map(type, refs)) != (tuple, tuple, tuple) or refs != ((), (), ())


def _listed(refs: Any, what: str) -> Sequence[Any]:
    """The content of `after` or another of `KINDS`, which may be one thing alone."""
    if isinstance(refs, str | JobSpec) or isinstance(getattr(refs, "record", None), JobRecord):
        return (refs,)
    if isinstance(refs, dict | bytes | bytearray):
        raise UsageError(f"expected {what} to hold Jobs, ids or JobSpecs of this call, got: {shown(refs)}")
    try:
        return tuple(refs)
    except TypeError:
        raise UsageError(f"expected {what} to hold Jobs, ids or JobSpecs of this call, got: {shown(refs)}") from None


def _named(value: Any) -> str:
    return f"JobSpec(name={shown(value.name)})" if isinstance(value, JobSpec) else shown(getattr(value, "id", value))


def resolved(job: NewJob, stored_ids: Sequence[str]) -> NewJob:
    """A job with the ids of those parents that are queued in the same call.

    Args:
        stored_ids: the stored ids of the jobs before it in the call.
    """
    if all(parent.job_id for parent in job.parents):
        return job
    known = (p if p.job_id else JobParent(stored_ids[p.place], any_end=p.any_end) for p in job.parents)
    # Two that were queued under one key are one job. The first of them counts: parents are in the order of `KINDS`, so
    # its end must be done if either requires that.
    wanted: dict[str, JobParent] = {}
    for parent in known:
        wanted.setdefault(parent.job_id, parent)
    return job._replace(parents=tuple(wanted.values()))


def shifted(job: NewJob, places: int, first: int = 0) -> NewJob:
    """A job of a call whose jobs are stored `places` later than it was made for. The call began at the place `first`;
    parents before that are those of earlier calls, and stay.
    """
    if not places or all(parent.job_id for parent in job.parents):
        return job
    moved = (one if one.job_id or one.place < first else one._replace(place=one.place + places) for one in job.parents)
    return job._replace(parents=tuple(moved))


def named_ids(jobs: Iterable[NewJob]) -> list[str]:
    """The ids of all parents that are not queued in the same call."""
    return list(dict.fromkeys(parent.job_id for job in jobs for parent in job.parents if parent.job_id))


def name_parents(parents: Sequence[tuple[str, int, int]]) -> list[list[Any]]:
    """The ledger's form of ended parents: id, `move_no` of the end, and `any_end` if it is not 0."""
    return [[job_id, move_no, any_end] if any_end else [job_id, move_no] for job_id, move_no, any_end in parents]


def not_needed(job_id: str, name: str, parents: int) -> tuple[str, dict[str, Any]]:
    """The event of the end of a job that was to follow the failure of another, which is done, and its fields."""
    return "job.cancelled", {
        "reason": f"not needed: job {job_id} ({name}) is done",
        "fate_of": job_id,
        "parents": parents,
    }


def shared_fate(state: JobState, job_id: str, name: str, parents: int) -> tuple[str, dict[str, Any]]:
    """The event of the end of a job that shares the fate of another, and its fields."""
    event = "job.doomed" if state == JobState.DEAD else "job.cancelled"
    reason = f"shares the fate of job {job_id} ({name}), which is {state.value}"
    return event, {"reason": reason, "fate_of": job_id, "parents": parents}
