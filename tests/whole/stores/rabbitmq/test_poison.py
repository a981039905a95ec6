"""A job that kills its process each time: it alone is dead in the end, and all others are done. On a real server."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from lamplighter import Runtime

from ....faults.kit import Host, eventually
from .kit import HOSTS

DEATHS = 4
"""The first redelivery proves nothing; each of the next three attempts is written down before it begins."""

LIFE_SECONDS_MAX = 30.0


def test_a_job_that_kills_its_process_is_dead_alone(tmp_path: Path, url: str, runtime: Callable[..., Runtime]) -> None:
    """Suspects ran side by side, because a claimed one was not known for one: innocent ones died as poison too."""
    one = runtime(url)
    kinds = ["long", "long", "poison", "long", *["short"] * 12]
    jobs = [one.jobs.queue("work", kind, id=f"{kind}-{number}") for number, kind in enumerate(kinds)]
    deaths = 0

    while True:
        with Host(str(HOSTS / "poison.py"), url, folder=tmp_path) as host:
            eventually(
                lambda process=host.process: process.poll() is not None or one.jobs.list(state="dead"),
                LIFE_SECONDS_MAX,
                what="a death",
            )
            if host.process.poll() is None:
                innocent = [one.jobs.join(job, timeout=LIFE_SECONDS_MAX) for job in jobs if job.data != "poison"]
                break
            deaths += 1

    assert [job.id for job in one.jobs.list(state="dead")] == ["poison-2"]
    assert {str(job.state) for job in innocent} == {"done"}
    assert deaths == DEATHS


def test_what_is_killed_in_the_drain_is_held_against_no_job(
    tmp_path: Path, url: str, runtime: Callable[..., Runtime]
) -> None:
    one = runtime(url)
    job = one.jobs.queue("work")

    def has_mark() -> bool:
        return job.id in one.boot.store.state.shared.marks

    for kill in range(DEATHS + 1):
        with Host("stopped.py", url, "hangs", folder=tmp_path) as host:
            assert host.expect("started") == [job.id]
            if kill:
                # The first attempt is not written down.
                eventually(has_mark, LIFE_SECONDS_MAX, what="the attempt to be written down")
            host.signal(signal.SIGTERM)
            eventually(lambda: not has_mark(), LIFE_SECONDS_MAX, what="the boot to say that it stops")
            host.kill()
    with Host("stopped.py", url, "ends", folder=tmp_path) as host:
        assert host.expect("started") == [job.id]
        done = one.jobs.join(job, timeout=LIFE_SECONDS_MAX)
        host.signal(signal.SIGTERM)
        assert host.end() == 0

    assert (done.attempt, done.record.interruptions) == (1, 0)
