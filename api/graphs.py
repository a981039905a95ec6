"""`JobGraph`: what `jobs.graph` returns. Imported when that is called."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from ..admin.graphs import GraphView, graph_facts
from ..admin.why import why
from ..boot.joining import rest_of, situation
from ..boot.submitting import off_loop, twin
from ..errors import JobFailed, UnknownJob
from ..messages.jobs import JobState, JobStateName, Seconds
from .job import Job

if TYPE_CHECKING:
    from .jobs import Jobs

JOINED_AT_ONCE = 500


def graph_of(jobs: Jobs, job_id: str) -> JobGraph:
    """The graph of a job as it is now."""
    boot = jobs._boot
    with boot.store.snapshot() as seen:
        facts = graph_facts(
            seen, job_id, now=boot.clock.now(), why=lambda job: why(situation(boot, job, seen)), shows_data=True
        )
    return JobGraph(**facts, _jobs=jobs)


@dataclass(frozen=True, kw_only=True)
class JobGraph(GraphView):
    """A graph as `jobs.graph` has read it. Its methods look, and act, anew."""

    _jobs: Jobs = field(repr=False, compare=False)

    def members(
        self,
        name: str | None = None,
        state: JobState | JobStateName | None = None,
        limit: int = 100,
        before: Job[Any] | None = None,
    ) -> list[Job[Any]]:
        """Its jobs, what was queued last first. The arguments are those of `jobs.list`."""
        return self._jobs.list(name, state, limit, before, query=self.query)

    amembers = off_loop(members)

    def join(self, timeout: Seconds | None = None) -> JobGraph:
        """Wait until all of its jobs have ended, also those that come meanwhile. Returns the graph as it is then.

        Raises:
            JobFailed: one of them is dead or cancelled. The error has the one that ended so last by itself.
            TimeoutError: one of them has not ended within `timeout` seconds.
        """
        left = rest_of(self._jobs._boot.clock, timeout)
        while some := self._unfinished():
            for job in some:
                with suppress(JobFailed, UnknownJob):
                    self._jobs._submitter.join(job, timeout, left())
        return self._joined()

    async def ajoin(self, timeout: Seconds | None = None) -> JobGraph:
        """`join` for asyncio applications."""
        left, submitter = rest_of(self._jobs._boot.clock, timeout), cast(Any, self._jobs._submitter.awaiting)
        while some := await asyncio.to_thread(self._unfinished):
            for job in some:
                with suppress(JobFailed, UnknownJob):
                    await submitter.join(job, timeout, left())
        return await asyncio.to_thread(self._joined)

    def cancel(self, *, by: str | None = None, reason: str | None = None) -> int:
        """`jobs.cancel_many` for all of its jobs that have not ended."""
        return self._jobs.cancel_many(self.query, by=by, reason=reason)

    acancel = twin(cancel)

    def requeue(
        self,
        *,
        delay: Seconds | timedelta | None = None,
        afresh: bool = False,
        by: str | None = None,
        reason: str | None = None,
    ) -> int:
        """`jobs.requeue_many` for all of its jobs that are dead or cancelled, but for those that share the fate of
        others, for which these wait again. Each waits again for those of its parents that have not ended. Jobs that
        are done stay done.
        """
        return self._jobs.requeue_many(self.failed_query, delay=delay, afresh=afresh, by=by, reason=reason)

    arequeue = twin(requeue)

    @property
    def _awaiting(self) -> JobGraph:
        return replace(self, _jobs=self._jobs._awaiting)

    def _unfinished(self) -> list[Job[Any]]:
        return self._jobs.list(query=self.unfinished_query, limit=JOINED_AT_ONCE)

    def _joined(self) -> JobGraph:
        for job in self._jobs.list(query=self.failed_query, limit=1):
            said = f"the graph of job {self.id} has failed: job {job.id} ({job.name}) is {job.state.value}"
            raise JobFailed(f"{said}: {job.error or job.reason}", job)
        return self._jobs.graph(self.id)
