"""A service manager that does not wait as long as the drain kills: no job is to blame, however often."""

from __future__ import annotations

import signal
from pathlib import Path

from lamplighter import Runtime

from ...faults.kit import Host, eventually, rows

KILLS = 5
"""More than `interruptions_max`."""


def test_what_is_killed_in_the_drain_is_held_against_no_job(tmp_path: Path) -> None:
    """Three `docker stop`s with a grace shorter than the drain: the job was dead as poison, though each boot had known
    that it was stopping."""
    store = tmp_path / "jobs.db"
    with Runtime(store) as runtime:
        job = runtime.jobs.queue("work")

    for _ in range(KILLS):
        with Host("stopped.py", store, "hangs", folder=tmp_path) as host:
            assert host.expect("started") == [job.id]
            host.signal(signal.SIGTERM)
            eventually(
                lambda: rows(store, "select stopping from lamplighter_boots") == [(1,)], what="the boot to say so"
            )
            host.kill()
    with Host("stopped.py", store, "ends", folder=tmp_path) as host:
        assert host.expect("started") == [job.id]
        with Runtime(store) as runtime:
            done = runtime.jobs.join(job, timeout=30)
            attempts = runtime.jobs.attempts(job)
        host.signal(signal.SIGTERM)
        assert host.end() == 0

    assert (done.attempt, done.record.claim_no, done.record.interruptions) == (1, KILLS + 1, 0)
    assert attempts == []
