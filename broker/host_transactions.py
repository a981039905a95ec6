"""Jobs in the application's own open transactions: nobody tells the broker when these commit, so it looks."""

from __future__ import annotations

from ..messages.jobs import Seconds
from ..messages.mail import CheckDue, Expect
from ..stores.ports import Store
from .alarms import Alarms

LOOK_SECONDS_MIN, LOOK_SECONDS_MAX = 0.005, 0.25
"""How often a job in a host's open transaction is looked for, backing off from the first to the second."""


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

    def look(self, age: Seconds) -> None:
        """Look for them, by monotonic time, and be woken to do so again while one is missing.

        Raises:
            StoreUnavailable, StoreError: see `Store`.
        """
        for job_id, expect in list(self._jobs.items()):
            job = self._store.known(job_id)
            there = job is not None and job.is_counted and expect.state in (None, job.state)
            if there or expect.give_up_at <= age:
                del self._jobs[job_id]
        if self._jobs:
            self._alarms.after("expect", self._wait, CheckDue())
            self._wait = min(LOOK_SECONDS_MAX, self._wait * 1.2)
