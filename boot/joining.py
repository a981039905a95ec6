from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from ..api.job import Job
from ..environment.clock import Clock
from ..errors import JobFailed, LamplighterError, UsageError, check_seconds
from ..messages.boots import BootRecord
from ..messages.jobs import ENDED, JobRecord, JobState, JobTypes, Seconds
from ..messages.mail import Reply
from ..messages.steps import KeptStep
from ..rules.capabilities import needed
from ..rules.codec import decode
from ..rules.validation import check_iterable, check_name, unknown_job
from ..stores.ports import Store, StoreSnapshot
from .boot import Boot

if TYPE_CHECKING:
    from ..admin.why import WaitContext
    from ..stores.control_client import BootView

Ref = Job[Any] | str


def id_of(job: Ref) -> str:
    """The job's id. Raises a UsageError for anything but an id or a Job."""
    return job.record.id if isinstance(job, Job) else check_name(job, "job")


def claim_of(store: Store, job: Ref) -> tuple[str, int | None, int | None]:
    """The job's id, its `row_id` and its claim number, as far as known.

    Raises:
        UsageError: it is neither a Job nor an id nor a token, or could be both an id and a token.
    """
    if isinstance(job, Job):
        row_id, claim_no = job.record.key
        return job.id, row_id, claim_no if job.record.state == JobState.RUNNING else None
    job_id, _, number = job.rpartition(":") if isinstance(job, str) else ("", "", "")
    # An application may give its jobs ids such as "order:7", which look like tokens.
    if not (job_id and number.isdecimal()):
        return check_name(job, "job"), None, None
    check_name(job_id, "job")
    known = store.jobs.known((job, job_id))
    if job not in known:
        return job_id, None, int(number)
    if job_id in known:
        raise UsageError(f"expected a token or an id, got: {job!r}, which is both here; pass the Job itself")
    return job, None, None


def types_of(job: Ref) -> JobTypes | None:
    """The types of a job that came from its handler object."""
    return job.types if isinstance(job, Job) else None


R = TypeVar("R", bound=Reply)


def seconds_of(timeout: Seconds | None) -> Seconds | None:
    """Check a caller's timeout; None waits for ever."""
    return None if timeout is None else check_seconds(timeout, "timeout")


def rest_of(clock: Clock, timeout: Seconds | None) -> Callable[[], Seconds | None]:
    """A function that says how much of a caller's timeout, which begins now, is left."""
    seconds, began = seconds_of(timeout), clock.monotonic()
    return lambda: None if seconds is None else max(0.0, began + seconds - clock.monotonic())


def each_in_time(clock: Clock, jobs: Iterable[Ref], timeout: Seconds | None) -> Iterator[tuple[Ref, Seconds | None]]:
    """The jobs, once all of them are checked, each with the rest of the timeout."""
    named, left = list(check_iterable(jobs, "jobs", "ids or Jobs")), rest_of(clock, timeout)
    for job in named:
        id_of(job)
    for job in named:
        yield job, left()


@contextlib.contextmanager
def awaiting(boot: Boot, job_id: str, reply: R, timeout: Seconds | None) -> Iterator[R]:
    """Have `reply` answered when a job ends, within this context. The job may have ended before: look once inside.

    Raises:
        TimeoutError: it has not ended within `timeout` seconds.
    """
    boot.joins.add(job_id, reply)
    try:
        yield reply
    except TimeoutError:
        raise TimeoutError(f"job {job_id} has not ended within {timeout} s{_still(boot, job_id)}") from None
    finally:
        boot.joins.drop(job_id, reply)


def _still(boot: Boot, job_id: str) -> str:
    """Where a job is that was waited for in vain, as a sentence."""
    try:
        # Imported where it is needed: most processes never ask.
        from ..admin.why import why

        with boot.store.snapshot() as seen:
            job = seen.jobs.known((job_id,)).get(job_id)
            if job is None or job.state in ENDED:
                return ""
            return f": {why(situation(boot, job, seen)).sentence}"
    except (LamplighterError, ImportError):
        # The timeout holds all the same. Store problems are reported elsewhere; the package may have been replaced.
        return ""


def situation(boot: Boot, job: JobRecord, seen: StoreSnapshot) -> WaitContext:
    from ..admin.why import wait_context_of
    from ..stores.control_client import boot_view

    peers = boot.store.peers

    def is_alive(one: str) -> bool | None:
        # A store that lists its runtimes lists the living ones.
        return True if one == boot.id or peers is not None else boot.presence.is_alive(one)

    def seen_boot(record: BootRecord) -> BootView:
        alive = is_alive(record.boot)
        view = boot.views.runtime() if alive is not False and record.boot == boot.id else None
        why = "it is dead" if alive is False else boot.presence.hidden(record.boot) or "it runs in another process"
        return boot_view(record, is_alive=alive, view=view, unheard=why)

    return wait_context_of(
        job,
        seen,
        list(map(seen_boot, seen.boots())),
        now=boot.clock.now(),
        store=boot.store.address,
        is_handled_elsewhere=peers is not None and (job.name in boot.share.names() or peers.is_handled(job.name)),
    )


def ended(boot: Boot, job_id: str) -> JobRecord | None:
    record = stored(boot, job_id)
    return record if record.state in ENDED else None


def stored(boot: Boot, job_id: str) -> JobRecord:
    record = boot.store.jobs.known((job_id,)).get(job_id)
    if record is None:
        raise unknown_job(job_id, " to this runtime, which has not queued it" if boot.store.table is None else "")
    return record


def kept_steps(boot: Boot, job_id: str) -> list[KeptStep]:
    table = needed(boot.store.table, "steps")
    return [
        KeptStep(
            name=step.name,
            result=decode(step.result),
            claim_no=step.claim_no,
            at=datetime.fromtimestamp(step.at, UTC),
        )
        for step in table.steps(stored(boot, job_id).row_id)
    ]


def outcome(record: JobRecord, job: Ref) -> Job[Any]:
    """The ended job. Raises JobFailed if it is dead or cancelled."""
    ended: Job[Any] = Job(record, types=types_of(job))
    if record.state != JobState.DONE:
        raise JobFailed(f"job {ended.id} ({ended.name}) is {ended.state.value}: {ended.error or ended.reason}", ended)
    return ended
