"""Saying what a test expects to have been queued."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol, overload

from ..api.job import Job
from ..api.jobs import LIST_JOBS_MAX, Jobs
from ..errors import UsageError
from ..messages.jobs import JobState, Seconds
from ..rules.codec import decode, encode
from ..rules.new_jobs import KEPT_OPTIONS

ANY: Any = ...
DELAY_SECONDS_TOLERANCE = 0.001
PRUNED = '{"k":"pruned",'
"""How a line of the log begins to say that retention has removed jobs."""

SHOWN_MAX = 20
"""How many jobs an error shows."""

FIELDS = (
    *("id", "state", *KEPT_OPTIONS, "debounce", "schedule", "slot", "run_at", "at", "delay"),
    *("attempt", "reason", "error", "result"),
)
"""The fields that can be asked for besides the data: what `jobs.queue` takes, and what a Job shows."""


class HasJobs(Protocol):
    """A `Runtime`, or an `Inline`."""

    @property
    def jobs(self) -> Jobs: ...


class HasRuntime(Protocol):
    """A `Simulation`."""

    @property
    def runtime(self) -> HasJobs: ...


@overload
def assert_queued(
    where: HasJobs | HasRuntime, name: str, data: Any = ANY, *, count: None = None, **fields: Any
) -> Job[Any]: ...


@overload
def assert_queued(
    where: HasJobs | HasRuntime, name: str, data: Any = ANY, *, count: int, **fields: Any
) -> list[Job[Any]]: ...


def assert_queued(
    where: HasJobs | HasRuntime, name: str, data: Any = ANY, *, count: int | None = None, **fields: Any
) -> Job[Any] | list[Job[Any]]:
    """Such a job was queued, whatever has become of it since; `state="queued"` asks that it still waits.

    Args:
        where: a runtime, an `Inline` or a `Simulation`.
        name: of the job.
        data: a dict that the job's data contains (so do dicts within it); a function of the data that says whether it
            is meant; or the data itself, as it was queued or as it is stored.
        count: exactly so many; otherwise one or more.
        fields: what else is so: `unique`, `priority`, `delay` (seconds; unknown of a job that was put off since, as by
            a retry, and then it matches nothing), `at` or `run_at` (a datetime), `schedule`,
            `slot`, `timeout`, `max_attempts`, `id`, `state`, and what else a `Job` shows; or a function of it.

    Returns:
        The job that was queued last; with `count`, all of them, the first queued first.

    Raises:
        AssertionError: there is none, or are not so many; it lists what there is instead.
        UsageError: retention has removed jobs of an `Inline` or a `Simulation`, so nobody can know.
    """
    jobs = _jobs(where)
    found = _find(jobs, name, data, fields)
    if count is None and found:
        return found[-1]
    if count is not None and len(found) == count:
        return found
    _check_all_are_kept(where)
    wanted = "a job" if count is None else f"{count} of the jobs"
    raise AssertionError(
        f"expected {wanted} {_asked(name, data, fields)} to have been queued, got {len(found)} among:\n{_all(jobs)}"
    )


def assert_not_queued(where: HasJobs | HasRuntime, name: str, data: Any = ANY, **fields: Any) -> None:
    """No such job was queued. The arguments are those of `assert_queued`.

    Raises:
        AssertionError: there is one; it lists what there is.
        UsageError: retention has removed jobs of an `Inline` or a `Simulation`, so nobody can know.
    """
    jobs = _jobs(where)
    found = _find(jobs, name, data, fields)
    if found:
        raise AssertionError(
            f"expected no job {_asked(name, data, fields)} to have been queued, got {len(found)} among:\n{_all(jobs)}"
        )
    _check_all_are_kept(where)


def _check_all_are_kept(where: Any) -> None:
    # Only a runtime in virtual time lives as long as its ended jobs are kept.
    if PRUNED in getattr(where, "log", ""):
        raise UsageError(
            "expected all jobs of the test to be in the store, but retention has removed ended ones: give the runtime "
            "a longer keep_done_seconds and keep_dead_seconds, or assert before so much time has passed"
        )


def _jobs(where: Any) -> Jobs:
    jobs = getattr(getattr(where, "runtime", where), "jobs", None)
    if not isinstance(jobs, Jobs):
        raise UsageError(f"expected a Runtime, an Inline or a Simulation, got: {where!r:.200}")
    return jobs


def _find(jobs: Jobs, name: str, data: Any, fields: dict[str, Any]) -> list[Job[Any]]:
    unknown = sorted(fields.keys() - set(FIELDS))
    if unknown:
        raise UsageError(f"expected fields of a job ({', '.join(FIELDS)}), got: {', '.join(unknown)}")
    listed = page = jobs.list(name, limit=LIST_JOBS_MAX)
    while len(page) == LIST_JOBS_MAX:
        page = jobs.list(name, limit=LIST_JOBS_MAX, before=page[-1])
        listed += page
    return [
        job
        for job in reversed(listed)
        if _matches(job.data, data) and all(_is(job, field, wanted) for field, wanted in fields.items())
    ]


def _matches(data: Any, wanted: Any) -> bool:
    if wanted is ANY:
        return True
    if callable(wanted):
        return bool(wanted(data))
    if isinstance(wanted, dict):
        stored = {_as_stored(key): value for key, value in wanted.items()}
        return isinstance(data, dict) and all(
            key in data and _matches(data[key], value) for key, value in stored.items()
        )
    return bool(data == wanted) or bool(data == _as_stored(wanted))


def _as_stored(wanted: Any) -> Any:
    """The form of a value in JSON, which has neither tuples nor UUIDs; the value itself if nothing does."""
    try:
        return decode(encode(wanted, what="data", bytes_max=sys.maxsize))
    except UsageError:
        return wanted


def _is(job: Job[Any], field: str, wanted: Any) -> bool:
    got = _value(job, field)
    if field == "delay" and got is None:
        return False
    if callable(wanted):
        return bool(wanted(got))
    if field == "delay":
        seconds = wanted.total_seconds() if isinstance(wanted, timedelta) else float(wanted)
        return bool(abs(got - seconds) <= DELAY_SECONDS_TOLERANCE)
    return bool(got == wanted)


def _value(job: Job[Any], field: str) -> Any:
    match field:
        case "at":
            return job.run_at
        case "delay":
            return _delay(job)
        case _ if field in KEPT_OPTIONS:
            return getattr(job.record, KEPT_OPTIONS[field].column)
        case _:
            return getattr(job, field)


def _delay(job: Job[Any]) -> Seconds | None:
    """For how long it was put off when it was queued; unknown once something else may have put it off."""
    record = job.record
    is_first = record.claim_no == 0 or (record.claim_no == 1 and record.state != JobState.QUEUED)
    return record.run_at - record.queued_at if is_first else None


def _asked(name: str, data: Any, fields: dict[str, Any]) -> str:
    about = {} if data is ANY else {"data": data}
    return ", ".join([name, *(f"{field}={_text(value)}" for field, value in {**about, **fields}.items())])


def _shown_delay(job: Job[Any]) -> str:
    delay = _delay(job)
    return "unknown" if delay is None else f"{round(delay, 3) + 0.0:g}"


def _text(value: Any) -> str:
    return getattr(value, "__name__", repr(value)) if isinstance(value, Callable) else repr(value)  # type: ignore[arg-type]


def _all(jobs: Jobs) -> str:
    shown = jobs.list(limit=SHOWN_MAX + 1)
    lines = [
        f"  {job.name} data={job.data!r:.200} state={job.state} priority={job.priority} unique={job.unique!r} "
        f"delay={_shown_delay(job)} schedule={job.schedule!r}"
        for job in shown[:SHOWN_MAX]
    ]
    return "\n".join([*lines, *(["  ..."] if len(shown) > SHOWN_MAX else [])]) or "  nothing: no job was queued"
