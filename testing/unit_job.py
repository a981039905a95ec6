"""A job for the unit test of one handler, without a runtime, a store or a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import count
from typing import Any, Unpack

from ..api.job import Job
from ..errors import check_seconds
from ..handlers.steps import reader, refuse_on_loop, signal_reader
from ..log.outlets import outlet_of
from ..messages.jobs import Instant, JobKeywords, JobRecord, JobSpec, JobState, Seconds
from ..messages.outcomes import Policy
from ..messages.steps import NO_SIGNAL, NoSignal
from ..rules.codec import decode, encode
from ..rules.limits import Limits
from ..rules.new_jobs import JobChecks, spec_of
from ..rules.validation import check_whole
from ..stores.transitions import born
from .manual_clock import START


class UnitJob(Job[Any, Any]):
    """A job as a handler gets it, which remembers what the handler asks of it.

    Attributes:
        asked: its requests, as an `Asked`.
    """

    __slots__ = ("asked",)

    def __init__(self, record: JobRecord, data: Any, asked: Asked) -> None:
        super().__init__(record, data=data, context=asked)
        self.asked = asked


def job(
    data: Any = None,
    *,
    name: str = "job",
    attempt: int = 1,
    parents: Sequence[Job[Any]] = (),
    policy: Policy = Policy(),  # noqa: B008 (frozen)
    **options: Unpack[JobKeywords],
) -> UnitJob:
    """Make a job for the unit test of a handler: call the handler with it, then look at what has been returned, and at
    `job.asked`.

    Args:
        data: as the handler gets it: of the type that it asks for, if it asks for one.
        name: of the job.
        attempt: which attempt this is.
        parents: what `job.parents` gives.
        policy: the options of the handler that `job.is_tried_again` and `job.max_attempts` look at.
        options: as `jobs.queue` takes them.

    Raises:
        UsageError: the data is not JSON-serializable, or an option is impossible.
    """
    asked = Asked(policy, parents)
    new = asked.checks.spec(spec_of("testing.job", name, data, options))
    record = born(new, 1)._replace(
        state=JobState.RUNNING,
        attempt=check_whole(attempt, "attempt", least=1, most=10**6) - 1,
        claim_no=attempt,
        boot="unit test",
        claimed_at=new.run_at,
    )
    asked.log = outlet_of(None).bound(job_id=record.id, job_name=name, attempt=attempt)
    return UnitJob(record, data, asked)


class Asked:
    """What a handler has asked of its job, in order, and what a test may tell it. It stands in for the runtime, so its
    methods are those of `Job`.

    Attributes:
        queued: the jobs that the handler has queued.
        followers: the jobs that it has given to `job.then`.
        reports: its reports of progress.
        slept: the seconds of each `job.sleep`. No time passes.
        kept: the JSON text of the results of its steps, by name. Another call of the handler with the same job goes on
            after them, as another attempt does.
        signals: what `job.wait` gets, by the names of the signals: data, or `NO_SIGNAL` for a wait whose time is over.
            Where it has nothing, `job.wait` raises the `Snooze` with which a handler waits.
        reason: set it, and the job is `cancelled`, for this reason.
        stopping: set it, and the runtime is stopping.
        deadline: when the attempt times out.
        wall: the wall time for `job.snooze` and `job.wait`, in seconds since 1970.
    """

    deadline: datetime | None = None
    log: Any = None
    reason: str | None = None
    stopping = False

    def __init__(self, policy: Policy, parents: Sequence[Job[Any]]) -> None:
        numbers = count(1)
        self.checks = JobChecks(
            now=START.timestamp(),
            new_id=lambda: f"job-{next(numbers)}",
            root_id="job-1",
            limits=Limits(),
            has_table=True,
        )
        self.policy = policy
        self.wall: Instant = START.timestamp()
        self.queued: list[Job[Any]] = []
        self.followers: list[Job[Any]] = []
        self.reports: list[Any] = []
        self.slept: list[Seconds] = []
        self.kept: dict[str, str] = {}
        self.signals: dict[str, Any] = {}
        self._parents = parents

    @property
    def cancelled(self) -> bool:
        return self.reason is not None

    @property
    def steps(self) -> Asked:
        return self

    def sleep(self, seconds: Seconds) -> bool:
        self.slept.append(check_seconds(seconds, "seconds"))
        return not (self.cancelled or self.stopping)

    def report(self, progress: str) -> None:
        self.reports.append(decode(progress))

    def submit(self, call: str, jobs: Any, *, one: bool = False, awaits: bool = False) -> Any:
        new = self._made([jobs] if one else jobs)
        self.queued += new
        answer = new[0] if one else new
        return asyncio.sleep(0, answer) if awaits else answer

    def then(self, jobs: Sequence[JobSpec | tuple[str, Any]]) -> None:
        self.followers += self._made(jobs)

    def parents(self, after: int) -> Sequence[Job[Any]]:
        return self._parents[after:]

    def begin(self, name: str, connection: Any = None) -> str | None:
        refuse_on_loop()
        return self.kept.get(name)

    async def abegin(self, name: str, connection: Any = None) -> str | None:
        return self.kept.get(name)

    def keep(self, name: str, result: str, connection: Any = None) -> str:
        return self.kept.setdefault(name, result)

    async def akeep(self, name: str, result: str, connection: Any = None) -> str:
        return self.keep(name, result)

    def leave(self, name: str) -> None:
        """Nothing to do: the same attempt may come to the step again."""

    reader = staticmethod(reader)

    def sent(self, name: str, *, is_over: bool) -> str | NoSignal | None:
        refuse_on_loop()
        if name not in self.signals:
            return NO_SIGNAL if is_over else None
        data = self.signals[name]
        return data if data is NO_SIGNAL else encode(data, what="signal", bytes_max=Limits().data_bytes_max)

    signal_reader = staticmethod(signal_reader)

    def now(self) -> Instant:
        return self.wall

    def _made(self, jobs: Iterable[JobSpec | tuple[str, Any]]) -> list[Job[Any]]:
        return [Job(born(new, 0)) for new in list(self.checks.all(jobs))]
