"""What the documentation says of hosts in a simulation, and of failpoints outside of one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from lamplighter import Runtime, StoreUnavailable
from lamplighter.testing import Faults, Simulation

LANES = """
import sys
from lamplighter import Runtime
from lamplighter.environment import Environment
from lamplighter.environment.failpoints import from_environment

def work(job):
    return 7

if __name__ == "__main__":
    import lanes
    runtime = Runtime(":memory:", environment=Environment(failpoints=from_environment()))
    runtime.jobs.add_handler("work", lanes.work, isolation=sys.argv[1], max_attempts=1)
    with runtime:
        job = runtime.jobs.queue("work")
        try:
            print(runtime.jobs.join(job, timeout=30).result)
        except Exception as error:
            print(type(error).__name__)
"""


def register(runtime: Runtime) -> None:
    runtime.jobs.add_handler("work", lambda job: job.data)


def test_a_host_waits_in_virtual_time_until_its_runtime_has_stopped() -> None:
    waited: list[bool] = []

    def host(runtime: Runtime) -> None:
        while not waited or not waited[-1]:
            waited.append(runtime.wait(3600))

    began = time.monotonic()
    with Simulation(register, host=host) as sim:
        sim.run(hours=24.5)
        assert waited == [False] * 24
        sim.runtime.stop()
        sim.run(hours=1)

    assert waited[-1] is True
    assert time.monotonic() - began < 30


def test_what_a_host_calls_may_raise_store_unavailable_and_heals() -> None:
    met: Counter[str] = Counter()

    def host(runtime: Runtime) -> None:
        while not runtime.wait(60):
            try:
                runtime.jobs.join(runtime.jobs.queue("work", id=f"work-{met['done']}"))
                met["done"] += 1
            except StoreUnavailable:
                met["unavailable"] += 1

    with Simulation(register, host=host, faults=Faults(store_error=0.3), reply_seconds_max=1) as sim:
        sim.run(hours=2)
        assert met["unavailable"] > 0
        assert sim.check().ok

    assert met["done"] > 10


@pytest.mark.parametrize(("isolation", "said"), [("thread", "JobFailed"), ("process", "7")])
@pytest.mark.parametrize("point", ["lane.call", "lane.returned"])
def test_a_child_process_passes_no_failpoints(tmp_path: Path, isolation: str, said: str, point: str) -> None:
    (tmp_path / "lanes.py").write_text(LANES)
    armed = {**os.environ, "LAMPLIGHTER_FAILPOINTS": f"{point}=raise(OSError: armed)"}

    ran = subprocess.run(
        [sys.executable, "lanes.py", isolation], cwd=tmp_path, env=armed, capture_output=True, text=True, check=False
    )

    assert ran.stdout.splitlines()[-1] == said
