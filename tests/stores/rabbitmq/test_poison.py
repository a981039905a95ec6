"""A job that kills its process each time: it alone is dead in the end, and all others are done. On a real server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lamplighter import Runtime

from ...faults.kit import Host, eventually
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
