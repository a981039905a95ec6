"""Jobs in the application's own open transactions: nobody tells the broker when these commit, so it looks."""

from __future__ import annotations

from typing import Any

from ..errors import StaleClaim
from ..messages.jobs import ClaimKey, Instant, JobRecord, JobState, NewJob, Seconds
from ..messages.mail import CheckDue, Expect
from ..messages.outcomes import Outcome, OutcomeKind, Policy
from ..rules.capabilities import needed
from ..rules.lifecycle import judge
from ..stores.ports import Store
from .alarms import Alarms
from .turn_context import is_current

LOOK_SECONDS_MIN, LOOK_SECONDS_MAX = 0.005, 0.25
"""How often a job in a host's open transaction is looked for, backing off from the first to the second."""


def queue_on(store: Store, connection: Any, job: NewJob, now: Instant) -> tuple[JobRecord, bool]:
    """Insert a job in the application's transaction on an open connection of its own.

    Raises:
        UsageError: see `HostTransactions.join`.
        NotSupported: the store lies elsewhere.
    """
    with needed(store.host, "connection").join(connection, now) as turn:
        return turn.insert(job)


def finish_on(
    store: Store, connection: Any, job_id: str, no: int | None, claim_no: int | None, result: str | None, now: Instant
) -> None:
    """End a job as done in the application's transaction: a running one by its claim, a queued one without.

    Args:
        no: None where only a token is known.

    Raises:
        StaleClaim: the claim does not hold it, or without a claim it is not queued.
        UsageError, NotSupported: as `queue_on`.
    """
    with needed(store.host, "connection").join(connection, now) as turn:
        job = turn.find(job_id)
        if job is not None and no in (None, job.no):
            if claim_no is None and job.state == JobState.QUEUED:
                return turn.finish(job, result)
            if claim_no is not None and is_current(job, ClaimKey(job.no, claim_no)):
                outcome = Outcome(kind=OutcomeKind.SUCCEEDED, result=result)
                verdict = judge(job, outcome, Policy(), now, earlier_interruptions=0, chance=0.0)
                return turn.settle(job, outcome, verdict)
    raise StaleClaim(f"job {job_id} is not there to be marked done by claim {claim_no}; roll back")


class ExpectedJobs:
    """Looks for each until it has appeared, or is given up.

    Args:
        jobs: what is expected, by job id. It outlives a broker, and hosts' threads add to it.
    """

    def __init__(self, jobs: dict[str, Expect], store: Store, alarms: Alarms) -> None:
        self._jobs = jobs
        self._store = store
        self._alarms = alarms
        self._wait = LOOK_SECONDS_MIN

    def add(self, expect: Expect) -> None:
        """One more, for which it pays to look often again."""
        self._jobs[expect.job_id] = expect
        self._wait = LOOK_SECONDS_MIN

    def look(self, monotonic: Seconds) -> None:
        """Look for them, by monotonic time, and be woken to do so again while one is missing.

        Raises:
            StoreUnavailable, StoreError: see `Store`.
        """
        known = self._store.jobs.known(list(self._jobs)) if self._jobs else {}
        for job_id, expect in list(self._jobs.items()):
            job = known.get(job_id)
            there = job is not None and job.is_counted and expect.state in (None, job.state)
            if there or expect.give_up_at <= monotonic:
                del self._jobs[job_id]
        if self._jobs:
            self._alarms.after("expect", self._wait, CheckDue())
            self._wait = min(LOOK_SECONDS_MAX, self._wait * 1.2)
