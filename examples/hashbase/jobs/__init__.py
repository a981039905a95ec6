"""The three jobs of the seed document, one a module, and how they are added to a runtime."""

from __future__ import annotations

from typing import Any

from lamplighter import Job, Runtime

from ..host import Host
from .clean_dead_archives import clean_dead_archives
from .clean_unverified_users import clean_unverified_users
from .verify_profile_dat import VerifyProfile, verify_profile_dat

__all__ = ["VerifyProfile", "clean_dead_archives", "clean_unverified_users", "register", "verify_profile_dat"]


def register(runtime: Runtime, host: Host) -> None:
    """Adds the handlers and the schedules. Call it at every start, before the runtime starts.

    Args:
        runtime: where the jobs are to run.
        host: what they work on. It must stay open until the runtime has stopped.
    """
    jobs = runtime.jobs

    # 20 attempts, from a second to an hour apart: a profile dat has some nine hours to arrive.
    @jobs.handler("verify-profile-dat", concurrency=4, timeout=30, max_attempts=20)
    def verify(job: Job[VerifyProfile]) -> dict[str, str]:
        return verify_profile_dat(job, host)

    # All three are safe to run twice at once. One at a time is enough for the two that clean, over all processes.
    @jobs.handler("clean-dead-archives", concurrency_total=1, timeout=900, max_attempts=5)
    def clean_archives(job: Job[Any]) -> dict[str, int]:
        return clean_dead_archives(job, host)

    @jobs.handler("clean-unverified-users", concurrency_total=1, timeout=120, max_attempts=5)
    def clean_users(job: Job[Any]) -> dict[str, int]:
        return clean_unverified_users(job, host)

    # Six fields have the seconds first: midnight, and a quarter past every hour.
    runtime.scheduler.add("clean-unverified-users", "0 0 0 * * *")
    runtime.scheduler.add("clean-dead-archives", "0 15 * * * *", overlap="skip")
